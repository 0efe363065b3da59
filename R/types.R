# One converter per argument type. Each takes what the user typed and returns a plain or tagged value
# (`bridge-convert.R`) that means the same in Python, or raises an error that names the argument.
# The generated wrappers name these types; `tools/bindings/README.md` lists them.

convert_arg <- function(value, type, arg, call) {
  if (is.null(value)) {
    return(NULL)
  }
  converter <- converters[[type]]
  if (is.null(converter)) {
    stop("unknown argument type '", type, "'")
  }
  check_alive(value, arg, call)
  if (inherits(value, c("kerasbridge_class", "R6ClassGenerator", "KerasLayer", "KerasConstraint"))) {
    value <- custom_value(value, call)
  }
  converter(value, arg, call)
}

is_whole <- function(x) is.numeric(x) && !anyNA(x) && all(is.finite(x)) && all(x == trunc(x))

# An R integer where it fits; a whole double beyond the integer range crosses as an exact Python int.
whole <- function(x) {
  if (all(abs(x) <= .Machine$integer.max)) as.integer(x) else x
}

as_int_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (!is_whole(x) || length(x) != 1) {
    abort_argument(arg, paste0("must be a whole number, not ", describe_value(x), "."), call = call)
  }
  big_int(x)
}

# how many there are of something: at least one (older Keras versions take -3 without a word)
as_count_arg <- function(x, arg, call) {
  value <- as_int_arg(x, arg, call)
  if (is.numeric(x) && x < 1) {
    abort_argument(arg, paste0("must be at least 1, not ", describe_value(x), "."), call = call)
  }
  value
}

big_int <- function(x) {
  if (abs(x) <= .Machine$integer.max) as.integer(x) else tagged(sprintf("%.0f", x), "bigint")
}

as_ints_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (is.list(x)) {
    # nested, such as padding = list(c(1, 1), c(2, 2))
    return(tagged(lapply(x, as_ints_arg, arg = arg, call = call), "tuple"))
  }
  if (is.character(x)) {
    return(as_string_arg(x, arg, call))
  }
  if (is.matrix(x)) {
    return(tagged(lapply(seq_len(nrow(x)), \(i) as_ints_arg(as.vector(x[i, ]), arg, call)), "tuple"))
  }
  if (!is_whole(x) || !length(x)) {
    abort_argument(arg, paste0("must be one or several whole numbers, not ", describe_value(x), "."), call = call)
  }
  if (length(x) == 1) big_int(x) else tagged(lapply(x, big_int), "tuple")
}

as_num_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (!is.numeric(x) || length(x) != 1 || is.na(x) && !is.nan(x)) {
    abort_argument(arg, paste0("must be a number, not ", describe_value(x), "."), call = call)
  }
  as.double(x)
}

as_nums_arg <- function(x, arg, call) {
  if (is_python(x) || is.list(x)) {
    return(if (is_python(x)) x else tagged(lapply(unname(x), as_nums_arg, arg = arg, call = call), "list"))
  }
  if (!is.numeric(x) || !length(x) || anyNA(x)) {
    abort_argument(arg, paste0("must be one or several numbers, not ", describe_value(x), "."), call = call)
  }
  if (length(dim(x)) > 2) {
    abort_argument(arg, paste0("must be numbers or a matrix, not ", describe_value(x), "."), call = call)
  }
  if (is.matrix(x)) {
    return(tagged(lapply(seq_len(nrow(x)), \(i) tagged(as.list(as.double(x[i, ])), "list")), "list"))
  }
  if (length(x) == 1) as.double(x) else tagged(as.list(as.double(x)), "list")
}

as_num_or_int_arg <- function(x, arg, call) {
  if (is_python(x) || is.character(x)) {
    return(x)
  }
  if (length(x) == 1 && is_whole(x)) as_int_arg(x, arg, call) else as_nums_arg(x, arg, call)
}

as_bool_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (!(is.logical(x) || is_whole(x) && all(x %in% 0:1)) || length(x) != 1 || is.na(x)) {
    abort_argument(arg, paste0("must be TRUE or FALSE, not ", describe_value(x), "."), call = call)
  }
  as.logical(x)
}

