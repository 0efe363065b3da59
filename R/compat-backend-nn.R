# Older backend functions of neural networks: activations, losses, products, convolutions, pooling.

#' Older backend functions: activations
#'
#' As in the older package. In new code use [op_relu()], [op_elu()], [op_softmax()], [op_softplus()],
#' [op_softsign()], [op_sigmoid()], [op_tanh()] and [op_hard_sigmoid()].
#'
#' `k_hard_sigmoid()` is the older line, 0.2 x + 0.5 between 0 and 1; that of Keras 3,
#' [op_hard_sigmoid()], is x / 6 + 0.5.
#'
#' @param x A tensor, a variable or an R array.
#' @param alpha Slope below the threshold (`k_relu()`), height of the negative side (`k_elu()`).
#' @param max_value Largest value; `NULL` for no bound.
#' @param threshold Where `k_relu()` begins.
#' @param axis Axis along which the results sum to one, counted from 1, negative from the end.
#' @return A tensor of the shape of `x`.
#' @examplesIf is_keras_available()
#' k_relu(c(-2, 1, 9), max_value = 6)
#' k_softmax(matrix(1:4 / 2, 2))
#' @name k_activations
NULL

#' @rdname k_activations
#' @export
k_relu <- function(x, alpha = 0, max_value = NULL, threshold = 0) {
  frame <- rlang::current_env()
  x <- k_tensor(x, "x", frame)
  alpha <- convert_arg(alpha, "num", "alpha", frame)
  threshold <- k_like(convert_arg(threshold, "num", "threshold", frame), x, "threshold", frame)
  above <- k_ops("greater_equal", x, threshold, call = frame)
  below <- if (identical(alpha, 0)) {
    k_ops("zeros_like", x, call = frame)
  } else {
    k_ops("multiply", k_ops("subtract", x, threshold, call = frame), alpha, call = frame)
  }
  out <- k_ops("where", above, x, below, call = frame)
  if (!is.null(max_value)) {
    out <- k_ops("minimum", out, k_like(convert_arg(max_value, "num", "max_value", frame), x, "max_value", frame), call = frame)
  }
  out
}

#' @rdname k_activations
#' @export
k_elu <- function(x, alpha = 1) k_call("keras.ops.elu", c(x = "tensor", alpha = "num"))

#' @rdname k_activations
#' @export
k_softmax <- function(x, axis = -1) k_call("keras.ops.softmax", c(x = "tensor", axis = "axis"))

#' @rdname k_activations
#' @export
k_softplus <- function(x) k_call("keras.ops.softplus", c(x = "tensor"))

#' @rdname k_activations
#' @export
k_softsign <- function(x) k_call("keras.ops.softsign", c(x = "tensor"))

#' @rdname k_activations
#' @export
k_sigmoid <- function(x) k_call("keras.ops.sigmoid", c(x = "tensor"))

#' @rdname k_activations
#' @export
k_hard_sigmoid <- function(x) {
  frame <- rlang::current_env()
  line <- k_ops("add", k_ops("multiply", k_tensor(x, "x", frame), 0.2, call = frame), 0.5, call = frame)
  k_ops("clip", line, 0, 1, call = frame)
}

#' @rdname k_activations
#' @export
k_tanh <- function(x) k_call("keras.ops.tanh", c(x = "tensor"))

