# An error in R code of every kind surfaces as that error: its class, its words, the calls that led to it, and
# where it happened. All cases run in one process with a time limit: one that hangs leaves its line out.

error_cases <- function() {
  script <- c(
    "library(kerasbridge)",
    "set_random_seed(1)",
    "x <- matrix(sin(1:40), 20); y <- matrix(rowSums(x))",
    "deeper <- function(...) stop('boom in R')",
    "make <- function(layer = identity, loss = 'mse', optimizer = 'sgd', ...) {",
    "  model <- layer(keras_model_sequential(input_shape = 2)) |> layer_dense(1)",
    "  compile(model, optimizer, loss = loss, ...)",
    "}",
    "go <- function(model, ...) fit(model, x, y, batch_size = 5, epochs = 2, verbose = 0, ...)",
    "dense <- function(...) make(\\(m) layer_dense(m, 2, ...))",
    "case <- function(name, code) {",
    "  e <- tryCatch({ code; NULL }, error = identity)",
    "  found <- if (is.null(e)) 'no error' else paste(class(e)[[1]], e$message, if (is.null(e$place)) '' else e$place,",
    "    any(grepl('deeper(', format(e$trace), fixed = TRUE)), sep = ' | ')",
    "  cat('CASE', name, '|', gsub('\\n', ' ', found), '\\n')",
    "}",
    # layers
    "case('layer initialize', make(Layer('L', initialize = function() { super$initialize(); deeper() }, call = \\(inputs) inputs)))",
    "case('layer build', make(\\(m) Layer('L', build = function(input_shape) deeper(), call = \\(inputs) inputs)(m, name = 'own')))",
    "case('layer call', make(\\(m) Layer('L', call = function(inputs) deeper())(m, name = 'own')))",
    "case('layer compute_output_shape', Layer('L', call = \\(inputs) inputs, compute_output_shape = function(input_shape) deeper())(name = 'own')$compute_output_shape(tuple(NULL, 2L)))",
    "case('layer get_config', save_model(make(\\(m) Layer('L', call = \\(inputs) inputs, get_config = function() deeper())(m, name = 'own')), tempfile(fileext = '.keras')))",
    "n <- 0",
    "late <- Layer('Late', call = function(inputs, training = FALSE) { if (isTRUE(training)) n <<- n + 1; if (n > 5) deeper(); inputs })",
    "case('layer, eager', go(make(\\(m) late(m, name = 'own'), run_eagerly = TRUE)))",
    "R6Layer <- R6::R6Class('R6Layer', inherit = KerasLayer, public = list(call = function(x, mask = NULL) deeper()))",
    "case('layer, R6', make(\\(m) create_layer(R6Layer, m)))",
    "case('lambda', go(make(\\(m) layer_lambda(m, \\(x) deeper()))))",
    "case('activation', go(dense(activation = \\(x) deeper())))",
    # initializers, regularizers, constraints
    "case('initializer function', dense(kernel_initializer = \\(shape, dtype = NULL) deeper()))",
    "case('initializer class', dense(kernel_initializer = Initializer('Start', call = function(shape, dtype = NULL) deeper())()))",
    "case('regularizer function', go(dense(kernel_regularizer = \\(w) deeper())))",
    "case('regularizer class', go(dense(kernel_regularizer = Regularizer('Small', call = function(w) deeper())())))",
    "case('constraint function', go(dense(kernel_constraint = \\(w) deeper())))",
    "case('constraint class', go(dense(kernel_constraint = Constraint('Least', call = function(w) deeper())())))",
    # losses, metrics
    "case('loss function', go(make(loss = \\(y_true, y_pred) deeper())))",
    "case('loss class', go(make(loss = Loss('Bad', call = function(y_true, y_pred) deeper())())))",
    "case('metric function', go(make(metrics = custom_metric('odd', \\(a, b) deeper()))))",
    "metric <- function(...) Metric('Odd', ...)(name = 'odd')",
    "state <- list(update_state = function(y_true, y_pred, sample_weight = NULL) NULL, result = function() op_sum(op_zeros(1)))",
    "for (n in c('update_state', 'result', 'reset_state')) {",
    "  parts <- state; parts[[n]] <- switch(n, update_state = function(y_true, y_pred, sample_weight = NULL) deeper(), function() deeper())",
    "  case(paste('metric', n), go(make(metrics = list(do.call(metric, parts)))))",
    "}",
    # schedules, optimizers
    "case('schedule function', go(make(optimizer = optimizer_sgd(learning_rate = \\(step) deeper()))))",
    "case('schedule class', go(make(optimizer = optimizer_sgd(LearningRateSchedule('Falling', call = function(step) deeper())()))))",
    "case('optimizer update_step', go(make(optimizer = Optimizer('Own', initialize = function(...) super$initialize(learning_rate = 0.1, ...), update_step = function(gradient, variable, learning_rate) deeper())())))",
    "case('optimizer build', go(make(optimizer = Optimizer('Own', initialize = function(...) super$initialize(learning_rate = 0.1, ...), build = function(variables) deeper(), update_step = function(gradient, variable, learning_rate) NULL)())))",
    # models
    "net <- function(...) { m <- Model('Net', initialize = function(...) { super$initialize(...); self$d <- layer_dense(units = 1) }, ...)(name = 'own'); compile(m, 'sgd', 'mse') }",
    "case('model call', go(net(call = function(inputs) deeper())))",
    "plain <- function(inputs) self$d(inputs)",
    "case('model train_step', go(net(call = plain, train_step = function(data) deeper())))",
    "case('model test_step', evaluate(net(call = plain, test_step = function(data) deeper()), x, y, verbose = 0))",
    "case('model predict_step', predict(net(call = plain, predict_step = function(data) deeper()), x, verbose = 0))",
    # callbacks
    "hooks <- grep('^on_', names(formals(Callback)), value = TRUE)",
    "m <- make()",
    "run <- function(callback) { go(m, callbacks = callback, validation_split = 0.2); evaluate(m, x, y, verbose = 0, callbacks = callback); predict(m, x, verbose = 0, callbacks = callback) }",
    "for (hook in hooks) {",
    "  case(paste('list', hook), run(rlang::set_names(list(\\(...) deeper()), hook)))",
    "  case(paste('class', hook), run(do.call(Callback, rlang::set_names(list('Watch', function(...) deeper()), c('', hook)))()))",
    "}",
    "Old <- R6::R6Class('Old', inherit = KerasCallback, public = list(on_epoch_end = function(epoch, logs = list()) deeper()))",
    "case('callback, R6', run(Old$new()))",
    "case('callback_lambda', run(callback_lambda(on_epoch_end = \\(epoch, logs) deeper())))",
    "case('callback_learning_rate_scheduler', run(callback_learning_rate_scheduler(\\(epoch, lr) deeper())))",
    # data
    "case('generator', fit(make(), \\() deeper(), steps_per_epoch = 2, epochs = 1, verbose = 0))",
    "case('validation generator', go(make(), validation_data = \\() deeper(), validation_steps = 2))",
    "case('data set', fit(make(), dataset_from_function(4, \\(i) deeper()), epochs = 1, verbose = 0))",
    "cat('the end\\n')"
  )
  out <- run_r(script, timeout = 240)
  expect_identical(tail(out$output, 1), "the end", info = paste(tail(out$output, 15), collapse = "\n"))
  rows <- strsplit(trimws(sub("^CASE ", "", grep("^CASE ", out$output, value = TRUE))), " *[|] *")
  rows <- rows[lengths(rows) >= 2]
  rlang::set_names(lapply(rows, `[`, -1), vapply(rows, `[[`, "", 1))
}

