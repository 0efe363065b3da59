# Weights alone: to files of several layouts and back, by position or by layer name.

#' Save and load the weights alone
#'
#' The ending of the path chooses the layout; reading tells it by content.
#'
#' | ending | layout |
#' |---|---|
#' | `.weights.h5` | of Keras 3, with the optimizer's state |
#' | `.h5`, `.hdf5` | of Keras 1 and 2: arrays by layer name |
#' | `.safetensors` | arrays by `layer/weight`, for and from other programs; needs the Python package safetensors |
#' | `.weights.json` | of Keras 3 in several files, none above `max_shard_size` |
#'
#' Weights can also be taken from a whole model (`.keras`, `.h5`). Every file is looked at before a value is
#' read, and compared with the checksums that `save_model_weights()` writes into it; weights that are not
#' numbers (NaN) are a warning.
#'
#' Safetensors of other programs list no layers. Their arrays are told by name (`dense/kernel`,
#' `dense/kernel:0`, `model.encoder.dense.kernel`), then, unless `by_name = TRUE`, by the numbers in the names and
#' by shape, with a warning that says which went where. Two layers that could have the same array are an error
#' that names both, and so are matrices of PyTorch, whose axes are in another order.
#'
#' `by_name = TRUE` loads into a model that is built otherwise: each layer whose name is in the file gets
#' those weights, others stay as they are. `loaded_weights()` then says what became of each layer. It is an
#' error if none was loaded.
#'
#' A load that fails leaves the model as it was. Up to 32 MB a copy of its values is kept meanwhile. What is
#' larger is compared with the model, and with its checksums, before the first value is written; if you
#' stop the writing itself with Ctrl-C, a warning says that the model is half loaded. Values of type bfloat16
#' are kept in every format, in `.h5` as float32. A vocabulary that [adapt()] learnt is no weight: files of whole
#' models have it.
#'
#' @param object A model.
#' @param filepath Path of the file.
#' @param overwrite Replace an existing file.
#' @param max_shard_size Greatest size of one file in GB, for a path that ends in `.weights.json` (5 by
#'   default there).
#' @param skip_mismatch Leave layers as they are whose weights in the file have another shape, instead
#'   of an error.
#' @param by_name Load only into layers whose name is in the file.
#' @param allow `"changed"` takes a file whose parts don't fit their checksum.
#' @param max_size Number of bytes that the content of the file may have; by default 256 MiB, for larger
#'   files 20 times their size.
#' @param ... Not used; refused.
#' @return `save_model_weights()`: the path, invisibly. `load_model_weights()`: the model, invisibly.
#'   `loaded_weights()`: a data frame of class `kerasbridge_weights_report` with a row for each layer that
#'   has weights: `layer`, `status` (`"loaded"`, `"skipped"`: not alike, `"missing"`: not in the file,
#'   `"unused"`: in the file alone), `weights` (number of arrays) and `reason`; `NULL` if nothing was loaded.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1, name = "out")
#' path <- tempfile(fileext = ".weights.h5")
#' save_model_weights(model, path)
#' deeper <- keras_model_sequential(input_shape = 2) |> layer_dense(2) |> layer_dense(1, name = "out")
#' load_model_weights(deeper, path, by_name = TRUE, skip_mismatch = TRUE) |> try()
#' load_model_weights(model, path)
#' loaded_weights(model)
#' @export
save_model_weights <- function(object, filepath, overwrite = FALSE, ..., max_shard_size = NULL) {
  frame <- rlang::current_env()
  rlang::check_dots_empty()
  check_model(object, frame)
  out <- bridge_do(
    "save_weights", model = object, filepath = as_path_arg(filepath, "filepath", frame),
    overwrite = as_bool_arg(overwrite, "overwrite", frame),
    max_shard_size = convert_arg(max_shard_size, "num", "max_shard_size", frame), call = frame
  )
  invisible(out)
}

#' @rdname save_model_weights
#' @export
load_model_weights <- function(object, filepath, skip_mismatch = FALSE, ..., by_name = FALSE, allow = NULL,
                               max_size = NULL) {
  frame <- rlang::current_env()
  rlang::check_dots_empty()
  read_weights(object, filepath, skip_mismatch, by_name, frame, allow, max_size)
}

#' @rdname save_model_weights
#' @export
loaded_weights <- function(object) {
  frame <- rlang::current_env()
  check_model(object, frame)
  get0("kerasbridge_loaded", envir = reference_of(object), inherits = FALSE)
}

read_weights <- function(object, filepath, skip_mismatch, by_name, frame, allow = NULL, max_size = NULL) {
  check_model(object, frame)
  drop_kept(object, "loading weights into it did not come to an end")
  report <- bridge_do(
    "load_weights", model = object, filepath = as_path_arg(filepath, "filepath", frame),
    skip_mismatch = as_bool_arg(skip_mismatch, "skip_mismatch", frame),
    by_name = as_bool_arg(by_name, "by_name", frame), allow = as_allow_arg(allow, frame),
    max_size = as_limit_arg(max_size, "max_size", frame), call = frame
  )
  weights_loaded(object, report)
}

# The model, with the report at hand for `loaded_weights()`; says what a person should know.
weights_loaded <- function(object, report) {
  assign("kerasbridge_loaded", new_weights_report(report), envir = reference_of(object))
  warn_notes(report$notes)
  keep_fresh(object)
}

warn_notes <- function(notes) {
  for (note in notes) {
    rlang::warn(note, class = "kerasbridge_warning")
  }
}

new_weights_report <- function(columns) {
  structure(
    data.frame(
      layer = as.character(unlist(columns$layer)), status = as.character(unlist(columns$status)),
      weights = as.integer(unlist(columns$weights)), reason = as.character(unlist(columns$reason))
    ),
    class = c("kerasbridge_weights_report", "data.frame")
  )
}

#' @export
print.kerasbridge_weights_report <- function(x, ...) {
  own <- x[x$status != "unused", , drop = FALSE]
  cat(sprintf("Weights loaded into %d of %d layers\n", sum(own$status == "loaded"), nrow(own)))
  rest <- x[x$status != "loaded", , drop = FALSE]
  cat(sprintf("  %s %s: %s\n", format(rest$layer), format(rest$status), rest$reason), sep = "")
  invisible(x)
}
