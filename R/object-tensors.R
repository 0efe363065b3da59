# Tensors, symbolic tensors and variables behave like R arrays: arithmetic, comparison, Math and
# Summary groups, subsetting, dim, conversion. All of it is keras.ops, on any backend.

binary_ops <- c(
  `+` = "add", `-` = "subtract", `*` = "multiply", `/` = "true_divide", `^` = "power", `%%` = "mod",
  `%/%` = "floor_divide", `==` = "equal", `!=` = "not_equal", `<` = "less", `<=` = "less_equal",
  `>` = "greater", `>=` = "greater_equal", `&` = "logical_and", `|` = "logical_or"
)

tensor_ops <- function(generic, e1, e2, unary) {
  frame <- rlang::caller_env()
  if (unary) {
    return(switch(
      generic,
      `-` = bridge_call("keras.ops.negative", list(e1), call = frame),
      `!` = bridge_call("keras.ops.logical_not", list(e1), call = frame),
      `+` = e1,
      abort_argument("e1", paste0("can't take a single `", generic, "`."), call = frame)
    ))
  }
  args <- match_operands(e1, e2, generic, frame)
  bridge_call(paste0("keras.ops.", binary_ops[[generic]]), args, call = frame)
}

# A plain R number beside an integer tensor is meant as that integer if it is one, so that x + 1 keeps
# the type of an integer tensor; beside a float tensor it is a float.
match_operands <- function(e1, e2, generic, frame) {
  one <- \(x, other) {
    if (is_python(x)) {
      return(x)
    }
    if (is.double(x) && is_tensor(other) && grepl("^u?int", tensor_dtype(other)) && is_whole(x) && !generic %in% c("/", "^")) {
      storage.mode(x) <- "integer"
    } else if (is.integer(x) && is_tensor(other) && grepl("float", tensor_dtype(other))) {
      storage.mode(x) <- "double"
    }
    as_tensor_arg(x, "e2", frame)
  }
  list(one(e1, e2), one(e2, e1))
}

tensor_dtype <- function(x) {
  check_alive(x, "x")
  bridge_start()
  the$bridge$dtype_of(x)
}

#' @export
Ops.kerasbridge_tensor <- function(e1, e2) tensor_ops(.Generic, e1, e2, missing(e2))

#' @export
Ops.kerasbridge_keras_tensor <- function(e1, e2) tensor_ops(.Generic, e1, e2, missing(e2))

#' @export
Ops.kerasbridge_variable <- function(e1, e2) tensor_ops(.Generic, e1, e2, missing(e2))

math_ops <- c(
  abs = "abs", sign = "sign", sqrt = "sqrt", floor = "floor", ceiling = "ceil", trunc = "trunc",
  exp = "exp", expm1 = "expm1", log1p = "log1p", log2 = "log2", log10 = "log10", cos = "cos", sin = "sin",
  tan = "tan", acos = "arccos", asin = "arcsin", atan = "arctan", cosh = "cosh", sinh = "sinh", tanh = "tanh",
  acosh = "arccosh", asinh = "arcsinh", atanh = "arctanh"
)

tensor_math <- function(generic, x, ...) {
  frame <- rlang::caller_env()
  dots <- list(...)
  if (generic == "log") {
    out <- bridge_call("keras.ops.log", list(x), call = frame)
    base <- dots$base %||% if (length(dots)) dots[[1]]
    return(if (is.null(base)) out else tensor_ops("/", out, log(base), FALSE))
  }
  if (generic == "round" || generic == "signif") {
    if (generic == "signif") {
      abort_argument("x", "is a tensor; `signif()` has no tensor form.", call = frame)
    }
    digits <- dots$digits %||% if (length(dots)) dots[[1]] else 0
    return(bridge_call("keras.ops.round", list(x, decimals = as_int_arg(digits, "digits", frame)), call = frame))
  }
  if (generic %in% c("cumsum", "cumprod")) {
    # over all elements, the first axis fastest, as R does it; Keras lets the last axis run fastest
    turned <- bridge_call("keras.ops.transpose", list(x), call = frame)
    return(bridge_call(paste0("keras.ops.", generic), list(turned), call = frame))
  }
  op <- math_ops[generic]
  if (is.na(op)) {
    abort_argument("x", paste0("is a tensor; `", generic, "()` has no tensor form."), "Convert it with `as.array()` first.", call = frame)
  }
  bridge_call(paste0("keras.ops.", op), list(x), call = frame)
}

#' @export
Math.kerasbridge_tensor <- function(x, ...) tensor_math(.Generic, x, ...)

#' @export
Math.kerasbridge_keras_tensor <- function(x, ...) tensor_math(.Generic, x, ...)

#' @export
Math.kerasbridge_variable <- function(x, ...) tensor_math(.Generic, x, ...)

