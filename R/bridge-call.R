# The ways across the border: a public Keras name, a method of a Python object, a verb of the engine.

# Call a public Keras name such as "keras.layers.Dense" with a list of plain values.
bridge_call <- function(symbol, args = list(), call = rlang::caller_env()) {
  bridge_start(call)
  unwrap(do.call(the$bridge$call, c(list(symbol), cross_arguments(args))), call)
}

# Call a method of a Python object, or the object itself with name "__call__".
bridge_method <- function(target, name, args = list(), call = rlang::caller_env()) {
  bridge_start(call)
  check_alive(target, "object", call)
  unwrap(do.call(the$bridge$method, c(list(target, name), cross_arguments(args))), call)
}

# Run a verb of the engine such as "fit".
bridge_do <- function(verb, ..., call = rlang::caller_env()) {
  bridge_start(call)
  unwrap(the$bridge$do(verb, to_dict(lapply(list(...), to_python))), call)
}

# Positional arguments as a Python list, named ones as a dict.
cross_arguments <- function(args) {
  positional <- !nzchar(rlang::names2(args))
  list(
    to_list(lapply(args[positional], to_python)),
    to_dict(lapply(args[!positional], to_python))
  )
}

unwrap <- function(outcome, call) {
  force(outcome) # the call itself
  if (length(the$r_warnings)) {
    give_r_warnings()
  }
  if (!isTRUE(outcome$ok) && identical(outcome$error$kind, "interrupt")) {
    rlang::interrupt()
  }
  if (!isTRUE(outcome$ok)) {
    abort_from_python(outcome$error, call = call)
  }
  outcome$value
}

# An outcome whose value stays in Python.
unwrap_raw <- function(outcome, call) {
  if (!reticulate::py_to_r(outcome$ok)) {
    abort_from_python(reticulate::py_to_r(outcome$error), call = call)
  }
  outcome$value
}

# Set an item of a Python dict.
with_item <- function(dict, name, value) {
  reticulate::py_set_item(dict, name, value)
  dict
}
