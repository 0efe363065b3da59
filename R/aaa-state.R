# The package's mutable state, one environment (named to be read first).

the <- new.env(parent = emptyenv())

# what the running Keras said of itself; empty until it starts
the$started <- FALSE
the$pid <- NULL
# the last Python error, for last_python_error()
the$last_error <- NULL
# conditions raised by R code that Python called, kept until the call comes back to R
the$r_errors <- new.env(parent = emptyenv())
the$r_error_count <- 0L
# warnings of such code, likewise
the$r_warnings <- list()
# R6 classes that were turned into Python classes
the$r6_specs <- list()
# private environments of objects of classes written in R, by key
the$private <- new.env(parent = emptyenv())
