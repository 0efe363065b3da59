# The package's page and its imports.

#' kerasbridge: Keras and TensorFlow, native in R
#'
#' Describe a model with pipes, hand it arrays, data frames or files, train it on the processor or a
#' graphics card, and save it so that it opens in R and in Python alike.
#'
#' Start with [keras_model_sequential()] and [fit()][fit.kerasbridge_model]; [install_kerasbridge()]
#' makes the Python environment. `library(kerasbridge)` itself starts no Python: the first call that
#' needs Keras does.
#'
#' @section Options and environment variables:
#' * `KERASBRIDGE_VENV`: path of the Python environment to use (default: the one that
#'   [install_kerasbridge()] makes).
#' * `KERAS_BACKEND`: `"tensorflow"`, `"jax"` or `"torch"`, read when Keras starts.
#' * `options(kerasbridge.progress = FALSE)`: no progress output from training, whatever `verbose` says.
#'
#' @keywords internal
"_PACKAGE"

#' @importFrom generics fit compile
#' @importFrom magrittr %>%
#' @importFrom rlang %||%
#' @importFrom stats predict
#' @importFrom R6 R6Class
#' @importFrom rlang .data
#' @importFrom utils str
NULL

# found in the environment of a method, not of this package
utils::globalVariables(c("self", "super", "private", "r6_object", "r6_hook"))
