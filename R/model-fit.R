# fit(), evaluate(), predict() and their one-batch relatives.

#' Train a model
#'
#' Runs over the data `epochs` times and returns the course of loss and metrics. The model is changed
#' in place. Ctrl-C (Esc in RStudio) ends it after the step and keeps what was learnt.
#'
#' @param object A compiled model.
#' @param x Input data: a vector, matrix, array, data frame, sparse matrix (of package Matrix) or tensor;
#'   for several inputs a list, by position or by name. Samples are in rows (the first axis). Or a source of
#'   batches, which brings `y` along: files ([source_csv()] and its kin), an R function (see [fit_generator()]), a
#'   data set of TensorFlow. Or a formula such as `price ~ .`, with `data`. What the columns of a data frame become, and how they are checked
#'   later, is in [frame_schema()].
#' @param y Targets, of the same kinds. A factor becomes class numbers, counted from 0, and its levels stay
#'   with the model.
#' @param batch_size Samples a step; 32 by default. `"auto"` finds the largest that fits in memory: powers of two are tried
#'   downwards from a quarter of the rows (4096 at most); the history says which it was.
#' @param effective_batch_size Samples that count for one update of the weights. Where `batch_size` is smaller (or
#'   `"auto"` finds that fewer fit), gradients of several steps are averaged before one update, as if they had been one
#'   batch. Exact where it divides the number of rows.
#' @param epochs Runs over the data.
#' @param verbose `"auto"`, 0 (silent), 1 (progress bar) or 2 (a line an epoch).
#' @param callbacks A callback or a list of them. A named list of functions, such as
#'   `list(on_epoch_end = \(epoch, logs) ...)`, is a callback too; epochs and batches count from 1.
#' @param validation_split Part of the data, from 0 to 1, kept for validation: the last rows, taken
#'   before any shuffling.
#' @param validation_data `list(x, y)` or `list(x, y, weights)` to validate on, or an R function that makes
#'   batches (with `validation_steps`); wins over `validation_split`.
#' @param shuffle Shuffle the training rows before each epoch. Validation rows never are. After a seed was set,
#'   Keras on TensorFlow has the same order in each epoch, and so has `fit()`.
#' @param class_weight Weight of each class, named by class number from 0, `list("0" = 1, "1" = 10)`, or by
#'   level where `y` is a factor, `c(benign = 1, malignant = 10)`.
#' @param sample_weight Weight of each row.
#' @param initial_epoch Epochs already done, for training that goes on: `epochs` is the number of the last one.
#' @param resume A history of this model to go on from, such as that of an interrupted `fit()`: epochs count on
#'   up to `epochs`, and the new history holds the earlier epochs too.
#' @param steps_per_epoch,validation_steps Number of batches an epoch and a validation, for data of
#'   no known length.
#' @param validation_batch_size Samples a step in validation; `batch_size` by default.
#' @param validation_freq Validate every so many epochs.
#' @param max_queue_size,workers Where `x` is an R function or a [dataset_from_function()]: batches made ahead at
#'   most, and R processes that make them. With `workers` above 1 a function as `x` is a factory of generators; see
#'   [fit_generator()].
#' @param engine `"auto"` measures which way of running the steps is fastest here; `"keras"` is Keras'
#'   own loop, `"graph"` and `"xla"` force the others. The results are the same.
#' @param expand Give a single case that lacks its first axis (a matrix for a model of matrices) that axis: a
#'   batch of one.
#' @param data A data frame for a formula. Its left side is what is predicted (it may be computed, such as
#'   `log(price)`), its right side names columns. Without `x` the columns that the model knows are taken.
#' @param schema A schema from [frame_schema()], for rules on missing values and unknown levels. Without one
#'   it is taken from the data.
#' @param na Values that are not there (NA, NaN) or not finite: `"refuse"` stops and says where they are;
#'   `"pass"` lets those of doubles through, for models that deal with NaN themselves. Rules by column, such as
#'   the median, are a matter of [frame_schema()].
#' @param ... Older spellings such as `nb_epoch`.
#' @return A history: a list of class `kerasbridge_history` with `metrics` (a named list of numbers by
#'   epoch, `NA` where an epoch has none; a metric of several numbers, such as [metric_f1_score()] for each class, has
#'   several: `f1_score_1`, `f1_score_2`, ...), `params`, `epoch` (from 1), `interrupted`, `engine`,
#'   `engine_reason`, `seconds`, and what the run depended on: `seed` (`NULL` if none was set),
#'   `deterministic`, `devices`, `versions`. It prints, plots, and becomes a data frame with
#'   [as.data.frame()]. A loss or a weight that is not finite is a warning of class
#'   `kerasbridge_warning_training`. Memory that runs out is an error of class `kerasbridge_error_oom`, whose `details`
#'   have `shape`, `bytes_wanted`, `bytes_free`, `batch_size` and `proposed_batch_size`.
#' @seealso [compile()][compile.kerasbridge_model] comes before, [evaluate()] and
#'   [predict()][predict.kerasbridge_model] after; [callback_early_stopping()] and its kin act between epochs;
#'   [plot()][plot.kerasbridge_history] for the history; `vignette("kerasbridge")` for the whole way.
#' @aliases fit
#' @examplesIf is_keras_available()
#' x <- matrix(runif(200), 100)
#' y <- x[, 1] + x[, 2]
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' model |> compile(optimizer = "adam", loss = "mse")
#' history <- fit(model, x, y, epochs = 2, verbose = 0)
#' as.data.frame(history)
#' @export
fit.kerasbridge_model <- function(object, x = NULL, y = NULL, ..., batch_size = NULL, epochs = 10,
                                  effective_batch_size = NULL,
                                  callbacks = NULL, validation_split = 0, validation_data = NULL,
                                  shuffle = TRUE, class_weight = NULL, sample_weight = NULL,
                                  initial_epoch = 0, steps_per_epoch = NULL, validation_steps = NULL,
                                  validation_batch_size = NULL, validation_freq = 1,
                                  max_queue_size = 10, workers = 1,
                                  verbose = getOption("kerasbridge.verbose", "auto"),
                                  engine = getOption("kerasbridge.engine", "auto"), data = NULL, schema = NULL,
                                  resume = NULL, expand = FALSE, na = c("refuse", "pass")) {
  frame <- rlang::current_env()
  check_alive(object, "object", frame)
  settle_dots(list(...), names(formals()), frame)
  na <- as_na_arg(na, c("refuse", "pass"), frame)
  initial_epoch <- resumed_epoch(resume, initial_epoch, epochs, frame)
  x <- on_r_thread(x, frame, shuffle)
  validation_data <- on_r_thread(validation_data, frame)
  if (is_pulled(x)) {
    refuse_beside_generator(list(y = y, sample_weight = sample_weight, batch_size = batch_size, effective_batch_size = effective_batch_size), frame)
    refuse_na_rule(na, frame)
    if (!identical(as.double(validation_split), 0)) {
      abort_argument("validation_split", "needs data with a known number of rows.", "Give `validation_data`.", call = frame)
    }
    history <- fit_pulled(object, x, steps_per_epoch, epochs, callbacks, validation_data, validation_steps, validation_freq, class_weight, initial_epoch, verbose, frame, max_queue_size, workers)
    return(continued(resume, history))
  }
  check_compiled(object, frame)
  check_fraction(validation_split, "validation_split", frame)
  given <- training_data(object, x, y, data, schema, validation_data, frame, learn = TRUE, na = na)
  class_weight <- level_weights(object, class_weight, given$schema, frame)
  if (is_pulled(validation_data)) {
    source <- bridge_do(
      "row_source",
      x = as_data_arg(given$x, "x", frame, na), y = as_data_arg(given$y, "y", frame, na),
      sample_weight = as_data_arg(sample_weight, "sample_weight", frame, na),
      batch_size = as_count(batch_size, "batch_size", frame), shuffle = as_bool_arg(shuffle, "shuffle", frame), call = frame
    )
    done <- fit_pulled(object, source, steps_per_epoch, epochs, callbacks, validation_data, validation_steps, validation_freq, class_weight, initial_epoch, verbose, frame)
    attach_schema(object, given$schema, frame)
    return(continued(resume, done))
  }
  drop_kept(object, "its training did not come to an end")
  history <- bridge_do(
    "fit",
    model = object,
    x = as_data_arg(given$x, "x", frame, na),
    y = as_data_arg(given$y, "y", frame, na),
    batch_size = if (identical(batch_size, "auto")) "auto" else as_count(batch_size, "batch_size", frame),
    effective_batch_size = as_count(effective_batch_size, "effective_batch_size", frame),
    epochs = as_count(epochs, "epochs", frame),
    verbose = as_verbose(verbose, frame),
    callbacks = as_callbacks_arg(callbacks, frame),
    validation_split = as.double(validation_split),
    validation_data = as_validation_arg(given$validation_data, "validation_data", frame, na),
    shuffle = as_bool_arg(shuffle, "shuffle", frame),
    class_weight = as_class_weight_arg(class_weight, "class_weight", frame),
    sample_weight = as_data_arg(sample_weight, "sample_weight", frame, na),
    initial_epoch = as_count(initial_epoch, "initial_epoch", frame, least = 0),
    steps_per_epoch = as_steps(steps_per_epoch, "steps_per_epoch", frame),
    validation_steps = as_steps(validation_steps, "validation_steps", frame),
    validation_batch_size = as_count(validation_batch_size, "validation_batch_size", frame),
    validation_freq = as_count(validation_freq, "validation_freq", frame),
    engine = as_string_arg(engine, "engine", frame),
    expand = as_bool_arg(expand, "expand", frame),
    output = r_output(),
    call = frame
  )
  done <- new_history(history, frame)
  attach_schema(object, given$schema, frame)
  keep_fresh(object)
  continued(resume, done)
}

