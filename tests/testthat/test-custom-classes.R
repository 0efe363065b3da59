x <- matrix(c(0, 1, 2, 3, 4, 5, 6, 7) / 4, 4)
y <- c(1, 2, 3, 4)

one_unit <- function(...) keras_model_sequential(input_shape = 2) |> layer_dense(1, kernel_initializer = "ones", ...)

scale_class <- function() {
  Layer(
    "Scale",
    initialize = function(start = 1) {
      super$initialize()
      self$start <- start
    },
    build = function(input_shape) {
      self$factor <- self$add_weight(shape = c(), initializer = initializer_constant(self$start))
    },
    call = function(inputs) inputs * self$factor
  )
}

test_that("classes are described without starting Python and refuse bad names", {
  expect_error(Layer("1x", call = identity), class = "kerasbridge_error_argument")
  expect_s3_class(Layer("Fine", call = identity), "kerasbridge_class")
})

test_that("a layer composes, trains by its gradient, and is made again from its configuration", {
  skip_if_no_keras()
  layer_scale <- scale_class()
  expect_equal(as.numeric(layer_scale(as_tensor(c(1, 2)), start = 3)), c(3, 6))
  model <- keras_model_sequential(input_shape = 2) |> layer_scale(2, name = "s")
  expect_equal(get_layer(model, "s")$name, "s")
  model |> compile(optimizer = optimizer_sgd(0.01), loss = "mse")
  fit(model, matrix(1, 4, 2), matrix(0, 4, 2), epochs = 1, verbose = 0)
  # d/df mean((f * 1)^2) = 2 f
  expect_equal(as.numeric(get_weights(model)[[1]]), 2 - 0.01 * 4, tolerance = 1e-6)
  config <- get_config(layer_scale(start = 5, name = "n"))
  expect_equal(config$start, 5)
  again <- from_config(config)
  expect_equal(c(again$name, again$start), c("n", "5"))
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(model, path)
  expect_identical(predict(load_model(path), x, verbose = 0), predict(model, x, verbose = 0))
})

test_that("super, private, active fields and inheritance work", {
  skip_if_no_keras()
  layer_private <- Layer(
    "Private",
    call = function(inputs) inputs * private$three() * self$two,
    private = list(value = 3, three = function() private$value), two = active_property(function() 2)
  )
  expect_equal(as.numeric(layer_private(as_tensor(c(1, 2)))), c(6, 12))
  layer_double <- Layer("DoubleDense", call = function(inputs) super$call(inputs) * 2, inherit = layer_dense)
  expect_equal(as.array(layer_double(as_tensor(matrix(1, 1, 2)), units = 3, kernel_initializer = "ones")), matrix(4, 1, 3))
  child <- Layer("Child", initialize = function(...) super$initialize(start = 7, ...), inherit = scale_class())
  expect_equal(as.numeric(child(as_tensor(1))), 7)
})

test_that("build gets a whole-number shape and a shape comes back", {
  skip_if_no_keras()
  seen <- NULL
  layer_seen <- Layer(
    "Seen", build = function(input_shape) seen <<- input_shape, call = function(inputs) op_sum(inputs, 2),
    compute_output_shape = function(input_shape) input_shape[1]
  )
  out <- layer_seen(layer_input(c(5, 2)))
  expect_identical(seen, c(NA, 5L, 2L))
  expect_identical(layer_seen()$compute_output_shape(tuple(NULL, 5L)), list(NULL))
})

test_that("a loss agrees with base R, also for a vector of targets, and keeps its arguments", {
  skip_if_no_keras()
  loss_k <- Loss(
    "SquaresK",
    initialize = function(k = 1, ...) {
      super$initialize(...)
      self$k <- k
    },
    call = function(y_true, y_pred) op_mean(op_square(y_true - y_pred), -1) * self$k
  )
  model <- one_unit()
  model |> compile(optimizer = "sgd", loss = loss_k(k = 3))
  expect_equal(evaluate(model, x, y, verbose = 0)$loss, 3 * mean((rowSums(x) - y)^2), tolerance = 1e-6)
  before <- evaluate(model, x, y, verbose = 0)$loss
  history <- fit(model, x, y, epochs = 3, verbose = 0)
  expect_lt(history$metrics$loss[[3]], before)
  expect_equal(from_config(get_config(loss_k(k = 4)))$k, 4)
})

