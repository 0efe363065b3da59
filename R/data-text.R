# Texts to numbers: the tokenizer and its relatives. The engine is kerasbridge/data/text.py.

text_filters <- "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n"

#' Texts to word numbers
#'
#' `text_tokenizer()` makes a tokenizer, `fit_text_tokenizer()` lets it learn which words there are, the
#' others turn texts into word numbers or into matrices of word counts. In new models
#' [layer_text_vectorization()] does the same inside the model, which then takes raw text.
#'
#' Words are numbered from 1, the most frequent first; 0 is left for padding. A tokenizer remembers
#' everything it has learnt: `fit_text_tokenizer()` changes it in place, and calling it again adds to
#' what it knows. Its fields can be read with `$`: `word_index` (a named list word = number),
#' `index_word`, `word_counts`, `word_docs`, `index_docs`, `document_count`, `num_words`, `filters`,
#' `lower`, `split`, `char_level`, `oov_token`.
#'
#' @param num_words Word numbers from this one on are left out, so that the `num_words - 1` most
#'   frequent words are used; `NULL` keeps all.
#' @param filters Characters that separate words as `split` does, as one string.
#' @param lower Turn the text into lower case first.
#' @param split What separates words.
#' @param char_level Take characters instead of words.
#' @param oov_token A token for words that are not known, which gets the number 1; `NULL` leaves such
#'   words out.
#' @param object,tokenizer A tokenizer.
#' @param x,texts Texts: a character vector or a list of strings. A list with an element of another
#'   length than one holds texts that are split into tokens already. `fit_text_tokenizer()` also takes a
#'   function that returns the next texts each time it is called, and `NULL` at the end.
#' @param mode What the matrix holds: `"binary"` (1 where a word occurs), `"count"`, `"freq"` (count by
#'   length of the text) or `"tfidf"`: `(1 + log(count)) * log(1 + n / (1 + n_with_word))`.
#' @param sequences A list of integer vectors, as `texts_to_sequences()` returns.
#' @return `text_tokenizer()` and `fit_text_tokenizer()`: the tokenizer. `texts_to_sequences()`: a list of
#'   integer vectors. `texts_to_sequences_generator()`: a function that returns the next of these vectors
#'   each time it is called, and `NULL` after the last. `texts_to_matrix()` and `sequences_to_matrix()`: a
#'   matrix with a row for each text and a column for each word number from 0 on.
#' @examplesIf is_keras_available()
#' texts <- c("The cat sat.", "The dog sat on the cat.")
#' tokenizer <- text_tokenizer() |> fit_text_tokenizer(texts)
#' tokenizer$word_index$cat
#' texts_to_sequences(tokenizer, texts)
#' texts_to_matrix(tokenizer, texts, mode = "count")
#' @export
text_tokenizer <- function(num_words = NULL, filters = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n",
                           lower = TRUE, split = " ", char_level = FALSE, oov_token = NULL) {
  frame <- rlang::current_env()
  bridge_do(
    "tokenizer_new",
    num_words = as_count(num_words, "num_words", frame),
    filters = as_string_arg(filters, "filters", frame),
    lower = as_bool_arg(lower, "lower", frame),
    split = as_string_arg(split, "split", frame),
    char_level = as_bool_arg(char_level, "char_level", frame),
    oov_token = convert_arg(oov_token, "string", "oov_token", frame),
    call = frame
  )
}

#' @rdname text_tokenizer
#' @export
fit_text_tokenizer <- function(object, x) {
  frame <- rlang::current_env()
  check_tokenizer(object, "object", frame)
  if (is.function(x)) {
    while (!is.null(texts <- x())) {
      count_texts(object, texts, "x", frame)
    }
  } else {
    count_texts(object, x, "x", frame)
  }
  bridge_do("tokenizer_number", tokenizer = object, call = frame)
  invisible(object)
}

count_texts <- function(tokenizer, texts, arg, call) {
  texts <- as_texts_arg(texts, arg, call)
  bridge_do("tokenizer_count", tokenizer = tokenizer, texts = texts$texts, lengths = texts$lengths, call = call)
}

