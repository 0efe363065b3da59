# Properties of all arguments of the generated wrappers: whole numbers, positions.

# The types in a wrapper's body, or NULL for a function written by hand.
wrapper_types <- function(f) {
  code <- body(f)
  if (is.call(code) && identical(code[[1]], as.name("{"))) {
    code <- code[[length(code)]]
  }
  if (!is.call(code) || !is.name(code[[1]]) || !startsWith(as.character(code[[1]]), "wrap_")) {
    return(NULL)
  }
  namespace <- asNamespace("kerasbridge")
  code <- match.call(get(as.character(code[[1]]), namespace), code)
  c(eval(code$types, namespace), eval(code$extra, namespace))
}

functions <- Filter(is.function, sapply(sort(setdiff(getNamespaceExports("kerasbridge"), "tf")), getExportedValue, ns = "kerasbridge", simplify = FALSE))
types <- Filter(Negate(is.null), lapply(functions, wrapper_types))

# A value of each type that its converter takes, for the arguments that are not looked at.
filler <- list(
  int = 2, ints = 2, count = 2, num = 0.5, nums = 0.5, num_or_int = 2, bool = TRUE, string = "a", strings = "a", dtype = "float32",
  path = "a", shape = 2, shape_nested = 2, axis = 1, axes = 1, axes_or_count = 1, index = 1, indices = 1,
  interval = c(0, 1), callable = "a", `function` = identity, hook = identity, layer = "a", object = "a",
  objects = list("a"), dict = list(a = 1), int_dict = list("0" = 1), axis_dict = list("1" = 1), int_list = 2,
  num_list = 0.5, string_list = "a", seed = 1, object_spec = "a", any = 1, tensor = 1, tensor_typed = 1, tensor_float = 1,
  tensor_int = 1, tensors = list(1), tensor_or_tensors = 1
)

call_with <- function(name, arg, value) {
  given <- types[[name]]
  required <- names(given)[startsWith(given, "!")]
  if (all(c("y_true", "y_pred") %in% names(given))) {
    required <- setdiff(required, c("y_true", "y_pred"))
  }
  args <- lapply(sub("^!", "", given[setdiff(required, arg)]), \(type) filler[[type]])
  args[[arg]] <- value
  tryCatch(do.call(functions[[name]], args), error = identity)
}

refused_names <- function(kinds, value) {
  wrong <- character()
  count <- 0
  for (name in names(types)) {
    for (arg in names(types[[name]])[sub("^!", "", types[[name]]) %in% kinds]) {
      count <- count + 1
      e <- call_with(name, arg, value)
      if (!inherits(e, "kerasbridge_error_argument") || !identical(e$argument, arg)) {
        wrong <- c(wrong, paste0(name, "(", arg, ")"))
      }
    }
  }
  list(count = count, wrong = wrong)
}

test_that("the table of fillers knows every type", {
  used <- unique(sub("^!", "", unlist(types, use.names = FALSE)))
  expect_identical(setdiff(used, names(filler)), character())
  expect_gt(length(types), 850)
})

test_that("an argument that a wrapper doesn't have is refused by name, never dropped", {
  skip_if_no_keras()
  any_name <- names(Filter(\(given) "*" %in% names(given), types))
  swallowed <- character()
  for (name in setdiff(names(types), any_name)) {
    e <- call_with(name, "zzz", 1)
    named <- inherits(e, "kerasbridge_error_argument") && identical(e$argument, "zzz")
    if (!named && !(inherits(e, "simpleError") && grepl("unused argument (zzz = 1)", conditionMessage(e), fixed = TRUE))) {
      swallowed <- c(swallowed, name)
    }
  }
  expect_identical(swallowed, character())
  expect_lt(length(any_name), 10)
})

test_that("every argument that takes a whole number refuses 10.5 by name", {
  skip_if_no_keras()
  kinds <- c("int", "ints", "seed", "shape", "axis", "axes", "axes_or_count", "index", "indices", "int_list", "tensor_int")
  found <- refused_names(kinds, 10.5)
  expect_identical(found$wrong, character())
  expect_gt(found$count, 700)
})