test_that("an error in R code of any kind is that error, with its calls and its place", {
  skip_if_no_keras()
  found <- error_cases()
  places <- c(
    "layer initialize" = "the layer 'l' \\(L\\), `initialize\\(\\)`", "layer build" = "the layer 'own' \\(L\\), `build\\(\\)`",
    "layer call" = "the layer 'own' \\(L\\), `call\\(\\)`", "layer compute_output_shape" = "the layer 'own' \\(L\\), `compute_output_shape\\(\\)`",
    "layer get_config" = "the layer 'own' \\(L\\), `get_config\\(\\)`",
    "layer, eager" = "the layer 'own' \\(Late\\), `call\\(\\)`, epoch 2, batch 1",
    "layer, R6" = "the layer 'r6_layer' \\(R6Layer\\), `call\\(\\)`", lambda = "the R function `function`",
    activation = "the R function `activation`", "initializer function" = "the R function `kernel_initializer`",
    "initializer class" = "the initializer 'Start', `call\\(\\)`", "regularizer function" = "the R function `kernel_regularizer`.*, epoch 1, batch 1",
    "regularizer class" = "the regularizer 'Small', `call\\(\\)`, epoch 1, batch 1", "constraint function" = "the R function `kernel_constraint`.*, epoch 1, batch 1",
    "constraint class" = "the constraint 'Least', `call\\(\\)`, epoch 1, batch 1", "loss function" = "the R function `loss`.*, epoch 1, batch 1",
    "loss class" = "the loss 'bad' \\(Bad\\), `call\\(\\)`, epoch 1, batch 1", "metric function" = "the R function `odd`.*, epoch 1, batch 1",
    "metric update_state" = "the metric 'odd' \\(Odd\\), `update_state\\(\\)`", "metric result" = "the metric 'odd' \\(Odd\\), `result\\(\\)`",
    "metric reset_state" = "the metric 'odd' \\(Odd\\), `reset_state\\(\\)`", "schedule function" = "the R function `learning_rate`|the schedule 'RateOfStep_[0-9a-f]{8}', `call\\(\\)`",
    "schedule class" = "the schedule 'Falling', `call\\(\\)`", "optimizer update_step" = "the optimizer 'own' \\(Own\\), `update_step\\(\\)`",
    "optimizer build" = "the optimizer 'own(_1)?' \\(Own\\), `build\\(\\)`", "model call" = "the model 'own' \\(Net\\), `call\\(\\)`",
    "model train_step" = "the model 'own' \\(Net\\), `train_step\\(\\)`, epoch 1, batch 1", "model test_step" = "the model 'own' \\(Net\\), `test_step\\(\\)`",
    "model predict_step" = "the model 'own' \\(Net\\), `predict_step\\(\\)`", "callback, R6" = "the callback 'Old', `on_epoch_end\\(\\)`, epoch 1",
    callback_lambda = "the R function `on_epoch_end`, epoch 1", callback_learning_rate_scheduler = "the R function `schedule`"
  )
  # elsewhere Keras goes through a model once before its first batch; on JAX it hands steps other arguments
  if (config_backend() != "tensorflow") places <- sub(", epoch 1, batch 1$", "", places)
  if (!is_keras_available("3.4")) places <- places[names(places) != "lambda"] # Keras 3.0 drops it, and builds no model
  if (config_backend() == "jax") places <- places[!grepl("^model .*_step$", names(places))]
  for (name in names(places)) {
    row <- c(found[[name]], "", "", "")
    expect_identical(row[1:2], c("simpleError", "boom in R"), info = name)
    expect_match(row[[3]], places[[name]], info = name)
    expect_identical(row[[4]], "TRUE", info = paste(name, "keeps its calls"))
  }
  hooks <- grep("^on_", names(formals(Callback)), value = TRUE)
  for (hook in hooks) {
    count <- if (grepl("train_batch|on_batch", hook)) ", epoch 1, batch 1" else if (grepl("epoch", hook)) ", epoch 1" else ""
    for (form in c("list", "class")) {
      row <- c(found[[paste(form, hook)]], "", "", "")
      title <- c(list = "the callback's", class = "the callback 'Watch',")[[form]]
      expect_identical(row[c(1, 2, 4)], c("simpleError", "boom in R", "TRUE"), info = paste(form, hook))
      expect_match(row[[3]], paste0(title, " `", hook, "()`", count), fixed = TRUE, info = paste(form, hook))
    }
  }
  for (name in c("generator", "validation generator", "data set")) {
    # the class of the error stands behind that of a generator's
    expect_match(found[[name]][[2]], "failed at batch 1: boom in R", info = name)
    expect_identical(found[[name]][[1]], "kerasbridge_error_generator", info = name)
    expect_identical(tail(found[[name]], 1), "TRUE", info = name)
  }
})
