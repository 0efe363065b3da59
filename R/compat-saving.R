# Persistence under the names of the older package, thin over today's functions.

#' Saving and loading under older names
#'
#' These do what they always did, through [save_model()], [load_model()], [save_model_weights()] and
#' [load_model_weights()], which new code should use. Unlike those they replace an existing file unless
#' `overwrite = FALSE`.
#'
#' * `save_model_hdf5()`, `load_model_hdf5()`: a whole model in one HDF5 file.
#' * `save_model_tf()`, `load_model_tf()`: a SavedModel folder. The one that `save_model_tf()` writes
#'   also holds the whole model, so that training can go on after loading. A folder made elsewhere loads
#'   for inference: `predict()` works and training is refused.
#' * `save_model_weights_hdf5()`, `load_model_weights_hdf5()`: the weights alone. A path ending in `.h5`
#'   or `.hdf5` gets the layout by layer name (for `by_name = TRUE`), one ending in `.weights.h5` that
#'   of Keras 3. Reading tells them apart by content.
#' * `save_model_weights_tf()`, `load_model_weights_tf()`: the weights as a TensorFlow checkpoint, with the
#'   optimizer's state. The state of another optimizer stays in the file, with a warning.
#' * `serialize_model()`, `unserialize_model()`: a whole model as a raw vector, to be kept in an `.rds`
#'   file or sent to another process.
#'
#' @param object,model A model; for `unserialize_model()` a raw vector.
#' @param filepath Path of the file, or of the folder.
#' @param overwrite Replace what is there.
#' @param include_optimizer `FALSE` leaves the optimizer's state out.
#' @param signatures,options Not supported any more; anything but `NULL` is refused.
#' @param custom_objects Named list: name -> class or function.
#' @param compile `FALSE` leaves loss, metrics and optimizer out.
#' @param allow What is permitted although it is not safe, as for [load_model()].
#' @param by_name Load only into layers whose name is in the file.
#' @param skip_mismatch Leave layers alone whose weights in the file have another shape.
#' @param reshape Not supported any more; `TRUE` is refused.
#' @return `save_*()`: the path, invisibly. `load_model_*()` and `unserialize_model()`: the model.
#'   `load_model_weights_*()`: the model, changed, invisibly; [loaded_weights()] says what was loaded. `serialize_model()`: a raw vector.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' bytes <- serialize_model(model)
#' unserialize_model(bytes)
#' @name saving-older
NULL

#' @rdname saving-older
#' @export
save_model_hdf5 <- function(object, filepath, overwrite = TRUE, include_optimizer = TRUE) {
  frame <- rlang::current_env()
  check_model(object, frame)
  path <- as_path_arg(filepath, "filepath", frame)
  if (!grepl("\\.(h5|hdf5|keras)$", path)) {
    abort_argument("filepath", "must end in .h5 or .hdf5.", call = frame)
  }
  out <- bridge_do(
    "save_model", model = object, filepath = path, overwrite = as_bool_arg(overwrite, "overwrite", frame),
    include_optimizer = as_bool_arg(include_optimizer, "include_optimizer", frame), call = frame
  )
  invisible(out)
}

#' @rdname saving-older
#' @export
load_model_hdf5 <- function(filepath, custom_objects = NULL, compile = TRUE, allow = NULL) {
  load_model(filepath, custom_objects = custom_objects, compile = compile, allow = allow)
}

#' @rdname saving-older
#' @export
save_model_tf <- function(object, filepath, overwrite = TRUE, include_optimizer = TRUE, signatures = NULL, options = NULL) {
  frame <- rlang::current_env()
  check_model(object, frame)
  if (!is.null(signatures) || !is.null(options)) {
    abort_argument(
      if (is.null(options)) "signatures" else "options", "is not supported by today's Keras.",
      "For several endpoints see `export_archive()`.", call = frame
    )
  }
  out <- bridge_do(
    "save_model_tf", model = object, filepath = as_path_arg(filepath, "filepath", frame),
    overwrite = as_bool_arg(overwrite, "overwrite", frame),
    include_optimizer = as_bool_arg(include_optimizer, "include_optimizer", frame), call = frame
  )
  invisible(out)
}

#' @rdname saving-older
#' @export
load_model_tf <- function(filepath, custom_objects = NULL, compile = TRUE, allow = NULL) {
  frame <- rlang::current_env()
  model <- bridge_do(
    "load_model_tf", filepath = as_path_arg(filepath, "filepath", frame),
    custom_objects = as_custom_objects_arg(custom_objects, "custom_objects", frame),
    compile = as_bool_arg(compile, "compile", frame), allow = as_allow_arg(allow, frame), call = frame
  )
  model_loaded(model, frame)
  model
}

#' @rdname saving-older
#' @export
save_model_weights_hdf5 <- function(object, filepath, overwrite = TRUE) {
  save_model_weights(object, filepath, overwrite = overwrite)
}

#' @rdname saving-older
#' @export
load_model_weights_hdf5 <- function(object, filepath, by_name = FALSE, skip_mismatch = FALSE, reshape = FALSE, allow = NULL) {
  frame <- rlang::current_env()
  if (as_bool_arg(reshape, "reshape", frame)) {
    abort_argument("reshape", "is not supported by today's Keras.", "Reshape the arrays and use `set_weights()`.", call = frame)
  }
  read_weights(object, filepath, skip_mismatch, by_name, frame, allow)
}

