# Whether an object can be used at all: in this process, in this session. Objects of Keras carry the class
# `kerasbridge_object` behind their more special ones; its methods look before Python is touched.

is_python <- function(x) inherits(x, "python.builtin.object")

# Where reticulate isn't loaded no object of this session can be there yet: loading it, for a second, to
# ask would be in vain.
is_dead <- function(x) {
  is_python(x) && !is_mock(x) && (!isNamespaceLoaded("reticulate") || reticulate::py_is_null_xptr(x))
}

# The environment in which reticulate keeps the pointer; that of a callable object is an attribute.
reference_of <- function(x) if (is.environment(x)) x else attr(x, "py_object", exact = TRUE)

# A copy of the process by fork() has none of the threads that TensorFlow waits for.
check_process <- function(call = rlang::caller_env()) {
  if (!is.null(the$pid) && !identical(the$pid, Sys.getpid())) {
    abort_kind(
      "fork",
      "Keras was started in another process and can't be used in a copy of it (a fork).",
      i = "Use new processes instead of forks: `parallel::makePSOCKcluster()` or `future::plan(\"multisession\")`.",
      call = call
    )
  }
}

# A model of an earlier session comes back from its copy; anything else of one is refused.
check_alive <- function(x, arg, call = rlang::caller_env()) {
  if (!is_python(x) || is_mock(x)) {
    return(invisible(x))
  }
  check_process(call)
  if (is_dead(x)) {
    revive(x, arg, call)
  }
  invisible(x)
}

revive <- function(x, arg, call) {
  kept <- kept_copy(x)
  if (is.null(kept) || !is.null(kept$reason)) {
    abort_dead(x, arg, kept$reason, call)
  }
  model <- bridge_do("revive", frame = as_bytes(kept$frame), values = as_bytes(kept$values), call = call)
  assign("pyobj", get("pyobj", envir = reference_of(model)), envir = reference_of(x))
  kept$key <- kept$token <- NULL
  invisible(x)
}

abort_dead <- function(x, arg, reason, call) {
  if (inherits(x, "kerasbridge_model")) {
    what <- paste0("`", arg, "` is a model of an R session that has ended, and no copy of it was kept: ",
                   reason %||% "it was never compiled, trained or used there", ".")
    hint <- "In a session that has it, call `keep_model(model)` before `saveRDS()`, or use `save_model()` or `serialize_model()`."
  } else {
    kind <- if (inherits(x, "kerasbridge_object")) sub("^kerasbridge_", "", class(x)[[1]]) else "Python object"
    what <- paste0("`", arg, "` belongs to an R session that has ended (class: ", sub("_", " ", kind), ").")
    hint <- if (is_tensor(x)) {
      "Save its values instead: `as.array(x)`."
    } else {
      "Only models are kept by `saveRDS()`: save the model that it is part of, or make it anew."
    }
  }
  abort_kind("dead", what, i = hint, argument = arg, call = call)
}

# ---- callable objects --------------------------------------------------------------------------------
# Models, layers, losses, and the methods and functions of Keras are R functions to R. A call of one
# crosses the border as all calls do: errors become conditions, interrupts are answered. The function put
# in place of reticulate's brings this package along where it is read again: the methods of the class must
# be known there.
guard_callable <- function(x) {
  if (is.list(x) && !is.object(x)) {
    return(if (any(vapply(x, is.function, NA))) lapply(x, guard_callable) else x)
  }
  if (!is.function(x) || !inherits(x, guarded_classes) || isTRUE(environment(x)$guarded)) {
    return(x)
  }
  traits <- attributes(x)
  frame <- new.env(parent = topenv())
  frame$guarded <- TRUE
  frame$traits <- list(py_object = traits$py_object, kind = sub("^kerasbridge_", "", class(x)[[1]]))
  guarded <- function(...) call_object(traits$py_object, list(...), traits$kind, environment())
  environment(guarded) <- frame
  attributes(guarded) <- traits
  guarded
}

guarded_classes <- c(
  "kerasbridge_object", "python.builtin.method", "python.builtin.function", "python.builtin.builtin_function_or_method"
)

call_object <- function(object, args, kind, call) {
  check_alive(object, "object", call)
  first <- if (length(args) && !nzchar(rlang::names2(args)[[1]])) args[[1]]
  if (kind %in% c("layer", "model", "sequential") && is_layer(first) && !is_tensor(first)) {
    return(compose_with(first, object, call)) # model |> layer()
  }
  if (kind == "initializer" && !is.null(first)) {
    args[[1]] <- as_shape_arg(first, "shape", call)
  } else if (kind %in% c("layer", "model", "sequential", "loss", "metric")) {
    # a vector of R is an array of one axis, not a list of numbers
    is_vector <- vapply(args, \(x) (is.numeric(x) || is.logical(x)) && !is.object(x) && length(x) > 1, NA)
    args[is_vector] <- lapply(args[is_vector], as_array)
  }
  bridge_method(object, "__call__", args, call = call)
}

# ---- methods of all objects of Keras -----------------------------------------------------------------
#' @export
`$.kerasbridge_object` <- function(x, name) {
  check_alive(x, "x")
  plain_list(guard_callable(NextMethod()))
}

# Lists and dicts in which Keras keeps an eye on layers (`self$blocks <- list(...)`, classes of its own) are lists
# to R. A plain one is there only where nothing is to be converted.
plain_list <- function(x) {
  plain <- c("python.builtin.list", "python.builtin.dict")
  if (!is_python(x) || !inherits(x, plain) || class(x)[[1]] %in% plain) {
    return(x)
  }
  guard_callable(if (inherits(x, "python.builtin.list")) the$bridge$as_list(x) else the$bridge$plain_dict(x))
}

#' @export
`[[.kerasbridge_object` <- function(x, ...) {
  check_alive(x, "x")
  guard_callable(NextMethod())
}

#' @export
`$<-.kerasbridge_object` <- function(x, name, value) {
  check_alive(x, "x")
  NextMethod()
}

#' @export
`[[<-.kerasbridge_object` <- function(x, name, value) {
  check_alive(x, "x")
  NextMethod()
}

#' @export
names.kerasbridge_object <- function(x) {
  check_alive(x, "x")
  NextMethod()
}

#' @export
length.kerasbridge_object <- function(x) {
  if (is.function(x) && is_dead(x)) 1L else NextMethod()
}

#' @export
as.character.kerasbridge_object <- function(x, ...) {
  check_alive(x, "x")
  NextMethod()
}
