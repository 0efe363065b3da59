# The package's mutable state, one environment (named to be read first).

the <- new.env(parent = emptyenv())

# what the running Keras said of itself; empty until it starts
the$started <- FALSE
the$pid <- NULL
# whether mock_engine() stands in for Python, and how often it made up each name
the$mock <- FALSE
the$mock_names <- list()
# the last Python error, for last_python_error()
the$last_error <- NULL
# conditions raised by R code that Python called, kept until the call comes back to R
the$r_errors <- new.env(parent = emptyenv())
the$r_error_count <- 0L
# copies of models beside their R objects, by key, and the time spent on them (see save-keep.R)
the$kept <- list()
the$keep_seconds <- 0
the$loaded <- 0
# what in this session set KERAS_BACKEND, for keras_settings()
the$backend_by <- NULL
# models loaded with `cached = TRUE`
the$loaded_models <- list()
# R code that Python called was left by a jump: list(condition), until the call comes back
the$jump <- NULL
# whether restarts stand around the call of Python that goes on
the$outer_restarts <- FALSE
# functions inside of base's tryCatch() and withRestarts(), see base_insides()
the$insides <- NULL
# R6 classes that were turned into Python classes
the$r6_specs <- list()
# classes of Python objects -> those that R gives them, as they came up
the$class_names <- new.env(parent = emptyenv())
# private environments of objects of classes written in R, by key
the$private <- new.env(parent = emptyenv())
