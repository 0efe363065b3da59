# R functions that Python calls.

# A Python callable around an R function (or a formula such as ~ .x * 2). An error or an interrupt in
# it is kept and raised again, unchanged, when the call returns to R.
as_python_function <- function(f, name = NULL) {
  if (rlang::is_formula(f)) {
    f <- rlang::as_function(f)
  }
  if (is_python(f)) {
    return(f)
  }
  if (inherits(f, "kerasbridge_class")) {
    return(as_class(f, NULL))
  }
  force(name)
  guarded <- rlang::new_function(
    formals(args(f)),
    quote({
      frame_call <- sys.call()
      frame_call[[1]] <- quote(r_function)
      tryCatch(
        withCallingHandlers(
          to_python_result(eval(frame_call, list(r_function = f), parent.frame())),
          warning = function(w) keep_r_warning(w)
        ),
        error = function(e) keep_r_error(e),
        interrupt = function(e) keep_r_error(e)
      )
    }),
    rlang::env(
      f = f, to_python_result = to_python_result, keep_r_error = keep_r_error, keep_r_warning = keep_r_warning, baseenv()
    )
  )
  attr(guarded, "py_function_name") <- name %||% attr(f, "py_function_name") %||% "r_function"
  # whatever thread calls it, it runs on this one
  the$raw$main_only(reticulate::r_to_py(guarded, convert = TRUE))
}

# What an R function returns to Python: whole structures element by element, the rest as it is.
to_python_result <- function(x) {
  if (is.function(x) && !is_python(x)) as_python_function(x) else x
}

keep_r_error <- function(e) {
  if (inherits(e, "interrupt")) {
    the$bridge$raise_interrupt()
  }
  # an error of R code further in, on its way out through Python and R again, stays that error
  if (grepl("RCodeError", conditionMessage(e), fixed = TRUE)) {
    key <- the$bridge$pending_r_key()
    if (!is.null(key) && exists(key, envir = the$r_errors, inherits = FALSE)) {
      the$bridge$raise_r_error(conditionMessage(get(key, envir = the$r_errors)), key)
    }
  }
  the$r_error_count <- the$r_error_count + 1L
  key <- as.character(the$r_error_count)
  assign(key, e, envir = the$r_errors)
  the$bridge$raise_r_error(conditionMessage(e), key)
}

# A warning of R code that Python called is given when the call has come back to R: a handler outside
# may jump, and a jump must not cross Python. One that R is to turn into an error is left to R.
keep_r_warning <- function(w) {
  if (getOption("warn") >= 2) {
    return(invisible())
  }
  if (length(the$r_warnings) < 50) {
    the$r_warnings <- c(the$r_warnings, list(w))
  }
  tryInvokeRestart("muffleWarning")
}

give_r_warnings <- function() {
  kept <- the$r_warnings
  the$r_warnings <- list()
  lapply(kept, warning)
}

take_r_error <- function(key) {
  found <- get0(key, envir = the$r_errors, inherits = FALSE)
  if (!is.null(found)) {
    rm(list = key, envir = the$r_errors)
  }
  found
}