#' Older backend functions: losses
#'
#' As in the older package, with the target first. In new code use [op_binary_crossentropy()],
#' [op_categorical_crossentropy()], [op_sparse_categorical_crossentropy()], [op_in_top_k()],
#' [op_ctc_loss()], [op_ctc_decode()], or the `loss_*` functions.
#'
#' The CTC functions take probabilities (the output of a softmax) and, as they always have, the
#' **last** class as the blank; [op_ctc_loss()] takes logits and class 0 unless told otherwise.
#'
#' @param target,y_true True values, of the shape of `output`; class numbers from 0 for
#'   `k_sparse_categorical_crossentropy()` and the CTC functions.
#' @param output,y_pred Predictions; for CTC `(samples, steps, classes)`.
#' @param from_logits `TRUE` if the predictions are logits, not probabilities.
#' @param axis Axis of the classes, counted from 1, negative from the end.
#' @param predictions,targets Scores `(samples, classes)` and class numbers from 0.
#' @param k Among how many best scores the target must be.
#' @param input_length,label_length,label_lengths Steps and labels in use of each sample, `(samples, 1)`
#'   or a vector.
#' @param labels Matrix of class numbers, a row a sample.
#' @param greedy `TRUE` for the best class at each step, `FALSE` for a beam search.
#' @param beam_width,top_paths Width of the beam search, and how many results it gives.
#' @return A tensor with a value a sample (per element for `k_binary_crossentropy()`).
#'   `k_in_top_k()`: logicals. `k_ctc_batch_cost()`: `(samples, 1)`. `k_ctc_decode()`: a list of a list of
#'   decoded label matrices, -1 where there is none, and the scores. `k_ctc_label_dense_to_sparse()`:
#'   a sparse tensor (TensorFlow only).
#' @examplesIf is_keras_available()
#' k_binary_crossentropy(c(0, 1), c(0.1, 0.8))
#' k_in_top_k(rbind(c(0.1, 0.7, 0.2)), 2, k = 2)
#' @name k_losses
NULL

#' @rdname k_losses
#' @export
k_binary_crossentropy <- function(target, output, from_logits = FALSE) {
  k_call("keras.ops.binary_crossentropy", c(target = "tensor", output = "tensor", from_logits = "bool"))
}

#' @rdname k_losses
#' @export
k_categorical_crossentropy <- function(target, output, from_logits = FALSE, axis = -1) {
  k_call("keras.ops.categorical_crossentropy", c(target = "tensor", output = "tensor", from_logits = "bool", axis = "axis"))
}

#' @rdname k_losses
#' @export
k_sparse_categorical_crossentropy <- function(target, output, from_logits = FALSE, axis = -1) {
  k_call("keras.ops.sparse_categorical_crossentropy", c(target = "tensor_int", output = "tensor", from_logits = "bool", axis = "axis"))
}

#' @rdname k_losses
#' @export
k_in_top_k <- function(predictions, targets, k) {
  frame <- rlang::current_env()
  k_ops(
    "in_top_k", convert_arg(k_ints(targets), "tensor_int", "targets", frame),
    k_tensor(predictions, "predictions", frame), convert_arg(k, "int", "k", frame), call = frame
  )
}

# One number is a vector of length one where a vector is meant.
k_ints <- function(x) if (!is_python(x) && is.null(dim(x))) array(x, length(x)) else x

# (samples, 1) or (samples): lengths as whole numbers, one a sample
k_lengths <- function(x, arg, frame) {
  x <- convert_arg(k_ints(x), "tensor_int", arg, frame)
  k_ops("cast", k_ops("reshape", x, -1L, call = frame), "int32", call = frame)
}

k_log_probabilities <- function(y_pred, frame) {
  k_ops("log", k_ops("add", k_tensor(y_pred, "y_pred", frame), k_epsilon(), call = frame), call = frame)
}

k_blank <- function(scores, frame) {
  classes <- tensor_dim(scores)
  if (length(classes) != 3 || is.na(classes[[3]])) {
    abort_argument("y_pred", "must be of shape (samples, steps, classes).", call = frame)
  }
  classes[[3]] - 1L
}

#' @rdname k_losses
#' @export
k_ctc_batch_cost <- function(y_true, y_pred, input_length, label_length) {
  frame <- rlang::current_env()
  scores <- k_log_probabilities(y_pred, frame)
  loss <- bridge_call("keras.ops.ctc_loss", list(
    convert_arg(y_true, "tensor_int", "y_true", frame), scores,
    k_lengths(label_length, "label_length", frame), k_lengths(input_length, "input_length", frame),
    mask_index = k_blank(scores, frame)
  ), call = frame)
  k_ops("expand_dims", loss, 1L, call = frame)
}

#' @rdname k_losses
#' @export
k_ctc_decode <- function(y_pred, input_length, greedy = TRUE, beam_width = 100L, top_paths = 1) {
  frame <- rlang::current_env()
  scores <- k_log_probabilities(y_pred, frame)
  greedy <- convert_arg(greedy, "bool", "greedy", frame)
  out <- bridge_call("keras.ops.ctc_decode", c(
    list(scores, k_lengths(input_length, "input_length", frame), mask_index = k_blank(scores, frame)),
    if (greedy) list(strategy = "greedy") else list(
      strategy = "beam_search", beam_width = convert_arg(beam_width, "int", "beam_width", frame),
      top_paths = convert_arg(top_paths, "int", "top_paths", frame)
    )
  ), call = frame)
  list(bridge_call("keras.ops.unstack", list(out[[1]], axis = 0L), call = frame), out[[2]])
}

