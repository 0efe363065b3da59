# What fit() takes as targets and validation data, and the names that callbacks watch.

test_that("labels that count from 1 are pointed out before training", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 1) |> layer_dense(3, activation = "softmax")
  compile(model, "sgd", "sparse_categorical_crossentropy")
  x <- matrix(1:6)
  before <- get_weights(model)
  said <- "labels from 1 to 3.*0 to 2.*count from 1: subtract 1.*factor"
  expect_error(fit(model, x, rep(1:3, 2), verbose = 0), said, class = "kerasbridge_error_data")
  expect_error(fit(model, x, as_tensor(rep(1:3, 2)), verbose = 0), said, class = "kerasbridge_error_data")
  expect_error(fit(model, \() list(x, rep(1:3, 2)), steps_per_epoch = 1, verbose = 0), said)
  expect_error(fit(model, x, rep(0:2, 2), validation_data = list(x, rep(1:3, 2)), verbose = 0), said, class = "kerasbridge_error_data")
  expect_error(evaluate(model, x, rep(1:3, 2), verbose = 0), said, class = "kerasbridge_error_data")
  expect_identical(get_weights(model), before)
  expect_length(fit(model, x, factor(rep(1:3, 2)), epochs = 1, verbose = 0)$epoch, 1)
})

test_that("a watched name that does not exist is an error before the first epoch, in every engine", {
  skip_if_no_keras()
  x <- matrix(sin(1:32), 16)
  y <- as.double(x[, 1] > 0)
  stopper <- callback_early_stopping(monitor = "val_acc")
  for (engine in c("auto", "keras")) {
    model <- small_model(metrics = "accuracy")
    before <- get_weights(model)
    expect_error(
      fit(model, x, y, validation_split = 0.25, callbacks = stopper, verbose = 0, engine = engine),
      "watches 'val_acc'.*accuracy, loss, val_accuracy, val_loss", class = "kerasbridge_error_argument"
    )
    # Keras' own loop tells its names with the first step
    if (engine == "auto" && config_backend() == "tensorflow") expect_identical(get_weights(model), before)
  }
  expect_error(
    fit(model, \() list(x, y), steps_per_epoch = 1, callbacks = callback_early_stopping(monitor = "val_loss"), verbose = 0),
    "watches 'val_loss'.*`validation_data`", class = "kerasbridge_error_argument"
  )
  # a hook that adds to the logs may add that very name
  adds <- list(on_epoch_end = \(epoch, logs) list(val_acc = epoch))
  stopper <- callback_early_stopping(monitor = "val_acc", mode = "max")
  expect_length(fit(model, x, y, epochs = 1, callbacks = list(adds, stopper), verbose = 0)$epoch, 1)
  other <- list(on_epoch_end = \(epoch, logs) list(val_ac = epoch))
  expect_warning(
    fit(model, x, y, epochs = 1, callbacks = list(other, stopper), verbose = 0),
    "watches 'val_acc', which the first epoch did not report", class = "kerasbridge_warning_training"
  )
})

test_that("targets come as vectors, lists and columns, and wrong ones are described, never shown", {
  skip_if_no_keras()
  x <- matrix(as.double(1:8), 4)
  y <- c(1, 2, 3, 4)
  loss <- \(y) {
    model <- small_model()
    known_weights(model)
    fit(model, x, y, epochs = 1, verbose = 0, shuffle = FALSE)$metrics$loss
  }
  expected <- loss(y)
  for (same in list(as.integer(y), matrix(y), array(y), list(y), list(1, 2, 3, 4), data.frame(y = y), as_tensor(y))) {
    expect_equal(loss(same), expected, tolerance = 1e-6)
  }
  expect_error(loss(c("a", "b", "a", "b")), "`y` is text \\(character of length 4\\)", class = "kerasbridge_error_data")
  expect_error(loss(\(x) x), "`y` must be numbers, not a function", class = "kerasbridge_error_data")
  expect_error(loss(1:5), "`y` has 5 rows but `x` has 4", class = "kerasbridge_error_data")
  expect_error(loss(as.Date("2024-01-01") + 0:3), "`y` holds Date values", class = "kerasbridge_error_data")
  secret <- tryCatch(loss(rep("a secret", 4)), error = conditionMessage)
  expect_no_match(secret, "a secret")
})

