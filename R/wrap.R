# What the generated wrappers call: collect what the user supplied, convert it by declared type, call
# Keras, compose. A wrapper hands over its own frame, so that errors carry the user's call and only
# supplied arguments are sent.

# The arguments the user supplied, converted. `types` is a named vector, argument -> type; a `!` before
# the type marks an argument that has no default. `given` were supplied otherwise, under older names.
supplied <- function(frame, types, given = character()) {
  out <- list()
  for (arg in names(types)) {
    type <- types[[arg]]
    required <- startsWith(type, "!")
    if (eval(call("missing", as.name(arg)), frame)) {
      if (required && !arg %in% given) {
        abort_argument(arg, "is missing, with no default.", call = frame)
      }
      next
    }
    # list() keeps a NULL that the user typed
    out[arg] <- list(convert_arg(get(arg, envir = frame), sub("^!", "", type), arg, frame))
  }
  out
}

# What stands in `...` of a wrapper: further arguments by name, converted by `types`; all else refused.
# A name may be cut short, as R has it for arguments that stand before `...`.
extra_args <- function(dots, types, frame) {
  if (!length(dots)) {
    return(list())
  }
  names <- rlang::names2(dots)
  if (any(!nzchar(names))) {
    abort_argument("...", "takes named arguments only.", "Check for an argument too many.", call = frame)
  }
  dots <- full_names(dots, setdiff(rlang::names2(types), "*"), frame)
  names <- names(dots)
  out <- list()
  for (i in seq_along(dots)) {
    type <- types[names[[i]]]
    if (is.na(type)) {
      type <- types["*"] # any name goes
    }
    if (is.na(type)) {
      abort_argument(
        names[[i]], "is not an argument of this function.",
        did_you_mean(names[[i]], names(types)), call = frame
      )
    }
    out[names[[i]]] <- list(convert_arg(dots[[i]], sub("^!", "", type[[1]]), names[[i]], frame))
  }
  out
}

did_you_mean <- function(name, known) {
  near <- known[utils::adist(name, known, ignore.case = TRUE) <= max(1, nchar(name) / 4)]
  if (length(near)) paste0("Did you mean `", near[[1]], "`?") else "See the function's help page for its arguments."
}

# ---- objects: optimizers, initializers, losses, callbacks, cells ------------------------------------
wrap_class <- function(symbol, frame, types, extra = character()) {
  bridge_call(symbol, wrapper_args(frame, types, extra), call = frame)
}

# What the user supplied by name and, under other names, in `...`.
wrapper_args <- function(frame, types, extra = character()) {
  known <- c(names(types), names(extra))
  dots <- with_bias(frame_dots(frame), known, frame)
  dots <- without_off_values(older_spellings(dots, known, frame), known, frame)
  more <- extra_args(dots, c(types, extra), frame)
  args <- supplied(frame, types, names(more))
  c(args[setdiff(names(args), names(more))], more)
}

frame_dots <- function(frame) {
  if (exists("...", envir = frame, inherits = FALSE)) eval(quote(list(...)), frame) else list()
}

# Layers have `bias` behind `...`, Keras 1's name of `use_bias`: without it R would find that `bias` is
# short for several arguments and stop with an error that names none of them.
with_bias <- function(dots, known, frame) {
  if (!"bias" %in% known && given_in(frame, "bias")) {
    dots["bias"] <- list(get("bias", envir = frame))
  }
  dots
}

# ---- plain functions: ops, utilities, activations --------------------------------------------------
# `positional`: arguments that Python takes by position, in order; `variadic`: the type of those that
# Python takes as *args, unnamed in `...`. `result` says what of the result are positions, which count
# from 1 in R: "index" (all of it), "index:2" (its second element), "index unless x1" (all of it when
# that argument wasn't given), "index if a b" (its second element when `a` is TRUE, the next for `b`).
wrap_function <- function(symbol, frame, types, extra = character(), positional = character(),
                          variadic = NULL, result = NULL) {
  if (is.null(variadic)) {
    args <- wrapper_args(frame, types, extra)
    rest <- list()
  } else {
    dots <- frame_dots(frame)
    unnamed <- !nzchar(rlang::names2(dots))
    rest <- lapply(unname(dots[unnamed]), convert_arg, type = variadic, arg = "...", call = frame)
    args <- c(supplied(frame, types), extra_args(dots[!unnamed], c(types, extra), frame))
  }
  first <- intersect(positional, names(args))
  sent <- c(unname(args[first]), rest, args[setdiff(names(args), first)])
  subject <- names(types)[1]
  out <- explaining_axes(
    bridge_call(symbol, sent, call = frame), subject, types, \(arg) if (given_in(frame, arg)) get(arg, envir = frame), frame
  )
  one_based_result(out, result, args)
}

