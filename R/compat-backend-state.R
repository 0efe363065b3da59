# Older backend functions that hold or change state: variables, loops, functions, gradients, sessions,
# the learning phase. What TensorFlow 1 alone could do is refused with the way to do it now.

#' Older backend functions: values of variables
#'
#' As in the older package. In new code use `as.array()` to read, `variable$assign(value)` to write.
#'
#' @param x A variable (to read from: a tensor too).
#' @param value,new_x,increment,decrement An R number or array, or a tensor, of the variable's shape.
#' @param ops List of variables or tensors.
#' @param lists List of lists, each a variable and its value.
#' @param momentum Share of the old value that stays in the moving average.
#' @return `k_get_value()`, `k_eval()`: an R number or array. `k_batch_get_value()`: a list of them.
#'   `k_set_value()`, `k_batch_set_value()`: `NULL`, invisibly. `k_update*()` and
#'   `k_moving_average_update()`: the variable, invisibly.
#' @examplesIf is_keras_available()
#' v <- k_variable(c(1, 2))
#' k_set_value(v, c(3, 4))
#' k_get_value(k_update_add(v, c(1, 1)))
#' @name k_values
NULL

#' @rdname k_values
#' @export
k_get_value <- function(x) k_read(x, rlang::current_env())

#' @rdname k_values
#' @export
k_eval <- function(x) k_read(x, rlang::current_env())

k_read <- function(x, frame) {
  if (inherits(x, "kerasbridge_keras_tensor")) {
    k_unsupported(
      "`x` is a tensor of a model: it has no value.",
      "Make a function of it with `k_function()`, or a model with `keras_model()`, and call that on data.", frame, "x"
    )
  }
  if (!is_tensor(x) && is_python(x)) {
    abort_argument("x", paste0("must be a variable or a tensor, not ", describe_value(x), "."), call = frame)
  }
  tensor_to_r(if (is_tensor(x)) x else k_tensor(x, "x", frame))
}

#' @rdname k_values
#' @export
k_batch_get_value <- function(ops) lapply(if (is_python(ops)) list(ops) else ops, k_read, frame = rlang::current_env())

#' @rdname k_values
#' @export
k_set_value <- function(x, value) {
  k_assign(x, value, "value", "assign", rlang::current_env())
  invisible(NULL)
}

#' @rdname k_values
#' @export
k_batch_set_value <- function(lists) {
  frame <- rlang::current_env()
  if (!is.list(lists) || !all(lengths(lists) == 2)) {
    abort_argument("lists", "must be a list of lists, each a variable and its value.", call = frame)
  }
  for (pair in lists) {
    k_assign(pair[[1]], pair[[2]], "lists", "assign", frame)
  }
  invisible(NULL)
}

k_assign <- function(x, value, arg, method, frame) {
  if (!inherits(x, "kerasbridge_variable") && !(is_python(x) && py_has(x, "assign"))) {
    abort_argument("x", paste0("must be a variable, not ", describe_value(x), "."), "Make one with `k_variable()`.", call = frame)
  }
  bridge_method(x, method, list(as_tensor_arg(value, arg, frame)), call = frame)
  invisible(x)
}

#' @rdname k_values
#' @export
k_update <- function(x, new_x) k_assign(x, new_x, "new_x", "assign", rlang::current_env())

#' @rdname k_values
#' @export
k_update_add <- function(x, increment) k_assign(x, increment, "increment", "assign_add", rlang::current_env())

#' @rdname k_values
#' @export
k_update_sub <- function(x, decrement) k_assign(x, decrement, "decrement", "assign_sub", rlang::current_env())

#' @rdname k_values
#' @export
k_moving_average_update <- function(x, value, momentum) {
  frame <- rlang::current_env()
  momentum <- convert_arg(momentum, "num", "momentum", frame)
  old <- k_ops("multiply", x, momentum, call = frame)
  new <- k_ops("multiply", k_tensor(value, "value", frame), 1 - momentum, call = frame)
  k_assign(x, k_ops("add", old, new, call = frame), "value", "assign", frame)
}

