# Data sets whose batches an R function makes by number.

#' Data sets made by a function
#'
#' A data set of known length whose batches an R function makes when they are wanted: rows read from files, a
#' data base, a simulation. Give it to `fit()`, `evaluate()` or `predict()` as `x`, or to `fit()` as
#' `validation_data`; no number of steps is needed.
#'
#' Each pass over the data asks for every number once. With `workers` above 1 in
#' [fit()][fit.kerasbridge_model] the function runs in that many R processes at a time, in which each batch
#' gets the numbers that it would get without; what the function finds in the global environment and attached
#' packages are sent along.
#'
#' @param length Number of batches; with `batch_size`, of samples.
#' @param batch A function of one argument that returns a batch: `list(x, y)`, `list(x, y, weights)` or, for
#'   prediction, `list(x)`. It gets the number of the batch, from 1; with `batch_size` the numbers of the samples
#'   of a batch, an integer vector.
#' @param batch_size Samples a batch; `NULL` if `batch` is asked for whole batches.
#' @param shuffle A new random order for each pass. Ignored by `evaluate()`, `predict()` and validation.
#' @param seed A whole number that fixes the orders; by default drawn from R's random numbers.
#' @return An object of class `kerasbridge_r_dataset`. `length()` of it is the number of batches.
#' @examplesIf is_keras_available()
#' x <- matrix(runif(200), 100)
#' data <- dataset_from_function(100, \(i) list(x[i, , drop = FALSE], rowSums(x)[i]), batch_size = 10)
#' length(data)
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' model |> compile(optimizer = "sgd", loss = "mse")
#' fit(model, data, epochs = 2, verbose = 0)
#' @export
dataset_from_function <- function(length, batch, batch_size = NULL, shuffle = TRUE, seed = NULL) {
  frame <- rlang::current_env()
  length <- as_count(length, "length", frame)
  if (!is.function(batch) || is_python(batch)) {
    abort_argument("batch", paste0("must be a function of the number of a batch, not ", describe_value(batch), "."), call = frame)
  }
  structure(
    list(
      length = length, batch = batch, batch_size = as_count(batch_size, "batch_size", frame),
      shuffle = as_bool_arg(shuffle, "shuffle", frame),
      seed = if (is.null(seed)) sample.int(.Machine$integer.max, 1) else as_int_arg(seed, "seed", frame)
    ),
    class = "kerasbridge_r_dataset"
  )
}

is_r_dataset <- function(x) inherits(x, "kerasbridge_r_dataset")

#' @export
length.kerasbridge_r_dataset <- function(x) {
  x <- unclass(x)
  as.integer(ceiling(x$length / (x$batch_size %||% 1)))
}

#' @export
print.kerasbridge_r_dataset <- function(x, ...) {
  n <- length(x)
  cat(sprintf("<data set made by a function: %d batch%s>\n", n, if (n == 1) "" else "es"))
  invisible(x)
}

# Batch `k`, counted from 0, running on over the passes.
batch_at <- function(x, k) {
  x$batch(batch_index(x, k))
}

batch_index <- function(x, k) {
  n <- length(x)
  order <- if (x$shuffle) pass_order(unclass(x)$length, x$seed, k %/% n) else seq_len(unclass(x)$length)
  size <- x$batch_size %||% 1L
  first <- (k %% n) * size
  order[seq.int(first + 1L, min(first + size, unclass(x)$length))]
}

# The order of a pass, the same in every process, whatever the state of R's random numbers.
pass_order <- function(length, seed, pass) {
  key <- paste(length, seed, pass)
  if (!identical(the$pass_key, key)) {
    the$pass_order <- with_own_seed(seed, pass, sample.int(length))
    the$pass_key <- key
  }
  the$pass_order
}

with_own_seed <- function(seed, pass, expr) {
  before <- get0(".Random.seed", envir = globalenv(), inherits = FALSE)
  kinds <- RNGkind()
  on.exit({
    do.call(RNGkind, as.list(kinds))
    if (is.null(before)) rm(".Random.seed", envir = globalenv()) else assign(".Random.seed", before, envir = globalenv())
  })
  RNGkind("Mersenne-Twister", "Inversion", "Rejection")
  set.seed((seed + 7919 * pass) %% .Machine$integer.max)
  expr
}

# The data set as a generator: a function without arguments.
dataset_generator <- function(x, shuffle = x$shuffle) {
  x$shuffle <- shuffle
  k <- -1L
  function() {
    k <<- k + 1L
    batch_at(x, k)
  }
}
