# Creating models: sequential, functional, inputs.

#' A model made of layers in a row
#'
#' Layers are added with pipes; each one changes the model in place, so that the result need not be
#' assigned again.
#'
#' @param layers List of layers to start with.
#' @param name Name of the model; one is made up if `NULL`.
#' @param ... Not used; refused, so that a misspelt argument is seen.
#' @param input_shape Shape of one sample, such as `c(28, 28, 1)`; `NA` for an axis of any length.
#'   Without it the model is built when it first sees data or the first layer says its shape.
#' @param input_batch_size Fixed number of samples a batch; needed by stateful recurrent layers.
#' @param input_dtype Type of the input, such as `"int32"` or `"string"`.
#' @param input_name Name of the input.
#' @param input_batch_shape Shape with the batch axis first, in place of `input_shape` and
#'   `input_batch_size`.
#' @param trainable `FALSE` freezes every layer.
#' @return The model.
#' @seealso [keras_model()] for models that are not a row of layers.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 4) |>
#'   layer_dense(8, activation = "relu") |>
#'   layer_dense(1)
#' model
#' @export
keras_model_sequential <- function(input_shape = NULL, name = NULL, ..., input_dtype = NULL,
                                   input_batch_size = NULL, input_name = NULL,
                                   input_batch_shape = NULL, layers = NULL, trainable = TRUE) {
  frame <- rlang::current_env()
  rlang::check_dots_empty()
  # the older package's first argument was `layers`
  if (is.list(input_shape) && any(vapply(input_shape, is_layer, NA)) || is_layer(input_shape)) {
    layers <- input_shape
    input_shape <- NULL
  }
  input <- list(
    shape = convert_arg(input_shape, "shape", "input_shape", frame),
    batch_shape = convert_arg(input_batch_shape, "shape", "input_batch_shape", frame),
    batch_size = convert_arg(input_batch_size, "int", "input_batch_size", frame),
    dtype = convert_arg(input_dtype, "dtype", "input_dtype", frame),
    name = convert_arg(input_name, "string", "input_name", frame)
  )
  input <- input[!vapply(input, is.null, NA)]
  if (length(input) && is.null(input$shape) && is.null(input$batch_shape)) {
    abort_argument("input_shape", "is needed when another argument describes the input.", call = frame)
  }
  if (is_layer(layers)) {
    layers <- list(layers)
  }
  model <- bridge_do(
    "sequential",
    layers = NULL,
    name = convert_arg(name, "string", "name", frame),
    trainable = convert_arg(trainable, "bool", "trainable", frame)
  )
  if (length(input)) {
    first <- bridge_call("keras.Input", input)
    bridge_method(model, "add", list(first))
  }
  for (layer in layers) {
    if (!is_layer(layer) && !is_tensor(layer)) {
      abort_argument("layers", paste0("must be a list of layers, not ", describe_value(layer), "."), call = frame)
    }
    compose_with(model, layer, frame, attr(layer, "kerasbridge_input"))
  }
  model
}

#' A model of any shape: several inputs, branches, several outputs
#'
#' Made from the tensors it starts and ends with; the layers in between are found by following them.
#'
#' @param inputs A tensor from [layer_input()], or a (named) list of them.
#' @param outputs A tensor that layers made from them, or a (named) list of tensors.
#' @param name Name of the model.
#' @param ... Not used; refused.
#' @return The model.
#' @examplesIf is_keras_available()
#' a <- layer_input(3, name = "a")
#' b <- layer_input(2, name = "b")
#' out <- layer_concatenate(a, b) |> layer_dense(1)
#' keras_model(list(a, b), out)
#' @export
keras_model <- function(inputs = NULL, outputs = NULL, ..., name = NULL) {
  frame <- rlang::current_env()
  rlang::check_dots_empty()
  for (arg in c("inputs", "outputs")) {
    value <- get(arg)
    tensors <- if (is_python(value)) list(value) else value
    if (!length(tensors) || !all(vapply(rapply_tensors(tensors), is_tensor, NA))) {
      abort_argument(
        arg, paste0("must be a tensor or a list of tensors, not ", describe_value(value), "."),
        "Inputs come from `layer_input()`, outputs from calling layers on them.", call = frame
      )
    }
  }
  bridge_do(
    "functional",
    inputs = as_tensor_or_tensors_arg(inputs, "inputs", frame),
    outputs = as_tensor_or_tensors_arg(outputs, "outputs", frame),
    name = convert_arg(name, "string", "name", frame)
  )
}

rapply_tensors <- function(x) {
  if (is_python(x) || !is.list(x)) list(x) else unlist(lapply(unname(x), rapply_tensors), recursive = FALSE)
}

#' The input of a functional model
#'
#' A tensor without values: the place where data enters the model.
#'
#' @param shape Shape of one sample, such as `c(28, 28, 1)`; `NA` for an axis of any length.
#' @param batch_size Fixed number of samples a batch, if it must be fixed.
#' @param dtype Type of the data, such as `"float32"`, `"int32"` or `"string"`.
#' @param sparse `TRUE` for sparse data.
#' @param batch_shape Shape with the batch axis first, in place of `shape` and `batch_size`.
#' @param name Name of the input; `fit()` and `predict()` match named lists by it.
#' @param tensor A tensor to wrap, in place of a shape.
#' @param optional `TRUE` if `NULL` may be given in its place.
#' @param ragged `TRUE` for rows of different length.
#' @return A symbolic tensor.
#' @examplesIf is_keras_available()
#' layer_input(c(28, 28, 1))
#' @export
layer_input <- function(shape = NULL, batch_size = NULL, dtype = NULL, sparse = NULL, batch_shape = NULL,
                        name = NULL, tensor = NULL, optional = FALSE, ragged = NULL) {
  frame <- rlang::current_env()
  types <- c(
    shape = "shape", batch_size = "int", dtype = "dtype", sparse = "bool", batch_shape = "shape",
    name = "string", tensor = "object", optional = "bool", ragged = "bool"
  )
  args <- supplied(frame, types)
  if (is.null(args$shape) && is.null(args$batch_shape) && is.null(args$tensor)) {
    abort_argument("shape", "is missing.", "The shape of one sample, such as `c(28, 28, 1)`; `shape = c(1)` for one number.", call = frame)
  }
  bridge_call("keras.Input", args, call = frame)
}

#' @rdname layer_input
#' @export
keras_input <- layer_input
