# Older backend functions that make tensors and variables, ask for shapes, and move elements about.

#' Older backend functions: making tensors
#'
#' As in the older package. `k_variable()`, `k_zeros()`, `k_ones()`, `k_eye()` and the
#' `k_random_*_variable()` functions give a variable, which [k_set_value()] can change; inside a
#' function that TensorFlow traces, where no variable can be made, they give a tensor. The others
#' give tensors. In new code use [op_convert_to_tensor()], [op_zeros()], [op_ones()],
#' [op_zeros_like()], [op_ones_like()], [op_eye()], [op_arange()], [op_one_hot()], [random_normal()],
#' [random_uniform()], [random_truncated_normal()], [random_binomial()] and [random_dropout()].
#'
#' `k_one_hot()` takes class numbers from 0.
#'
#' @param value An R number or array, or a tensor.
#' @param dtype Type such as `"float32"`; by default that of [k_floatx()], for `_like` functions that
#'   of `x`.
#' @param shape Shape, such as `c(2, 3)`. `k_constant()` fills it row by row, or with one number.
#' @param name Name of the variable. Tensors have no names now: noted once.
#' @param constraint What is applied to the variable after an update: a
#'   `constraint_*` object.
#' @param x A tensor, a variable or an R array.
#' @param size Number of rows and columns.
#' @param start,stop,step First number, the number to stop before, the distance; with `start` alone,
#'   from 0 to before `start`.
#' @param indices Class numbers, counted from 0.
#' @param num_classes Number of classes.
#' @param mean,stddev,scale Mean and standard deviation of the normal distribution.
#' @param minval,maxval,low,high Bounds of the uniform distribution; the upper one is never drawn.
#' @param p Probability of a 1.
#' @param level Share of elements that become 0.
#' @param noise_shape Shape of the random choice, to drop whole rows for instance.
#' @param seed A whole number for the same numbers each time.
#' @return A tensor or a variable.
#' @examplesIf is_keras_available()
#' v <- k_variable(matrix(1:4, 2))
#' k_get_value(k_zeros_like(v))
#' k_constant(1:6, shape = c(2, 3))
#' k_one_hot(c(0, 2), 3)
#' @name k_make
NULL

#' @rdname k_make
#' @export
k_variable <- function(value, dtype = NULL, name = NULL, constraint = NULL) {
  frame <- rlang::current_env()
  k_new_variable(k_tensor(value, "value", frame), dtype, name, frame, convert_arg(constraint, "callable", "constraint", frame))
}

k_new_variable <- function(value, dtype, name, frame, constraint = NULL) {
  bridge_do(
    "make_variable", value = value, dtype = convert_arg(dtype, "dtype", "dtype", frame),
    name = convert_arg(name, "string", "name", frame), constraint = constraint, call = frame
  )
}

#' @rdname k_make
#' @export
k_constant <- function(value, dtype = NULL, shape = NULL, name = NULL) {
  frame <- rlang::current_env()
  k_no_name(name, frame)
  out <- bridge_call("keras.ops.convert_to_tensor", list(
    as_tensor_arg(value, "value", frame), dtype = convert_arg(dtype, "dtype", "dtype", frame) %||% k_floatx()
  ), call = frame)
  if (is.null(shape)) {
    return(out)
  }
  shape <- convert_arg(shape, "shape", "shape", frame)
  k_ops(if (length(out) == 1) "broadcast_to" else "reshape", if (length(out) == 1) k_ops("reshape", out, tagged(list(), "tuple"), call = frame) else out, shape, call = frame)
}

#' @rdname k_make
#' @export
k_zeros <- function(shape, dtype = NULL, name = NULL) {
  frame <- rlang::current_env()
  k_new_variable(k_ops("zeros", convert_arg(shape, "shape", "shape", frame), call = frame), dtype, name, frame)
}

#' @rdname k_make
#' @export
k_ones <- function(shape, dtype = NULL, name = NULL) {
  frame <- rlang::current_env()
  k_new_variable(k_ops("ones", convert_arg(shape, "shape", "shape", frame), call = frame), dtype, name, frame)
}

#' @rdname k_make
#' @export
k_zeros_like <- function(x, dtype = NULL, name = NULL) {
  k_no_name(name, rlang::current_env())
  k_call("keras.ops.zeros_like", c(x = "tensor", dtype = "dtype"))
}