#' @rdname k_losses
#' @export
k_ctc_label_dense_to_sparse <- function(labels, label_lengths) {
  frame <- rlang::current_env()
  bridge_do(
    "sparse_labels", labels = convert_arg(labels, "tensor_int", "labels", frame),
    label_lengths = k_lengths(label_lengths, "label_lengths", frame), call = frame
  )
}

#' Older backend functions: products and normalisation
#'
#' As in the older package. In new code use [op_matmul()], [op_dot()], [op_einsum()], [op_add()],
#' [op_batch_normalization()] and [op_moments()].
#'
#' `k_dot()` sums over the last axis of `x` and the second to last of `y`. `k_batch_dot()` does so
#' sample by sample, over the axes given; a result of one number a sample has shape `(samples, 1)`.
#'
#' @param x,y Tensors, variables or R arrays.
#' @param axes Axis of `x` and axis of `y` to sum over, counted from 1 (the samples), negative from the
#'   end; one number for both. By default the last of `x` and the second to last of `y`.
#' @param bias What to add: one number per channel, or the shape of `x` without its samples.
#' @param data_format `"channels_last"` or `"channels_first"`; by default that of
#'   [k_image_data_format()].
#' @param mean,var Mean and variance of `x`.
#' @param beta,gamma What to add and to multiply after normalising; `NULL` for nothing.
#' @param reduction_axes Axes to normalise over, counted from 1: `c(1, 2, 3)` for images.
#' @param epsilon Small number added to the variance.
#' @return A tensor; `k_normalize_batch_in_training()`: a list of three, normalised values, mean,
#'   variance.
#' @examplesIf is_keras_available()
#' k_dot(matrix(1:4 / 2, 2), diag(2))
#' k_batch_dot(array(1:12 / 2, c(2, 2, 3)), array(1, c(2, 3, 2)), axes = c(3, 2))
#' @name k_products
NULL

#' @rdname k_products
#' @export
k_dot <- function(x, y) {
  frame <- rlang::current_env()
  k_ops("dot", k_tensor(x, "x", frame), k_tensor(y, "y", frame), call = frame)
}

#' @rdname k_products
#' @export
k_batch_dot <- function(x, y, axes = NULL) {
  frame <- rlang::current_env()
  x <- k_tensor(x, "x", frame)
  y <- k_tensor(y, "y", frame)
  ranks <- c(length(tensor_dim(x)), length(tensor_dim(y)))
  if (min(ranks) < 2) {
    abort_argument(if (ranks[[1]] < 2) "x" else "y", "must have two axes or more, samples first.", call = frame)
  }
  axes <- unlist(axes) %||% c(ranks[[1]], max(2, ranks[[2]] - 1))
  if (!is_whole(axes) || !length(axes) %in% 1:2) {
    abort_argument("axes", "must be one or two axes, counted from 1.", call = frame)
  }
  axes <- rep_len(axes, 2)
  axes <- ifelse(axes < 0, axes + ranks + 1, axes)
  if (any(axes < 2 | axes > ranks)) {
    abort_argument("axes", "must lie between 2 and the number of axes.", "Axis 1 is that of the samples.", call = frame)
  }
  in_x <- letters[seq_len(ranks[[1]])]
  in_y <- c("a", LETTERS[seq_len(ranks[[2]] - 1)])
  in_y[[axes[[2]]]] <- in_x[[axes[[1]]]]
  out <- c(in_x[-axes[[1]]], in_y[-c(1, axes[[2]])])
  code <- paste0(paste(in_x, collapse = ""), ",", paste(in_y, collapse = ""), "->", paste(out, collapse = ""))
  result <- k_ops("einsum", code, x, y, call = frame)
  if (length(out) == 1) k_ops("expand_dims", result, 1L, call = frame) else result
}

