# What a model knows of the table it was trained on: columns, kinds, levels, rules.

#' What a model expects of a data frame
#'
#' A schema is taken from the data frame that a model is first trained on and stays with the model. From
#' then on `predict()`, `evaluate()` and `fit()` match columns by name, in any order, and levels by name;
#' columns that the model doesn't use are left out with a note. A missing column, a level that training
#' did not have, a column of another kind, a missing value without a rule and an infinite value are
#' errors that name the column and the first row.
#'
#' `frame_schema()` makes one ahead of training, to choose rules; give it to `fit(schema = )`.
#' `model_schema()` reads a model's own.
#'
#' # What a column means
#'
#' | column | becomes |
#' |---|---|
#' | double, integer, integer64 | the number (whole numbers beyond 16,777,216 are rounded in float32, with a warning) |
#' | logical | 0 or 1 |
#' | ordered factor | position of its level, from 0 |
#' | factor, character | refused by models that take numbers; encoded by [feature_space()] and [keras_model_tabular()]; text for inputs of type `"string"`; the level's number from 0 for inputs of whole numbers |
#' | Date | days since 1970-01-01 |
#' | POSIXct, POSIXlt | seconds since the first time in the training data (so that float32 holds them), whatever the time zone |
#' | difftime | seconds |
#' | list, matrix, complex, raw, other classes | refused |
#'
#' @param data A data frame.
#' @param na What to do with missing values, for all columns or by name (an element without a name is for
#'   the others): `"refuse"` (the default), `"mean"`, `"median"` or a number to put in their place, or
#'   `"level"` for a level of their own (factors and text). Where a number is put in, a column of 0 and 1
#'   says where, called `<name>_missing`; `list(how = "median", indicator = FALSE)` leaves it out.
#' @param unknown What to do later with levels that `data` doesn't have: `"refuse"` (the default) or
#'   `"slot"`, one further level for all of them. For all columns or by name.
#' @param model A model.
#' @return `frame_schema()`: a schema, which prints, can be saved with [saveRDS()] and has an
#'   [as.data.frame()] method. `model_schema()`: the same, or `NULL` for a model that saw no data frame.
#' @examplesIf is_keras_available()
#' cars <- data.frame(speed = c(4, NA, 7), dist = c(2, 10, 4))
#' frame_schema(cars, na = c(speed = "median"))
#' @export
frame_schema <- function(data, na = "refuse", unknown = "refuse") {
  frame <- rlang::current_env()
  if (!is.data.frame(data)) {
    abort_argument("data", paste0("must be a data frame, not ", describe_value(data), "."), call = frame)
  }
  json <- bridge_do(
    "schema_learn",
    columns = frame_columns(data, "data", frame), missing = as_rules_arg(na, "na", frame),
    unknown = as_rules_arg(unknown, "unknown", frame), call = frame
  )
  new_frame_schema(json)
}

#' @rdname frame_schema
#' @export
model_schema <- function(model) {
  check_model(model, rlang::current_env(), "model")
  json <- model_schema_json(model)
  if (!is.null(json)) new_frame_schema(json)
}

new_frame_schema <- function(json) structure(list(json = json), class = "kerasbridge_frame_schema")

#' @export
as.data.frame.kerasbridge_frame_schema <- function(x, row.names = NULL, optional = FALSE, ...) {
  extra_args(list(...), character(), rlang::current_env())
  about <- bridge_do("schema_describe", schema = x$json)
  about$target <- NULL
  as.data.frame(lapply(about, as.character), row.names = row.names)
}

#' @export
print.kerasbridge_frame_schema <- function(x, ...) {
  table <- as.data.frame(x)
  cat(sprintf("Schema of %d column%s\n", nrow(table), if (nrow(table) == 1) "" else "s"))
  if (nrow(table)) {
    print(table, right = FALSE, row.names = FALSE)
  }
  target <- schema_target(x$json)
  if (!is.null(target)) {
    cat("Predicted: ", target$name, if (!is.null(target$levels)) paste0(" (", paste(target$levels, collapse = ", "), ")"), "\n", sep = "")
  }
  invisible(x)
}

# One rule for all columns as it is; several as a dict by column, "" for the columns not named.
as_rules_arg <- function(x, arg, call) {
  if (is.list(x) && !is.null(names(x)) && all(names(x) %in% c("how", "indicator"))) {
    return(tagged(x, "dict"))
  }
  if (length(x) == 1 && is.null(names(x)) && is.atomic(x)) {
    return(x)
  }
  if (is.null(names(x)) || anyDuplicated(names(x))) {
    abort_argument(arg, "must be one rule, or rules named by column, such as `c(age = \"median\")`.", call = call)
  }
  rules <- lapply(as.list(x), \(rule) if (is.list(rule)) tagged(rule, "dict") else rule)
  # c(age = 0, job = "level") makes text of the number
  rules <- lapply(rules, \(rule) {
    number <- if (is.character(rule)) suppressWarnings(as.numeric(rule)) else NA
    if (is.na(number)) rule else number
  })
  tagged(rules, "dict")
}

# ---- between the model and the engine -------------------------------------------------------------

model_schema_json <- function(model) bridge_do("schema_of", model = model)

schema_json <- function(schema, call) {
  if (!inherits(schema, "kerasbridge_frame_schema")) {
    abort_argument("schema", paste0("must be a schema from `frame_schema()`, not ", describe_value(schema), "."), call = call)
  }
  schema$json
}

# Name, kind and levels (or NULL) of what is predicted, or NULL.
schema_target <- function(json) {
  if (is.null(json)) {
    return(NULL)
  }
  target <- bridge_do("schema_describe", schema = json)$target
  if (!is.null(target$levels)) {
    target$levels <- as.character(unlist(target$levels))
  }
  target
}
