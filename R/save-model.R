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
load_model <- function(filepath, custom_objects = NULL, compile = TRUE, safe_mode = TRUE) {
  frame <- rlang::current_env()
  bridge_do(
    "load_model", filepath = as_path_arg(filepath, "filepath", frame),
    custom_objects = as_custom_objects_arg(custom_objects, "custom_objects", frame),
    compile = as_bool_arg(compile, "compile", frame), safe_mode = as_bool_arg(safe_mode, "safe_mode", frame),
    call = frame
  )
}

#' Save and load the weights alone
#'
#' @param object A model.
#' @param filepath Path ending in `.weights.h5`, or in `.h5` for the older layout that goes by layer name.
#' @param overwrite Replace an existing file.
#' @param skip_mismatch Leave layers as they are whose weights in the file have another shape, instead
#'   of an error.
#' @param ... Not used; refused.
#' @return `save_model_weights()`: the path, invisibly. `load_model_weights()`: the model, invisibly.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' path <- tempfile(fileext = ".weights.h5")
#' save_model_weights(model, path)
#' load_model_weights(model, path)
#' @export
save_model_weights <- function(object, filepath, overwrite = FALSE, ...) {
  frame <- rlang::current_env()
  rlang::check_dots_empty()
  check_model(object, frame)
  out <- bridge_do(
    "save_weights", model = object, filepath = as_path_arg(filepath, "filepath", frame),
    overwrite = as_bool_arg(overwrite, "overwrite", frame), call = frame
  )
  invisible(out)
}

#' @rdname save_model_weights
#' @export
load_model_weights <- function(object, filepath, skip_mismatch = FALSE, ...) {
  frame <- rlang::current_env()
  rlang::check_dots_empty()
  check_model(object, frame)
  bridge_do(
    "load_weights", model = object, filepath = as_path_arg(filepath, "filepath", frame),
    skip_mismatch = as_bool_arg(skip_mismatch, "skip_mismatch", frame), call = frame
  )
  invisible(object)
}
