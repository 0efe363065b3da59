# Layers and metrics of the older package that Keras 3 has dropped: kept alive in
# inst/python/kerasbridge/layers, or an error that names what to use.

#' Locally connected layers
#'
#' Convolution in which every output position has weights of its own, for inputs where place matters
#' (faces in a fixed frame, daily profiles). Keras 3 has dropped these layers; here they are kept, and
#' models with them can be saved and loaded. Where the same features may stand anywhere,
#' [layer_conv_1d()] and [layer_conv_2d()] need far fewer weights.
#'
#' @param object What to compose with: nothing for the layer itself, a sequential model (the layer is
#'   added in place), or a tensor (the layer is called on it).
#' @param filters Number of output channels.
#' @param kernel_size Size of the window; one number, or for 2D one per axis.
#' @param strides Step of the window.
#' @param padding `"valid"`, or `"same"` for zeros around the input.
#' @param data_format `"channels_last"` or `"channels_first"`; by default that of
#'   [config_image_data_format()].
#' @param activation Activation: a name, an `activation_*` function, or an R function.
#' @param use_bias Whether a trained offset is added; there is one per position and filter.
#' @param kernel_initializer,bias_initializer Start values: a name or an `initializer_*` object.
#' @param kernel_regularizer,bias_regularizer,activity_regularizer Penalties, such as `"l2"` or a
#'   `regularizer_*` object.
#' @param kernel_constraint,bias_constraint Constraints, such as a `constraint_*` object.
#' @param implementation 1, 2 or 3: how Keras 2 computed the result, which is the same with each. Kept
#'   so that older configurations load.
#' @param name Name of the layer.
#' @param dtype Type of computations and weights.
#' @param trainable Whether training may change the weights.
#' @param ... On a first layer the older spellings `input_shape`, `batch_input_shape`, `batch_size`,
#'   `weights`.
#' @param bias Older spelling of `use_bias`.
#' @return The layer, the model, or the output tensor: `(batch, positions, filters)`, for 2D `(batch,
#'   rows, columns, filters)`.
#' @examplesIf is_keras_available()
#' x <- random_normal(c(2, 8, 3))
#' x |> layer_locally_connected_1d(filters = 4, kernel_size = 3)
#' @export
layer_locally_connected_1d <- function(
  object, filters, kernel_size, strides = 1L, padding = "valid", data_format = NULL, activation = NULL,
  use_bias = TRUE, kernel_initializer = "glorot_uniform", bias_initializer = "zeros",
  kernel_regularizer = NULL, bias_regularizer = NULL, activity_regularizer = NULL,
  kernel_constraint = NULL, bias_constraint = NULL, implementation = 1L, name = NULL, dtype = NULL,
  trainable = TRUE, ..., bias
) {
  wrap_layer("kerasbridge.layers.LocallyConnected1D", environment(), locally_connected_types)
}

#' @rdname layer_locally_connected_1d
#' @export
layer_locally_connected_2d <- function(
  object, filters, kernel_size, strides = c(1L, 1L), padding = "valid", data_format = NULL,
  activation = NULL, use_bias = TRUE, kernel_initializer = "glorot_uniform",
  bias_initializer = "zeros", kernel_regularizer = NULL, bias_regularizer = NULL,
  activity_regularizer = NULL, kernel_constraint = NULL, bias_constraint = NULL,
  implementation = 1L, name = NULL, dtype = NULL, trainable = TRUE, ..., bias
) {
  wrap_layer("kerasbridge.layers.LocallyConnected2D", environment(), locally_connected_types)
}

locally_connected_types <- c(
  filters = "!int", kernel_size = "!ints", strides = "ints", padding = "string", data_format = "string",
  activation = "callable", use_bias = "bool", kernel_initializer = "callable",
  bias_initializer = "callable", kernel_regularizer = "callable", bias_regularizer = "callable",
  activity_regularizer = "callable", kernel_constraint = "callable", bias_constraint = "callable",
  implementation = "int", name = "string", dtype = "object_spec", trainable = "bool"
)

#' Older activation layers
#'
#' `layer_activation_thresholded_relu()` passes values above `theta` and gives 0 elsewhere.
#' `layer_activation_selu()` is `layer_activation(activation = "selu")`, which to use in new code; in
#' place of the other, [layer_activation_relu()] with `threshold`.
#'
#' @inheritParams layer_locally_connected_1d
#' @param theta The threshold, at least 0.
#' @return The layer, the model, or the output tensor, of the shape of the input.
#' @examplesIf is_keras_available()
#' as_tensor(matrix(c(-2, 0.5, 3), 1)) |> layer_activation_thresholded_relu(theta = 1)
#' @export
layer_activation_thresholded_relu <- function(object, theta = 1, name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.ThresholdedReLU", environment(), c(
    theta = "num", name = "string", dtype = "object_spec", trainable = "bool"
  ))
}

#' @rdname layer_activation_thresholded_relu
#' @export
layer_activation_selu <- function(object, ...) {
  layer_activation(object, activation = "selu", ...)
}