summary_ops <- c(sum = "sum", prod = "prod", max = "max", min = "min", any = "any", all = "all")

# Like R's own: one value over all elements; `axis` (counted from 1) and `keepdims` reduce some axes.
tensor_summary <- function(generic, x, ..., na.rm = FALSE, axis = NULL, keepdims = FALSE) {
  frame <- rlang::caller_env()
  if (isTRUE(na.rm)) {
    abort_argument("na.rm", "has no meaning for a tensor.", call = frame)
  }
  if (length(list(...))) {
    abort_argument("...", "takes no further tensors.", "Reduce them one by one.", call = frame)
  }
  reduce_tensor(if (generic == "range") c("min", "max") else summary_ops[[generic]], x, axis, keepdims, frame)
}

# One operation, or several whose results stand one after the other along a new first axis.
reduce_tensor <- function(operations, x, axis, keepdims, frame) {
  args <- list(axis = convert_arg(axis, "axes", "axis", frame), keepdims = as_bool_arg(keepdims, "keepdims", frame))
  typed <- list(x = x, axis = axis)
  run <- \(operation) bridge_call(paste0("keras.ops.", operation), c(list(x), args), call = frame)
  out <- explaining_axes(lapply(operations, run), "x", c(axis = "axes"), \(arg) typed[[arg]], frame)
  if (length(out) == 1) out[[1]] else bridge_call("keras.ops.stack", list(tagged(out, "list")), call = frame)
}

#' @export
Summary.kerasbridge_tensor <- function(..., na.rm = FALSE) tensor_summary(.Generic, ..., na.rm = na.rm)

#' @export
Summary.kerasbridge_keras_tensor <- function(..., na.rm = FALSE) tensor_summary(.Generic, ..., na.rm = na.rm)

#' @export
Summary.kerasbridge_variable <- function(..., na.rm = FALSE) tensor_summary(.Generic, ..., na.rm = na.rm)

tensor_mean <- function(x, axis = NULL, keepdims = FALSE, frame = rlang::caller_env()) {
  reduce_tensor("mean", x, axis, keepdims, frame)
}

#' @export
mean.kerasbridge_tensor <- function(x, ...) tensor_mean(x, ...)

#' @export
mean.kerasbridge_keras_tensor <- function(x, ...) tensor_mean(x, ...)

#' @export
mean.kerasbridge_variable <- function(x, ...) tensor_mean(x, ...)

# ---- shape --------------------------------------------------------------------------------------------
tensor_dim <- function(x) {
  check_alive(x, "x")
  bridge_start()
  shape <- as.integer(the$bridge$shape_of(x))
  ifelse(shape < 0, NA_integer_, shape)
}

#' @export
dim.kerasbridge_tensor <- function(x) tensor_dim(x)

#' @export
dim.kerasbridge_keras_tensor <- function(x) tensor_dim(x)

#' @export
dim.kerasbridge_variable <- function(x) tensor_dim(x)

#' @export
length.kerasbridge_tensor <- function(x) as.integer(prod(tensor_dim(x)))

#' @export
length.kerasbridge_keras_tensor <- function(x) as.integer(prod(tensor_dim(x)))

#' @export
length.kerasbridge_variable <- function(x) as.integer(prod(tensor_dim(x)))

tensor_t <- function(x) bridge_call("keras.ops.transpose", list(x), call = rlang::caller_env())

#' @export
t.kerasbridge_tensor <- function(x) tensor_t(x)

#' @export
t.kerasbridge_keras_tensor <- function(x) tensor_t(x)

#' @export
t.kerasbridge_variable <- function(x) tensor_t(x)

# ---- conversion -----------------------------------------------------------------------------------------
tensor_as_array <- function(x) tensor_to_r(x)

#' @rdname as_tensor
#' @export
as.array.kerasbridge_tensor <- function(x, ...) tensor_as_array(x)

#' @export
as.array.kerasbridge_variable <- function(x, ...) tensor_as_array(x)

#' @export
as.matrix.kerasbridge_tensor <- function(x, ...) as.matrix(tensor_as_array(x))

#' @export
as.matrix.kerasbridge_variable <- function(x, ...) as.matrix(tensor_as_array(x))

#' @export
as.vector.kerasbridge_tensor <- function(x, mode = "any") as.vector(tensor_as_array(x), mode)

#' @export
as.vector.kerasbridge_variable <- function(x, mode = "any") as.vector(tensor_as_array(x), mode)

#' @export
as.double.kerasbridge_tensor <- function(x, ...) as.double(tensor_as_array(x))

#' @export
as.double.kerasbridge_variable <- function(x, ...) as.double(tensor_as_array(x))

#' @export
as.integer.kerasbridge_tensor <- function(x, ...) as.integer(tensor_as_array(x))

#' @export
as.integer.kerasbridge_variable <- function(x, ...) as.integer(tensor_as_array(x))

