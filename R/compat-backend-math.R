# Older backend functions that compute element by element or reduce axes.

#' Older backend functions: element by element
#'
#' As in the older package; each is one of today's operations. In new code use the function named
#' beside it: `k_abs()` [op_abs()], `k_clip()` [op_clip()], `k_cos()` [op_cos()], `k_equal()`
#' [op_equal()], `k_exp()` [op_exp()], `k_greater()` [op_greater()], `k_greater_equal()`
#' [op_greater_equal()], `k_less()` [op_less()], `k_less_equal()` [op_less_equal()], `k_log()`
#' [op_log()], `k_maximum()` [op_maximum()], `k_minimum()` [op_minimum()], `k_not_equal()`
#' [op_not_equal()], `k_pow()` [op_power()], `k_round()` [op_round()], `k_sign()` [op_sign()],
#' `k_sin()` [op_sin()], `k_sqrt()` [op_sqrt()], `k_square()` [op_square()], `k_cast()`
#' [op_cast()]; arithmetic operators and R's own `abs()`, `exp()` and so on work on tensors too.
#'
#' `k_sqrt()` takes a negative number for 0, as it always has. `k_round()` rounds halves to the even
#' neighbour, like R.
#'
#' @param x,y Tensors, variables, or R numbers and arrays.
#' @param min_value,max_value Bounds; `NULL` for none on that side.
#' @param a Exponent, a number or a tensor.
#' @param dtype Type such as `"float32"` or `"int32"`.
#' @return A tensor of the shape of `x` (spread against `y` where there is one): of logicals for
#'   comparisons, of the type of `x` otherwise.
#' @examplesIf is_keras_available()
#' k_square(c(1, 2, 3))
#' k_clip(c(-2, 0.5, 3), 0, 1)
#' k_greater(c(1, 5), 2)
#' @name k_elementwise
NULL

#' @rdname k_elementwise
#' @export
k_abs <- function(x) k_call("keras.ops.abs", c(x = "tensor"))

#' @rdname k_elementwise
#' @export
k_cos <- function(x) k_call("keras.ops.cos", c(x = "tensor"))

#' @rdname k_elementwise
#' @export
k_exp <- function(x) k_call("keras.ops.exp", c(x = "tensor"))

#' @rdname k_elementwise
#' @export
k_log <- function(x) k_call("keras.ops.log", c(x = "tensor"))

#' @rdname k_elementwise
#' @export
k_round <- function(x) k_call("keras.ops.round", c(x = "tensor"))

#' @rdname k_elementwise
#' @export
k_sign <- function(x) k_call("keras.ops.sign", c(x = "tensor"))

#' @rdname k_elementwise
#' @export
k_sin <- function(x) k_call("keras.ops.sin", c(x = "tensor"))

#' @rdname k_elementwise
#' @export
k_square <- function(x) k_call("keras.ops.square", c(x = "tensor"))

#' @rdname k_elementwise
#' @export
k_sqrt <- function(x) {
  frame <- rlang::current_env()
  x <- k_tensor(x, "x", frame)
  k_ops("sqrt", k_ops("maximum", x, 0, call = frame), call = frame)
}

#' @rdname k_elementwise
#' @export
k_equal <- function(x, y) k_call("keras.ops.equal", c(x = "x1:tensor", y = "x2:tensor"))

#' @rdname k_elementwise
#' @export
k_not_equal <- function(x, y) k_call("keras.ops.not_equal", c(x = "x1:tensor", y = "x2:tensor"))

#' @rdname k_elementwise
#' @export
k_greater <- function(x, y) k_call("keras.ops.greater", c(x = "x1:tensor", y = "x2:tensor"))

#' @rdname k_elementwise
#' @export
k_greater_equal <- function(x, y) k_call("keras.ops.greater_equal", c(x = "x1:tensor", y = "x2:tensor"))

#' @rdname k_elementwise
#' @export
k_less <- function(x, y) k_call("keras.ops.less", c(x = "x1:tensor", y = "x2:tensor"))

#' @rdname k_elementwise
#' @export
k_less_equal <- function(x, y) k_call("keras.ops.less_equal", c(x = "x1:tensor", y = "x2:tensor"))

#' @rdname k_elementwise
#' @export
k_maximum <- function(x, y) k_call("keras.ops.maximum", c(x = "x1:tensor", y = "x2:tensor"))

#' @rdname k_elementwise
#' @export
k_minimum <- function(x, y) k_call("keras.ops.minimum", c(x = "x1:tensor", y = "x2:tensor"))

#' @rdname k_elementwise
#' @export
k_pow <- function(x, a) k_call("keras.ops.power", c(x = "x1:tensor", a = "x2:tensor"))

#' @rdname k_elementwise
#' @export
k_clip <- function(x, min_value = NULL, max_value = NULL) {
  frame <- rlang::current_env()
  out <- k_tensor(x, "x", frame)
  if (!is.null(min_value)) {
    out <- k_ops("maximum", out, k_like(min_value, out, "min_value", frame), call = frame)
  }
  if (!is.null(max_value)) {
    out <- k_ops("minimum", out, k_like(max_value, out, "max_value", frame), call = frame)
  }
  out
}

