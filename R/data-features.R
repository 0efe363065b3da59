# Raw columns to numbers by Keras' preprocessing layers: ahead of a model, or as a part of it.

#' Encode the columns of a data frame
#'
#' `feature_space()` learns from a data frame how each column becomes numbers: levels, ranges, means, words.
#' `encode_features()` applies it, giving a matrix to train any model on. `feature_layers()` gives it as Keras
#' layers, to build a model that takes raw columns, in R and in plain Python alike; [keras_model_tabular()]
#' does that in one call. [layer_feature_space()] is Keras' own class of the kind.
#'
#' # Encodings
#'
#' | encoding | for | options | becomes |
#' |---|---|---|---|
#' | `"none"` | numbers | | the number as it is (logicals by default) |
#' | `"normalize"` | numbers | | mean 0, standard deviation 1 (the default) |
#' | `"rescale"` | numbers | | 0 to 1 over the range in training |
#' | `"bucketize"` | numbers | `bins` (10) or `boundaries` | one-hot of the interval, by quantiles |
#' | `"one_hot"` | factors, text | | a column for each level (default up to 20 levels) |
#' | `"ordinal"` | factors, text | | 0 to 1 by the position of the level (default of ordered factors) |
#' | `"embedding"` | factors, text | `dim` | a vector for each level, trained with the model (default beyond 20 levels) |
#' | `"hash"` | factors, text | `bins` (64) | one-hot of a hash; takes any text (default of text beyond 1,000 values) |
#' | `"text"` | text | `max_tokens` (1000), `mode` | words that occur (`"multi_hot"`) or how often (`"count"`) |
#'
#' Dates, times and time spans count as numbers; their units are in [frame_schema()]. Text needs the
#' TensorFlow backend.
#'
#' @param formula Which columns, and perhaps what is predicted: `~ .`, `price ~ carat + cut`. A cross such as
#'   `cut:color` hashes the combinations of two factors or texts into one-hot bins.
#' @param data A data frame; or a [source_csv()] or [source_parquet()] for data larger than memory, which is read once,
#'   part by part. Medians and quantiles are then those of a random sample of 100,000 rows. To train on it, give the
#'   source with `encode = "columns"` to [fit()][fit.kerasbridge_model].
#' @param encodings Encodings by column where the default won't do: `c(city = "embedding")`, or with options
#'   `list(age = list(how = "bucketize", bins = 5))`.
#' @param cross_bins Bins of each cross.
#' @param na,unknown Rules for missing values and for levels that training did not have, as in
#'   [frame_schema()].
#' @param features What `feature_space()` returned.
#' @return `feature_space()`: an object of class `kerasbridge_features`, which prints and can be saved with
#'   [saveRDS()]. `encode_features()`: a matrix with named columns. `feature_layers()`: a list of `inputs`, a named
#'   list of symbolic tensors, and `features`, one symbolic tensor with a row for each sample.
#' @examplesIf is_keras_available()
#' people <- data.frame(age = c(20, 40, 60), job = c("cook", "pilot", "cook"))
#' space <- feature_space(~ ., people)
#' space
#' encode_features(space, people)
#' parts <- feature_layers(space)
#' model <- keras_model(parts$inputs, parts$features |> layer_dense(1))
#' set_model_schema(model, space)
#' predict(model, people, verbose = 0)
#' @export
feature_space <- function(formula, data, encodings = NULL, na = "refuse", unknown = "refuse", cross_bins = 32) {
  learn_features(formula, data, encodings, na, unknown, cross_bins, rlang::current_env())$features
}

