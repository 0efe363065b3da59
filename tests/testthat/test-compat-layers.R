# Layers and metrics that Keras 3 has dropped, from R.

test_that("locally connected layers compose, train, are saved and loaded", {
  skip_if_no_keras()
  model <- keras_model_sequential() |>
    layer_locally_connected_1d(filters = 4, kernel_size = 3, activation = "relu", input_shape = c(8, 2)) |>
    layer_flatten() |>
    layer_dense(1)
  expect_identical(dim(get_weights(model)[[1]]), c(6L, 6L, 4L))
  compile(model, optimizer = optimizer_adam(0.02), loss = "mse")
  set_random_seed(1)
  x <- array(sin(1:640), c(40, 8, 2))
  y <- matrix(rowSums(x), 40)
  history <- fit(model, x, y, epochs = 15, verbose = 0)
  loss <- history$metrics$loss
  expect_lt(loss[[15]], loss[[1]] / 2)
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(model, path)
  again <- load_model(path)
  expect_equal(predict(again, x, verbose = 0), predict(model, x, verbose = 0), tolerance = 1e-6)
  two <- layer_locally_connected_2d(as_tensor(array(1, c(2, 6, 5, 1))), 3, c(2, 3), padding = "same")
  expect_identical(dim(two), c(2L, 6L, 5L, 3L))
  expect_s3_class(layer_locally_connected_2d(filters = 3, kernel_size = 2), "kerasbridge_layer")
  expect_error(layer_locally_connected_1d(filters = 2.5, kernel_size = 3), "filters", class = "kerasbridge_error_argument")
  expect_error(layer_locally_connected_1d(filters = 2, kernel_size = 3, padding = "causal"), "padding", class = "kerasbridge_error_argument")
})

test_that("a saved locally connected model loads in a fresh R session", {
  skip_if_no_keras()
  path <- withr::local_tempfile(fileext = ".keras")
  model <- keras_model_sequential(input_shape = c(6, 1)) |> layer_locally_connected_1d(2, 2) |> layer_activation_thresholded_relu(0.1)
  save_model(model, path)
  x <- array(1:12 / 12, c(2, 6, 1))
  out <- run_r(c(
    "library(kerasbridge)", sprintf("m <- load_model(%s)", deparse(path)),
    "cat(sprintf('%.5f', sum(predict(m, array(1:12 / 12, c(2, 6, 1)), verbose = 0))))"
  ))
  expect_identical(out$status, 0L)
  expect_equal(as.numeric(utils::tail(out$output, 1)), sum(predict(model, x, verbose = 0)), tolerance = 1e-4)
})

test_that("older activations", {
  skip_if_no_keras()
  x <- as_tensor(matrix(c(-2, 0.5, 3), 1))
  expect_equal(as.array(layer_activation_thresholded_relu(x, theta = 1)), matrix(c(0, 0, 3), 1))
  selu <- 1.0507010 * ifelse(c(-2, 0.5, 3) > 0, c(-2, 0.5, 3), 1.6732632 * (exp(c(-2, 0.5, 3)) - 1))
  expect_equal(as.array(layer_activation_selu(x)), matrix(selu, 1), tolerance = 1e-5)
  expect_s3_class(layer_activation_selu(name = "s"), "kerasbridge_layer")
  expect_error(layer_activation_thresholded_relu(theta = -1), "theta", class = "kerasbridge_error_argument")
})

test_that("random heights and widths stay within their bounds", {
  skip_if_no_keras()
  images <- random_uniform(c(2, 10, 8, 1))
  layer <- layer_random_height(factor = c(0.5, 0.5))
  expect_identical(dim(layer(images, training = TRUE)), c(2L, 15L, 8L, 1L))
  expect_identical(dim(layer(images)), c(2L, 10L, 8L, 1L))
  wide <- layer_random_width(factor = 0.25, seed = 1)
  widths <- replicate(10, dim(wide(images, training = TRUE))[[3]])
  expect_true(all(widths >= 6 & widths <= 10))
  expect_identical(dim(layer_random_width(layer_input(c(10, 8, 1)), 0.2)), c(NA, 10L, NA, 1L))
  expect_error(layer_random_height(factor = c(0.3, 0.1)), "factor", class = "kerasbridge_error_argument")
})

test_that("cuDNN names are today's layers", {
  skip_if_no_keras()
  x <- random_normal(c(2, 5, 3))
  expect_identical(dim(suppressMessages(layer_cudnn_gru(x, 4))), c(2L, 4L))
  expect_identical(dim(suppressMessages(layer_cudnn_lstm(x, 4, return_sequences = TRUE))), c(2L, 5L, 4L))
  model <- keras_model_sequential(input_shape = c(5, 3)) |> layer_cudnn_lstm(units = 4)
  expect_identical(class(model$layers[[1]])[[1]], "kerasbridge_layer")
})

test_that("feature columns are refused with what to use", {
  expect_error(layer_dense_features(feature_columns = list()), "layer_feature_space", class = "kerasbridge_error_unsupported")
})

test_that("dropped metrics count as they did", {
  skip_if_no_keras()
  m <- metric_mean_relative_error(normalizer = c(1, 3, 2, 3))
  m$update_state(c(1, 3, 2, 3), c(2, 4, 6, 8))
  expect_equal(as.numeric(m$result()), mean(c(1, 1 / 3, 2, 5 / 3)), tolerance = 1e-6)
  t <- metric_mean_tensor()
  t$update_state(c(0, 1, 2))
  t$update_state(c(4, 5, 6))
  expect_equal(as.vector(as.array(t$result())), c(2, 3, 4))
  expect_error(metric_mean_relative_error(), "normalizer", class = "kerasbridge_error_argument")
})