test_that("a metric is summed over batches and reset", {
  skip_if_no_keras()
  metric_sum <- Metric(
    "SumAbs",
    initialize = function(name = "sum_abs", ...) {
      super$initialize(name = name, ...)
      self$total <- self$add_variable(shape = c(), initializer = "zeros", name = "total")
    },
    update_state = function(y_true, y_pred, sample_weight = NULL) self$total$assign_add(op_sum(op_abs(y_true - y_pred))),
    result = function() op_convert_to_tensor(self$total),
    reset_state = function() self$total$assign(0)
  )
  model <- one_unit()
  model |> compile(optimizer = "sgd", loss = "mse", metrics = list(metric_sum(), custom_metric("half", \(a, b) op_mean(b) / 2)))
  for (i in 1:2) {
    out <- evaluate(model, x, y, batch_size = 2, verbose = 0)
    expect_equal(out$sum_abs, sum(abs(rowSums(x) - y)), tolerance = 1e-6)
    expect_equal(out$half, mean(rowSums(x)) / 2, tolerance = 1e-6)
  }
})

test_that("a reset that only assigns numbers is told apart, and done as R would", {
  numbers <- \(f, members = "reset_state") kerasbridge:::assigned_numbers(f, members)$value
  expect_identical(numbers(\() self$top$assign(0)), list(top = 0))
  expect_identical(numbers(function() {
    self$top$assign(1.5)
    self$n$assign(0L)
  }), list(top = 1.5, n = 0L))
  others <- list(
    \() self$top$assign(start), \() self$top$assign(-start), \() NULL, \() self$assign(0), \() self$top$assign_add(1),
    \() self$top$assign(value = 0), \() start$top$assign(0),
    function() {
      self$top$assign(0)
      cat("more")
    },
    function() {
      self$top$assign(0)
      self$top$assign(1)
    }
  )
  for (f in others) expect_null(numbers(f), label = deparse1(f))
  expect_null(numbers(\() self$top$assign(0), c("reset_state", "top"))) # an active field of the class

  skip_if_no_keras()
  seen <- 0
  with_reset <- function(reset) {
    make <- Metric(
      "Seen",
      initialize = function(name = "seen", ...) {
        super$initialize(name = name, ...)
        self$n <- self$add_variable(shape = c(), initializer = "zeros", dtype = "int32", name = "n")
        self$top <- self$add_variable(shape = c(), initializer = "zeros", name = "top")
      },
      update_state = function(y_true, y_pred, sample_weight = NULL) {
        self$n$assign_add(1L)
        self$top$assign(op_max(y_true))
      },
      result = function() op_convert_to_tensor(self$top),
      reset_state = reset
    )
    metric <- make()
    metric$update_state(as_tensor(c(1, 4)), as_tensor(c(1, 2)))
    before <- c(as.numeric(metric$n), as.numeric(metric$top))
    metric$reset_state()
    c(before, as.numeric(metric$n), as.numeric(metric$top))
  }
  expect_equal(with_reset(function() {
    self$n$assign(0L)
    self$top$assign(-0.5)
  }), c(1, 4, 0, -0.5)) # a minus is a call: R does it
  expect_equal(with_reset(function() {
    self$n$assign(7L)
    self$top$assign(0.5)
  }), c(1, 4, 7, 0.5))
  expect_equal(with_reset(function() {
    seen <<- seen + 1
    self$top$assign(3)
  }), c(1, 4, 1, 3))
  expect_equal(seen, 1)
})

test_that("callbacks of every shape count epochs from 1 and can stop training", {
  skip_if_no_keras()
  epochs <- NULL
  stopping <- Callback("Stopping", on_epoch_end = function(epoch, logs = NULL) {
    epochs <<- c(epochs, epoch)
    if (epoch == 2) self$model$stop_training <- TRUE
  })
  model <- one_unit()
  model |> compile(optimizer = "sgd", loss = "mse")
  history <- fit(model, x, y, epochs = 5, verbose = 0, callbacks = stopping())
  expect_equal(epochs, 1:2)
  expect_length(history$metrics$loss, 2)
  losses <- NULL
  batches <- NULL
  hooks <- list(on_epoch_end = \(epoch, logs) losses <<- c(losses, logs$loss), on_train_batch_end = \(batch, logs) batches <<- c(batches, batch))
  history <- fit(model, x, y, epochs = 2, batch_size = 2, verbose = 0, callbacks = hooks)
  expect_equal(losses, history$metrics$loss)
  expect_equal(batches, c(1, 2, 1, 2))
  expect_error(fit(model, x, y, verbose = 0, callbacks = list(list(on_epoc_end = identity))), class = "kerasbridge_error_argument")
})