# The feature space, and the response that the formula names.
learn_features <- function(formula, data, encodings, na, unknown, cross_bins, call) {
  if (!rlang::is_formula(formula)) {
    abort_argument("formula", paste0("must be a formula such as `price ~ .`, not ", describe_value(formula), "."), call = call)
  }
  columns <- if (is_python(data)) as.character(unlist(bridge_do("source_columns", source = data, call = call)))
  parts <- formula_parts(formula, if (length(columns)) no_rows(columns) else data, call, crosses = TRUE)
  bins <- as_count(cross_bins, "cross_bins", call)
  rules <- list(
    encodings = if (!is.null(encodings)) as_encodings_arg(encodings, call),
    crosses = tagged(lapply(parts$crosses, \(names) tagged(list(columns = tagged(as.list(names), "list"), bins = bins), "dict")), "list"),
    missing = as_rules_arg(na, "na", call), unknown = as_rules_arg(unknown, "unknown", call)
  )
  if (length(columns)) {
    if (!is.null(parts$name) && !parts$name %in% columns) {
      abort_argument("formula", paste0("computes `", parts$name, "`; with a source the response is one of its columns."), call = call)
    }
    names <- tagged(as.list(names(parts$x)), "list")
    learnt <- rlang::exec(bridge_do, "features_learn_source", source = data, names = names, target = parts$name, !!!rules, call = call)
    json <- learnt$features
  } else {
    target <- response_target(parts$y, parts$name, call)
    json <- rlang::exec(bridge_do, "features_learn", columns = frame_columns(parts$x, "data", call), target = target$column, !!!rules, call = call)
    y <- target$y
    plain <- identical(target$kind, "number") && NCOL(y) == 1 && length(y) > 1
    learnt <- list(kind = target$kind, outputs = NCOL(y), mean = if (plain) mean(y), deviation = if (plain) stats::sd(y))
  }
  for (name in as.character(unlist(bridge_do("features_describe", features = json, call = call)$constants))) {
    rlang::warn(sprintf("Column '%s' holds one value only: there is nothing to learn from it.", name), class = "kerasbridge_warning_data")
  }
  learnt$features <- structure(list(json = json), class = "kerasbridge_features")
  learnt
}

# A data frame of these columns without rows, for the reading of a formula.
no_rows <- function(columns) structure(rlang::set_names(rep(list(numeric()), length(columns)), columns), row.names = integer(), class = "data.frame")

# A response as the schema's target (or NULL) and numbers.
response_target <- function(y, name, call) {
  if (is.null(y)) {
    return(list())
  }
  if (is.character(y)) {
    y <- factor(y, sort(unique(y), method = "radix"))
  }
  if (is.factor(y)) {
    classes <- class_codes(y, NULL, name, call)
    column <- list(name = name, kind = classes$kind, levels = tagged(as.list(classes$levels), "list"))
    return(list(column = tagged(column, "dict"), kind = classes$kind, y = classes$codes))
  }
  if (!(is.numeric(y) || is.logical(y)) || is.object(y)) {
    abort_kind("data", sprintf("The response `%s` must be numbers, logicals or a factor, not %s.", name, describe_value(y)), argument = "formula", call = call)
  }
  refuse_na_data(y, name, call)
  kind <- if (is.logical(y)) "logical" else "number"
  list(column = tagged(list(name = name, kind = kind), "dict"), kind = kind, y = y)
}

as_encodings_arg <- function(x, call) {
  if (!length(x) || is.null(names(x)) || !all(nzchar(names(x)))) {
    abort_argument("encodings", "must name columns, such as `c(city = \"embedding\")`.", call = call)
  }
  tagged(lapply(as.list(x), \(one) {
    if (!is.list(one)) {
      return(as_string_arg(one, "encodings", call))
    }
    tagged(lapply(one, \(v) if (length(v) > 1) tagged(as.list(v), "list") else v), "dict")
  }), "dict")
}

features_json <- function(features, call, arg = "features") {
  if (!inherits(features, "kerasbridge_features")) {
    abort_argument(arg, paste0("must come from `feature_space()`, not be ", describe_value(features), "."), call = call)
  }
  features$json
}

#' @rdname feature_space
#' @export
encode_features <- function(features, data) {
  frame <- rlang::current_env()
  json <- features_json(features, frame)
  if (!is.data.frame(data)) {
    abort_argument("data", paste0("must be a data frame, not ", describe_value(data), "."), call = frame)
  }
  out <- bridge_do("features_encode", features = json, columns = frame_columns(data, "data", frame), call = frame)
  rows <- attr(data, "row.names")
  names <- as.character(unlist(out$names))
  matrix(out$values, nrow(data), length(names), dimnames = list(if (is.character(rows)) rows, names))
}

#' @rdname feature_space
#' @export
feature_layers <- function(features) {
  frame <- rlang::current_env()
  bridge_do("features_layers", features = features_json(features, frame), call = frame)
}