#' @rdname k_make
#' @export
k_ones_like <- function(x, dtype = NULL, name = NULL) {
  k_no_name(name, rlang::current_env())
  k_call("keras.ops.ones_like", c(x = "tensor", dtype = "dtype"))
}

#' @rdname k_make
#' @export
k_eye <- function(size, dtype = NULL, name = NULL) {
  frame <- rlang::current_env()
  k_new_variable(k_ops("eye", convert_arg(size, "int", "size", frame), call = frame), dtype, name, frame)
}

#' @rdname k_make
#' @export
k_arange <- function(start, stop = NULL, step = 1, dtype = "int32") {
  k_call("keras.ops.arange", c(start = "num_or_int", stop = "num_or_int", step = "num_or_int", dtype = "dtype"))
}

#' @rdname k_make
#' @export
k_one_hot <- function(indices, num_classes) {
  k_call("keras.ops.one_hot", c(indices = "x:tensor_int", num_classes = "int"))
}

#' @rdname k_make
#' @export
k_random_normal <- function(shape, mean = 0, stddev = 1, dtype = NULL, seed = NULL) {
  k_call("keras.random.normal", c(shape = "shape", mean = "num", stddev = "num", dtype = "dtype", seed = "seed"))
}

#' @rdname k_make
#' @export
k_truncated_normal <- function(shape, mean = 0, stddev = 1, dtype = NULL, seed = NULL) {
  k_call("keras.random.truncated_normal", c(shape = "shape", mean = "num", stddev = "num", dtype = "dtype", seed = "seed"))
}

#' @rdname k_make
#' @export
k_random_uniform <- function(shape, minval = 0, maxval = 1, dtype = NULL, seed = NULL) {
  whole <- is.character(dtype) && grepl("^u?int", dtype)
  symbol <- if (whole) "keras.random.randint" else "keras.random.uniform"
  number <- if (whole) "int" else "num"
  k_call(symbol, c(shape = "shape", minval = number, maxval = number, dtype = "dtype", seed = "seed"))
}

#' @rdname k_make
#' @export
k_random_bernoulli <- function(shape, p = 0, dtype = NULL, seed = NULL) {
  frame <- rlang::current_env()
  p <- convert_arg(p, "num", "p", frame)
  if (p < 0 || p > 1) {
    abort_argument("p", paste0("must be between 0 and 1, not ", p, "."), call = frame)
  }
  drawn <- bridge_call("keras.random.uniform", list(
    convert_arg(shape, "shape", "shape", frame), seed = convert_arg(seed, "seed", "seed", frame)
  ), call = frame)
  k_ops("cast", k_ops("less", drawn, p, call = frame), convert_arg(dtype, "dtype", "dtype", frame) %||% k_floatx(), call = frame)
}

#' @rdname k_make
#' @export
k_random_binomial <- k_random_bernoulli

#' @rdname k_make
#' @export
k_random_normal_variable <- function(shape, mean, scale, dtype = NULL, name = NULL, seed = NULL) {
  frame <- rlang::current_env()
  value <- k_call("keras.random.normal", c(shape = "shape", mean = "num", scale = "stddev:num", seed = "seed"))
  k_new_variable(value, dtype, name, frame)
}

#' @rdname k_make
#' @export
k_random_uniform_variable <- function(shape, low, high, dtype = NULL, name = NULL, seed = NULL) {
  frame <- rlang::current_env()
  value <- k_call("keras.random.uniform", c(shape = "shape", low = "minval:num", high = "maxval:num", seed = "seed"))
  k_new_variable(value, dtype, name, frame)
}

#' @rdname k_make
#' @export
k_dropout <- function(x, level, noise_shape = NULL, seed = NULL) {
  frame <- rlang::current_env()
  x <- k_tensor(x, "x", frame)
  k_call("keras.random.dropout", c(x = "inputs:tensor", level = "rate:num", noise_shape = "shape", seed = "seed"))
}

#' Older backend functions: what a tensor is
#'
#' As in the older package. In new code use `dim()`, [op_shape()], [op_ndim()], [op_dtype()],
#' [op_is_tensor()] and [as_tensor()].
#'
#' @param x,tensor A tensor, a variable, or anything for the functions that ask.
#' @return `k_int_shape()`: a list of whole numbers, `NULL` for an axis of any length.
#'   `k_get_variable_shape()`: whole numbers. `k_shape()`: a tensor of whole numbers. `k_ndim()`,
#'   `k_count_params()`: a whole number. `k_dtype()`: a string. `k_is_*()`: `TRUE` or `FALSE`.
#'   `k_to_dense()`: a tensor.
#' @examplesIf is_keras_available()
#' x <- layer_input(c(28, 28, 1))
#' str(k_int_shape(x))
#' k_is_placeholder(x)
#' @name k_ask
NULL

