# Parts of tensors: op_subset() and its assignment forms, all_dims(), newaxis, and `.` for taking
# lists apart.

#' Parts of a tensor
#'
#' `op_subset(x, i, j)` is `x[i, j]`; `op_subset(x, i, j) <- value`, or `x[i, j] <- value`, and
#' `op_subset_set()` give a tensor with those elements replaced. Tensors never change: `x[1] <- 0` makes a
#' new one and calls it `x`; a variable is changed in place.
#'
#' @details
#' An index is
#' * positions, counted from 1, negative from the end (unlike R's own exclusion); a single one drops its
#'   axis;
#' * logicals, one per position;
#' * nothing, for the whole axis; axes that aren't mentioned at the end are taken whole;
#' * `all_dims()`, for as many whole axes as it takes;
#' * `NULL` or `newaxis`, for a new axis of length 1 (not when replacing);
#' * `from:to:step`, where each end may be `NULL`: `2:NULL` is from the second on.
#'
#' Alone, an index may also be a logical array of the shape of `x`, or a matrix with one column per axis
#' and a row per element; both give the elements in a vector, in R's order (first axis fastest for
#' logicals).
#'
#' @param x A tensor, variable, or R array.
#' @param ... Indices, see below.
#' @param value A tensor, or R numbers that spread over the part.
#' @return `op_subset()`: a tensor. `op_subset_set()`: a tensor of the shape of `x`.
#' @examplesIf is_keras_available()
#' x <- as_tensor(matrix(1:6, 2))
#' op_subset(x, 1, )
#' op_subset(x, all_dims(), -1)
#' op_subset_set(x, , 2:NULL, value = 0L)
#' op_subset(x, 1, 1) <- 9L
#' x
#' @export
op_subset <- function(x, ...) {
  frame <- rlang::current_env()
  x <- k_tensor(x, "x", frame)
  index <- subset_index(x, as.list(substitute(list(...)))[-1], parent.frame(), frame)
  if (!is.matrix(index)) {
    return(tensor_subset(x, index, TRUE, frame))
  }
  flat <- tagged(array(as.integer(flat_places(index, tensor_dim(x))), nrow(index)), "tensor", dtype = "int32")
  k_ops("take", k_ops("reshape", x, -1L, call = frame), flat, call = frame)
}

#' @rdname op_subset
#' @export
`op_subset<-` <- function(x, ..., value) {
  frame <- rlang::current_env()
  out <- subset_replaced(x, as.list(substitute(list(...)))[-1], value, parent.frame(), frame)
  if (inherits(x, "kerasbridge_variable")) {
    bridge_method(x, "assign", list(out), call = frame)
    return(x)
  }
  out
}

#' @export
`[<-.kerasbridge_tensor` <- `op_subset<-`

#' @export
`[<-.kerasbridge_variable` <- `op_subset<-`

#' @export
`[<-.kerasbridge_keras_tensor` <- `op_subset<-`

#' @rdname op_subset
#' @export
op_subset_set <- function(x, ..., value) {
  subset_replaced(x, as.list(substitute(list(...)))[-1], value, parent.frame(), rlang::current_env())
}

#' @rdname op_subset
#' @export
all_dims <- function() structure(list(), class = "kerasbridge_all_dims")

#' @export
print.kerasbridge_all_dims <- function(x, ...) {
  cat("<all axes that no other index takes>\n")
  invisible(x)
}

#' @rdname op_subset
#' @format NULL
#' @export
newaxis <- NULL

# The indices as tensor_subset() takes them, or a matrix of places (from 1), a row an element.
subset_index <- function(x, args, where, frame) {
  shape <- tensor_dim(x)
  args <- lapply(args, subset_value, where = where)
  if (length(args) == 1 && is.list(args[[1]]) && !is.null(args[[1]]$value)) {
    single <- args[[1]]$value
    if (is_python(single) && identical(tensor_dtype(single), "bool")) {
      single <- as_array(tensor_to_r(single))
    }
    if (is.logical(single) && length(shape) > 1 && identical(dim(single), shape)) {
      refuse_na(single, "...", frame)
      return(unname(which(single, arr.ind = TRUE)))
    }
    if (is.numeric(single) && is.matrix(single) && length(shape) > 1) {
      return(place_matrix(single, shape, frame))
    }
  }
  whole <- vapply(args, \(a) inherits(a$value, "kerasbridge_all_dims"), NA)
  if (sum(whole) > 1) {
    abort_argument("...", "has `all_dims()` more than once.", call = frame)
  }
  if (any(whole)) {
    takes <- sum(!vapply(args[!whole], \(a) "value" %in% names(a) && is.null(a$value), NA))
    here <- which(whole)
    args <- c(args[seq_len(here - 1)], rep(list(list(all = TRUE)), max(0, length(shape) - takes)), args[-seq_len(here)])
  }
  axis <- 0L
  out <- list()
  for (a in args) {
    if (!is.null(a$slice)) {
      axis <- axis + 1L
      size <- if (axis <= length(shape)) shape[[axis]] else NA_integer_
      out <- c(out, list(slice_places(a$slice, size, frame)))
      next
    }
    if (isTRUE(a$all)) {
      axis <- axis + 1L
      out <- c(out, list(quote(expr = )))
      next
    }
    if (!is.null(a$value)) {
      axis <- axis + 1L
    }
    out <- c(out, list(a$value))
  }
  out
}

