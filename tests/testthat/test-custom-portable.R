# Custom objects of every kind and style through files: R to R, and R to Python, each process new.

# A layer in each style, one after the other, and the numbers that come out.
portable_styles <- c(
  "library(kerasbridge)",
  "half <- function(x) x / 2",
  "layer_scale <- Layer('Scale',",
  "  initialize = function(start = 1, ...) { super$initialize(...); self$start <- start },",
  "  build = function(input_shape) self$factor <- self$add_weight(shape = c(), initializer = initializer_constant(self$start)),",
  "  call = function(inputs) half(inputs * op_exp(self$factor)) + c(1, 2))",
  "layer_stack <- Layer('Stack',",
  "  initialize = function(units, ...) {",
  "    super$initialize(...)",
  "    self$units <- units; self$first <- layer_dense(units = units); self$drop <- layer_dropout(rate = 0.5)",
  "    self$blocks <- list(layer_dense(units = 2), layer_scale())",
  "  },",
  "  build = function(input_shape) { private$w <- self$add_weight(shape = c(2, 3)); super$build(input_shape) },",
  "  call = function(inputs, training = FALSE) {",
  "    x <- self$drop(self$first(inputs), training = training)",
  "    if (isTRUE(training)) x <- x * 2",
  "    for (block in self$blocks) x <- block(x)",
  "    op_matmul(x, private$w)",
  "  })",
  "layer_wide <- Layer('Wide', call = function(inputs) super$call(inputs) * 2, inherit = layer_dense)",
  "Older <- R6::R6Class('Older', inherit = KerasLayer, public = list(",
  "  dim = NULL, kernel = NULL, initialize = function(dim) self$dim <- dim,",
  "  build = function(input_shape) self$kernel <- self$add_weight(name = 'kernel', shape = list(input_shape[[2]], self$dim)),",
  "  call = function(x, mask = NULL) k_dot(x, self$kernel), compute_output_shape = function(s) list(s[[1]], self$dim)))",
  "Plus <- new_layer_class('Plus', call = function(inputs) op_tanh(inputs) + 1)",
  "Times(keras$layers$Layer) %py_class% { call <- function(inputs) inputs * 3 }",
  "set_random_seed(7)",
  "x <- matrix(1:6 / 6, 3); y <- matrix(1, 3, 2)"
)
portable_model <- c(
  "model <- keras_model_sequential(input_shape = 2) |> layer_scale(start = 0.5) |> layer_stack(units = 4) |> layer_wide(units = 3)",
  "model <- create_layer(Older, model, list(dim = 2))",
  "model <- create_layer(Plus, model)",
  "model <- create_layer(Times, model)"
)
portable_show <- "cat('result', sprintf('%.9g', as.numeric(predict(model, x, verbose = 0))), '\\n')"

result_of <- function(run) {
  expect_identical(run$status, 0L, info = paste(tail(run$output, 12), collapse = "\n"))
  line <- tail(grep("^result ", run$output, value = TRUE), 1)
  as.numeric(strsplit(trimws(sub("^result ", "", line)), " +")[[1]])
}

python_show <- c(
  "import numpy as np", "x = (np.arange(1, 7).reshape(2, 3).T / 6).astype('float32')",
  "def show(model): print('result', *('%.9g' % v for v in model.predict(x, verbose=0).T.ravel()))"
)

plain_python <- function(code) {
  run_python(c("from kerasbridge.saving import load_model, save_model", python_show, code), pythonpath = system.file("python", package = "kerasbridge"))
}

