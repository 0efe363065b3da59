# A stand-in for the engine: no Python, shapes only. The ways across the border (bridge-call.R) ask here first.

#' Test without Keras
#'
#' For the tests of packages that build on kerasbridge. From the call on, to the end of the test or function
#' around it, models are made, compiled, trained and asked for predictions with **no Python**: nothing is
#' learnt, but shapes, names and arguments are checked, and results have the types and shapes that they have with Keras.
#'
#' Known are sequential and functional models of the common layers, of layers made by [Layer()] that have a
#' method `compute_output_shape()`, of optimizers, losses, metrics and callbacks; of the verbs `compile()`, `fit()`,
#' `evaluate()`, `predict()` and their relatives for one batch, and printing. Data are vectors, matrices and
#' arrays. Losses fall from epoch to epoch, predictions are 0 (after softmax 1 / units, after sigmoid 0.5).
#' Hooks of epochs in lists of functions are called. What is not known is an error of class
#' `kerasbridge_error_unsupported`, never a guess: test that with [skip_if_no_keras()].
#'
#' @param on `FALSE` ends it at once.
#' @param env The frame at whose end it ends; in the global environment it lasts until `mock_engine(FALSE)`.
#' @return Nothing.
#' @examples
#' predictions <- local({
#'   mock_engine()
#'   model <- keras_model_sequential(input_shape = 4) |>
#'     layer_dense(8) |>
#'     layer_dense(3, activation = "softmax")
#'   model |> compile(optimizer = "adam", loss = "sparse_categorical_crossentropy")
#'   fit(model, as.matrix(iris[1:4]), iris$Species, epochs = 2, verbose = 0)
#'   predict(model, as.matrix(iris[1:4]))
#' })
#' dim(predictions)
#' @export
mock_engine <- function(on = TRUE, env = parent.frame()) {
  on <- as_bool_arg(on, "on", rlang::current_env())
  before <- the$mock
  the$mock <- on
  if (on && !identical(env, globalenv())) {
    do.call(base::on.exit, list(rlang::expr((!!mock_engine)(!!isTRUE(before))), TRUE), envir = env)
  }
  invisible()
}

is_mock <- function(x) inherits(x, "kerasbridge_mock")

new_mock <- function(words, ...) {
  structure(
    list2env(list(...), envir = new.env(parent = emptyenv())),
    class = c("kerasbridge_mock", paste0("kerasbridge_", words), "kerasbridge_object", "python.builtin.object")
  )
}

#' @export
`$.kerasbridge_mock` <- function(x, name) get0(name, envir = x, inherits = FALSE)

#' @export
`$<-.kerasbridge_mock` <- function(x, name, value) {
  assign(name, value, envir = x)
  invisible(x)
}

#' @export
`[[.kerasbridge_mock` <- function(x, i) get0(i, envir = x, inherits = FALSE)

#' @export
names.kerasbridge_mock <- function(x) ls(x)

#' @export
dim.kerasbridge_mock <- function(x) x$shape

mock_unsupported <- function(what, call) {
  abort_kind(
    "unsupported", paste0(what, " needs Keras: `mock_engine()` knows shapes only."),
    i = "Leave the test out where there is no Keras: `skip_if_no_keras()`.", call = call
  )
}

# Plain R values again of what types.R made of arguments.
mock_plain <- function(x) {
  if (inherits(x, "kb_tag")) {
    x <- x$value
  }
  if (!is.list(x) || is.object(x)) {
    return(x)
  }
  x <- lapply(x, mock_plain)
  single <- vapply(x, \(v) is.null(v) || is.numeric(v) && length(v) == 1, NA)
  if (length(x) && all(single)) vapply(x, \(v) if (is.null(v)) NA_real_ else as.double(v), 0) else x
}

# ---- bridge_call ----------------------------------------------------------------------------------------
mock_call <- function(symbol, args, call) {
  args <- lapply(args, mock_plain)
  parts <- strsplit(symbol, ".", fixed = TRUE)[[1]]
  name <- parts[[length(parts)]]
  if (symbol == "keras.Input") {
    shape <- args$batch_shape %||% c(args$batch_size %||% NA, args$shape)
    return(new_mock("keras_tensor", name = args$name %||% mock_name("input_layer"), shape = as.integer(shape), sources = list()))
  }
  word <- c(
    layers = "layer", optimizers = "optimizer", schedules = "schedule", losses = "loss", metrics = "metric",
    callbacks = "callback", initializers = "initializer", regularizers = "regularizer", constraints = "constraint"
  )[parts[[length(parts) - 1]]]
  if (is.na(word)) {
    mock_unsupported(paste0("`", symbol, "`"), call)
  }
  label <- gsub("([a-z0-9])([A-Z])", "\\1_\\2", name)
  new_mock(word, type = name, name = args$name %||% mock_name(tolower(label)), args = args)
}

