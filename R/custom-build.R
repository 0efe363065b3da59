# How an R description becomes a Python class: lazily, when first used, so that packages can define
# classes at their top level without starting Python. The engine's side is bridge/classes_from_r.py.

# A description: kind, name, members, what to inherit from; `class` holds the Python class once made.
new_class_spec <- function(kind, name, members, private = list(), inherit = NULL, parent_env, early = FALSE, call) {
  if (!is.character(name) || length(name) != 1 || is.na(name) || !grepl("^[A-Za-z][A-Za-z0-9_]*$", name)) {
    abort_argument("classname", "must be a name of letters, digits and underscores.", call = call)
  }
  names <- rlang::names2(members)
  if (any(!nzchar(names)) || anyDuplicated(names)) {
    abort_argument("...", "takes methods and fields by name, each once.", call = call)
  }
  spec <- new.env(parent = emptyenv())
  spec$kind <- kind
  spec$name <- name
  spec$members <- members
  spec$private <- private
  spec$early <- early
  spec$home <- home_package(parent_env)
  spec$package <- if (is.null(spec$home)) "R" else gsub("[^A-Za-z0-9_]", "_", spec$home)
  delayedAssign("inherit", inherit, assign.env = spec)
  spec
}

# The package whose code an environment belongs to; NULL for the workspace.
home_package <- function(env) {
  top <- topenv(env)
  if (isNamespace(top) && !identical(top, asNamespace("kerasbridge")) && !identical(top, baseenv())) {
    unname(getNamespaceName(top))
  }
}

kind_bases <- c(
  layer = "keras.Layer", model = "keras.Model", loss = "keras.Loss", metric = "keras.Metric",
  callback = "keras.callbacks.Callback", constraint = "keras.constraints.Constraint",
  regularizer = "keras.Regularizer", initializer = "keras.Initializer",
  schedule = "keras.optimizers.schedules.LearningRateSchedule", optimizer = "keras.Optimizer",
  wrapper = "keras.layers.Wrapper"
)

# The Python class of a description.
spec_class <- function(spec, call = rlang::caller_env()) {
  if (!is.null(spec$class)) {
    return(spec$class)
  }
  bridge_start(call)
  inherit <- spec$inherit
  base <- if (is.null(inherit)) {
    if (identical(spec$kind, "plain")) the$raw$plain_class() else the$raw$symbol(kind_bases[[spec$kind]])
  } else {
    as_class(inherit, call)
  }
  spec$base_types <- if (is_wrapper(inherit)) wrapper_types(inherit) else if (is_class(inherit)) attr(inherit, "spec")$base_types
  kind <- the$bridge$class_kind(base)
  active <- vapply(spec$members, is_active, NA)
  is_method <- vapply(spec$members, is.function, NA) & !active & !vapply(spec$members, \(m) is_python(m) || is_class(m), NA)
  methods <- Map(
    \(f, name) method_description(spec, f, python_method_name(name, kind), kind),
    spec$members[is_method], names(spec$members)[is_method]
  )
  properties <- lapply(spec$members[active], \(f) method_function(spec, f, "active", kind))
  fields <- lapply(spec$members[!is_method & !active], \(x) {
    if (is_class(x)) as_class(x, call) else if (is.list(x) && !is.object(x)) to_python(x) else x
  })
  spec$class <- unwrap_raw(the$raw$do("class_from_r", to_dict(list(
    name = spec$name, base = base, methods = to_list(unname(methods)), properties = to_dict(properties),
    fields = to_dict(fields), package = spec$package, early = spec$early, source = spec_source(spec),
    origin = if (is.null(spec$home)) "written in R" else paste0("the R package '", spec$home, "'")
  ))), call)
  spec$class
}

python_method_name <- function(name, kind) {
  if (name %in% c("initialize", "__init__")) {
    return("__init__")
  }
  if (name == "call" && kind %in% c("constraint", "regularizer", "initializer", "schedule", "plain")) {
    return("__call__")
  }
  name
}

method_description <- function(spec, f, name, kind) {
  arguments <- formals(args(f))
  arguments <- arguments[setdiff(names(arguments), "self")]
  parameters <- Map(\(name, value) {
    required <- identical(value, quote(expr = ))
    list(
      name = name, kind = if (name == "...") "dots" else "named", optional = !required,
      default = if (!required && is.atomic(value) && length(value) == 1 && !is.na(value)) value
    )
  }, names(arguments), arguments)
  described <- list(name = name, parameters = tagged(unname(parameters), "list"))
  if (kind == "metric" && name == "reset_state" && !length(arguments)) {
    described$numbers <- assigned_numbers(f, names(spec$members))
  }
  to_python(described) |> with_item("function", method_function(spec, f, name, kind))
}

