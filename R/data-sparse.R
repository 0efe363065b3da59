# Sparse matrices of package Matrix (and what is built on it) as data: they stay sparse all the way to a batch.

is_sparse_matrix <- function(x) isS4(x) && !is_python(x) && !is.null(attr(x, "Dim"))

sparse_arg <- function(x, arg, call, na = "refuse") {
  layout <- sparse_layout(x)
  if (is.null(layout)) {
    dense <- inherits(x, "denseMatrix")
    abort_kind(
      "data", sprintf("`%s` is a matrix of class <%s>, which has no way to Keras.", arg, class(x)[[1]]),
      i = if (dense) "Make it a matrix: `as.matrix(x)`." else "Make it a general sparse one: `as(as(x, \"generalMatrix\"), \"CsparseMatrix\")`.",
      argument = arg, call = call
    )
  }
  values <- if (inherits(x, "nsparseMatrix")) NULL else as.double(x@x)
  if (na != "pass" && !is.null(values) && !all(is.finite(values))) {
    bad <- which(!is.finite(values))[[1]]
    at <- sparse_place(x, layout, bad)
    abort_kind(
      "data", sprintf("`%s` has a value that is not a finite number at [%d, %d].", arg, at[[1]], at[[2]]),
      i = "Remove or replace them before training: a single one turns every weight into NaN.",
      argument = arg, call = call
    )
  }
  first <- if (layout == "csr") x@j else x@i
  second <- if (layout == "coo") x@j else x@p
  tagged(if (!is.null(values)) as_array(values), "sparse", layout = layout, first = as_array(first), second = as_array(second), shape = x@Dim)
}

sparse_layout <- function(x) {
  if (!inherits(x, "generalMatrix")) {
    return(NULL)
  }
  known <- c(csc = "CsparseMatrix", csr = "RsparseMatrix", coo = "TsparseMatrix")
  found <- names(known)[vapply(known, \(class) inherits(x, class), NA)]
  if (length(found)) found[[1]]
}

# Row and column of the k-th stored value.
sparse_place <- function(x, layout, k) {
  switch(layout,
    csc = c(x@i[[k]] + 1L, findInterval(k - 1L, x@p)),
    csr = c(findInterval(k - 1L, x@p), x@j[[k]] + 1L),
    coo = c(x@i[[k]], x@j[[k]]) + 1L
  )
}
