# R functions that Python calls.

# A Python callable around an R function (or a formula such as ~ .x * 2). What doesn't end in a value
# (an error, an interrupt, a jump out of it) goes through Python and happens when the call returns to R.
# With `signature` Python sees the names of its parameters, which some Keras functions look at. One that is
# `described` may become part of a model: a file tells where it comes from. One that is called `direct` shows no
# parameters to Python and costs less at each call.
as_python_function <- function(f, name = NULL, signature = FALSE, described = FALSE, direct = FALSE) {
  if (rlang::is_formula(f)) {
    f <- rlang::as_function(f)
  }
  if (is_python(f)) {
    return(f)
  }
  if (inherits(f, "kerasbridge_class")) {
    return(as_class(f, NULL))
  }
  name <- name %||% attr(f, "py_function_name") %||% "r_function"
  guarded <- if (direct) {
    r_function <- f
    function(...) guard_r_code(r_function(...))
  } else {
    rlang::new_function(
      formals(args(f)),
      quote({
        frame_call <- sys.call()
        frame_call[[1]] <- quote(r_function)
        guard_r_code(eval(frame_call, list(r_function = f), parent.frame()))
      }),
      rlang::env(f = f, guard_r_code = guard_r_code, baseenv())
    )
  }
  attr(guarded, "py_function_name") <- name
  out <- the$raw$r_function(reticulate::r_to_py(guarded, convert = TRUE), name, !isFALSE(described))
  parameters <- formals(args(f))
  if (signature && all(grepl("^[A-Za-z][A-Za-z0-9_]*$", names(parameters)))) {
    optional <- vapply(parameters, \(default) !identical(default, quote(expr = )), NA)
    the$raw$with_parameters(out, to_list(as.list(names(parameters))), to_list(as.list(unname(optional))))
  }
  if (!isFALSE(described)) {
    source <- as_python_function(\() {
      home <- function_home(f)
      list(origin = home$origin, source = if (is.null(home$package)) function_source(f))
    }, "function_source")
    the$raw$describe(out, rlang::obj_address(f), source, !is.null(attr(f, "py_function_name")) || identical(described, "named"))
  }
  out
}

# What an R function returns to Python: whole structures element by element, the rest as it is.
to_python_result <- function(x) {
  if (is.function(x) && !is_python(x)) as_python_function(x) else x
}

# The value of `code`, or a signal that says what happened instead. This runs at every call of an R
# function from Python, for a callback at every batch, so it is kept cheap: in the place of tryCatch() and
# withRestarts() stand what base_insides() found in them, and `run` and `leave` are no arguments but code that
# runs when it is first looked at: the one runs `code`, the other ends this function.
guard_r_code <- function(code, run = caught <- the$insides$catch(
                           {
                             out <- withCallingHandlers(
                               {
                                 value <- allowInterrupts(code)
                                 if (is.function(value)) to_python_result(value) else value
                               },
                               condition = on_condition
                             )
                             how <- "value"
                           },
                           # R calls no handlers for a stack that overflows, it only leaves for them
                           "stackOverflowError", NULL, identity
                         ), leave = return(NULL)) {
  seen <- out <- caught <- NULL
  how <- "jump"
  # A jump to a frame outside (a handler around the call that takes a warning, callCC()) would break Python, which
  # can't pass it on: returning here stops it, and it happens when the call comes back to R.
  on.exit(if (how != "value") return(signal_of(how, seen)))
  on_condition <- \(c) {
    seen <<- c
    if (inherits(c, "error")) {
      how <<- "error"
      seen <<- with_trace(c)
      leave
    } else if (inherits(c, "interrupt")) {
      how <<- "interrupt"
      leave
    }
  }
  outer <- the$outer_restarts
  restart <- if (outer) with_outer_restarts(run) else the$insides$restart(run, the$insides$abort)
  if (how == "jump") {
    how <- if (is.null(caught)) "restart" else "error"
    seen <- if (!is.null(caught)) caught[[1]] else if (outer) restart else list(name = "abort", args = restart)
  }
  out
}

# What goes to Python in the place of a value. That of an interrupt was made before: Python has the same press to
# answer, and would now.
signal_of <- function(how, seen) {
  if (how == "jump") {
    the$jump <- list(condition = seen)
  }
  switch(how,
    error = keep_r_error(seen),
    interrupt = the$interrupt_signal,
    restart = keep_for_r(structure(seen, class = "kerasbridge_restart"), "A restart was invoked."),
    jump = the$jump_signal
  )
}

# The restarts that stand around a call of Keras are kept for when it returns, as errors are: the name and the
# arguments of the one that `run` invoked.
with_outer_restarts <- function(run) {
  names <- unique(vapply(computeRestarts(), \(r) r[[1]], ""))
  restarts <- lapply(rlang::set_names(names), \(name) \(...) list(name = name, args = list(...)))
  do.call(withRestarts, c(list(quote(run)), restarts))
}

