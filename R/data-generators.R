# R functions as sources of batches. The loop over them is kerasbridge/training/pulling.py: it calls the
# function on R's main thread, while the step before runs on another.

# What fit(), evaluate() and predict() do when `x` is an R function.
fit_pulled <- function(object, generator, steps_per_epoch, epochs, callbacks, validation_data, validation_steps,
                       validation_freq, class_weight, initial_epoch, verbose, frame, max_queue_size = 10, workers = 1) {
  check_model(object, frame)
  check_compiled(object, frame)
  steps_per_epoch <- as_steps(pulled_steps(steps_per_epoch, generator), "steps_per_epoch", frame)
  if (is.null(steps_per_epoch)) {
    abort_argument("steps_per_epoch", "must say how many batches of the generator make an epoch.", "For rows in batches: `ceiling(nrow(x) / batch_size)`.", call = frame)
  }
  if (is_pulled(validation_data)) {
    validation_steps <- pulled_steps(validation_steps, validation_data)
    validation_data <- pull_function(in_order(validation_data), "validation generator", frame)
  } else {
    validation_data <- as_validation_arg(validation_data, "validation_data", frame)
  }
  epochs <- as_count(epochs, "epochs", frame)
  initial_epoch <- as_count(initial_epoch, "initial_epoch", frame, least = 0)
  callbacks <- as_callbacks_arg(callbacks, frame)
  total <- steps_per_epoch * max(0, epochs - initial_epoch)
  drop_kept(object, "its training did not come to an end")
  history <- with_source(generator, workers, total, max_queue_size, frame, \(pull, ahead) bridge_do(
    "fit_pulled",
    model = object, pull = pull, steps_per_epoch = steps_per_epoch, epochs = epochs,
    verbose = as_verbose(verbose, frame), callbacks = callbacks,
    validation_data = validation_data, validation_steps = validation_steps,
    validation_freq = as_count(validation_freq, "validation_freq", frame),
    class_weight = as_class_weight_arg(class_weight, "class_weight", frame),
    initial_epoch = initial_epoch, max_queue_size = ahead, output = r_output(), call = frame
  ))
  ended <- history$params$ended
  if (!is.null(ended)) {
    rlang::warn(ended, class = "kerasbridge_warning_generator", call = frame)
  }
  keep_fresh(object)
  new_history(history)
}

evaluate_pulled <- function(object, generator, steps, callbacks, verbose, frame, ...) {
  check_model(object, frame)
  check_compiled(object, frame)
  lapply(run_pulled("evaluate_pulled", object, generator, steps, callbacks, verbose, frame, ...), as.numeric)
}

run_pulled <- function(verb, object, generator, steps, callbacks, verbose, frame, max_queue_size = 10, workers = 1) {
  check_model(object, frame)
  steps <- as_steps(pulled_steps(steps, generator), "steps", frame)
  if (is.null(steps)) {
    abort_argument("steps", "must say how many batches of the generator to take.", call = frame)
  }
  generator <- in_order(generator)
  callbacks <- as_callbacks_arg(callbacks, frame)
  with_source(generator, workers, steps, max_queue_size, frame, \(pull, ahead) bridge_do(
    verb,
    model = object, pull = pull, steps = steps, verbose = as_verbose(verbose, frame), callbacks = callbacks,
    max_queue_size = ahead, output = r_output(), call = frame
  ))
}

# `use(pull, ahead)` on the generator as Python calls it: here, or in other R processes.
with_source <- function(generator, workers, total, max_queue_size, frame, use) {
  ahead <- as_count(max_queue_size, "max_queue_size", frame)
  workers <- max(1L, as_count(workers, "workers", frame, least = 0))
  if (workers == 1) {
    return(use(pull_function(generator, "generator", frame), ahead))
  }
  if (is_python(generator)) {
    abort_argument("workers", "above 1 need a function of R that makes a generator, or a `dataset_from_function()`.", call = frame)
  }
  with_workers(generator, workers, total, ahead, frame, \(source) use(source, ahead))
}

# A data set made by a function, without shuffling.
in_order <- function(x) {
  if (is_r_dataset(x)) {
    x$shuffle <- FALSE
  }
  x
}

is_r_generator <- function(x) is.function(x) && !is_python(x)

# What the loop of this package reads, not Keras' own: R functions, and sources that call one.
is_pulled <- function(x) is_r_generator(x) || is_r_dataset(x) || inherits(x, "kerasbridge.data.indexed.DirectBatches")

# A Keras dataset whose methods are functions of R becomes one of these; anything else stays what it is.
on_r_thread <- function(x, call, shuffle = FALSE) {
  if (!is_python(x) || !any(endsWith(class(x), ".PyDataset")) || inherits(x, "kerasbridge.data.indexed.IndexedBatches")) {
    return(x)
  }
  bridge_do("on_the_asking_thread", dataset = x, shuffle = !identical(shuffle, FALSE), call = call)
}

pulled_steps <- function(steps, generator) steps %||% if (is_python(generator) || is_r_dataset(generator)) length(generator)

