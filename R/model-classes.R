# Classifiers that know their levels: a factor's levels stay with the model it trained, in its schema.

# Class numbers, from 0, of a factor, and its levels. Levels are matched by name, never by code.
class_codes <- function(y, target, arg, call) {
  y <- if (is.factor(y)) y else factor(y)
  if (the$mock) {
    return(list(codes = as.integer(y) - 1L, levels = levels(y), kind = "factor"))
  }
  if (anyNA(y)) {
    refuse_na_data(y, arg, call)
  }
  known <- if (!is.null(target$levels)) {
    tagged(list(name = arg, kind = target$kind, levels = tagged(as.list(target$levels), "list")), "dict")
  }
  column <- column_dict(coded_column(y, arg, if (is.ordered(y)) "ordered" else "factor"))
  found <- bridge_do("table_classes", column = column, target = known, call = call)
  list(codes = as.integer(found$codes), levels = as.character(unlist(found$levels)), kind = found$kind)
}

# Class numbers of a factor by the levels of the model; anything else as it is.
class_numbers <- function(model, y, arg, call) {
  if (is.data.frame(y) && ncol(y) == 1 && is.factor(y[[1]])) {
    y <- y[[1]]
  }
  if (is.factor(y)) class_codes(y, schema_target(model_schema_json(model)), arg, call)$codes else y
}

as_prediction <- function(model, out, type, call) {
  target <- schema_target(model_schema_json(model))
  levels <- target$levels
  if (type != "class") {
    if (!is.null(levels) && is.matrix(out) && ncol(out) == length(levels)) {
      colnames(out) <- levels
    }
    return(out)
  }
  if (is.list(out) || length(dim(out)) != 2) {
    several <- is.list(out)
    hint <- if (several) paste0("Predict without it: `max.col(out[[", deparse(if (is.null(names(out))) 1L else names(out)[[1]]), "]])` numbers the classes of that output from 1.")
    abort_argument("type", "can be \"class\" only for a model with one output of one row a sample.", hint, call = call)
  }
  number <- rep(NA_integer_, nrow(out))
  there <- rowSums(is.na(out)) == 0
  if (any(there)) {
    part <- out[there, , drop = FALSE]
    number[there] <- if (ncol(out) == 1) as.integer(part[, 1] > 0.5) else max.col(part, ties.method = "first") - 1L
  }
  if (is.null(levels)) {
    return(stats::setNames(number, rownames(out)))
  }
  stats::setNames(factor(levels[number + 1L], levels, ordered = target$kind == "ordered"), rownames(out))
}

# Class weights named by level become those named by number. `schema`: that of the data, if it is new.
level_weights <- function(model, weights, schema, call) {
  if (is.null(names(weights))) {
    return(weights)
  }
  levels <- schema_target(schema %||% model_schema_json(model))$levels
  if (is.null(levels) || !any(names(weights) %in% levels)) {
    return(weights)
  }
  unknown <- setdiff(names(weights), levels)
  missing <- setdiff(levels, names(weights))
  shown <- paste0("'", utils::head(levels, 10), "'", collapse = ", ")
  if (length(unknown)) {
    abort_argument("class_weight", sprintf("names '%s', which is no level of `y`.", unknown[[1]]), paste0("Its levels: ", shown, "."), call = call)
  }
  if (length(missing)) {
    abort_argument("class_weight", sprintf("has no weight for the level '%s'.", missing[[1]]), "Give every level a weight (1 leaves it as it is).", call = call)
  }
  stats::setNames(as.list(weights), match(names(weights), levels) - 1L)
}
