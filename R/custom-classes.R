# Layers, losses, metrics, callbacks, models ... written in R: the functions that define such classes.

# The constructor of a description. `object` first for what composes.
class_constructor <- function(spec, composes = FALSE) {
  initialize <- spec$members$initialize %||% spec$members[["__init__"]]
  arguments <- if (is.null(initialize)) alist(... = ) else formals(args(initialize))
  arguments <- arguments[setdiff(names(arguments), "self")]
  if (!"..." %in% names(arguments)) {
    arguments <- c(arguments, alist(... = ))
  }
  if (composes) {
    arguments <- c(alist(object = ), arguments[names(arguments) != "object"])
  }
  f <- rlang::new_function(arguments, rlang::expr((!!construct)(!!spec, environment(), !!composes)), new.env(parent = topenv()))
  structure(f, spec = spec, class = "kerasbridge_class")
}

construct <- function(spec, frame, composes) {
  if (composes && !eval(quote(missing(object)), frame)) {
    force(get("object", envir = frame))
  }
  class <- if (!the$mock) spec_class(spec, frame)
  given <- list()
  for (arg in setdiff(names(formals(sys.function(sys.parent()))), c("...", if (composes) "object"))) {
    if (!eval(call("missing", as.name(arg)), frame)) {
      given[arg] <- list(get(arg, envir = frame))
    }
  }
  given <- c(given, frame_dots(frame))
  if (is.null(spec$members$initialize) && is.null(spec$members[["__init__"]])) {
    given <- convert_known(given, c(spec$base_types, layer_base), frame)
  } else {
    own <- names(formals(args(spec$members$initialize %||% spec$members[["__init__"]])))
    known <- layer_base[setdiff(names(layer_base), own)]
    given <- convert_known(given, known, frame)
  }
  given <- lapply(given, \(x) if (inherits(x, "kb_tag")) x else custom_argument(x, frame))
  instance <- if (the$mock) mock_custom(spec, given, frame) else bridge_method(class, "__call__", given, call = frame)
  if (composes) compose(instance, frame) else instance
}

convert_known <- function(args, types, frame) {
  types <- types[!duplicated(names(types))]
  for (n in intersect(rlang::names2(args), names(types))) {
    args[n] <- list(convert_arg(args[[n]], sub("^!", "", types[[n]]), n, frame))
  }
  args
}

custom_argument <- function(x, call) {
  if (is_wrapper(x) || is_class(x)) as_any_arg(custom_value(x, call), "x", call) else x
}

#' @export
print.kerasbridge_class <- function(x, ...) {
  spec <- attr(x, "spec")
  cat(sprintf("<%s class '%s'>\n", spec$kind, spec$name))
  invisible(x)
}

#' @export
`$.kerasbridge_class` <- function(x, name) {
  py_attribute(spec_class(attr(x, "spec")), name)
}

define_class <- function(kind, classname, members, public, private, inherit, parent_env, composes = FALSE, call) {
  members <- c(members[!vapply(members, is.null, NA)], as.list(public))
  spec <- new_class_spec(kind, classname, members, private, inherit, parent_env, call = call)
  class_constructor(spec, composes)
}

