# R classes for Python objects. The live Keras says what its classes are called (bridge/classes.py);
# this filter puts the R class in front, and the S3 methods of the package hang on those.

kerasbridge_classes <- function(classes) {
  known <- the$classes
  if (is.null(known)) {
    return(classes)
  }
  # asked for every object that comes from Python
  key <- paste(classes, collapse = " ")
  found <- the$class_names[[key]]
  if (is.null(found)) {
    found <- worded_classes(classes, known)
    assign(key, found, envir = the$class_names)
  }
  found
}

worded_classes <- function(classes, known) {
  words <- known[intersect(classes, names(known))]
  if (length(words)) {
    return(c(unique(paste0("kerasbridge_", words)), "kerasbridge_object", classes))
  }
  if (any(grepl("^(keras|tensorflow|kerasbridge)\\.", classes))) c(classes[[1]], "kerasbridge_object", classes[-1]) else classes
}

# Attribute of a Python object, converted.
py_attribute <- function(x, name) {
  if (is_mock(x)) {
    return(get0(name, envir = x, inherits = FALSE))
  }
  check_alive(x, "object", rlang::caller_env())
  guard_callable(reticulate::py_to_r(reticulate::py_get_attr(x, name)))
}

# The same, left in Python.
py_part <- function(x, name) reticulate::py_get_attr(x, name)

set_py_attribute <- function(x, name, value) reticulate::py_set_attr(x, name, value)

py_has <- function(x, name) if (is_mock(x)) exists(name, envir = x, inherits = FALSE) else reticulate::py_has_attr(x, name)

is_tensor <- function(x) {
  inherits(x, c("kerasbridge_tensor", "kerasbridge_keras_tensor", "kerasbridge_variable"))
}

is_model <- function(x) inherits(x, "kerasbridge_model")

is_layer <- function(x) inherits(x, "kerasbridge_layer")

is_sequential <- function(x) inherits(x, "kerasbridge_sequential")

# A Sequential has no `input` and `output` of its own before it was called; its ends are known once it
# is built.
#' @export
`$.kerasbridge_sequential` <- function(x, name) {
  if (name %in% c("input", "output") && !is_dead(x)) {
    ends <- py_attribute(x, paste0(name, "s"))
    if (is_tensor(ends)) {
      return(ends)
    }
    if (length(ends)) {
      return(if (length(ends) == 1) ends[[1]] else ends)
    }
    abort_argument("x", paste0("has no `", name, "` yet: it was not built."), "Give it an `input_shape`, or call it on data.")
  }
  NextMethod()
}