#' @rdname k_products
#' @export
k_bias_add <- function(x, bias, data_format = NULL) {
  frame <- rlang::current_env()
  x <- k_tensor(x, "x", frame)
  bias <- k_tensor(bias, "bias", frame)
  rank <- length(tensor_dim(x))
  size <- tensor_dim(bias)
  if (!length(size) %in% c(1, rank - 1)) {
    abort_argument("bias", sprintf("must have 1 or %d axes, not %d.", rank - 1, length(size)), call = frame)
  }
  if (rank > 2 && k_first(data_format, frame)) {
    if (length(size) == 1) {
      bias <- k_ops("reshape", bias, tagged(c(list(size), as.list(rep(1L, rank - 2))), "tuple"), call = frame)
    } else {
      bias <- k_ops("moveaxis", bias, -1L, 0L, call = frame)
    }
  }
  k_ops("add", x, bias, call = frame)
}

# gamma * (x - mean) / sqrt(var + epsilon) + beta, all of shapes that spread over x
k_normalized <- function(x, mean, var, beta, gamma, epsilon, frame) {
  scale <- k_ops("rsqrt", k_ops("add", var, epsilon, call = frame), call = frame)
  if (!is.null(gamma)) {
    scale <- k_ops("multiply", scale, gamma, call = frame)
  }
  out <- k_ops("multiply", k_ops("subtract", x, mean, call = frame), scale, call = frame)
  if (is.null(beta)) out else k_ops("add", out, beta, call = frame)
}

#' @rdname k_products
#' @export
k_batch_normalization <- function(x, mean, var, beta, gamma, epsilon = 0.001) {
  frame <- rlang::current_env()
  optional <- \(v, arg) if (is.null(v)) NULL else k_tensor(v, arg, frame)
  k_normalized(
    k_tensor(x, "x", frame), k_tensor(mean, "mean", frame), k_tensor(var, "var", frame),
    optional(beta, "beta"), optional(gamma, "gamma"), convert_arg(epsilon, "num", "epsilon", frame), frame
  )
}

#' @rdname k_products
#' @export
k_normalize_batch_in_training <- function(x, gamma, beta, reduction_axes, epsilon = 0.001) {
  frame <- rlang::current_env()
  x <- k_tensor(x, "x", frame)
  shape <- tensor_dim(x)
  axes <- as.integer(zero_based(unlist(reduction_axes), "reduction_axes", frame))
  axes <- ifelse(axes < 0, axes + length(shape), axes)
  kept <- shape
  kept[axes + 1L] <- 1L
  moments <- bridge_call("keras.ops.moments", list(x, axes = tagged(as.list(axes), "tuple"), keepdims = TRUE), call = frame)
  spread <- \(v, arg) {
    if (is.null(v)) {
      return(NULL)
    }
    if (anyNA(kept)) {
      abort_argument("x", "must have a fixed length along the axes that are not reduced.", call = frame)
    }
    k_ops("reshape", k_tensor(v, arg, frame), tagged(as.list(kept), "tuple"), call = frame)
  }
  out <- k_normalized(
    x, moments[[1]], moments[[2]], spread(beta, "beta"), spread(gamma, "gamma"),
    convert_arg(epsilon, "num", "epsilon", frame), frame
  )
  squeeze <- \(m) k_ops("squeeze", m, tagged(as.list(axes), "tuple"), call = frame)
  list(out, squeeze(moments[[1]]), squeeze(moments[[2]]))
}

#' Older backend functions: convolution and pooling
#'
#' As in the older package. In new code use [op_conv()], [op_conv_transpose()],
#' [op_depthwise_conv()], [op_separable_conv()], [op_max_pool()], [op_average_pool()];
#' [layer_locally_connected_1d()] and [layer_locally_connected_2d()] for weights that aren't shared.
#'
#' @param x,inputs Tensor or R array: `(samples, ..., channels)`, or channels second.
#' @param kernel Kernel: `(window, channels in, channels out)`, for transposed convolution `(window,
#'   channels out, channels in)`; for local convolution `(positions, values in a window, filters)`.
#' @param depthwise_kernel,pointwise_kernel Kernel per channel, and the one of window size 1 after it.
#' @param strides Step of the window, one number or one per axis.
#' @param padding `"valid"` or `"same"`, for `k_conv1d()` also `"causal"`.
#' @param data_format `"channels_last"` or `"channels_first"`; by default that of
#'   [k_image_data_format()].
#' @param dilation_rate Distance between the points of a window.
#' @param output_shape For transposed convolution: shape of the result, or `NULL` for the one that
#'   follows from the rest; entries of unknown length may be `NULL` or `NA`. For
#'   `k_local_conv2d()`: rows and columns of the result.
#' @param kernel_size,pool_size Size of the window.
#' @param pool_mode `"max"` or `"avg"`.
#' @return A tensor.
#' @examplesIf is_keras_available()
#' x <- array(1:16 / 2, c(1, 4, 4, 1))
#' k_conv2d(x, array(1, c(2, 2, 1, 1)), strides = 2)
#' k_pool2d(x, c(2, 2), strides = c(2, 2))
#' @name k_convolution
NULL

