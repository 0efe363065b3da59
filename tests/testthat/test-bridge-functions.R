# What happens in R functions that Keras calls: errors, conditions, restarts, recursion, interrupts, fits in fits.

fault_script <- '
library(kerasbridge)
x <- matrix(sin(1:200), 50); y <- rowSums(x)
make <- function(loss = "mse", metrics = NULL, layer = NULL, ...) {
  m <- keras_model_sequential(input_shape = 4)
  if (!is.null(layer)) m <- layer(m)
  m <- m |> layer_dense(1)
  compile(m, "sgd", loss = loss, metrics = metrics, ...)
  m
}
model <- make()
faults <- list(
  stop = \\() stop("boom in R"),
  abort = \\() rlang::abort("classed", class = "my_class"),
  warning_as_error = \\() { old <- options(warn = 2); on.exit(options(old)); warning("now an error") },
  warning_caught_outside = \\() warning(structure(class = c("my_warning", "warning", "condition"), list(message = "for outside", call = NULL))),
  condition = \\() signalCondition(structure(class = c("my_signal", "condition"), list(message = "signal", call = NULL))),
  restart = \\() invokeRestart("my_restart", "seven"),
  recursion = \\() { f <- function(n) f(n + 1); f(1) },
  interrupt = \\() rlang::interrupt(),
  overflow = \\() { old <- options(expressions = 5e5); on.exit(options(old)); f <- function(n) lapply(1, \\(i) f(n + 1)); f(1) }
)
show <- function(label, expr) {
  started <- proc.time()[[3]]
  out <- withRestarts(tryCatch({
    value <- expr
    if (inherits(value, "kerasbridge_history")) paste("history", length(value$epoch), value$interrupted) else "value"
  },
    my_signal = \\(c) paste("signal", conditionMessage(c)),
    my_warning = \\(w) paste("warning", conditionMessage(w)),
    error = \\(e) paste("error", class(e)[[1]], conditionMessage(e)),
    interrupt = \\(i) "interrupt"
  ), my_restart = \\(v) paste("restart", v))
  cat(label, ":", sub("\\n.*", "", out), if (proc.time()[[3]] - started > 30) "SLOW", "\\n")
}
'

run_faults <- function(lines) {
  out <- run_r(c(fault_script, lines, "cat('the end\\n')"), timeout = 240)
  expect_identical(tail(out$output, 1), "the end")
  found <- regmatches(out$output, regexec("^(.*) : (.*?) *$", out$output))
  found <- found[lengths(found) == 3]
  stats::setNames(vapply(found, `[[`, "", 3), vapply(found, `[[`, "", 2))
}

test_that("what happens in a callback or a generator ends fit at once, as what it is", {
  skip_if_no_keras()
  found <- run_faults(c(
    "for (n in names(faults)[1:8]) {",
    "  f <- faults[[n]]",
    "  show(paste('epoch', n), fit(model, x, y, epochs = 3, verbose = 0, callbacks = list(on_epoch_end = \\(a, b) f())))",
    "  show(paste('batch', n), fit(model, x, y, epochs = 3, verbose = 0, callbacks = list(on_train_batch_end = \\(a, b) f())))",
    "  show(paste('predict', n), predict(model, x, verbose = 0, callbacks = list(on_predict_batch_end = \\(a, b) f())))",
    "  show(paste('evaluate', n), evaluate(model, x, y, verbose = 0, callbacks = list(on_test_batch_end = \\(a, b) f())))",
    "}",
    "for (n in c('restart', 'recursion', 'interrupt')) {",
    "  f <- faults[[n]]; show(paste('generator', n), fit(model, \\() f(), steps_per_epoch = 2, epochs = 1, verbose = 0))",
    "}",
    "hook <- list(on_epoch_end = \\(a, b) faults$overflow())",
    "show('overflow', fit(model, x, y, epochs = 1, verbose = 0, callbacks = hook))",
    "show('jump', callCC(\\(k) fit(model, x, y, epochs = 1, verbose = 0, callbacks = list(on_epoch_end = \\(a, b) k(3)))))",
    "inner <- \\() fit(model, x, y, epochs = 1, verbose = 0)",
    "show('fit in a callback', fit(model, x, y, epochs = 1, verbose = 0, callbacks = list(on_epoch_end = \\(a, b) inner())))",
    "show('fit in a generator', fit(model, \\() { inner(); list(x, y) }, steps_per_epoch = 2, epochs = 1, verbose = 0))",
    "show('afterwards', fit(model, x, y, epochs = 2, verbose = 0))"
  ))
  expected <- c(
    stop = "error simpleError boom in R", abort = "error my_class classed",
    warning_as_error = "error simpleError (converted from warning) now an error",
    warning_caught_outside = "warning for outside", condition = "signal signal", restart = "restart seven"
  )
  for (place in c("epoch", "batch", "predict", "evaluate")) {
    expect_equal(found[paste(place, names(expected))], expected, ignore_attr = TRUE, info = place)
    expect_match(found[[paste(place, "recursion")]], "^error .*(stack|nested|recursion)")
  }
  expect_equal(unname(found[paste(c("epoch", "batch", "predict", "evaluate"), "interrupt")]),
               c("history 0 TRUE", "history 0 TRUE", "interrupt", "interrupt"))
  expect_equal(found[["generator restart"]], "restart seven")
  expect_match(found[["generator recursion"]], "^error [A-Za-z_]+ The generator failed at batch 1: .*(stack|nested|recursion)")
  expect_equal(found[["generator interrupt"]], "history 0 TRUE")
  expect_match(found[["overflow"]], "^error CStackOverflowError ")
  expect_match(found[["jump"]], "^error kerasbridge_error_unsupported .* was left by a jump")
  expect_equal(unname(found[c("fit in a callback", "fit in a generator", "afterwards")]),
               c("history 1 FALSE", "history 1 FALSE", "history 2 FALSE"))
})