test_that("layers of every style are trained in R and predict alike in new processes of R and Python", {
  skip_if_no_keras()
  path <- withr::local_tempfile(fileext = ".keras")
  again <- withr::local_tempfile(fileext = ".keras")
  made <- run_r(c(
    portable_styles, portable_model, "compile(model, 'adam', loss = 'mse')",
    "f <- fit(model, x, y, epochs = 2, verbose = 0)", sprintf("save_model(model, '%s')", path), portable_show
  ))
  wanted <- result_of(made)
  expect_length(wanted, 6)
  expect_true(all(is.finite(wanted)))

  coded <- run_r(c("library(kerasbridge)", "x <- matrix(1:6 / 6, 3)", sprintf("model <- load_model('%s', r_code = TRUE)", path), portable_show))
  expect_equal(result_of(coded), wanted, tolerance = 1e-6)
  expect_match(paste(coded$output, collapse = "\n"), "Running the R code of class <Older>", fixed = TRUE)

  # in plain Python it predicts, trains, and is saved again
  python <- plain_python(c(
    sprintf("model = load_model(r'%s')", path), "show(model)",
    "before = model.get_layer('scale').weights[0].numpy()",
    "model.fit(x, np.ones((3, 2)), epochs=1, verbose=0)",
    "assert abs(model.get_layer('scale').weights[0].numpy() - before) > 1e-5",
    sprintf("save_model(model, r'%s')", again), "show(model)"
  ))
  shown <- grep("^result ", python$output, value = TRUE)
  expect_identical(python$status, 0L, info = paste(tail(python$output, 12), collapse = "\n"))
  expect_equal(as.numeric(strsplit(sub("^result ", "", shown[[1]]), " ")[[1]]), wanted, tolerance = 1e-6)
  # what Python saved comes back to R with the R classes
  back <- run_r(c("library(kerasbridge)", "x <- matrix(1:6 / 6, 3)", sprintf("model <- load_model('%s', r_code = TRUE)", again), portable_show, "cat(class(model$layers[[1]])[[1]])"))
  expect_equal(result_of(back), result_of(python), tolerance = 1e-6)
})

test_that("functions and classes of every other kind come back in a new R process, and train on", {
  skip_if_no_keras()
  path <- withr::local_tempfile(fileext = ".keras")
  made <- run_r(c(
    "library(kerasbridge)", "x <- matrix(1:6 / 6, 3); y <- matrix(1:3 / 3)", "set_random_seed(3)", "k <- 3",
    "cube <- function(w) op_clip(w, -1, 1)",
    "start <- Initializer('Start', initialize = function(value = 1) self$value <- value, call = function(shape, dtype = NULL) op_ones(shape) * self$value)",
    "small <- Regularizer('Small', initialize = function(f = 0.1) self$f <- f, call = function(x) op_sum(op_square(x)) * self$f)",
    "least <- Constraint('Least', call = function(w) op_maximum(w, 0.01))",
    "falling <- LearningRateSchedule('Falling', initialize = function(r = 0.1) self$r <- r, call = function(step) self$r / (1 + op_cast(step, 'float32')))",
    "plain <- Optimizer('PlainSgd', initialize = function(learning_rate = 0.1, ...) super$initialize(learning_rate = learning_rate, ...),",
    "  update_step = function(gradient, variable, learning_rate) self$assign_sub(variable, gradient * op_cast(learning_rate, 'float32')))",
    "squares <- Loss('Squares', initialize = function(k = 1, ...) { super$initialize(...); self$k <- k }, call = function(y_true, y_pred) op_mean(op_square(y_true - y_pred), -1) * self$k)",
    "largest <- Metric('Largest', initialize = function(name = 'largest', ...) {",
    "    super$initialize(name = name, ...); self$top <- self$add_variable(shape = c(), initializer = 'zeros', name = 'top') },",
    "  update_state = function(y_true, y_pred, sample_weight = NULL) self$top$assign(op_maximum(self$top, op_max(op_abs(y_true - y_pred)))),",
    "  result = function() op_convert_to_tensor(self$top), reset_state = function() self$top$assign(0))",
    "model <- keras_model_sequential(input_shape = 2) |>",
    "  layer_dense(4, activation = function(x) op_maximum(x, 0) * k, kernel_initializer = start(value = 0.25), kernel_regularizer = small(f = 0.02), kernel_constraint = cube) |>",
    "  layer_lambda(function(x) x / 2) |>",
    "  layer_dense(1, activation = function(x) op_log(1 + op_exp(x)), kernel_initializer = function(shape, dtype = NULL) op_ones(shape) / 4,",
    "    kernel_regularizer = function(w) op_sum(w^2) / 100, kernel_constraint = least())",
    "compile(model, plain(learning_rate = falling(r = 0.05)), loss = squares(k = 2), metrics = list(largest(), custom_metric('half', \\(a, b) op_mean(b) / 2)))",
    "f <- fit(model, x, y, epochs = 2, verbose = 0, shuffle = FALSE)",
    sprintf("save_model(model, '%s')", path), portable_show,
    "h <- fit(model, x, y, epochs = 2, verbose = 0, shuffle = FALSE)$metrics",
    "cat('result', sprintf('%.9g', unlist(h[c('loss', 'largest', 'half')])), '\\n')"
  ))
  trained <- result_of(made)
  expect_length(trained, 6)
  again <- run_r(c(
    "library(kerasbridge)", "x <- matrix(1:6 / 6, 3); y <- matrix(1:3 / 3)", sprintf("model <- load_model('%s', r_code = TRUE)", path), portable_show,
    "h <- fit(model, x, y, epochs = 2, verbose = 0, shuffle = FALSE)$metrics",
    "cat('result', sprintf('%.9g', unlist(h[c('loss', 'largest', 'half')])), '\\n')"
  ))
  expect_equal(result_of(again), trained, tolerance = 1e-6)
  first <- \(run) grep("^result ", run$output, value = TRUE)[[1]]
  expect_identical(first(again), first(made))

  # two functions given for one argument have two names
  names <- inspect_model(path)$custom$name
  expect_true(all(c("activation", "activation_1", "Start", "Small", "Least", "Falling", "PlainSgd", "Squares", "Largest", "half") %in% names))

  # what only R can go on with is named; without it the model predicts alike
  python <- plain_python(c(
    sprintf("path = r'%s'", path),
    "try:", "    load_model(path)", "except OSError as err:", "    print(err)",
    "show(load_model(path, compile=False))"
  ))
  text <- paste(python$output, collapse = " ")
  expect_match(text, "optimizer 'PlainSgd' is written in R: needs R; metric 'Largest' is written in R: needs R.", fixed = TRUE)
  expect_match(text, "`compile=False` loads the model without it, to predict", fixed = TRUE)
  expect_equal(result_of(python), as.numeric(strsplit(sub("^result ", "", first(made)), " +")[[1]])[1:3], tolerance = 1e-6)
})