#' Images of random height or width
#'
#' Stretches each batch of images along one axis by a factor drawn anew, while training; otherwise
#' images pass unchanged. Keras 3 has dropped these layers because the length then differs from batch
#' to batch: layers after them must take any length (convolution and global pooling do), and the JAX
#' backend can't compile them. In new code consider [layer_random_zoom()], which keeps the size.
#'
#' @inheritParams layer_locally_connected_1d
#' @param factor How much: 0.2 for 20 percent less to 20 percent more, or the two bounds, such as
#'   `c(-0.1, 0.3)`.
#' @param interpolation `"bilinear"` or `"nearest"`.
#' @param seed A whole number for the same draws each time.
#' @return The layer, the model, or the output tensor: images `(batch, height, width, channels)` with
#'   another height or width.
#' @examplesIf is_keras_available()
#' layer <- layer_random_height(factor = c(0.5, 0.5))
#' dim(layer(random_uniform(c(2, 8, 8, 3)), training = TRUE))
#' @export
layer_random_height <- function(
  object, factor, interpolation = "bilinear", seed = NULL, name = NULL, dtype = NULL, trainable = TRUE, ...
) {
  wrap_layer("kerasbridge.layers.RandomHeight", environment(), random_size_types)
}

#' @rdname layer_random_height
#' @export
layer_random_width <- function(
  object, factor, interpolation = "bilinear", seed = NULL, name = NULL, dtype = NULL, trainable = TRUE, ...
) {
  wrap_layer("kerasbridge.layers.RandomWidth", environment(), random_size_types)
}

random_size_types <- c(
  factor = "!nums", interpolation = "string", seed = "int", name = "string", dtype = "object_spec",
  trainable = "bool"
)

#' Recurrent layers by their cuDNN names
#'
#' [layer_gru()] and [layer_lstm()] use cuDNN by themselves where a GPU has it. These names call them,
#' and say so once.
#'
#' @inheritParams layer_locally_connected_1d
#' @param units Size of the output.
#' @param ... As in [layer_gru()] or [layer_lstm()].
#' @return The layer, the model, or the output tensor.
#' @examplesIf is_keras_available()
#' random_normal(c(2, 5, 3)) |> layer_cudnn_gru(4)
#' @export
layer_cudnn_gru <- function(object, units, ...) {
  note_once("cudnn", "`layer_gru()` and `layer_lstm()` use cuDNN by themselves; `layer_cudnn_*()` calls them.")
  layer_gru(object, units = units, ...)
}

#' @rdname layer_cudnn_gru
#' @export
layer_cudnn_lstm <- function(object, units, ...) {
  note_once("cudnn", "`layer_gru()` and `layer_lstm()` use cuDNN by themselves; `layer_cudnn_*()` calls them.")
  layer_lstm(object, units = units, ...)
}

#' Feature columns are gone
#'
#' The older package turned TensorFlow's feature columns into a layer. They don't exist any more: this
#' is an error that names [layer_feature_space()], which does the same with `feature_*` objects.
#'
#' @inheritParams layer_locally_connected_1d
#' @param feature_columns Not used.
#' @return None: always an error of class `kerasbridge_error_unsupported`.
#' @examples
#' try(layer_dense_features(feature_columns = list()))
#' @export
layer_dense_features <- function(object, feature_columns, ...) {
  k_unsupported(
    "TensorFlow's feature columns don't exist any more.",
    "Use `layer_feature_space()` with `feature_*` objects, one per column.", rlang::current_env()
  )
}

#' Metrics that Keras 3 has dropped
#'
#' `metric_mean_relative_error()` is the mean of `|y_true - y_pred| / normalizer`.
#' `metric_mean_tensor()` keeps the mean of each element of what `update_state()` is given; for single
#' numbers use [metric_mean()].
#'
#' @param normalizer What to divide by: an R number, vector or matrix that spreads over the
#'   predictions. Where it is 0, the error counts as 0.
#' @param shape Shape of the values; by default that of the first ones.
#' @param name Name of the metric.
#' @param dtype Type of the result.
#' @param ... Not used; refused.
#' @return A metric.
#' @examplesIf is_keras_available()
#' m <- metric_mean_relative_error(normalizer = c(1, 3, 2, 3))
#' m$update_state(c(1, 3, 2, 3), c(2, 4, 6, 8))
#' as.numeric(m$result())
#' @export
metric_mean_relative_error <- function(..., normalizer, name = "mean_relative_error", dtype = NULL) {
  wrap_class("kerasbridge.layers.MeanRelativeError", environment(), c(
    normalizer = "!nums", name = "string", dtype = "object_spec"
  ))
}

#' @rdname metric_mean_relative_error
#' @export
metric_mean_tensor <- function(..., shape = NULL, name = "mean_tensor", dtype = NULL) {
  wrap_class("kerasbridge.layers.MeanTensor", environment(), c(shape = "shape", name = "string", dtype = "object_spec"))
}