#' Older backend functions: functions over tensors
#'
#' As in the older package. In new code use [op_map()], [op_scan()], [op_stop_gradient()],
#' [layer_rnn()] with a cell of your own, and for `k_function()` a model made by [keras_model()].
#'
#' `k_function()` gives an R function that takes a list of arrays, one per input, and returns a list
#' of arrays. Where the older code has `k_learning_phase()` among the inputs, the number that the
#' function gets there switches training behaviour on (1) or off (0).
#'
#' `k_gradients()` works between the tensors of a functional model (its result goes on to
#' `k_function()`), and inside a function that TensorFlow traces. It can't know where a number that
#' is already computed came from: there, `with(tf$GradientTape() %as% tape, ...)` is the way.
#'
#' @param fn Function of one element (`k_map_fn()`), or of what is collected so far and one element.
#' @param elems Tensor or R array; its first axis is run along.
#' @param initializer What to start with; by default the first element (`k_foldr()`: the last one).
#' @param name No effect; noted once.
#' @param dtype Type of the result.
#' @param step_function Function of one step's input, `(samples, ...)`, and a list of states; gives back
#'   `list(output, list(new states))`.
#' @param inputs,outputs Tensors of a model, one or a list. For `k_rnn()`: `(samples, time, ...)`.
#' @param initial_states List of states before the first step.
#' @param go_backwards `TRUE` to start at the last step.
#' @param mask `(samples, time)` or `(samples, time, 1)`; where it is 0 the step before counts.
#' @param constants List of tensors handed to each step behind the states.
#' @param unroll `TRUE` writes the steps out instead of looping.
#' @param input_length Number of steps; must be right if given.
#' @param updates Must be `NULL`: nothing is deferred now, variables are updated when told to.
#' @param loss A tensor; of several elements their sum counts.
#' @param variables Tensor or list of tensors.
#' @param x Tensor to print.
#' @param message Text before it.
#' @param ... Not used; refused.
#' @return `k_map_fn()`, `k_foldl()`, `k_foldr()`: a tensor. `k_rnn()`: a list of the last output, all
#'   outputs, and the list of last states. `k_function()`: a function. `k_gradients()`: a list of
#'   tensors. `k_stop_gradient()`: `variables`, as constants. `k_print_tensor()`: `x`.
#' @examplesIf is_keras_available()
#' k_foldl(\(sum, x) sum + x, c(1, 2, 3))
#' x <- layer_input(2)
#' f <- k_function(list(x), list(k_sum(k_square(x))))
#' f(list(matrix(1:2, 1)))
#' @name k_functions
NULL

k_elements <- function(elems, frame) {
  elems <- k_tensor(elems, "elems", frame)
  size <- tensor_dim(elems)
  if (!length(size) || is.na(size[[1]]) || size[[1]] < 1) {
    abort_argument("elems", "must have a first axis of fixed length.", call = frame)
  }
  bridge_call("keras.ops.unstack", list(elems, axis = 0L), call = frame)
}

#' @rdname k_functions
#' @export
k_map_fn <- function(fn, elems, name = NULL, dtype = NULL) {
  frame <- rlang::current_env()
  k_no_name(name, frame)
  fn <- rlang::as_function(fn)
  parts <- lapply(k_elements(elems, frame), \(x) k_tensor(fn(x), "fn", frame))
  out <- k_ops("stack", tagged(parts, "list"), call = frame)
  if (is.null(dtype)) out else k_ops("cast", out, convert_arg(dtype, "dtype", "dtype", frame), call = frame)
}

k_fold <- function(fn, elems, initializer, name, from_right, frame) {
  k_no_name(name, frame)
  fn <- rlang::as_function(fn)
  parts <- k_elements(elems, frame)
  if (from_right) {
    parts <- rev(parts)
  }
  if (!is.null(initializer)) {
    parts <- c(list(k_tensor(initializer, "initializer", frame)), parts)
  }
  Reduce(fn, parts)
}

#' @rdname k_functions
#' @export
k_foldl <- function(fn, elems, initializer = NULL, name = NULL) k_fold(fn, elems, initializer, name, FALSE, rlang::current_env())

#' @rdname k_functions
#' @export
k_foldr <- function(fn, elems, initializer = NULL, name = NULL) k_fold(fn, elems, initializer, name, TRUE, rlang::current_env())

#' @rdname k_functions
#' @export
k_rnn <- function(step_function, inputs, initial_states, go_backwards = FALSE, mask = NULL, constants = NULL,
                  unroll = FALSE, input_length = NULL) {
  frame <- rlang::current_env()
  inputs <- k_tensor(inputs, "inputs", frame)
  steps <- tensor_dim(inputs)[[2]]
  if (!is.null(input_length) && !identical(convert_arg(input_length, "int", "input_length", frame), steps)) {
    abort_argument("input_length", sprintf("is %s; `inputs` has %s steps.", format(input_length), format(steps)), call = frame)
  }
  tensors <- \(x, arg) if (is.null(x)) NULL else tagged(lapply(if (is.list(x)) x else list(x), k_tensor, arg = arg, call = frame), "list")
  bridge_do(
    "rnn",
    step_function = convert_arg(step_function, "function", "step_function", frame),
    inputs = inputs, initial_states = tensors(initial_states, "initial_states"),
    go_backwards = convert_arg(go_backwards, "bool", "go_backwards", frame),
    mask = if (is.null(mask)) NULL else k_tensor(mask, "mask", frame),
    constants = tensors(constants, "constants"),
    unroll = convert_arg(unroll, "bool", "unroll", frame), call = frame
  )
}

