# Files that only Keras 2 can read.

#' Let Keras 2 convert a model's file
#'
#' [load_model()] reads what Keras 2.1 to 2.15 wrote, but for a few things that have no counterpart today
#' (its error says so). `convert_model()` lets Keras 2 itself read such a file, in a process of its own, and
#' write it as a SavedModel folder, which [load_model()] opens for inference.
#'
#' Without `python`, the package tf-keras is installed from PyPI into a temporary folder, used once with
#' this environment's TensorFlow, and removed.
#'
#' @param filepath File of an older Keras, `.h5` or `.keras`.
#' @param output Path of the SavedModel folder to write.
#' @param python Path of a Python interpreter that has Keras 2: TensorFlow up to 2.15, or tf-keras. Byte code
#'   in the file needs the version of Python that wrote it.
#' @param code Path of a Python file that defines the classes and functions which the model needs; `keras`
#'   is defined there. It runs.
#' @param allow `"lambda"` lets byte code in the file run: only for files whose maker you trust.
#' @param overwrite Replace a SavedModel that is there.
#' @param timeout Seconds after which Keras 2 is stopped.
#' @return The path of the folder, invisibly.
#' @seealso [load_model()]
#' @examples
#' \dontrun{
#' folder <- convert_model("old.h5", "old-model", code = "my_layers.py")
#' predict(load_model(folder), x)
#' }
#' @export
convert_model <- function(filepath, output, python = NULL, code = NULL, allow = NULL, overwrite = FALSE, timeout = 1800) {
  frame <- rlang::current_env()
  out <- bridge_do(
    "convert_model", filepath = as_path_arg(filepath, "filepath", frame), output = as_path_arg(output, "output", frame),
    python = if (!is.null(python)) as_path_arg(python, "python", frame),
    code = if (!is.null(code)) as_path_arg(code, "code", frame), allow = as_allow_arg(allow, frame),
    overwrite = as_bool_arg(overwrite, "overwrite", frame), timeout = as_limit_arg(timeout, "timeout", frame),
    call = frame
  )
  invisible(out)
}