# Where Keras refuses `code` for an axis beyond those of its first argument, say so in R's terms. `value`
# gives an argument as the user typed it.
explaining_axes <- function(code, subject, types, value, call) {
  axes <- names(types)[sub("^!", "", types) %in% c("axis", "axes")]
  explain <- function() {
    if (!length(axes)) {
      return()
    }
    x <- value(subject)
    if (is.list(x) && !is_python(x) && length(x)) {
      x <- x[[1]]
    }
    rank <- if (is_tensor(x) || is.array(x)) length(dim(x)) else if (is.atomic(x) && length(x) > 1) 1L
    for (arg in axes) {
      beyond <- if (length(rank) && is.numeric(value(arg))) Filter(\(a) abs(a) > rank, value(arg))
      if (length(beyond)) {
        abort_argument(arg, sprintf("names axis %s; `%s` has %d.", format(beyond[[1]]), subject, rank), call = call)
      }
    }
  }
  withCallingHandlers(code, kerasbridge_error = \(e) if (length(e$python_type)) explain())
}

one_based_result <- function(out, result, args) {
  if (is.null(result)) {
    return(out)
  }
  words <- strsplit(result, " ")[[1]]
  if (length(words) == 1 && words == "index" || length(words) > 1 && words[[2]] == "unless" && is.null(args[[words[[3]]]])) {
    return(one_based(out))
  }
  which <- if (startsWith(result, "index:")) {
    as.integer(sub("index:", "", result))
  } else if (length(words) > 1 && words[[2]] == "if") {
    1L + seq_len(sum(vapply(args[intersect(words[-(1:2)], names(args))], isTRUE, NA)))
  }
  if (is.list(out)) {
    out[which] <- lapply(out[which], one_based)
  }
  out
}

# ---- losses and metrics: computed when given data, the object otherwise -----------------------------
wrap_call_or_object <- function(symbol, function_symbol, frame, types, extra = character(), function_args,
                                fill = character()) {
  data <- c("y_true", "y_pred")
  if (eval(quote(missing(y_true) && missing(y_pred)), frame)) {
    args <- wrapper_args(frame, types[setdiff(names(types), data)], extra)
    return(bridge_call(symbol, without_auto(args), call = frame))
  }
  types[data] <- paste0("!", types[data])
  # the older package had `axis` everywhere; the last one is the only one that most losses know
  no_axis <- !"axis" %in% names(types)
  args <- without_auto(wrapper_args(frame, types, c(extra, if (no_axis) c(axis = "axis"))))
  if (no_axis && identical(args$axis, -1L)) {
    args$axis <- NULL
  }
  refused <- setdiff(names(args), function_args)
  if (length(refused)) {
    if (no_axis && refused[[1]] == "axis") {
      abort_argument("axis", "can only be the last one, -1, here.", "Bring the axis to the end with `op_moveaxis()`.", call = frame)
    }
    abort_argument(refused[[1]], "belongs to the object, not to the computation on `y_true` and `y_pred`.", call = frame)
  }
  # what Keras' function requires and its class has a default for
  for (arg in setdiff(fill, names(args))) {
    args[arg] <- list(convert_arg(get(arg, envir = frame), sub("^!", "", types[[arg]]), arg, frame))
  }
  bridge_call(function_symbol, args, call = frame)
}

# Keras 2's reduction "auto" is the default.
without_auto <- function(args) {
  if (identical(args$reduction, "auto")) {
    note_once("reduction_auto", "`reduction = \"auto\"` is older: it means the default.")
    args$reduction <- NULL
  }
  args
}

# ---- layers ----------------------------------------------------------------------------------------
# Arguments that every layer takes beyond its own.
layer_base <- c(
  name = "string", dtype = "object_spec", trainable = "bool", activity_regularizer = "object_spec",
  autocast = "bool"
)

# Older ways to give a first layer its input.
input_args <- c(
  input_shape = "shape", batch_input_shape = "shape", batch_shape = "shape", input_dim = "int", batch_size = "int",
  input_length = "int", weights = "any"
)

# Layers whose call takes its tensors one by one: a list in `object` is spread over its arguments.
spread_layers <- c(
  "keras.layers.MultiHeadAttention", "keras.layers.GroupQueryAttention", "kerasbridge.layers.TransformerDecoder"
)

wrap_layer <- function(symbol, frame, types, extra = character()) {
  if (!eval(quote(missing(object)), frame)) {
    # what comes before in the pipe is made before this layer: names and seeds run in that order
    force(get("object", envir = frame))
  }
  older <- input_args[setdiff(names(input_args), names(types))]
  args <- wrapper_args(frame, types, c(extra, layer_base, older))
  is_older <- names(args) %in% names(older)
  layer <- bridge_call(symbol, args[!is_older], call = frame)
  out <- compose(layer, frame, layer_input_args(args[is_older], symbol, frame), spread = symbol %in% spread_layers)
  if (!is.null(args$weights) && "weights" %in% names(older)) {
    set_weights(layer, args$weights)
  }
  if (is_sequential(out)) invisible(out) else out
}

