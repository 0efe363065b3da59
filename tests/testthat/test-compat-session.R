test_that("flags take defaults, a file and the command line, by type", {
  made <- list(flag_numeric("dropout", 0.4), flag_integer("units", 128), flag_boolean("fast", FALSE), flag_string("name", "a"))
  out <- do.call(flags, c(made, list(arguments = c("--units", "64", "--fast=true"), file = "no-such-file")))
  expect_identical(out, list(dropout = 0.4, units = 64L, fast = TRUE, name = "a"))
  expect_error(do.call(flags, c(made, list(arguments = c("--units", "6.5")))), class = "kerasbridge_error_argument")
  expect_error(do.call(flags, c(made, list(arguments = c("--unit", "6")))), "units", class = "kerasbridge_error_argument")
  skip_if_not_installed("yaml")
  path <- withr::local_tempfile(lines = c("default:", "  dropout: 0.1", "  units: 3", "big:", "  units: 99"))
  out <- do.call(flags, c(made, list(arguments = c("--dropout", "0.2"), file = path, config = "big")))
  expect_identical(out[1:2], list(dropout = 0.2, units = 99L))
})

test_that("run_dir is the variable or the folder", {
  withr::local_envvar(RUN_DIR = "")
  expect_identical(run_dir(), getwd())
  withr::local_envvar(RUN_DIR = "runs/1")
  expect_identical(run_dir(), "runs/1")
})

test_that("a backend is refused by its reason", {
  expect_error(use_backend("theano"), "ended in 2017", class = "kerasbridge_error_unsupported")
  expect_error(use_backend("nonsense"), class = "kerasbridge_error_argument")
  skip_if_no_keras()
  keras$backend$backend()
  other <- setdiff(c("jax", "tensorflow"), kerasbridge_info()$backend)[[1]]
  expect_error(use_backend(other), sprintf("use_backend\\(\"%s\"\\)", other), class = "kerasbridge_error_unsupported")
  expect_equal(use_backend(kerasbridge_info()$backend), kerasbridge_info()$backend)
})

test_that("a seeded session repeats itself, in R and in Keras", {
  skip_if_no_keras()
  draw <- function() {
    use_session_with_seed(7, quiet = TRUE)
    list(runif(2), as.numeric(random_uniform(c(2))))
  }
  expect_identical(draw(), draw())
})


test_that("tensorboard() shows what callback_tensorboard() wrote, and stops", {
  skip_if_no_keras()
  skip_if_not(reticulate::py_module_available("tensorboard"), "the Python package tensorboard")
  logs <- withr::local_tempdir()
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
  compile(model, "sgd", loss = "mse")
  fit(model, matrix(1, 4, 2), 1:4, epochs = 2, verbose = 0, callbacks = callback_tensorboard(file.path(logs, "first")))
  expect_message(url <- tensorboard(logs, launch_browser = FALSE), "TensorBoard runs at")
  withr::defer(tensorboard(action = "stop"))
  expect_match(paste(suppressWarnings(readLines(paste0(url, "/data/runs"))), collapse = ""), "first/train", fixed = TRUE)
  tensorboard(logs, action = "stop")
  expect_error(suppressWarnings(readLines(paste0(url, "/data/runs"))))
  expect_error(tensorboard(), "log_dir", class = "kerasbridge_error_argument")
})
