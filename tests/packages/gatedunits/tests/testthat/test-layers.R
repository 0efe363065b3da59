library(kerasbridge)

test_that("the package is loaded without Python", {
  expect_s3_class(layer_gated, "kerasbridge_class")
  expect_output(print(layer_gated), "layer class 'Gated'")
})

# everywhere: no Python is needed
test_that("shapes fit", {
  mock_engine()
  model <- gated_regression(4, units = 3)
  history <- fit(model, matrix(0, 10, 4), rep(0, 10), epochs = 2, verbose = 0)
  expect_length(history$metrics$loss, 2)
  expect_equal(dim(predict(model, matrix(0, 5, 4), verbose = 0)), c(5, 1))
  expect_error(predict(model, matrix(0, 5, 3), verbose = 0), "the model takes \\(NA, 4\\)")
})

# where Keras is
test_that("a model trains and comes back from its file", {
  skip_if_no_keras()
  set_random_seed(1)
  x <- matrix(sin(1:200), 50)
  y <- tanh(x[, 1]) * x[, 2]
  model <- gated_regression(4)
  history <- fit(model, x, y, epochs = 5, verbose = 0)
  expect_lt(history$metrics$loss[[5]], history$metrics$loss[[1]])
  path <- tempfile(fileext = ".keras")
  save_model(model, path)
  expect_equal(inspect_model(path)$custom$origin, "the R package 'gatedunits'")
  expect_equal(predict(load_model(path), x, verbose = 0), predict(model, x, verbose = 0), tolerance = 1e-6)
  expect_match(gatedunits:::keras_in_use(), "^3[.]")
})