#' @rdname k_convolution
#' @export
k_conv1d <- function(x, kernel, strides = 1, padding = "valid", data_format = NULL, dilation_rate = 1) {
  frame <- rlang::current_env()
  if (identical(padding, "causal")) {
    window <- tensor_dim(k_tensor(kernel, "kernel", frame))[[1]]
    before <- (window - 1) * convert_arg(dilation_rate, "int", "dilation_rate", frame)
    steps <- list(c(before, 0))
    none <- list(c(0, 0))
    around <- if (k_first(data_format, frame)) c(none, none, steps) else c(none, steps, none)
    x <- k_pad(k_tensor(x, "x", frame), around, frame)
    padding <- "valid"
  }
  k_conv(frame)
}

# the arguments of a k_conv*() frame are those of keras.ops.conv
k_conv <- function(frame) {
  k_call("keras.ops.conv", c(
    x = "inputs:tensor", kernel = "tensor", strides = "ints", padding = "string", data_format = "string", dilation_rate = "ints"
  ), frame)
}

#' @rdname k_convolution
#' @export
k_conv2d <- function(x, kernel, strides = c(1, 1), padding = "valid", data_format = NULL, dilation_rate = c(1, 1)) {
  k_conv(rlang::current_env())
}

#' @rdname k_convolution
#' @export
k_conv3d <- function(x, kernel, strides = c(1, 1, 1), padding = "valid", data_format = NULL,
                     dilation_rate = c(1, 1, 1)) {
  k_conv(rlang::current_env())
}

#' @rdname k_convolution
#' @export
k_conv2d_transpose <- function(x, kernel, output_shape = NULL, strides = c(1, 1), padding = "valid", data_format = NULL) {
  k_transposed(rlang::current_env(), 2)
}

#' @rdname k_convolution
#' @export
k_conv3d_transpose <- function(x, kernel, output_shape = NULL, strides = c(1, 1, 1), padding = "valid",
                               data_format = NULL) {
  k_transposed(rlang::current_env(), 3)
}

# The shape asked for decides how many points are added at the end of each axis.
k_transposed <- function(frame, axes) {
  x <- k_tensor(frame$x, "x", frame)
  kernel <- k_tensor(frame$kernel, "kernel", frame)
  convert_arg(frame$strides, "ints", "strides", frame)
  strides <- rep_len(as.integer(unlist(frame$strides)), axes)
  places <- if (k_first(frame$data_format, frame)) seq_len(axes) + 2L else seq_len(axes) + 1L
  extra <- NULL
  if (!is.null(frame$output_shape)) {
    wanted <- k_wanted(frame$output_shape, axes, places, frame)
    window <- tensor_dim(kernel)[seq_len(axes)]
    size <- tensor_dim(x)[places]
    same <- identical(frame$padding, "same")
    usual <- if (same) size * strides else size * strides + pmax(window - strides, 0L)
    if (!anyNA(wanted) && !anyNA(size) && any(wanted != usual)) {
      extra <- wanted - ((size - 1L) * strides + window - if (same) 2L * (window %/% 2L) else 0L)
      if (any(extra < 0 | extra >= strides)) {
        abort_argument(
          "output_shape", sprintf("(%s) can't come from input of (%s) here.", toString(wanted), toString(size)),
          sprintf("Without `output_shape` it is (%s).", toString(usual)), call = frame
        )
      }
    }
  }
  bridge_call("keras.ops.conv_transpose", c(
    list(x, kernel, strides = tagged(as.list(as.integer(strides)), "tuple"), padding = convert_arg(frame$padding, "string", "padding", frame)),
    if (!is.null(extra)) list(output_padding = tagged(as.list(as.integer(extra)), "tuple")),
    if (!is.null(frame$data_format)) list(data_format = frame$data_format)
  ), call = frame)
}

