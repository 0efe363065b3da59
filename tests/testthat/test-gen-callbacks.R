# Callbacks made of R functions: epochs and batches count from 1.

trained_with <- function(callbacks, epochs = 2, ...) {
  model <- small_model()
  fit(model, matrix(1:8 / 8, 4), c(1, 2, 3, 4), epochs = epochs, batch_size = 2, callbacks = callbacks, verbose = 0, ...)
  model
}

test_that("callback_lambda() counts epochs and batches from 1", {
  skip_if_no_keras()
  seen <- list()
  note <- \(what) \(i, logs) seen[[length(seen) + 1]] <<- list(what, i, names(logs))
  trained_with(callback_lambda(
    on_epoch_begin = note("begin"), on_epoch_end = note("end"), on_train_batch_end = note("batch"),
    on_train_begin = \(logs) seen[[length(seen) + 1]] <<- list("start")
  ))
  what <- vapply(seen, \(s) s[[1]], "")
  expect_identical(what, c("start", rep(c("begin", "batch", "batch", "end"), 2)))
  numbers <- \(w) vapply(seen[what == w], \(s) s[[2]], 1L)
  expect_identical(numbers("begin"), 1:2)
  expect_identical(numbers("end"), 1:2)
  expect_identical(numbers("batch"), c(1:2, 1:2))
  expect_identical(seen[[5]][[3]], "loss")
})

test_that("training that goes on counts on", {
  skip_if_no_keras()
  epochs <- integer()
  trained_with(callback_lambda(on_epoch_end = \(epoch) epochs <<- c(epochs, epoch)), epochs = 5, initial_epoch = 3)
  expect_identical(epochs, 4:5)
})

test_that("callback_learning_rate_scheduler() counts epochs from 1, with and without the rate", {
  skip_if_no_keras()
  model <- trained_with(callback_learning_rate_scheduler(\(epoch) c(0.5, 0.25)[[epoch]]))
  expect_equal(as.numeric(model$optimizer$learning_rate), 0.25)
  model <- trained_with(callback_learning_rate_scheduler(\(epoch, lr) if (epoch == 1) 0.5 else lr / 4))
  expect_equal(as.numeric(model$optimizer$learning_rate), 0.125)
  model <- trained_with(callback_learning_rate_scheduler(~ 1 / .x))
  expect_equal(as.numeric(model$optimizer$learning_rate), 0.5)
})

test_that("hooks must be functions, and their errors come back as they are", {
  skip_if_no_keras()
  expect_error(callback_lambda(on_epoch_end = 3), "`on_epoch_end` must be a function", class = "kerasbridge_error_argument")
  expect_error(callback_lambda(on_test_batch_end = "a"), "`on_test_batch_end`", class = "kerasbridge_error_argument")
  stopping <- callback_lambda(on_epoch_end = \(epoch, logs) rlang::abort("enough", class = "my_stop"))
  expect_error(trained_with(stopping), "enough", class = "my_stop")
})