#' Layers, losses, metrics, callbacks and models of your own
#'
#' A class is a name and R functions as its methods. The result is a function that makes objects of the
#' class: that of `Layer()` is used like any `layer_*()` function, those of the others like
#' `loss_*()`, `metric_*()`, `callback_*()` ... functions.
#'
#' @section Methods:
#' Methods are plain R functions. In them stand
#' * `self`, the object: fields are set and read by `self$name`; `self$add_weight(shape = c(3, 2))` and
#'   all other methods of the Keras class are there;
#' * `super`, the class above: `initialize()` of a layer, model, loss, metric or optimizer calls
#'   `super$initialize(...)` first;
#' * `private`, a list of fields and functions that only methods see.
#'
#' Which methods a class has is Keras' business: `call(inputs, training, mask)`, `build(input_shape)` and
#' `compute_output_shape(input_shape)` for layers; `call(y_true, y_pred)` for losses;
#' `update_state(y_true, y_pred, sample_weight)`, `result()` and `reset_state()` for metrics;
#' `on_epoch_end(epoch, logs)` and the like for callbacks, whose `epoch` and `batch` count from 1 and
#' whose `logs` is a plain list; `train_step(data)` for models; `call(w)` for constraints, `call(x)` for
#' regularizers, `call(shape, dtype)` for initializers, `call(step)` for schedules;
#' `build(variables)` and `update_step(gradient, variable, learning_rate)` for optimizers. Shapes
#' arrive as whole numbers with `NA` for a free axis.
#'
#' Code that uses `op_*()` functions and tensor arithmetic is traced once and then runs in the backend,
#' without R.
#'
#' @section Saving:
#' `get_config()` is made of the arguments of `initialize()`, if they are plain values or Keras objects,
#' and need only be written for other cases. Objects that `name`, `dtype` and `trainable` describe take
#' these also if `initialize()` doesn't name them. The class is registered as `R>name`, in a package as
#' `package>name`.
#'
#' @param classname Name of the class.
#' @param initialize,call,build,get_config,update_state,result,reset_state,train_step,test_step,predict_step,update_step
#'   Methods, R functions; leave out what the class above does well.
#' @param on_epoch_begin,on_epoch_end,on_train_begin,on_train_end,on_batch_begin,on_batch_end
#'   Hooks of a callback.
#' @param on_predict_batch_begin,on_predict_batch_end,on_predict_begin,on_predict_end Hooks while
#'   predicting.
#' @param on_test_batch_begin,on_test_batch_end,on_test_begin,on_test_end Hooks while evaluating.
#' @param on_train_batch_begin,on_train_batch_end Hooks around a training step.
#' @param ... Further methods and fields by name. A function marked by [active_property()] is an active
#'   field.
#' @param public List of further methods and fields.
#' @param private List of fields and functions that only methods see.
#' @param inherit A class to build on: the result of one of these functions, a wrapper such as
#'   `layer_dense`, or a Python class. By default the Keras class of that kind.
#' @param parent_env Environment whose package gives the class its full name.
#' @return A function that makes objects. Python is not started before its first use.
#' @examplesIf is_keras_available()
#' layer_scale <- Layer(
#'   "Scale",
#'   initialize = function(start = 1) {
#'     super$initialize()
#'     self$start <- start
#'   },
#'   build = function(input_shape) {
#'     self$factor <- self$add_weight(shape = c(), initializer = initializer_constant(self$start))
#'   },
#'   call = function(inputs) inputs * self$factor
#' )
#' layer_scale(as_tensor(c(1, 2)), start = 3)
#'
#' loss_squares <- Loss("Squares", call = \(y_true, y_pred) op_mean(op_square(y_true - y_pred), -1))
#' model <- keras_model_sequential(input_shape = 2) |> layer_scale(2)
#' model |> compile(optimizer = "sgd", loss = loss_squares())
#' @name custom-classes
#' @export
Layer <- function(classname, initialize = NULL, call = NULL, build = NULL, get_config = NULL, ...,
                  public = list(), private = list(), inherit = NULL, parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- list(initialize = initialize, call = call, build = build, get_config = get_config, ...)
  define_class("layer", classname, members, public, private, inherit, parent_env, composes = TRUE, call = frame)
}

#' @rdname custom-classes
#' @export
Loss <- function(classname, call = NULL, ..., public = list(), private = list(), inherit = NULL,
                 parent_env = parent.frame()) {
  frame <- rlang::current_env()
  define_class("loss", classname, list(call = call, ...), public, private, inherit, parent_env, call = frame)
}

#' @rdname custom-classes
#' @export
Metric <- function(classname, initialize = NULL, update_state = NULL, result = NULL, ..., reset_state = NULL,
                   public = list(), private = list(), inherit = NULL, parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- list(initialize = initialize, update_state = update_state, result = result, reset_state = reset_state, ...)
  define_class("metric", classname, members, public, private, inherit, parent_env, call = frame)
}

#' @rdname custom-classes
#' @export
Callback <- function(classname, on_epoch_begin = NULL, on_epoch_end = NULL, on_train_begin = NULL,
                     on_train_end = NULL, on_batch_begin = NULL, on_batch_end = NULL,
                     on_predict_batch_begin = NULL, on_predict_batch_end = NULL, on_predict_begin = NULL,
                     on_predict_end = NULL, on_test_batch_begin = NULL, on_test_batch_end = NULL,
                     on_test_begin = NULL, on_test_end = NULL, on_train_batch_begin = NULL,
                     on_train_batch_end = NULL, ..., public = list(), private = list(), inherit = NULL,
                     parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- c(mget(callback_hooks), list(...))
  define_class("callback", classname, members, public, private, inherit, parent_env, call = frame)
}

callback_hooks <- c(
  "on_epoch_begin", "on_epoch_end", "on_train_begin", "on_train_end", "on_batch_begin", "on_batch_end",
  "on_predict_batch_begin", "on_predict_batch_end", "on_predict_begin", "on_predict_end",
  "on_test_batch_begin", "on_test_batch_end", "on_test_begin", "on_test_end", "on_train_batch_begin",
  "on_train_batch_end"
)

