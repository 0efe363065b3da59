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

test_that("calls of Keras objects end in a value or in an error of this package", {
  skip_if_no_keras()
  layer <- layer_dense(units = 3, name = "narrow")
  layer(matrix(1, 2, 4))
  e <- expect_error(layer(matrix(1, 2, 5)), "4 is expected", class = "kerasbridge_error_data")
  expect_identical(conditionCall(e), quote(layer(matrix(1, 2, 5))))
  expect_error(layer(matrix(1, 2, 4), trainin = TRUE), "'trainin'", class = "kerasbridge_error_argument")
  model <- small_model()
  expect_error(model$predict(matrix(1, 2, 5), verbose = 0L), "2 is expected", class = "kerasbridge_error_data")
  own <- layer_lambda(f = \(x) stop("this one"))
  expect_error(own(matrix(1, 2, 2)), "^this one")
  # vectors of R are arrays, not lists of numbers
  expect_equal(as.numeric(loss_mean_squared_error()(c(1, 2), c(1, 4))), 2)
  expect_equal(as.numeric(metric_mean_absolute_error()(c(1, 2), c(1, 4))), 1)
  expect_identical(as.array(initializer_ones()(c(2, 3))), matrix(1, 2, 3))
  expect_equal(as.numeric(activations_get("relu")(c(-1, 2))), c(0, 2))
  counter <- keras_variable(c(1, 2))
  counter$assign(c(3, 4))
  expect_equal(as.numeric(counter), c(3, 4))
})

test_that("tensors and sequential models are piped into layers and models", {
  skip_if_no_keras()
  `%>%` <- magrittr::`%>%`
  layer <- layer_dense(units = 3)
  x <- layer_input(4)
  expect_identical(dim(x |> layer()), c(NA, 3L))
  expect_identical(dim(x %>% layer), c(NA, 3L))
  model <- keras_model(x, x |> layer())
  expect_identical(dim(matrix(0, 2, 4) |> model()), c(2L, 3L))
  expect_identical(dim(matrix(0, 2, 4) %>% model()), c(2L, 3L))
  sequential <- keras_model_sequential(input_shape = 4)
  head <- keras_model_sequential(input_shape = 3) |> layer_dense(2)
  expect_identical(sequential |> layer() |> head(), sequential)
  expect_identical(dim(sequential$output), c(NA, 2L))
  expect_length(sequential$layers, 2)
  expect_error(model |> layer(), "`object` is a functional model", class = "kerasbridge_error_argument")
  expect_error(layer |> layer(), "`object` is a layer", class = "kerasbridge_error_argument")
  # what doesn't fit leaves the model as it was
  expect_error(sequential |> layer_conv_2d(2, 3), "dimensions", class = "kerasbridge_error_data")
  expect_length(sequential$layers, 2)
  expect_invisible(sequential |> layer_dense(1))
})

test_that("objects print their class and settings, never an address", {
  skip_if_no_keras()
  expect_output(print(optimizer_adam(0.01)), "^<Adam: learning_rate = 0.01, .*beta_1 = 0.9")
  expect_identical(format(regularizer_l1_l2(0.1, 0.2)), "<L1L2: l1 = 0.1, l2 = 0.2>")
  expect_identical(format(constraint_maxnorm(2, axis = 1)), "<MaxNorm: max_value = 2, axis = 1>")
  expect_output(str(callback_early_stopping(patience = 3)), "<EarlyStopping: monitor = \"val_loss\", .*patience = 3")
  expect_match(format(optimizer_sgd(learning_rate_schedule_cosine_decay(0.1, 10))), "learning_rate = \"CosineDecay\"")
  expect_output(print(callback_lambda(on_epoch_end = \(epoch, logs) 1)), "^<LambdaCallback>$")
})

test_that("`input_shape = NULL`, the older default, means nothing", {
  skip_if_no_keras()
  expect_s3_class(layer_dense(units = 3, input_shape = NULL, batch_size = NULL), "kerasbridge_layer")
  model <- keras_model_sequential(input_shape = 3) |> layer_dense(2, input_shape = NULL)
  expect_identical(dim(model$output), c(NA, 2L))
})
