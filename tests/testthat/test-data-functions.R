# Data sets whose batches an R function makes by number.

test_that("each pass asks for every number once, in a new order", {
  data <- dataset_from_function(10, identity, batch_size = 3, seed = 5)
  expect_identical(length(data), 4L)
  expect_output(print(data), "<data set made by a function: 4 batches>", fixed = TRUE)
  passes <- lapply(0:1, \(pass) lapply(0:3, \(k) kerasbridge:::batch_at(data, pass * 4 + k)))
  expect_identical(lengths(passes[[1]]), c(3L, 3L, 3L, 1L))
  for (pass in passes) expect_identical(sort(unlist(pass)), 1:10)
  expect_false(identical(passes[[1]], passes[[2]]))
  again <- dataset_from_function(10, identity, batch_size = 3, seed = 5)
  expect_identical(lapply(0:3, \(k) kerasbridge:::batch_at(again, k)), passes[[1]])
  whole <- dataset_from_function(4, identity, shuffle = FALSE)
  expect_identical(vapply(0:5, \(k) kerasbridge:::batch_at(whole, k), 1L), c(1:4, 1:2))
})

test_that("orders leave R's random numbers as they were", {
  set.seed(1)
  expected <- runif(2)
  set.seed(1)
  data <- dataset_from_function(5, identity, seed = 3)
  kerasbridge:::batch_at(data, 0)
  expect_identical(runif(2), expected)
})

test_that("what is no data set is refused", {
  expect_error(dataset_from_function(0, identity), "length", class = "kerasbridge_error_argument")
  expect_error(dataset_from_function(3, 1:3), "batch", class = "kerasbridge_error_argument")
  expect_error(dataset_from_function(3, identity, batch_size = 0.5), "batch_size", class = "kerasbridge_error_argument")
})

test_that("training asks for 1 to n in each epoch; evaluation and prediction in order", {
  skip_if_no_keras()
  asked <- list()
  x <- matrix(rnorm(20), 10)
  y <- rowSums(x)
  data <- dataset_from_function(10, \(i) {
    asked <<- c(asked, list(i))
    list(x[i, , drop = FALSE], y[i])
  }, batch_size = 4, seed = 2)
  model <- small_model()
  history <- fit(model, data, epochs = 2, verbose = 0)
  expect_identical(lengths(asked), c(4L, 4L, 2L, 4L, 4L, 2L))
  expect_identical(sort(unlist(asked[1:3])), 1:10)
  expect_identical(sort(unlist(asked[4:6])), 1:10)
  asked <- list()
  expect_equal(evaluate(model, data, verbose = 0), evaluate(model, x, y, batch_size = 4, verbose = 0), tolerance = 1e-5)
  expect_identical(unlist(asked), 1:10)
  expect_equal(predict(model, data, verbose = 0), predict(model, x, verbose = 0), tolerance = 1e-5)
})

test_that("functions validate training on arrays and on data sets", {
  skip_if_no_keras()
  x <- matrix(rnorm(20), 10)
  y <- rowSums(x)
  held <- dataset_from_function(2, \(i) list(x[2 * i - 1:0, ], y[2 * i - 1:0]))
  reference <- small_model()
  known_weights(reference)
  a <- fit(reference, x, y, batch_size = 4, epochs = 2, shuffle = FALSE, validation_data = list(x[1:4, ], y[1:4]), verbose = 0)
  model <- small_model()
  known_weights(model)
  b <- fit(model, x, y, batch_size = 4, epochs = 2, shuffle = FALSE, validation_data = held, verbose = 0)
  expect_equal(b$metrics$loss, a$metrics$loss, tolerance = 1e-5)
  expect_equal(b$metrics$val_loss, a$metrics$val_loss, tolerance = 1e-5)
  calls <- 0
  pull <- \() {
    calls <<- calls + 1
    list(x[1:4, ], y[1:4])
  }
  h <- fit(model, x, y, epochs = 3, validation_data = pull, validation_steps = 2, validation_freq = 2, verbose = 0)
  expect_identical(c(calls, which(!is.na(h$metrics$val_loss))), c(2, 2))
  expect_error(fit(model, x, y, validation_data = pull), "validation_steps", class = "kerasbridge_error_argument")
  # a data frame and a formula, as without a function
  frame <- data.frame(a = 1:8, b = 8:1, kind = factor(rep(c("u", "v"), 4)))
  classes <- keras_model_sequential(input_shape = 2) |> layer_dense(2, activation = "softmax")
  compile(classes, "sgd", "sparse_categorical_crossentropy")
  h <- fit(classes, kind ~ a + b, data = frame, epochs = 1, verbose = 0, validation_data = \() list(matrix(1, 4, 2), rep(0, 4)), validation_steps = 1)
  expect_true(is.finite(h$metrics$val_loss))
  expect_identical(levels(predict(classes, frame, type = "class", verbose = 0)), c("u", "v"))
  sparse <- Matrix::Matrix(x, sparse = TRUE)
  h <- fit(model, sparse, y, epochs = 1, validation_data = \() list(sparse[1:4, ], y[1:4]), validation_steps = 1, verbose = 0)
  expect_true(is.finite(h$metrics$val_loss) && is.finite(h$metrics$loss))
})
