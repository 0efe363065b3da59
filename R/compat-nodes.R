# Model building of the older package: the calls of a layer, models from one function.

#' Tensors of each call of a layer
#'
#' A layer that is called several times in a functional model has an input and an output for each
#' call. In new code keep the tensors when calling the layer; `layer$input` and `layer$output` are
#' those of the first call.
#'
#' @param object A layer.
#' @param node_index Which call, counted from 1; negative from the last.
#' @return `get_input_at()`, `get_output_at()`: a tensor, or a list of tensors. `get_*_shape_at()`: a
#'   list of lengths, `NULL` for an axis of any length (or a list of such lists). `get_*_mask_at()`: a
#'   tensor, or `NULL` if there is no mask.
#' @examplesIf is_keras_available()
#' layer <- layer_dense(units = 2)
#' a <- layer_input(3) |> layer()
#' b <- layer_input(3) |> layer()
#' get_output_at(layer, 2)
#' @export
get_input_at <- function(object, node_index) layer_node(object, node_index, "input", rlang::current_env())

#' @rdname get_input_at
#' @export
get_output_at <- function(object, node_index) layer_node(object, node_index, "output", rlang::current_env())

#' @rdname get_input_at
#' @export
get_input_shape_at <- function(object, node_index) {
  node_shape(layer_node(object, node_index, "input_shape", rlang::current_env()))
}

#' @rdname get_input_at
#' @export
get_output_shape_at <- function(object, node_index) {
  node_shape(layer_node(object, node_index, "output_shape", rlang::current_env()))
}

#' @rdname get_input_at
#' @export
get_input_mask_at <- function(object, node_index) layer_node(object, node_index, "input_mask", rlang::current_env())

#' @rdname get_input_at
#' @export
get_output_mask_at <- function(object, node_index) layer_node(object, node_index, "output_mask", rlang::current_env())

layer_node <- function(object, node_index, what, frame) {
  check_has_weights(object, frame)
  bridge_do("node", layer = object, index = convert_arg(node_index, "axis", "node_index", frame), what = what, call = frame)
}

node_shape <- function(shape) {
  if (is.list(shape)) {
    return(lapply(shape, node_shape))
  }
  lapply(shape, \(axis) if (axis < 0) NULL else as.integer(axis))
}

#' A model from one function
#'
#' `model_fn` is called with the empty model, `self`; it attaches layers to it (`self$dense <-
#' layer_dense(units = 2)`) and returns the function that computes the output. Such a model trains like
#' any other; its weights can be saved, its code, an R function, can't. In new code use `Model()` or
#' `new_model_class()`.
#'
#' @param model_fn Function of `self` that returns a function of `inputs`, and if it wants them of
#'   `mask` and `training`.
#' @param name Name of the model.
#' @return The model.
#' @examplesIf is_keras_available()
#' model <- keras_model_custom(\(self) {
#'   self$hidden <- layer_dense(units = 4, activation = "relu")
#'   self$last <- layer_dense(units = 1)
#'   \(inputs, mask = NULL) inputs |> self$hidden() |> self$last()
#' })
#' dim(model(matrix(0, 3, 2)))
#' @export
keras_model_custom <- function(model_fn, name = NULL) {
  frame <- rlang::current_env()
  if (!is.function(model_fn)) {
    abort_argument("model_fn", paste0("must be a function of the model, not ", describe_value(model_fn), "."), call = frame)
  }
  model <- bridge_do("function_model", name = convert_arg(name, "string", "name", frame), call = frame)
  compute <- model_fn(model)
  if (!is.function(compute) || is_python(compute)) {
    abort_argument("model_fn", paste0("must return a function of the inputs, not ", describe_value(compute), "."), call = frame)
  }
  bridge_method(model, "set_function", list(
    tagged(compute, "function", name = "call"), tagged(as.list(names(formals(args(compute)))), "list")
  ), call = frame)
  model
}