attach_schema <- function(object, schema, call) {
  if (!is.null(schema)) {
    bridge_do("schema_attach", model = object, schema = schema, call = call)
  }
}

#' Loss and metrics on given data
#'
#' Computes them without changing the model; layers such as dropout, which act in training only, rest. One number each for all rows.
#'
#' @inheritParams fit.kerasbridge_model
#' @param steps Number of batches, for data of no known length.
#' @return A named list of numbers: `loss` and the metrics.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' model |> compile(optimizer = "adam", loss = "mse")
#' evaluate(model, matrix(0, 4, 2), c(0, 0, 0, 0), verbose = 0)
#' @export
evaluate <- function(object, ...) {
  UseMethod("evaluate")
}

#' @rdname evaluate
#' @export
evaluate.kerasbridge_model <- function(object, x = NULL, y = NULL, ..., batch_size = NULL,
                                       verbose = getOption("kerasbridge.verbose", "auto"), sample_weight = NULL,
                                       steps = NULL, callbacks = NULL,
                                       engine = getOption("kerasbridge.engine", "auto"), data = NULL,
                                       expand = FALSE, na = c("refuse", "pass")) {
  frame <- rlang::current_env()
  check_alive(object, "object", frame)
  settle_dots(list(...), names(formals()), frame)
  na <- as_na_arg(na, c("refuse", "pass"), frame)
  x <- on_r_thread(x, frame)
  if (is_pulled(x)) {
    refuse_beside_generator(list(y = y, sample_weight = sample_weight, batch_size = batch_size), frame)
    refuse_na_rule(na, frame)
    return(evaluate_pulled(object, x, steps, callbacks, verbose, frame))
  }
  check_compiled(object, frame)
  given <- training_data(object, x, y, data, NULL, NULL, frame, na = na)
  out <- bridge_do(
    "evaluate",
    model = object,
    x = as_data_arg(given$x, "x", frame, na),
    y = as_data_arg(given$y, "y", frame, na),
    batch_size = as_count(batch_size, "batch_size", frame),
    verbose = as_verbose(verbose, frame),
    sample_weight = as_data_arg(sample_weight, "sample_weight", frame, na),
    steps = as_steps(steps, "steps", frame),
    callbacks = as_callbacks_arg(callbacks, frame),
    engine = as_string_arg(engine, "engine", frame),
    expand = as_bool_arg(expand, "expand", frame),
    output = r_output(),
    call = frame
  )
  settle_kept(object)
  lapply(out, as.numeric)
}