# Keras resets its metrics at the start of every epoch, outside of any graph. A method that only assigns
# numbers to variables, such as \() self$total$assign(0), needs no R for that: they are handed to Python by
# the variable's name. NULL for any other method.
assigned_numbers <- function(f, members) {
  steps <- if (rlang::is_call(body(f), "{")) as.list(body(f))[-1] else list(body(f))
  found <- list()
  for (step in steps) {
    target <- if (is.call(step) && length(step) == 2) step[[1]]
    variable <- if (rlang::is_call(target, "$") && identical(target[[3]], quote(assign))) target[[2]]
    value <- if (!is.null(variable)) step[[2]]
    if (
      !rlang::is_call(variable, "$") || !identical(variable[[2]], quote(self)) || !is.name(variable[[3]]) ||
        !is.null(names(step)) || !is.numeric(value) || as.character(variable[[3]]) %in% c(members, names(found))
    ) {
      return(NULL)
    }
    found[[as.character(variable[[3]])]] <- value
  }
  if (length(found)) tagged(found, "dict")
}

# The callable f(self, args, kwargs) around a method.
method_function <- function(spec, f, name, kind) {
  as_python_function(
    \(self, args, kwargs) method_result(
      run_method(spec, f, name, self, method_arguments(args, name, kind), method_arguments(kwargs, name, kind)), name
    ),
    name
  )
}

shape_methods <- c("build", "compute_output_shape", "compute_mask_shape")

# Arguments on their way in: shapes as whole numbers with NA, positions counted from 1, plain logs.
method_arguments <- function(args, name, kind) {
  args <- as.list(args)
  if (!length(args)) {
    return(args)
  }
  if (name %in% shape_methods && kind %in% c("layer", "model")) {
    return(lapply(args, shape_to_r))
  }
  if (kind == "initializer" && name == "__call__") {
    args[1] <- list(shape_to_r(args[[1]]))
    return(args)
  }
  if (kind == "callback" && startsWith(name, "on_")) {
    if (grepl("(epoch|batch)_(begin|end)$", name) && is.numeric(args[[1]])) {
      args[[1]] <- args[[1]] + 1L
    }
    return(lapply(args, \(a) if (is.list(a) && !is_python(a)) plain_logs(a) else a))
  }
  args
}

plain_logs <- function(logs) lapply(logs, \(v) if (is_tensor(v)) as.vector(v) else if (is.array(v)) as.vector(v) else v)

shape_to_r <- function(shape) {
  if (is.null(shape) || is.numeric(shape)) {
    return(if (is.null(shape)) NULL else as.integer(shape))
  }
  if (is.list(shape) && all(vapply(shape, \(a) is.null(a) || is.numeric(a) && length(a) == 1, NA))) {
    return(vapply(unname(shape), \(a) if (is.null(a)) NA_integer_ else as.integer(a), 1L))
  }
  if (is.list(shape)) lapply(shape, shape_to_r) else shape
}

# Results on their way out.
method_result <- function(x, name) {
  force(x)
  if (name == "__init__" || name == "build") {
    return(NULL)
  }
  if (name == "compute_output_shape" && !is_python(x)) {
    return(to_python(as_shape_nested_arg(x, "compute_output_shape()", NULL)))
  }
  if (name == "get_config" && is.list(x)) {
    return(to_python(tagged(x, "dict")))
  }
  if (is.list(x) && !is.object(x)) to_python(x) else x
}

# Run a method: `self`, `super` and `private` stand around the function, the call reads well in errors.
run_method <- function(spec, f, name, self, args, kwargs) {
  owner <- spec$class
  around <- new.env(parent = environment(f) %||% baseenv())
  around$self <- self
  delayedAssign("super", super_object(spec, self), assign.env = around)
  delayedAssign("private", private_of(spec, self), assign.env = around)
  delayedAssign("__class__", owner, assign.env = around)
  environment(f) <- around
  takes <- names(formals(args(f)))
  if (length(takes) && takes[[1]] == "self") {
    args <- c(list(self), args)
  }
  call_by_symbols(f, c("__init__" = "initialize", "__call__" = "call")[name] %|na|% name, args, kwargs)
}

`%|na|%` <- function(x, y) if (is.na(x)) y else unname(x)

