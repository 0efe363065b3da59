# Sparse matrices give the results of dense ones, and no dense copy of the whole is made.

sparse_case <- function() {
  x <- matrix(0, 40, 6, dimnames = list(paste0("r", 1:40), NULL))
  x[cbind(1:40, rep(1:6, length.out = 40))] <- seq(-1, 1, length.out = 40)
  x[3, ] <- 0
  x
}

test_that("sparse matrices of each layout equal dense ones", {
  skip_if_no_keras()
  skip_if_not_installed("Matrix")
  x <- sparse_case()
  columns <- methods::as(methods::as(x, "dMatrix"), "CsparseMatrix")
  forms <- list(columns, methods::as(columns, "RsparseMatrix"), methods::as(columns, "TsparseMatrix"))
  expect_identical(vapply(forms, \(f) class(f)[[1]], ""), c("dgCMatrix", "dgRMatrix", "dgTMatrix"))
  y <- rowSums(x)
  if (!is_keras_available("3.1")) {
    expect_error(predict(small_model(input = 6), columns, verbose = 0), "as.matrix(x)", fixed = TRUE, class = "kerasbridge_error")
    skip("Keras 3.0 takes no sparse matrices, and the error says so")
  }
  trained <- function(x) {
    set_random_seed(5)
    model <- keras_model_sequential(input_shape = 6) |> layer_dense(3, activation = "relu") |> layer_dense(1)
    compile(model, "sgd", loss = "mse")
    fit(model, x, y, epochs = 2, verbose = 0, shuffle = FALSE, validation_split = 0.25)
    model
  }
  dense <- trained(x)
  for (form in forms[1:2]) {
    expect_equal(get_weights(trained(form)), get_weights(dense), tolerance = 1e-5)
  }
  for (form in forms) {
    expect_equal(predict(dense, form, verbose = 0), predict(dense, x, verbose = 0), tolerance = 1e-6)
    expect_equal(evaluate(dense, form, y, verbose = 0), evaluate(dense, x, y, verbose = 0), tolerance = 1e-5)
  }
  expect_identical(dim(predict(dense, columns[0, , drop = FALSE], verbose = 0)), c(0L, 1L))
  expect_equal(unname(predict(dense, columns[5, , drop = FALSE], verbose = 0)), unname(predict(dense, x[5, , drop = FALSE], verbose = 0)), tolerance = 1e-6)
  logical <- columns != 0
  expect_equal(unname(predict(dense, logical, verbose = 0)), unname(predict(dense, (x != 0) * 1, verbose = 0)), tolerance = 1e-6)
})

test_that("sparse values that are not finite are refused with their place", {
  skip_if_no_keras()
  skip_if_not_installed("Matrix")
  model <- small_model(input = 6)
  for (class in c("CsparseMatrix", "RsparseMatrix", "TsparseMatrix")) {
    x <- sparse_case()
    x[9, 3] <- NA
    expect_error(predict(model, methods::as(methods::as(x, "dMatrix"), class)), "[9, 3]", fixed = TRUE, class = "kerasbridge_error_data")
  }
  expect_error(predict(model, Matrix::Diagonal(6)), "CsparseMatrix", class = "kerasbridge_error_data")
  expect_error(predict(model, Matrix::Matrix(matrix(1:36 + 0, 6), sparse = FALSE)), "as.matrix", class = "kerasbridge_error_data")
})

test_that("a large sparse matrix is never made dense", {
  skip_if_no_keras("3.1")
  skip_if_not_installed("Matrix")
  skip_if_not(file.exists("/proc/self/status"), "the system does not tell the memory of a process")
  # dense it would take 4 GB
  done <- run_r(c(
    "library(kerasbridge)",
    "set.seed(1)",
    "n <- 20000; p <- 50000; k <- 2e5",
    "x <- Matrix::sparseMatrix(i = sample(n, k, TRUE), j = sample(p, k, TRUE), x = rep(1, k), dims = c(n, p))",
    "model <- keras_model_sequential(input_shape = p) |> layer_dense(1)",
    "compile(model, 'sgd', loss = 'mse')",
    "fit(model, x, rep(1, n), epochs = 1, batch_size = 512, verbose = 0)",
    "stopifnot(identical(dim(predict(model, x, batch_size = 512, verbose = 0)), c(20000L, 1L)))",
    "peak <- grep('VmHWM', readLines('/proc/self/status'), value = TRUE)",
    "cat('PEAK', gsub('[^0-9]', '', peak), '\n')"
  ), env = paste0("KERASBRIDGE_VENV=", Sys.getenv("KERASBRIDGE_VENV")), timeout = 300)
  expect_identical(done$status, 0L)
  peak <- as.numeric(sub("PEAK ([0-9]+).*", "\\1", grep("^PEAK", done$output, value = TRUE)))
  expect_lt(peak / 1e6, 2)
})
