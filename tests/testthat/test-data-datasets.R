# In a child process: Keras looks up its folder when it starts.
in_data_folder <- function(code, home) {
  script <- tempfile(fileext = ".R")
  on.exit(unlink(script))
  writeLines(c(
    sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")),
    "library(kerasbridge)", deparse(code)
  ), script)
  out <- withr::with_envvar(
    c(KERAS_HOME = home, R_TESTS = ""),
    suppressWarnings(system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(script)), stdout = TRUE, stderr = TRUE, timeout = 240))
  )
  paste(out, collapse = "\n")
}

test_that("cached files become lists of train and test", {
  skip_if_no_keras()
  home <- withr::local_tempdir()
  dir.create(file.path(home, "datasets"))
  out <- in_data_folder(quote({
    keras$version()
    np <- import("numpy", convert = FALSE)
    folder <- file.path(Sys.getenv("KERAS_HOME"), "datasets")
    x <- array(1:(2 * 28 * 28) %% 256L, c(2, 28, 28))
    invisible(np$savez(file.path(folder, "mnist.npz"), x_train = r_to_py(x), y_train = r_to_py(c(7L, 3L)),
                       x_test = r_to_py(x), y_test = r_to_py(c(1L, 0L))))
    digits <- dataset_mnist()
    stopifnot(
      identical(names(digits), c("train", "test")),
      identical(digits$train$x, x), identical(as.integer(digits$train$y), c(7L, 3L)), is.null(dim(digits$test$y))
    )
    c(c(x_train, y_train), c(x_test, y_test)) %<-% digits
    stopifnot(identical(y_test, digits$test$y))
    texts <- np$array(r_to_py(list(c(1L, 5L), 2:3, 3:8)), dtype = "object")
    invisible(np$savez(file.path(folder, "imdb.npz"), x_train = texts, y_train = r_to_py(c(0L, 1L, 0L)),
                       x_test = texts, y_test = r_to_py(c(0L, 1L, 1L))))
    reviews <- dataset_imdb(num_words = 9)
    stopifnot(setequal(reviews$train$x, list(c(1L, 4L, 8L), c(1L, 5L, 6L), c(1L, 6L, 7L, 8L, 2L, 2L, 2L))))
    invisible(np$savez(file.path(folder, "boston_housing.npz"), x = r_to_py(matrix(0, 10, 13)), y = r_to_py(1:10 + 0)))
    prices <- dataset_boston_housing(test_split = 0.5)
    stopifnot(identical(dim(prices$test$x), c(5L, 13L)), setequal(c(prices$train$y, prices$test$y), 1:10))
    cat("all well")
  }), home)
  expect_match(out, "all well", fixed = TRUE)
})

test_that("arguments are checked", {
  skip_if_no_keras()
  expect_error(dataset_cifar100("rough"), "label_mode")
  expect_error(dataset_boston_housing(test_split = 1), "test_split", class = "kerasbridge_error_argument")
  expect_error(dataset_reuters(num_words = 2.5), "num_words", class = "kerasbridge_error_argument")
})