as_string_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (!is.character(x) || length(x) != 1 || is.na(x)) {
    abort_argument(arg, paste0("must be a string, not ", describe_value(x), "."), call = call)
  }
  enc2utf8(as.vector(x))
}

as_strings_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (is.list(x)) {
    x <- lapply(x, \(v) if (is.null(v)) NULL else as_strings_arg(v, arg, call))
    return(if (is.null(names(x))) tagged(x, "list") else tagged(x, "dict"))
  }
  if (!is.character(x) || anyNA(x)) {
    abort_argument(arg, paste0("must be one or several strings, not ", describe_value(x), "."), call = call)
  }
  if (!is.null(names(x))) {
    return(tagged(as.list(enc2utf8(x)), "dict"))
  }
  if (length(x) == 1) enc2utf8(as.vector(x)) else tagged(as.list(enc2utf8(as.vector(x))), "list")
}

as_path_arg <- function(x, arg, call) {
  x <- as_string_arg(x, arg, call)
  if (is.character(x)) path.expand(x) else x
}

# Shapes: c(28, 28, 1); NA (or NULL in a list) for a free axis; the batch axis is not part of it.
as_shape_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (is.list(x) && !is.null(names(x)) && all(nzchar(names(x)))) {
    return(tagged(lapply(x, as_shape_arg, arg = arg, call = call), "dict"))
  }
  axes <- lapply(as.list(x), \(axis) {
    if (is.null(axis) || is_python(axis)) {
      return(axis)
    }
    if (length(axis) == 1 && is.na(axis)) {
      return(NULL)
    }
    if (!is_whole(axis) || length(axis) != 1 || axis < -1 || axis > .Machine$integer.max) {
      abort_argument(arg, paste0("must be whole numbers, with NA for a free axis, not ", describe_value(axis), "."), call = call)
    }
    as.integer(axis)
  })
  tagged(unname(axes), "tuple")
}

as_shape_nested_arg <- function(x, arg, call) {
  if (is.list(x) && any(lengths(x) > 1 | vapply(x, is.list, NA))) {
    return(tagged(lapply(x, as_shape_nested_arg, arg = arg, call = call), if (is.null(names(x))) "list" else "dict"))
  }
  as_shape_arg(x, arg, call)
}

# A position counted from 1, negative from the end; Python counts from 0.
zero_based <- function(x, arg, call) {
  if (any(abs(x) > .Machine$integer.max)) {
    abort_argument(arg, paste0("is beyond any axis: ", format(x[abs(x) > .Machine$integer.max][[1]]), "."), call = call)
  }
  if (any(x == 0)) {
    abort_argument(arg, "counts from 1; zero is not a position.", "Use 1 for the first, -1 for the last.", call = call)
  }
  ifelse(x > 0, x - 1L, x)
}

as_axis_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (!is_whole(x) || length(x) != 1) {
    abort_argument(arg, paste0("must be one axis, counted from 1, not ", describe_value(x), "."), call = call)
  }
  as.integer(zero_based(x, arg, call))
}

as_axes_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (is.list(x)) {
    return(tagged(lapply(x, as_axes_arg, arg = arg, call = call), "tuple"))
  }
  if (!is_whole(x) || !length(x)) {
    abort_argument(arg, paste0("must be one or several axes, counted from 1, not ", describe_value(x), "."), call = call)
  }
  x <- as.integer(zero_based(x, arg, call))
  if (length(x) == 1) x else tagged(as.list(x), "tuple")
}

as_index_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(if (is_tensor(x)) zero_based_tensor(x, call) else x)
  }
  if (is.list(x)) {
    return(tagged(lapply(x, as_index_arg, arg = arg, call = call), "list"))
  }
  if (!is_whole(x)) {
    abort_argument(arg, paste0("must be positions, counted from 1, not ", describe_value(x), "."), call = call)
  }
  shape <- dim(x)
  x <- as.integer(zero_based(x, arg, call))
  if (is.null(shape) && length(x) == 1) {
    return(x)
  }
  dim(x) <- shape
  tagged(as_array(x), "tensor", dtype = "int32")
}

