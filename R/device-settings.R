# keras_settings(): which backend, from where, and what else Keras' own file of settings says.

#' Keras' settings and where they come from
#'
#' The backend is decided by the first of: [use_backend()] in this session, the environment variable `KERAS_BACKEND`, the
#' environment that Python runs in (if it was made for another backend than TensorFlow), the file `keras.json`, and
#' TensorFlow if nothing says otherwise. The file lies in the folder that the environment variable `KERAS_HOME` names,
#' else in `~/.keras`. This shows what won. Python is started for it, Keras is not.
#'
#' @return A list of class `kerasbridge_settings`: `backend` and `source` (what decided it), `running` (the backend in
#'   use, `NULL` before Keras has started), `home` and `home_source`, `file`, `file_there`, `content` (what is in the
#'   file, a list), `overruled` (settings that don't count, and why), `problem` (`""` if all is well).
#' @seealso [use_backend()].
#' @examplesIf is_keras_available()
#' keras_settings()
#' @export
keras_settings <- function() {
  out <- bridge_look("keras_settings", call = rlang::current_env())
  by <- the$backend_by
  if (!is.null(by) && identical(out$backend, Sys.getenv("KERAS_BACKEND"))) {
    out$source <- by
  }
  out$overruled <- as.character(unlist(out$overruled))
  structure(out, class = "kerasbridge_settings")
}

#' @export
format.kerasbridge_settings <- function(x, ...) {
  values <- x$content[names(x$content) != "backend"]
  c(
    sprintf("Backend: %s, from %s", x$backend, x$source),
    if (!is.null(x$running)) paste0("Running: ", x$running),
    sprintf("Folder:  %s, from %s", x$home, x$home_source),
    sprintf("File:    %s%s", x$file, if (x$file_there) "" else " (not there: Keras' defaults)"),
    if (length(values)) paste0("  ", names(values), ": ", vapply(values, \(v) paste(format(v), collapse = " "), "")),
    if (length(x$overruled)) paste0("Not in effect: ", x$overruled),
    if (nzchar(x$problem)) paste0("Problem: ", x$problem)
  )
}

#' @export
print.kerasbridge_settings <- function(x, ...) {
  writeLines(format(x, ...))
  invisible(x)
}
