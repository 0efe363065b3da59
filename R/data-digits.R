# The digits that ship with the package.

#' 1,797 handwritten digits
#'
#' Images of 8 x 8 points with grey values from 0 to 16, split into training and test rows. They ship
#' with the package: nothing is downloaded, no Python is started.
#'
#' Source: the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, UCI
#' Machine Learning Repository, \doi{10.24432/C50P49}), licence CC BY 4.0.
#'
#' @param test_split Part of the images that goes to the test set, from 0 to 1: every so many-th image
#'   at random.
#' @param seed Seed of that choice; `NULL` takes the last rows instead of random ones. The random
#'   numbers of the session are left as they are.
#' @return A list of `train` and `test`, each a list of `x`, an integer array of shape (n, 8, 8), and
#'   `y`, an integer vector of labels from 0 to 9.
#' @examples
#' digits <- dataset_digits()
#' dim(digits$train$x)
#' table(digits$test$y)
#' @export
dataset_digits <- function(test_split = 1 / 3, seed = 1) {
  frame <- rlang::current_env()
  check_fraction(test_split, "test_split", frame)
  path <- system.file("extdata", "digits.csv.gz", package = "kerasbridge", mustWork = TRUE)
  table <- as.matrix(utils::read.csv(path, header = FALSE, colClasses = "integer"))
  x <- aperm(array(t(table[, 1:64]), c(8, 8, nrow(table))), c(3, 2, 1))
  y <- unname(table[, 65])
  n <- nrow(table)
  n_test <- round(n * test_split)
  test <- if (is.null(seed)) {
    seq(n - n_test + 1, length.out = n_test)
  } else {
    sort(with_local_seed(as_int_arg(seed, "seed", frame), sample.int(n, n_test)))
  }
  train <- setdiff(seq_len(n), test)
  list(
    train = list(x = x[train, , , drop = FALSE], y = y[train]),
    test = list(x = x[test, , , drop = FALSE], y = y[test])
  )
}

# Evaluate with a seed of its own and leave the session's random numbers untouched.
with_local_seed <- function(seed, code) {
  old <- get0(".Random.seed", globalenv(), inherits = FALSE)
  on.exit({
    if (is.null(old)) {
      rm(".Random.seed", envir = globalenv())
    } else {
      assign(".Random.seed", old, envir = globalenv())
    }
  })
  set.seed(seed)
  code
}