#' @rdname k_ask
#' @export
k_shape <- function(x) {
  frame <- rlang::current_env()
  bridge_do("shape_tensor", x = as_tensor_arg(x, "x", frame), call = frame)
}

#' @rdname k_ask
#' @export
k_int_shape <- function(x) {
  lapply(tensor_dim(k_tensor(x, "x", rlang::current_env())), \(axis) if (is.na(axis)) NULL else axis)
}

#' @rdname k_ask
#' @export
k_get_variable_shape <- function(x) tensor_dim(k_tensor(x, "x", rlang::current_env()))

#' @rdname k_ask
#' @export
k_ndim <- function(x) length(tensor_dim(k_tensor(x, "x", rlang::current_env())))

#' @rdname k_ask
#' @export
k_count_params <- function(x) {
  shape <- tensor_dim(k_tensor(x, "x", rlang::current_env()))
  if (anyNA(shape)) {
    abort_argument("x", "has an axis of no fixed length.", call = rlang::current_env())
  }
  as.integer(prod(shape))
}

#' @rdname k_ask
#' @export
k_dtype <- function(x) tensor_dtype(k_tensor(x, "x", rlang::current_env()))

#' @rdname k_ask
#' @export
k_is_tensor <- function(x) is_tensor(x)

#' @rdname k_ask
#' @export
k_is_placeholder <- function(x) {
  inherits(x, "kerasbridge_keras_tensor") && bridge_do("is_placeholder", x = x, call = rlang::current_env())
}

#' @rdname k_ask
#' @export
k_is_sparse <- function(tensor) {
  is_python(tensor) && bridge_do("is_sparse", x = tensor, call = rlang::current_env())
}

#' @rdname k_ask
#' @export
k_to_dense <- function(tensor) {
  frame <- rlang::current_env()
  bridge_call("keras.ops.convert_to_tensor", list(as_tensor_arg(tensor, "tensor", frame), sparse = FALSE), call = frame)
}

#' Older backend functions: shapes and places
#'
#' As in the older package. In new code use [op_reshape()], [op_transpose()], [op_expand_dims()],
#' [op_squeeze()], [op_ravel()], [op_concatenate()], [op_stack()], [op_unstack()], [op_repeat()],
#' [op_tile()], [op_flip()], [op_take()], [op_pad()], [op_image_resize()] and [op_where()].
#'
#' `k_gather()` takes **positions counted from 0**, as it always has; [op_take()] counts from 1.
#' `k_repeat()` turns `(samples, features)` into `(samples, n, features)`. `k_switch()` chooses between
#' two values, or two functions of no arguments, by one logical or one per element (or per row: a
#' condition of fewer axes is spread over the last ones).
#'
#' @param x,reference A tensor, a variable or an R array; for `k_stack()` a list of them.
#' @param tensors List of tensors of the same shape but for `axis`.
#' @param shape New shape; one `-1` stands for what is left.
#' @param axis,axes,pattern Axes, counted from 1, negative from the end. `pattern`: the axes in their new
#'   order.
#' @param n,rep,num How often; for `k_tile()` one number per axis. `num`: number of slices.
#' @param name No effect; noted once.
#' @param indices Positions along the first axis, counted from 0.
#' @param height_factor,width_factor,depth_factor Whole numbers to multiply a length with.
#' @param data_format `"channels_last"` or `"channels_first"`; by default that of
#'   [k_image_data_format()].
#' @param interpolation `"nearest"` or `"bilinear"`.
#' @param padding Zeros to add before and after: `c(1, 1)`, or a list of such pairs, one per axis.
#' @param condition Logical, or a tensor of them.
#' @param then_expression,else_expression Tensors, numbers, or functions that give them.
#' @return A tensor; `k_unstack()`: a list of tensors.
#' @examplesIf is_keras_available()
#' x <- matrix(1:6, 2)
#' k_reshape(x, c(3, -1))
#' k_gather(x, 0)
#' k_repeat_elements(x, 2, axis = 2)
#' @name k_shapes
NULL

#' @rdname k_shapes
#' @export
k_reshape <- function(x, shape) k_call("keras.ops.reshape", c(x = "tensor", shape = "newshape:shape"))