#' @rdname custom-classes
#' @export
Constraint <- function(classname, call = NULL, get_config = NULL, ..., public = list(), private = list(),
                       inherit = NULL, parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- list(call = call, get_config = get_config, ...)
  define_class("constraint", classname, members, public, private, inherit, parent_env, call = frame)
}

#' @rdname custom-classes
#' @export
Model <- function(classname, initialize = NULL, call = NULL, train_step = NULL, predict_step = NULL,
                  test_step = NULL, ..., public = list(), private = list(), inherit = NULL,
                  parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- list(
    initialize = initialize, call = call, train_step = train_step, predict_step = predict_step,
    test_step = test_step, ...
  )
  define_class("model", classname, members, public, private, inherit, parent_env, call = frame)
}

#' @rdname custom-classes
#' @export
LearningRateSchedule <- function(classname, call = NULL, initialize = NULL, get_config = NULL, ...,
                                 public = list(), private = list(), inherit = NULL, parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- list(call = call, initialize = initialize, get_config = get_config, ...)
  define_class("schedule", classname, members, public, private, inherit, parent_env, call = frame)
}

# A function of the step as a schedule: Keras itself takes only functions without arguments. The class is found
# by its name when a file is loaded, so that each function has a name of its own, the same in every session.
schedule_from_function <- function(f) {
  name <- paste0("RateOfStep_", substr(rlang::hash(function_source(f) %||% rlang::obj_address(f)), 1, 8))
  class_constructor(new_class_spec("schedule", name, list(call = f), parent_env = globalenv(), call = NULL))()
}

#' @rdname custom-classes
#' @export
Optimizer <- function(classname, initialize = NULL, build = NULL, update_step = NULL, ..., public = list(),
                      private = list(), inherit = NULL, parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- list(initialize = initialize, build = build, update_step = update_step, ...)
  define_class("optimizer", classname, members, public, private, inherit, parent_env, call = frame)
}

#' @rdname custom-classes
#' @export
Regularizer <- function(classname, call = NULL, initialize = NULL, ..., public = list(), private = list(),
                        inherit = NULL, parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- list(call = call, initialize = initialize, ...)
  define_class("regularizer", classname, members, public, private, inherit, parent_env, call = frame)
}

#' @rdname custom-classes
#' @export
Initializer <- function(classname, call = NULL, initialize = NULL, ..., public = list(), private = list(),
                        inherit = NULL, parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- list(call = call, initialize = initialize, ...)
  define_class("initializer", classname, members, public, private, inherit, parent_env, call = frame)
}

#' Classes in the older style
#'
#' `new_layer_class()` and its kin define a class whose result makes objects but doesn't compose;
#' [create_layer_wrapper()] makes a composing function of it. `%py_class%` defines one with the methods
#' in a block. New code is better off with [Layer()] and its kin, where the methods are described.
#'
#' @inheritParams custom-classes
#' @param initialize,build,call,get_config,update_state,result Methods, R functions.
#' @param on_epoch_begin,on_epoch_end,on_train_begin,on_train_end,on_batch_begin,on_batch_end,on_predict_batch_begin,on_predict_batch_end,on_predict_begin,on_predict_end,on_test_batch_begin,on_test_batch_end,on_test_begin,on_test_end,on_train_batch_begin,on_train_batch_end
#'   Hooks of a callback.
#' @param train_step,predict_step,test_step Steps of a model.
#' @param compute_output_shape Method of a layer.
#' @param spec A name, or `Name(Base)`; for `%<-active%` the name of an active field.
#' @param body A block that assigns methods and fields; for `%<-active%` the function.
#' @param name,value For `%<-active%`: the field and its function.
#' @param x,fn A function: called without arguments to get the field, with the new value to set it.
#' @return A class: a function that makes objects. `%py_class%` also assigns it to the name.
#'   `active_property()` and `mark_active()`: the function, marked.
#' @examplesIf is_keras_available()
#' Doubling(keras$layers$Layer) %py_class% {
#'   call <- function(inputs) inputs * 2
#' }
#' layer_doubling <- create_layer_wrapper(Doubling)
#' layer_doubling(as_tensor(c(1, 2)))
#' @name classes-older
#' @export
new_layer_class <- function(classname, ..., initialize = NULL, build = NULL, call = NULL,
                            compute_output_shape = NULL, get_config = NULL, inherit = NULL,
                            parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- list(
    initialize = initialize, build = build, call = call, compute_output_shape = compute_output_shape,
    get_config = get_config, ...
  )
  define_class("layer", classname, members, list(), list(), inherit, parent_env, call = frame)
}