#' @rdname saving-older
#' @export
save_model_weights_tf <- function(object, filepath, overwrite = TRUE) {
  frame <- rlang::current_env()
  check_model(object, frame)
  out <- bridge_do(
    "save_weights_tf", model = object, filepath = as_path_arg(filepath, "filepath", frame),
    overwrite = as_bool_arg(overwrite, "overwrite", frame), call = frame
  )
  invisible(out)
}

#' @rdname saving-older
#' @export
load_model_weights_tf <- function(object, filepath) {
  frame <- rlang::current_env()
  check_model(object, frame)
  drop_kept(object, "loading weights into it did not come to an end")
  report <- bridge_do("load_weights_tf", model = object, filepath = as_path_arg(filepath, "filepath", frame), call = frame)
  weights_loaded(object, report)
}

#' @rdname saving-older
#' @export
serialize_model <- function(model, include_optimizer = TRUE) {
  frame <- rlang::current_env()
  check_model(model, frame, "model")
  bridge_do(
    "model_to_bytes", model = model,
    include_optimizer = as_bool_arg(include_optimizer, "include_optimizer", frame), call = frame
  )
}

#' @rdname saving-older
#' @export
unserialize_model <- function(model, custom_objects = NULL, compile = TRUE, allow = NULL) {
  frame <- rlang::current_env()
  if (!is.raw(model)) {
    abort_argument("model", paste0("must be a raw vector from `serialize_model()`, not ", describe_value(model), "."), call = frame)
  }
  model <- bridge_do(
    "model_from_bytes", content = as_bytes(model),
    custom_objects = as_custom_objects_arg(custom_objects, "custom_objects", frame),
    compile = as_bool_arg(compile, "compile", frame), allow = as_allow_arg(allow, frame), call = frame
  )
  model_loaded(model, frame)
  model
}

#' SavedModel folders: a model for serving
#'
#' `export_savedmodel()` (and `model_to_saved_model()`, its older name) writes the computation of a model
#' for TensorFlow Serving and the like. `model_from_saved_model()` reads such a folder for inference:
#' `predict()` works on the result, training does not.
#'
#' @param object A model that knows its input shape.
#' @param export_dir_base,saved_model_path Path of the folder.
#' @param overwrite Replace a SavedModel that is there.
#' @param verbose Say what is written?
#' @param custom_objects Must be `NULL`: a SavedModel needs none.
#' @param endpoint Name of the endpoint; by default the one for serving.
#' @param allow `"saved_model"` permits operations that reach files, the network or Python, `"vocabulary"`
#'   tables read from a file that is no asset of the folder. Both are refused by default, with the name of
#'   the function they stand in.
#' @param ... Not used; refused.
#' @return `export_savedmodel()` and `model_to_saved_model()`: the path, invisibly.
#'   `model_from_saved_model()`: an object with a method for [predict()].
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' folder <- tempfile()
#' export_savedmodel(model, folder)
#' model_from_saved_model(folder)
#' @export
export_savedmodel <- function(object, export_dir_base, ..., overwrite = TRUE, verbose = FALSE) {
  frame <- rlang::current_env()
  rlang::check_dots_empty()
  check_model(object, frame)
  out <- bridge_do(
    "export_saved_model", model = object, filepath = as_path_arg(export_dir_base, "export_dir_base", frame),
    overwrite = as_bool_arg(overwrite, "overwrite", frame), verbose = as_bool_arg(verbose, "verbose", frame), call = frame
  )
  invisible(out)
}

#' @rdname export_savedmodel
#' @export
model_to_saved_model <- function(object, saved_model_path, ...) export_savedmodel(object, saved_model_path, ...)

#' @rdname export_savedmodel
#' @export
model_from_saved_model <- function(saved_model_path, custom_objects = NULL, endpoint = NULL, allow = NULL) {
  frame <- rlang::current_env()
  if (!is.null(custom_objects)) {
    abort_argument("custom_objects", "has no meaning here: a SavedModel holds all computation.", call = frame)
  }
  model <- bridge_do(
    "load_saved_model", filepath = as_path_arg(saved_model_path, "saved_model_path", frame),
    endpoint = convert_arg(endpoint, "string", "endpoint", frame), allow = as_allow_arg(allow, frame), call = frame
  )
  model_loaded(model, frame)
  model
}

#' @export
predict.kerasbridge_saved_model <- function(object, x, ..., batch_size = NULL) {
  frame <- rlang::current_env()
  extra_args(list(...), c(verbose = "any"), frame)
  out <- bridge_method(
    object, "predict", list(as_data_arg(x, "x", frame), batch_size = as_count(batch_size, "batch_size", frame)), call = frame
  )
  keep_row_names(out, x)
}

saved_model_refusal <- function(object, what, frame) {
  abort_kind(
    "unsupported", paste0("A SavedModel holds the computation only: it predicts and can't be ", what, "."),
    i = "Use the model it was made from, saved with `save_model()`.", argument = "object", call = frame
  )
}

#' @export
fit.kerasbridge_saved_model <- function(object, ...) saved_model_refusal(object, "trained", rlang::current_env())

#' @export
evaluate.kerasbridge_saved_model <- function(object, ...) saved_model_refusal(object, "evaluated", rlang::current_env())

#' @export
compile.kerasbridge_saved_model <- function(object, ...) saved_model_refusal(object, "compiled", rlang::current_env())
