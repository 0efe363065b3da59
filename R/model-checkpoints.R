# Checkpoints: the newest of them, and the best weights of a training.

#' The newest checkpoint
#'
#' Finds the file that [callback_model_checkpoint()] wrote last, to go on from there.
#'
#' @param filepath The path that was given to the callback, `{epoch}` and the like included; or a folder:
#'   then the newest file of a model or of weights in it.
#' @return The path, with an attribute `epoch` if its name tells the epoch (counted from 1); `NULL` if
#'   there is no such file.
#' @examplesIf is_keras_available()
#' path <- file.path(tempdir(), "run-{epoch:02d}.keras")
#' latest_checkpoint(path)
#' \dontrun{
#' newest <- latest_checkpoint(path)
#' model <- load_model(newest)
#' fit(model, x, y, epochs = 20, initial_epoch = attr(newest, "epoch"))
#' }
#' @export
latest_checkpoint <- function(filepath) {
  frame <- rlang::current_env()
  found <- bridge_do("latest_checkpoint", filepath = as_path_arg(filepath, "filepath", frame), call = frame)
  if (!is.null(found)) {
    structure(found$path, epoch = found$epoch)
  }
}

#' Keep the best weights in memory
#'
#' As [callback_model_checkpoint()] with `save_best_only = TRUE`, without a file. `best_weights()` gives the
#' weights of the best epoch afterwards.
#'
#' @param monitor Name of the value to watch, as it appears in the history.
#' @param verbose Print a line whenever the callback acts?
#' @param mode Whether `"min"` or `"max"` is better; `"auto"` tells from the name of the value.
#' @param initial_value_threshold Value that has to be beaten; `NULL` for none.
#' @param restore Put the best weights into the model when training ends?
#' @param callback A callback that `callback_best_weights()` made.
#' @return `callback_best_weights()`: a callback. `best_weights()`: a list of arrays for [set_weights()].
#'   Its fields `best` and `best_epoch` (from 1) say which epoch it was.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' compile(model, optimizer = "sgd", loss = "mse")
#' best <- callback_best_weights(monitor = "loss")
#' fit(model, matrix(c(0, 1, 1, 0), 2), c(1, 2), epochs = 2, verbose = 0, callbacks = best)
#' set_weights(model, best_weights(best))
#' best$best_epoch
#' @export
callback_best_weights <- function(monitor = "val_loss", verbose = 0, mode = "auto", initial_value_threshold = NULL,
                                  restore = FALSE) {
  frame <- rlang::current_env()
  types <- c(monitor = "string", verbose = "bool", mode = "string", initial_value_threshold = "num", restore = "bool")
  do.call(bridge_do, c(list("best_weights_callback"), supplied(frame, types), list(call = frame)))
}

#' @rdname callback_best_weights
#' @export
best_weights <- function(callback) {
  frame <- rlang::current_env()
  check_alive(callback, "callback", frame)
  if (!inherits(callback, "kerasbridge_callback")) {
    abort_argument("callback", paste0("must be a callback, not ", describe_value(callback), "."), call = frame)
  }
  bridge_do("best_weights", callback = callback, call = frame)
}