call_by_symbols <- function(f, label, args, kwargs) {
  takes <- setdiff(names(formals(args(f))), "...")
  labels <- if (length(args) > length(takes)) paste0("arg", seq_along(args)) else takes[seq_along(args)]
  values <- rlang::set_names(c(args, kwargs), c(labels, names(kwargs)))
  env <- new.env(parent = baseenv())
  for (i in seq_along(values)) {
    env[[names(values)[[i]]]] <- values[[i]]
  }
  # a NULL must be there as a value
  for (n in names(values)[vapply(values, is.null, NA)]) {
    assign(n, NULL, envir = env)
  }
  code <- as.call(c(as.name(label), lapply(labels, as.name), rlang::set_names(lapply(names(kwargs), as.name), names(kwargs))))
  code[[1]] <- as.name(paste0(label))
  holder <- new.env(parent = env)
  assign(label, f, envir = holder)
  eval(code, holder)
}

# ---- super and private ----------------------------------------------------------------------------------
super_object <- function(spec, self) {
  out <- \() out
  structure(out, spec = spec, self = self, class = "kerasbridge_super")
}

#' @export
`$.kerasbridge_super` <- function(x, name) {
  spec <- attr(x, "spec", exact = TRUE)
  self <- attr(x, "self", exact = TRUE)
  kind <- the$bridge$class_kind(spec$class)
  found <- the$bridge$super_attribute(spec$class, self, python_method_name(name, kind))
  if (!is.function(found)) {
    return(found)
  }
  types <- spec$base_types
  \(...) {
    args <- list(...)
    if (!is.null(types) && name %in% c("initialize", "__init__")) {
      args <- typed_arguments(args, types)
    }
    args <- lapply(args, plain_argument)
    do.call(found, args)
  }
}

#' @export
`[[.kerasbridge_super` <- function(x, i) `$.kerasbridge_super`(x, i)

# Arguments of a Keras constructor, converted as its R wrapper would.
typed_arguments <- function(args, types) {
  for (n in intersect(names(args), names(types))) {
    args[n] <- list(to_python(convert_arg(args[[n]], sub("^!", "", types[[n]]), n, rlang::caller_env())))
  }
  args
}

plain_argument <- function(x) {
  if (is_wrapper(x) || is_class(x)) to_python(as_any_arg(x, "x", NULL)) else x
}

# One environment an instance and class. R keeps it under a key that the instance holds; the engine says
# which instances are gone.
private_of <- function(spec, self) {
  key <- the$bridge$private_key(self, spec$name)
  held <- get0(key, envir = the$private, inherits = FALSE)
  if (!is.null(held)) {
    return(held)
  }
  gone <- intersect(as.character(the$bridge$forgotten_keys()), names(the$private))
  rm(list = gone, envir = the$private)
  private <- new.env(parent = emptyenv())
  assign(key, private, envir = the$private)
  for (n in names(spec$private)) {
    value <- spec$private[[n]]
    if (is.function(value) && !is_python(value)) {
      around <- new.env(parent = environment(value) %||% baseenv())
      around$self <- self
      around$private <- private
      around$super <- super_object(spec, self)
      environment(value) <- around
    }
    assign(n, value, envir = private)
  }
  private
}

# ---- classes as values ------------------------------------------------------------------------------------
is_class <- function(x) inherits(x, c("kerasbridge_class", "R6ClassGenerator")) || is_python_class(x)

is_python_class <- function(x) is_python(x) && inherits(x, "python.builtin.type")

# The Python class that a value stands for.
as_class <- function(x, call) {
  if (inherits(x, "kerasbridge_class")) {
    return(spec_class(attr(x, "spec"), call))
  }
  if (inherits(x, "R6ClassGenerator")) {
    return(spec_class(r6_spec(x, call), call))
  }
  if (is_wrapper(x)) {
    bridge_start(call)
    return(the$raw$symbol(wrapper_symbol(x)))
  }
  if (is_python(x)) {
    return(x)
  }
  if (is.character(x) && length(x) == 1 && grepl("^keras\\.", x)) {
    bridge_start(call)
    return(the$raw$symbol(x))
  }
  abort_argument("inherit", paste0("must be a class, not ", describe_value(x), "."), call = call)
}

custom_name <- function(x) {
  if (inherits(x, "kerasbridge_class")) {
    return(attr(x, "spec")$name)
  }
  if (inherits(x, "R6ClassGenerator")) {
    return(x$classname)
  }
  if (is_python_class(x) || is_python(x) && is.function(x)) {
    return(py_attribute(x, "__name__"))
  }
  attr(x, "py_function_name")
}

# The types that a generated wrapper converts its arguments by.
wrapper_types <- function(x) {
  code <- body(x)
  if (identical(code[[1]], as.name("{"))) {
    code <- code[[length(code)]]
  }
  for (part in as.list(code)[-(1:2)]) {
    if (is.call(part) && identical(part[[1]], as.name("c"))) {
      return(c(eval(part), layer_base))
    }
  }
  NULL
}

is_active <- function(x) is.function(x) && isTRUE(attr(x, "kerasbridge_active"))
