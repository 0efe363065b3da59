# Architecture and configuration: a model or an object described without its weights.

#' Save and load the architecture of a model
#'
#' The architecture is how layers are made and connected, without weights. JSON is Keras' own; YAML
#' holds the same without what can be worked out again (shapes inside, how it was compiled) and is meant
#' for editing by hand.
#'
#' @param model,object A model.
#' @param filepath Path ending in `.json`, `.yaml` or `.yml`; the ending chooses the format. Without
#'   it `save_model_config()` returns the JSON.
#' @param overwrite Replace an existing file.
#' @param json_string Text that `model_to_json()` gave, or an older Keras; lines are joined.
#' @param yaml Text that `model_to_yaml()` gave, perhaps edited.
#' @param custom_objects Named list: name -> class or function, for parts that Keras does not have.
#' @param allow What is permitted although it is not safe, as for [load_model()].
#' @return `model_to_json()` and `model_to_yaml()`: a string. `save_model_config()`: the path,
#'   invisibly, or the JSON. `load_model_config()`, `model_from_json()` and `model_from_yaml()`: a model with new weights.
#' @details YAML needs the Python package PyYAML. It is read as plain values only, within limits on
#'   size and depth, so that a text from elsewhere can't run code.
#' @seealso [save_model()] for a model with its weights, [get_config()] for the same as an R list.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' path <- tempfile(fileext = ".json")
#' save_model_config(model, path)
#' load_model_config(path)
#' @export
save_model_config <- function(model, filepath = NULL, overwrite = FALSE) {
  frame <- rlang::current_env()
  check_model(model, frame, "model")
  if (is.null(filepath)) {
    return(bridge_do("model_to_json", model = model, indent = 2L, call = frame))
  }
  out <- bridge_do(
    "save_config", model = model, filepath = as_path_arg(filepath, "filepath", frame),
    overwrite = as_bool_arg(overwrite, "overwrite", frame), call = frame
  )
  invisible(out)
}

#' @rdname save_model_config
#' @export
load_model_config <- function(filepath, custom_objects = NULL, allow = NULL) {
  frame <- rlang::current_env()
  bridge_do(
    "load_config", filepath = as_path_arg(filepath, "filepath", frame),
    custom_objects = as_custom_objects_arg(custom_objects, "custom_objects", frame),
    allow = as_allow_arg(allow, frame), call = frame
  )
}

#' @rdname save_model_config
#' @export
model_to_json <- function(object) {
  frame <- rlang::current_env()
  check_model(object, frame)
  bridge_do("model_to_json", model = object, call = frame)
}

#' @rdname save_model_config
#' @export
model_to_yaml <- function(object) {
  frame <- rlang::current_env()
  check_model(object, frame)
  bridge_do("model_to_yaml", model = object, call = frame)
}

#' @rdname save_model_config
#' @export
model_from_json <- function(json_string, custom_objects = NULL, allow = NULL) {
  frame <- rlang::current_env()
  if (is.character(json_string) && length(json_string) > 1) {
    json_string <- paste(json_string, collapse = "\n")
  }
  bridge_do(
    "model_from_json", text = as_string_arg(json_string, "json_string", frame),
    custom_objects = as_custom_objects_arg(custom_objects, "custom_objects", frame),
    allow = as_allow_arg(allow, frame), call = frame
  )
}

#' @rdname save_model_config
#' @export
model_from_yaml <- function(yaml, custom_objects = NULL, allow = NULL) {
  frame <- rlang::current_env()
  bridge_do(
    "model_from_yaml", text = as_string_arg(yaml, "yaml", frame),
    custom_objects = as_custom_objects_arg(custom_objects, "custom_objects", frame),
    allow = as_allow_arg(allow, frame), call = frame
  )
}

