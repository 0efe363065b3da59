# gpu_status(): is there a graphics card that Keras can use, and if not, why not.

#' Is a graphics card found, and if not, why not
#'
#' Looks at the driver, the wheel of the backend, the libraries that it opens and `CUDA_VISIBLE_DEVICES`, and names the
#' first thing that keeps the card from being used with what mends it. Keras and its backend are not started for it;
#' Python is. It takes a few seconds at most.
#'
#' @return A list of class `kerasbridge_gpu_status`: `found` (`TRUE` or `FALSE`), `reason` (`"found"`, `"no_backend"`,
#'   `"no_nvidia"` (a backend for other cards), `"cpu_wheel"`, `"hidden"`, `"driver"`, `"library"`, `"no_driver"`,
#'   `"no_device"`, `"windows_native"`, `"no_macos_gpu"`, `"not_seen"`: the backend runs and lists none), `message` (one
#'   sentence), `fix` (the command that mends it, or `""`), `backend`, `version` (of the backend), `driver` (version of
#'   NVIDIA's driver), `visible` (`CUDA_VISIBLE_DEVICES`) and `devices`, a list with the name and the memory of each card
#'   that the driver shows.
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

#' Graphics cards and other devices
#'
#' `gpu_devices()` lists the graphics cards that Keras uses, or will use: before Keras has started it asks NVIDIA's driver
#' and starts nothing, so that [gpu_config()] can still follow. `require_gpu()` stops a script that makes no sense
#' without a card before it begins.
#'
#' @param kind `"GPU"`, or `"all"` for the processor and virtual devices too, which are known once Keras has started.
#' @return `gpu_devices()`: a data frame with a row for each device: `device`, the name for [device_scope()] and
#'   [with_devices()] (such as `"GPU:0"`: backends count them from 0), `name` (the card's) and `memory` in bytes (`NA`
#'   where that isn't known). No rows without a card; [gpu_status()] says why. `require_gpu()`: `TRUE`, invisibly, or an
#'   error of class `kerasbridge_error_gpu` that says what keeps the card from being used and what mends it.
#' @examplesIf is_keras_available()
#' gpu_devices()
#' try(require_gpu())
#' @export
gpu_devices <- function(kind = c("GPU", "all")) {
  frame <- rlang::current_env()
  kind <- rlang::arg_match(kind)
  rows <- if (the$started) {
    bridge_do("devices", kind = if (kind == "all") "" else kind, call = frame)
  } else {
    bridge_look("gpu_cards", call = frame)
  }
  if (kind == "GPU" && the$started && length(rows)) {
    # the driver knows the sizes that the backend doesn't tell
    seen <- bridge_look("gpu_cards", call = frame)
    sizes <- stats::setNames(lapply(seen, \(card) card$memory), vapply(seen, \(card) card$device, ""))
    rows <- lapply(rows, \(row) utils::modifyList(row, list(memory = row$memory %||% sizes[[row$device]])))
  }
  data.frame(
    device = vapply(rows, \(row) row$device, ""), name = vapply(rows, \(row) row$name, ""),
    memory = vapply(rows, \(row) as.numeric(row$memory %||% NA), 0)
  )
}

#' @rdname gpu_devices
#' @export
require_gpu <- function() {
  bridge_look("require_gpu", call = rlang::current_env())
  invisible(TRUE)
}