# list(value =), list(slice = list(from, to, step)) or list(all = TRUE)
subset_value <- function(arg, where) {
  if (identical(arg, quote(expr = ))) {
    return(list(all = TRUE))
  }
  if (is.call(arg) && identical(arg[[1]], as.name(":"))) {
    ends <- as.list(arg)[-1]
    if (is.call(ends[[1]]) && identical(ends[[1]][[1]], as.name(":"))) {
      ends <- c(as.list(ends[[1]])[-1], ends[2])
    }
    ends <- lapply(ends, eval, where)
    if (length(ends) == 3 || any(vapply(ends, is.null, NA))) {
      return(list(slice = c(ends, list(NULL))[1:3]))
    }
  }
  list(value = eval(arg, where))
}

slice_places <- function(slice, size, frame) {
  one <- \(v) {
    if (!is.null(v) && (!is_whole(v) || length(v) != 1 || v == 0)) {
      abort_argument("...", "has a `from:to:step` with an end that is no position.", "Positions count from 1, or from -1 backwards.", call = frame)
    }
    if (!is.null(v) && v < 0 && !is.na(size)) v + size + 1 else v
  }
  from <- one(slice[[1]])
  to <- one(slice[[2]])
  step <- slice[[3]] %||% 1
  if (!is_whole(step) || length(step) != 1 || step < 1) {
    abort_argument("...", "has a `from:to:step` whose step is not a whole number above 0.", call = frame)
  }
  if (is.na(size) && (is.null(to) || to < 0 || !is.null(from) && from < 0)) {
    abort_argument("...", "has an open `from:to` on an axis of no fixed length.", "Name both ends.", call = frame)
  }
  from <- from %||% 1
  to <- to %||% size
  if (from < 1 || from > to) {
    abort_argument("...", sprintf("has a `from:to` that takes nothing (%s to %s).", format(from), format(to)), call = frame)
  }
  array(as.integer(seq(from, to, by = step)))
}

place_matrix <- function(index, shape, frame) {
  if (ncol(index) != length(shape)) {
    abort_argument("...", sprintf("is a matrix of %d columns; `x` has %d axes.", ncol(index), length(shape)), call = frame)
  }
  if (!is_whole(index) || any(index == 0)) {
    abort_argument("...", "must hold positions, counted from 1.", call = frame)
  }
  sizes <- rep(shape, each = nrow(index))
  places <- array(ifelse(index < 0, index + sizes + 1, index), dim(index))
  if (any(!is.na(sizes) & (places < 1 | places > sizes))) {
    abort_argument("...", sprintf("holds positions outside of the shape (%s).", toString(shape)), call = frame)
  }
  places
}

# Places in a tensor laid out row by row, from 0.
flat_places <- function(index, shape) {
  steps <- rev(cumprod(c(1, rev(shape[-1]))))
  drop((index - 1) %*% steps)
}

subset_replaced <- function(x, args, value, where, frame) {
  x <- k_tensor(x, "x", frame)
  shape <- tensor_dim(x)
  if (anyNA(shape)) {
    abort_argument("x", "has an axis of no fixed length; elements can be replaced only where all lengths are known.", call = frame)
  }
  if (!length(shape)) {
    abort_argument("x", "is a single number: there are no parts to replace.", call = frame)
  }
  dtype <- tensor_dtype(x)
  if (!is_python(value) && is.double(value) && grepl("int", dtype) && !is_whole(value)) {
    abort_argument("value", paste0("must be whole numbers for a tensor of type ", dtype, "."), call = frame)
  }
  value <- k_ops("cast", k_tensor(value, "value", frame), dtype, call = frame)
  index <- subset_index(x, args, where, frame)
  if (is.matrix(index)) {
    return(scattered(x, index, k_ops("broadcast_to", value, tagged(list(nrow(index)), "tuple"), call = frame), frame))
  }
  if (length(index) > length(shape)) {
    abort_argument("...", sprintf("names %d axes of a tensor that has %d.", length(index), length(shape)), call = frame)
  }
  places <- lapply(seq_along(shape), \(axis) axis_places(index, axis, shape[[axis]], frame))
  sizes <- lengths(places)
  dropped <- vapply(seq_along(shape), \(axis) {
    axis <= length(index) && !identical(index[[axis]], quote(expr = )) && length(index[[axis]]) == 1 && is.null(dim(index[[axis]]))
  }, NA)
  as_shape <- \(n) tagged(as.list(as.integer(n)), "tuple")
  value <- k_ops("broadcast_to", value, as_shape(sizes[!dropped]), call = frame)
  if (all(vapply(places, \(p) all(diff(p) == 1), NA))) {
    start <- tagged(as.list(vapply(places, \(p) as.integer(p[[1]] - 1L), 0L)), "tuple")
    return(k_ops("slice_update", x, start, k_ops("reshape", value, as_shape(sizes), call = frame), call = frame))
  }
  grid <- unname(as.matrix(expand.grid(rev(places))))
  scattered(x, grid[, rev(seq_along(places)), drop = FALSE], k_ops("reshape", value, -1L, call = frame), frame)
}

