# Names of other packages that every Keras script in R uses.

#' @importFrom magrittr %>%
#' @export
magrittr::`%>%`

#' @importFrom magrittr %<>%
#' @export
magrittr::`%<>%`

#' @importFrom generics fit
#' @export
generics::fit

#' @importFrom generics compile
#' @export
generics::compile

#' @importFrom reticulate import
#' @export
reticulate::import

#' @importFrom reticulate use_python
#' @export
reticulate::use_python

#' @importFrom reticulate use_virtualenv
#' @export
reticulate::use_virtualenv

#' @importFrom reticulate use_condaenv
#' @export
reticulate::use_condaenv

#' @importFrom reticulate py_to_r
#' @export
reticulate::py_to_r

#' @importFrom reticulate r_to_py
#' @export
reticulate::r_to_py

#' @importFrom reticulate np_array
#' @export
reticulate::np_array

#' @importFrom reticulate tuple
#' @export
reticulate::tuple

#' @importFrom reticulate py_help
#' @export
reticulate::py_help

#' @importFrom reticulate iterate
#' @export
reticulate::iterate

#' @importFrom reticulate iter_next
#' @export
reticulate::iter_next

#' @importFrom reticulate as_iterator
#' @export
reticulate::as_iterator
