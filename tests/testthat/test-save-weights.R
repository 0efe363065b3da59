test_that("weights go by layer name into another model, and a report says what happened", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 3) |>
    layer_dense(4, name = "hidden") |>
    layer_dense(2, name = "out")
  other <- keras_model_sequential(input_shape = 3) |>
    layer_dense(4, name = "hidden") |>
    layer_dense(4, name = "more") |>
    layer_dense(5, name = "out")
  for (ending in c(".weights.h5", ".h5", ".safetensors", ".keras")) {
    path <- withr::local_tempfile(fileext = ending)
    if (ending == ".keras") save_model(model, path) else save_model_weights(model, path)
    expect_error(
      load_model_weights(other, path, by_name = TRUE),
      "layer 'out': shape \\(4, 2\\) in the file, \\(4, 5\\) in the model", class = "kerasbridge_error_file"
    )
    before <- get_weights(other)
    expect_identical(load_model_weights(other, path, by_name = TRUE, skip_mismatch = TRUE), other)
    expect_identical(get_weights(other)[1:2], get_weights(model)[1:2])
    expect_identical(get_weights(other)[3:6], before[3:6])
    report <- loaded_weights(other)
    expect_s3_class(report, c("kerasbridge_weights_report", "data.frame"), exact = TRUE)
    expect_identical(report$layer, c("hidden", "more", "out"))
    expect_identical(report$status, c("loaded", "missing", "skipped"))
    expect_identical(report$weights, c(2L, 2L, 2L))
  }
  expect_output(print(report), "loaded into 1 of 3 layers.*more missing: not in the file.*out  skipped: shape")
  expect_null(loaded_weights(model))
  stranger <- keras_model_sequential(input_shape = 3) |> layer_dense(4, name = "x")
  expect_error(load_model_weights(stranger, path, by_name = TRUE), "belong to no layer", class = "kerasbridge_error_file")
})

test_that("weights can be cut into several files", {
  skip_if_no_keras("3.10") # older ones can't, which the error says
  model <- keras_model_sequential(input_shape = 64) |> layer_dense(64) |> layer_dense(64)
  path <- file.path(withr::local_tempdir(), "w.weights.json")
  save_model_weights(model, path, max_shard_size = 20000 / 2^30)
  expect_length(list.files(dirname(path), "h5$"), 3)
  other <- keras_model_sequential(input_shape = 64) |> layer_dense(64) |> layer_dense(64)
  load_model_weights(other, path)
  expect_identical(get_weights(other), get_weights(model))
  expect_error(save_model_weights(model, "w.h5", max_shard_size = 1), "ends in .weights.json", class = "kerasbridge_error_file")
})

test_that("weights of another shape are refused by layer and shape", {
  skip_if_no_keras()
  model <- small_model()
  expect_error(set_weights(model, list(matrix(1, 3, 1), 1)), "has shape \\(3, 1\\); the weight .*dense.*/kernel. has \\(2, 1\\)", class = "kerasbridge_error_argument")
  expect_error(set_weights(model, list(1)), "must be a list of 2 arrays", class = "kerasbridge_error_argument")
  expect_error(set_weights(model, list(matrix("a", 2, 1), 1)), "must be an array of numbers", class = "kerasbridge_error_argument")
  expect_error(set_weights(model, list(matrix(c(1, NA), 2, 1), 1)), "NA", class = "kerasbridge_error")
})

test_that("weights that are not numbers warn, and damage names its part", {
  skip_if_no_keras()
  model <- small_model()
  set_weights(model, list(matrix(c(1, NaN), 2), array(0)))
  for (ending in c(".weights.h5", ".h5", ".safetensors")) {
    path <- withr::local_tempfile(fileext = ending)
    save_model_weights(model, path)
    expect_warning(load_model_weights(model, path), "not numbers (NaN)", fixed = TRUE, class = "kerasbridge_warning")
  }
  known_weights(model)
  path <- withr::local_tempfile(fileext = ".safetensors")
  save_model_weights(model, path)
  bytes <- readBin(path, "raw", 1e5)
  bytes[length(bytes)] <- xor(bytes[length(bytes)], as.raw(1))
  writeBin(bytes, path)
  expect_error(load_model_weights(model, path), "its values are not what was written", class = "kerasbridge_error_file")
  expect_no_warning(load_model_weights(model, path, allow = "changed"))
  expect_identical(inspect_model(path)$parameters, 3L)
})

test_that("safetensors of other programs say which array went where", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 3) |> layer_dense(4, name = "a") |> layer_dense(4, name = "b")
  foreign <- function(arrays) {
    path <- withr::local_tempfile(fileext = ".safetensors", .local_envir = parent.frame())
    header <- list()
    at <- 0
    for (name in names(arrays)) {
      shape <- dim(arrays[[name]])
      header[[name]] <- list(dtype = "F32", shape = I(shape), data_offsets = c(at, at + 4 * prod(shape)))
      at <- at + 4 * prod(shape)
    }
    text <- charToRaw(jsonlite::toJSON(header, auto_unbox = TRUE))
    values <- unlist(lapply(arrays, \(x) c(aperm(x))))
    con <- file(path, "wb")
    writeBin(c(length(text), 0L), con, size = 4, endian = "little")
    writeBin(text, con)
    writeBin(values, con, size = 4, endian = "little")
    close(con)
    path
  }
  arrays <- list(array(1, c(3, 4)), array(2, 4), array(3, c(4, 4)), array(4, 4))
  expect_no_warning(load_model_weights(model, foreign(setNames(arrays, c("m/a/kernel:0", "m/a/bias:0", "m/b/kernel:0", "m/b/bias:0")))))
  expect_identical(lapply(get_weights(model), max), list(1, 2, 3, 4))
  set_weights(model, lapply(get_weights(model), \(x) x * 0))
  other <- foreign(setNames(arrays, c("x_1/kernel", "x_1/bias", "x_2/kernel", "x_2/bias")))
  expect_warning(load_model_weights(model, other), "4 of 4 arrays went by number and shape", class = "kerasbridge_warning")
  expect_identical(lapply(get_weights(model), max), list(1, 2, 3, 4))
  unclear <- foreign(setNames(arrays, c("x/kernel", "x/bias", "y/kernel", "y/bias")))
  expect_error(load_model_weights(model, unclear), "layer 'a' or of layer 'b'", class = "kerasbridge_error_file")
})
