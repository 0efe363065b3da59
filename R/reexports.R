# Names of other packages that every Keras script in R uses. Those of reticulate are in
# bridge-reexports.R.

#' @importFrom magrittr %>%
#' @export
magrittr::`%>%`

#' @importFrom magrittr %<>%
#' @export
magrittr::`%<>%`

# fit() and compile() are documented with their methods, so that `?fit` leads there.
#' @importFrom generics fit
#' @rawNamespace export(fit)
NULL

#' @importFrom generics compile
#' @rawNamespace export(compile)
NULL