#' @rdname k_shapes
#' @export
k_flatten <- function(x) k_call("keras.ops.ravel", c(x = "tensor"))

#' @rdname k_shapes
#' @export
k_batch_flatten <- function(x) {
  frame <- rlang::current_env()
  x <- k_tensor(x, "x", frame)
  rest <- tensor_dim(x)[-1]
  shape <- if (anyNA(rest)) list(NULL, -1L) else list(-1L, as.integer(prod(rest)))
  if (anyNA(rest)) {
    shape[[1]] <- bridge_call("keras.ops.shape", list(x), call = frame)[[1]]
    if (is.null(shape[[1]])) {
      abort_argument("x", "has two axes of no fixed length.", call = frame)
    }
  }
  k_ops("reshape", x, tagged(shape, "tuple"), call = frame)
}

#' @rdname k_shapes
#' @export
k_expand_dims <- function(x, axis = -1) k_call("keras.ops.expand_dims", c(x = "tensor", axis = "axis"))

#' @rdname k_shapes
#' @export
k_squeeze <- function(x, axis) k_call("keras.ops.squeeze", c(x = "tensor", axis = "axes"))

#' @rdname k_shapes
#' @export
k_permute_dimensions <- function(x, pattern) k_call("keras.ops.transpose", c(x = "tensor", pattern = "axes:axes"))

#' @rdname k_shapes
#' @export
k_transpose <- function(x) k_call("keras.ops.transpose", c(x = "tensor"))

#' @rdname k_shapes
#' @export
k_concatenate <- function(tensors, axis = -1) k_call("keras.ops.concatenate", c(tensors = "xs:tensors", axis = "axis"))

#' @rdname k_shapes
#' @export
k_stack <- function(x, axis = 1) k_call("keras.ops.stack", c(x = "tensors", axis = "axis"))

#' @rdname k_shapes
#' @export
k_unstack <- function(x, axis = 1L, num = NULL, name = NULL) {
  k_no_name(name, rlang::current_env())
  k_call("keras.ops.unstack", c(x = "tensor", num = "int", axis = "axis"))
}

#' @rdname k_shapes
#' @export
k_repeat <- function(x, n) {
  frame <- rlang::current_env()
  x <- k_tensor(x, "x", frame)
  if (length(tensor_dim(x)) != 2) {
    abort_argument("x", "must have two axes, samples and features.", call = frame)
  }
  bridge_call("keras.ops.repeat", list(
    k_ops("expand_dims", x, 1L, call = frame), convert_arg(n, "int", "n", frame), axis = 1L
  ), call = frame)
}

#' @rdname k_shapes
#' @export
k_repeat_elements <- function(x, rep, axis) {
  k_call("keras.ops.repeat", c(x = "tensor", rep = "repeats:int", axis = "axis"))
}

#' @rdname k_shapes
#' @export
k_tile <- function(x, n) k_call("keras.ops.tile", c(x = "tensor", n = "repeats:ints"))

#' @rdname k_shapes
#' @export
k_reverse <- function(x, axes) {
  frame <- rlang::current_env()
  x <- k_tensor(x, "x", frame)
  axes <- as_axes_arg(axes, "axes", frame)
  # one by one: until Keras 3.3 several at once fail
  for (axis in if (inherits(axes, "kb_tag")) axes$value else axes) {
    x <- k_ops("flip", x, axis = axis, call = frame)
  }
  x
}

#' @rdname k_shapes
#' @export
k_gather <- function(reference, indices) {
  frame <- rlang::current_env()
  bridge_call("keras.ops.take", list(
    k_tensor(reference, "reference", frame), convert_arg(indices, "tensor_int", "indices", frame), axis = 0L
  ), call = frame)
}

#' @rdname k_shapes
#' @export
k_identity <- function(x, name = NULL) {
  frame <- rlang::current_env()
  k_no_name(name, frame)
  k_ops("copy", as_tensor_arg(x, "x", frame), call = frame)
}

k_first <- function(data_format, frame) {
  data_format <- convert_arg(data_format, "string", "data_format", frame) %||% k_image_data_format()
  if (!data_format %in% c("channels_first", "channels_last")) {
    abort_argument("data_format", "must be \"channels_last\" or \"channels_first\".", call = frame)
  }
  data_format == "channels_first"
}

