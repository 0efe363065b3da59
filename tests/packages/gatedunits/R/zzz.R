# Keras as a Python module for what has no R function: it loads when it is first touched, not here.
keras <- NULL

.onLoad <- function(libname, pkgname) {
  keras <<- kerasbridge::implementation()
}

# The version of Keras that runs; starts it.
keras_in_use <- function() keras[["__version__"]]
