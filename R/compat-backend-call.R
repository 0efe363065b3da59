# What all older backend functions (`k_*`) share, and backend(), through which they are reached as
# `K$name`.

# Convert the arguments of the calling `k_*` function, its defaults included, and call Keras. `types`
# maps R's argument to a converter of types.R, with Python's name before a colon where it differs.
k_call <- function(symbol, types, frame = parent.frame()) {
  args <- list()
  for (arg in names(types)) {
    type <- types[[arg]]
    python <- if (grepl(":", type, fixed = TRUE)) sub(":.*", "", type) else arg
    value <- k_arg(arg, sub("^.*:", "", type), frame)
    if (!is.null(value)) {
      args[[python]] <- value
    }
  }
  bridge_call(symbol, args, call = frame)
}

# One argument of the calling function, converted; required if it has no default.
k_arg <- function(arg, type, frame) {
  if (eval(call("missing", as.name(arg)), frame)) {
    value <- tryCatch(get(arg, envir = frame), error = \(e) rlang::missing_arg())
    if (rlang::is_missing(value)) {
      abort_argument(arg, "is missing, with no default.", call = frame)
    }
  } else {
    value <- get(arg, envir = frame)
  }
  convert_arg(value, type, arg, frame)
}

k_tensor <- function(x, arg, call) {
  x <- as_tensor_arg(x, arg, call)
  if (is_tensor(x)) x else bridge_call("keras.ops.convert_to_tensor", list(x), call = call)
}

# A number to go with a tensor: a whole one stays whole beside an integer tensor.
k_like <- function(value, x, arg, call) {
  if (!is_python(value) && is.double(value) && is_whole(value) && grepl("^u?int", tensor_dtype(x))) {
    storage.mode(value) <- "integer"
  }
  as_tensor_arg(value, arg, call)
}

k_ops <- function(name, ..., call = rlang::caller_env()) bridge_call(paste0("keras.ops.", name), list(...), call = call)

# TensorFlow 1 named the nodes of a graph; there are none now.
k_no_name <- function(name, frame) {
  if (!is.null(name)) {
    note_once("k_name", "`name` named a node of TensorFlow 1's graph; it has no effect now.")
  }
}

k_unsupported <- function(what, hint, call, argument = NULL) {
  abort_kind("unsupported", c(what, i = hint), argument = argument, call = call)
}

#' The older backend: `K$mean(x)`
#'
#' `backend()` gives an object through which the older backend functions are called by their Python
#' names, as in `K <- backend(); K$mean(K$square(y_true - y_pred), axis = -1L)`. It starts nothing.
#' `K` is that object.
#'
#' `K$mean(...)` is [k_mean()] and so on, with one difference: **axes are counted as Python counts
#' them**, from 0, because older scripts that call `K$...` were written for the Python module. So
#' `K$sum(x, axis = 0L)` is `k_sum(x, axis = 1)`; negative axes count from the end in both. A name
#' that has no `k_*` function is looked up among today's operations: `K$relu6` calls
#' [op_relu6()] with Python's arguments.
#'
#' In new code call the `op_*` functions.
#'
#' @param convert Kept for older scripts, where `FALSE` asked for Python objects; must be `TRUE`.
#' @return An object of class `kerasbridge_backend`; `names()` lists what it has.
#' @seealso [op_mean()] and the other `op_*` functions; [implementation()] for the Keras module.
#' @examplesIf is_keras_available()
#' K <- backend()
#' loss <- \(y_true, y_pred) K$mean(K$square(y_true - y_pred), axis = -1L)
#' loss(matrix(1:4 / 4, 2), matrix(0, 2, 2))
#' @export
backend <- function(convert = TRUE) {
  if (!isTRUE(convert)) {
    k_unsupported(
      "`convert = FALSE` gave the Python module of an older Keras, which doesn't exist any more.",
      "Use `keras$ops` for Python's own functions.", rlang::current_env(), "convert"
    )
  }
  structure(new.env(parent = emptyenv()), class = "kerasbridge_backend")
}

#' @rdname backend
#' @format NULL
#' @export
K <- structure(new.env(parent = emptyenv()), class = "kerasbridge_backend")

# arguments that hold axes
k_axis_args <- c("axis", "axes", "pattern", "reduction_axes")

#' @export
`$.kerasbridge_backend` <- function(x, name) {
  k_function_of(name, rlang::caller_env())
}

#' @export
`[[.kerasbridge_backend` <- function(x, i, ...) {
  k_function_of(i, rlang::caller_env())
}

k_function_of <- function(name, call) {
  namespace <- topenv()
  older <- get0(paste0("k_", name), namespace, mode = "function", inherits = FALSE)
  if (!is.null(older)) {
    return(python_axes(older, name))
  }
  if (exists(paste0("op_", name), namespace, mode = "function", inherits = FALSE)) {
    return(\(...) {
      frame <- rlang::current_env()
      args <- lapply(list(...), \(a) if (is.numeric(a) && length(a) == 1) a else if (is.atomic(a) && !is.character(a)) as_tensor_arg(a, "...", frame) else a)
      bridge_call(paste0("keras.ops.", name), args, call = frame)
    })
  }
  known <- names.kerasbridge_backend()
  abort_argument(name, "is not a function of the backend.", did_you_mean(name, known), call = call)
}

# The same function for axes counted from 0.
python_axes <- function(f, name) {
  force(f)
  force(name)
  \(...) {
    frame <- rlang::current_env()
    code <- match.call(f, as.call(c(list(as.name(paste0("k_", name))), list(...))))
    for (arg in intersect(names(code), k_axis_args)) {
      code[arg] <- list(from_python_axes(code[[arg]], arg, frame))
    }
    do.call(f, as.list(code)[-1], quote = TRUE)
  }
}

from_python_axes <- function(x, arg, call) {
  if (is.list(x)) {
    return(lapply(x, from_python_axes, arg = arg, call = call))
  }
  if (is.null(x) || is_python(x)) {
    return(x)
  }
  if (!is_whole(x)) {
    abort_argument(arg, paste0("must be axes, counted from 0 in `K$...`, not ", describe_value(x), "."), call = call)
  }
  ifelse(x >= 0, x + 1L, x)
}

#' @export
names.kerasbridge_backend <- function(x) {
  exported <- getNamespaceExports(topenv())
  sort(sub("^k_", "", grep("^k_", exported, value = TRUE)))
}

#' @export
print.kerasbridge_backend <- function(x, ...) {
  cat(
    "<the older Keras backend: K$mean(x) and so on>\n",
    length(names(x)), " functions; axes are counted from 0 here, from 1 in k_mean(x). See ?backend.\n", sep = ""
  )
  invisible(x)
}

#' @rawNamespace S3method(utils::.DollarNames, kerasbridge_backend)
.DollarNames.kerasbridge_backend <- function(x, pattern = "") grep(pattern, names(x), value = TRUE)

#' The Keras module that is used
#'
#' As [keras]: a module that loads when it is first touched, so that a package may hold it in its
#' `.onLoad()`. The older package could use several Keras implementations; now there is one.
#'
#' @return The Python module `keras`.
#' @seealso [keras] in new code.
#' @examplesIf is_keras_available()
#' implementation()$ops$add(1, 2)
#' @export
implementation <- function() delayed_module("keras")
