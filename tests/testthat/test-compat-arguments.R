# Older spellings of arguments: each means what it meant, or is refused with what to do instead.

quietly <- function(code) suppressMessages(code, classes = "kerasbridge_note")

test_that("a note is given once a session", {
  skip_if_no_keras()
  rlang::reset_message_verbosity("kerasbridge_spelling_sigma")
  expect_message(layer_gaussian_noise(sigma = 0.5), "`sigma` is the older spelling of `stddev`", class = "kerasbridge_note")
  expect_no_message(layer_gaussian_noise(sigma = 0.5))
})

test_that("older names fill arguments that have no default", {
  skip_if_no_keras()
  quietly({
    expect_equal(layer_dropout(p = 0.25)$rate, 0.25)
    conv <- layer_conv_2d(nb_filter = 3, nb_row = 2, nb_col = 4, border_mode = "same", subsample = c(2, 1), dim_ordering = "tf")
    conv1 <- layer_conv_1d(nb_filter = 2, filter_length = 3, subsample_length = 2)
    dense <- layer_dense(output_dim = 2, init = "zeros", W_regularizer = "l2")
  })
  expect_equal(conv$filters, 3)
  expect_equal(unlist(conv$kernel_size), c(2, 4))
  expect_equal(unlist(conv$strides), c(2, 1))
  expect_identical(conv$padding, "same")
  expect_identical(conv$data_format, "channels_last")
  expect_equal(c(conv1$filters, unlist(conv1$kernel_size), unlist(conv1$strides)), c(2, 3, 2))
  expect_equal(dense$units, 2)
  expect_equal(as.numeric(dense$kernel_initializer(2L)), c(0, 0))
  expect_equal(dense$kernel_regularizer$l2, 0.01, tolerance = 1e-6)
  expect_error(layer_dropout(), "`rate` is missing", class = "kerasbridge_error_argument")
})

test_that("recurrent layers take their older names", {
  skip_if_no_keras()
  layer <- quietly(layer_lstm(
    units = 3, dropout_W = 0.1, dropout_U = 0.2, inner_activation = "relu", inner_init = "zeros",
    consume_less = "gpu", implementation = 2, time_major = FALSE
  ))
  expect_equal(c(layer$dropout, layer$recurrent_dropout), c(0.1, 0.2))
  expect_identical(layer$recurrent_activation$`__name__`, "relu")
  expect_error(layer_gru(units = 2, time_major = TRUE), "`time_major` .*\n.*samples, time, features", class = "kerasbridge_error_argument")
})

test_that("what an older name means is not given twice", {
  skip_if_no_keras()
  expect_error(optimizer_sgd(learning_rate = 0.1, lr = 0.2), "`lr` is the older spelling of `learning_rate`, which is given too", class = "kerasbridge_error_argument")
  expect_error(layer_dropout(rate = 0.1, p = 0.2), "`p` is the older spelling", class = "kerasbridge_error_argument")
})

test_that("names cut short are written out with a note once a session, or refused with what they can mean", {
  skip_if_no_keras()
  rlang::reset_message_verbosity("kerasbridge_short redu reduction")
  expect_message(loss <- loss_mean_squared_error(redu = "sum"), "`redu` is taken for `reduction`", class = "kerasbridge_note")
  expect_identical(loss$reduction, "sum")
  expect_no_message(loss_mean_squared_error(redu = "sum"))
  expect_identical(quietly(dim((keras_model_sequential() |> layer_dense(2, input_s = 3))$input)), c(NA, 3L))
  expect_equal(quietly(optimizer_adam(learning = 0.5))$learning_rate |> as.numeric(), 0.5)
  refused <- \(code, match) expect_error(code, match, class = "kerasbridge_error_argument")
  refused(layer_dense(units = 2, input = 3), "`input` can be short for `input_shape` or `input_dim` or `input_length`")
  refused(loss_mean_squared_error(reduction = "sum", redu = "sum"), "`redu` is short for `reduction`, which is given too")
  refused(loss_mean_squared_error(Redu = "sum"), "`Redu` is not an argument")
  model <- small_model()
  fitted <- quietly(fit(model, matrix(0, 4, 2), rep(0, 4), batch = 2, epoch = 3, verb = 0))
  expect_identical(fitted$epoch, 1:3)
  expect_equal(fitted$params[c("batch_size", "steps")], list(batch_size = 2, steps = 2))
  refused(fit(model, matrix(0, 4, 2), rep(0, 4), validation = 0.2), "`validation_split` or `validation_data`")
  refused(fit(model, matrix(0, 4, 2), rep(0, 4), 32, 5), "`...` takes named .*\n.*From `batch_size` on")
  quietly(compile(model, "sgd", "mse", run = TRUE))
  expect_true(model$run_eagerly)
  expect_identical(dim(quietly(predict(model, matrix(0, 4, 2), batch = 2, verbose = 0))), c(4L, 1L))
})