test_that("constraints, regularizers, initializers, schedules and optimizers do what they say", {
  skip_if_no_keras()
  halves <- Constraint("Halves", call = function(w) w * 0 + 0.5)
  model <- one_unit(kernel_constraint = halves())
  model |> compile(optimizer = "sgd", loss = "mse")
  fit(model, x, y, epochs = 1, verbose = 0)
  expect_equal(get_weights(model)[[1]], matrix(0.5, 2, 1))

  squares <- Regularizer("Squares", initialize = function(f = 0.1) self$f <- f, call = function(x) op_sum(op_square(x)) * self$f)
  model <- one_unit(kernel_regularizer = squares(f = 0.5))
  model |> compile(optimizer = "sgd", loss = "mse")
  expect_equal(evaluate(model, x, y, verbose = 0)$loss, mean((rowSums(x) - y)^2) + 1, tolerance = 1e-6)

  counting <- Initializer("Counting", call = function(shape, dtype = NULL) array(seq_len(prod(shape)), shape))
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(2, kernel_initializer = counting())
  expect_equal(get_weights(model)[[1]], matrix(1:4 + 0, 2))
  wrong <- Initializer("Wrong", call = function(shape, dtype = NULL) 1)
  expect_error(keras_model_sequential(input_shape = 2) |> layer_dense(2, kernel_initializer = wrong()), "shape")

  falling <- LearningRateSchedule("Falling", initialize = function(r) self$r <- r, call = function(step) self$r / (1 + op_cast(step, "float32")))
  plain <- Optimizer(
    "PlainSgd", initialize = function(learning_rate = 0.1, ...) super$initialize(learning_rate = learning_rate, ...),
    update_step = function(gradient, variable, learning_rate) self$assign_sub(variable, gradient * op_cast(learning_rate, "float32"))
  )
  # by hand: least squares with steps 0.1 and 0.05
  w <- c(1, 1, 0)
  for (rate in c(0.1, 0.05)) {
    residual <- as.vector(cbind(x, 1) %*% w) - y
    w <- w - rate * 2 * colMeans(cbind(x, 1) * residual)
  }
  for (optimizer in list(plain(learning_rate = falling(r = 0.1)), optimizer_sgd(falling(r = 0.1)))) {
    model <- one_unit()
    model |> compile(optimizer = optimizer, loss = "mse")
    fit(model, x, y, epochs = 2, verbose = 0, shuffle = FALSE)
    expect_equal(c(get_weights(model)[[1]], get_weights(model)[[2]]), w, tolerance = 1e-5)
  }
})

test_that("a model with its own train_step trains and logs what it returns", {
  skip_if_no_keras()
  model_mine <- Model(
    "Mine",
    initialize = function(units, ...) {
      super$initialize(...)
      self$dense <- layer_dense(units = units, kernel_initializer = "ones")
    },
    call = function(inputs, training = NULL) self$dense(inputs),
    train_step = function(data) {
      tape <- tf$GradientTape()
      with(tape, {
        predicted <- self(data[[1]], training = TRUE)
        loss <- self$compute_loss(y = data[[2]], y_pred = predicted)
      })
      self$optimizer$apply(tape$gradient(loss, self$trainable_weights), self$trainable_weights)
      list(loss = loss, twice = loss * 2)
    }
  )
  model <- model_mine(units = 1)
  model |> compile(optimizer = optimizer_sgd(0.05), loss = "mse")
  if (config_backend() == "jax") {
    expect_error(fit(model, x, matrix(y), verbose = 0), "train_step\\(\\) takes the data alone.*on JAX", class = "kerasbridge_error_unsupported")
  }
  skip_if(config_backend() != "tensorflow", "the step takes its gradients by TensorFlow")
  history <- fit(model, x, matrix(y), epochs = 3, verbose = 0)
  expect_equal(history$metrics$loss[[1]], mean((rowSums(x) - y)^2), tolerance = 1e-6)
  expect_equal(history$metrics$twice, 2 * history$metrics$loss, tolerance = 1e-6)
  expect_lt(history$metrics$loss[[3]], history$metrics$loss[[1]])
})

