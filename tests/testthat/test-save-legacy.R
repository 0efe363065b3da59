# Files that older versions of Keras wrote, from R. The files are those of the engine's tests.

legacy_file <- function(name, env = parent.frame()) {
  source <- testthat::test_path("..", "python", "fixtures", "legacy", paste0(name, ".gz"))
  skip_if_not(file.exists(source), "the engine's test files are not here")
  target <- file.path(withr::local_tempdir(.local_envir = env), name)
  input <- gzfile(source, "rb")
  on.exit(close(input))
  writeBin(readBin(input, "raw", 1e7), target)
  target
}

scale_layer <- function() {
  Layer(
    "Scale",
    initialize = function(k = 2, ...) {
      super$initialize(...)
      self$k <- k
    },
    build = function(input_shape) {
      self$w <- self$add_weight(name = "w", shape = shape(input_shape[[length(input_shape)]]), initializer = "ones")
    },
    call = function(inputs) inputs * self$w * self$k,
    get_config = function() modifyList(super$get_config(), list(k = self$k))
  )
}

test_that("an old .h5 predicts, trains on, and takes a data frame", {
  skip_if_no_keras()
  model <- load_model_hdf5(legacy_file("tf24__opt_adadelta.h5"))
  x <- matrix(seq(-1, 1, length.out = 32), 8)
  expect_identical(dim(predict(model, x, verbose = 0)), c(8L, 1L))
  expect_equal(as.numeric(model$optimizer$iterations), 3)
  expect_equal(predict(model, as.data.frame(x), verbose = 0), predict(model, x, verbose = 0), ignore_attr = TRUE)
  history <- fit(model, x, x[, 1], epochs = 1, verbose = 0)
  expect_true(is.finite(history$metrics$loss))
})

test_that("a custom layer of Python is named when it is missing, and an R class takes its place", {
  skip_if_no_keras()
  path <- legacy_file("k216__custom_layer.h5")
  err <- expect_error(load_model(path), "layer 'scale_1' \\(Scale\\)", class = "kerasbridge_error_unsupported")
  expect_match(conditionMessage(err), "Keras 2.1.6")
  expect_match(conditionMessage(err), "custom_objects = list(Scale", fixed = TRUE)
  model <- load_model(path, custom_objects = list(Scale = scale_layer()))
  expect_equal(model$layers[[2]]$k, 3)
  x <- matrix(c(1, 2, 3, 4), 1)
  weights <- get_weights(model)
  hidden <- (x %*% weights[[1]] + c(weights[[2]])) * c(weights[[3]]) * 3
  expect_equal(c(predict(model, x, verbose = 0)), c(hidden %*% weights[[4]] + c(weights[[5]])), tolerance = 1e-5)
})

test_that("byte code needs permission; an R function under the layer's name replaces it", {
  skip_if_no_keras()
  path <- legacy_file("k216__lambda_named.h5")
  expect_error(load_model(path), "allow = \"lambda\"", fixed = TRUE, class = "kerasbridge_error_unsafe_file")
  model <- load_model(path, custom_objects = list(lambda_1 = function(x) op_abs(x)))
  weights <- get_weights(model)
  x <- matrix(c(-1, 2, 0, 1), 1)
  expect_equal(c(predict(model, x, verbose = 0)), c(abs(x %*% weights[[1]] + c(weights[[2]]))), tolerance = 1e-5)
})

test_that("architecture and weights of Keras 2 come together", {
  skip_if_no_keras()
  json <- readLines(legacy_file("k216__bidirectional.json"), warn = FALSE)
  model <- model_from_json(json)
  load_model_weights_hdf5(model, legacy_file("k216__bidirectional.w.h5"))
  path <- withr::local_tempfile(fileext = ".json", lines = json)
  again <- load_model_config(path)
  load_model_weights(again, legacy_file("k216__bidirectional.w.h5"))
  x <- array(seq(-1, 1, length.out = 18), c(1, 6, 3))
  expect_identical(predict(model, x, verbose = 0), predict(again, x, verbose = 0))
})

test_that("convert_model() checks what it is given", {
  skip_if_no_keras()
  path <- legacy_file("k216__custom_layer.h5")
  out <- file.path(tempdir(), "converted")
  expect_error(convert_model("none.h5", out), "no file", class = "kerasbridge_error_file")
  expect_error(convert_model(path, out, code = "none.py"), "There is no file", class = "kerasbridge_error_argument")
  expect_error(convert_model(path, out, python = "/no/such/python"), "can't be run", class = "kerasbridge_error_argument")
  expect_false(dir.exists(out))
})
