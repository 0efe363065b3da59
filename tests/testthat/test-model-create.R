test_that("a sequential model prints its layers and shapes", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = c(4, 4, 1), name = "m") |>
    layer_conv_2d(3, 2, name = "conv") |>
    layer_flatten(name = "flat") |>
    layer_dense(2, name = "out")
  text <- paste(format(model), collapse = "\n")
  expect_match(text, "Sequential model 'm'", fixed = TRUE)
  expect_match(text, "conv \\(Conv2D\\) +\\(NA, 3, 3, 3\\) +15")
  expect_match(text, "Parameters: 71 trainable, 0 not", fixed = TRUE)
  s <- summary(model)
  expect_identical(s$layers$name, c("conv", "flat", "out"))
  expect_equal(s$trainable, 71)
})

test_that("summary() shows models within models and who trains when asked", {
  skip_if_no_keras()
  inner <- keras_model_sequential(input_shape = 4, name = "inner") |> layer_dense(3, name = "deep")
  model <- keras_model_sequential(input_shape = 4) |> layer_dense(4, name = "first")
  model$add(inner)
  expect_identical(summary(model)$layers$name, c("first", "inner"))
  wide <- summary(model, expand_nested = TRUE, show_trainable = TRUE)
  expect_identical(wide$layers$name, c("first", "inner", "deep"))
  expect_identical(as.integer(wide$layers$depth), c(0L, 0L, 1L))
  expect_identical(wide$layers$params, c(20, 15, 15))
  expect_output(print(wide), "trainable *\n.*first \\(Dense\\).* yes *\n.*inner.*\n  deep \\(Dense\\)")
  expect_equal(c(wide$trainable, wide$non_trainable), c(35, 0))
  narrow <- suppressMessages(summary(model, line_length = 20, compact = FALSE))
  expect_true("--------------------" %in% narrow$layers_text)
  expect_error(summary(model, positions = c(0.1, 1)), "`positions` is not an argument", class = "kerasbridge_error_argument")
  expect_error(summary(model, expand_nested = "all"), "`expand_nested` must be TRUE or FALSE", class = "kerasbridge_error_argument")
})

test_that("functional models take several inputs and outputs by name", {
  skip_if_no_keras()
  a <- layer_input(3, name = "a")
  b <- layer_input(2, name = "b")
  joined <- layer_concatenate(a, b)
  model <- keras_model(list(a, b), list(one = layer_dense(joined, 1), two = layer_dense(joined, 2)))
  out <- predict(model, list(b = matrix(0, 4, 2), a = matrix(0, 4, 3)), verbose = 0)
  expect_named(out, c("one", "two"))
  expect_identical(dim(out$two), c(4L, 2L))
})

test_that("model$input works on a sequential model", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 4) |>
    layer_dense(3, name = "inner") |>
    layer_dense(1)
  inner <- keras_model(inputs = model$input, outputs = get_layer(model, "inner")$output)
  expect_identical(dim(predict(inner, matrix(1, 5, 4), verbose = 0)), c(5L, 3L))
})

test_that("bad inputs are refused by name", {
  skip_if_no_keras()
  expect_error(keras_model_sequential(input_dtype = "int32"), "`input_shape` is needed")
  expect_error(keras_model_sequential(layers = list(1)), "`layers` must be a list of layers")
  expect_error(keras_model(1, 2), "`inputs` must be a tensor", class = "kerasbridge_error_argument")
  expect_error(layer_input(), "`shape` is missing")
  expect_error(keras_model_sequential(inputshape = 3))
})

test_that("layers are found, removed, frozen", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 4) |>
    layer_dense(3, name = "a") |>
    layer_dense(2, name = "b") |>
    layer_dense(1, name = "c")
  expect_identical(get_layer(model, "b")$name, "b")
  expect_identical(get_layer(model, index = 1)$name, "a")
  expect_identical(get_layer(model, index = -1)$name, "c")
  expect_error(get_layer(model, "z"), "no layer called 'z'")
  expect_error(get_layer(model, index = 4), "3 layers")
  expect_error(get_layer(model, index = 0), "counts from 1")
  freeze_weights(model, to = "b")
  expect_identical(vapply(model$layers, \(l) l$trainable, NA), c(FALSE, FALSE, TRUE))
  unfreeze_weights(model, from = "b")
  expect_identical(vapply(model$layers, \(l) l$trainable, NA), c(FALSE, TRUE, TRUE))
  freeze_weights(model)
  expect_length(get_weights(model, trainable = TRUE), 0)
  pop_layer(model)
  expect_length(model$layers, 2)
})

test_that("weights go out and in, with shapes checked", {
  skip_if_no_keras()
  model <- small_model()
  known_weights(model)
  expect_equal(get_weights(model)[[1]], matrix(c(1, 2), 2))
  expect_equal(predict(model, matrix(c(1, 1), 1), verbose = 0)[[1]], 3.5)
  expect_equal(count_params(model), 3)
  expect_error(set_weights(model, list(matrix(0, 3, 1), array(0))), "weights[[1]]", fixed = TRUE)
  expect_error(set_weights(model, list(matrix(0, 2, 1))), "list of 2 arrays")
})
