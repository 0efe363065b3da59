test_that("a mocked engine gives the shapes and types of the real one, without Python", {
  out <- run_r(c(
    "library(kerasbridge)", "mock_engine()",
    "model <- keras_model_sequential(input_shape = c(8, 8, 1)) |>",
    "  layer_conv_2d(filters = 4, kernel_size = 3, activation = 'relu') |> layer_max_pooling_2d() |>",
    "  layer_flatten() |> layer_dropout(0.5) |> layer_dense(3, activation = 'softmax', name = 'out')",
    "model |> compile(optimizer = optimizer_adam(0.01), loss = 'sparse_categorical_crossentropy', metrics = 'accuracy')",
    "x <- array(0, c(9, 8, 8, 1)); y <- factor(rep(c('a', 'b', 'c'), 3)); seen <- NULL",
    "h <- fit(model, x, y, epochs = 3, validation_split = 0.3, verbose = 0, callbacks = list(on_epoch_end = \\(epoch, logs) seen <<- c(seen, epoch, logs$loss)))",
    "stopifnot(inherits(h, 'kerasbridge_history'), identical(sort(names(h$metrics)), c('accuracy', 'loss', 'val_accuracy', 'val_loss')))",
    "stopifnot(identical(h$epoch, 1:3), all(diff(h$metrics$loss) < 0), identical(seen[c(1, 3, 5)], c(1, 2, 3)), nrow(as.data.frame(h)) == 12)",
    "p <- predict(model, x, verbose = 0)",
    "stopifnot(identical(dim(p), c(9L, 3L)), all(abs(rowSums(p) - 1) < 1e-12), identical(colnames(p), c('a', 'b', 'c')))",
    "k <- predict(model, x, type = 'class', verbose = 0); stopifnot(is.factor(k), length(k) == 9, identical(levels(k), levels(y)))",
    "stopifnot(identical(names(evaluate(model, x, y, verbose = 0)), c('loss', 'accuracy')))",
    "stopifnot(identical(get_layer(model, 'out')$name, 'out'), any(grepl('(NA, 36)', capture.output(print(model)), fixed = TRUE)))",
    "a <- layer_input(4); b <- layer_input(2)", "both <- layer_concatenate(a, b) |> layer_dense(1)",
    "stopifnot(identical(dim(both), c(NA, 1L)))",
    "scale <- Layer('Scale', call = function(x) x * 2, compute_output_shape = function(input_shape) input_shape)",
    "stopifnot(identical(dim(scale(a)), c(NA, 4L)))",
    "said <- \\(code) tryCatch({ code; 'nothing' }, error = \\(e) paste(class(e)[[1]], conditionMessage(e)))",
    "cat(said(fit(model, x[1:2, , , , drop = FALSE], y, verbose = 0)), '\\n')",
    "cat(said(predict(model, matrix(0, 2, 3), verbose = 0)), '\\n')",
    "cat(said(Layer('Plain', call = function(x) x)(a)), '\\n')",
    "cat(said(op_add(1, 2)), '\\n')", "cat(said(save_model(model, tempfile(fileext = '.keras'))), '\\n')",
    "cat(said(layer_dense(a, units = 1.5)), '\\n')", "cat(said(fit(keras_model_sequential(input_shape = 2), x, y)), '\\n')",
    "stopifnot(!reticulate::py_available(initialize = FALSE))", "cat('no Python')"
  ), env = "KERASBRIDGE_VENV=/nonexistent")
  text <- paste(out$output, collapse = "\n")
  expect_identical(out$status, 0L, info = text)
  expect_match(text, "kerasbridge_error_data `y` has 9 rows but `x` has 2.", fixed = TRUE)
  expect_match(text, "kerasbridge_error_data `x` has the shape (2, 3); the model takes (NA, 8, 8, 1).", fixed = TRUE)
  expect_match(text, "kerasbridge_error_unsupported The layer 'Plain', which has no `compute_output_shape()`, needs Keras", fixed = TRUE)
  expect_match(text, "kerasbridge_error_unsupported `keras.ops.add` needs Keras", fixed = TRUE)
  expect_match(text, "kerasbridge_error_unsupported `save_model` needs Keras", fixed = TRUE)
  expect_match(text, "kerasbridge_error_argument `units` must be a whole number", fixed = TRUE)
  expect_match(text, "kerasbridge_error_argument `object` is not compiled", fixed = TRUE)
  expect_match(text, "no Python$")
})

test_that("the mock and Keras agree on shapes", {
  skip_if_no_keras()
  shapes <- function() {
    image <- layer_input(c(9, 9, 2))
    row <- layer_input(c(6, 3))
    made <- list(
      layer_conv_2d(image, 4, 3), layer_conv_2d(image, 4, c(2, 3), strides = 2, padding = "same"), layer_average_pooling_2d(image, c(2, 3)),
      layer_global_max_pooling_2d(image), layer_reshape(image, c(-1, 2)), layer_lstm(row, 5), layer_gru(row, 5, return_sequences = TRUE),
      layer_conv_1d(row, 4, 2), layer_flatten(row), layer_dense(row, 7), layer_repeat_vector(layer_input(3), 4),
      layer_embedding(layer_input(5), 10, 3), layer_add(row, row), layer_concatenate(row, row), layer_concatenate(list(row, row), axis = 2),
      layer_max_pooling_1d(row, 2, strides = 1), layer_batch_normalization(row)
    )
    lapply(made, dim)
  }
  mocked <- local({
    mock_engine()
    shapes()
  })
  expect_false(the$mock)
  expect_equal(mocked, shapes())
})

test_that("a mocked engine ends with the function around it", {
  around <- function(fail) {
    mock_engine()
    if (fail) stop("in the middle")
    the$mock
  }
  expect_true(around(FALSE))
  expect_false(the$mock)
  expect_error(around(TRUE), "in the middle")
  expect_false(the$mock)
  expect_error(mock_engine("yes"), "`on` must be TRUE or FALSE", class = "kerasbridge_error_argument")
})

test_that("skip_if_no_keras() skips with a reason, and not where Keras is", {
  skipped <- \(...) tryCatch({ skip_if_no_keras(...); NULL }, skip = conditionMessage)
  expect_match(skipped("99.0"), "Keras 99.0 is not available")
  withr::with_envvar(c(`_R_CHECK_PACKAGE_NAME_` = "some", KERASBRIDGE_CHECK = "false"), expect_match(skipped(), "Keras is not available"))
  skip_if_no_keras()
  expect_null(skipped("3.0"))
  expect_match(skipped(backend = "none"), "The backend is ")
  expect_error(skip_if_no_keras(backend = 1), "`backend`", class = "kerasbridge_error_argument")
})
