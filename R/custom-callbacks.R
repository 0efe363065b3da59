# Callbacks written in R that ship with the package.

#' Progress of training in a Shiny app
#'
#' Shows the progress of `fit()` in the app whose server function calls it: a bar with the epoch and the
#' loss, and the validation loss where there is one. It is closed when training ends, also by an error.
#'
#' R is busy while a model trains, so inputs are not read meanwhile; the bar is sent to the browser all the
#' same. For an app of several users train in another process.
#'
#' @param session The Shiny session; by default that of the running server function.
#' @param message What stands first in the bar.
#' @param progress An object to show it with, in place of Shiny's own: with functions
#'   `set(value, message, detail)`, where `value` goes from 0 to 1, and `close()`.
#' @param every Seconds between two steps of the bar; the last epoch is always shown.
#' @return A callback for `fit()`.
#' @seealso [Callback()] for callbacks of one's own.
#' @examplesIf is_keras_available()
#' # in a server function: fit(model, x, y, callbacks = callback_shiny_progress())
#' shown <- list(set = \(value, message, detail) cat(message, value, detail, "\n"), close = \() NULL)
#' model <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
#' model |> compile(optimizer = "sgd", loss = "mse")
#' progress <- callback_shiny_progress(progress = shown)
#' fit(model, c(1, 2), c(2, 4), epochs = 2, verbose = 0, callbacks = progress)
#' @export
callback_shiny_progress <- function(session = NULL, message = "Training", progress = NULL, every = 0.2) {
  frame <- rlang::current_env()
  message <- as_string_arg(message, "message", frame)
  every <- as_num_arg(every, "every", frame)
  if (!is.null(progress) && !(is.function(progress$set) && is.function(progress$close))) {
    abort_argument("progress", "must have functions `set()` and `close()`.", call = frame)
  }
  if (is.null(progress) && !requireNamespace("shiny", quietly = TRUE)) {
    abort_kind("install", "`callback_shiny_progress()` needs the package shiny, or `progress`.", argument = "progress", call = frame)
  }
  if (is.null(progress)) {
    session <- session %||% shiny::getDefaultReactiveDomain()
    if (is.null(session)) {
      abort_argument("session", "is not known outside of a Shiny app.", "Call this in a server function, or give `progress`.", call = frame)
    }
  }
  new_progress_callback(\() progress %||% shiny::Progress$new(session, min = 0, max = 1), message, every)
}

# `open` gives the object that shows progress, when training begins.
new_progress_callback <- function(open, message, every) {
  shown <- NULL
  last <- -Inf
  close <- \() {
    if (!is.null(shown)) shown$close()
    shown <<- NULL
  }
  make <- Callback(
    "ShinyProgress",
    on_train_begin = \(logs = NULL) {
      close()
      shown <<- open()
      shown$set(value = 0, message = message, detail = "")
      last <<- -Inf
      at_end_of_fit(close)
    },
    on_epoch_end = \(epoch, logs = NULL) {
      epochs <- self$params$epochs
      now <- proc.time()[["elapsed"]]
      if (now - last < every && epoch < epochs) {
        return()
      }
      last <<- now
      shown$set(value = epoch / epochs, message = message, detail = progress_detail(epoch, epochs, logs))
      NULL
    },
    on_train_end = \(logs = NULL) close()
  )
  make()
}

# Run `f` when the `fit()` around a hook is left: an error or an interrupt ends it without telling any hook.
at_end_of_fit <- function(f) {
  for (i in rev(seq_len(sys.nframe()))) {
    if (identical(sys.function(i), fit.kerasbridge_model)) {
      do.call(base::on.exit, list(rlang::expr((!!f)()), TRUE), envir = sys.frame(i))
      break
    }
  }
}

progress_detail <- function(epoch, epochs, logs) {
  known <- logs[intersect(c("loss", "val_loss"), names(logs))]
  numbers <- vapply(known, \(v) format(signif(as.numeric(v), 4)), "")
  paste0("epoch ", epoch, " of ", epochs, if (length(numbers)) paste0(", ", paste(gsub("_", " ", names(numbers)), numbers, collapse = ", ")))
}