#' @export
as.logical.kerasbridge_tensor <- function(x, ...) as.logical(tensor_as_array(x))

#' @export
as.logical.kerasbridge_variable <- function(x, ...) as.logical(tensor_as_array(x))

#' @export
as.array.kerasbridge_keras_tensor <- function(x, ...) refuse_symbolic(x, "as.array")

#' @export
as.matrix.kerasbridge_keras_tensor <- function(x, ...) refuse_symbolic(x, "as.matrix")

#' @export
as.double.kerasbridge_keras_tensor <- function(x, ...) refuse_symbolic(x, "as.numeric")

#' @export
as.integer.kerasbridge_keras_tensor <- function(x, ...) refuse_symbolic(x, "as.integer")

#' @export
as.logical.kerasbridge_keras_tensor <- function(x, ...) refuse_symbolic(x, "as.logical")

#' @export
as.vector.kerasbridge_keras_tensor <- function(x, mode = "any") refuse_symbolic(x, "as.vector")

# A symbolic tensor has no values yet.
refuse_symbolic <- function(x, what) {
  check_alive(x, "x", rlang::caller_env())
  abort_argument(
    "x", paste0("is a symbolic tensor, a place in a model without values: `", what, "()` has nothing to give."),
    "Make a model of it with `keras_model()` and call `predict()`, or compute with tensors (`op_*()`).",
    call = rlang::caller_env()
  )
}

# ---- missing and infinite values: as tensors, NaN counts as missing as it does in R ------------------------
tensor_test <- function(x, op) bridge_call(paste0("keras.ops.", op), list(x), call = rlang::caller_env())

#' @export
is.na.kerasbridge_tensor <- function(x) tensor_test(x, "isnan")

#' @export
is.na.kerasbridge_keras_tensor <- function(x) tensor_test(x, "isnan")

#' @export
is.na.kerasbridge_variable <- function(x) tensor_test(x, "isnan")

#' @export
is.nan.kerasbridge_tensor <- function(x) tensor_test(x, "isnan")

#' @export
is.nan.kerasbridge_keras_tensor <- function(x) tensor_test(x, "isnan")

#' @export
is.nan.kerasbridge_variable <- function(x) tensor_test(x, "isnan")

#' @export
is.finite.kerasbridge_tensor <- function(x) tensor_test(x, "isfinite")

#' @export
is.finite.kerasbridge_keras_tensor <- function(x) tensor_test(x, "isfinite")

#' @export
is.finite.kerasbridge_variable <- function(x) tensor_test(x, "isfinite")

#' @export
is.infinite.kerasbridge_tensor <- function(x) tensor_test(x, "isinf")

#' @export
is.infinite.kerasbridge_keras_tensor <- function(x) tensor_test(x, "isinf")

#' @export
is.infinite.kerasbridge_variable <- function(x) tensor_test(x, "isinf")

#' @export
anyNA.kerasbridge_tensor <- function(x, recursive = FALSE) anyNA(tensor_as_array(x))

#' @export
anyNA.kerasbridge_variable <- function(x, recursive = FALSE) anyNA(tensor_as_array(x))

#' @export
anyNA.kerasbridge_keras_tensor <- function(x, recursive = FALSE) refuse_symbolic(x, "anyNA")

#' @export
as.data.frame.kerasbridge_tensor <- function(x, row.names = NULL, optional = FALSE, ...) {
  as.data.frame(tensor_as_array(x), row.names = row.names, optional = optional, ...)
}

#' @export
as.data.frame.kerasbridge_variable <- as.data.frame.kerasbridge_tensor

#' @export
as.data.frame.kerasbridge_keras_tensor <- function(x, row.names = NULL, optional = FALSE, ...) {
  refuse_symbolic(x, "as.data.frame")
}

# ---- subsetting -----------------------------------------------------------------------------------------
# x[i, j, ...]: positions from 1, ranges, negative positions count from the end (as in all of the
# package, unlike R's own exclusion), an empty place takes the whole axis, NULL adds an axis.
tensor_subset <- function(x, args, drop, frame) {
  rank <- length(tensor_dim(x))
  args <- lapply(args, \(a) if (identical(a, quote(expr = ))) "all" else list(value = eval(a, frame)))
  used <- sum(vapply(args, \(a) identical(a, "all") || !is.null(a$value), NA))
  if (used > rank) {
    abort_argument("i", sprintf("names %d axes of a tensor that has %d.", used, rank), call = frame)
  }
  taken <- list()
  axis <- 0L
  out <- x
  for (a in args) {
    if (identical(a, "all")) {
      axis <- axis + 1L
      next
    }
    if (is.null(a$value)) {
      out <- bridge_call("keras.ops.expand_dims", list(out, axis = axis), call = frame)
      axis <- axis + 1L
      next
    }
    index <- a$value
    if (is.logical(index)) {
      index <- which(index)
    }
    size <- tensor_dim(out)[[axis + 1L]]
    if (!is_python(index)) {
      if (!is_whole(index)) {
        abort_argument("i", paste0("must be positions, not ", describe_value(index), "."), call = frame)
      }
      if (!is.na(size) && any(abs(index) > size)) {
        abort_argument("i", sprintf("names position %s of an axis of length %d.", index[abs(index) > size][[1]], size), call = frame)
      }
    }
    single <- drop && !is_python(index) && length(index) == 1
    out <- bridge_call("keras.ops.take", list(out, as_take_index(index, single, size, frame), axis = axis), call = frame)
    if (!single) {
      axis <- axis + 1L
    }
  }
  out
}