test_that("every axis and every position refuses 0 by name", {
  skip_if_no_keras()
  found <- refused_names(c("axis", "axes", "index", "indices"), 0)
  expect_identical(found$wrong, character())
  expect_gt(found$count, 150)
})

test_that("10, 10L and 1e4 are whole numbers of every such type", {
  for (type in c("int", "ints", "seed", "shape", "axis", "axes", "index", "indices", "int_list", "num_or_int", "tensor_int")) {
    convert <- \(x) convert_arg(x, type, "arg", quote(f(x)))
    expect_identical(convert(10), convert(10L), info = type)
    expect_identical(convert(1e4), convert(10000L), info = type)
  }
})

test_that("objects made with 10 and with 10L have the same configuration", {
  skip_if_no_keras()
  compared <- 0
  for (name in grep("^(layer|optimizer|learning_rate_schedule|initializer|metric|constraint|regularizer)_", names(types), value = TRUE)) {
    for (arg in names(types[[name]])[sub("^!", "", types[[name]]) %in% c("int", "ints", "seed", "shape", "axis", "int_list")]) {
      config <- function(value) {
        object <- suppressMessages(call_with(name, arg, value))
        if (inherits(object, "error")) {
          return(NULL)
        }
        out <- tryCatch(bridge_method(object, "get_config"), error = \(e) NULL)
        # beside plain values a few hold Python objects
        Filter(Negate(is_python), out[setdiff(names(out), c("name", "layer", if (arg != "seed") "seed"))])
      }
      whole <- config(10L)
      if (!is.null(whole)) {
        compared <- compared + 1
        expect_equal(config(10), whole, info = paste(name, arg))
      }
    }
  }
  expect_gt(compared, 150)
})

test_that("whole numbers beyond R's integers cross exactly", {
  skip_if_no_keras()
  model <- keras_model_sequential(list(layer_dense(units = 2^40)))
  expect_match(model_to_json(model), "\"units\": 1099511627776", fixed = TRUE)
  if (is_keras_available("3.6")) {
    both <- \() as.numeric(op_bitwise_and(c(2^40 + 1, 3), c(2^40, 1)))
    if (config_backend() == "jax" && Sys.getenv("JAX_ENABLE_X64") != "true") {
      expect_error(both(), "`x` holds whole numbers beyond 2147483647, and JAX keeps int64 in 32", class = "kerasbridge_error_argument")
    } else {
      expect_identical(both(), c(2^40, 1))
    }
  }
  expect_identical(convert_arg(2^53 - 1, "int", "arg", quote(f(x)))$value, "9007199254740991")
  expect_error(op_sum(c(1, 2), axis = 3e9), "`axis` is beyond any axis", class = "kerasbridge_error_argument")
  expect_error(layer_input(3e9), "`shape` must be whole numbers", class = "kerasbridge_error_argument")
})

# ---- one rule: what names positions in R objects counts from 1; data values are Keras' own ----------
position_names <- "^(?!expand_dims|return_index)(axis|axes|axis[0-9]|dim|dims|index|indices|.*_(axis|axes|index|indices|dim|dims))$"

# Names that look like positions and mean something else.
not_positions <- c(
  "input_dim", "output_dim", "key_dim", "value_dim", "head_dim", "crossing_dim", "hashing_dim", "embed_dim", "intermediate_dim", # sizes
  "num_oov_indices", # a count
  "ignore_index", "mask_index" # class numbers: data values
)
elsewhere <- c(
  "layer_permute(dims)", # Keras itself counts these from 1
  "layer_einsum_dense(bias_axes)", "distribution_tensor_layout(axes)", "distribution_device_mesh(axis_names)" # names
)

