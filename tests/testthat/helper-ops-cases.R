# Reads fixtures/ops-cases.csv and compares what an op returns with the numbers stored there.

ops_cases <- function() {
  path <- testthat::test_path("fixtures", "ops-cases.csv")
  utils::read.csv(path, stringsAsFactors = FALSE, encoding = "UTF-8", colClasses = "character")
}

# The shape of a tensor, R array or number, and its elements row by row (last axis fastest).
ops_flatten <- function(x) {
  if (is.atomic(x)) {
    shape <- if (!is.null(dim(x))) dim(x) else if (length(x) == 1L) integer() else length(x)
    value <- x
  } else {
    shape <- as.integer(unlist(op_shape(x)))
    value <- as.array(x)
  }
  if (length(shape) > 1L) {
    value <- aperm(array(as.vector(value), shape), rev(seq_along(shape)))
  }
  list(shape = as.integer(shape), data = as.vector(value))
}

# Data types of a result, `;` between those of a list; "" for plain R values.
ops_dtypes <- function(x) {
  if (is.list(x) && !is.object(x)) return(paste(vapply(x, ops_dtypes, ""), collapse = ";"))
  if (is.atomic(x)) "" else tensor_dtype(x)
}

# What is wrong with `x`, or an empty vector when it is as expected.
ops_mismatch <- function(x, expected, where = "", tolerance = 1e-5) {
  if (!is.null(expected$list)) {
    if (!is.list(x) || length(x) != length(expected$list)) {
      return(sprintf("%sa list of %d expected", where, length(expected$list)))
    }
    each <- lapply(seq_along(x), \(i) ops_mismatch(x[[i]], expected$list[[i]], sprintf("[[%d]] ", i), tolerance))
    return(unlist(each))
  }
  if (!is.null(expected$string)) {
    same <- identical(as.character(x), expected$string)
    return(if (!same) sprintf("%s%s, not %s", where, format(x), expected$string))
  }
  got <- ops_flatten(x)
  shape <- as.integer(unlist(expected$shape))
  if (!identical(got$shape, shape)) {
    return(sprintf("%sshape (%s), not (%s)", where, toString(got$shape), toString(shape)))
  }
  if (is.null(expected$data)) {
    range <- if (is.null(expected$range)) c(-Inf, Inf) else as.numeric(unlist(expected$range))
    ok <- all(is.finite(got$data)) && all(got$data >= range[1] & got$data <= range[2])
    return(if (!ok && !is.null(expected$range)) sprintf("%svalues outside the range", where))
  }
  want <- vapply(expected$data, \(v) as.numeric(v), 0)
  have <- as.numeric(got$data)
  close <- have == want | abs(have - want) <= tolerance * pmax(1, abs(want))
  close <- ifelse(is.nan(want) | is.nan(have), is.nan(want) & is.nan(have), close)
  if (!all(close)) {
    sprintf("%svalues %s, not %s", where, toString(signif(have, 7)), toString(signif(want, 7)))
  }
}

# JAX keeps 64 bits in 32, unless told otherwise.
ops_narrow <- function() identical(the$backend, "jax") && Sys.getenv("JAX_ENABLE_X64") != "true"

# On PyTorch Keras leaves double precision in many operations, and positions have 64 bits.
ops_single <- function() identical(the$backend, "torch")

# One row of the table: a line for each thing that is wrong.
ops_check_case <- function(case, env = parent.frame()) {
  value <- tryCatch(
    eval(parse(text = case$r_call, keep.source = FALSE), new.env(parent = env)),
    error = \(e) structure(list(message = conditionMessage(e)), class = "ops_failure")
  )
  if (inherits(value, "ops_failure")) return(paste("error:", value$message))
  # double precision is kept all the way
  tolerance <- if (identical(case$dtype, "float64") && !ops_narrow() && !ops_single()) 1e-8 else 1e-5
  if (ops_narrow()) {
    case$dtype <- gsub("complex128", "complex64", gsub("(float|int)64", "\\132", case$dtype), fixed = TRUE)
  }
  wrong <- ops_mismatch(value, jsonlite::fromJSON(case$expected, simplifyVector = FALSE), tolerance = tolerance)
  if (nzchar(case$dtype) && !identical(ops_dtypes(value), case$dtype)) {
    width <- \(dtype) gsub("64", "32", dtype, fixed = TRUE)
    same <- ops_single() && identical(width(ops_dtypes(value)), width(case$dtype))
    if (!same) wrong <- c(wrong, sprintf("dtype %s, not %s", ops_dtypes(value), case$dtype))
  }
  wrong
}
