classifier <- function(units, loss) {
  model <- keras_model_sequential(input_shape = 2) |>
    layer_dense(units, activation = if (units == 1) "sigmoid" else "softmax")
  compile(model, optimizer_adam(0.1), loss = loss)
  model
}

test_that("a factor's levels stay with the model", {
  skip_if_no_keras()
  x <- rbind(diag(2), diag(2), -diag(2))
  y <- factor(c("cat", "dog", "cat", "dog", "owl", "owl"), levels = c("owl", "cat", "dog"))
  model <- classifier(3, "sparse_categorical_crossentropy")
  fit(model, x, y, epochs = 60, batch_size = 6, verbose = 0)
  p <- predict(model, x, verbose = 0)
  expect_identical(colnames(p), c("owl", "cat", "dog"))
  expect_identical(predict(model, x, type = "prob", verbose = 0), p)
  expect_identical(predict(model, x, type = "class", verbose = 0), y)
  # matched by name, not by code
  other <- factor(as.character(y))
  expect_equal(evaluate(model, x, other, verbose = 0), evaluate(model, x, y, verbose = 0))
  expect_error(evaluate(model, x, factor(rep("emu", 6)), verbose = 0), "`y` has the level 'emu'.*row 1.*The classes are 'owl', 'cat', 'dog'", class = "kerasbridge_error_data")
  expect_identical(predict(model, x[0, ], type = "class", verbose = 0), y[0])
})

test_that("two levels and one unit", {
  skip_if_no_keras()
  x <- matrix(c(-1, -1, 1, 1, 0, 0, 0, 0), 4, dimnames = list(letters[1:4], NULL))
  y <- factor(c("no", "no", "yes", "yes"))
  model <- classifier(1, "binary_crossentropy")
  fit(model, x, y, epochs = 40, verbose = 0)
  expect_identical(predict(model, x, type = "class", verbose = 0), stats::setNames(y, letters[1:4]))
})

test_that("without levels classes are numbers from 0", {
  skip_if_no_keras()
  model <- classifier(3, "sparse_categorical_crossentropy")
  set_weights(model, list(matrix(0, 2, 3), array(c(0, 1, 0))))
  expect_identical(predict(model, diag(2), type = "class", verbose = 0), c(1L, 1L))
  expect_error(predict(model, diag(2), type = "nonsense"), "type")
})
