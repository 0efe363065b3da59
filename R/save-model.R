# Whole models and weights to files and back; the engine writes and reads.

#' Save and load a model
#'
#' The file holds the architecture, the weights, how the model was compiled and the optimizer's
#' state, so that training goes on where it stopped. It opens in R and in Python alike: there with
#' `keras.saving.load_model(path)`.
#'
#' The file is written beside its target and renamed when it is whole: an existing file is replaced
#' at once or not at all.
#'
#' @param model A model.
#' @param filepath Path ending in `.keras` (the better choice), `.h5` or `.hdf5`.
#' @param overwrite Replace an existing file.
#' @param include_optimizer `FALSE` leaves the optimizer's state out.
#' @param format `"keras"` or `"h5"`, for a name with another ending. [load_model()] tells the format by content; Keras
#'   in Python goes by the ending.
#' @param custom_objects Named list: name -> class or function, for parts that Keras does not have.
#' @param compile `FALSE` leaves loss, metrics and optimizer out.
#' @param safe_mode `FALSE` allows everything that `allow` can allow: only for files whose maker you
#'   trust.
#' @param allow What is permitted for this one load although it is not safe, one or more of `"lambda"`
#'   (Python byte code in the file runs), `"pickle"` (PyTorch modules, which run code when read),
#'   `"saved_model"` (layers that load a SavedModel from elsewhere; operations of a SavedModel that reach
#'   files, the network or Python), `"vocabulary"` (a vocabulary read from a file of this computer),
#'   `"changed"` (parts that don't fit their checksum) and `"python_code"` (source of custom classes written
#'   in Python runs that the file holds and this session lacks; it is shown first).
#' @param r_code `TRUE` runs the R code of classes that the file holds and this session lacks; it is shown
#'   first.
#' @param max_size Number of bytes that the content of the file and the model may have. By default 256
#'   MiB, for larger files 20 times their size, and for the model's variables 64 MiB beyond five times the
#'   weights that the file stores.
#' @param max_layers Number of layers from which on a model is refused; 10,000 by default.
#' @param cached `TRUE` gives the very object again that the file was loaded to before, if the file hasn't
#'   changed since: for servers that ask for a model with every request. What is done to it, is done to
#'   all.
#' @param ... Not used; refused.
#' @section Safety:
#' A file is looked at as a whole before anything is built of it. Refused, with an error of class
#' `kerasbridge_error_unsafe_file` that names the part, the layer and the argument that permits it, are
#' Python byte code, functions that don't belong into a model, files that lead to other files, and sizes
#' that lie. Nothing is imported because a file names it. Damage is found by the checksums that
#' `save_model()` writes.
#'
#' @section What travels along:
#' The schema of the data that the model was trained on, with the levels of factors, the [history][model_history()] of the last
#' `fit()`, and for classes made by [Layer()] and its kin where they come from. Their R code travels too,
#' with the functions of the workspace that it uses, unless a package defines them. A class that the
#' session or a loaded package defines is found by itself; else give it in `custom_objects`, or say
#' `r_code = TRUE`. What [adapt()] learnt travels in both formats; a model that is a class of its own, and was built by
#' its first call, is built again from both. (Keras' own `.h5` files hold neither.) A layer that learnt words can be
#' adapted anew after loading from `.keras`, not from `.h5`.
#'
#' @section Without R:
#' What a layer or model written in R computes is written down in the file too, as operations of Keras, where
#' that is possible: its `call()` is followed once on symbolic tensors while the model is saved, and compared
#' with the layer. Such a file loads where the class is not to be had: in Python with
#' `kerasbridge.saving.load_model(path)`, and in R. It predicts and trains like the original. Not possible is
#' it for code that draws random numbers, looks at the values of tensors, changes weights while it runs, or
#' goes past `op_*()` functions, layers and tensor arithmetic; then Python says which layer needs R, and
#' why. The same is done for plain functions (activations, losses, metrics, regularizers, constraints,
#' initializers, schedules, those of [layer_lambda()]) and for classes made by [Loss()], [Regularizer()],
#' [Constraint()], [Initializer()] and [LearningRateSchedule()], for the shapes that they were used with.
#' Classes of [Metric()] and [Optimizer()] change weights: they always need R, and in Python `compile=False`
#' leaves them out.
#'
#' @return `save_model()`: the path, invisibly. `load_model()`: the model; of a SavedModel folder an
#'   object that predicts and can't be trained.
#' @seealso [inspect_model()] to look into a file.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' path <- tempfile(fileext = ".keras")
#' save_model(model, path)
#' load_model(path)
#' @export
save_model <- function(model, filepath, overwrite = FALSE, include_optimizer = TRUE, ..., format = NULL) {
  frame <- rlang::current_env()
  rlang::check_dots_empty()
  check_model(model, frame, "model")
  out <- bridge_do(
    "save_model", model = model, filepath = as_path_arg(filepath, "filepath", frame),
    overwrite = as_bool_arg(overwrite, "overwrite", frame),
    include_optimizer = as_bool_arg(include_optimizer, "include_optimizer", frame),
    format = if (!is.null(format)) as_string_arg(format, "format", frame), call = frame
  )
  invisible(out)
}

