# One way to raise an error: a class per kind, the user's call, the argument, what to do.

# `bullets`: first line what is wrong, then named ones (i = what to do). Nothing is interpolated.
abort_kind <- function(kind, bullets, ..., argument = NULL, call = rlang::caller_env()) {
  dots <- list(...)
  named <- names(dots) %in% c("i", "x", "*")
  bullets <- c(bullets, unlist(dots[named]))
  # no stored backtrace: a script that stops shows these lines and nothing else
  stop(rlang::error_cnd(
    class = c(paste0("kerasbridge_error_", kind), "kerasbridge_error"),
    message = rlang::format_error_bullets(rlang::set_names(bullets, \(n) n)),
    argument = argument,
    !!!dots[!named],
    call = rlang::error_call(call)
  ))
}

abort_argument <- function(arg, problem, hint = NULL, call = rlang::caller_env()) {
  abort_kind("argument", c(paste0("`", arg, "` ", problem), if (!is.null(hint)) c(i = hint)), argument = arg, call = call)
}

# A note that is shown once a session.
note_once <- function(id, message) {
  rlang::inform(c(i = message), class = "kerasbridge_note", .frequency = "once", .frequency_id = paste0("kerasbridge_", id))
}

# What a value is, in a few words, never its content.
describe_value <- function(x) {
  if (is.null(x)) {
    return("NULL")
  }
  if (is_python(x)) {
    return(paste0("a Python object of class <", class(x)[[1]], ">"))
  }
  if (is.data.frame(x)) {
    return(sprintf("a data frame of %d rows and %d columns", nrow(x), ncol(x)))
  }
  if (is.function(x)) {
    return("a function")
  }
  if (!is.null(dim(x))) {
    return(sub("^a (?=[aeiou])", "an ", sprintf("a %s array of shape (%s)", typeof(x), paste(dim(x), collapse = ", ")), perl = TRUE))
  }
  if (length(x) == 1 && is.atomic(x)) {
    return(if (is.character(x)) encodeString(substr(x, 1, 60), quote = "\"") else paste(format(x)))
  }
  what <- if (is.factor(x)) "a factor" else if (is.list(x)) "a list" else paste0("a ", typeof(x), " vector")
  sub("^a (?=[aeiou])", "an ", sprintf("%s of length %d", what, length(x)), perl = TRUE)
}
