test_that("a model comes back with weights, compile settings and optimizer state", {
  skip_if_no_keras()
  x <- matrix(seq(-1, 1, length.out = 32), 16)
  y <- x[, 1]
  for (ending in c(".keras", ".h5")) {
    model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
    compile(model, optimizer_adam(0.01), loss = "mse", metrics = "mae")
    fit(model, x, y, epochs = 2, verbose = 0)
    path <- withr::local_tempfile(fileext = ending)
    expect_identical(save_model(model, path), path)
    back <- load_model(path)
    expect_identical(predict(back, x, verbose = 0), predict(model, x, verbose = 0))
    expect_equal(as.numeric(back$optimizer$iterations), 2)
    one <- fit(model, x, y, epochs = 1, shuffle = FALSE, verbose = 0)
    two <- fit(back, x, y, epochs = 1, shuffle = FALSE, verbose = 0)
    expect_equal(one$metrics$loss, two$metrics$loss, tolerance = 1e-6)
    expect_equal(get_weights(model), get_weights(back), tolerance = 1e-6)
  }
})

test_that("a file opens in plain Python, and one from Python opens in R", {
  skip_if_no_keras()
  model <- small_model()
  known_weights(model)
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(model, path)
  from_python <- withr::local_tempfile(fileext = ".keras")
  out <- run_python(c(
    "import keras, numpy",
    sprintf("m = keras.saving.load_model(r'%s')", path),
    "print('%.6f' % m.predict(numpy.ones((1, 2)), verbose=0)[0, 0])",
    sprintf("m.save(r'%s')", from_python)
  ))
  expect_identical(out$status, 0L)
  expect_identical(tail(out$output, 1), "3.500000")
  expect_equal(predict(load_model(from_python), matrix(1, 1, 2), verbose = 0)[[1]], 3.5)
})

test_that("bad files and paths are named", {
  skip_if_no_keras()
  model <- small_model()
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(model, path)
  expect_error(save_model(model, path), "exists already", class = "kerasbridge_error_file")
  save_model(model, path, overwrite = TRUE)
  expect_error(save_model(model, "m.foo"), "does not end in", class = "kerasbridge_error_file")
  expect_error(save_model(model, file.path(tempdir(), "no", "m.keras")), "does not exist", class = "kerasbridge_error_file")
  expect_error(load_model("nowhere.keras"), "no file 'nowhere.keras'", class = "kerasbridge_error_file")
  expect_error(load_model(tempdir()), class = "kerasbridge_error")
  text <- withr::local_tempfile(fileext = ".keras", lines = "not a model")
  expect_error(load_model(text), "not a model file", class = "kerasbridge_error_file")
  empty <- withr::local_tempfile(fileext = ".keras")
  file.create(empty)
  expect_error(load_model(empty), "is empty", class = "kerasbridge_error_file")
  bytes <- readBin(path, "raw", 1e6)
  writeBin(bytes[seq_len(length(bytes) / 2)], path)
  expect_error(load_model(path), "damaged or truncated", class = "kerasbridge_error_file")
  expect_error(save_model("model", path), "`model` must be a model", class = "kerasbridge_error_argument")
})

test_that("paths with spaces, tildes and other letters work", {
  skip_if_no_keras()
  folder <- withr::local_tempdir(pattern = "w\u00f6rk space ")
  path <- file.path(folder, "m\u00f6del 1.keras")
  save_model(small_model(), path)
  expect_s3_class(load_model(path), "kerasbridge_model")
  withr::local_envvar(HOME = folder)
  save_model_weights(small_model(), file.path(folder, "w.weights.h5"))
})

test_that("weights alone go to a file and back", {
  skip_if_no_keras()
  model <- small_model()
  known_weights(model)
  path <- withr::local_tempfile(fileext = ".weights.h5")
  save_model_weights(model, path)
  other <- small_model()
  load_model_weights(other, path)
  expect_identical(get_weights(other), get_weights(model))
  expect_error(save_model_weights(model, "w.txt"), ".weights.h5", fixed = TRUE, class = "kerasbridge_error_file")
})

test_that("the format can be said where the name does not", {
  skip_if_no_keras()
  model <- small_model()
  path <- file.path(withr::local_tempdir(), "model")
  expect_identical(save_model(model, path, format = "h5"), path)
  expect_identical(readBin(path, "raw", 4), as.raw(c(0x89, 0x48, 0x44, 0x46)))
  expect_identical(get_weights(load_model(path)), get_weights(model))
  expect_error(save_model(model, paste0(path, ".h5"), format = "keras"), "says another", class = "kerasbridge_error_argument")
  expect_error(save_model(model, path, format = 2), "format", class = "kerasbridge_error_argument")
})