mock_name <- function(base) {
  the$mock_names[[base]] <- (the$mock_names[[base]] %||% -1L) + 1L
  if (the$mock_names[[base]]) paste0(base, "_", the$mock_names[[base]]) else base
}

# ---- bridge_method ---------------------------------------------------------------------------------------
mock_method <- function(target, name, args, call) {
  if (inherits(target, "kerasbridge_sequential") && name == "add") {
    return(mock_add(target, args[[1]], call))
  }
  if (name != "__call__" || !inherits(target, "kerasbridge_layer")) {
    mock_unsupported(paste0("The method `", name, "`"), call)
  }
  tensors <- mock_plain(args[[1]])
  tensors <- if (is_mock(tensors)) list(tensors) else tensors
  shape <- mock_shape(target, lapply(tensors, \(t) t$shape), call)
  new_mock("keras_tensor", name = target$name, shape = shape, sources = tensors, layer = target)
}

mock_add <- function(model, layer, call) {
  if (is_tensor(layer)) {
    model$input <- layer
    model$output <- layer
    return(model)
  }
  layer$model <- NULL
  model$layers <- c(model$layers, list(layer))
  if (!is.null(model$output)) {
    model$output <- mock_method(layer, "__call__", list(model$output), call)
  }
  model
}

# Shape with the batch axis first, NA for a free axis, that a layer makes of `shapes`.
mock_shape <- function(layer, shapes, call) {
  s <- shapes[[1]]
  a <- layer$args
  last <- s[[length(s)]]
  if (!is.null(layer$shape_rule)) {
    return(as.integer(layer$shape_rule(s)))
  }
  spatial <- \(size, kernel, strides) if (identical(a$padding, "same")) ceiling(size / strides) else floor((size - kernel) / strides) + 1
  windows <- \(axes, kernel, strides, channels) {
    kernel <- rep_len(kernel, axes)
    c(s[[1]], spatial(s[1 + seq_len(axes)], kernel, rep_len(strides, axes)), channels)
  }
  type <- layer$type
  axes <- if (grepl("[123]D$", type)) as.integer(sub(".*([123])D$", "\\1", type))
  out <- if (type %in% mock_same) {
    s
  } else if (type == "Dense") {
    c(s[-length(s)], a$units)
  } else if (type == "Flatten") {
    c(s[[1]], prod(s[-1]))
  } else if (type == "Reshape") {
    wanted <- a$target_shape
    c(s[[1]], if (any(wanted == -1)) replace(wanted, wanted == -1, prod(s[-1]) / prod(wanted[wanted != -1])) else wanted)
  } else if (type == "Embedding") {
    c(s, a$output_dim)
  } else if (type %in% c("LSTM", "GRU", "SimpleRNN")) {
    if (isTRUE(a$return_sequences)) c(s[1:2], a$units) else c(s[[1]], a$units)
  } else if (grepl("^Conv[123]D$", type)) {
    windows(axes, a$kernel_size, a$strides %||% 1, a$filters)
  } else if (grepl("^(Max|Average|Avg)Pool(ing)?[123]D$", type)) {
    pool <- a$pool_size %||% 2
    windows(axes, pool, a$strides %||% pool, last)
  } else if (grepl("^Global(Max|Average|Avg)Pool(ing)?[123]D$", type)) {
    c(s[[1]], last)
  } else if (type == "RepeatVector") {
    c(s[[1]], a$n, s[-1])
  } else if (type %in% c("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")) {
    if (length(unique(lapply(shapes, `[`, -1))) > 1) {
      abort_argument("inputs", paste0("of `", layer$name, "` have different shapes."), call = call)
    }
    s
  } else if (type == "Concatenate") {
    axis <- a$axis %||% -1
    axis <- if (axis < 0) length(s) + 1 + axis else axis + 1
    replace(s, axis, sum(vapply(shapes, `[[`, 0, axis)))
  } else {
    mock_unsupported(paste0("The shape of a layer of class ", type), call)
  }
  as.integer(out)
}

mock_same <- c(
  "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dropout", "ELU", "GaussianDropout",
  "GaussianNoise", "GroupNormalization", "Identity", "LayerNormalization", "LeakyReLU", "Masking", "Normalization",
  "PReLU", "ReLU", "Rescaling", "RMSNormalization", "Softmax", "SpatialDropout1D", "SpatialDropout2D",
  "SpatialDropout3D", "UnitNormalization"
)