test_that("what happens in a layer, loss, metric or initializer ends fit at once, as what it is", {
  skip_if_no_keras()
  found <- run_faults(c(
    "for (n in c('stop', 'abort', 'restart', 'recursion', 'interrupt')) {",
    "  f <- faults[[n]]",
    "  loss <- \\(y_true, y_pred) { f(); op_mean((y_true - y_pred)^2) }",
    "  show(paste('loss', n), fit(make(loss), x, y, epochs = 2, verbose = 0))",
    "  show(paste('eager', n), fit(make(loss, run_eagerly = TRUE), x, y, epochs = 2, verbose = 0))",
    "  show(paste('metric', n), fit(make(metrics = list(custom_metric('m', loss))), x, y, epochs = 2, verbose = 0))",
    "  Faulty <- Layer('Faulty', call = function(x, training = FALSE) { if (isTRUE(training)) f(); x * 2 })",
    "  show(paste('layer', n), fit(make(layer = \\(m) Faulty(m)), x, y, epochs = 2, verbose = 0))",
    "  Start <- Initializer('Start', call = function(shape, dtype = NULL) { f(); op_ones(shape) })",
    "  show(paste('initializer', n), make(layer = \\(m) layer_dense(m, 1, kernel_initializer = Start())))",
    "}",
    "inner <- \\() fit(model, x, y, epochs = 1, verbose = 0)",
    "show('fit in a loss', fit(make(\\(y_true, y_pred) { inner(); op_mean(y_pred) }), x, y, verbose = 0))",
    "show('fit in an eager loss', fit(make(\\(y_true, y_pred) { inner(); op_mean((y_true - y_pred)^2) }, run_eagerly = TRUE), x, y, epochs = 1, verbose = 0))",
    "show('afterwards', fit(model, x, y, epochs = 2, verbose = 0))"
  ))
  places <- c("loss", "eager", "metric", "layer", "initializer")
  expect_equal(unname(found[paste(places, "stop")]), rep("error simpleError boom in R", 5))
  expect_equal(unname(found[paste(places, "abort")]), rep("error my_class classed", 5))
  expect_equal(unname(found[paste(places, "restart")]), rep("restart seven", 5))
  expect_match(found[paste(places, "recursion")], "^error .*(stack|nested|recursion)", all = TRUE)
  expect_equal(unname(found[paste(places, "interrupt")]), c(rep("history 0 TRUE", 4), "interrupt"))
  skip_if_not(kerasbridge_info()$backend == "tensorflow")
  expect_match(found[["fit in a loss"]], "^error kerasbridge_error_unsupported `fit` was called inside a step")
  expect_equal(unname(found[c("fit in an eager loss", "afterwards")]), c("history 1 FALSE", "history 2 FALSE"))
})

test_that("an error in R code keeps the calls that led to it", {
  skip_if_no_keras()
  deeper <- function(x) stop("far down")
  e <- tryCatch(
    fit(small_model(), matrix(1, 4, 2), rep(0, 4), verbose = 0, callbacks = list(on_epoch_end = \(epoch, logs) deeper(epoch))),
    error = identity
  )
  expect_s3_class(e, "simpleError")
  expect_match(conditionMessage(e), "^far down\n. In the callback's `on_epoch_end\\(\\)`, epoch 1[.]$")
  expect_identical(e$message, "far down")
  expect_identical(conditionCall(e), quote(deeper(epoch)))
  trace <- format(e$trace)
  expect_match(paste(trace, collapse = "\n"), "deeper(epoch)", fixed = TRUE)
  expect_lt(length(trace), 15)
})

