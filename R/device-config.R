# Settings of graphics cards, memory and precision; the memory in use; one device for a piece of code.

#' Graphics cards: memory, which ones, precision
#'
#' A backend reads most settings of devices once, when it first computes. `gpu_config()` writes them down, and they are
#' applied when Keras starts: put it first in a script. It starts nothing itself. Later, `memory`, `visible` and
#' `virtual` are an error of class `kerasbridge_error_too_late` that names the function which started the backend.
#'
#' The CUDA libraries of pip's `nvidia-*` packages are found by themselves: no path needs to be set.
#'
#' @param memory `"grow"`: take memory of a card as it is needed, where TensorFlow and JAX otherwise take (almost) all
#'   of it at once; or the most to take of each card, such as `"4GB"` or `"512MiB"`.
#' @param visible Positions of the cards to use, counted from 1, such as `1:2`; `integer()` uses none.
#' @param virtual Make so many virtual devices of the processor, to try out [with_devices()] without cards
#'   (TensorFlow and JAX).
#' @param precision `"mixed_bfloat16"` or `"mixed_float16"`: compute in 16 bits and keep weights in 32 (faster, and half
#'   the memory, on cards since about 2018; `"mixed_bfloat16"` since about 2020), or another name of a dtype policy.
#'   Counts for layers made from then on, at any time.
#' @param xla Whether the steps of models that are compiled from then on go through XLA; [compile()][compile.kerasbridge_model]'s own
#'   `jit_compile` wins. At any time.
#' @param use `FALSE`: use no graphics card.
#' @param n Number of virtual devices.
#' @return All settings that were made so far, a named list, invisibly.
#' @seealso [gpu_devices()], [gpu_memory()], [run_isolated()].
#' @examples
#' \dontrun{
#' library(kerasbridge)
#' gpu_config(memory = "grow", visible = 1, precision = "mixed_bfloat16")
#' }
#' @export
gpu_config <- function(memory = NULL, visible = NULL, virtual = NULL, precision = NULL, xla = NULL) {
  frame <- rlang::current_env()
  if (!is.null(memory) && !is.numeric(memory)) {
    memory <- as_string_arg(memory, "memory", frame)
  }
  if (!is.null(visible)) {
    if (!is_whole(visible) && length(visible) || any(visible < 1)) {
      abort_argument("visible", paste0("must be positions of graphics cards, counted from 1, not ", describe_value(visible), "."), call = frame)
    }
    visible <- as.list(as.integer(visible) - 1L)
  }
  invisible(configure_devices(
    memory = memory, visible = visible, virtual = as_count(virtual, "virtual", frame),
    precision = if (!is.null(precision)) as_string_arg(precision, "precision", frame),
    xla = if (!is.null(xla)) as_bool_arg(xla, "xla", frame), call = frame
  ))
}

# Adds settings; gives all of them, positions counted from 1.
configure_devices <- function(..., call) {
  settings <- bridge_look("configure_devices", ..., call = call)
  if (!is.null(settings$visible)) {
    settings$visible <- as.integer(unlist(settings$visible)) + 1L
  }
  settings
}

#' @rdname gpu_config
#' @export
use_gpu <- function(use = TRUE) {
  frame <- rlang::current_env()
  if (as_bool_arg(use, "use", frame)) {
    if (!the$started && identical(Sys.getenv("CUDA_VISIBLE_DEVICES", NA), "-1")) {
      abort_kind(
        "argument", "The graphics cards are hidden in this session already.",
        i = "Start a new session, without `use_gpu(FALSE)` and with CUDA_VISIBLE_DEVICES unset.", argument = "use", call = frame
      )
    }
    return(invisible(configure_devices(call = frame)))
  }
  out <- configure_devices(visible = list(), call = frame)
  Sys.setenv(CUDA_VISIBLE_DEVICES = "-1") # for R processes started from here
  invisible(out)
}

#' @rdname gpu_config
#' @export
virtual_devices <- function(n) {
  frame <- rlang::current_env()
  invisible(configure_devices(virtual = as_count(n, "n", frame), call = frame))
}

#' Memory in use
#'
#' @param reset Set the peaks back to what is held now, after they were read (not on JAX).
#' @return A data frame with a row for each device: `device`, and in bytes `current`, `peak` and `limit` (`NA` where
#'   that isn't known). `"CPU"` is this process, R's own data included, with the machine's memory as its limit.
#'   Graphics cards are listed once Keras has started, with the memory that its tensors take.
#' @examplesIf is_keras_available()
#' gpu_memory()
#' @export
gpu_memory <- function(reset = FALSE) {
  frame <- rlang::current_env()
  rows <- bridge_look("device_memory", reset = as_bool_arg(reset, "reset", frame), call = frame)
  number <- \(name) vapply(rows, \(row) as.numeric(row[[name]] %||% NA), 0)
  data.frame(device = vapply(rows, \(row) row$device, ""), current = number("current"), peak = number("peak"), limit = number("limit"))
}

#' Compute on one device
#'
#' Layers, variables and operations made by `expr` are on `device`.
#'
#' @param device Name of a device as in [gpu_devices()]: `"gpu:1"` (the second card: backends count from 0), `"/gpu:1"`
#'   or `"cpu"`.
#' @param expr Code.
#' @return The value of `expr`.
#' @examplesIf is_keras_available()
#' device_scope("cpu", {
#'   model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' })
#' @export
device_scope <- function(device, expr) {
  frame <- rlang::current_env()
  scope <- bridge_do("device_scope", device = as_string_arg(device, "device", frame), call = frame)
  within_scope(scope, expr)
}

# `expr`, not evaluated before, between `enter` and `leave` of an object of the engine.
within_scope <- function(scope, expr) {
  bridge_method(scope, "enter")
  on.exit(bridge_method(scope, "leave"))
  expr
}
