# Data frames and formulas on their way to a model: columns cross with their kind, the engine does the rest.

# The columns of a data frame as the engine wants them (inst/python/kerasbridge/data/frames.py). With `lend`
# long columns are not copied: the engine reads them where they lie, during the call that they are given to.
frame_columns <- function(x, arg, call, lend = FALSE) {
  names <- rlang::names2(x)
  if (any(!nzchar(names) | is.na(names))) {
    abort_kind("data", paste0("`", arg, "` has columns without a name."), i = "Name them: columns are matched by name.", argument = arg, call = call)
  }
  columns <- Map(\(column, name) frame_column(column, name, arg, call), unname(as.list(x)), enc2utf8(names))
  if (lend) {
    columns <- lent_columns(columns)
  }
  tagged(lapply(columns, column_dict), "list")
}

# A column on its way to Python, where dim() makes it an array (array() would copy it once more). A lent one
# goes as its address, and its values stay with it as long as the call runs.
column_dict <- function(column) {
  if (is.null(column$address)) {
    dim(column$values) <- length(column$values)
    return(tagged(column, "dict"))
  }
  structure(tagged(column[names(column) != "values"], "dict"), held = column$values)
}

# Long columns with the address of their values, where Python can read them there.
lent_columns <- function(columns) {
  long <- which(vapply(columns, \(column) length(column$values) >= 10000, NA))
  addresses <- lendable_addresses(lapply(columns[long], \(column) column$values))
  for (i in seq_along(long)) {
    columns[[long[[i]]]]$address <- addresses[[i]]
  }
  columns
}

frame_column <- function(x, name, arg, call) {
  abort_column <- function(problem, hint = NULL) {
    abort_kind("data", c(sprintf("Column '%s' of `%s` %s.", name, arg, problem), if (!is.null(hint)) c(i = hint)), argument = arg, column = name, call = call)
  }
  if (inherits(x, "POSIXlt")) {
    x <- as.POSIXct(x)
  }
  if (is.data.frame(x) || length(dim(x)) > 1) {
    if (ncol(x) != 1 || length(dim(x)) > 2) {
      abort_column("is a matrix or a data frame itself", "Split it into columns of one value a row.")
    }
    x <- x[, 1, drop = TRUE]
  }
  if (is.list(x)) {
    abort_column("is a list column (first in row 1)", "A column holds one number, text or date a row: unnest it, or give it to the model as an array.")
  }
  kind <- column_kind(x)
  if (is.null(kind)) {
    abort_column(paste0("holds values of class <", class(x)[[1]], ">, which have no stated meaning"), "Turn it into numbers, text, a factor or dates first, for instance with `as.numeric()`.")
  }
  if (kind %in% c("factor", "ordered", "string")) {
    return(coded_column(x, name, kind))
  }
  values <- switch(kind,
    date = as.double(unclass(x)),
    datetime = as.double(unclass(x)),
    duration = as.double(x, units = "secs"),
    # a missing whole number or logical would cross as an ordinary value
    integer = ,
    logical = if (anyNA(x)) as.double(x) else x,
    unclass(x)
  )
  if (!is.null(attributes(values))) {
    attributes(values) <- NULL
  }
  list(name = name, kind = kind, values = values)
}

column_kind <- function(x) {
  classes <- setdiff(class(x), c("AsIs", "ts", "hms"))
  if (is.factor(x)) {
    return(if (is.ordered(x)) "ordered" else "factor")
  }
  if (inherits(x, "Date")) {
    return("date")
  }
  if (inherits(x, "POSIXct")) {
    return("datetime")
  }
  if (inherits(x, "difftime")) {
    return("duration")
  }
  if (inherits(x, "integer64")) {
    return("integer64")
  }
  if (length(setdiff(classes, c("numeric", "integer", "double", "logical", "character", "array", "matrix")))) {
    return(NULL)
  }
  switch(typeof(x), double = "number", integer = "integer", logical = "logical", character = "string")
}

# Texts and factors cross as codes from 0 and levels; -1 is a missing value.
coded_column <- function(x, name, kind) {
  if (kind == "string") {
    levels <- unique(x[!is.na(x)])
    codes <- match(x, levels)
  } else {
    levels <- levels(x)
    codes <- as.integer(x)
    codes[is.na(levels)[codes]] <- NA # a level that is NA
    levels[is.na(levels)] <- ""
  }
  codes <- codes - 1L
  codes[is.na(codes)] <- -1L
  list(name = name, kind = kind, values = codes, levels = tagged(as.list(enc2utf8(levels)), "list"))
}

