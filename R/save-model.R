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
#' @param custom_objects Named list: name -> class or function, for parts that Keras does not have.
#' @param compile `FALSE` leaves loss, metrics and optimizer out.
#' @param safe_mode `FALSE` allows Python code that is stored in the file to run: only for files whose
#'   maker you trust.
#' @param cached `TRUE` gives the very object again that the file was loaded to before, if the file hasn't
#'   changed since: for servers that ask for a model with every request. What is done to it, is done to
#'   all.
#' @param ... Not used; refused.
#' @return `save_model()`: the path, invisibly. `load_model()`: the model.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' path <- tempfile(fileext = ".keras")
#' save_model(model, path)
#' load_model(path)
#' @export
save_model <- function(model, filepath, overwrite = FALSE, include_optimizer = TRUE, ...) {
  frame <- rlang::current_env()
  rlang::check_dots_empty()
  check_model(model, frame, "model")
  out <- bridge_do(
    "save_model", model = model, filepath = as_path_arg(filepath, "filepath", frame),
    overwrite = as_bool_arg(overwrite, "overwrite", frame),
    include_optimizer = as_bool_arg(include_optimizer, "include_optimizer", frame), call = frame
  )
  invisible(out)
}

#' @rdname save_model
#' @export
load_model <- function(filepath, custom_objects = NULL, compile = TRUE, safe_mode = TRUE, cached = FALSE) {
  frame <- rlang::current_env()
  cached <- as_bool_arg(cached, "cached", frame)
  if (cached && !is.null(known <- cached_model(filepath, custom_objects, compile, safe_mode))) {
    return(known)
  }
  model <- bridge_do(
    "load_model", filepath = as_path_arg(filepath, "filepath", frame),
    custom_objects = as_custom_objects_arg(custom_objects, "custom_objects", frame),
    compile = as_bool_arg(compile, "compile", frame), safe_mode = as_bool_arg(safe_mode, "safe_mode", frame),
    call = frame
  )
  if (is_model(model)) {
    keep_fresh(model)
  }
  if (cached) {
    remember_model(model, filepath, custom_objects, compile, safe_mode)
  }
  model
}

# Models that were loaded with `cached = TRUE`, by file and arguments; a file that has changed since counts
# as another.
cache_key <- function(filepath, custom_objects, compile, safe_mode) {
  info <- file.info(path.expand(filepath), extra_cols = FALSE)
  place <- normalizePath(filepath, mustWork = FALSE)
  paste(place, format(info$size, digits = 20), format(as.numeric(info$mtime), digits = 20), compile, safe_mode, rlang::hash(custom_objects))
}

cached_model <- function(...) {
  found <- the$loaded_models[[cache_key(...)]]
  if (!is.null(found) && !is_dead(found)) found
}

remember_model <- function(model, filepath, ...) {
  place <- paste0(normalizePath(filepath, mustWork = FALSE), " ")
  the$loaded_models <- the$loaded_models[!startsWith(names(the$loaded_models) %||% character(), place)]
  the$loaded_models[[cache_key(filepath, ...)]] <- model
}