as_take_index <- function(index, single, size, frame) {
  if (is_python(index)) {
    return(index)
  }
  zero <- as.integer(zero_based(index, "i", frame))
  if (!is.na(size)) {
    zero <- ifelse(zero < 0, zero + size, zero)
  }
  if (single) as.integer(zero) else tagged(array(as.integer(zero), length(zero)), "tensor", dtype = "int32")
}

#' @export
`[.kerasbridge_tensor` <- function(x, ..., drop = TRUE) {
  tensor_subset(x, as.list(substitute(list(...)))[-1], drop, parent.frame())
}

#' @export
`[.kerasbridge_keras_tensor` <- function(x, ..., drop = TRUE) {
  tensor_subset(x, as.list(substitute(list(...)))[-1], drop, parent.frame())
}

#' @export
`[.kerasbridge_variable` <- function(x, ..., drop = TRUE) {
  tensor_subset(x, as.list(substitute(list(...)))[-1], drop, parent.frame())
}

# ---- printing -------------------------------------------------------------------------------------------
format_tensor_head <- function(x, what) {
  shape <- paste(ifelse(is.na(tensor_dim(x)), "NA", tensor_dim(x)), collapse = ", ")
  sprintf("<%s, shape (%s), %s>", what, shape, tensor_dtype(x))
}

#' @export
format.kerasbridge_tensor <- function(x, ...) {
  if (is_dead(x)) "<tensor of an R session that has ended>" else format_tensor_head(x, "tensor")
}

#' @export
format.kerasbridge_keras_tensor <- function(x, ...) {
  if (is_dead(x)) {
    return("<symbolic tensor of an R session that has ended>")
  }
  format_tensor_head(x, paste0("symbolic tensor '", py_attribute(x, "name"), "'"))
}

#' @export
format.kerasbridge_variable <- function(x, ...) {
  if (is_dead(x)) {
    return("<variable of an R session that has ended>")
  }
  format_tensor_head(x, paste0("variable '", py_attribute(x, "path"), "'"))
}

print_tensor <- function(x, limit = 200) {
  cat(format(x), "\n", sep = "")
  if (is_dead(x)) {
    return(invisible(x))
  }
  size <- prod(tensor_dim(x))
  if (!is.na(size) && size <= limit) {
    value <- tryCatch(tensor_as_array(x), error = \(e) NULL)
    if (!is.null(value)) {
      print(value)
    }
  }
  invisible(x)
}

#' @export
print.kerasbridge_tensor <- function(x, ...) print_tensor(x)

#' @export
print.kerasbridge_variable <- function(x, ...) print_tensor(x)

#' @export
print.kerasbridge_keras_tensor <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  invisible(x)
}

#' @export
str.kerasbridge_tensor <- function(object, ...) cat("", format(object), "\n")

#' @export
str.kerasbridge_keras_tensor <- function(object, ...) cat("", format(object), "\n")

#' @export
str.kerasbridge_variable <- function(object, ...) cat("", format(object), "\n")

#' Matrix product, also of tensors
#'
#' As base R's `%*%` where no tensor is involved, a tensor product otherwise (base R's operator can't
#' be extended to them before R 4.3).
#'
#' @param x,y Matrices, vectors or tensors.
#' @return A matrix, or a tensor if `x` or `y` is one.
#' @examplesIf is_keras_available()
#' as_tensor(diag(2)) %*% matrix(1:4 + 0, 2)
#' @export
`%*%` <- function(x, y) {
  if (!is_tensor(x) && !is_tensor(y)) {
    return(base::`%*%`(x, y))
  }
  frame <- rlang::current_env()
  bridge_call("keras.ops.matmul", list(as_tensor_arg(x, "x", frame), as_tensor_arg(y, "y", frame)), call = frame)
}

#' @export
summary.kerasbridge_tensor <- function(object, ...) summary(as.vector(tensor_as_array(object)), ...)

#' @export
summary.kerasbridge_variable <- function(object, ...) summary(as.vector(tensor_as_array(object)), ...)