test_that("every argument named like a position has a type that counts from 1", {
  found <- character()
  for (name in names(types)) {
    for (arg in grep(position_names, setdiff(names(types[[name]]), not_positions), value = TRUE, perl = TRUE)) {
      type <- sub("^!", "", types[[name]][[arg]])
      if (!type %in% c("axis", "axes", "axes_or_count", "axis_dict", "index", "indices")) {
        found <- c(found, paste0(name, "(", arg, ")"))
      }
    }
  }
  expect_identical(setdiff(found, elsewhere), character())
})

test_that("functions written by hand count positions from 1, too", {
  skip_if_no_keras()
  x <- matrix(1:6 + 0, 2)
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
  calls <- list(
    k_all = list(x > 1, 0), k_any = list(x > 1, 0), k_argmax = list(x, 0), k_argmin = list(x, 0),
    k_batch_dot = list(x, x, axes = c(0, 1)), k_categorical_crossentropy = list(x, x, axis = 0),
    k_concatenate = list(list(x, x), 0), k_cumprod = list(x, 0), k_cumsum = list(x, 0), k_expand_dims = list(x, 0),
    k_l2_normalize = list(x, 0), k_logsumexp = list(x, 0), k_max = list(x, 0), k_mean = list(x, 0), k_min = list(x, 0),
    k_normalize_batch_in_training = list(x, 1, 0, reduction_axes = 0), k_prod = list(x, 0),
    k_repeat_elements = list(x, 2, 0), k_reverse = list(x, 0), k_softmax = list(x, 0),
    k_sparse_categorical_crossentropy = list(c(0, 1), x, axis = 0), k_squeeze = list(x, 0), k_stack = list(list(x, x), 0),
    k_std = list(x, 0), k_sum = list(x, 0), k_unstack = list(x, 0), k_var = list(x, 0),
    freeze_weights = list(model, which = 0), get_layer = list(model, index = 0), unfreeze_weights = list(model, from = 0),
    get_input_at = list(model$layers[[1]], 0), get_output_at = list(model$layers[[1]], 0),
    get_input_mask_at = list(model$layers[[1]], 0), get_output_mask_at = list(model$layers[[1]], 0),
    get_input_shape_at = list(model$layers[[1]], 0), get_output_shape_at = list(model$layers[[1]], 0),
    timeseries_generator = list(x, 1:2, 1, start_index = 0),
    source_timeseries = list(x, sequence_length = 1, start_index = 0)
  )
  for (name in names(calls)) {
    expect_error(do.call(name, calls[[name]]), "counts? from 1|between 2 and|at least 1", class = "kerasbridge_error_argument", info = name)
  }
  by_hand <- setdiff(names(functions), names(types))
  takes <- \(f) any(grepl(position_names, setdiff(names(formals(args(f))), not_positions), perl = TRUE))
  named <- by_hand[vapply(functions[by_hand], takes, NA)]
  # array_reshape(dim): lengths; k_gather() and k_one_hot() keep the older package's positions from 0
  expect_identical(setdiff(named, c(names(calls), "array_reshape", "k_gather", "k_one_hot")), character())
})

test_that("requirements on single axes count from 1", {
  skip_if_no_keras()
  spec <- input_spec(axes = list("1" = 4, "-1" = 8))
  expect_identical(bridge_method(spec, "get_config")$axes, list("0" = 4L, "-1" = 8L))
  expect_identical(bridge_method(input_spec(axes = list("-1" = 8)), "get_config")$axes, list("-1" = 8L))
  expect_error(input_spec(axes = list("0" = 4)), "`axes` counts from 1", class = "kerasbridge_error_argument")
  expect_error(input_spec(axes = list(4)), "`axes` must be a list named by axes", class = "kerasbridge_error_argument")
})

test_that("permuted axes count from 1 without the batch axis, zero is refused", {
  skip_if_no_keras()
  expect_identical(dim(layer_permute(op_ones(c(1, 2, 3)), c(2, 1))), c(1L, 3L, 2L))
  expect_error(layer_permute(dims = c(0, 1)), "dims", class = "kerasbridge_error")
})