#' @rdname k_functions
#' @export
k_stop_gradient <- function(variables) {
  frame <- rlang::current_env()
  one <- \(v) k_ops("stop_gradient", k_tensor(v, "variables", frame), call = frame)
  if (is.list(variables)) lapply(variables, one) else one(variables)
}

#' @rdname k_functions
#' @export
k_function <- function(inputs, outputs, updates = NULL, ...) {
  frame <- rlang::current_env()
  if (length(list(...))) {
    abort_argument("...", "took arguments of TensorFlow 1's sessions.", "There are no sessions now; leave them out.", call = frame)
  }
  if (length(updates)) {
    k_unsupported(
      "`updates` can't be deferred to a later call.",
      "Update variables where it is to happen, with `k_update()` or `variable$assign()`.", frame, "updates"
    )
  }
  if (!is.list(inputs)) {
    inputs <- list(inputs)
  }
  is_phase <- vapply(inputs, \(x) is.numeric(x) && length(x) == 1, NA)
  for (x in inputs[!is_phase]) {
    if (!inherits(x, "kerasbridge_keras_tensor")) {
      abort_argument("inputs", paste0("must be tensors of a model, not ", describe_value(x), "."), call = frame)
    }
  }
  single <- !is.list(outputs)
  results <- if (single) list(outputs) else outputs
  model <- bridge_call("keras.Model", list(
    inputs = tagged(unname(inputs[!is_phase]), "list"), outputs = tagged(unname(results), "list")
  ), call = frame)
  \(inputs) {
    frame <- rlang::current_env()
    if (!is.list(inputs)) {
      inputs <- list(inputs)
    }
    if (length(inputs) != length(is_phase)) {
      abort_argument("inputs", sprintf("must be a list of %d, not %d.", length(is_phase), length(inputs)), call = frame)
    }
    values <- lapply(inputs[!is_phase], k_tensor, arg = "inputs", call = frame)
    training <- if (any(is_phase)) as_bool_arg(inputs[is_phase][[1]], "inputs", frame)
    out <- bridge_method(
      model, "__call__", c(list(tagged(unname(values), "list")), if (!is.null(training)) list(training = training)), call = frame
    )
    out <- lapply(if (is.list(out)) out else list(out), tensor_to_r)
    if (single) out[[1]] else out
  }
}

#' @rdname k_functions
#' @export
k_gradients <- function(loss, variables) {
  frame <- rlang::current_env()
  if (!is_tensor(loss)) {
    abort_argument("loss", paste0("must be a tensor, not ", describe_value(loss), "."), call = frame)
  }
  bridge_do("gradients", loss = loss, variables = tagged(if (is_python(variables)) list(variables) else unname(variables), "list"), call = frame)
}

#' @rdname k_functions
#' @export
k_print_tensor <- function(x, message = "") {
  frame <- rlang::current_env()
  message <- convert_arg(message, "string", "message", frame)
  value <- if (!is_python(x)) x else if (!inherits(x, "kerasbridge_keras_tensor")) tryCatch(tensor_to_r(x), error = \(e) NULL)
  if (is.null(value)) {
    return(bridge_do("print_tensor", x = x, message = message, call = frame))
  }
  cat(message, if (nzchar(message)) " ", sep = "")
  print(value)
  invisible(x)
}

