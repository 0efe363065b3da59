# For packages that build on this one: tests that skip.

#' Skip a test where Keras is not available
#'
#' For the tests of packages that build on kerasbridge: the test is skipped, with the reason, where
#' [is_keras_available()] says no. During `R CMD check` that is the case unless the environment variable
#' `KERASBRIDGE_CHECK` is `true`.
#'
#' @inheritParams is_keras_available
#' @param backend Names of backends on which the test makes sense, such as `"tensorflow"`; Keras starts to
#'   find out. `NULL` for any.
#' @return Nothing; signals a condition that testthat takes for a skip.
#' @seealso [mock_engine()] for tests that need no Keras; `vignette("packages")`.
#' @examples
#' if (requireNamespace("testthat", quietly = TRUE)) {
#'   testthat::test_that("a model trains", {
#'     skip_if_no_keras()
#'     model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#'     testthat::expect_equal(count_params(model), 3)
#'   })
#' }
#' @export
skip_if_no_keras <- function(version = NULL, deep = FALSE, backend = NULL) {
  frame <- rlang::current_env()
  if (!requireNamespace("testthat", quietly = TRUE)) {
    abort_kind("install", "`skip_if_no_keras()` is for tests: it needs the package testthat.", call = frame)
  }
  if (!is_keras_available(version, deep)) {
    wanted <- if (is.null(version)) "Keras" else paste("Keras", version)
    testthat::skip(paste(wanted, "is not available"))
  }
  if (!is.null(backend)) {
    if (!is.character(backend) || anyNA(backend)) {
      abort_argument("backend", paste0("must be names of backends, not ", describe_value(backend), "."), call = frame)
    }
    if (!kerasbridge_info()$backend %in% backend) {
      testthat::skip(paste("The backend is", kerasbridge_info()$backend))
    }
  }
  invisible()
}