#' @rdname classes-older
#' @export
new_model_class <- function(classname, ..., initialize = NULL, call = NULL, train_step = NULL, predict_step = NULL,
                            test_step = NULL, compute_output_shape = NULL, inherit = NULL, parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- list(
    initialize = initialize, call = call, train_step = train_step, predict_step = predict_step,
    test_step = test_step, compute_output_shape = compute_output_shape, ...
  )
  define_class("model", classname, members, list(), list(), inherit, parent_env, call = frame)
}

#' @rdname classes-older
#' @export
new_metric_class <- function(classname, ..., initialize = NULL, update_state = NULL, result = NULL,
                             inherit = NULL, parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- list(initialize = initialize, update_state = update_state, result = result, ...)
  define_class("metric", classname, members, list(), list(), inherit, parent_env, call = frame)
}

#' @rdname classes-older
#' @export
new_loss_class <- function(classname, ..., call = NULL, inherit = NULL, parent_env = parent.frame()) {
  frame <- rlang::current_env()
  define_class("loss", classname, list(call = call, ...), list(), list(), inherit, parent_env, call = frame)
}

#' @rdname classes-older
#' @export
new_callback_class <- function(classname, ..., on_epoch_begin = NULL, on_epoch_end = NULL, on_train_begin = NULL,
                               on_train_end = NULL, on_batch_begin = NULL, on_batch_end = NULL,
                               on_predict_batch_begin = NULL, on_predict_batch_end = NULL,
                               on_predict_begin = NULL, on_predict_end = NULL, on_test_batch_begin = NULL,
                               on_test_batch_end = NULL, on_test_begin = NULL, on_test_end = NULL,
                               on_train_batch_begin = NULL, on_train_batch_end = NULL, inherit = NULL,
                               parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- c(mget(callback_hooks), list(...))
  define_class("callback", classname, members, list(), list(), inherit, parent_env, call = frame)
}

#' @rdname classes-older
#' @export
new_learning_rate_schedule_class <- function(classname, ..., initialize = NULL, call = NULL, get_config = NULL,
                                             inherit = NULL, parent_env = parent.frame()) {
  frame <- rlang::current_env()
  members <- list(initialize = initialize, call = call, get_config = get_config, ...)
  define_class("schedule", classname, members, list(), list(), inherit, parent_env, call = frame)
}

#' @rdname classes-older
#' @export
`%py_class%` <- function(spec, body) {
  frame <- rlang::current_env()
  env <- parent.frame()
  spec <- substitute(spec)
  body <- substitute(body)
  name <- if (is.call(spec)) spec[[1]] else spec
  if (!is.name(name) || is.call(spec) && length(spec) > 2) {
    abort_argument("spec", "must be a name or `Name(Base)`.", "A class can have one base.", call = frame)
  }
  around <- new.env(parent = env)
  eval(body, around)
  members <- as.list(around, all.names = TRUE)
  # lazily: the base may be a Python class, and Python is not to start yet
  out <- class_constructor(py_class_spec(as.character(name), members, if (is.call(spec)) spec[[2]], env, frame))
  assign(as.character(name), out, envir = env)
  invisible(out)
}

py_class_spec <- function(name, members, base, env, frame) {
  if (is.null(base)) {
    return(new_class_spec("plain", name, members, parent_env = env, call = frame))
  }
  new_class_spec("plain", name, members, inherit = eval(base, env), parent_env = env, call = frame)
}

#' @rdname classes-older
#' @export
active_property <- function(fn) mark_active(fn)

#' @rdname classes-older
#' @export
mark_active <- function(x) {
  if (!is.function(x)) {
    abort_argument("x", paste0("must be a function, not ", describe_value(x), "."))
  }
  attr(x, "kerasbridge_active") <- TRUE
  x
}

#' @rdname classes-older
#' @export
`%<-active%` <- function(name, value) {
  label <- substitute(name)
  assign(as.character(label), mark_active(value), envir = parent.frame())
  invisible(value)
}

#' A metric from a function
#'
#' Gives an R function the name under which its value appears in histories and logs.
#'
#' @param name Name of the metric.
#' @param metric_fn Function of `y_true` and `y_pred` that returns one number, or one for each sample.
#' @return The function, named; for the argument `metrics` of [compile()][compile.kerasbridge_model].
#' @examples
#' metric_half <- custom_metric("half", function(y_true, y_pred) op_mean(y_pred) / 2)
#' @export
custom_metric <- function(name, metric_fn) {
  frame <- rlang::current_env()
  if (!is.function(metric_fn)) {
    abort_argument("metric_fn", paste0("must be a function, not ", describe_value(metric_fn), "."), call = frame)
  }
  attr(metric_fn, "py_function_name") <- as_string_arg(name, "name", frame)
  metric_fn
}