test_that("every layer that has `use_bias` knows Keras 1's `bias`", {
  with_offset <- Filter(
    \(f) is.function(f) && "use_bias" %in% names(formals(f)),
    # (`tf` is an error where the Python package isn't there)
    sapply(setdiff(getNamespaceExports("kerasbridge"), "tf"), getExportedValue, ns = "kerasbridge", simplify = FALSE)
  )
  expect_gt(length(with_offset), 20)
  expect_identical(names(Filter(\(f) !"bias" %in% names(formals(f)), with_offset)), character())
  skip_if_no_keras()
  rlang::reset_message_verbosity("kerasbridge_spelling_bias")
  expect_message(layer <- layer_dense(units = 2, bias = FALSE), "`bias` is the older spelling of `use_bias`", class = "kerasbridge_note")
  expect_false(layer$use_bias)
  expect_false(quietly(layer_locally_connected_1d(filters = 2, kernel_size = 2, bias = FALSE))$use_bias)
  expect_error(layer_gru(units = 2, bias = FALSE, use_bias = TRUE), "`use_bias`, which is given too", class = "kerasbridge_error_argument")
  expect_error(layer_dense(units = 2, bias = 0.5), "`use_bias` must be TRUE or FALSE", class = "kerasbridge_error_argument")
})

test_that("decay becomes the schedule it meant", {
  skip_if_no_keras()
  optimizer <- quietly(optimizer_adam(lr = 0.5, decay = 0.25))
  model <- small_model()
  compile(model, optimizer, "mse")
  fit(model, matrix(0, 4, 2), rep(0, 4), epochs = 2, batch_size = 2, verbose = 0)
  expect_equal(as.numeric(optimizer$learning_rate), 0.5 / (1 + 0.25 * 4), tolerance = 1e-6)
  expect_equal(as.numeric(optimizer_rmsprop(learning_rate = 0.1, decay = 0)$learning_rate), 0.1, tolerance = 1e-6)
  expect_equal(optimizer_adam(clipnorm = 1)$clipnorm, 1)
})

test_that("the first layer describes the input in every older way", {
  skip_if_no_keras()
  shape <- \(layer, ...) dim(layer(keras_model_sequential(), ...)$input)
  expect_identical(shape(layer_dense, 2, input_dim = 3), c(NA, 3L))
  expect_identical(shape(layer_dense, 2, input_shape = list(NULL, 3)), c(NA, NA, 3L))
  expect_identical(shape(layer_dense, 2, input_shape = 3, batch_size = 4), c(4L, 3L))
  expect_identical(shape(layer_dense, 2, batch_input_shape = list(NULL, 3)), c(NA, 3L))
  expect_identical(shape(layer_lstm, 2, input_dim = 3, input_length = 5), c(NA, 5L, 3L))
  expect_identical(shape(layer_embedding, 10, 3, input_length = 5), c(NA, 5L))
  expect_identical(shape(layer_embedding, 10, 3, input_length = 5, batch_size = 2), c(2L, 5L))
  expect_error(layer_dense(keras_model_sequential(), 2, batch_size = 4), "`batch_size` needs an `input_shape`", class = "kerasbridge_error_argument")
  model <- keras_model_sequential() |> layer_dense(2, input_shape = 3, weights = list(matrix(1:6 + 0, 3), c(7, 8)))
  expect_equal(get_weights(model), list(matrix(1:6 + 0, 3), array(c(7, 8))))
})