#' Predictions for given data
#'
#' Runs the model on rows, batch by batch, and gives its outputs as an R array, in the order of the rows. Layers such as
#' dropout, which act in training only, rest.
#'
#' @inheritParams evaluate
#' @param object A model.
#' @param x Input data, as for [fit()][fit.kerasbridge_model]. Columns of a data frame are matched by name, in
#'   any order, with those that the model was trained on.
#' @param batch_size Samples a step; chosen by the memory at hand if `NULL`. (The last bit of a number may depend on it;
#'   Keras takes 32.)
#' @param type `"response"` (or `"prob"`, the same) for the model's output; `"class"` for the class of
#'   each row: a factor if the model was trained on one, else class numbers from 0.
#' @param na Values that are not there (NA, NaN) or not finite: `"refuse"` stops and says where they are;
#'   `"exclude"` predicts `NA` for their rows (but for columns with a rule of [frame_schema()]); `"pass"` lets those of
#'   doubles through to the model.
#' @return An array with a row for each sample (row names of `x` are kept); for a model of several
#'   outputs a list of arrays. With `type = "class"` a factor or an integer vector. The columns of a
#'   classifier that was trained on a factor are named by its levels.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' predict(model, matrix(0, 4, 2), verbose = 0)
#' @aliases predict
#' @export
predict.kerasbridge_model <- function(object, x, ..., type = c("response", "prob", "class"), batch_size = NULL,
                                      verbose = getOption("kerasbridge.verbose", "auto"), steps = NULL,
                                      callbacks = NULL, engine = getOption("kerasbridge.engine", "auto"),
                                      expand = FALSE, na = c("refuse", "exclude", "pass")) {
  frame <- rlang::current_env()
  check_alive(object, "object", frame)
  na <- as_na_arg(na, c("refuse", "exclude", "pass"), frame)
  type <- rlang::arg_match(type, error_call = frame)
  settle_dots(list(...), names(formals()), frame)
  x <- on_r_thread(x, frame)
  if (is_pulled(x)) {
    refuse_beside_generator(list(batch_size = batch_size), frame)
    refuse_na_rule(na, frame)
    return(run_pulled("predict_pulled", object, x, steps, callbacks, verbose, frame))
  }
  kept <- if (na == "exclude") !rows_missing(object, x, frame)
  some <- !is.null(kept) && !all(kept)
  out <- bridge_do(
    "predict",
    model = object,
    x = batch_arg(object, if (some) take_rows(x, kept) else x, frame, if (na == "pass") "pass" else "refuse"),
    batch_size = as_count(batch_size, "batch_size", frame),
    verbose = as_verbose(verbose, frame),
    steps = as_steps(steps, "steps", frame),
    callbacks = as_callbacks_arg(callbacks, frame),
    engine = as_string_arg(engine, "engine", frame),
    expand = as_bool_arg(expand, "expand", frame),
    output = r_output(),
    call = frame
  )
  settle_kept(object)
  as_prediction(object, keep_row_names(if (some) spread_rows(out, kept) else out, x), type, frame)
}

