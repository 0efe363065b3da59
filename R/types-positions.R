# Converters of the arguments that few functions have: starts of blocks, pairs of axes, intervals,
# tensors made in a data type of the user's choice. `types.R` names them in its table.

# Positions in a tensor count from 1, like those in an R vector, so that the result of `op_argsort()`
# can be given to `op_take()`; negative ones count from the end.
zero_based_tensor <- function(x, call) {
  bridge_call("keras.ops.where", list(x > 0L, x - 1L, x), call = call)
}

# One position on each axis, always a vector in Python, also for a single axis.
as_indices_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(as_index_arg(x, arg, call))
  }
  if (!is_whole(x) || !length(x)) {
    abort_argument(
      arg, paste0("must be positions, counted from 1, one for each axis, not ", describe_value(x), "."),
      call = call
    )
  }
  tagged(array(as.integer(zero_based(x, arg, call)), length(x)), "tensor", dtype = "int32")
}

# A number of axes as it is, or a list of two vectors of axes, counted from 1.
as_axes_or_count_arg <- function(x, arg, call) {
  if (!is.list(x)) {
    return(as_int_arg(x, arg, call))
  }
  if (length(x) != 2 || lengths(x)[[1]] != lengths(x)[[2]]) {
    abort_argument(arg, "must be a number of axes, or a list of two vectors of axes of one length.", call = call)
  }
  tagged(lapply(unname(x), \(axes) tagged(lapply(axes, as_axis_arg, arg = arg, call = call), "list")), "list")
}

# Whole numbers by axis: the names are axes, counted from 1, negative from the end.
as_axis_dict_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (is.null(names(x)) || !all(grepl("^-?[0-9]+$", names(x)))) {
    abort_argument(
      arg, "must be a list named by axes, counted from 1.", "For example `list(\"2\" = 28, \"-1\" = 3)`.", call = call
    )
  }
  values <- lapply(as.list(x), as_int_arg, arg = arg, call = call)
  tagged(stats::setNames(values, zero_based(as.numeric(names(x)), arg, call)), "int_dict")
}

# Lower and upper end.
as_interval_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (!is.numeric(x) || length(x) != 2 || anyNA(x)) {
    abort_argument(arg, paste0("must be two numbers, lower and upper end, not ", describe_value(x), "."), call = call)
  }
  tagged(as.list(as.double(x)), "tuple")
}

# Numbers that become a tensor of the type in `dtype`: doubles cross in full precision when it is given.
as_tensor_typed_arg <- function(x, arg, call) {
  chosen <- is.environment(call) && !eval(quote(missing(dtype)), call) && !is.null(get("dtype", call))
  if (chosen && is.double(x)) {
    return(as_tensor_arg(x, arg, call, dtype = "float64"))
  }
  as_tensor_arg(x, arg, call)
}

# Numbers of which Keras takes roots or quotients without making them floating itself.
as_tensor_float_arg <- function(x, arg, call) {
  if (is.integer(x) || is.logical(x)) {
    storage.mode(x) <- "double"
  }
  as_tensor_arg(x, arg, call)
}

# A function that Python calls with the number of an epoch or a batch first: in R these count from 1.
# It may leave out the arguments that come after.
as_hook_arg <- function(x, arg, call) {
  if (is_python(x) || is_wrapper(x)) {
    return(as_function_arg(x, arg, call))
  }
  if (!is.function(x) && !rlang::is_formula(x)) {
    abort_argument(arg, paste0("must be a function or a formula, not ", describe_value(x), "."), call = call)
  }
  hook <- if (rlang::is_formula(x)) rlang::as_function(x) else x
  takes <- names(formals(args(hook)))
  takes <- if ("..." %in% takes) Inf else length(takes)
  counted <- function(position, ...) {
    # Keras gives the logs by name; the user's function may call them as it likes
    given <- c(list(position + 1L), unname(list(...)))
    do.call("hook", given[seq_len(min(takes, length(given)))], quote = TRUE)
  }
  tagged(counted, "function", name = arg, described = "named")
}