axis_places <- function(index, axis, size, frame) {
  if (axis > length(index) || identical(index[[axis]], quote(expr = ))) {
    return(seq_len(size))
  }
  at <- index[[axis]]
  if (is.null(at)) {
    abort_argument("...", "has a new axis, which has no elements to replace.", call = frame)
  }
  if (is_python(at)) {
    at <- as.vector(tensor_to_r(at)) + 1L
  }
  if (is.logical(at)) {
    if (length(at) != size || anyNA(at)) {
      abort_argument("...", sprintf("has %d logicals for an axis of length %d.", length(at), size), call = frame)
    }
    at <- which(at)
  }
  if (!is_whole(at) || !length(at) || any(at == 0)) {
    abort_argument("...", "must be positions, counted from 1.", call = frame)
  }
  at <- as.vector(ifelse(at < 0, at + size + 1, at))
  if (any(at < 1 | at > size)) {
    abort_argument("...", sprintf("names a position outside of an axis of length %d.", size), call = frame)
  }
  as.integer(at)
}

scattered <- function(x, index, values, frame) {
  places <- array(as.integer(index - 1), dim(index))
  k_ops("scatter_update", x, tagged(places, "tensor", dtype = "int32"), values, call = frame)
}

#' Take a list apart into names
#'
#' `.[a, b] <- list(1, 2)` gives `a` the value 1 and `b` the value 2. An empty place skips an element,
#' `..` takes all that are left, `a = name` takes an element by its name.
#'
#' @param x,value `.` itself, and the list, vector or tuple to take apart.
#' @param ... Names to give.
#' @return `.`, invisibly; it is called for the assignments.
#' @examples
#' .[first, , third] <- list(1, "skipped", 3)
#' first + third
#' .[train = train] <- list(test = 1, train = 2)
#' train
#' @aliases dot-destructuring
#' @rdname dot
#' @format NULL
#' @export
. <- structure(list(), class = "kerasbridge_dot")

#' @rdname dot
#' @export
`[<-.kerasbridge_dot` <- function(x, ..., value) {
  frame <- rlang::current_env()
  targets <- as.list(substitute(list(...)))[-1]
  where <- parent.frame()
  names <- rlang::names2(targets)
  value <- as.list(value)
  rest <- which(vapply(targets, identical, NA, as.name("..")))
  by_place <- !nzchar(names)
  if (length(rest) > 1) {
    abort_argument("...", "has `..` more than once.", call = frame)
  }
  count <- sum(by_place) - length(rest)
  if (sum(by_place) && (if (length(rest)) length(value) < count else length(value) != count) && !any(!by_place)) {
    abort_argument("value", sprintf("has %d elements for %d names.", length(value), count), call = frame)
  }
  at <- 0L
  for (i in seq_along(targets)) {
    if (identical(targets[[i]], quote(expr = ))) {
      at <- at + 1L
      next
    }
    target <- targets[[i]]
    if (!by_place[[i]]) {
      if (!is.name(target) || !as.character(target) %in% names(value)) {
        abort_argument("value", sprintf("has no element called `%s`.", format(target)), call = frame)
      }
      assign(names[[i]], value[[as.character(target)]], envir = where)
      next
    }
    if (identical(target, as.name(".."))) {
      take <- max(0L, length(value) - count)
      assign("..", value[at + seq_len(take)], envir = where)
      at <- at + take
      next
    }
    at <- at + 1L
    if (!is.name(target)) {
      abort_argument("...", "must be names.", call = frame)
    }
    assign(as.character(target), value[[at]], envir = where)
  }
  invisible(x)
}

#' @export
print.kerasbridge_dot <- function(x, ...) {
  cat("<takes lists apart: .[a, b] <- list(1, 2)>\n")
  invisible(x)
}
