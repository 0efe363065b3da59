# reticulate's functions that Keras scripts use, under their own names. They are passed on when they
# are called, so that loading this package doesn't load reticulate and what it needs.

#' Functions of reticulate
#'
#' Passed on to the package reticulate: choosing a Python, importing modules, converting objects. Those
#' that start Python start it in the environment that this package uses. See the page of the same name there, for instance [reticulate::use_virtualenv()].
#'
#' @param python,virtualenv,condaenv,conda,required Which interpreter or environment to use.
#' @param module,as,convert,delay_load What to import, and whether results become R values.
#' @param x,data,type,order,object,it,f,completed,simplify,... As in reticulate.
#' @return As in reticulate.
#' @examplesIf is_keras_available()
#' np <- import("numpy")
#' np$arange(3L)
#' @name reticulate-functions
NULL

#' @rdname reticulate-functions
#' @export
use_python <- function(python, required = NULL) reticulate::use_python(python, required %||% TRUE)

#' @rdname reticulate-functions
#' @export
use_virtualenv <- function(virtualenv = NULL, required = NULL) reticulate::use_virtualenv(virtualenv, required %||% TRUE)

#' @rdname reticulate-functions
#' @export
use_condaenv <- function(condaenv = NULL, conda = "auto", required = NULL) {
  reticulate::use_condaenv(condaenv, conda, required %||% TRUE)
}

#' @rdname reticulate-functions
#' @export
import <- function(module, as = NULL, convert = TRUE, delay_load = FALSE) {
  if (isFALSE(delay_load)) {
    bridge_environment()
  }
  reticulate::import(module, as = as, convert = convert, delay_load = delay_load)
}

#' @rdname reticulate-functions
#' @export
py_to_r <- function(x) reticulate::py_to_r(x)

#' @rdname reticulate-functions
#' @export
r_to_py <- function(x, convert = FALSE) {
  bridge_environment()
  reticulate::r_to_py(x, convert)
}

#' @rdname reticulate-functions
#' @export
np_array <- function(data, type = NULL, order = "C") {
  bridge_environment()
  reticulate::np_array(data, type, order)
}

#' @rdname reticulate-functions
#' @export
tuple <- function(..., convert = FALSE) {
  bridge_environment()
  reticulate::tuple(..., convert = convert)
}

#' @rdname reticulate-functions
#' @export
py_help <- function(object) reticulate::py_help(object)

#' @rdname reticulate-functions
#' @export
iterate <- function(it, f = base::identity, simplify = TRUE) reticulate::iterate(it, f, simplify)

#' @rdname reticulate-functions
#' @export
iter_next <- function(it, completed = NULL) reticulate::iter_next(it, completed)

#' @rdname reticulate-functions
#' @export
as_iterator <- function(x) reticulate::as_iterator(x)
