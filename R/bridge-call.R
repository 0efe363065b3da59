# The ways across the border: a public Keras name, a method of a Python object, a verb of the engine.

# Call a public Keras name such as "keras.layers.Dense" with a list of plain values.
bridge_call <- function(symbol, args = list(), call = rlang::caller_env()) {
  if (the$mock) {
    return(mock_call(symbol, args, call))
  }
  bridge_start(call)
  held <- the$ways$hold()
  on.exit(the$ways$release(held))
  arguments <- c(list(symbol), cross_arguments(args, call))
  unwrap(cross(\() do.call(the$ways$call, arguments)), call)
}

# Call a method of a Python object, or the object itself with name "__call__".
bridge_method <- function(target, name, args = list(), call = rlang::caller_env()) {
  if (the$mock) {
    return(mock_method(target, name, args, call))
  }
  bridge_start(call)
  check_alive(target, "object", call)
  held <- the$ways$hold()
  on.exit(the$ways$release(held))
  arguments <- c(list(target, name), cross_arguments(args, call))
  unwrap(cross(\() do.call(the$ways$method, arguments)), call)
}

# Run a verb of the engine such as "fit".
bridge_do <- function(verb, ..., call = rlang::caller_env()) {
  if (the$mock) {
    return(mock_do(verb, list(...), call))
  }
  bridge_start(call)
  held <- the$ways$hold()
  on.exit(the$ways$release(held))
  arguments <- to_dict(lapply(list(...), to_python, call))
  unwrap(cross(\() the$ways$do(verb, arguments)), call)
}

# The same, but the result stays in Python: data on their way to a model.
bridge_keep <- function(verb, ..., call = rlang::caller_env()) {
  if (the$mock) {
    mock_unsupported("A data frame as data", call)
  }
  bridge_start(call)
  held <- the$ways$hold()
  on.exit(the$ways$release(held))
  arguments <- to_dict(lapply(list(...), to_python, call))
  unwrap_raw(cross(\() the$raw$do(verb, arguments), the$raw), call)
}

# Positional arguments as a Python list, named ones as a dict.
cross_arguments <- function(args, call) {
  positional <- !nzchar(rlang::names2(args))
  list(
    to_list(lapply(args[positional], to_python, call)),
    to_dict(lapply(args[!positional], to_python, call))
  )
}

# Run a call into Python. R code that Python runs (reticulate's at each import, the code around a user's
# function) must not be left by a jump: that breaks Python. So interrupts are suspended, Python answers a
# press of Ctrl-C, and guard_r_code() allows interrupts to R again. The same press may reach R too while
# the result is on its way, as an interrupt or as an error of the conversion, and the result would be
# lost: so it is told here whether one came, and Python is asked for the result once more, on the side
# of the border (with or without conversion) that the call took.
cross <- function(run, side = the$bridge) {
  the$outer_restarts <- length(computeRestarts()) > 1 # for guard_r_code(); more come only further in, at another call
  pressed <- FALSE
  press <- \(e) {
    pressed <<- TRUE
    NULL
  }
  suspendInterrupts({
    out <- tryCatch(run(), interrupt = press)
    # the handler stands before interrupts are allowed, and until they are suspended again
    tryCatch(allowInterrupts(Sys.sleep(0)), interrupt = press)
    if (pressed) {
      settle_interrupts()
      out <- side$take_interrupted()
      if (is_none(out)) out <- NULL
    }
  })
  if (pressed && is.null(out)) rlang::interrupt()
  out
}

is_none <- function(x) inherits(x, "python.builtin.NoneType")

# One press arrives in R and in Python; what comes right after it is the same press. reticulate keeps it,
# besides, until the next error of Python's, whatever that is about: so there is one.
settle_interrupts <- function() {
  nothing <- \(e) NULL
  suspendInterrupts({
    tryCatch(allowInterrupts(Sys.sleep(0.05)), interrupt = nothing)
    tryCatch(reticulate::py_get_attr(the$bridge, "no_such_name"), interrupt = nothing, error = nothing)
    tryCatch(allowInterrupts(Sys.sleep(0)), interrupt = nothing)
  })
}

unwrap <- function(outcome, call) {
  if (!isTRUE(outcome$ok)) {
    raise_outcome(outcome$error, call)
  }
  guard_callable(outcome$value)
}

# An outcome whose value stays in Python.
unwrap_raw <- function(outcome, call) {
  if (!reticulate::py_to_r(outcome$ok)) {
    raise_outcome(reticulate::py_to_r(outcome$error), call)
  }
  outcome$value
}

raise_outcome <- function(error, call) {
  resume_jump(call)
  if (identical(error$kind, "interrupt")) {
    settle_interrupts()
    rlang::interrupt()
  }
  abort_from_python(error, call = call)
}

# Set an item of a Python dict.
with_item <- function(dict, name, value) {
  reticulate::py_set_item(dict, name, value)
  dict
}
