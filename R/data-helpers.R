# Small data helpers: one-hot columns, row-major reshaping.

#' Classes as columns of zeros and ones
#'
#' @param x Class numbers from 0 (as labels are in Keras), or a factor, whose levels are the classes.
#' @param num_classes Number of columns; by default the largest class number plus one, or the number
#'   of levels.
#' @param dtype Type of the elements: `"int32"` and its kin give whole numbers, `"bool"` logical values,
#'   `NULL` and the floating types doubles.
#' @return A matrix (an array with one more axis if `x` is one) with one column a class; the columns
#'   of a factor are named by its levels.
#' @examples
#' to_categorical(c(0, 2, 1))
#' to_categorical(factor(c("cat", "dog", "cat")))
#' @export
to_categorical <- function(x, num_classes = NULL, dtype = NULL) {
  frame <- rlang::current_env()
  mode <- one_hot_mode(dtype, frame)
  labels <- NULL
  if (is.factor(x)) {
    labels <- levels(x)
    num_classes <- num_classes %||% length(labels)
    refuse_na(as.integer(x), "x", frame)
    x <- as.integer(x) - 1L
  }
  if (is_python(x)) {
    x <- tensor_to_r(x)
  }
  refuse_na(x, "x", frame)
  if (!is_whole(x) || any(x < 0)) {
    abort_argument("x", "must be class numbers (whole, from 0) or a factor.", call = frame)
  }
  if (length(x) && min(x) > 0 && is.null(num_classes)) {
    rlang::warn(c(
      "Class 0 is empty: class numbers count from 0.",
      i = "Pass a factor, or subtract 1, if your classes count from 1."
    ), class = "kerasbridge_warning_labels")
  }
  n <- as_count(num_classes, "num_classes", frame) %||% (if (length(x)) as.integer(max(x)) + 1L else 0L)
  if (length(x) && max(x) >= n) {
    abort_argument("num_classes", sprintf("is %d, but there is a class %d (classes count from 0).", n, as.integer(max(x))), call = frame)
  }
  shape <- dim(x) %||% length(x)
  if (length(shape) > 1 && shape[[length(shape)]] == 1) {
    shape <- shape[-length(shape)]
  }
  out <- matrix(0, length(x), n)
  out[cbind(seq_along(x), as.vector(x) + 1)] <- 1
  storage.mode(out) <- mode
  dim(out) <- c(shape, n)
  if (!is.null(labels) && length(labels) == n && length(dim(out)) == 2) {
    colnames(out) <- labels
  }
  out
}

# How R holds elements of that data type.
one_hot_mode <- function(dtype, call) {
  dtype <- convert_arg(dtype, "dtype", "dtype", call)
  if (is.null(dtype) || grepl("^b?float(16|32|64)$", dtype)) {
    return("double")
  }
  if (!grepl("^(bool|u?int(8|16|32|64))$", dtype)) {
    abort_argument("dtype", "must be a floating type, a type of whole numbers or \"bool\".", call = call)
  }
  if (dtype == "bool") "logical" else "integer"
}

#' Reshape an array in row-major order
#'
#' Fills the new shape the way Python does: the last axis runs fastest. R's own `dim<-` lets the first
#' axis run fastest; for images and sequences on their way to Keras this function is the right one.
#'
#' @param x A vector, matrix or array.
#' @param dim The new shape; one axis may be `-1` or `NA`: it takes what is left.
#' @param order `"C"` for row-major (the default), `"F"` for R's own order.
#' @return An array of shape `dim` with the elements of `x`.
#' @examples
#' array_reshape(1:6, c(2, 3))
#' array_reshape(matrix(1:4, 2), 4)
#' @export
array_reshape <- function(x, dim, order = c("C", "F")) {
  frame <- rlang::current_env()
  order <- rlang::arg_match(order)
  if (is_python(x)) {
    return(bridge_call("keras.ops.reshape", list(x, as_shape_arg(dim, "dim", frame))))
  }
  if (!is.atomic(x)) {
    abort_argument("x", paste0("must be a vector or an array, not ", describe_value(x), "."), call = frame)
  }
  dim <- as.integer(unlist(lapply(dim, \(d) if (is.null(d)) NA else d)))
  open <- is.na(dim) | dim == -1L
  if (sum(open) > 1 || any(dim[!open] < 0)) {
    abort_argument("dim", "must be whole numbers, with one -1 or NA at most.", call = frame)
  }
  rest <- prod(dim[!open])
  if (any(open)) {
    dim[open] <- if (rest > 0) as.integer(length(x) / rest) else 0L
  }
  if (prod(dim) != length(x)) {
    abort_argument(
      "dim", sprintf("(%s) holds %g elements; `x` has %d.", paste(dim, collapse = ", "), prod(dim), length(x)), call = frame
    )
  }
  row_major <- \(a) if (length(base::dim(a)) > 1) aperm(a) else a
  if (order == "F") {
    return(array(x, dim))
  }
  values <- as.vector(row_major(x))
  if (length(dim) < 2) array(values, dim) else aperm(array(values, rev(dim)))
}