# A vector as a one-dimensional array, so that it crosses as one.
as_array <- function(x) if (is.null(dim(x))) array(x, length(x)) else x

refuse_na <- function(x, arg, call) {
  # without a copy where nothing is missing
  if (is.atomic(x) && !anyNA(x)) {
    return(invisible())
  }
  missing <- if (is.double(x)) is.na(x) & !is.nan(x) else if (is.atomic(x)) is.na(x) else FALSE
  if (any(missing)) {
    abort_kind(
      "data",
      sprintf("`%s` has %d missing value%s (NA), the first at position %d.", arg, sum(missing), if (sum(missing) > 1) "s" else "", which(missing)[[1]]),
      i = "Keras has no missing values: remove or replace them first.",
      argument = arg, call = call
    )
  }
}

as_tensor_arg <- function(x, arg, call, dtype = NULL) {
  if (is_python(x)) {
    return(x)
  }
  if (is.factor(x) || inherits(x, c("Date", "POSIXt"))) {
    abort_argument(arg, paste0("must be numbers, not ", describe_value(x), "."), "Say what it means: `as.integer(x) - 1L` for a factor's codes, `as.numeric(x)` for a date.", call = call)
  }
  if (is.data.frame(x)) {
    if (!all(vapply(x, \(col) is.numeric(col) || is.logical(col), NA))) {
      abort_argument(arg, "has columns that are not numbers.", "Encode them first.", call = call)
    }
    x <- as.matrix(x)
  }
  if (is.list(x)) {
    return(tagged(lapply(unname(x), as_tensor_arg, arg = arg, call = call, dtype = dtype), "list"))
  }
  if (!(is.numeric(x) || is.logical(x) || is.character(x) || is.complex(x))) {
    abort_argument(arg, paste0("must be a tensor or numbers, not ", describe_value(x), "."), call = call)
  }
  refuse_na(x, arg, call)
  if (is.null(dim(x)) && length(x) == 1 && is.null(dtype)) {
    return(unname(as.vector(x)))
  }
  tagged(unname(if (is.null(dim(x)) && length(x) == 1) as.vector(x) else as_array(x)), "tensor", dtype = dtype)
}

as_tensor_int_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (is.list(x)) {
    return(tagged(lapply(unname(x), as_tensor_int_arg, arg = arg, call = call), "list"))
  }
  refuse_na(x, arg, call)
  if (is.logical(x)) {
    storage.mode(x) <- "integer"
  }
  if (!is_whole(x)) {
    abort_argument(arg, paste0("must be whole numbers, not ", describe_value(x), "."), call = call)
  }
  if (is.null(dim(x)) && length(x) == 1) {
    return(as_int_arg(x, arg, call))
  }
  if (any(abs(x) > .Machine$integer.max)) {
    return(tagged(unname(as_array(x)), "tensor", dtype = "int64", arg = arg))
  }
  storage.mode(x) <- "integer"
  tagged(unname(as_array(x)), "tensor", dtype = "int32")
}

as_tensors_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (!is.list(x) || is.data.frame(x)) {
    x <- list(x)
  }
  converted <- lapply(x, as_tensor_arg, arg = arg, call = call)
  tagged(converted, if (is.null(names(x))) "list" else "dict")
}

as_tensor_or_tensors_arg <- function(x, arg, call) {
  if (is.list(x) && !is.data.frame(x)) as_tensors_arg(x, arg, call) else as_tensor_arg(x, arg, call)
}

# Strings name what Keras knows; Keras objects go as they are; R functions and formulas are called.
as_callable_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (is_wrapper(x)) {
    return(wrapper_target(x))
  }
  if (is.function(x) || rlang::is_formula(x)) {
    return(tagged(x, "function", name = attr(x, "py_function_name") %||% arg, described = TRUE))
  }
  if (is.character(x) && length(x) == 1 && !is.na(x)) {
    return(enc2utf8(as.vector(x)))
  }
  if (is.list(x)) {
    return(tagged(lapply(x, \(v) if (is.null(v)) NULL else as_callable_arg(v, arg, call)), if (is.null(names(x))) "list" else "dict"))
  }
  abort_argument(arg, paste0("must be a name, a Keras object or a function, not ", describe_value(x), "."), call = call)
}

