# Looking into a file without loading it: no model is built and no backend starts.

#' What a model file holds
#'
#' Reads descriptions and headers only: no model is built, no weights are read and neither Keras nor a
#' backend is started. In a shell: `python -m kerasbridge.saving inspect FILE`.
#'
#' @param filepath Path of a model (`.keras`, `.h5`), of weights, of an architecture (`.json`, `.yaml`), or
#'   of the folder of a SavedModel; written by any version of Keras.
#' @param max_size Number of bytes that the content may have; by default 256 MiB, for larger files 20 times
#'   their size.
#' @param x An inspection.
#' @param ... Not used.
#' @return A list of class `kerasbridge_inspection`: `path`, `what` (kind of file), `size` (bytes),
#'   `verdict` (a sentence on safety), `safe`, `keras_version`, `backend`, `written_by` (versions), `saved`,
#'   `model`, `layers` (a data frame of `name`, `class`, `shape`, the shape it takes, and `parameters`),
#'   `parameters` and `weights` (numbers of values and of arrays), `compiled`, `optimizer`,
#'   `optimizer_state`, `loss`, `metrics`, `custom` (a data frame of the classes and functions that Keras
#'   does not have: `name`, `kind`, `origin`, `source`), `findings` (what is refused), `details` (schema,
#'   history and the like), `parts` (number of parts with a checksum). It prints as a table.
#' @seealso [load_model()]
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' path <- tempfile(fileext = ".keras")
#' save_model(model, path)
#' inspect_model(path)
#' @export
inspect_model <- function(filepath, max_size = NULL) {
  frame <- rlang::current_env()
  found <- bridge_look(
    "inspect_model", filepath = as_path_arg(filepath, "filepath", frame),
    max_size = as_limit_arg(max_size, "max_size", frame), call = frame
  )
  text <- \(rows, name) vapply(rows, \(row) as.character(row[[name]] %||% NA), "")
  found$layers <- data.frame(
    name = text(found$layers, "name"), class = text(found$layers, "class"),
    shape = vapply(found$layers, \(row) shape_text(row$shape), ""),
    parameters = vapply(found$layers, \(row) as.numeric(row$parameters %||% NA), 0)
  )
  found$custom <- data.frame(
    name = text(found$custom, "name"), kind = text(found$custom, "kind"),
    origin = text(found$custom, "origin"), source = text(found$custom, "source")
  )
  found$findings <- as.character(unlist(found$findings))
  found$metrics <- as.character(unlist(found$metrics))
  structure(found, class = "kerasbridge_inspection")
}

# "(NA, 28, 28)"; empty where the file doesn't tell
shape_text <- function(shape) {
  if (is.null(shape)) {
    return("")
  }
  axes <- vapply(as.list(shape), \(axis) if (is.null(axis)) "NA" else format(axis), "")
  paste0("(", paste(axes, collapse = ", "), ")")
}

#' @rdname inspect_model
#' @export
print.kerasbridge_inspection <- function(x, ...) {
  cat(x$text, sep = "\n")
  invisible(x)
}