test_that("an error says in which layer, loss, metric or callback it happened, and at which batch", {
  skip_if_no_keras()
  x <- matrix(sin(1:200), 50)
  y <- rowSums(x)
  make <- function(layer = identity, loss = "mse", ...) {
    model <- layer(keras_model_sequential(input_shape = 4)) |> layer_dense(1)
    compile(model, "sgd", loss = loss, ...)
  }
  place <- function(...) tryCatch(fit(..., x, y, batch_size = 10, epochs = 3, verbose = 0), error = \(e) e$place)
  seen <- 0
  late <- Layer("Late", call = function(inputs, training = FALSE) {
    if (isTRUE(training)) seen <<- seen + 1
    if (seen > 7) stop("late")
    inputs
  })
  expect_identical(place(make(\(m) late(m, name = "mine"), run_eagerly = TRUE)), "the layer 'mine' (Late), `call()`, epoch 2, batch 3")
  bad <- Loss("Bad", call = function(y_true, y_pred) stop("no"))
  first <- if (config_backend() == "tensorflow") ", epoch 1" else "" # others go through the model before the first epoch
  expect_match(place(make(loss = bad(name = "bad"))), paste0("the loss 'bad' (Bad), `call()`", first), fixed = TRUE)
  expect_match(place(make(loss = \(y_true, y_pred) stop("no"))), "^the R function `loss`")
  expect_match(place(make(metrics = custom_metric("odd", \(a, b) stop("no")))), "^the R function `odd`")
  expect_identical(place(make(), callbacks = list(on_train_batch_end = \(batch, logs) if (batch == 4) stop("no"))), "the callback's `on_train_batch_end()`, epoch 1, batch 4")
  late_epoch <- Callback("LateEpoch", on_epoch_end = function(epoch, logs) if (epoch == 2) rlang::abort("no", class = "mine"))
  expect_identical(place(make(), callbacks = late_epoch()), "the callback 'LateEpoch', `on_epoch_end()`, epoch 2")
  start <- Initializer("Start", call = function(shape, dtype = NULL) stop("no"))
  expect_identical(tryCatch(layer_dense(layer_input(2), 1, kernel_initializer = start()), error = \(e) e$place), "the initializer 'Start', `call()`")
})

test_that("what R code in eager steps costs is told once; traced code runs without R", {
  skip_if_no_keras()
  x <- matrix(sin(1:200), 50)
  calls <- 0
  counted <- Layer("Counted", call = function(inputs) { calls <<- calls + 1; Sys.sleep(0.02); inputs * 2 })
  told <- function(...) {
    model <- counted(keras_model_sequential(input_shape = 4)) |> layer_dense(1)
    compile(model, "sgd", loss = "mse", ...)
    calls <<- 0
    out <- capture.output(fit(model, x, rowSums(x), batch_size = 10, epochs = 3, verbose = 2))
    list(calls = calls, told = grep("runs eagerly: R functions ran", out, value = TRUE))
  }
  if (config_backend() == "torch") { # it traces nothing
    expect_match(told()$told, "PyTorch runs them in each step", fixed = TRUE)
  } else {
    traced <- told()
    expect_lt(traced$calls, 5)
    expect_length(traced$told, 0)
  }
  eager <- told(run_eagerly = TRUE)
  expect_gte(eager$calls, 15)
  expect_length(eager$told, 1)
  expect_match(eager$told, "R functions ran [0-9]+ times and took [0-9]+% of this epoch")
})

test_that("an R function on another thread is refused instead of ending R", {
  skip_if_no_keras()
  skip_if_not(kerasbridge_info()$backend == "tensorflow")
  out <- run_r(c(
    "library(kerasbridge)",
    "double <- Layer('Double', call = function(x) {",
    "  y <- tf$numpy_function(kerasbridge:::as_python_function(\\(a) a * 2, 'doubling'), list(x), tf$float32)",
    "  tf$ensure_shape(y, x$shape)",
    "})",
    "m <- double(keras_model_sequential(input_shape = 2)) |> layer_dense(1)",
    "compile(m, 'sgd', 'mse')",
    "e <- tryCatch(fit(m, matrix(1, 4, 2), rep(1, 4), verbose = 0), error = identity)",
    "cat(conditionMessage(e))"
  ))
  expect_match(paste(out$output, collapse = " "), "R function `doubling` was called from a thread other than R's")
})

test_that("what is taken out of base's tryCatch() and withRestarts() does what they do", {
  skip_if_no_keras()
  bridge_start()
  state <- the
  before <- mget(c("insides", "outer_restarts"), envir = state)
  withr::defer(list2env(before, state))
  deep <- function(n) lapply(1, \(i) deep(n + 1))
  overflow <- function() {
    withr::local_options(expressions = 5e5)
    deep(1)
  }
  kept <- function(signal) get(as.character(signal$key), envir = state$r_errors)
  expect_s3_class(base_insides()$abort, "restart") # found in this version of R
  for (insides in list(base_insides(), plain_insides())) {
    for (outer in c(FALSE, TRUE)) {
      state$insides <- insides
      state$outer_restarts <- outer
      expect_identical(guard_r_code(3), 3)
      expect_s3_class(kept(guard_r_code(stop("no"))), "simpleError")
      expect_s3_class(kept(guard_r_code(overflow())), "stackOverflowError")
      left <- kept(guard_r_code(invokeRestart("abort", "seven")))
      expect_identical(unclass(left), list(name = "abort", args = list("seven")))
      expect_identical(as.character(guard_r_code(rlang::interrupt())$kind), "interrupt")
      expect_identical(as.character(callCC(\(k) guard_r_code(k(1)))$key), "jump")
      state$jump <- NULL
    }
  }
  broken <- utils::modifyList(base_insides(), list(restart = \(expr, abort) expr))
  expect_false(insides_work(broken))
})