keep_row_names <- function(out, x) {
  rows <- if (is.data.frame(x)) {
    if (is.character(attr(x, "row.names"))) row.names(x)
  } else if (is.array(x)) {
    dimnames(x)[[1]]
  } else if (is_sparse_matrix(x)) {
    x@Dimnames[[1]]
  }
  if (is.null(rows)) {
    return(out)
  }
  if (is.list(out)) {
    return(lapply(out, keep_row_names, x = x))
  }
  if (is.array(out) && dim(out)[[1]] == length(rows)) {
    dimnames(out) <- c(list(rows), vector("list", length(dim(out)) - 1))
  }
  out
}

#' One step on one batch
#'
#' `train_on_batch()` makes one update, `test_on_batch()` computes loss and metrics without one,
#' `predict_on_batch()` the output: for training loops of one's own.
#'
#' @inheritParams fit.kerasbridge_model
#' @return `train_on_batch()` and `test_on_batch()`: a named list of numbers. `predict_on_batch()`: an
#'   array, or a list of them.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' model |> compile(optimizer = "sgd", loss = "mse")
#' train_on_batch(model, matrix(1, 4, 2), rep(1, 4))
#' @export
train_on_batch <- function(object, x, y = NULL, sample_weight = NULL, class_weight = NULL) {
  frame <- rlang::current_env()
  check_model(object, frame)
  check_compiled(object, frame)
  drop_kept(object, "`train_on_batch()` changed it after the last copy")
  out <- bridge_do(
    "train_on_batch",
    model = object,
    x = batch_arg(object, x, frame), y = as_data_arg(class_numbers(object, y, "y", frame), "y", frame),
    sample_weight = as_data_arg(sample_weight, "sample_weight", frame),
    class_weight = as_class_weight_arg(class_weight, "class_weight", frame),
    call = frame
  )
  lapply(out, as.numeric)
}

#' @rdname train_on_batch
#' @export
test_on_batch <- function(object, x, y = NULL, sample_weight = NULL) {
  frame <- rlang::current_env()
  check_model(object, frame)
  check_compiled(object, frame)
  out <- bridge_do(
    "test_on_batch",
    model = object,
    x = batch_arg(object, x, frame), y = as_data_arg(class_numbers(object, y, "y", frame), "y", frame),
    sample_weight = as_data_arg(sample_weight, "sample_weight", frame),
    call = frame
  )
  lapply(out, as.numeric)
}

#' @rdname train_on_batch
#' @export
predict_on_batch <- function(object, x) {
  frame <- rlang::current_env()
  check_model(object, frame)
  bridge_do("predict_on_batch", model = object, x = batch_arg(object, x, frame), call = frame)
}

batch_arg <- function(model, x, call, na = "refuse") {
  as_data_arg(prepare_x(model, x, model_schema_json(model), "x", call, na), "x", call, na)
}

