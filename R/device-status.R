# gpu_status(): is there a graphics card that Keras can use, and if not, why not.

#' Is a graphics card found, and if not, why not
#'
#' Looks at the driver, the wheel of the backend, the libraries that it opens and `CUDA_VISIBLE_DEVICES`, and names the
#' first thing that keeps the card from being used with what mends it. Keras and its backend are not started for it;
#' Python is. It takes a few seconds at most.
#'
#' @return A list of class `kerasbridge_gpu_status`: `found` (`TRUE` or `FALSE`), `reason` (`"found"`, `"no_backend"`,
#'   `"cpu_wheel"`, `"hidden"`, `"driver"`, `"library"`, `"no_driver"`, `"no_device"`, `"windows_native"`,
#'   `"no_macos_gpu"`), `message` (one sentence), `fix` (the command that mends it, or `""`), `backend`, `version` (of the
#'   backend), `driver` (version of NVIDIA's driver), `visible` (`CUDA_VISIBLE_DEVICES`) and `devices`, a list with the
#'   name and the memory of each card that the driver shows.
#' @seealso [kerasbridge_doctor()] for the whole installation, [install_kerasbridge()] with `gpu = TRUE`.
#' @examplesIf is_keras_available()
#' gpu_status()
#' @export
gpu_status <- function() {
  structure(bridge_look("gpu_status", call = rlang::current_env()), class = "kerasbridge_gpu_status")
}

#' @export
format.kerasbridge_gpu_status <- function(x, ...) {
  cards <- vapply(x$devices, \(card) paste(unlist(card), collapse = ", "), "")
  c(
    paste0(if (x$found) "Graphics card: found. " else "Graphics card: not used. ", x$message),
    if (nzchar(x$fix)) paste0("What to do: ", x$fix),
    if (length(cards)) paste0("Card ", seq_along(cards), ": ", cards),
    if (length(x$driver)) paste0("Driver: ", x$driver)
  )
}

#' @export
print.kerasbridge_gpu_status <- function(x, ...) {
  writeLines(format(x, ...))
  invisible(x)
}