# The generator as a function that Python calls: each batch checked and brought into plain lists and arrays.
pull_function <- function(generator, word, frame) {
  force(generator)
  if (is_python(generator)) {
    return(generator)
  }
  if (is_r_dataset(generator)) {
    generator <- dataset_generator(generator)
  }
  count <- 0L
  pull <- function() {
    count <<- count + 1L
    seen <- NULL
    batch <- tryCatch(
      withCallingHandlers(generator(), error = \(e) seen <<- with_trace(e)),
      error = \(e) abort_generator(if (same_error(seen, e)) seen else e, word, count, frame)
    )
    if (is.null(batch)) {
      return(NULL)
    }
    where <- sprintf("batch %d of the %s", count, word)
    parts <- tryCatch(batch_parts(batch, where, frame), kerasbridge_error = \(e) stop(named_batch(e, where)))
    lapply(parts, plain_part)
  }
  tagged(pull, "puller")
}

# An error that doesn't say which batch it is about says so.
named_batch <- function(e, where) {
  if (!grepl(where, conditionMessage(e), ignore.case = TRUE)) {
    e$message <- sprintf("%s: %s", capital(where), e$message)
  }
  e
}

# The generator's own error, with the batch: its classes and its call are kept.
abort_generator <- function(e, word, count, frame, ...) {
  own <- setdiff(class(e), c("rlang_error", "simpleError", "error", "condition"))
  stop(rlang::error_cnd(
    class = c(own, "kerasbridge_error_generator", "kerasbridge_error"),
    message = sprintf("The %s failed at batch %d: %s", word, count, conditionMessage(e)), trace = e$trace,
    batch = count, original = e, call = conditionCall(e) %||% rlang::error_call(frame), ...
  ))
}

# A converted part without its tags: nested lists of arrays, which cross in one go.
plain_part <- function(x) {
  if (!inherits(x, "kb_tag")) {
    return(x)
  }
  switch(
    class(x)[[1]],
    kb_data = x$value,
    kb_list = lapply(unname(x$value), plain_part),
    kb_dict = lapply(x$value, plain_part),
    to_python(x)
  )
}

# x, y and weights of a batch: list(x), list(x, y), list(x, y, weights), so named or not, or x alone.
batch_parts <- function(batch, where, call) {
  if (is.list(batch) && !is.data.frame(batch) && !is_python(batch)) {
    names <- names(batch)
    known <- c("x", "y", "sample_weight", "sample_weights", "weights")
    if (!is.null(names) && all(names %in% known) && "x" %in% names) {
      weight <- batch$sample_weight %||% batch$sample_weights %||% batch$weights
      batch <- list(batch$x, batch$y, weight)[seq_len(if (is.null(weight)) 1 + !is.null(batch$y) else 3)]
    }
    if (!length(batch) %in% 1:3) {
      abort_kind(
        "data", sprintf("%s has %d parts.", capital(where), length(batch)),
        i = "A batch is `list(x, y)` or `list(x, y, weights)`; several inputs are a list in its first place.", call = call
      )
    }
  } else {
    batch <- list(batch)
  }
  labels <- paste0(c("x", "y", "sample_weight"), " in ", where)
  Map(\(part, label) as_data_arg(part, label, call), unname(batch), labels[seq_along(batch)])
}

capital <- function(x) paste0(toupper(substr(x, 1, 1)), substring(x, 2))

refuse_beside_generator <- function(given, frame) {
  for (arg in names(given)) {
    if (!is.null(given[[arg]])) {
      abort_argument(arg, "has no meaning here: the generator makes whole batches.", call = frame)
    }
  }
}

