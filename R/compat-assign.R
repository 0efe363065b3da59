# Operators that Keras scripts in R use: several names at once, a name for `with()`.

#' Assign several names at once
#'
#' `c(a, b) %<-% list(1, 2)` assigns 1 to `a` and 2 to `b`. The left side may be nested, as in
#' `c(c(x_train, y_train), c(x_test, y_test)) %<-% dataset_mnist()`. `.` skips an element, and a name that
#' starts with three dots, such as `...rest`, takes all that is left as a list.
#'
#' @param x Names, in `c()`; places such as `model$units` or `x[[2]]` are allowed too.
#' @param value A list or a vector with an element for each name; a data frame by column.
#' @return `value`, invisibly.
#' @examples
#' c(a, c(b, d)) %<-% list(1, list(2, 3))
#' c(a, b, d)
#' c(first, ...others) %<-% 1:4
#' others
#' @export
`%<-%` <- function(x, value) {
  target <- substitute(x)
  where <- parent.frame()
  force(value)
  assign_target(target, value, where, rlang::current_env())
  invisible(value)
}

assign_target <- function(target, value, where, frame) {
  if (is.name(target)) {
    if (!identical(target, quote(.))) {
      assign(as.character(target), value, envir = where)
    }
    return(invisible())
  }
  if (is.character(target)) {
    assign(target, value, envir = where)
    return(invisible())
  }
  if (!is.call(target)) {
    abort_argument("x", "must be names, in `c()` where there are several.", call = frame)
  }
  if (!identical(target[[1]], quote(c))) {
    # a place such as model$units
    eval(call("<-", target, call("quote", value)), where)
    return(invisible())
  }
  assign_parts(as.list(target)[-1], value, where, frame)
}

assign_parts <- function(targets, value, where, frame) {
  values <- if (inherits(value, "python.builtin.object")) unlist_python(value, frame) else as.list(value)
  rest <- vapply(targets, \(t) is.name(t) && startsWith(as.character(t), "..."), NA)
  if (sum(rest) > 1) {
    abort_argument("x", "has more than one name that takes the rest.", call = frame)
  }
  if (!any(rest) && length(values) != length(targets) || length(values) < sum(!rest)) {
    abort_argument(
      "value", sprintf("has %d element%s for %d name%s.", length(values), if (length(values) == 1) "" else "s", length(targets), if (length(targets) == 1) "" else "s"),
      "Skip an element with `.`, or take all that is left with `...rest`.", call = frame
    )
  }
  position <- 0L
  for (i in seq_along(targets)) {
    if (rest[[i]]) {
      n <- length(values) - sum(!rest)
      name <- sub("^\\.\\.\\.", "", as.character(targets[[i]]))
      if (nzchar(name)) {
        assign(name, values[position + seq_len(n)], envir = where)
      }
      position <- position + n
    } else {
      position <- position + 1L
      assign_target(targets[[i]], values[[position]], where, frame)
    }
  }
}

unlist_python <- function(value, frame) {
  if (inherits(value, c("python.builtin.tuple", "python.builtin.list"))) {
    return(py_to_r(value))
  }
  if (is_tensor(value)) {
    return(lapply(seq_len(tensor_dim(value)[[1]]), \(i) bridge_call("keras.ops.take", list(value, i - 1L, axis = 0L), call = frame)))
  }
  abort_argument("value", paste0("must be a list or a vector, not ", describe_value(value), "."), call = frame)
}

#' A name for what a Python context gives
#'
#' `with(tf$GradientTape() %as% tape, {...})`: inside, `tape` is what the context manager returns.
#'
#' @param object A Python context manager.
#' @param as A name.
#' @return `object`, which remembers the name.
#' @examplesIf is_keras_available()
#' x <- tf$constant(3)
#' with(tf$GradientTape() %as% tape, {
#'   tape$watch(x)
#'   y <- x * x
#' })
#' as.numeric(tape$gradient(y, x))
#' @export
`%as%` <- function(object, as) {
  name <- substitute(as)
  if (!is.name(name)) {
    abort_argument("as", "must be a name.", call = rlang::current_env())
  }
  attr(object, "as") <- as.character(name)
  object
}
