# R data on its way to training: vectors, matrices, arrays, lists, data frames of numbers, tensors.

# One input (x or y), or a list of them by position or name. `na`: "refuse" or "pass" (doubles).
as_data_arg <- function(x, arg, call, na = "refuse") {
  if (is.null(x) || is_python(x)) {
    return(x)
  }
  if (is.data.frame(x)) {
    return(frame_arg(x, arg, call, na))
  }
  if (is_sparse_matrix(x)) {
    return(sparse_arg(x, arg, call, na))
  }
  if (is.list(x)) {
    converted <- Map(\(v, i) as_data_arg(v, sprintf("%s[[%s]]", arg, i), call, na), x, if (is.null(names(x))) seq_along(x) else names(x))
    return(tagged(converted, if (is.null(names(x))) "list" else "dict"))
  }
  if (is.factor(x)) {
    refuse_na_data(x, arg, call)
    x <- as.integer(x) - 1L
  }
  if (inherits(x, c("Date", "POSIXt", "integer64"))) {
    abort_kind(
      "data", paste0("`", arg, "` holds ", class(x)[[1]], " values."),
      i = "Turn them into numbers that mean something to the model, for instance `as.numeric(x)`.",
      argument = arg, call = call
    )
  }
  if (!(is.numeric(x) || is.logical(x) || is.character(x))) {
    abort_kind("data", paste0("`", arg, "` must be numbers, not ", describe_value(x), "."), argument = arg, call = call)
  }
  if (na == "pass") refuse_na_passing(x, arg, call) else refuse_na_data(x, arg, call)
  tagged(as_array(x), "data", arg = arg)
}

# Missing and non-finite values train to nothing without a word: refuse them, with their place.
refuse_na_data <- function(x, arg, call) {
  # without a copy of the data's size: a finite sum has only finite parts
  if (if (is.double(x)) is.finite(sum(x)) else !anyNA(x)) {
    return(invisible())
  }
  bad <- if (is.double(x)) !is.finite(x) else is.na(x)
  if (!any(bad)) {
    return(invisible())
  }
  whole <- dead_columns(bad, x)
  if (length(whole)) {
    shown <- paste(utils::head(whole, 5), collapse = ", ")
    abort_kind(
      "data",
      sprintf("`%s` has %d of %d columns without a single number: %s%s.", arg, length(whole), length(bad) / nrow(x), shown, if (length(whole) > 5) ", ..." else ""),
      i = "A column of one value becomes NaN when it is divided by its standard deviation, as `scale()` does: leave such columns out, or divide all by one number (`x / 255`), or use `layer_normalization()`.",
      argument = arg, columns = whole, call = call
    )
  }
  which <- which(bad)
  place <- if (is.null(dim(x)) || length(dim(x)) == 1) {
    utils::head(which, 3)
  } else {
    at <- arrayInd(utils::head(which, 3), dim(x))
    apply(at, 1, paste, collapse = ", ")
  }
  kinds <- c(if (anyNA(x)) "NA or NaN", if (is.double(x) && any(is.infinite(x))) "infinite")
  abort_kind(
    "data",
    sprintf("`%s` has %d %s (%s): %s.", arg, length(which), if (length(which) > 1) "values that are not numbers" else "value that is not a number",
            paste(kinds, collapse = ", "), paste0(arg, "[", place, "]", collapse = ", ")),
    i = "Remove or replace them before training: a single one turns every weight into NaN.",
    argument = arg, call = call
  )
}

# Columns (or places of one case, such as pixels) that are bad in every row: by name, or as "[, 2, 3]".
dead_columns <- function(bad, x) {
  shape <- dim(x)
  if (length(shape) < 2 || shape[[1]] < 2) {
    return(character())
  }
  dead <- which(colSums(matrix(bad, shape[[1]])) == shape[[1]])
  if (length(shape) == 2 && !is.null(colnames(x))) {
    return(paste0("'", colnames(x)[dead], "'"))
  }
  at <- arrayInd(dead, shape[-1])
  sprintf("[, %s]", apply(at, 1, paste, collapse = ", "))
}

# validation_data: list(x, y) or list(x, y, weights), named or not, or something Python holds.
as_validation_arg <- function(x, arg, call, na = "refuse") {
  if (is.null(x) || is_python(x)) {
    return(x)
  }
  if (!is.list(x) || is.data.frame(x) || !length(x) %in% 2:3) {
    abort_argument(arg, paste0("must be `list(x, y)` or `list(x, y, weights)`, not ", describe_value(x), "."), call = call)
  }
  if (!is.null(names(x)) && all(c("x", "y") %in% names(x))) {
    x <- x[c("x", "y", setdiff(names(x), c("x", "y")))]
  }
  parts <- lapply(seq_along(x), \(i) as_data_arg(x[[i]], paste0(arg, "[[", i, "]]"), call, na))
  tagged(parts, "tuple")
}

# class_weight: named vector or list, class -> weight; class numbers count from 0 as labels do.
as_class_weight_arg <- function(x, arg, call) {
  if (is.null(x)) {
    return(NULL)
  }
  x <- as.list(x)
  if (is.null(names(x)) || !all(grepl("^[0-9]+$", names(x))) || !all(vapply(x, is.numeric, NA))) {
    abort_argument(arg, "must name each class by its number, from 0.", "For example `list(\"0\" = 1, \"1\" = 10)`.", call = call)
  }
  tagged(lapply(x, as.double), "int_dict")
}