# A layer of a class written in R.
mock_custom <- function(spec, given, call) {
  if (spec$kind != "layer") {
    return(new_mock(spec$kind, type = spec$name, name = given$name %||% mock_name(tolower(spec$name)), args = given))
  }
  rule <- spec$members$compute_output_shape
  if (is.null(rule)) {
    mock_unsupported(paste0("The layer '", spec$name, "', which has no `compute_output_shape()`,"), call)
  }
  environment(rule) <- list2env(list(self = given), parent = environment(rule))
  new_mock("layer", type = spec$name, name = given$name %||% mock_name(tolower(spec$name)), args = given, shape_rule = rule)
}

# ---- bridge_do ------------------------------------------------------------------------------------------
mock_do <- function(verb, args, call) {
  run <- mock_verbs[[verb]]
  if (is.null(run)) {
    mock_unsupported(paste0("`", verb, "`"), call)
  }
  run(args, call)
}

mock_verbs <- list(
  sequential = \(a, call) {
    new_mock(c("sequential", "model", "layer"), type = "Sequential", name = a$name %||% mock_name("sequential"), layers = list(), compiled = FALSE, trainable = a$trainable)
  },
  functional = \(a, call) {
    inputs <- mock_plain(a$inputs)
    output <- mock_plain(a$outputs)
    if (!is_mock(inputs) || !is_mock(output)) {
      mock_unsupported("A model of several inputs or outputs", call)
    }
    new_mock(
      c("functional", "model", "layer"), type = "Functional", name = a$name %||% mock_name("functional"), input = inputs,
      output = output, layers = mock_layers(output), compiled = FALSE, trainable = TRUE
    )
  },
  add_layer = \(a, call) {
    input <- mock_plain(a$input)
    if (!is.null(input) && is.null(a$model$output)) {
      mock_add(a$model, mock_call("keras.Input", input, call), call)
    }
    mock_add(a$model, a$layer, call)
  },
  compile = \(a, call) {
    a$model$compiled <- TRUE
    a$model$compiled_with <- a
    NULL
  },
  fit = \(a, call) mock_fit(a, call),
  evaluate = \(a, call) {
    mock_rows(a$model, a$x, a$y, call)
    mock_logs(a$model, 1)
  },
  train_on_batch = \(a, call) {
    mock_rows(a$model, a$x, a$y, call)
    mock_logs(a$model, 1)
  },
  test_on_batch = \(a, call) {
    mock_rows(a$model, a$x, a$y, call)
    mock_logs(a$model, 1)
  },
  predict = \(a, call) mock_predict(a, call),
  predict_on_batch = \(a, call) mock_predict(a, call),
  warm_up = \(a, call) NULL,
  hook_list = \(a, call) new_mock("callback", type = "HookList", functions = lapply(a$functions, \(hook) hook$value), takes = a$takes),
  describe_model = \(a, call) mock_describe(a$model),
  get_layer = \(a, call) {
    names <- vapply(a$model$layers, \(l) l$name, "")
    at <- if (is.null(a$name)) a$index + 1 else match(a$name, names)
    if (is.na(at) || at > length(names)) {
      abort_argument("name", "is no layer of the model.", paste0("It has: ", paste0("'", names, "'", collapse = ", "), "."), call = call)
    }
    a$model$layers[[at]]
  },
  model_details = \(a, call) list(),
  # of a schema only the target and its levels
  schema_of = \(a, call) a$model$schema,
  schema_attach = \(a, call) {
    a$model$schema <- a$schema
    NULL
  },
  schema_with_target = \(a, call) list(name = a$name, kind = a$kind, levels = unlist(mock_plain(a$levels))),
  schema_describe = \(a, call) list(target = a$schema)
)

mock_layers <- function(tensor) {
  below <- unlist(lapply(tensor$sources, mock_layers), recursive = FALSE)
  unique(c(below, if (!is.null(tensor$layer)) list(tensor$layer)))
}

mock_dim <- function(x) {
  value <- mock_plain(x)
  if (is.list(value)) {
    return(NULL)
  }
  dim(value) %||% length(value)
}

