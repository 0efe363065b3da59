line_data <- function(n = 64) {
  x <- matrix(seq(-1, 1, length.out = 2 * n), n)
  list(x = x, y = x %*% c(1, -2) + 0.5)
}

test_that("fit learns a line and returns the history", {
  skip_if_no_keras()
  d <- line_data()
  set_random_seed(1)
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
  compile(model, optimizer_adam(0.05), loss = "mse", metrics = "mae")
  history <- fit(model, d$x, d$y, epochs = 30, validation_split = 0.25, verbose = 0)
  expect_s3_class(history, "kerasbridge_history")
  expect_length(history$metrics$loss, 30)
  expect_lt(history$metrics$loss[[30]], history$metrics$loss[[1]] / 5)
  expect_identical(history$history, history$metrics)
  expect_setequal(names(history$metrics), c("loss", "mae", "val_loss", "val_mae"))
  frame <- as.data.frame(history)
  expect_identical(nrow(frame), 120L)
  expect_identical(range(frame$epoch), c(1L, 30L))
  expect_output(print(history), "History of 30 epochs")
})

test_that("the validation split is the last part", {
  skip_if_no_keras()
  x <- matrix(c(rep(0, 8), rep(1, 2)), 10)
  model <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
  compile(model, optimizer_sgd(0), loss = "mse")
  set_weights(model, list(matrix(3), array(0)))
  history <- fit(model, x, rep(0, 10), validation_split = 0.2, epochs = 1, verbose = 0)
  expect_equal(history$metrics$loss, 0)
  expect_equal(history$metrics$val_loss, 9)
})

test_that("evaluate and predict give known numbers; row names stay", {
  skip_if_no_keras()
  model <- small_model(metrics = "mae")
  known_weights(model)
  x <- matrix(c(0, 1, 0, 1), 2, dimnames = list(c("r1", "r2"), NULL))
  expect_equal(predict(model, x, verbose = 0), matrix(c(0.5, 3.5), 2, dimnames = list(c("r1", "r2"), NULL)))
  score <- evaluate(model, x, c(0.5, 2.5), verbose = 0)
  expect_equal(score, list(loss = 0.5, mae = 0.5), tolerance = 1e-6)
  expect_identical(dim(predict(model, matrix(0, 0, 2), verbose = 0)), c(0L, 1L))
})

test_that("data frames of numbers are taken, others refused by column", {
  skip_if_no_keras()
  model <- small_model()
  known_weights(model)
  frame <- data.frame(a = c(0, 1), b = c(0L, 1L))
  expect_equal(as.vector(predict(model, frame, verbose = 0)), c(0.5, 3.5))
  frame$b <- factor(c("u", "v"))
  expect_error(predict(model, frame, verbose = 0), "'b' holds text or categories", class = "kerasbridge_error_data")
})

test_that("missing and infinite values are refused with their place", {
  skip_if_no_keras()
  model <- small_model()
  x <- matrix(0, 4, 2)
  x[3, 2] <- NA
  expect_error(fit(model, x, rep(0, 4), verbose = 0), "x[3, 2]", fixed = TRUE, class = "kerasbridge_error_data")
  x[3, 2] <- Inf
  expect_error(predict(model, x, verbose = 0), "infinite", class = "kerasbridge_error_data")
  expect_error(fit(model, matrix(0, 4, 2), c(0, 0, NA, 0), verbose = 0), "y[3]", fixed = TRUE)
})

test_that("wrong arguments are named", {
  skip_if_no_keras()
  model <- small_model()
  x <- matrix(0, 4, 2)
  y <- rep(0, 4)
  expect_error(fit(model, x, y, epochs = 1.5), "`epochs` must be a whole number", class = "kerasbridge_error_argument")
  expect_error(fit(model, x, y, epochs = 0), "`epochs` must be at least 1")
  expect_error(fit(model, x, y, batch_size = 0), "`batch_size`")
  expect_error(fit(model, x, y, validation_split = 2), "`validation_split`")
  expect_error(fit(model, x, y, callbacks = list(1)), "`callbacks`")
  expect_error(fit(model, x, y, verbse = 0), "`verbse` is not an argument")
  expect_error(fit(model, x, y, verbose = 7), "`verbose` must be")
  uncompiled <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
  expect_error(fit(uncompiled, x, y), "is not compiled", class = "kerasbridge_error_argument")
  expect_error(compile(model, optimizer = "nonsense"), "nonsense")
})

test_that("wrong shapes are refused in terms of x and y", {
  skip_if_no_keras()
  model <- small_model()
  expect_error(predict(model, matrix(0, 4, 3), verbose = 0), "`x`", class = "kerasbridge_error_data")
  expect_error(fit(model, matrix(0, 4, 2), rep(0, 5), verbose = 0), "`y`", class = "kerasbridge_error_data")
})