# The input that older spellings describe, as arguments of keras.Input, or NULL.
layer_input_args <- function(given, symbol, frame) {
  # NULL is what these had as their default
  given <- Filter(Negate(is.null), given[setdiff(names(given), "weights")])
  if (!length(given)) {
    return(NULL)
  }
  shape <- given$input_shape
  if (!is.null(given$input_dim)) {
    shape <- if (grepl("LSTM|GRU|RNN|Conv1D", symbol)) {
      tagged(list(given$input_length, given$input_dim), "tuple")
    } else {
      tagged(list(given$input_dim), "tuple")
    }
  } else if (!is.null(given$input_length)) {
    shape <- tagged(list(given$input_length), "tuple")
  }
  batch_shape <- given$batch_input_shape %||% given$batch_shape
  if (!is.null(batch_shape)) {
    return(list(batch_shape = batch_shape))
  }
  if (is.null(shape)) {
    abort_argument("batch_size", "needs an `input_shape` beside it.", call = frame)
  }
  c(list(shape = shape), if (!is.null(given$batch_size)) list(batch_size = given$batch_size))
}

# Merge layers: the first argument is a list of tensors, or several tensors stand in `...`.
wrap_merge <- function(symbol, frame, types, extra = character()) {
  dots <- frame_dots(frame)
  inputs <- if (eval(quote(missing(inputs)), frame)) NULL else get("inputs", envir = frame)
  unnamed <- !nzchar(rlang::names2(dots))
  if (any(unnamed)) {
    inputs <- c(if (is.list(inputs)) inputs else list(inputs), unname(dots[unnamed]))
  }
  known <- c(names(types), names(extra), names(layer_base))
  older <- older_spellings(dots[!unnamed], known, frame)
  more <- without_off_values(older, c(known, "inputs"), frame)
  args <- c(supplied(frame, types, names(more)), extra_args(more, c(types, extra, layer_base), frame))
  layer <- bridge_call(symbol, args, call = frame)
  if (is.null(inputs)) layer else call_on(layer, inputs, frame)
}

# nothing -> the layer; a Sequential -> added in place; tensors -> called on them
compose <- function(layer, frame, input = NULL, spread = FALSE) {
  if (eval(quote(missing(object)), frame)) {
    if (!is.null(input)) {
      attr(layer, "kerasbridge_input") <- input
    }
    return(layer)
  }
  object <- get("object", envir = frame)
  compose_with(object, layer, frame, input, spread)
}

compose_with <- function(object, layer, frame, input = NULL, spread = FALSE) {
  if (is.null(object)) {
    return(layer)
  }
  check_alive(object, "object", frame)
  if (is_sequential(object)) {
    bridge_do("add_layer", model = object, layer = layer, input = if (!is.null(input)) tagged(input, "dict"), call = frame)
    if (!is.null(kept_copy(object))) {
      drop_kept(object, "a layer was added after the last copy")
    }
    return(invisible(object))
  }
  if (!is.null(input)) {
    abort_argument("input_shape", "has no meaning here: the layer is called on a tensor, which has a shape.", call = frame)
  }
  call_on(layer, object, frame, spread)
}

call_on <- function(layer, object, frame, spread = FALSE) {
  if (is_model(object) && !is_tensor(object)) {
    abort_argument(
      "object", "is a functional model; a layer can be added to a sequential model or called on a tensor.",
      "Call the layer on `object$output` and make a new model with `keras_model(object$input, ...)`.", call = frame
    )
  }
  if (is_layer(object)) {
    abort_argument("object", "is a layer; a layer is called on a tensor or added to a sequential model.", call = frame)
  }
  converted <- as_tensor_or_tensors_arg(object, "object", frame)
  inputs <- if (spread && inherits(converted, c("kb_list", "kb_dict"))) converted$value else list(converted)
  bridge_method(layer, "__call__", inputs, call = frame)
}

# ---- wrappers given as arguments ---------------------------------------------------------------------
# `activation = activation_relu` means Keras' own function, not an R function that Python would call.
is_wrapper <- function(x) {
  is.function(x) && !is_python(x) && identical(environment(x), topenv()) && !is.null(wrapper_symbol(x))
}

wrapper_symbol <- function(x) {
  code <- body(x)
  if (is.call(code) && identical(code[[1]], as.name("{"))) {
    code <- code[[length(code)]]
  }
  if (!is.call(code) || !is.name(code[[1]])) {
    return(NULL)
  }
  switch(
    as.character(code[[1]]),
    wrap_function = , wrap_class = , wrap_layer = , wrap_merge = code[[2]],
    wrap_call_or_object = code[[3]],
    NULL
  )
}

wrapper_target <- function(x) tagged(wrapper_symbol(x), "symbol")