#' @export
print.kerasbridge_features <- function(x, ...) {
  about <- bridge_do("features_describe", features = x$json)
  cat(sprintf("Feature space: %d column%s -> %d numbers\n", length(about$name), if (length(about$name) == 1) "" else "s", about$width))
  table <- as.data.frame(lapply(about[c("name", "kind", "encoding", "options")], as.character))
  print(table, right = FALSE, row.names = FALSE)
  if (length(about$crosses)) {
    cat("Crosses: ", paste(unlist(about$crosses), collapse = ", "), "\n", sep = "")
  }
  invisible(x)
}

#' @rdname frame_schema
#' @param schema A schema, or a [feature_space()] whose layers the model holds; `NULL` takes the schema away, so
#'   that the next `fit()` takes a new one.
#' @export
set_model_schema <- function(model, schema) {
  frame <- rlang::current_env()
  check_model(model, frame, "model")
  json <- if (inherits(schema, "kerasbridge_features")) {
    bridge_do("features_describe", features = schema$json)$schema
  } else if (!is.null(schema)) {
    schema_json(schema, frame)
  }
  bridge_do("schema_attach", model = model, schema = json, call = frame)
  invisible(model)
}

#' A model for a data frame in one call
#'
#' Encodes the columns ([feature_space()]) inside the model, adds dense layers and the output that goes with the
#' response, and compiles it. The saved model takes raw columns: `predict(model, new_data)` in R, and in plain
#' Python `keras.saving.load_model(path).predict({"carat": ..., "cut": ...})`, with text as object arrays or TensorFlow
#' tensors.
#'
#' A numeric response is predicted in its own units (the model holds its mean and standard deviation); a logical
#' or a factor of two levels gets one sigmoid unit, a factor of more levels, ordered or not, a softmax.
#'
#' @inheritParams feature_space
#' @param formula What is predicted from which columns: `price ~ .`.
#' @param hidden Units of the hidden layers; `NULL` or an empty vector for none.
#' @param activation Activation of the hidden layers.
#' @param dropout Share of the units dropped after each hidden layer while training.
#' @param network A function from the encoded tensor to the last hidden one, in place of `hidden`.
#' @param optimizer,loss,metrics For [compile()][compile.kerasbridge_model]; `NULL` takes what goes with the response:
#'   mean squared error and mean absolute error, or cross-entropy and accuracy.
#' @param name Name of the model.
#' @return A compiled model.
#' @examplesIf is_keras_available()
#' model <- keras_model_tabular(Species ~ ., iris, hidden = 8)
#' fit(model, Species ~ ., data = iris, epochs = 2, verbose = 0)
#' predict(model, head(iris), type = "class", verbose = 0)
#' @export
keras_model_tabular <- function(formula, data, hidden = c(64, 64), activation = "relu", dropout = 0,
                                encodings = NULL, na = "refuse", unknown = "refuse", cross_bins = 32,
                                network = NULL, optimizer = "adam", loss = NULL, metrics = NULL, name = NULL) {
  frame <- rlang::current_env()
  if (length(hidden) && (!is_whole(hidden) || any(hidden < 1))) {
    abort_argument("hidden", "must be whole numbers of at least 1: the units of each hidden layer.", call = frame)
  }
  check_fraction(dropout, "dropout", frame)
  learnt <- learn_features(formula, data, encodings, na, unknown, cross_bins, frame)
  if (is.null(learnt$kind)) {
    abort_argument("formula", "says nothing on its left side: what is predicted?", "For example `price ~ .`.", call = frame)
  }
  outputs <- if (learnt$kind == "number") learnt$outputs %||% 1L else 1L
  out <- bridge_do(
    "tabular_model",
    features = learnt$features$json, hidden = tagged(as.list(as.integer(hidden)), "list"),
    activation = convert_arg(activation, "callable", "activation", frame), dropout = as.double(dropout),
    outputs = outputs, mean = learnt$mean, deviation = learnt$deviation,
    network = if (!is.null(network)) as_function_arg(network, "network", frame),
    name = convert_arg(name, "string", "name", frame), call = frame
  )
  compile(out$model, optimizer = optimizer, loss = loss %||% out$loss, metrics = metrics %||% out$metric)
  out$model
}
