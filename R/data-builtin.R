# The datasets that Keras downloads, each as list(train = list(x, y), test = list(x, y)).

#' Image datasets
#'
#' Small images with their classes, ready to learn with. Keras downloads each once and keeps it in its
#' cache.
#'
#' * `dataset_mnist()`: handwritten digits, 28 by 28 grey pixels; 60,000 to train, 10,000 to test.
#' * `dataset_fashion_mnist()`: the same format with ten kinds of clothing.
#' * `dataset_cifar10()`: 32 by 32 pixels in colour, ten classes; 50,000 to train, 10,000 to test.
#' * `dataset_cifar100()`: the same format with 100 classes, or 20 groups of classes.
#'
#' @param path File name of the cached copy.
#' @param label_mode `"fine"` for 100 classes, `"coarse"` for 20 groups.
#' @return `list(train = list(x, y), test = list(x, y))`: `x` an integer array of pixels from 0 to 255,
#'   the images along its first axis; `y` class numbers, counted from 0.
#' @seealso [dataset_imdb()], [dataset_boston_housing()]
#' @examples
#' \dontrun{
#' mnist <- dataset_mnist()
#' dim(mnist$train$x)
#' cifar100 <- dataset_cifar100(label_mode = "coarse")
#' table(cifar100$test$y)
#' }
#' @export
dataset_mnist <- function(path = "mnist.npz") {
  as_train_test(wrap_function("keras.datasets.mnist.load_data", environment(), c(path = "string")))
}

#' @rdname dataset_mnist
#' @export
dataset_fashion_mnist <- function() {
  as_train_test(wrap_function("keras.datasets.fashion_mnist.load_data", environment(), character()))
}

#' @rdname dataset_mnist
#' @export
dataset_cifar10 <- function() {
  as_train_test(wrap_function("keras.datasets.cifar10.load_data", environment(), character()))
}

#' @rdname dataset_mnist
#' @export
dataset_cifar100 <- function(label_mode = "fine") {
  label_mode <- rlang::arg_match0(label_mode, c("fine", "coarse"))
  as_train_test(wrap_function(
    "keras.datasets.cifar100.load_data", environment(), c(label_mode = "string")
  ))
}

#' House price datasets
#'
#' Districts with a few numeric features and their median house value. Keras downloads each once and
#' keeps it in its cache.
#'
#' * `dataset_california_housing()`: 8 features of 20,640 blocks in the census of 1990, or of 600 of
#'   them; prices in dollars.
#' * `dataset_boston_housing()`: 13 features of 506 districts in the 1970s; prices in thousands of
#'   dollars. One of its features makes assumptions about race: better take the other one.
#'
#' @param path File name of the cached copy.
#' @param version `"large"`, or `"small"` for 600 rows.
#' @param test_split Share of rows kept for testing.
#' @param seed Whole number that fixes how rows are shuffled before the split.
#' @return `list(train = list(x, y), test = list(x, y))`: `x` a matrix with one row a district, `y` the
#'   prices.
#' @seealso [dataset_mnist()]
#' @examples
#' \dontrun{
#' housing <- dataset_california_housing(version = "small")
#' dim(housing$train$x)
#' }
#' @export
dataset_boston_housing <- function(path = "boston_housing.npz", test_split = 0.2, seed = 113L) {
  as_train_test(wrap_function(
    "keras.datasets.boston_housing.load_data", environment(),
    c(path = "string", test_split = "num", seed = "int")
  ))
}

#' @rdname dataset_boston_housing
#' @export
dataset_california_housing <- function(version = "large", path = "california_housing.npz",
                                       test_split = 0.2, seed = 113L) {
  version <- rlang::arg_match0(version, c("large", "small"))
  as_train_test(wrap_function(
    "keras.datasets.california_housing.load_data", environment(),
    c(version = "string", path = "string", test_split = "num", seed = "int")
  ))
}

#' Text datasets
#'
#' Texts as vectors of word numbers: the more frequent a word, the lower its number. Keras downloads
#' each once and keeps it in its cache. [pad_sequences()] brings them to one length.
#'
#' * `dataset_imdb()`: 25,000 film reviews to train and as many to test; 0 negative, 1 positive.
#' * `dataset_reuters()`: 11,228 newswires in 46 topics, see [dataset_reuters_label_names()].
#'
#' [dataset_imdb_word_index()] and [dataset_reuters_word_index()] say which number is which word,
#' before `index_from` is added.
#'
#' @param path File name of the cached copy.
#' @param num_words Keep this many of the most frequent words, the others become `oov_char`; NULL
#'   keeps all.
#' @param skip_top Number of the most frequent words to leave out.
#' @param maxlen Drop texts longer than this; NULL drops none.
#' @param test_split Share of texts kept for testing.
#' @param seed Whole number that fixes how texts are shuffled.
#' @param start_char Number that marks the start of each text.
#' @param oov_char Number in place of words that are left out.
#' @param index_from Added to all word numbers, so that small ones are free for markers.
#' @return `list(train = list(x, y), test = list(x, y))`: `x` a list of integer vectors, `y` class
#'   numbers, counted from 0.
#' @seealso [dataset_mnist()]
#' @examples
#' \dontrun{
#' imdb <- dataset_imdb(num_words = 1000)
#' x <- pad_sequences(imdb$train$x, maxlen = 100)
#' }
#' @export
dataset_imdb <- function(path = "imdb.npz", num_words = NULL, skip_top = 0L, maxlen = NULL,
                         seed = 113L, start_char = 1L, oov_char = 2L, index_from = 3L) {
  types <- text_dataset_types[setdiff(names(text_dataset_types), "test_split")]
  as_train_test(wrap_function("keras.datasets.imdb.load_data", environment(), types))
}

#' @rdname dataset_imdb
#' @export
dataset_reuters <- function(path = "reuters.npz", num_words = NULL, skip_top = 0L, maxlen = NULL,
                            test_split = 0.2, seed = 113L, start_char = 1L, oov_char = 2L,
                            index_from = 3L) {
  as_train_test(wrap_function("keras.datasets.reuters.load_data", environment(), text_dataset_types))
}

text_dataset_types <- c(
  path = "string", num_words = "int", skip_top = "int", maxlen = "int", test_split = "num",
  seed = "int", start_char = "int", oov_char = "int", index_from = "int"
)

# Keras' pairs of pairs under the names that R users expect.
as_train_test <- function(splits) {
  part <- \(pair) list(x = plain_texts(pair[[1]]), y = pair[[2]])
  list(train = part(splits[[1]]), test = part(splits[[2]]))
}

# Texts cross as a list with a dim, a text of no words as an empty list.
plain_texts <- function(x) if (is.list(x)) lapply(x, \(text) as.integer(unlist(text))) else x