k_wanted <- function(shape, axes, places, frame) {
  shape <- if (is_python(shape)) as.list(as.integer(as.array(shape))) else as.list(shape)
  shape <- vapply(shape, \(v) if (is.null(v) || is.na(v)) NA_integer_ else as.integer(v), 0L)
  if (length(shape) == axes + 2) {
    return(shape[places])
  }
  if (length(shape) != axes) {
    abort_argument("output_shape", sprintf("must have %d numbers, samples and channels included.", axes + 2), call = frame)
  }
  shape
}

#' @rdname k_convolution
#' @export
k_depthwise_conv2d <- function(x, depthwise_kernel, strides = c(1, 1), padding = "valid", data_format = NULL,
                               dilation_rate = c(1, 1)) {
  k_call("keras.ops.depthwise_conv", c(
    x = "inputs:tensor", depthwise_kernel = "kernel:tensor", strides = "ints", padding = "string",
    data_format = "string", dilation_rate = "ints"
  ))
}

#' @rdname k_convolution
#' @export
k_separable_conv2d <- function(x, depthwise_kernel, pointwise_kernel, strides = c(1, 1), padding = "valid",
                               data_format = NULL, dilation_rate = c(1, 1)) {
  k_call("keras.ops.separable_conv", c(
    x = "inputs:tensor", depthwise_kernel = "tensor", pointwise_kernel = "tensor", strides = "ints",
    padding = "string", data_format = "string", dilation_rate = "ints"
  ))
}

k_pool <- function(pool_mode, frame) {
  if (!identical(pool_mode, "max") && !identical(pool_mode, "avg")) {
    abort_argument("pool_mode", "must be \"max\" or \"avg\".", call = frame)
  }
  k_call(if (pool_mode == "max") "keras.ops.max_pool" else "keras.ops.average_pool", c(
    x = "inputs:tensor", pool_size = "ints", strides = "ints", padding = "string", data_format = "string"
  ), frame)
}

#' @rdname k_convolution
#' @export
k_pool2d <- function(x, pool_size, strides = c(1, 1), padding = "valid", data_format = NULL, pool_mode = "max") {
  k_pool(pool_mode, rlang::current_env())
}

#' @rdname k_convolution
#' @export
k_pool3d <- function(x, pool_size, strides = c(1, 1, 1), padding = "valid", data_format = NULL, pool_mode = "max") {
  k_pool(pool_mode, rlang::current_env())
}

#' @rdname k_convolution
#' @export
k_local_conv1d <- function(inputs, kernel, kernel_size, strides, data_format = NULL) {
  frame <- rlang::current_env()
  bridge_do(
    "local_conv_1d", inputs = k_tensor(inputs, "inputs", frame), kernel = k_tensor(kernel, "kernel", frame),
    kernel_size = convert_arg(unlist(kernel_size), "int", "kernel_size", frame),
    strides = convert_arg(unlist(strides), "int", "strides", frame),
    data_format = convert_arg(data_format, "string", "data_format", frame), call = frame
  )
}

#' @rdname k_convolution
#' @export
k_local_conv2d <- function(inputs, kernel, kernel_size, strides, output_shape, data_format = NULL) {
  frame <- rlang::current_env()
  two <- \(x, arg) convert_arg(rep_len(unlist(x), 2), "ints", arg, frame)
  out <- bridge_do(
    "local_conv_2d", inputs = k_tensor(inputs, "inputs", frame), kernel = k_tensor(kernel, "kernel", frame),
    kernel_size = two(kernel_size, "kernel_size"), strides = two(strides, "strides"),
    data_format = convert_arg(data_format, "string", "data_format", frame), call = frame
  )
  given <- as.integer(unlist(output_shape))
  found <- tensor_dim(out)[if (k_first(data_format, frame)) 3:4 else 2:3]
  if (!identical(given, found)) {
    abort_argument("output_shape", sprintf("is (%s); these windows give (%s).", toString(given), toString(found)), call = frame)
  }
  out
}
