# R values to Python values and back. `types.R` decides what a value means and tags it; here the tag
# becomes the Python thing. Nothing else in the package builds Python objects.

# Tags, made by types.R: a class and the plain R value.
tagged <- function(value, tag, ...) structure(list(value = value, ...), class = c(paste0("kb_", tag), "kb_tag"))

to_python <- function(x, call = NULL) {
  if (is_python(x)) {
    return(check_alive(x, "an argument", NULL))
  }
  if (!inherits(x, "kb_tag")) {
    if (is.function(x) && !is_python(x)) {
      return(as_python_function(x))
    }
    if (is.list(x) && !is.object(x)) {
      x <- lapply(x, to_python, call)
      return(if (is.null(names(x))) to_list(x) else to_dict(x))
    }
    return(x)
  }
  # `raw` is the border without conversion of results: what it makes stays in Python
  raw <- the$raw
  switch(
    class(x)[[1]],
    kb_tuple = raw$as_tuple(to_list(lapply(x$value, to_python, call))),
    kb_list = to_list(lapply(x$value, to_python, call)),
    kb_dict = to_dict(lapply(x$value, to_python, call)),
    kb_int_dict = raw$as_dict(to_list(as.list(names(x$value))), to_list(unname(x$value))),
    kb_tensor = {
      check_width(x, call)
      raw$as_tensor(x$value, x$dtype)
    },
    kb_data = data_to_python(x),
    kb_puller = raw$puller(as_python_function(x$value)),
    kb_sparse = raw$sparse_rows(x$layout, x$first, x$second, x$value, x$shape),
    kb_function = as_python_function(x$value, x$name, isTRUE(x$signature), x$described %||% FALSE),
    kb_hook = as_python_function(x$value, direct = TRUE),
    kb_output = raw$Output(as_python_function(x$value), x$terminal, x$width),
    kb_symbol = raw$symbol(x$value),
    kb_bigint = raw$whole_number(x$value),
    kb_slice = raw$as_slice(x$value[[1]], x$value[[2]], x$value[[3]]),
    stop("unknown tag ", class(x)[[1]])
  )
}

# Training data as one float32 block; what is too large for that is an error about the argument.
data_to_python <- function(x) {
  tryCatch(
    the$raw$data_array(x$value),
    error = \(e) abort_kind(
      "data", sprintf("`%s` can't be handed over: %s", x$arg %||% "data", first_line(sub("^[A-Za-z_.]+: ", "", conditionMessage(e)))),
      argument = x$arg, call = NULL
    )
  )
}

# A Python list, also of length one or none.
to_list <- function(x) reticulate::r_to_py(unname(x))

# A Python dict from a named list; an empty list gives an empty dict. (Not reticulate::dict(): it
# takes a name for a variable of the caller when there is one.)
to_dict <- function(x) reticulate::py_dict(as.list(rlang::names2(x)), unname(x), convert = FALSE)

#' R arrays from tensors, and tensors from R values
#'
#' `as.array()`, `as.numeric()` and their kin take a tensor or a variable to R; `as_tensor()` takes R
#' values to a tensor of the running backend.
#'
#' @param x An R number, vector, matrix, array or list of these, or a tensor.
#' @param dtype Type of the tensor such as `"float32"` or `"int32"`. By default doubles become
#'   `"float32"`, integers `"int32"` and logicals `"bool"`.
#' @param shape Shape to give to the values, filled in row-major order; by default that of `x`.
#' @param ... Not used.
#' @return A tensor; for `as.array()` and the others an R array, matrix or vector.
#' @examplesIf is_keras_available()
#' x <- as_tensor(matrix(1:6, 2))
#' as.array(x + 1L)
#' @export
as_tensor <- function(x, dtype = NULL, shape = NULL) {
  if (!is_python(x)) {
    x <- as_tensor_arg(x, "x", rlang::current_env(), dtype = dtype)
  }
  out <- bridge_call("keras.ops.convert_to_tensor", c(list(x), if (!is.null(dtype)) list(dtype = dtype)))
  if (is.null(shape)) {
    return(out)
  }
  bridge_call("keras.ops.reshape", list(out, as_shape_arg(shape, "shape", rlang::current_env())))
}

# JAX holds numbers of 64 bits in 32, unless told otherwise, and cuts off what doesn't fit. PyTorch has no uint64.
check_width <- function(tensor, call) {
  dtype <- tensor$dtype
  if (identical(the$backend, "torch") && identical(dtype, "uint64")) {
    abort_argument(tensor$arg %||% "x", "can't be uint64: PyTorch has no such tensors.", "Give `dtype = \"int64\"`.", call = call)
  }
  if (!identical(the$backend, "jax") || is.null(dtype) || !dtype %in% c("int64", "uint64", "float64")) {
    return(invisible())
  }
  largest <- c(int64 = 2^31 - 1, uint64 = 2^32 - 1, float64 = 2^128 - 2^103)[[dtype]] # float32 rounds up to there
  too_large <- is.numeric(tensor$value) && any(abs(tensor$value) > largest & is.finite(tensor$value))
  if (too_large && !identical(Sys.getenv("JAX_ENABLE_X64"), "true")) {
    abort_argument(
      tensor$arg %||% "x", sprintf(
        "holds %s beyond %s, and JAX keeps %s in 32 bits.", if (dtype == "float64") "numbers" else "whole numbers",
        format(largest, digits = if (dtype == "float64") 2 else 15), dtype
      ),
      "Set the environment variable JAX_ENABLE_X64 to \"true\" before Keras starts, or give smaller numbers.", call = call
    )
  }
}

tensor_to_r <- function(x) {
  check_alive(x, "x")
  bridge_start()
  the$bridge$to_r_array(x)
}

# Python bytes from a raw vector.
as_bytes <- function(x) {
  bridge_start()
  the$raw$as_bytes(reticulate::r_to_py(x))
}

# For each vector its address, or NULL where Python can't read it there (inst/python/kerasbridge/bridge/lending.py).
lendable_addresses <- function(vectors) {
  if (!length(vectors) || !can_lend()) {
    return(vector("list", length(vectors)))
  }
  addresses <- lapply(vectors, \(vector) rlang::obj_address(vector))
  addresses[!unlist(the$bridge$lendable(addresses))] <- list(NULL)
  addresses
}

# Whether Python finds in memory what R has there, tried once.
can_lend <- function() {
  bridge_start()
  if (is.null(the$lends)) {
    known <- c(1.5, -2, 1e300)
    address <- rlang::obj_address(known)
    the$lends <- isTRUE(unlist(the$bridge$lendable(list(address)))) && identical(as.numeric(the$bridge$lent(address)), known)
  }
  the$lends
}