#' @rdname k_shapes
#' @export
k_resize_images <- function(x, height_factor, width_factor, data_format = NULL, interpolation = "nearest") {
  frame <- rlang::current_env()
  x <- k_tensor(x, "x", frame)
  factors <- list(convert_arg(height_factor, "int", "height_factor", frame), convert_arg(width_factor, "int", "width_factor", frame))
  first <- k_first(data_format, frame)
  if (identical(interpolation, "nearest")) {
    return(k_repeat_axes(x, factors, first, frame))
  }
  if (!identical(interpolation, "bilinear")) {
    abort_argument("interpolation", "must be \"nearest\" or \"bilinear\".", call = frame)
  }
  size <- tensor_dim(x)[if (first) 3:4 else 2:3] * unlist(factors)
  bridge_call("keras.ops.image.resize", list(
    x, tagged(as.list(as.integer(size)), "tuple"), interpolation = "bilinear",
    data_format = if (first) "channels_first" else "channels_last"
  ), call = frame)
}

#' @rdname k_shapes
#' @export
k_resize_volumes <- function(x, depth_factor, height_factor, width_factor, data_format = NULL) {
  frame <- rlang::current_env()
  factors <- list(
    convert_arg(depth_factor, "int", "depth_factor", frame),
    convert_arg(height_factor, "int", "height_factor", frame),
    convert_arg(width_factor, "int", "width_factor", frame)
  )
  k_repeat_axes(k_tensor(x, "x", frame), factors, k_first(data_format, frame), frame)
}

k_repeat_axes <- function(x, factors, first, frame) {
  for (i in seq_along(factors)) {
    x <- bridge_call("keras.ops.repeat", list(x, factors[[i]], axis = as.integer(if (first) i + 1L else i)), call = frame)
  }
  x
}

k_pad <- function(x, pairs, frame) {
  widths <- lapply(pairs, \(pair) {
    pair <- unlist(pair)
    if (!is_whole(pair) || length(pair) != 2 || any(pair < 0)) {
      abort_argument("padding", "must be pairs of whole numbers: zeros before and after.", call = frame)
    }
    tagged(as.list(as.integer(pair)), "tuple")
  })
  k_ops("pad", x, tagged(widths, "tuple"), call = frame)
}

k_spatial_padding <- function(x, padding, data_format, axes, frame) {
  x <- k_tensor(x, "x", frame)
  if (length(padding) != axes) {
    abort_argument("padding", sprintf("must be a list of %d pairs.", axes), call = frame)
  }
  none <- list(c(0, 0))
  k_pad(x, if (k_first(data_format, frame)) c(none, none, as.list(padding)) else c(none, as.list(padding), none), frame)
}

#' @rdname k_shapes
#' @export
k_temporal_padding <- function(x, padding = c(1, 1)) {
  frame <- rlang::current_env()
  k_pad(k_tensor(x, "x", frame), list(c(0, 0), padding, c(0, 0)), frame)
}

#' @rdname k_shapes
#' @export
k_spatial_2d_padding <- function(x, padding = list(list(1, 1), list(1, 1)), data_format = NULL) {
  k_spatial_padding(x, padding, data_format, 2, rlang::current_env())
}

#' @rdname k_shapes
#' @export
k_spatial_3d_padding <- function(x, padding = list(list(1, 1), list(1, 1), list(1, 1)), data_format = NULL) {
  k_spatial_padding(x, padding, data_format, 3, rlang::current_env())
}

#' @rdname k_shapes
#' @export
k_switch <- function(condition, then_expression, else_expression) {
  frame <- rlang::current_env()
  value <- \(e) if (is.function(e) && !is_python(e)) e() else e
  if (!is_python(condition) && length(condition) == 1) {
    refuse_na(condition, "condition", frame)
    return(k_tensor(value(if (as.logical(condition)) then_expression else else_expression), "then_expression", frame))
  }
  condition <- k_ops("cast", as_tensor_arg(condition, "condition", frame), "bool", call = frame)
  rank <- length(tensor_dim(condition))
  if (rank == 0) {
    as_branch <- \(e) tagged(\() k_tensor(value(e), "then_expression", frame), "function", name = "branch")
    return(k_ops("cond", condition, as_branch(then_expression), as_branch(else_expression), call = frame))
  }
  then <- k_tensor(value(then_expression), "then_expression", frame)
  other <- k_tensor(value(else_expression), "else_expression", frame)
  for (i in seq_len(max(0, length(tensor_dim(then)) - rank))) {
    condition <- k_ops("expand_dims", condition, -1L, call = frame)
  }
  k_ops("where", condition, then, other, call = frame)
}