test_that("validation data come in every form that is promised", {
  skip_if_no_keras()
  x <- matrix(c(rep(0, 8), rep(1, 4)), 12)
  y <- rep(0, 12)
  held <- 9:12
  validated <- \(...) {
    model <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
    compile(model, optimizer_sgd(0), loss = "mse")
    set_weights(model, list(matrix(3), array(0)))
    fit(model, x[1:8, , drop = FALSE], y[1:8], epochs = 1, verbose = 0, ...)$metrics$val_loss
  }
  vx <- x[held, , drop = FALSE]
  vy <- y[held]
  weights <- c(0, 0, 2, 2)
  expect_equal(validated(validation_data = list(vx, vy)), 9)
  expect_equal(validated(validation_data = list(y = vy, x = vx)), 9)
  expect_equal(validated(validation_data = list(vx, vy, weights)), 9)
  expect_equal(validated(validation_data = list(sample_weight = weights / 2, x = vx, y = vy)), 4.5)
  expect_equal(validated(validation_data = \() list(vx, vy), validation_steps = 1), 9)
  expect_equal(validated(validation_data = dataset_from_function(4, \(i) list(1, 0), batch_size = 2)), 9)
  one_value <- "kerasbridge_warning_data"
  expect_equal(suppressWarnings(validated(validation_data = list(data.frame(a = vx), vy)), classes = one_value), 9)
  dataset <- tensor_slices_dataset_or_null()
  if (!is.null(dataset)) {
    batches <- tf$data$Dataset$from_tensor_slices(reticulate::tuple(as_tensor(vx), as_tensor(matrix(vy))))$batch(2L)
    expect_equal(validated(validation_data = batches), 9)
  }
  file <- withr::local_tempfile(fileext = ".csv")
  utils::write.csv(data.frame(a = vx, y = vy), file, row.names = FALSE)
  expect_equal(validated(validation_data = source_csv(file, y = "y", batch_size = 2)), 9)
  expect_error(validated(validation_data = list(vx)), "`validation_data` must be `list\\(x, y\\)`", class = "kerasbridge_error_argument")
  expect_error(validated(validation_data = \() list(vx, vy)), "`validation_steps`", class = "kerasbridge_error_argument")
})

test_that("validation_split takes the last rows of frames and lists as of matrices", {
  skip_if_no_keras()
  last <- c(rep(0, 6), rep(1, 2))
  split <- \(model, x) {
    compile(model, optimizer_sgd(0), loss = "mse")
    set_weights(model, lapply(get_weights(model), \(w) array(1, dim(w))))
    fit(model, x, rep(1, 8), validation_split = 0.25, epochs = 1, verbose = 0)
  }
  one <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
  for (x in list(matrix(last), data.frame(a = last), last)) {
    history <- split(one, x)
    expect_equal(c(history$metrics$loss, history$metrics$val_loss), c(0, 1))
    expect_equal(c(history$params$samples, history$params$validation_samples), c(6, 2))
  }
  a <- layer_input(1, name = "a")
  b <- layer_input(1, name = "b")
  two <- keras_model(list(a, b), layer_dense(layer_add(list(a, b)), 1))
  for (x in list(list(last, 0 * last), list(b = 0 * last, a = last), data.frame(b = 0 * last, a = last))) {
    history <- suppressWarnings(split(two, x), classes = "kerasbridge_warning_data")
    expect_equal(c(history$metrics$loss, history$metrics$val_loss), c(0, 1))
  }
})

