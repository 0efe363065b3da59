# Python errors as R conditions: short, classed, in terms of what was typed, with all of Python's text kept.

lines_of <- function(error) strsplit(conditionMessage(error), "\n")[[1]]

# What reaches a user when Python raises an exception with this text.
raised <- function(text, type = "ValueError") {
  bridge_start()
  exception <- reticulate::import("builtins", convert = FALSE)[[type]](text)
  described <- reticulate::py_to_r(reticulate::import("kerasbridge.bridge.outcome", convert = FALSE)$describe(exception))
  tryCatch(abort_from_python(described, call = NULL), error = identity)
}

test_that("each known message, raised in Python, becomes a short classed condition", {
  skip_if_no_keras()
  cases <- strsplit(readLines(test_path("fixtures", "messages.tsv"), encoding = "UTF-8")[-1], "\t", fixed = TRUE)
  expect_gte(length(cases), 116)
  rows <- message_table()
  kinds <- stats::setNames(vapply(rows, \(r) r[["kind"]], ""), vapply(rows, \(r) r[["id"]], ""))
  for (case in cases) {
    text <- gsub("\\\\", "\\", gsub("\\n", "\n", case[[2]], fixed = TRUE), fixed = TRUE)
    error <- raised(text)
    kind <- kinds[[case[[1]]]]
    expect_s3_class(error, "kerasbridge_error")
    expect_lte(length(lines_of(error)), 8)
    expect_no_match(lines_of(error)[[1]], "py_call_impl|Graph execution error|Detected at node|Traceback")
    if (kind != "noise") {
      expect_identical(error$details$known, case[[1]])
      expect_match(lines_of(error)[[2]], "^. ")
      if (kind != "python") expect_s3_class(error, paste0("kerasbridge_error_", kind))
    }
    # the doctor says the same of the condition
    expect_identical(explain_message(c(error$python_traceback, conditionMessage(error)))$id, case[[1]])
  }
})

test_that("an error of a layer names the layer, the shapes and the call that was typed", {
  skip_if_no_keras()
  input <- layer_input(shape = c(28, 28), name = "picture")
  error <- expect_error(layer_conv_2d(input, 8, 3, name = "first_conv"), class = "kerasbridge_error_data")
  expect_lte(length(lines_of(error)), 8)
  expect_match(conditionMessage(error), "has 3 dimensions, samples included, and the layer needs 4", fixed = TRUE)
  expect_match(conditionMessage(error), "first_conv")
  expect_match(conditionMessage(error), "array_reshape(x, c(dim(x), 1))", fixed = TRUE)
  expect_identical(as.character(error$call[[1]]), "layer_conv_2d")
  output <- utils::capture.output(all <- last_python_error())
  expect_match(all, "Traceback (most recent call last)", fixed = TRUE)
  expect_match(all, "ValueError")
  expect_identical(all, error$python_traceback)
  expect_match(output, "first_conv", all = FALSE)
})

test_that("a window larger than the picture, and branches that can't be merged, name both shapes", {
  skip_if_no_keras()
  error <- expect_error(
    keras_model_sequential(input_shape = c(2, 2, 1)) |> layer_conv_2d(2, 5), class = "kerasbridge_error_argument"
  )
  expect_match(conditionMessage(error), "(5, 5, 1, 2), is larger than what is left of the data, (NULL, 2, 2, 1)", fixed = TRUE)
  expect_match(conditionMessage(error), "padding = \"same\"", fixed = TRUE)
  error <- expect_error(layer_add(list(layer_input(2), layer_input(3))), class = "kerasbridge_error_argument")
  expect_match(conditionMessage(error), "different shapes: (2,) and (3,)", fixed = TRUE)
})

test_that("an argument that Keras refuses is named", {
  skip_if_no_keras()
  error <- expect_error(layer_dense(units = -3), class = "kerasbridge_error_argument")
  expect_match(conditionMessage(error), "`units`", fixed = TRUE)
  expect_identical(error$argument, "units")
  error <- expect_error(
    keras_model_sequential(input_shape = 2) |> layer_dense(1, activation = "relluu"),
    class = "kerasbridge_error_argument"
  )
  expect_match(conditionMessage(error), "relluu")
  expect_lte(length(lines_of(error)), 8)
})

test_that("what stops fit() before training: inputs in two columns, labels, monitors, in R's words", {
  skip_if_no_keras()
  left <- layer_input(2, name = "left")
  right <- layer_input(c(4, 3), name = "right")
  model <- keras_model(list(left, right), layer_concatenate(list(left, layer_flatten(right))) |> layer_dense(1))
  compile(model, "sgd", "mse")
  x <- matrix(1, 10, 2)
  error <- expect_error(fit(model, list(left = x, wrong = x), rep(0, 10), verbose = 0), class = "kerasbridge_error_data")
  expect_match(lines_of(error)[2:4], "^expected +got$|^left \\(any, 2\\) float32 +left \\(10, 2\\)|^right \\(any, 4, 3\\) float32 +wrong \\(10, 2\\)")
  expect_identical(error$argument, "x")
  expect_identical(as.character(error$call[[1]]), "fit")
  classes <- keras_model_sequential(input_shape = 2) |> layer_dense(3, activation = "softmax")
  compile(classes, "sgd", "sparse_categorical_crossentropy", metrics = "accuracy")
  error <- expect_error(fit(classes, x, rep(1:3, length.out = 10), verbose = 0), class = "kerasbridge_error_data")
  expect_match(conditionMessage(error), "labels from 1 to 3.*must lie in 0 to 2.*subtract 1")
  expect_error(fit(classes, x, c(rep(0:2, 3), 0.5), verbose = 0), "first in row 10", class = "kerasbridge_error_data")
  error <- expect_error(
    fit(classes, x, rep(0:1, 5), validation_split = 0.2, verbose = 0, callbacks = callback_early_stopping(monitor = "val_acc")),
    class = "kerasbridge_error_argument"
  )
  expect_match(conditionMessage(error), "watches 'val_acc'.*it reports accuracy, loss, val_accuracy, val_loss")
  picture <- keras_model_sequential(input_shape = c(8, 8, 3)) |> layer_flatten() |> layer_dense(1)
  expect_error(predict(picture, array(0, c(8, 8, 3)), verbose = 0), "x[1, , , , drop = FALSE] or array_reshape(x, c(1, dim(x)))", fixed = TRUE)
})