#' @rdname text_tokenizer
#' @export
texts_to_sequences <- function(tokenizer, texts) {
  frame <- rlang::current_env()
  check_tokenizer(tokenizer, "tokenizer", frame)
  texts <- as_texts_arg(texts, "texts", frame)
  unflat(bridge_do("tokenizer_sequences", tokenizer = tokenizer, texts = texts$texts, lengths = texts$lengths, call = frame))
}

#' @rdname text_tokenizer
#' @export
texts_to_sequences_generator <- function(tokenizer, texts) {
  frame <- rlang::current_env()
  check_tokenizer(tokenizer, "tokenizer", frame)
  as_texts_arg(texts, "texts", frame)
  position <- 0L
  function() {
    if (position == length(texts)) {
      return(NULL)
    }
    position <<- position + 1L
    texts_to_sequences(tokenizer, texts[position])[[1]]
  }
}

#' @rdname text_tokenizer
#' @export
texts_to_matrix <- function(tokenizer, texts, mode = c("binary", "count", "tfidf", "freq")) {
  frame <- rlang::current_env()
  check_tokenizer(tokenizer, "tokenizer", frame)
  mode <- rlang::arg_match(mode)
  texts <- as_texts_arg(texts, "texts", frame)
  bridge_do(
    "tokenizer_texts_matrix",
    tokenizer = tokenizer, texts = texts$texts, lengths = texts$lengths, mode = mode, call = frame
  )
}

#' @rdname text_tokenizer
#' @export
sequences_to_matrix <- function(tokenizer, sequences, mode = c("binary", "count", "tfidf", "freq")) {
  frame <- rlang::current_env()
  check_tokenizer(tokenizer, "tokenizer", frame)
  mode <- rlang::arg_match(mode)
  flat <- flat_sequences(sequences, "sequences", frame)
  if (!is_whole(flat$values)) {
    abort_argument("sequences", "must hold word numbers: whole, from 0.", call = frame)
  }
  storage.mode(flat$values) <- "integer"
  bridge_do(
    "tokenizer_matrix",
    tokenizer = tokenizer, values = as_array(flat$values), lengths = as_array(flat$lengths), mode = mode, call = frame
  )
}

#' Store a tokenizer
#'
#' `save_text_tokenizer()` writes a tokenizer to a file of JSON text, `load_text_tokenizer()` reads it.
#' Such a file holds words and numbers only: nothing in it is run. Files that older versions of R's Keras
#' packages wrote hold Python code instead and are refused.
#'
#' @param object A tokenizer, see [text_tokenizer()].
#' @param filename Path of the file.
#' @return `save_text_tokenizer()`: the tokenizer, invisibly. `load_text_tokenizer()`: a tokenizer.
#' @examplesIf is_keras_available()
#' file <- tempfile(fileext = ".json")
#' text_tokenizer() |> fit_text_tokenizer("good day") |> save_text_tokenizer(file)
#' load_text_tokenizer(file)$word_index
#' @export
save_text_tokenizer <- function(object, filename) {
  frame <- rlang::current_env()
  check_tokenizer(object, "object", frame)
  bridge_do("save_tokenizer", tokenizer = object, path = as_path_arg(filename, "filename", frame), call = frame)
  invisible(object)
}

#' @rdname save_text_tokenizer
#' @export
load_text_tokenizer <- function(filename) {
  frame <- rlang::current_env()
  bridge_do("load_tokenizer", path = as_path_arg(filename, "filename", frame), call = frame)
}