#' @rdname k_elementwise
#' @export
k_cast <- function(x, dtype) k_call("keras.ops.cast", c(x = "tensor", dtype = "dtype"))

#' @rdname k_elementwise
#' @export
k_cast_to_floatx <- function(x) {
  frame <- rlang::current_env()
  k_ops("cast", as_tensor_arg(x, "x", frame), k_floatx(), call = frame)
}

#' Older backend functions: reductions
#'
#' As in the older package. In new code use [op_sum()], [op_mean()], [op_prod()], [op_max()],
#' [op_min()], [op_std()], [op_var()], [op_any()], [op_all()], [op_logsumexp()], [op_argmax()],
#' [op_argmin()], [op_cumsum()], [op_cumprod()], [op_normalize()].
#'
#' `k_argmax()` and `k_argmin()` give **positions counted from 0**, as they always have: with a
#' softmax output they are the class numbers the model was trained on. [op_argmax()] counts from 1.
#' `k_std()` and `k_var()` divide by the number of elements, not by one less.
#'
#' @param x A tensor, a variable, or an R array.
#' @param axis Axis or axes to reduce, counted from 1, negative from the end; `NULL` for all.
#' @param keepdims `TRUE` keeps reduced axes with length 1.
#' @return A tensor without the reduced axes, or with length 1 there. `k_cumsum()`, `k_cumprod()` and
#'   `k_l2_normalize()`: of the shape of `x`. `k_argmax()`, `k_argmin()`: whole numbers from 0.
#' @examplesIf is_keras_available()
#' x <- matrix(1:6 / 2, 2)
#' k_mean(x, axis = 1)
#' k_sum(x)
#' k_argmax(x)
#' @name k_reductions
NULL

#' @rdname k_reductions
#' @export
k_all <- function(x, axis = NULL, keepdims = FALSE) {
  k_call("keras.ops.all", c(x = "tensor", axis = "axes", keepdims = "bool"))
}

#' @rdname k_reductions
#' @export
k_any <- function(x, axis = NULL, keepdims = FALSE) {
  k_call("keras.ops.any", c(x = "tensor", axis = "axes", keepdims = "bool"))
}

#' @rdname k_reductions
#' @export
k_logsumexp <- function(x, axis = NULL, keepdims = FALSE) {
  k_call("keras.ops.logsumexp", c(x = "tensor", axis = "axes", keepdims = "bool"))
}

#' @rdname k_reductions
#' @export
k_max <- function(x, axis = NULL, keepdims = FALSE) {
  k_call("keras.ops.max", c(x = "tensor", axis = "axes", keepdims = "bool"))
}

#' @rdname k_reductions
#' @export
k_mean <- function(x, axis = NULL, keepdims = FALSE) {
  k_call("keras.ops.mean", c(x = "tensor", axis = "axes", keepdims = "bool"))
}

#' @rdname k_reductions
#' @export
k_min <- function(x, axis = NULL, keepdims = FALSE) {
  k_call("keras.ops.min", c(x = "tensor", axis = "axes", keepdims = "bool"))
}

#' @rdname k_reductions
#' @export
k_prod <- function(x, axis = NULL, keepdims = FALSE) {
  k_call("keras.ops.prod", c(x = "tensor", axis = "axes", keepdims = "bool"))
}

#' @rdname k_reductions
#' @export
k_std <- function(x, axis = NULL, keepdims = FALSE) {
  k_call("keras.ops.std", c(x = "tensor", axis = "axes", keepdims = "bool"))
}

#' @rdname k_reductions
#' @export
k_sum <- function(x, axis = NULL, keepdims = FALSE) {
  k_call("keras.ops.sum", c(x = "tensor", axis = "axes", keepdims = "bool"))
}

#' @rdname k_reductions
#' @export
k_var <- function(x, axis = NULL, keepdims = FALSE) {
  k_call("keras.ops.var", c(x = "tensor", axis = "axes", keepdims = "bool"))
}

#' @rdname k_reductions
#' @export
k_argmax <- function(x, axis = -1) k_call("keras.ops.argmax", c(x = "tensor", axis = "axis"))

#' @rdname k_reductions
#' @export
k_argmin <- function(x, axis = -1) k_call("keras.ops.argmin", c(x = "tensor", axis = "axis"))

#' @rdname k_reductions
#' @export
k_cumprod <- function(x, axis = 1) k_call("keras.ops.cumprod", c(x = "tensor", axis = "axis"))

#' @rdname k_reductions
#' @export
k_cumsum <- function(x, axis = 1) k_call("keras.ops.cumsum", c(x = "tensor", axis = "axis"))

#' @rdname k_reductions
#' @export
k_l2_normalize <- function(x, axis = NULL) {
  frame <- rlang::current_env()
  x <- k_tensor(x, "x", frame)
  sums <- bridge_call(
    "keras.ops.sum",
    list(k_ops("square", x, call = frame), axis = convert_arg(axis, "axes", "axis", frame), keepdims = TRUE),
    call = frame
  )
  k_ops("multiply", x, k_ops("rsqrt", k_ops("maximum", sums, 1e-12, call = frame), call = frame), call = frame)
}