#' The configuration of an object, and the object again
#'
#' `get_config()` lists the arguments that a layer, model, optimizer, loss, metric, initializer ... was
#' made with. `from_config()` makes such an object anew, with new weights; values in the list may be
#' changed before.
#'
#' @param object A Keras object.
#' @param config A list that `get_config()` gave.
#' @param custom_objects Named list: name -> class or function, for parts that Keras does not have.
#' @return `get_config()`: a named list; its attribute `serialized` holds the same with the class as
#'   JSON. `from_config()`: an object of the same class.
#' @examplesIf is_keras_available()
#' layer <- layer_dense(units = 3, activation = "relu")
#' config <- get_config(layer)
#' config$units <- 5
#' from_config(config)$units
#' @export
get_config <- function(object) {
  frame <- rlang::current_env()
  check_alive(object, "object", frame)
  if (!is_python(object)) {
    abort_argument("object", paste0("must be a Keras object, not ", describe_value(object), "."), call = frame)
  }
  out <- bridge_do("get_config", target = object, call = frame)
  structure(as.list(out$config), serialized = out$serialized)
}

#' @rdname get_config
#' @export
from_config <- function(config, custom_objects = NULL) {
  frame <- rlang::current_env()
  if (!is.list(config)) {
    abort_argument("config", paste0("must be a list from `get_config()`, not ", describe_value(config), "."), call = frame)
  }
  serialized <- attr(config, "serialized")
  attr(config, "serialized") <- NULL
  bridge_do(
    "from_config", config = config, serialized = serialized,
    custom_objects = as_custom_objects_arg(custom_objects, "custom_objects", frame), call = frame
  )
}

# ---- custom objects -------------------------------------------------------------------------------------
# Name -> class or function. A class made in R may stand without a name: it has one.
as_custom_objects_arg <- function(x, arg, call) {
  if (is.null(x) || is_python(x) && !is_class(x)) {
    return(x)
  }
  if (!is.list(x) || is_class(x)) {
    x <- list(x)
  }
  names <- rlang::names2(x)
  for (i in which(!nzchar(names))) {
    names[[i]] <- custom_name(x[[i]]) %||%
      abort_argument(arg, "must be a named list: name -> class or function.", call = call)
  }
  values <- Map(\(v, n) as_custom_object(v, n, arg, call), x, names)
  tagged(rlang::set_names(values, names), "dict")
}

as_custom_object <- function(x, name, arg, call) {
  if (is_class(x) || is_python(x)) {
    return(as_class(x, call))
  }
  if (is.function(x) || rlang::is_formula(x)) {
    return(tagged(x, "function", name = name, described = "named"))
  }
  abort_argument(arg, paste0("must hold classes and functions, not ", describe_value(x), "."), call = call)
}

#' Make custom objects known to Keras by name
#'
#' Keras finds classes and functions of your own by name when it loads a model. Give them with the call
#' (`load_model(path, custom_objects = )`), for a block of code (`with_custom_object_scope()`), or for
#' the whole session (`register_keras_serializable()`, `set_custom_objects()`). Classes made by
#' [Layer()] and its kin are registered when they are first used.
#'
#' @param object A class made by [Layer()] or its kin, a Python class, or an R function.
#' @param name Name to register under; by default the class's or function's own.
#' @param package Word in front of the name, `package>name` in saved files.
#' @param objects Named list: name -> class or function.
#' @param clear Forget what was set before.
#' @param expr Code in which the objects are known.
#' @return `register_keras_serializable()`: the object as Keras holds it; use that one from then on if
#'   it was an R function. `set_custom_objects()`: what was set before, invisibly.
#'   `with_custom_object_scope()`: the value of `expr`.
#' @examplesIf is_keras_available()
#' half <- function(x) x / 2
#' with_custom_object_scope(list(half = half), get_registered_object("half"))
#' @export
register_keras_serializable <- function(object, name = NULL, package = NULL) {
  frame <- rlang::current_env()
  label <- name %||% custom_name(object) %||% (if (is.symbol(substitute(object))) as.character(substitute(object)))
  if (is.null(label)) {
    abort_argument("name", "is needed for an object that has none.", call = frame)
  }
  value <- as_custom_object(object, as_string_arg(label, "name", frame), "object", frame)
  home <- if (inherits(value, "kb_function")) function_home(value$value)
  out <- bridge_do(
    "register_object", target = value, name = label,
    source = if (inherits(value, "kb_function") && is.null(home$package)) function_source(value$value), origin = home$origin,
    package = convert_arg(package, "string", "package", frame) %||% "Custom", call = frame
  )
  if (is_class(object) && !is_python(object)) invisible(object) else invisible(out)
}

