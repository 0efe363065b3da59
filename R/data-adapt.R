# Preprocessing layers that learn from data, vocabularies, and descriptions of features.

#' Let a preprocessing layer learn from data
#'
#' A normalization layer learns mean and variance, a text or lookup layer its vocabulary, a
#' discretization layer its borders, a feature space all of these. Run it once before training, on
#' training data only.
#'
#' @param object A preprocessing layer or a feature space.
#' @param data A vector, matrix, array, tensor or dataset; for a feature space a data frame or a named
#'   list of columns.
#' @param ... Not used.
#' @param batch_size Samples a step, for layers that read in batches.
#' @param steps Number of batches to read, for datasets without an end.
#' @return The layer, invisibly; it is changed in place.
#' @examplesIf is_keras_available()
#' layer <- layer_normalization(axis = NULL)
#' adapt(layer, c(2, 4, 6))
#' as.array(layer(c(2, 4, 6)))
#' @export
adapt <- function(object, data, ..., batch_size = NULL, steps = NULL) {
  frame <- rlang::current_env()
  check_alive(object, "object", frame)
  extra_args(list(...), character(), frame)
  bridge_do(
    "adapt",
    layer = as_object_arg(object, "object", frame), data = as_adapt_data(data, frame),
    batch_size = as_count(batch_size, "batch_size", frame), steps = as_steps(steps, "steps", frame), call = frame
  )
  invisible(object)
}

as_adapt_data <- function(data, frame) {
  if (is_python(data)) {
    return(data)
  }
  if (is.list(data) && !is.null(names(data))) {
    columns <- lapply(names(data), \(name) {
      column <- data[[name]]
      as_data_arg(if (is.factor(column)) as.character(column) else column, paste0("data$", name), frame)
    })
    return(tagged(rlang::set_names(columns, names(data)), "dict"))
  }
  if (is.factor(data)) {
    data <- as.character(data)
  }
  if (is.null(data)) {
    abort_argument("data", "must be given.", call = frame)
  }
  as_data_arg(data, "data", frame)
}

#' Vocabulary of a text or lookup layer
#'
#' @param object A layer that has a vocabulary, such as [layer_text_vectorization()] or
#'   [layer_string_lookup()].
#' @param include_special_tokens Also the tokens for padding and unknown words.
#' @param vocabulary Words (or whole numbers), without the special tokens, or the path of a file with one
#'   a line.
#' @param idf_weights Weight of each word, for the output mode `"tf_idf"`.
#' @param ... Not used.
#' @return `get_vocabulary()`: a character vector, or integers for an integer lookup. `set_vocabulary()`: the
#'   layer, invisibly; it is changed in place.
#' @examplesIf is_keras_available()
#' layer <- layer_string_lookup()
#' set_vocabulary(layer, c("red", "green"))
#' get_vocabulary(layer)
#' @export
get_vocabulary <- function(object, include_special_tokens = TRUE) {
  frame <- rlang::current_env()
  check_alive(object, "object", frame)
  unlist(bridge_do(
    "get_vocabulary",
    layer = as_object_arg(object, "object", frame),
    include_special_tokens = as_bool_arg(include_special_tokens, "include_special_tokens", frame), call = frame
  ))
}

#' @rdname get_vocabulary
#' @export
set_vocabulary <- function(object, vocabulary, idf_weights = NULL, ...) {
  frame <- rlang::current_env()
  check_alive(object, "object", frame)
  extra_args(list(...), character(), frame)
  if (!py_has(object, "set_vocabulary")) {
    abort_argument("object", paste0("is ", describe_value(object), ", which has no vocabulary."), call = frame)
  }
  if (!is_python(vocabulary)) {
    refuse_na(vocabulary, "vocabulary", frame)
    if (is_whole(vocabulary)) {
      vocabulary <- as.integer(vocabulary)
    } else if (!is.character(vocabulary)) {
      abort_argument("vocabulary", paste0("must be words or whole numbers, not ", describe_value(vocabulary), "."), call = frame)
    }
    is_file <- is.character(vocabulary) && length(vocabulary) == 1 && file.exists(vocabulary)
    vocabulary <- if (is_file) path.expand(vocabulary) else tagged(as.list(vocabulary), "list")
  }
  args <- list(vocabulary)
  if (!is.null(idf_weights)) {
    args$idf_weights <- as_tensor_arg(as_array(as.double(idf_weights)), "idf_weights", frame, dtype = "float32")
  }
  bridge_method(object, "set_vocabulary", args, call = frame)
  invisible(object)
}

#' Forget a state
#'
#' Sets a metric or a stateful layer back to its start. [reset_states()] does it for all layers of a model.
#'
#' @param object A metric or a stateful layer.
#' @return `object`, invisibly; it is changed in place.
#' @examplesIf is_keras_available()
#' m <- metric_mean()
#' m$update_state(c(1, 3))
#' reset_state(m)
#' as.numeric(m$result())
#' @export
reset_state <- function(object) {
  frame <- rlang::current_env()
  check_alive(object, "object", frame)
  if (is_model(object)) {
    return(invisible(reset_states(object)))
  }
  name <- Find(\(n) is_python(object) && py_has(object, n), c("reset_state", "reset_states"))
  if (is.null(name)) {
    abort_argument("object", paste0("must be a metric or a stateful layer, not ", describe_value(object), "."), call = frame)
  }
  bridge_method(object, name, call = frame)
  invisible(object)
}