#' Training on a generator, older names
#'
#' `fit()`, `evaluate()` and `predict()` take the same sources of batches; these are the names of older
#' scripts. In new code write `fit(model, generator, steps_per_epoch = n)`.
#'
#' An R function that is used as generator returns the next batch each time it is called: `list(x, y)`,
#' `list(x, y, weights)` or, for prediction, `list(x)`; for several inputs or outputs `x` or `y` is a list, by
#' position or by name. It is called once for each step, never beyond the end of an epoch, and returns `NULL`
#' when there is nothing left; training then ends with a warning. Keep the state in the function's
#' environment, with `<<-`.
#'
#' The function runs while the training step before runs on another thread (on the TensorFlow backend, unless
#' the model is compiled with `run_eagerly = TRUE`), so the longer of the two sets the pace. A function that uses
#' the model itself, such as one that predicts to choose its samples, waits for the step to end. An error in it
#' stops training after the steps before; the condition keeps its class and call and has the class
#' `kerasbridge_error_generator` and the number of the batch as `batch`. Warnings reach handlers at once.
#'
#' @section Workers:
#' With `workers` above 1 the batches come from that many R processes, one after the other in turn, so their order
#' is the same each time. Each process has its own stream of random numbers, derived from R's random numbers here:
#' after the same `set.seed()` the batches are the same. What the function finds in the global environment, and
#' the attached packages, are sent along. A process that ends or is killed is an error that says which and how;
#' all of them end with the training, however that ends. The batches are handed over through shared memory.
#'
#' @param object A compiled model.
#' @param generator An R function, a [dataset_from_function()], or a source such as [timeseries_generator()] or
#'   [flow_images_from_data()].
#' @param steps_per_epoch,steps Batches an epoch, or in all; fractions are rounded up. Sources that know
#'   their length need none.
#' @param epochs,verbose,callbacks,validation_steps,class_weight,initial_epoch As for
#'   [fit()][fit.kerasbridge_model].
#' @param view_metrics Kept for older scripts; the progress line shows the metrics.
#' @param validation_data As for [fit()][fit.kerasbridge_model], or a generator.
#' @param max_queue_size Batches made ahead at most.
#' @param workers R processes that make batches. Above 1 the function given is a *factory*: it is called once in
#'   each process, without arguments or with the number of the process from 1, and returns the generator. See
#'   below.
#' @return `fit_generator()`: a history. `evaluate_generator()`: a named list of numbers.
#'   `predict_generator()`: an array with a row for each sample.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
#' model |> compile(optimizer = "sgd", loss = "mse")
#' next_batch <- function() {
#'   x <- matrix(runif(8))
#'   list(x, 2 * x)
#' }
#' history <- fit(model, next_batch, steps_per_epoch = 4, epochs = 2, verbose = 0)
#' history$metrics$loss
#' @export
fit_generator <- function(object, generator, steps_per_epoch = NULL, epochs = 1, verbose = getOption("kerasbridge.verbose", "auto"),
                          callbacks = NULL, view_metrics = "auto", validation_data = NULL, validation_steps = NULL,
                          class_weight = NULL, max_queue_size = 10, workers = 1, initial_epoch = 0) {
  frame <- rlang::current_env()
  check_generator(generator, frame)
  if (!identical(view_metrics, "auto")) {
    note_once("view_metrics", "`view_metrics` has no effect: the progress line shows the metrics.")
  }
  if (is_pulled(generator)) {
    return(fit_pulled(object, generator, steps_per_epoch, epochs, callbacks, validation_data, validation_steps, 1, class_weight, initial_epoch, verbose, frame, max_queue_size, workers))
  }
  fit(
    object, generator, steps_per_epoch = steps_per_epoch, epochs = epochs, verbose = verbose, callbacks = callbacks,
    validation_data = validation_data, validation_steps = validation_steps, class_weight = class_weight, initial_epoch = initial_epoch
  )
}

#' @rdname fit_generator
#' @export
evaluate_generator <- function(object, generator, steps = NULL, max_queue_size = 10, workers = 1, callbacks = NULL) {
  frame <- rlang::current_env()
  check_generator(generator, frame)
  if (is_pulled(generator)) {
    return(evaluate_pulled(object, generator, steps, callbacks, 0L, frame, max_queue_size, workers))
  }
  evaluate(object, generator, steps = steps, callbacks = callbacks, verbose = 0)
}

#' @rdname fit_generator
#' @export
predict_generator <- function(object, generator, steps = NULL, max_queue_size = 10, workers = 1, verbose = 0, callbacks = NULL) {
  frame <- rlang::current_env()
  check_generator(generator, frame)
  if (is_pulled(generator)) {
    return(run_pulled("predict_pulled", object, generator, steps, callbacks, verbose, frame, max_queue_size, workers))
  }
  stats::predict(object, generator, steps = steps, callbacks = callbacks, verbose = verbose)
}

check_generator <- function(generator, frame) {
  check_alive(generator, "generator", frame)
  if (!is_pulled(generator) && !is_python(generator)) {
    abort_argument("generator", paste0("must be a function or a source of batches, not ", describe_value(generator), "."), call = frame)
  }
}

#' Classes and probabilities, older names
#'
#' `predict_proba()` is [predict()][predict.kerasbridge_model]. `predict_classes()` turns what it returns into
#' class numbers.
#'
#' @inheritParams predict.kerasbridge_model
#' @param steps Number of batches, for data of no known length.
#' @return `predict_proba()`: an array with a row for each sample. `predict_classes()`: an integer vector of class
#'   numbers from 0: the column with the largest value, or whether the only column is above 0.5.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(3, activation = "softmax")
#' predict_classes(model, matrix(runif(8), 4))
#' @export
predict_classes <- function(object, x, batch_size = NULL, verbose = 0, steps = NULL) {
  frame <- rlang::current_env()
  check_model(object, frame)
  p <- predict_proba(object, x, batch_size = batch_size, verbose = verbose, steps = steps)
  if (is.list(p)) {
    abort_argument("object", "has several outputs; classes of which one is not said.", "Use `predict()` and take the output you want.", call = frame)
  }
  shape <- dim(p)
  last <- length(shape)
  if (shape[[last]] == 1) {
    return(as.vector(ifelse(p > 0.5, 1L, 0L)))
  }
  classes <- apply(p, seq_len(last - 1), which.max) - 1L
  if (last == 2) as.integer(unname(classes)) else classes
}

#' @rdname predict_classes
#' @export
predict_proba <- function(object, x, batch_size = NULL, verbose = 0, steps = NULL) {
  check_model(object, rlang::current_env())
  stats::predict(object, x, batch_size = batch_size, verbose = verbose, steps = steps)
}
