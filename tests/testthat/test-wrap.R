test_that("a layer composes: nothing, a sequential model, a tensor", {
  skip_if_no_keras()
  layer <- layer_dense(units = 3)
  expect_s3_class(layer, "kerasbridge_layer")
  model <- keras_model_sequential(input_shape = 4)
  expect_identical(model |> layer_dense(2), model)
  expect_length(model$layers, 1)
  out <- layer_input(4) |> layer_dense(5)
  expect_s3_class(out, "kerasbridge_keras_tensor")
  expect_identical(dim(out), c(NA, 5L))
  expect_identical(dim(layer_dense(op_ones(c(2, 3)), 4)), c(2L, 4L))
  # a layer itself can be piped into, with both pipes
  expect_identical(dim(op_ones(c(2, 3)) |> layer()), c(2L, 3L))
  expect_identical(dim(op_ones(c(2, 3)) %>% layer), c(2L, 3L))
  expect_identical(dim(op_ones(c(2, 4)) |> model()), c(2L, 2L))
})

test_that("layers are made in the order of the pipe", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 2) |>
    layer_dense(1) |>
    layer_dense(1)
  number <- \(layer) as.integer(sub("^dense_?", "", paste0("0", sub("^dense_?", "", layer$name))))
  expect_lt(number(model$layers[[1]]), number(model$layers[[2]]))
})

test_that("wrong arguments are named", {
  skip_if_no_keras()
  expect_error(layer_dense(units = 3.5), "`units` must be a whole number, not 3.5", class = "kerasbridge_error_argument")
  expect_error(layer_dense(), "`units` is missing", class = "kerasbridge_error_argument")
  expect_error(layer_dense(units = 3, actvation = "relu"), "Did you mean `activation`", class = "kerasbridge_error_argument")
  expect_error(layer_dense(units = 3, activation = "nonsense"), "nonsense", class = "kerasbridge_error_argument")
  expect_error(op_sum(c(1, 2), axis = 0), "`axis` counts from 1")
  e <- tryCatch(layer_dense(units = "a"), error = identity)
  expect_identical(e$argument, "units")
  expect_identical(as.character(conditionCall(e)[[1]]), "layer_dense")
})

test_that("a layer is not added twice, nor called on a model", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1, name = "a")
  expect_error(layer_dense(model, 1, name = "a"), "a layer called 'a' already")
  input <- layer_input(2)
  functional <- keras_model(input, layer_dense(input, 1))
  expect_error(layer_dense(functional, 1), "functional model")
  expect_error(layer_dense(layer_dense(units = 1), 1), "is a layer")
})

test_that("older spellings are mapped", {
  skip_if_no_keras()
  model <- keras_model_sequential() |> layer_dense(2, input_shape = 3)
  expect_identical(dim(model$output), c(NA, 2L))
  model <- keras_model_sequential() |> layer_dense(2, input_dim = 3)
  expect_identical(dim(model$input), c(NA, 3L))
  model <- keras_model_sequential() |> layer_lstm(2, batch_input_shape = c(4, 5, 3), stateful = TRUE)
  expect_identical(dim(model$input), c(4L, 5L, 3L))
  for (id in c("spelling_lr", "spelling_alpha", "effect_implementation")) {
    rlang::reset_message_verbosity(paste0("kerasbridge_", id))
  }
  expect_message(optimizer <- optimizer_sgd(lr = 0.25), "learning_rate")
  expect_equal(as.numeric(optimizer$learning_rate), 0.25)
  expect_message(layer <- layer_activation_leaky_relu(alpha = 0.5), "negative_slope")
  expect_equal(layer$negative_slope, 0.5)
  expect_message(layer_lstm(units = 2, implementation = 1), "Keras chooses by itself")
  expect_error(
    keras_model_sequential(input_shape = 2) |> layer_dense(1) |> layer_dense(1, input_shape = 3),
    "Only the first layer"
  )
})

test_that("merge layers take a list or several tensors", {
  skip_if_no_keras()
  a <- op_ones(c(1, 2))
  expect_equal(as.array(layer_add(a, a)), matrix(2, 1, 2))
  expect_equal(as.array(layer_add(list(a, a, a))), matrix(3, 1, 2))
  expect_identical(dim(layer_concatenate(a, a, axis = 1)), c(2L, 2L))
  expect_s3_class(layer_add(), "kerasbridge_layer")
})

test_that("losses compute on data and give the object without", {
  skip_if_no_keras()
  expect_equal(as.numeric(loss_mean_squared_error(c(1, 2), c(1, 4))), 2)
  expect_s3_class(loss_mean_squared_error(), "kerasbridge_loss")
  expect_s3_class(loss_mean_squared_error(reduction = "sum"), "kerasbridge_loss")
  expect_error(loss_mean_squared_error(c(1, 2)), "`y_pred` is missing")
})

test_that("a wrapper given as an argument is Keras' own function", {
  skip_if_no_keras()
  layer <- layer_dense(units = 1, activation = activation_relu)
  expect_identical(layer$activation$`__name__`, "relu")
})

test_that("R functions and formulas serve as callables", {
  skip_if_no_keras()
  layer <- layer_dense(units = 1, activation = \(x) x * 0 + 7, kernel_initializer = "zeros")
  expect_equal(as.array(layer(op_ones(c(2, 3)))), matrix(7, 2, 1))
  skip_if_no_keras("3.4")
  mapped <- op_map(~ .x * 2, c(1, 2, 3))
  expect_equal(as.numeric(mapped), c(2, 4, 6))
})

test_that("an error in an R function comes back as that error", {
  skip_if_no_keras()
  condition <- structure(class = c("my_error", "error", "condition"), list(message = "from my function", call = NULL))
  layer <- layer_dense(units = 1, activation = \(x) stop(condition))
  expect_error(layer_dense(op_ones(c(1, 1)), 1, activation = \(x) stop(condition)), class = "my_error")
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
  compile(model, "sgd", loss = \(y_true, y_pred) stop(condition))
  expect_error(fit(model, matrix(1, 4, 2), rep(1, 4), epochs = 1, verbose = 0), class = "my_error")
})

test_that("Python sees the parameters of an R function", {
  skip_if_no_keras()
  seen <- \(f) {
    out <- as_python_function(f, "f", signature = TRUE)
    as.character(reticulate::import("inspect")$signature(out))
  }
  expect_identical(seen(\(params, inputs, training = FALSE) 1), "(params, inputs, training=None)")
  expect_identical(seen(\(x = 1, y) 1), "(x=None, y=None)")
  expect_match(seen(\(x, ...) 1), "args")
  # a mask reaches the function of a lambda layer that asks for it
  masked <- layer_lambda(f = \(inputs, mask = NULL) if (is.null(mask)) inputs else op_cast(mask, "float32"))
  x <- matrix(c(0, 5), 1)
  out <- layer_embedding(x, 6, 2, mask_zero = TRUE) |> masked()
  expect_equal(as.array(out), matrix(c(0, 1), 1))
})