test_that("in a callback another model may be trained, and this one asked", {
  skip_if_no_keras()
  model <- small_model()
  x <- matrix(1, 8, 2)
  seen <- NULL
  other <- small_model()
  asks <- list(on_epoch_end = \(epoch, logs) {
    fit(other, x, rep(0, 8), epochs = 1, verbose = 0)
    seen <<- c(seen, dim(predict(model, x, verbose = 0))[[1]], evaluate(model, x, rep(0, 8), verbose = 0)$loss)
    NULL
  })
  history <- fit(model, x, rep(0, 8), epochs = 2, verbose = 0, callbacks = asks)
  expect_length(history$metrics$loss, 2)
  expect_identical(seen[c(1, 3)], c(8, 8))
})

test_that("missing parts, names of no output and numbers beyond float32 are said in terms of the arguments", {
  skip_if_no_keras()
  model <- small_model()
  x <- matrix(as.double(1:8), 4)
  refused <- \(...) expect_error(..., class = "kerasbridge_error_data")
  refused(fit(model, NULL, rep(0, 4), verbose = 0), "`x` is missing")
  refused(fit(model, x, verbose = 0), "`y` is missing, which the loss needs")
  refused(evaluate(model, x, verbose = 0), "`y` is missing")
  refused(fit(model, x, list(out = rep(0, 4)), verbose = 0), "`y` names 'out'")
  refused(fit(model, x, rep(1e300, 4), verbose = 0), "`y` can't be handed over: A number is too large for float32")
  expect_output(print(suppressWarnings(fit(model, x, rep(0, 4), epochs = 1, verbose = 0))), "loss: +[0-9]")
  compile(model, optimizer_sgd(1e6), "mse")
  expect_output(print(suppressWarnings(fit(model, x, rep(0, 4), epochs = 40, verbose = 0))), "loss: +(NaN|Inf)")
})

test_that("a model made for batches of one size gets them", {
  skip_if_no_keras()
  input <- layer_input(batch_shape = c(5, 3, 2))
  model <- keras_model(input, layer_dense(layer_gru(input, 4, stateful = TRUE), 1))
  compile(model, "sgd", "mse")
  x <- array(sin(1:120), c(20, 3, 2))
  if (config_backend() == "jax") {
    said <- "on JAX begins every batch with an empty state.*stateful layer 'gru"
    expect_error(predict(model, x, verbose = 0), said, class = "kerasbridge_error_unsupported")
    expect_error(fit(model, x, rep(0, 20), verbose = 0), said, class = "kerasbridge_error_unsupported")
  }
  skip_if(config_backend() != "tensorflow", "others can't train a layer that keeps its state")
  expect_equal(fit(model, x, rep(0, 20), epochs = 1, shuffle = FALSE, verbose = 0)$params$steps, 4)
  reset_states(model)
  first <- predict(model, x, verbose = 0)
  expect_false(identical(first, predict(model, x, verbose = 0))) # the state goes on
  reset_states(model)
  expect_equal(predict(model, x, verbose = 0), first)
  expect_error(predict(model, x[1:18, , ], verbose = 0), "18 rows are no whole number of batches of 5", class = "kerasbridge_error_data")
  expect_error(fit(model, x, rep(0, 20), batch_size = 4, verbose = 0), "`batch_size` is 4", class = "kerasbridge_error_data")
})

test_that("training inside an initializer says why it can't be", {
  skip_if_no_keras()
  helper <- small_model()
  x <- matrix(1, 4, 2)
  made <- tryCatch(
    keras_model_sequential(input_shape = 2) |>
      layer_dense(1, kernel_initializer = \(shape, dtype = NULL, ...) {
        fit(helper, x, rep(0, 4), epochs = 1, verbose = 0)
        op_zeros(shape)
      }),
    kerasbridge_error_unsupported = identity
  )
  if (is_keras_available("3.15") && config_backend() == "tensorflow" || inherits(made, "condition")) {
    expect_match(conditionMessage(made), "`fit` was called where a variable is being made")
  } else { # an older Keras, or another backend, makes variables outside of any function
    expect_equal(get_weights(made)[[1]], matrix(0, 2, 1))
  }
})
