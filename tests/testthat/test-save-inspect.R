test_that("a file is described without starting Keras", {
  skip_if_no_keras()
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(small_model(), path)
  out <- run_r(c(
    "library(kerasbridge)", sprintf("seen <- inspect_model('%s')", path), "print(seen)",
    "cat(reticulate::py_eval(\"'keras' in __import__('sys').modules or 'tensorflow' in __import__('sys').modules\"))"
  ))
  expect_identical(out$status, 0L)
  expect_identical(tail(out$output, 1), "FALSE")
  text <- paste(out$output, collapse = "\n")
  expect_match(text, "verdict +safe: parts of models only")
  expect_match(text, "dense_?[0-9]* +Dense +\\(any, 2\\) +3")
  expect_match(text, paste0("R ", getRversion()), fixed = TRUE)

  seen <- inspect_model(path)
  expect_true(seen$safe)
  expect_identical(seen$layers$class, c("InputLayer", "Dense"))
  expect_identical(seen$layers$shape, c("(NA, 2)", "(NA, 2)"))
  expect_identical(seen$layers$parameters, c(0, 3))
  expect_identical(seen$parameters, 3L)
  expect_true(seen$compiled)
  expect_identical(seen$written_by$r, as.character(getRversion()))
  expect_identical(nrow(seen$custom), 0L)
  expect_error(inspect_model("nowhere.keras"), "no file", class = "kerasbridge_error_file")
})

test_that("hostile files are refused by class, with the argument that permits them", {
  skip_if_no_keras()
  path <- withr::local_tempfile(fileext = ".keras")
  made <- run_python(c(
    "import keras",
    "m = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 3, name='thrice')])",
    sprintf("m.save(r'%s')", path)
  ))
  expect_identical(made$status, 0L)
  e <- expect_error(load_model(path), "layer 'thrice'", class = "kerasbridge_error_unsafe_file")
  expect_match(conditionMessage(e), "allow = \"lambda\"", fixed = TRUE)
  expect_identical(e$argument, "allow")
  expect_identical(inspect_model(path)$verdict, "refused unless you allow \"lambda\"")
  expect_equal(predict(load_model(path, allow = "lambda"), matrix(1, 1, 2), verbose = 0), matrix(3, 1, 2))
  expect_error(load_model(path), class = "kerasbridge_error_unsafe_file")
  expect_error(load_model(path, allow = "all"), "nothing that can be allowed", class = "kerasbridge_error_argument")
  expect_error(load_model(path, allow = 1), "`allow` must be", class = "kerasbridge_error_argument")
  expect_error(load_model(path, max_size = -1), "`max_size` must be", class = "kerasbridge_error_argument")

  save_model(small_model(), path, overwrite = TRUE)
  expect_error(load_model(path, max_size = 10), "max_size", class = "kerasbridge_error_unsafe_file")
  expect_error(load_model(path, max_layers = 1), "max_layers", class = "kerasbridge_error_unsafe_file")
})

test_that("weights that are no numbers are a warning", {
  skip_if_no_keras()
  model <- small_model()
  set_weights(model, list(matrix(NaN, 2), array(0)))
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(model, path)
  expect_warning(load_model(path), "not numbers (NaN)", fixed = TRUE, class = "kerasbridge_warning")
})
