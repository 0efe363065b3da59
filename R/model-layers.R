# Looking into a model: layers, weights, freezing.

#' Layers of a model
#'
#' `get_layer()` finds a layer by name or position, `pop_layer()` removes the last layer of a
#' sequential model in place.
#'
#' @param object A model.
#' @param name Name of the layer.
#' @param index Position of the layer, counted from 1; negative from the end.
#' @return `get_layer()`: the layer. `pop_layer()`: the model, invisibly.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 4) |>
#'   layer_dense(2, name = "hidden") |>
#'   layer_dense(1)
#' get_layer(model, "hidden")
#' get_layer(model, index = -1)
#' pop_layer(model)
#' @export
get_layer <- function(object, name = NULL, index = NULL) {
  frame <- rlang::current_env()
  check_model(object, frame)
  if (is.numeric(name) && is.null(index)) {
    index <- name
    name <- NULL
  }
  if (is.null(name) == is.null(index)) {
    abort_argument("name", "or `index` must be given, not both.", call = frame)
  }
  bridge_do(
    "get_layer", model = object,
    name = convert_arg(name, "string", "name", frame),
    index = convert_arg(index, "axis", "index", frame), call = frame
  )
}

#' @rdname get_layer
#' @export
pop_layer <- function(object) {
  frame <- rlang::current_env()
  check_model(object, frame)
  bridge_do("pop_layer", model = object, call = frame)
  drop_kept(object, "a layer was taken away after the last copy")
  invisible(object)
}

#' Weights of a layer or a model
#'
#' As plain R arrays, in the order in which the layers keep them: a dense layer has its kernel, of shape (inputs, units),
#' then its bias.
#'
#' @param object A layer or a model.
#' @param weights List of arrays, in the order and of the shapes that `get_weights()` gives.
#' @param trainable `TRUE` for the trainable weights only, `FALSE` for the others only, `NA` for all.
#' @return `get_weights()`: a list of arrays. `set_weights()`: the object, invisibly.
#'   `count_params()`: a number.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' w <- get_weights(model)
#' set_weights(model, list(w[[1]] * 0, 1))
#' predict(model, matrix(1, 1, 2), verbose = 0)
#' count_params(model)
#' @export
get_weights <- function(object, trainable = NA) {
  frame <- rlang::current_env()
  check_has_weights(object, frame)
  if (is.na(trainable)) {
    return(bridge_method(object, "get_weights", call = frame))
  }
  lapply(py_attribute(object, if (trainable) "trainable_weights" else "non_trainable_weights"), tensor_to_r)
}

#' @rdname get_weights
#' @export
set_weights <- function(object, weights) {
  frame <- rlang::current_env()
  check_has_weights(object, frame)
  variables <- py_attribute(object, "weights")
  now <- lapply(variables, tensor_dim)
  paths <- vapply(variables, py_attribute, "", name = "path")
  if (!is.list(weights) || length(weights) != length(now)) {
    abort_argument(
      "weights", sprintf("must be a list of %d arrays, not %s.", length(now), describe_value(weights)),
      "`get_weights(object)` shows them.", call = frame
    )
  }
  arrays <- Map(\(w, shape, i) {
    if (!is.numeric(w) && !is.logical(w) && !is_python(w)) {
      abort_argument(
        sprintf("weights[[%d]]", i), paste0("must be an array of numbers for the weight '", paths[[i]], "', not ", describe_value(w), "."),
        call = frame
      )
    }
    given <- dim(w) %||% length(w)
    if (length(shape) == 0 && length(w) == 1) {
      return(tagged(as.vector(w), "tensor", dtype = "float32"))
    }
    if (!identical(as.integer(given), as.integer(shape))) {
      abort_argument(
        sprintf("weights[[%d]]", i),
        sprintf("has shape (%s); the weight '%s' has (%s).", paste(given, collapse = ", "), paths[[i]], paste(shape, collapse = ", ")), call = frame
      )
    }
    refuse_na(w, sprintf("weights[[%d]]", i), frame)
    tagged(as_array(w), "tensor", dtype = NULL)
  }, weights, now, seq_along(now))
  bridge_method(object, "set_weights", list(tagged(unname(arrays), "list")), call = frame)
  weights_changed(object)
}

# A model's copy is renewed; that of a model whose layer it is can't be: it is given up.
weights_changed <- function(object) {
  if (is_model(object)) {
    return(keep_fresh(object))
  }
  drop_kept(object, "the weights of one of its layers were set after the last copy")
  invisible(object)
}

#' @rdname get_weights
#' @export
count_params <- function(object) {
  frame <- rlang::current_env()
  check_has_weights(object, frame)
  as.numeric(bridge_method(object, "count_params", call = frame))
}

check_has_weights <- function(object, call) {
  check_alive(object, "object", call)
  if (!is_layer(object)) {
    abort_argument("object", paste0("must be a layer or a model, not ", describe_value(object), "."), call = call)
  }
}

#' Freeze and unfreeze layers
#'
#' A frozen layer is not trained. It counts as of the next [compile()][compile.kerasbridge_model].
#'
#' @param object A model or a layer.
#' @param from,to First and last layer, by name or by position counted from 1; the whole model by
#'   default.
#' @param which Names or positions of single layers, in place of `from` and `to`.
#' @return The object, invisibly.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 4) |>
#'   layer_dense(3, name = "base") |>
#'   layer_dense(1, name = "head")
#' freeze_weights(model, to = "base")
#' model
#' @export
freeze_weights <- function(object, from = NULL, to = NULL, which = NULL) {
  set_trainable(object, from, to, which, FALSE, rlang::current_env())
}

#' @rdname freeze_weights
#' @export
unfreeze_weights <- function(object, from = NULL, to = NULL, which = NULL) {
  set_trainable(object, from, to, which, TRUE, rlang::current_env())
}

set_trainable <- function(object, from, to, which, trainable, call) {
  check_has_weights(object, call)
  if (!is_model(object)) {
    set_py_attribute(object, "trainable", trainable)
    drop_kept(object, "one of its layers was frozen or unfrozen after the last copy")
    return(invisible(object))
  }
  position <- \(x, arg) if (is.numeric(x)) convert_arg(x, "axis", arg, call) else convert_arg(x, "string", arg, call)
  bridge_do(
    "freeze", model = object, start = position(from, "from"), end = position(to, "to"),
    which = if (!is.null(which)) tagged(lapply(which, position, arg = "which"), "list"),
    trainable = trainable, call = call
  )
  keep_fresh(object)
}

#' Forget the state of recurrent layers
#'
#' @param object A model or a layer with `stateful = TRUE` layers in it.
#' @return The object, invisibly.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_batch_shape = c(1, 3, 2)) |>
#'   layer_lstm(4, stateful = TRUE)
#' reset_states(model)
#' @export
reset_states <- function(object) {
  frame <- rlang::current_env()
  check_has_weights(object, frame)
  bridge_do("reset_states", model = object, call = frame)
  invisible(object)
}