# A data frame of numbers as one block, with no model to check it against.
frame_arg <- function(x, arg, call, na = "refuse") {
  if (ncol(x) == 1 && is.factor(x[[1]])) {
    return(as_data_arg(x[[1]], arg, call))
  }
  bridge_keep("table_block", columns = frame_columns(x, arg, call, lend = TRUE), pass_missing = na == "pass", call = call)
}

# ---- formulas ---------------------------------------------------------------------------------------

# `price ~ .` and its data: the predictors as a data frame, the response, crosses such as a:b.
formula_parts <- function(formula, data, call, crosses = FALSE) {
  if (!is.data.frame(data)) {
    abort_argument("data", paste0("must be a data frame for a formula, not ", describe_value(data), "."), call = call)
  }
  terms <- tryCatch(
    stats::terms(formula, data = data),
    error = \(e) abort_argument("formula", paste0("can't be read: ", conditionMessage(e), "."), call = call)
  )
  variables <- as.list(attr(terms, "variables"))[-1]
  response <- attr(terms, "response")
  factors <- attr(terms, "factors")
  if (!length(factors)) {
    abort_argument("formula", "names no predictors.", call = call)
  }
  if (!is.null(attr(terms, "offset"))) {
    abort_argument("formula", "has an offset, which a network has no place for.", "Leave it out, or take it off the response.", call = call)
  }
  used <- rowSums(factors) > 0
  computed <- !vapply(variables, is.symbol, NA) & used
  if (any(computed)) {
    abort_argument(
      "formula", paste0("computes `", rlang::expr_deparse(variables[computed][[1]])[[1]], "`; predictors are columns of the data."),
      "Make the column first, in the training data and in the data to predict from.", call = call
    )
  }
  names <- vapply(variables[used], as.character, "")
  absent <- setdiff(names, names(data))
  if (length(absent)) {
    abort_kind("data", paste0("`data` lacks the column '", absent[[1]], "', which the formula names."), i = paste0("Columns: ", paste0("'", utils::head(names(data), 10), "'", collapse = ", "), "."), argument = "data", call = call)
  }
  crossed <- unname(apply(factors[, attr(terms, "order") > 1, drop = FALSE] > 0, 2, \(in_term) vapply(variables[in_term], as.character, ""), simplify = FALSE))
  if (length(crossed) && !crosses) {
    abort_argument("formula", paste0("has the cross `", paste(crossed[[1]], collapse = ":"), "`, which needs an encoding."), "Crosses are for `feature_space()` and `keras_model_tabular()`.", call = call)
  }
  name <- y <- NULL
  if (response > 0) {
    y <- eval(variables[[response]], data, environment(formula))
    name <- if (is.symbol(variables[[response]])) as.character(variables[[response]]) else rlang::expr_deparse(variables[[response]])[[1]]
    if (NROW(y) != nrow(data)) {
      abort_argument("formula", sprintf("has a response of %d values for %d rows.", NROW(y), nrow(data)), call = call)
    }
  }
  list(x = take_columns(data, names), y = y, name = name, crosses = crossed)
}

# Columns of any sort of data frame; `[` means something else to some of them.
take_columns <- function(data, names) {
  structure(unclass(data)[names], names = names, row.names = attr(data, "row.names"), class = "data.frame")
}

# ---- the hooks of fit(), evaluate() and predict() -----------------------------------------------------

