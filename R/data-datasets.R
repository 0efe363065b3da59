# The classic data sets. Reading and downloading is kerasbridge/data/datasets.py.

load_dataset <- function(name, arguments, frame) {
  parts <- bridge_do("load_dataset", name = name, arguments = tagged(arguments, "dict"), call = frame)
  tidy <- \(part) if (is.list(part)) unflat(part) else if (length(dim(part)) == 1) as.vector(part) else part
  parts <- lapply(parts, tidy)
  list(train = list(x = parts[[1]], y = parts[[2]]), test = list(x = parts[[3]], y = parts[[4]]))
}

#' Classic data sets
#'
#' Data sets on which methods are compared: handwritten digits (`dataset_mnist()`), clothes
#' (`dataset_fashion_mnist()`), small colour pictures of 10 or 100 classes (`dataset_cifar10()`,
#' `dataset_cifar100()`), film reviews (`dataset_imdb()`), newswires (`dataset_reuters()`) and house prices
#' (`dataset_boston_housing()`, `dataset_california_housing()`).
#'
#' Files are looked up in the folder `datasets` of Keras, which lies in `~/.keras` or where the
#' environment variable `KERAS_HOME` says, and are downloaded into it once if they are not there. A
#' download is checked by its SHA-256 sum. Without a network the error says which address to fetch,
#' where to put the file, and what its sum is. [dataset_digits()] needs no download.
#'
#' The Boston data have a column built on ethnic composition and are kept for comparison with older work
#' only; the California data are the better choice.
#'
#' @param path File name in that folder, or the full path of a file; for `dataset_fashion_mnist()` of a folder with
#'   its four files. `NULL` is the usual name.
#' @param label_mode `"fine"` for 100 classes, `"coarse"` for 20 groups of them.
#' @param num_words Keep words numbered below this, the most frequent ones; others become `oov_char`.
#' @param skip_top Leave out this many of the most frequent words.
#' @param maxlen Leave out texts with this many words or more.
#' @param seed A whole number that fixes the order of the rows.
#' @param start_char A number that stands before each text; `NULL` for none.
#' @param oov_char What stands for words left out; `NULL` drops them.
#' @param index_from Word numbers start above this one.
#' @param test_split Share of the rows for testing.
#' @param version `"large"` for all 20,640 districts, `"small"` for 600.
#' @return A list of `train` and `test`, each a list of `x` and `y`. Images are integer arrays of shape
#'   (n, height, width) or (n, height, width, 3) with values from 0 to 255, texts are lists of integer vectors
#'   of word numbers, prices are numbers. Classes count from 0.
#' @seealso [dataset_imdb_word_index()] and [dataset_reuters_word_index()] for the words.
#' @examplesIf is_keras_available()
#' \dontrun{
#' c(c(x_train, y_train), c(x_test, y_test)) %<-% dataset_mnist()
#' dim(x_train)
#' }
#' @name classic_datasets
NULL

#' @rdname classic_datasets
#' @export
dataset_mnist <- function(path = "mnist.npz") {
  frame <- rlang::current_env()
  load_dataset("mnist", list(path = as_path_arg(path, "path", frame)), frame)
}

#' @rdname classic_datasets
#' @export
dataset_fashion_mnist <- function(path = "fashion-mnist") {
  frame <- rlang::current_env()
  load_dataset("fashion_mnist", list(path = as_path_arg(path, "path", frame)), frame)
}

#' @rdname classic_datasets
#' @export
dataset_cifar10 <- function(path = NULL) {
  frame <- rlang::current_env()
  load_dataset("cifar10", list(path = if (!is.null(path)) as_path_arg(path, "path", frame)), frame)
}

#' @rdname classic_datasets
#' @export
dataset_cifar100 <- function(label_mode = c("fine", "coarse"), path = NULL) {
  frame <- rlang::current_env()
  arguments <- list(label_mode = rlang::arg_match(label_mode), path = if (!is.null(path)) as_path_arg(path, "path", frame))
  load_dataset("cifar100", arguments, frame)
}

#' @rdname classic_datasets
#' @export
dataset_imdb <- function(path = "imdb.npz", num_words = NULL, skip_top = 0L, maxlen = NULL, seed = 113L,
                         start_char = 1L, oov_char = 2L, index_from = 3L) {
  frame <- rlang::current_env()
  load_dataset("imdb", word_arguments(frame), frame)
}

#' @rdname classic_datasets
#' @export
dataset_reuters <- function(path = "reuters.npz", num_words = NULL, skip_top = 0L, maxlen = NULL, test_split = 0.2,
                            seed = 113L, start_char = 1L, oov_char = 2L, index_from = 3L) {
  frame <- rlang::current_env()
  check_fraction(test_split, "test_split", frame)
  load_dataset("reuters", c(word_arguments(frame), list(test_split = as.double(test_split))), frame)
}

word_arguments <- function(frame) {
  least <- c(num_words = 1, skip_top = 0, maxlen = 1, seed = 0, start_char = 0, oov_char = 0, index_from = 0)
  numbers <- lapply(rlang::set_names(names(least)), \(name) as_count(get(name, frame), name, frame, least[[name]]))
  c(list(path = as_path_arg(get("path", frame), "path", frame)), numbers)
}

#' @rdname classic_datasets
#' @export
dataset_boston_housing <- function(path = "boston_housing.npz", test_split = 0.2, seed = 113L) {
  frame <- rlang::current_env()
  check_fraction(test_split, "test_split", frame)
  arguments <- list(path = as_path_arg(path, "path", frame), test_split = as.double(test_split), seed = as_count(seed, "seed", frame, least = 0))
  load_dataset("boston_housing", arguments, frame)
}

#' @rdname classic_datasets
#' @export
dataset_california_housing <- function(version = c("large", "small"), path = "california_housing.npz", test_split = 0.2, seed = 113L) {
  frame <- rlang::current_env()
  check_fraction(test_split, "test_split", frame)
  arguments <- list(
    version = rlang::arg_match(version), path = as_path_arg(path, "path", frame),
    test_split = as.double(test_split), seed = as_count(seed, "seed", frame, least = 0)
  )
  load_dataset("california_housing", arguments, frame)
}
