# Classifiers that know their levels: a factor's levels stay with the model it trained.

# Class numbers, from 0, of a factor; anything else as it is. The levels are matched by name, never by
# code. `learn`: remember the levels if the model has none yet.
class_numbers <- function(model, y, arg, call, learn = FALSE) {
  if (is.data.frame(y) && ncol(y) == 1 && is.factor(y[[1]])) {
    y <- y[[1]]
  }
  if (!is.factor(y)) {
    return(y)
  }
  refuse_na_data(y, arg, call)
  known <- model_levels(model)
  if (is.null(known)) {
    known <- levels(y)
    if (learn) {
      set_py_attribute(model, "kerasbridge_levels", to_python(tagged(as.list(known), "tuple")))
    }
  }
  unknown <- setdiff(as.character(unique(y)), known)
  if (length(unknown)) {
    abort_kind(
      "data",
      sprintf("`%s` has the level '%s', which the model was not trained on (first in row %d).", arg, unknown[[1]], which(y == unknown[[1]])[[1]]),
      i = paste0("Its levels: ", paste0("'", utils::head(known, 10), "'", collapse = ", "), "."),
      argument = arg, call = call
    )
  }
  match(as.character(y), known) - 1L
}

# The levels a model was trained on, or NULL.
model_levels <- function(model) {
  if (py_has(model, "kerasbridge_levels")) as.character(unlist(py_attribute(model, "kerasbridge_levels")))
}

as_prediction <- function(model, out, type, call) {
  levels <- model_levels(model)
  if (type != "class") {
    if (!is.null(levels) && is.matrix(out) && ncol(out) == length(levels)) {
      colnames(out) <- levels
    }
    return(out)
  }
  if (is.list(out) || length(dim(out)) != 2) {
    abort_argument("type", "can be \"class\" only for a model with one output of one row a sample.", call = call)
  }
  number <- if (ncol(out) == 1) as.integer(out[, 1] > 0.5) else max.col(out, ties.method = "first") - 1L
  if (!nrow(out)) {
    number <- integer()
  }
  if (is.null(levels)) {
    return(stats::setNames(number, rownames(out)))
  }
  stats::setNames(factor(levels[number + 1L], levels), rownames(out))
}