#' Features of a feature space
#'
#' Each describes what happens to one column in [layer_feature_space()]: numbers as they are
#' (`feature_float()`), normalized, rescaled or cut into bins; whole numbers and strings as categories with
#' a learnt vocabulary or hashed into bins; two or more columns crossed; or preprocessing of one's own.
#'
#' @param name Name of the feature.
#' @param scale,offset A number becomes `number * scale + offset`.
#' @param num_bins Number of bins. `feature_float_discretized()` learns their borders from the data.
#' @param bin_boundaries Borders of the bins, instead of `num_bins`.
#' @param max_tokens Largest size of the vocabulary; `NULL` for no limit.
#' @param num_oov_indices Categories for values that are not in the vocabulary.
#' @param output_mode `"one_hot"`, `"int"` or, for custom features, `"float"`.
#' @param feature_names Names of the features to cross.
#' @param crossing_dim Number of bins into which the crossed values are hashed.
#' @param dtype Type of the column, such as `"string"`.
#' @param preprocessor A layer (or a callable) that turns the column into numbers.
#' @return A description for the `features` (or `crosses`) of [layer_feature_space()].
#' @examplesIf is_keras_available()
#' space <- layer_feature_space(
#'   features = list(
#'     age = feature_float_normalized(),
#'     job = feature_string_categorical(num_oov_indices = 0)
#'   )
#' )
#' people <- data.frame(age = c(20, 40, 60), job = c("cook", "pilot", "cook"))
#' adapt(space, people)
#' as.array(space(as.list(people)))
#' @name feature_space_features
NULL

feature_call <- function(what, frame, types) {
  bridge_call(paste0("keras.utils.FeatureSpace.", what), supplied(frame, types), call = frame)
}

#' @rdname feature_space_features
#' @export
feature_float <- function(name = NULL) feature_call("float", rlang::current_env(), c(name = "string"))

#' @rdname feature_space_features
#' @export
feature_float_rescaled <- function(scale = 1, offset = 0, name = NULL) {
  feature_call("float_rescaled", rlang::current_env(), c(scale = "num", offset = "num", name = "string"))
}

#' @rdname feature_space_features
#' @export
feature_float_normalized <- function(name = NULL) feature_call("float_normalized", rlang::current_env(), c(name = "string"))

#' @rdname feature_space_features
#' @export
feature_float_discretized <- function(num_bins = NULL, bin_boundaries = NULL, output_mode = "one_hot", name = NULL) {
  frame <- rlang::current_env()
  if (is.null(num_bins) == is.null(bin_boundaries)) {
    abort_argument("num_bins", "or `bin_boundaries` must be given, one of the two.", call = frame)
  }
  types <- c(bin_boundaries = "nums", output_mode = "string", name = "string")
  args <- c(list(num_bins = convert_arg(num_bins, "int", "num_bins", frame)), supplied(frame, types))
  bridge_call("keras.utils.FeatureSpace.float_discretized", args, call = frame)
}

#' @rdname feature_space_features
#' @export
feature_integer_categorical <- function(max_tokens = NULL, num_oov_indices = 1, output_mode = "one_hot", name = NULL) {
  types <- c(max_tokens = "int", num_oov_indices = "int", output_mode = "string", name = "string")
  feature_call("integer_categorical", rlang::current_env(), types)
}

#' @rdname feature_space_features
#' @export
feature_string_categorical <- function(max_tokens = NULL, num_oov_indices = 1, output_mode = "one_hot", name = NULL) {
  types <- c(max_tokens = "int", num_oov_indices = "int", output_mode = "string", name = "string")
  feature_call("string_categorical", rlang::current_env(), types)
}

#' @rdname feature_space_features
#' @export
feature_integer_hashed <- function(num_bins, output_mode = "one_hot", name = NULL) {
  feature_call("integer_hashed", rlang::current_env(), c(num_bins = "!int", output_mode = "string", name = "string"))
}

#' @rdname feature_space_features
#' @export
feature_string_hashed <- function(num_bins, output_mode = "one_hot", name = NULL) {
  feature_call("string_hashed", rlang::current_env(), c(num_bins = "!int", output_mode = "string", name = "string"))
}

#' @rdname feature_space_features
#' @export
feature_cross <- function(feature_names, crossing_dim, output_mode = "one_hot") {
  frame <- rlang::current_env()
  if (!is.character(feature_names) || length(feature_names) < 2) {
    abort_argument("feature_names", "must be the names of two features or more.", call = frame)
  }
  types <- c(feature_names = "!strings", crossing_dim = "!int", output_mode = "string")
  feature_call("cross", frame, types)
}

#' @rdname feature_space_features
#' @export
feature_custom <- function(dtype, preprocessor, output_mode) {
  types <- c(dtype = "!dtype", preprocessor = "!callable", output_mode = "!string")
  feature_call("feature", rlang::current_env(), types)
}