#' The words of a text
#'
#' `text_to_word_sequence()` splits a text into words. `text_hashing_trick()` and `text_one_hot()` also
#' give each word a number from 1 to `n - 1` by its hash, without learning a vocabulary; different words
#' may get the same number. In new models use [layer_text_vectorization()] or [layer_hashing()].
#'
#' @inheritParams text_tokenizer
#' @param text,input_text One string.
#' @param n Size of the hash space: numbers lie below it.
#' @param hash_function An R function that turns a word into a whole number. `NULL` or `"md5"` uses the
#'   MD5 digest of the word, which is the same in every session.
#' @return `text_to_word_sequence()`: a character vector. The others: an integer vector with a number
#'   for each word.
#' @examplesIf is_keras_available()
#' text_to_word_sequence("Good day, sunshine!")
#' text_one_hot("good day good night", n = 1000)
#' @export
text_to_word_sequence <- function(text, filters = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n",
                                  lower = TRUE, split = " ") {
  frame <- rlang::current_env()
  as.character(bridge_do(
    "text_words",
    text = as_string_arg(text, "text", frame), filters = as_string_arg(filters, "filters", frame),
    lower = as_bool_arg(lower, "lower", frame), split = as_string_arg(split, "split", frame), call = frame
  ))
}

#' @rdname text_to_word_sequence
#' @export
text_one_hot <- function(input_text, n, filters = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n", lower = TRUE,
                         split = " ", text = NULL) {
  frame <- rlang::current_env()
  if (!is.null(text)) {
    if (!missing(input_text)) {
      abort_argument("text", "is the older name of `input_text`, which is given too.", call = frame)
    }
    input_text <- text
  }
  hashed_words(input_text, n, NULL, filters, lower, split, "input_text", frame)
}

#' @rdname text_to_word_sequence
#' @export
text_hashing_trick <- function(text, n, hash_function = NULL,
                               filters = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n", lower = TRUE, split = " ") {
  frame <- rlang::current_env()
  hashed_words(text, n, hash_function, filters, lower, split, "text", frame)
}

hashed_words <- function(text, n, hash_function, filters, lower, split, arg, frame) {
  if (identical(hash_function, "md5")) {
    hash_function <- NULL
  }
  as.vector(bridge_do(
    "text_hashing_trick",
    text = as_string_arg(text, arg, frame), n = as_count(n, "n", frame, least = 2),
    filters = as_string_arg(filters, "filters", frame), lower = as_bool_arg(lower, "lower", frame),
    split = as_string_arg(split, "split", frame),
    hash_function = convert_arg(hash_function, "function", "hash_function", frame), call = frame
  ))
}

#' @export
print.kerasbridge.data.text.Tokenizer <- function(x, ...) {
  if (is.null(x$num_words)) {
    limit <- "all"
  } else {
    limit <- paste("those numbered below", x$num_words)
  }
  cat(sprintf("<text tokenizer: %d tokens from %d texts, %s used>\n", length(x$word_index), x$document_count, limit))
  invisible(x)
}

check_tokenizer <- function(x, arg, call) {
  check_alive(x, arg, call)
  if (!inherits(x, "kerasbridge.data.text.Tokenizer")) {
    abort_argument(arg, paste0("must be a tokenizer, not ", describe_value(x), "."), "`text_tokenizer()` makes one.", call = call)
  }
}

# Texts on their way to Python: a list of strings, or the tokens of all texts in a row and their number.
as_texts_arg <- function(x, arg, call) {
  if (is.list(x) && !is.data.frame(x)) {
    text <- vapply(x, is.character, NA)
    if (!all(text)) {
      abort_argument(arg, sprintf("must hold strings; element %d is %s.", which(!text)[[1]], describe_value(x[[which(!text)[[1]]]])), call = call)
    }
    refuse_na_list(x, arg, call)
    if (all(lengths(x) == 1)) {
      return(as_texts_arg(as.character(unlist(x)), arg, call))
    }
    tokens <- as.character(unlist(x, use.names = FALSE))
    return(list(texts = as_utf8_list(tokens), lengths = as_array(lengths(x, use.names = FALSE))))
  }
  if (!is.character(x)) {
    abort_argument(arg, paste0("must be texts (a character vector or a list of strings), not ", describe_value(x), "."), call = call)
  }
  refuse_na(as.vector(x), arg, call)
  list(texts = as_utf8_list(x), lengths = NULL)
}

as_utf8_list <- function(x) tagged(as.list(enc2utf8(as.vector(unname(x)))), "list")
