# The argument `na` of fit(), evaluate() and predict(): what happens to values that aren't there.

as_na_arg <- function(na, choices, call) {
  if (identical(na, choices)) {
    return(choices[[1]])
  }
  if (!is.character(na) || length(na) != 1 || !na %in% choices) {
    abort_argument("na", sprintf("must be %s, not %s.", paste0("\"", choices, "\"", collapse = " or "), describe_value(na)), call = call)
  }
  na
}

# Batches that a function makes are looked at one by one, by one rule.
refuse_na_rule <- function(na, call) {
  if (na != "refuse") {
    abort_argument("na", sprintf("can't be \"%s\" where a function makes the batches.", na), "Replace the values in that function.", call = call)
  }
}

# Values without a number of their own can't pass, whatever a person asks for.
refuse_na_passing <- function(x, arg, call) {
  if (is.double(x) || !anyNA(x)) {
    return(invisible())
  }
  what <- if (is.factor(x)) "a factor" else switch(typeof(x), integer = "whole numbers", logical = "logicals", "text")
  abort_kind(
    "data", sprintf("`%s` holds %s with NA, which Python has no value for.", arg, what),
    i = "`na = \"pass\"` lets doubles through: turn them into doubles, `storage.mode(x) <- \"double\"`, or encode them first.",
    argument = arg, call = call
  )
}

# Which rows of x hold a value that is not there and that no rule of the model's schema covers.
rows_missing <- function(model, x, call) {
  if (is.data.frame(x)) {
    known <- model_schema_json(model)
    columns <- names(x)
    if (!is.null(known)) {
      about <- bridge_do("schema_describe", schema = known, call = call)
      rule <- as.character(unlist(about$missing))
      columns <- intersect(columns, as.character(unlist(about$name))[rule == "refuse"])
    }
    return(Reduce(`|`, lapply(columns, \(name) not_there(x[[name]])), logical(nrow(x))))
  }
  if (is.list(x) && !is_python(x)) {
    parts <- lapply(unname(x), \(part) rows_missing(model, part, call))
    if (length(unique(lengths(parts))) > 1) {
      return(logical()) # the check of the rows says which parts differ
    }
    return(Reduce(`|`, parts))
  }
  if (is_python(x) || isS4(x) || !is.atomic(x)) {
    abort_argument("na", paste0("can be \"exclude\" for arrays and data frames only, not for ", describe_value(x), "."), call = call)
  }
  bad <- not_there(x)
  if (length(dim(x)) > 1) rowSums(matrix(bad, nrow(x))) > 0 else bad
}

not_there <- function(x) {
  bad <- if (is.double(x)) !is.finite(x) else is.na(x)
  if (length(dim(bad)) == 2) rowSums(bad) > 0 else as.vector(bad)
}

# The rows of x that are kept.
take_rows <- function(x, kept) {
  if (is.list(x) && !is.data.frame(x)) {
    return(lapply(x, take_rows, kept))
  }
  axes <- max(1L, length(dim(x)))
  # x[kept, , , drop = FALSE] for any number of axes
  if (axes == 1) x[kept] else do.call(`[`, c(list(x, kept), rep(list(quote(expr = )), axes - 1), list(drop = FALSE)))
}

# Predictions for the rows kept, with NA in the place of the others.
spread_rows <- function(out, kept) {
  if (is.list(out)) {
    return(lapply(out, spread_rows, kept))
  }
  shape <- dim(out)
  if (is.null(shape) || shape[[1]] != sum(kept)) {
    return(out)
  }
  whole <- array(out[NA_integer_][rep(1L, length(kept) * prod(shape[-1]))], c(length(kept), shape[-1]))
  whole[rep(kept, prod(shape[-1]))] <- out
  whole
}
