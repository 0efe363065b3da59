# Seeds.

#' One seed for R, Python, NumPy, Keras and its backend
#'
#' @param seed Whole number from 0.
#' @return The seed, invisibly.
#' @examplesIf is_keras_available()
#' set_random_seed(42)
#' @export
set_random_seed <- function(seed) {
  frame <- rlang::current_env()
  seed <- as_count(seed, "seed", frame, least = 0)
  set.seed(seed)
  bridge_do("set_random_seed", seed = seed, call = frame)
  invisible(seed)
}