# x, y and validation data as the engine takes them. `schema`: what to keep with the model once it was
# trained (JSON, or NULL for nothing new).
training_data <- function(model, x, y, data, schema, validation_data, call, learn = FALSE, na = "refuse") {
  known <- model_schema_json(model)
  given <- if (is.null(schema)) known else schema_json(schema, call)
  parts <- table_parts(model, x, y, data, given, call)
  table <- NULL
  if (is.data.frame(parts$x)) {
    table <- prepare_table(model, parts$x, given, "x", call, na)
    parts$x <- table$x
  }
  keep <- if (is.null(table)) given else table$schema
  target <- schema_target(keep)
  if (is.data.frame(parts$y) && ncol(parts$y) == 1 && is.factor(parts$y[[1]])) {
    parts$name <- names(parts$y)
    parts$y <- parts$y[[1]]
  }
  parts$y <- plain_response(parts$y, parts$x, target, call)
  if (is.factor(parts$y) || is.character(parts$y)) {
    classes <- class_codes(parts$y, target, "y", call)
    parts$y <- classes$codes
    if (is.null(target$levels)) {
      target <- list(name = parts$name %||% "y", kind = classes$kind, levels = classes$levels)
      keep <- bridge_do("schema_with_target", schema = keep, name = target$name, kind = target$kind, levels = tagged(as.list(target$levels), "list"), call = call)
    }
  } else if (!is.null(parts$name) && is.null(target) && is.numeric(parts$y)) {
    keep <- bridge_do("schema_with_target", schema = keep, name = parts$name, kind = "number", call = call)
  }
  if (is.list(validation_data) && !is.data.frame(validation_data) && length(validation_data) > 1) {
    at <- if (all(c("x", "y") %in% names(validation_data))) c("x", "y") else 1:2
    validation_data[at[[1]]] <- list(prepare_x(model, validation_data[[at[[1]]]], keep, "validation_data[[1]]", call, na))
    v <- validation_data[[at[[2]]]]
    if (is.factor(v) || is.character(v) && !is.null(target$levels)) {
      validation_data[[at[[2]]]] <- class_codes(v, target, "validation_data[[2]]", call)$codes
    }
  } else if (is.data.frame(validation_data)) {
    more <- table_parts(model, if (rlang::is_formula(x)) x, NULL, validation_data, keep, call)
    more$y <- if (is.factor(more$y) || is.character(more$y)) class_codes(more$y, target, "validation_data", call)$codes else more$y
    validation_data <- list(prepare_x(model, more$x, keep, "validation_data", call, na), more$y)
  }
  list(x = parts$x, y = parts$y, validation_data = validation_data, schema = if (learn && !identical(keep, known)) keep)
}

# A list of single numbers as a vector; text only where the model knows its classes.
plain_response <- function(y, x, target, call) {
  if (is.list(y) && !is.data.frame(y) && is.null(names(y)) && length(y) > 1 && all(lengths(y) == 1L) &&
      all(vapply(y, is.atomic, NA)) && !is_python(x) && !is.null(dim(x)) && length(y) == nrow(x)) {
    y <- unlist(y)
  }
  if (is.character(y) && is.null(target$levels)) {
    abort_kind(
      "data", sprintf("`y` is text (%s of length %d).", class(y)[[1]], length(y)),
      i = "For classes make it a factor: `factor(y)`; the model then knows the levels. For numbers: `as.numeric(y)`.",
      argument = "y", call = call
    )
  }
  y
}

# What was given as x, y and data, as x and y: a formula is applied, a target taken from its column.
table_parts <- function(model, x, y, data, schema, call) {
  if (rlang::is_formula(x)) {
    if (!is.null(y)) {
      abort_argument("y", "must not be given beside a formula: its left side says what is predicted.", call = call)
    }
    return(formula_parts(x, data, call))
  }
  if (!is.null(data)) {
    if (!is.null(x)) {
      abort_argument("data", "goes with a formula: `fit(model, price ~ ., data = data)`.", "Or give the columns as `x`.", call = call)
    }
    x <- data
  }
  target <- schema_target(schema)$name
  if (is.data.frame(x) && is.null(y) && !is.null(target) && target %in% names(x)) {
    y <- x[[target]]
  }
  list(x = x, y = y)
}

# A data frame ready for the model; anything else as it is.
prepare_x <- function(model, x, schema, arg, call, na = "refuse") {
  if (is.data.frame(x)) prepare_table(model, x, schema, arg, call, na)$x else x
}

prepare_table <- function(model, x, schema, arg, call, na = "refuse") {
  prepared <- bridge_keep(
    "table_prepare", model = model, columns = frame_columns(x, arg, call, lend = TRUE), schema = schema, pass_missing = na == "pass", call = call
  )
  for (text in as.character(unlist(py_attribute(prepared, "warnings")))) {
    rlang::warn(text, class = "kerasbridge_warning_data")
  }
  for (text in as.character(unlist(py_attribute(prepared, "notes")))) {
    note_once(text, text)
  }
  list(x = py_part(prepared, "x"), schema = py_attribute(prepared, "schema_json"))
}