#' Compile the prediction of a model in advance
#'
#' The first prediction of a model takes a second or more, because its computation is compiled then. A server
#' calls this once when it starts: later predictions answer at once.
#'
#' @param object A model that knows its inputs.
#' @param rows How many rows later calls will have, roughly.
#' @return The model, invisibly.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' warm_up(model)
#' @export
warm_up <- function(object, rows = 1) {
  frame <- rlang::current_env()
  check_model(object, frame)
  bridge_do("warm_up", model = object, rows = as_count(rows, "rows", frame), call = frame)
  invisible(object)
}

# ---- argument checks of this room ---------------------------------------------------------------------
check_model <- function(object, call, arg = "object") {
  check_alive(object, arg, call)
  if (!is_model(object)) {
    abort_argument(arg, paste0("must be a model, not ", describe_value(object), "."), call = call)
  }
}

check_compiled <- function(object, call) {
  if (!isTRUE(py_attribute(object, "compiled"))) {
    abort_argument("object", "is not compiled.", "Say how it learns first: `compile(model, optimizer = \"adam\", loss = \"mse\")`.", call = call)
  }
}

# The epochs that a history to go on from has done.
resumed_epoch <- function(resume, initial_epoch, epochs, call) {
  if (is.null(resume)) {
    return(initial_epoch)
  }
  if (!inherits(resume, "kerasbridge_history")) {
    abort_argument("resume", paste0("must be a history that `fit()` returned, not ", describe_value(resume), "."), call = call)
  }
  if (!identical(as.double(initial_epoch), 0)) {
    abort_argument("initial_epoch", "has no meaning beside `resume`, which says how many epochs are done.", call = call)
  }
  done <- max(0L, resume$epoch)
  if (is.numeric(epochs) && length(epochs) == 1 && !is.na(epochs) && epochs <= done) {
    abort_argument(
      "epochs", sprintf("is %s, but %d epochs are done: nothing is left.", format(epochs), done),
      "`epochs` is the number of the last epoch, not how many to add.", call = call
    )
  }
  done
}

as_count <- function(x, arg, call, least = 1) {
  if (is.null(x)) {
    return(NULL)
  }
  x <- as_int_arg(x, arg, call)
  if (is.integer(x) && x < least) {
    abort_argument(arg, sprintf("must be at least %d, not %d.", least, x), call = call)
  }
  x
}

# A number of steps; a fraction such as nrow(x) / 128 is rounded up, so that every row is used.
as_steps <- function(x, arg, call) {
  if (is.null(x)) {
    return(NULL)
  }
  x <- as_num_arg(x, arg, call)
  if (!is.finite(x) || x <= 0) {
    abort_argument(arg, "must be a positive number.", call = call)
  }
  as.integer(ceiling(x))
}

check_fraction <- function(x, arg, call) {
  if (!is.numeric(x) || length(x) != 1 || is.na(x) || x < 0 || x >= 1) {
    abort_argument(arg, paste0("must be a number from 0 up to, not including, 1, not ", describe_value(x), "."), call = call)
  }
}

as_verbose <- function(x, call) {
  if (!isTRUE(getOption("kerasbridge.progress", TRUE))) {
    return(0L)
  }
  if (identical(x, "auto")) {
    return(if (shows_progress()) 1L else 2L)
  }
  if (length(x) != 1 || is.na(x) || !x %in% 0:2) {
    abort_argument("verbose", paste0("must be \"auto\", 0, 1 or 2, not ", describe_value(x), "."), call = call)
  }
  as.integer(x)
}

# Whether a line can be overwritten where output goes: a terminal, RStudio or Positron.
shows_progress <- function() interactive() && cli::is_dynamic_tty(stdout()) || isatty(stdout())

r_output <- function() {
  tagged(\(text) {
    cat(text)
    utils::flush.console()
    NULL
  }, "output", terminal = shows_progress(), width = as.integer(getOption("width")))
}

as_callbacks_arg <- function(x, call) {
  if (is.null(x)) {
    return(NULL)
  }
  items <- if (is_python(x) || is_hook_list(x) || inherits(x, "KerasCallback")) list(x) else x
  items <- lapply(items, \(item) {
    if (is_hook_list(item) || inherits(item, "KerasCallback")) callback_from_r(item, call) else item
  })
  for (item in items) {
    if (!inherits(item, "kerasbridge_callback")) {
      abort_argument("callbacks", paste0("must hold callbacks, not ", describe_value(item), "."), "Callbacks come from `callback_*()` functions.", call = call)
    }
  }
  tagged(unname(as.list(items)), "list")
}