test_that("a model class and a layer that can't be written down say so in plain Python", {
  skip_if_no_keras()
  path <- withr::local_tempfile(fileext = ".keras")
  noisy <- withr::local_tempfile(fileext = ".keras")
  lost <- withr::local_tempfile(fileext = ".keras")
  made <- run_r(c(
    "library(kerasbridge)", "x <- matrix(1:6 / 6, 3); set_random_seed(1)",
    "Mine <- Model('Mine', initialize = function(units, ...) { super$initialize(...); self$dense <- layer_dense(units = units); self$units <- units },",
    "  call = function(inputs, training = FALSE) self$dense(inputs) * 2,",
    "  train_step = function(data) list(loss = op_mean(self(data[[1]]))))",
    "model <- Mine(units = 2)", "p <- predict(model, x, verbose = 0)", sprintf("save_model(model, '%s')", path), portable_show,
    "Noisy <- Layer('Noisy', call = function(inputs) inputs + random_normal(c(1), seed = 1))",
    sprintf("save_model(Noisy(keras_model_sequential(input_shape = 2)), '%s')", noisy),
    "Far <- Loss('Far', call = function(y_true, y_pred) op_mean(op_abs(y_true - y_pred)) + random_normal(c(1), seed = 1))",
    "m <- keras_model_sequential(input_shape = 2) |> layer_dense(1)", "compile(m, 'sgd', loss = Far())",
    sprintf("save_model(m, '%s')", lost)
  ))
  wanted <- result_of(made)
  python <- plain_python(c(
    "def tried(f, *arguments, **further):",
    "    try:", "        return f(*arguments, **further)", "    except Exception as err:", "        print(type(err).__name__, err)",
    sprintf("model = load_model(r'%s')", path), "show(model)",
    "model.compile('sgd', loss='mse')", "tried(model.fit, x, x, verbose=0)",
    sprintf("tried(load_model, r'%s')", noisy), sprintf("tried(load_model, r'%s')", lost),
    sprintf("print(load_model(r'%s', compile=False).count_params())", lost)
  ))
  expect_equal(result_of(python), wanted, tolerance = 1e-6)
  text <- paste(python$output, collapse = "\n")
  expect_match(text, "model 'mine' is written in R: needs R.\nIts `train_step()`", fixed = TRUE)
  expect_match(text, "FileError layer 'noisy' is written in R: needs R.\nLoad it in R, or give", fixed = TRUE)
  expect_match(text, "it draws random numbers (keras.random.normal)", fixed = TRUE)
  expect_match(text, "FileError loss 'Far' is written in R: needs R.\n`compile=False` loads the model without it", fixed = TRUE)
  expect_match(tail(python$output, 1), "^3$")
})