# Number of rows; the shapes of data fit the model.
mock_rows <- function(model, x, y, call) {
  shape <- mock_dim(x)
  wanted <- model$input$shape
  if (is.null(shape)) {
    mock_unsupported("Data in a list", call)
  }
  if (length(shape) == 1) {
    shape <- c(shape, 1L)
  }
  if (is.null(wanted)) { # the model learns the shape of its input from the data
    model$input <- mock_call("keras.Input", list(shape = shape[-1]), call)
    model$output <- model$input
    for (layer in model$layers) model$output <- mock_method(layer, "__call__", list(model$output), call)
    wanted <- model$input$shape
  }
  fits <- length(shape) == length(wanted) && all(shape[-1] == wanted[-1], na.rm = TRUE)
  text <- \(s) paste0("(", paste(ifelse(is.na(s), "NA", s), collapse = ", "), ")")
  if (!fits) {
    abort_kind("data", sprintf("`x` has the shape %s; the model takes %s.", text(shape), text(wanted)), argument = "x", call = call)
  }
  if (!is.null(y)) {
    rows <- mock_dim(y)
    if (rows[[1]] != shape[[1]]) {
      abort_kind("data", sprintf("`y` has %d rows but `x` has %d.", rows[[1]], shape[[1]]), argument = "y", call = call)
    }
    units <- model$output$shape
    if (length(rows) == 2 && length(units) == 2 && rows[[2]] > 1 && rows[[2]] != units[[2]]) {
      abort_kind("data", sprintf("`y` has %d columns but the model gives %d.", rows[[2]], units[[2]]), argument = "y", call = call)
    }
  }
  shape[[1]]
}

mock_logs <- function(model, epoch, prefix = "") {
  metrics <- mock_plain(model$compiled_with$metrics)
  given <- model$compiled_with$metrics
  given <- if (inherits(given, "kb_tag")) given$value else given
  names <- vapply(given, \(m) if (is.character(m)) m else if (inherits(m, "kb_function")) m$name else if (is_mock(m)) m$name else "metric", "")
  values <- c(list(loss = 1 / epoch), as.list(stats::setNames(rep(0.5, length(names)), names)))
  stats::setNames(values, paste0(prefix, names(values)))
}

mock_fit <- function(a, call) {
  rows <- mock_rows(a$model, a$x, a$y, call)
  validated <- a$validation_split > 0 || !is.null(a$validation_data)
  if (!is.null(a$validation_data)) {
    mock_rows(a$model, a$validation_data$value[[1]], a$validation_data$value[[2]], call)
  }
  epochs <- seq_len(max(0, a$epochs - a$initial_epoch)) + a$initial_epoch
  logs <- lapply(epochs, \(e) c(mock_logs(a$model, e), if (validated) mock_logs(a$model, e, "val_")))
  for (i in seq_along(epochs)) {
    for (callback in mock_plain(a$callbacks)) {
      hook <- callback$functions$on_epoch_end
      if (!is.null(hook)) hook(epochs[[i]], logs[[i]])
    }
  }
  names <- unique(unlist(lapply(logs, names)))
  list(
    params = list(epochs = a$epochs, initial_epoch = a$initial_epoch, batch_size = a$batch_size, samples = rows),
    columns = lapply(stats::setNames(names, names), \(n) lapply(logs, `[[`, n)), epoch = as.list(epochs - 1L),
    interrupted = FALSE, engine = "mock", engine_reason = "mock_engine()", seconds = 0, environment = list()
  )
}

mock_predict <- function(a, call) {
  rows <- mock_rows(a$model, a$x, NULL, call)
  shape <- a$model$output$shape
  if (anyNA(shape[-1])) {
    mock_unsupported("The prediction of a model with a free axis", call)
  }
  last <- a$model$layers[[length(a$model$layers)]]
  activation <- last$args$activation %||% tolower(last$type)
  value <- if (identical(activation, "softmax")) 1 / shape[[length(shape)]] else if (identical(activation, "sigmoid")) 0.5 else 0
  array(value, c(rows, shape[-1]))
}

mock_describe <- function(model) {
  layers <- model$layers
  tensor <- model$input
  shapes <- vapply(layers, \(l) {
    if (is.null(tensor) || model$type != "Sequential") {
      return("?")
    }
    tensor <<- mock_method(l, "__call__", list(tensor), NULL)
    shape_text(lapply(tensor$shape, \(s) if (is.na(s)) NULL else s))
  }, "")
  list(
    name = model$name, class = model$type, built = FALSE, compiled = model$compiled, loss = NULL,
    optimizer = if (model$compiled) "of mock_engine()",
    layers = list(
      name = lapply(layers, \(l) l$name), type = lapply(layers, \(l) l$type), shape = as.list(shapes),
      params = as.list(rep(NaN, length(layers))), trainable = as.list(rep(TRUE, length(layers))), from = as.list(rep("", length(layers)))
    )
  )
}