#' Older backend functions: placeholders, phases and sessions
#'
#' What belonged to TensorFlow 1's graphs. Keras 3 has no sessions and no global learning phase:
#' models are called with `training = TRUE` or `FALSE`.
#'
#' * `k_placeholder()` makes the input of a functional model. In new code: [keras_input()].
#' * `k_learning_phase()` is 0; among the inputs of [k_function()] it stands for the number that
#'   switches training behaviour.
#' * `k_set_learning_phase(0)` has nothing to do: models infer unless they are told to train. With 1
#'   it is an error: pass `training = TRUE` when calling a layer or model.
#' * `k_in_train_phase()`, `k_in_test_phase()` choose by `training`, which must be given: in a layer of
#'   your own it is an argument of `call`.
#' * `k_get_session()`, `k_set_session()` and `k_manual_variable_initialization(TRUE)` are errors that
#'   say what to do instead.
#' * `k_reset_uids()` makes layers' names start at their first number again. In new code:
#'   [clear_session()].
#'
#' @param shape Shape with the samples first; `NULL` in a list, or `NA`, for an axis of any length.
#' @param ndim Number of axes, all of any length, in place of `shape`.
#' @param dtype Type of the data.
#' @param sparse `TRUE` for sparse data.
#' @param name Name of the input.
#' @param value The learning phase, 0 or 1. `k_manual_variable_initialization()`: `TRUE` or `FALSE`.
#' @param x,alt What to choose from: tensors, or functions that give them.
#' @param training `TRUE`, `FALSE`, 1, 0, or a tensor of these.
#' @param session Not used.
#' @return `k_placeholder()`: a symbolic tensor. `k_learning_phase()`: 0. `k_in_*_phase()`: one of `x`
#'   and `alt`, a tensor. The others: `NULL`, invisibly, or an error of class
#'   `kerasbridge_error_unsupported`.
#' @examplesIf is_keras_available()
#' k_placeholder(c(NA, 3))
#' k_in_train_phase(1, 2, training = TRUE)
#' @name k_sessions
NULL

#' @rdname k_sessions
#' @export
k_placeholder <- function(shape = NULL, ndim = NULL, dtype = NULL, sparse = FALSE, name = NULL) {
  frame <- rlang::current_env()
  if (is.null(shape)) {
    if (is.null(ndim)) {
      abort_argument("shape", "or `ndim` must be given.", call = frame)
    }
    shape <- rep(NA, convert_arg(ndim, "int", "ndim", frame))
  }
  args <- list(
    batch_shape = convert_arg(shape, "shape", "shape", frame), dtype = convert_arg(dtype, "dtype", "dtype", frame),
    name = convert_arg(name, "string", "name", frame)
  )
  sparse <- convert_arg(sparse, "bool", "sparse", frame)
  bridge_call("keras.Input", c(args[!vapply(args, is.null, NA)], if (sparse) list(sparse = TRUE)), call = frame)
}

#' @rdname k_sessions
#' @export
k_learning_phase <- function() 0L

#' @rdname k_sessions
#' @export
k_set_learning_phase <- function(value) {
  frame <- rlang::current_env()
  if (as_bool_arg(value, "value", frame)) {
    k_unsupported(
      "There is no global learning phase to switch on.",
      "Pass `training = TRUE` when calling the layer or the model.", frame, "value"
    )
  }
  note_once("learning_phase", "`k_set_learning_phase(0)` has nothing to do: models infer unless they are told to train.")
  invisible(NULL)
}

k_choose_phase <- function(training, in_train, otherwise, frame) {
  if (is.null(training)) {
    k_unsupported(
      "There is no global learning phase to choose by.",
      "Give `training`; in a layer of your own it is an argument of `call`.", frame, "training"
    )
  }
  if (!is_python(training)) {
    training <- as_bool_arg(training, "training", frame)
  }
  k_switch(training, in_train, otherwise)
}

#' @rdname k_sessions
#' @export
k_in_train_phase <- function(x, alt, training = NULL) k_choose_phase(training, x, alt, rlang::current_env())

#' @rdname k_sessions
#' @export
k_in_test_phase <- function(x, alt, training = NULL) k_choose_phase(training, alt, x, rlang::current_env())

k_no_sessions <- function(call) {
  k_unsupported(
    "There are no TensorFlow sessions any more: everything is computed when it is called.",
    "For GPU memory see `tf$config$set_logical_device_configuration()`, for reproducible runs `set_random_seed()`, for threads `tf$config$threading`.",
    call
  )
}

#' @rdname k_sessions
#' @export
k_get_session <- function() k_no_sessions(rlang::current_env())

#' @rdname k_sessions
#' @export
k_set_session <- function(session) k_no_sessions(rlang::current_env())

#' @rdname k_sessions
#' @export
k_manual_variable_initialization <- function(value) {
  frame <- rlang::current_env()
  if (as_bool_arg(value, "value", frame)) {
    k_unsupported(
      "Variables have their first value when they are made; that can't be put off.",
      "Give the value by an `initializer_*` object, or set it with `set_weights()`.", frame, "value"
    )
  }
  invisible(NULL)
}

#' @rdname k_sessions
#' @export
k_reset_uids <- function() {
  frame <- rlang::current_env()
  bridge_start(frame)
  newer <- utils::compareVersion(the$keras_version, "3.3") >= 0 # before, memory was freed whatever one said
  bridge_call("keras.utils.clear_session", if (newer) list(free_memory = FALSE) else list(), call = frame)
  invisible(NULL)
}