as_function_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (is_wrapper(x)) {
    return(wrapper_target(x))
  }
  if (is.list(x)) {
    return(tagged(lapply(x, as_function_arg, arg = arg, call = call), if (is.null(names(x))) "list" else "dict"))
  }
  if (!is.function(x) && !rlang::is_formula(x)) {
    abort_argument(arg, paste0("must be a function or a formula, not ", describe_value(x), "."), call = call)
  }
  tagged(x, "function", name = arg, signature = TRUE, described = TRUE)
}

as_object_arg <- function(x, arg, call) {
  if (is_wrapper(x)) {
    return(wrapper_target(x))
  }
  if (!is_python(x) && !is.character(x) && !is.list(x)) {
    abort_argument(arg, paste0("must be a Keras object, not ", describe_value(x), "."), call = call)
  }
  x
}

as_objects_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(tagged(list(x), "list"))
  }
  tagged(lapply(x, as_object_arg, arg = arg, call = call), if (is.null(names(x))) "list" else "dict")
}

as_dict_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (length(x) && (is.null(names(x)) || !all(nzchar(names(x))))) {
    abort_argument(arg, paste0("must be a named list, not ", describe_value(x), "."), call = call)
  }
  tagged(as.list(x), "dict")
}

# A dict whose keys are whole numbers: class numbers, for instance.
as_int_dict_arg <- function(x, arg, call) {
  if (is_python(x)) {
    return(x)
  }
  if (is.null(names(x)) || !all(grepl("^-?[0-9]+$", names(x)))) {
    abort_argument(arg, "must be a list named by whole numbers.", "For example `list(\"0\" = \"cat\", \"1\" = \"dog\")`.", call = call)
  }
  tagged(as.list(x), "int_dict")
}

# Always a list in Python, also of one value.
as_listed <- function(converter) {
  function(x, arg, call) {
    if (is_python(x)) x else tagged(lapply(unname(as.list(x)), converter, arg = arg, call = call), "list")
  }
}

as_seed_arg <- function(x, arg, call) if (is_python(x)) x else as_int_arg(x, arg, call)

as_any_arg <- function(x, arg, call) {
  if (is_wrapper(x)) {
    return(wrapper_target(x))
  }
  if (is.function(x) && !is_python(x)) {
    if (identical(arg, "learning_rate") && length(formals(args(x)))) {
      return(schedule_from_function(x))
    }
    return(tagged(x, "function", name = arg, described = TRUE))
  }
  x
}

converters <- list(
  any = as_any_arg,
  int = as_int_arg,
  count = as_count_arg,
  ints = as_ints_arg,
  num = as_num_arg,
  nums = as_nums_arg,
  num_or_int = as_num_or_int_arg,
  bool = as_bool_arg,
  string = as_string_arg,
  strings = as_strings_arg,
  dtype = as_string_arg,
  path = as_path_arg,
  shape = as_shape_arg,
  shape_nested = as_shape_nested_arg,
  axis = as_axis_arg,
  axes = as_axes_arg,
  axes_or_count = as_axes_or_count_arg,
  index = as_index_arg,
  indices = as_indices_arg,
  interval = as_interval_arg,
  tensor = as_tensor_arg,
  tensor_typed = as_tensor_typed_arg,
  tensor_float = as_tensor_float_arg,
  tensor_int = as_tensor_int_arg,
  tensors = as_tensors_arg,
  tensor_or_tensors = as_tensor_or_tensors_arg,
  callable = as_callable_arg,
  `function` = as_function_arg,
  hook = as_hook_arg,
  layer = as_object_arg,
  object = as_object_arg,
  objects = as_objects_arg,
  object_spec = as_callable_arg,
  dict = as_dict_arg,
  int_dict = as_int_dict_arg,
  axis_dict = as_axis_dict_arg,
  int_list = as_listed(as_int_arg),
  num_list = as_listed(as_num_arg),
  string_list = as_listed(as_string_arg),
  seed = as_seed_arg
)

# Results: positions come back counted from 1.
one_based <- function(x) {
  if (is_tensor(x)) x + 1L else if (is.list(x)) lapply(x, one_based) else x + 1L
}