test_that("an error in a method surfaces as that R error", {
  skip_if_no_keras()
  inner <- Layer("Inner", call = function(inputs) rlang::abort("own words", class = "mine"))
  expect_error(inner(layer_input(2)), "own words", class = "mine")
  model <- one_unit()
  model |> compile(optimizer = "sgd", loss = "mse")
  expect_error(fit(model, x, y, verbose = 0, callbacks = list(list(on_epoch_end = \(epoch, logs) stop("in a hook")))), "in a hook", class = "simpleError")
  bad_loss <- Loss("Bad", call = function(y_true, y_pred) rlang::abort("in a loss", class = "mine"))
  model |> compile(optimizer = "sgd", loss = bad_loss())
  expect_error(fit(model, x, y, verbose = 0), "in a loss", class = "mine")
  silent <- Layer("Silent", initialize = function() NULL, call = function(inputs) inputs)
  expect_error(silent(layer_input(2)), "super\\$initialize", class = "kerasbridge_error_argument")
})

test_that("an error in a hook ends training in a script, within the time", {
  skip_if_no_keras()
  script <- withr::local_tempfile(fileext = ".R", lines = c(
    sprintf(".libPaths(c(%s))", paste(shQuote(.libPaths()), collapse = ", ")), "library(kerasbridge)",
    "m <- keras_model_sequential(input_shape = 1) |> layer_dense(1)", "m |> compile(optimizer = 'sgd', loss = 'mse')",
    "fit(m, matrix(1, 8, 1), rep(1, 8), verbose = 0, callbacks = list(list(on_train_batch_end = function(batch, logs) stop('from the hook'))))",
    "cat('not reached')"
  ))
  out <- suppressWarnings(system2(file.path(R.home("bin"), "Rscript"), script, stdout = TRUE, stderr = TRUE, timeout = 180))
  expect_equal(attr(out, "status"), 1L)
  expect_match(paste(out, collapse = "\n"), "from the hook")
  expect_no_match(paste(out, collapse = "\n"), "not reached")
})

test_that("the older styles make working classes", {
  skip_if_no_keras()
  Doubling(keras$layers$Layer) %py_class% {
    size %<-active% function() 2
    call <- function(inputs) inputs * self$size
  }
  layer_doubling <- create_layer_wrapper(Doubling)
  expect_equal(as.numeric(layer_doubling(as_tensor(c(1, 2)))), c(2, 4))
  layer_mine <- create_layer_wrapper(keras$layers$Dense, modifiers = list(units = as.integer))
  expect_equal(count_params(keras_model_sequential(input_shape = 2) |> layer_mine(units = 3)), 9)
  halving <- new_layer_class("Halving", call = function(inputs) inputs / 2)
  expect_equal(as.numeric(create_layer(halving, as_tensor(c(2, 4)))), c(1, 2))

  custom <- R6::R6Class("CustomLayer", inherit = KerasLayer, public = list(
    output_dim = NULL, kernel = NULL,
    initialize = function(output_dim) self$output_dim <- output_dim,
    build = function(input_shape) {
      self$kernel <- self$add_weight(name = "kernel", shape = list(input_shape[[2]], self$output_dim), initializer = "ones", trainable = TRUE)
    },
    call = function(x, mask = NULL) op_matmul(x, self$kernel),
    compute_output_shape = function(input_shape) list(input_shape[[1]], self$output_dim)
  ))
  model <- keras_model_sequential(input_shape = 2)
  create_layer(custom, model, list(output_dim = 3L, name = "custom", trainable = NULL))
  expect_equal(predict(model, x, verbose = 0), matrix(rowSums(x), 4, 3), tolerance = 1e-6)

  losses <- R6::R6Class("Losses", inherit = KerasCallback, public = list(
    losses = NULL, on_epoch_end = function(epoch, logs = list()) self$losses <- c(self$losses, logs[["loss"]])
  ))$new()
  zero <- R6::R6Class("Zero", inherit = KerasConstraint, public = list(call = function(weights) weights * 0))
  model <- one_unit(kernel_constraint = zero$new())
  model |> compile(optimizer = "sgd", loss = "mse")
  history <- fit(model, x, y, epochs = 2, verbose = 0, callbacks = losses)
  expect_equal(losses$losses, history$metrics$loss)
  expect_equal(get_weights(model)[[1]], matrix(0, 2, 1))
  expect_error(create_layer(R6::R6Class("Alone"), list()), class = "kerasbridge_error_argument")
})

test_that("a global tensor named like an argument changes nothing", {
  skip_if_no_keras()
  withr::defer(rm("y", envir = globalenv()))
  assign("y", as_tensor(c(1, 2)), envir = globalenv())
  model <- one_unit()
  model |> compile(optimizer = "sgd", loss = "mse")
  expect_equal(fit(model, x, c(1, 2, 3, 4), epochs = 1, verbose = 0)$metrics$loss, mean((rowSums(x) - 1:4)^2), tolerance = 1e-6)
})
