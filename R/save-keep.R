# Copies of models that travel with their R objects: made after training, taken along by saveRDS().

#' Models in saved workspaces and on workers
#'
#' A model lives in Python; an R object only points at it. Beside the pointer R keeps a copy of the model
#' as raw bytes, so that `saveRDS()`, `save.image()` and the workers of `parallel` and `future` take the
#' model along. Where such an object is read again, the model is made from the copy when it is first used.
#'
#' The copy is made when a model is compiled or loaded, and again after [fit()][fit.kerasbridge_model]
#' and whatever else changes weights through this package, also of models that share them. That costs no
#' more than 2 % of the session's time, beyond the first two seconds; where more would be needed
#' (thousands of trainings of milliseconds, a loop of [train_on_batch()]) the copy is given up until there
#' is time for it. Using a model whose copy was given up, or never made, in another session is an error
#' that says why.
#'
#' `keep_model()` makes the copy now, whatever its cost and size: call it before `saveRDS()` after changes
#' made by methods of Python objects (`model$layers[[1]]$assign(...)`), which nobody sees.
#'
#' Copies of big models aren't made by themselves: `options(kerasbridge.keep = 200)` sets the limit in MB of
#' arrays, the optimizer's included (64 by default); `options(kerasbridge.keep = FALSE)` makes none. For
#' files that last, and that Python reads too, use [save_model()].
#'
#' A forked process (`parallel::mclapply()`) can't use Keras at all: use new processes,
#' `parallel::makePSOCKcluster()` or `future::plan("multisession")`.
#'
#' @param model A model.
#' @return `keep_model()`: the model, invisibly. `kept_size()`: bytes of the copy; `NA` if there is none.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' keep_model(model)
#' kept_size(model)
#' @export
keep_model <- function(model) {
  frame <- rlang::current_env()
  check_model(model, frame, "model")
  keep_now(model, Inf, frame)
  reason <- kept_copy(model)$reason
  if (!is.null(reason)) {
    abort_kind(
      "unsupported", paste0("No copy of the model can be made: ", reason, "."),
      i = "Save its weights with `save_model_weights()`.", argument = "model", call = frame
    )
  }
  invisible(model)
}

#' @rdname keep_model
#' @export
kept_size <- function(model) {
  kept <- if (is_python(model)) kept_copy(model)
  if (is.null(kept) || !is.null(kept$reason)) {
    return(NA_real_)
  }
  as.numeric(length(kept$frame) + length(kept$values))
}

# ---- the copy beside the pointer ----------------------------------------------------------------------
# An environment with key and token (of this session), size, frame and values, or the reason why there
# is no copy. Its enclosure brings this package along where it is read again.
kept_copy <- function(x) {
  reference <- reference_of(x)
  if (is.environment(reference)) get0("kerasbridge_kept", envir = reference, inherits = FALSE)
}

kept_by_key <- function(key) {
  found <- the$kept[[key]]
  if (!is.null(found)) rlang::wref_key(found)
}

# The copy of a model under its key; several R objects of one model have one copy.
attach_kept <- function(model, key) {
  kept <- kept_copy(model)
  if (is.null(kept) || !is.null(kept$key) && !identical(kept$key, key)) {
    kept <- kept_by_key(key) %||% new.env(parent = topenv())
    assign("kerasbridge_kept", kept, envir = reference_of(model))
  }
  kept$key <- key
  the$kept <- Filter(\(ref) !is.null(rlang::wref_key(ref)), the$kept)
  the$kept[[key]] <- rlang::new_weakref(kept)
  kept
}

keep_limit <- function() {
  limit <- getOption("kerasbridge.keep", 64)
  if (isTRUE(limit)) {
    return(Inf)
  }
  if (!is.numeric(limit) || length(limit) != 1 || is.na(limit)) 0 else limit * 1e6
}

keep_now <- function(model, limit, call) {
  started <- proc.time()[["elapsed"]]
  tokens <- Filter(\(kept) !is.null(kept$token), lapply(stats::setNames(nm = names(the$kept)), kept_by_key))
  have <- tagged(lapply(tokens, \(kept) kept$token), "dict")
  copies <- bridge_do("keep", model = model, limit = limit, have = have, call = call)
  for (i in seq_along(copies)) {
    copy <- copies[[i]]
    kept <- if (i == 1) attach_kept(model, copy$key) else kept_by_key(copy$key)
    if (!is.null(kept)) {
      kept$reason <- copy$reason
      kept$size <- copy$size
      kept$token <- copy$token
      kept$values <- copy$values
      if (!is.null(copy$frame) || !is.null(copy$reason)) {
        kept$frame <- copy$frame
      }
    }
  }
  the$keep_seconds <- the$keep_seconds + proc.time()[["elapsed"]] - started
  invisible(kept_copy(model))
}

# Seconds that copies may still take: two, and 2 % of the time since the package was loaded.
keep_allowance <- function() 2 + 0.02 * (proc.time()[["elapsed"]] - the$loaded) - the$keep_seconds

# Renew the copy of a model whose weights or make have changed. Never fails: what can't be kept is noted.
keep_fresh <- function(model) {
  if (is_mock(model)) {
    return(invisible(model))
  }
  limit <- keep_limit()
  if (limit <= 0) {
    drop_kept(model, "`options(kerasbridge.keep = FALSE)` was set")
  } else if (keep_allowance() < 0) {
    drop_kept(model, "it was trained many times in a short time, and copies may take 2 % of it")
  } else {
    tryCatch(
      {
        kept <- keep_now(model, limit, NULL)
        if (!is.null(kept$reason) && isTRUE(kept$size > limit)) {
          note_big(kept$size)
        }
      },
      error = \(e) drop_kept(model, first_line(conditionMessage(e))),
      interrupt = \(e) drop_kept(model, "making it was interrupted")
    )
  }
  invisible(model)
}

note_big <- function(size) {
  note_once("keep", sprintf(
    "This model (%.0f MB with its optimizer) is too big to be taken along by `saveRDS()`: use `save_model()`, or see `?keep_model`.",
    size / 1e6
  ))
}

# The copy no longer is what the model is; of a layer: of all models that it is in.
drop_kept <- function(x, reason) {
  if (is_mock(x)) {
    return(invisible())
  }
  kept <- kept_copy(x)
  if (is.null(kept)) {
    if (is_model(x)) {
      kept <- new.env(parent = topenv())
      assign("kerasbridge_kept", kept, envir = reference_of(x))
    }
  } else if (!is.null(kept$reason)) {
    kept$reason <- reason
    return(invisible())
  }
  shared <- if (length(the$kept)) lapply(bridge_do("sharing", target = x, call = NULL), kept_by_key)
  for (one in c(list(kept), shared)) {
    if (is.environment(one)) {
      one$reason <- reason
      one$values <- NULL
    }
  }
  invisible()
}

# Before something is looked at or used: a copy that was given up is made if there is time by now.
settle_kept <- function(model) {
  if (is_mock(model)) {
    return(invisible(model))
  }
  kept <- kept_copy(model)
  if ((is.null(kept) || !is.null(kept$reason) && !isTRUE(kept$size > keep_limit())) && keep_limit() > 0 && keep_allowance() > 0) {
    keep_fresh(model)
  }
  invisible(model)
}