#' @rdname save_model
#' @export
load_model <- function(filepath, custom_objects = NULL, compile = TRUE, safe_mode = TRUE, allow = NULL,
                       r_code = FALSE, max_size = NULL, max_layers = NULL, cached = FALSE) {
  frame <- rlang::current_env()
  path <- as_path_arg(filepath, "filepath", frame)
  r_code <- as_bool_arg(r_code, "r_code", frame)
  cached <- as_bool_arg(cached, "cached", frame)
  settings <- list(custom_objects, compile, safe_mode, allow, r_code, max_size, max_layers)
  if (cached && !is.null(known <- cached_model(path, settings))) {
    return(known)
  }
  model <- bridge_do(
    "load_model", filepath = path, custom_objects = objects_for_file(path, custom_objects, r_code, allow, frame),
    compile = as_bool_arg(compile, "compile", frame), safe_mode = as_bool_arg(safe_mode, "safe_mode", frame),
    allow = as_allow_arg(allow, frame), max_size = as_limit_arg(max_size, "max_size", frame),
    max_layers = as_limit_arg(max_layers, "max_layers", frame), call = frame
  )
  model_loaded(model, frame)
  if (cached) {
    remember_model(model, path, settings)
  }
  model
}

# A model that came from a file: says what a person should know of it.
model_loaded <- function(model, frame) {
  details <- bridge_do("model_details", model = model, call = frame)
  warn_notes(details$notes)
  if (length(details$stand_ins)) {
    note_stand_ins(unlist(details$stand_ins))
  }
  if (is_model(model)) keep_fresh(model) else invisible(model)
}

# Classes and functions of which the file holds what they compute, and which this session lacks.
note_stand_ins <- function(classes) {
  rlang::inform(
    c(
      i = sprintf("This session lacks %s: what %s compute%s is taken from the file.", paste0("'", classes, "'", collapse = ", "),
                  if (length(classes) > 1) "they" else "it", if (length(classes) > 1) "" else "s"),
      i = "For the R code itself define it first, or say `r_code = TRUE`."
    ),
    class = "kerasbridge_note"
  )
}

as_allow_arg <- function(x, call) {
  if (!is.null(x) && (!is.character(x) || anyNA(x))) {
    abort_argument("allow", paste0("must be one or more texts, not ", describe_value(x), "."), call = call)
  }
  tagged(as.list(x), "list")
}

as_limit_arg <- function(x, arg, call) {
  if (is.null(x)) {
    return(NULL)
  }
  x <- as_num_arg(x, arg, call)
  if (!is.finite(x) || x < 1) {
    abort_argument(arg, "must be a positive number.", call = call)
  }
  x
}

#' The history that a model carries
#'
#' The course of the last `fit()`. It is saved with the model and there again after [load_model()].
#'
#' @param object A model.
#' @return A history, as [fit()][fit.kerasbridge_model] returns it; `NULL` for a model that was not trained.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
#' model |> compile(optimizer = "sgd", loss = "mse")
#' model |> fit(c(1, 2), c(2, 4), epochs = 2, verbose = 0)
#' model_history(model)
#' @export
model_history <- function(object) {
  frame <- rlang::current_env()
  check_model(object, frame)
  held <- bridge_do("model_details", model = object, call = frame)$history
  if (is.null(held)) NULL else new_history(held)
}

# Models that were loaded with `cached = TRUE`, by file and arguments; a file that has changed since counts
# as another.
cache_key <- function(path, settings) {
  info <- file.info(path, extra_cols = FALSE)
  stamp <- format(c(info$size, as.numeric(info$mtime)), digits = 20)
  paste(c(normalizePath(path, mustWork = FALSE), stamp, rlang::hash(settings)), collapse = " ")
}

cached_model <- function(path, settings) {
  found <- the$loaded_models[[cache_key(path, settings)]]
  if (!is.null(found) && !is_dead(found)) found
}

remember_model <- function(model, path, settings) {
  place <- paste0(normalizePath(path, mustWork = FALSE), " ")
  the$loaded_models <- the$loaded_models[!startsWith(names(the$loaded_models) %||% character(), place)]
  the$loaded_models[[cache_key(path, settings)]] <- model
}