# tryCatch() and withRestarts() make their inner functions anew at each call, which costs several times what these
# do. `catch(code, class, NULL, handler)` gives list(condition, ...) for a condition of this class,
# `restart(code, abort)` the arguments of the restart `abort` as a list. Where base is written in another way,
# the calls themselves stand in.
base_insides <- function() {
  inner <- \(parameters) {
    running <- lapply(seq_len(sys.nframe()), \(i) sys.function(i))
    fits <- vapply(running, \(f) identical(names(formals(f)), parameters), NA)
    if (any(fits)) running[[max(which(fits))]]
  }
  found <- list(
    catch = tryCatch(inner(c("expr", "name", "parentenv", "handler")), stackOverflowError = identity),
    restart = withRestarts(inner(c("expr", "restart")), abort = \(...) NULL),
    abort = withRestarts((\() computeRestarts()[[1]])(), abort = \(...) NULL)
  )
  if (insides_work(found)) found else plain_insides()
}

plain_insides <- function() {
  list(
    catch = \(expr, name, parentenv, handler) tryCatch(expr, stackOverflowError = list),
    restart = \(expr, abort) withRestarts(expr, abort = list),
    abort = NULL
  )
}

insides_work <- function(found) {
  condition <- structure(class = c("stackOverflowError", "error", "condition"), list(message = "", call = NULL))
  works <- \() {
    identical(found$catch(stop(condition), "stackOverflowError", NULL, identity)[[1]], condition) &&
      identical(found$restart(invokeRestart("abort", 1, "b"), found$abort), list(1, "b")) &&
      identical(found$restart(found$catch(3, "stackOverflowError", NULL, identity), found$abort), 3)
  }
  withRestarts(tryCatch(works(), error = \(e) FALSE), abort = \(...) FALSE)
}

# An error of base R gets the calls that led to it, for rlang::last_trace(). One that leaves no room
# for that (a recursion too deep) stays as it is.
with_trace <- function(e) {
  if (inherits(e, c("rlang_error", "stackOverflowError"))) {
    return(e)
  }
  n <- length(class(e))
  tryCatch(
    {
      here <- sys.nframe()
      named <- vapply(sys.calls()[seq_len(here)], \(k) if (is.name(k[[1]])) as.character(k[[1]]) else "", "")
      start <- max(0, which(named %in% c("r_function", "call_by_symbols")))
      end <- max(which(named == ".handleSimpleError"), here - 6L) - 1L
      e$trace <- rlang::trace_back(top = if (start) sys.frame(start), bottom = sys.frame(end))
      class(e) <- append(class(e), "rlang_error", n - 2L)
      e
    },
    error = \(other) e
  )
}

same_error <- function(seen, e) !is.null(seen) && identical(conditionMessage(seen), conditionMessage(e)) && all(class(e) %in% class(seen))

keep_r_error <- function(e) {
  # an error of R code further in, on its way out through Python and R again, stays that error
  if (grepl("RCodeError", conditionMessage(e), fixed = TRUE)) {
    key <- the$bridge$pending_r_key()
    if (!is.null(key) && exists(key, envir = the$r_errors, inherits = FALSE)) {
      inner <- get(key, envir = the$r_errors)
      return(the$raw$Signal("error", conditionMessage(inner), key))
    }
  }
  keep_for_r(e, conditionMessage(e))
}

# Keep a condition or a restart until the call comes back to R; the signal for Python.
keep_for_r <- function(what, message) {
  the$r_error_count <- the$r_error_count + 1L
  key <- as.character(the$r_error_count)
  assign(key, what, envir = the$r_errors)
  the$raw$Signal("error", message, key)
}

# Back in R: what was kept happens now, an error with the place where it happened below its message.
# Returns only if nothing was kept under the key.
resume_in_r <- function(key, place = NULL) {
  found <- get0(key, envir = the$r_errors, inherits = FALSE)
  if (is.null(found)) {
    return(invisible())
  }
  rm(list = key, envir = the$r_errors)
  if (inherits(found, "kerasbridge_restart")) {
    do.call(invokeRestart, c(list(found$name), found$args))
  }
  if (!is.null(place) && inherits(found, "rlang_error") && is.null(found$footer)) {
    found$place <- place
    found$footer <- rlang::format_error_bullets(c(i = paste0("In ", place, ".")))
  }
  rlang::cnd_signal(found)
}

# R code was left by a jump outwards: a handler around the call that took a condition takes it again.
resume_jump <- function(call) {
  jump <- the$jump
  the$jump <- NULL
  if (is.null(jump)) {
    return(invisible())
  }
  if (!is.null(jump$condition)) {
    signalCondition(jump$condition)
  }
  abort_kind(
    "unsupported",
    "R code that Keras called was left by a jump to a place outside, which ended the call.",
    i = "Leave a function by its value or by an error; `return()` of an outer function and `callCC()` can't pass through Keras.",
    call = call
  )
}
