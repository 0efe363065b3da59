# Environments elsewhere: wheels for machines without a network, exact requirements, a Dockerfile.

#' Download what an installation needs, for a machine without a network
#'
#' Puts the wheels of Keras, TensorFlow and all they need into a folder. Carry it to the other machine and
#' install there with `install_kerasbridge(from = "wheels")`. The wheels fit the version of Python and the kind of
#' machine that they were downloaded on. pip's own settings (index, proxy, certificates: `PIP_INDEX_URL`,
#' `HTTPS_PROXY`, `PIP_CERT`) are respected.
#'
#' @param dir Folder to put them into; made if it is not there.
#' @inheritParams install_kerasbridge
#' @return The names of the wheels, invisibly.
#' @seealso [install_kerasbridge()]
#' @examples
#' if (interactive()) {
#'   bundle_wheels("wheels")
#' }
#' @export
bundle_wheels <- function(dir, version = NULL, gpu = FALSE, backend = "tensorflow", python = NULL) {
  frame <- rlang::current_env()
  check_install_string(dir, "dir", frame)
  check_install_flag(gpu, "gpu", frame)
  check_install_string(backend, "backend", frame)
  check_install_string(python, "python", frame, optional = TRUE)
  wishes <- c(
    "--backend", backend, "--reticulate", installed_reticulate(),
    wish_argument("--version", version, "version", frame), if (gpu) "--gpu"
  )
  interpreter <- find_interpreter(python, wishes, call = frame)
  answer <- run_environment(interpreter, c("bundle", "--to", path.expand(dir), wishes), stream = TRUE)
  if (!isTRUE(answer$ok)) {
    abort_answer(answer, frame)
  }
  invisible(strsplit(answer$wheels, "; ", fixed = TRUE)[[1]])
}

#' Write down the environment of a model
#'
#' Writes `requirements.txt`, with the exact version of every package in the Python environment in use, and a
#' `Dockerfile` that makes an image with them, with the same version of Python, and with this version of R. For the R
#' packages use renv: put its `renv.lock` beside the `Dockerfile`. An image without R needs a wheel of this package's
#' Python side, which is written too. `pip install -r requirements.txt` makes such an environment without Docker.
#'
#' @param path An existing folder.
#' @param model A model file in that folder that goes into the image.
#' @param r Whether the image has R and this package. Without R (`FALSE`) it serves the model, see
#'   [serve_model()].
#' @param overwrite Replace the files if they exist; without it nothing is written where one does.
#' @return The paths of the files, invisibly.
#' @seealso [serve_model()], [bundle_wheels()]
#' @examplesIf is_keras_available()
#' folder <- tempfile()
#' dir.create(folder)
#' write_environment(folder)
#' readLines(file.path(folder, "requirements.txt"), n = 3)
#' @export
write_environment <- function(path = ".", model = NULL, r = TRUE, overwrite = FALSE) {
  frame <- rlang::current_env()
  check_install_string(path, "path", frame)
  check_install_string(model, "model", frame, optional = TRUE)
  check_install_flag(r, "r", frame)
  check_install_flag(overwrite, "overwrite", frame)
  python <- bound_python() %||% find_environment()$python
  if (is.null(python)) {
    abort_install("There is no environment with Keras to write down.", hint = "Make one: `install_kerasbridge()`.", call = frame)
  }
  answer <- run_environment(python, c(
    "write", "--to", path.expand(path), "--python", python,
    if (!is.null(model)) c("--model", path.expand(model)),
    if (r) c("--r-version", as.character(getRversion())),
    if (overwrite) "--overwrite"
  ), stream = FALSE)
  if (!isTRUE(answer$ok)) {
    abort_kind(answer$kind %||% "install", c(answer$message, if (!is.null(answer$hint)) c(i = answer$hint)), argument = answer$argument, call = frame)
  }
  invisible(strsplit(answer$files, "; ", fixed = TRUE)[[1]])
}