#' @rdname register_keras_serializable
#' @export
set_custom_objects <- function(objects = list(), clear = TRUE) {
  frame <- rlang::current_env()
  before <- bridge_do(
    "set_custom_objects", objects = as_custom_objects_arg(objects, "objects", frame),
    clear = as_bool_arg(clear, "clear", frame), call = frame
  )
  invisible(before)
}

#' @rdname register_keras_serializable
#' @export
with_custom_object_scope <- function(objects, expr) {
  frame <- rlang::current_env()
  scope <- bridge_call("keras.saving.CustomObjectScope", list(as_custom_objects_arg(objects, "objects", frame)), call = frame)
  bridge_method(scope, "__enter__", call = frame)
  on.exit(bridge_method(scope, "__exit__", list(NULL, NULL, NULL), call = frame))
  expr
}

#' All state of a model as a list
#'
#' Weights, optimizer state and metric state by name, as a nested list of arrays.
#'
#' @param object A compiled model.
#' @param state_tree List that `get_state_tree()` gave.
#' @return `get_state_tree()`: a named list of named lists. `set_state_tree()`: the model, invisibly.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' model |> compile(optimizer = "sgd", loss = "mse")
#' state <- get_state_tree(model)
#' names(state)
#' set_state_tree(model, state)
#' @export
get_state_tree <- function(object) {
  frame <- rlang::current_env()
  check_model(object, frame)
  bridge_do("get_state_tree", model = object, call = frame)
}

#' @rdname get_state_tree
#' @export
set_state_tree <- function(object, state_tree) {
  frame <- rlang::current_env()
  check_model(object, frame)
  bridge_do("set_state_tree", model = object, state = as_dict_arg(state_tree, "state_tree", frame), call = frame)
  keep_fresh(object)
}

#' Store the weights of a model or layer in fewer bits
#'
#' Turns the weights of dense and similar layers into whole numbers of 8 or 4 bits (or 8-bit floats),
#' in place. The model gets smaller, predictions change slightly, and training is over.
#'
#' @param object A model that was built, or a layer.
#' @param mode `"int8"`, `"int4"`, `"float8"` or `"gptq"`.
#' @param ... Further arguments of the method `quantize()` of the installed Keras, by name.
#' @return The object, changed, invisibly.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 8) |> layer_dense(4)
#' quantize_weights(model, "int8")
#' @export
quantize_weights <- function(object, mode, ...) {
  frame <- rlang::current_env()
  check_alive(object, "object", frame)
  if (!is_model(object) && !is_layer(object)) {
    abort_argument("object", paste0("must be a model or a layer, not ", describe_value(object), "."), call = frame)
  }
  if (missing(mode)) {
    abort_argument("mode", "is missing.", "For instance `quantize_weights(model, \"int8\")`.", call = frame)
  }
  bridge_method(object, "quantize", list(mode = as_string_arg(mode, "mode", frame), ...), call = frame)
  weights_changed(object)
}

#' Generate text or other sequences from a model
#'
#' For models of the Python package keras-hub, which have a method of that name.
#'
#' @param object A model with a method `generate()`.
#' @param inputs Prompts, or what the model takes.
#' @param ... Further arguments of that method, by name.
#' @return What the model's method returns.
#' @examples
#' \dontrun{
#' generate(causal_lm, "Once upon a time", max_length = 30L)
#' }
#' @export
generate <- function(object, inputs, ...) {
  frame <- rlang::current_env()
  check_alive(object, "object", frame)
  if (!is_python(object) || !py_has(object, "generate")) {
    abort_argument(
      "object", "has no method `generate()`.",
      "Models of the Python package keras-hub have one, such as `keras_hub$models$CausalLM`.", call = frame
    )
  }
  bridge_method(object, "generate", list(inputs, ...), call = frame)
}