test_that("class weights and sample weights weigh", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 1) |> layer_dense(2, activation = "softmax")
  compile(model, optimizer_sgd(0), loss = "sparse_categorical_crossentropy")
  set_weights(model, list(matrix(0, 1, 2), array(0, 2)))
  x <- matrix(1, 4, 1)
  y <- c(0, 0, 1, 1)
  plain <- fit(model, x, y, epochs = 1, verbose = 0)$metrics$loss
  weighted <- fit(model, x, y, epochs = 1, verbose = 0, class_weight = list("0" = 1, "1" = 3))$metrics$loss
  expect_equal(plain, log(2), tolerance = 1e-6)
  expect_equal(weighted, 2 * log(2), tolerance = 1e-6)
  sampled <- fit(model, x, y, epochs = 1, verbose = 0, sample_weight = c(2, 2, 2, 2))$metrics$loss
  expect_equal(sampled, 2 * log(2), tolerance = 1e-6)
  expect_error(fit(model, x, y, class_weight = list(a = 1)), "`class_weight`")
})

test_that("progress is one line an epoch in a log, and nothing when silent", {
  skip_if_no_keras()
  model <- small_model()
  x <- matrix(0, 8, 2)
  text <- capture.output(fit(model, x, rep(0, 8), epochs = 3, verbose = 2))
  expect_length(grep("Epoch [1-3]/3", text), 3)
  expect_false(any(grepl("[\b\033\r]", text)))
  expect_identical(capture.output(h <- fit(model, x, rep(0, 8), epochs = 1, verbose = 0)), character())
})

test_that("one-batch functions step, test and predict", {
  skip_if_no_keras()
  model <- small_model()
  known_weights(model)
  x <- matrix(1, 4, 2)
  before <- test_on_batch(model, x, rep(0, 4))
  expect_equal(before$loss, 3.5^2, tolerance = 1e-6)
  train_on_batch(model, x, rep(0, 4))
  expect_lt(test_on_batch(model, x, rep(0, 4))$loss, before$loss)
  expect_identical(dim(predict_on_batch(model, x)), c(4L, 1L))
})

test_that("the history plots with ggplot2 and with base graphics", {
  skip_if_no_keras()
  model <- small_model(metrics = "mae")
  history <- fit(model, matrix(0, 8, 2), rep(0, 8), epochs = 2, validation_split = 0.5, verbose = 0)
  withr::local_pdf(NULL)
  expect_s3_class(plot(history, method = "base"), "kerasbridge_history")
  skip_if_not_installed("ggplot2")
  expect_s3_class(plot(history), "ggplot")
  expect_error(plot(history, metrics = "nope"), "'nope'")
})

interrupted_fit <- function() {
  run_r(c(
    "library(kerasbridge)",
    "x <- matrix(rnorm(4e5), ncol = 4); y <- rowSums(x)",
    "model <- keras_model_sequential(input_shape = 4) |> layer_dense(32) |> layer_dense(1)",
    "compile(model, 'sgd', loss = 'mse')",
    "fit(model, x, y, epochs = 1, verbose = 0)",
    "system(sprintf('(sleep 6; kill -INT %d) > /dev/null 2>&1 &', Sys.getpid()))",
    "started <- proc.time()[[3]]",
    "history <- fit(model, x, y, epochs = 1e6, verbose = 0)",
    "cat(history$interrupted, length(history$epoch) >= 1, proc.time()[[3]] - started < 30,",
    "    dim(predict(model, x[1:3, ], verbose = 0)), '\\n')"
  ), timeout = 120)
}

test_that("Ctrl-C ends fit with the epochs done, and the model stays usable", {
  skip_if_no_keras()
  skip_on_os("windows")
  # on a busy machine the signal may come before the first step, with nothing to keep: then again
  for (attempt in 1:3) {
    out <- interrupted_fit()
    if (any(grepl("TRUE TRUE TRUE 3 1", out$output))) break
  }
  expect_match(paste(out$output, collapse = "\n"), "TRUE TRUE TRUE 3 1")
})

test_that("histories, layers and tensors summarise, format and show their structure", {
  skip_if_no_keras()
  history <- fit(small_model(), matrix(1, 4, 2), rep(0, 4), epochs = 3, verbose = 0)
  s <- summary(history)
  expect_identical(s$metric, "loss")
  expect_equal(s$least, min(history$metrics$loss))
  expect_identical(s$least_epoch, which.min(history$metrics$loss))
  expect_match(format(history), "^<history of 3 epochs: loss ")
  expect_output(str(history), "history of 3 epochs")
  layer <- layer_dense(units = 2)
  layer(op_ones(c(1, 3)))
  expect_identical(summary(layer)$shape, c("(3, 2)", "(2)"))
  expect_output(str(layer), "Dense")
  expect_equal(summary(as_tensor(c(1, 2, 6)))[["Mean"]], 3)
})