test_that("what asks for nothing passes, what would be dropped is refused", {
  skip_if_no_keras()
  expect_s3_class(layer_batch_normalization(virtual_batch_size = NULL, adjustment = NULL, mode = 0L), "kerasbridge_layer")
  expect_error(layer_batch_normalization(mode = 1), "`mode` is an older argument", class = "kerasbridge_error_argument")
  expect_s3_class(layer_attention(causal = FALSE), "kerasbridge_layer")
  expect_error(layer_attention(causal = TRUE), "use_causal_mask", class = "kerasbridge_error_argument")
  expect_s3_class(callback_model_checkpoint("a.keras", period = 1), "python.builtin.object")
  expect_error(callback_model_checkpoint("a.keras", period = 5), "`save_freq` counts batches", class = "kerasbridge_error_argument")
  expect_error(layer_dense(units = 2, mode = 0), "`mode` is not an argument", class = "kerasbridge_error_argument")
  expect_error(layer_dense(units = 2, workers = 1), "`workers` is not an argument", class = "kerasbridge_error_argument")
  a <- layer_input(3)
  expect_s3_class(layer_add(a, a, batch_size = NULL, weights = NULL), "kerasbridge_keras_tensor")
  expect_error(layer_add(a, a, batch_size = 3), "`batch_size`", class = "kerasbridge_error_argument")
})

test_that("losses take the older reduction and axis", {
  skip_if_no_keras()
  expect_s3_class(quietly(loss_mean_squared_error(reduction = "auto")), "kerasbridge_loss")
  expect_equal(as.numeric(quietly(loss_mean_squared_error(c(1, 2), c(1, 4), axis = -1L, reduction = "auto"))), 2)
  expect_error(loss_mean_squared_error(c(1, 2), c(1, 4), axis = 1), "`axis` can only be the last one", class = "kerasbridge_error_argument")
  expect_error(loss_mean_squared_error(c(1, 2), c(1, 4), reduction = "sum"), "belongs to the object", class = "kerasbridge_error_argument")
})

test_that("compile(), fit(), evaluate() and predict() take what they took", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
  quietly({
    compile(model, loss = "mse", optimizer = "sgd", sample_weight_mode = NULL, target_tensors = NULL)
    history <- fit(model, matrix(0, 4, 2), rep(0, 4), nb_epoch = 2, verbose = 0, view_metrics = FALSE, max_queue_size = 10, workers = 1)
    score <- evaluate(model, matrix(0, 4, 2), rep(0, 4), verbose = 0, max_queue_size = 10, use_multiprocessing = FALSE)
    out <- predict(model, matrix(0, 4, 2), verbose = 0, workers = 1)
  })
  expect_identical(history$epoch, 1:2)
  expect_named(score, "loss")
  expect_identical(dim(out), c(4L, 1L))
  expect_error(compile(model, "sgd", "mse", target_tensors = list(1)), "`target_tensors`", class = "kerasbridge_error_argument")
  expect_error(fit(model, matrix(0, 4, 2), rep(0, 4), epohcs = 2), "epohcs", class = "kerasbridge_error_argument")
})

test_that("to_categorical() knows the older dtype, normalize() whole numbers", {
  expect_identical(to_categorical(c(0, 1), dtype = "int32"), matrix(c(1L, 0L, 0L, 1L), 2))
  expect_identical(to_categorical(c(0, 1), dtype = "bool"), matrix(c(TRUE, FALSE, FALSE, TRUE), 2))
  expect_identical(to_categorical(c(0, 1), 2, "float32"), diag(2))
  expect_error(to_categorical(1, dtype = "string"), "`dtype` must be a floating type", class = "kerasbridge_error_argument")
  skip_if_no_keras()
  expect_equal(as.array(normalize(matrix(c(3L, 4L), 1))), matrix(c(0.6, 0.8), 1), tolerance = 1e-6)
})
