# Sequences: padding, skip-grams, windows over a series. The engine is kerasbridge/data/sequences.py.

#' Sequences of one length
#'
#' Cuts or fills each sequence so that all have the same length and make one matrix.
#'
#' @param sequences A list of vectors (numbers, or strings with `dtype = "string"`), or of matrices with
#'   a row for each step; also a single vector, which is one sequence.
#' @param maxlen The common length; that of the longest sequence if `NULL`.
#' @param dtype Type of the result: `"int32"`, `"float32"`, `"string"`, ... Sequences with fractions need
#'   a float type.
#' @param padding Side that is filled: `"pre"` or `"post"`.
#' @param truncating Side that is cut: `"pre"` or `"post"`.
#' @param value What fills.
#' @return A matrix with a row for each sequence; an array of three axes for a list of matrices.
#' @examplesIf is_keras_available()
#' pad_sequences(list(1:2, 1:5), maxlen = 4)
#' pad_sequences(list(1:2, 1:5), maxlen = 4, padding = "post", truncating = "post")
#' @export
pad_sequences <- function(sequences, maxlen = NULL, dtype = "int32", padding = "pre", truncating = "pre", value = 0) {
  frame <- rlang::current_env()
  if (is.matrix(sequences) && !is_python(sequences)) {
    sequences <- lapply(seq_len(nrow(sequences)), \(i) sequences[i, ])
  }
  nested <- is.list(sequences) && any(vapply(sequences, \(s) length(dim(s)) > 1, NA))
  if (nested) {
    refuse_na_list(sequences, "sequences", frame)
    values <- tagged(lapply(unname(sequences), \(s) tagged(unname(s), "tensor", dtype = "float64")), "list")
    flat_lengths <- NULL
  } else {
    flat <- flat_sequences(sequences, "sequences", frame)
    values <- if (is.character(flat$values)) as_utf8_list(flat$values) else as_array(flat$values)
    flat_lengths <- as_array(flat$lengths)
    if (is.character(flat$values) && !dtype %in% c("string", "str", "object")) {
      abort_argument("dtype", paste0("is ", describe_value(dtype), ", but the sequences hold text."), "Use `dtype = \"string\"`.", call = frame)
    }
  }
  if (length(value) != 1 || is.na(value)) {
    abort_argument("value", paste0("must be one number or string, not ", describe_value(value), "."), call = frame)
  }
  if (dtype %in% c("string", "str", "object")) {
    value <- if (missing(value)) "" else as.character(value)
  }
  bridge_do(
    "pad_sequences",
    values = values, lengths = flat_lengths, maxlen = as_count(maxlen, "maxlen", frame),
    dtype = as_string_arg(dtype, "dtype", frame), padding = as_string_arg(padding, "padding", frame),
    truncating = as_string_arg(truncating, "truncating", frame), value = value, call = frame
  )
}

#' Pairs of words for word embeddings
#'
#' `skipgrams()` makes the training data of word2vec: pairs of a word and one nearby (label 1), and
#' pairs of a word and a random one (label 0). `make_sampling_table()` gives the chance of keeping a word
#' by its rank among the frequent ones, so that very frequent words are thinned out.
#'
#' @param sequence Word numbers, an integer vector; 0 is no word.
#' @param vocabulary_size Word numbers lie below it.
#' @param window_size A word this far to either side is nearby.
#' @param negative_samples Random pairs for each true pair: 1 for as many, 0 for none.
#' @param shuffle Put the pairs in random order.
#' @param categorical Labels as two columns instead of 0 and 1.
#' @param sampling_table Chance of keeping each word number from 0 on, as `make_sampling_table()` returns.
#' @param seed A whole number that makes the pairs the same each time.
#' @param size Number of words.
#' @param sampling_factor How much frequent words are thinned: the smaller, the more.
#' @return `skipgrams()`: a list of `couples`, a list of integer vectors of length 2, and `labels`, an
#'   integer vector (a matrix of two columns if `categorical`). `make_sampling_table()`: a numeric vector
#'   whose first element belongs to word number 0.
#' @examplesIf is_keras_available()
#' pairs <- skipgrams(c(1, 2, 3), vocabulary_size = 10, window_size = 1, seed = 1)
#' do.call(rbind, pairs$couples)
#' make_sampling_table(5)
#' @export
skipgrams <- function(sequence, vocabulary_size, window_size = 4, negative_samples = 1, shuffle = TRUE,
                      categorical = FALSE, sampling_table = NULL, seed = NULL) {
  frame <- rlang::current_env()
  if (is.list(sequence)) {
    sequence <- unlist(sequence)
  }
  if (!is_whole(sequence)) {
    abort_argument("sequence", "must be word numbers: whole, from 0.", call = frame)
  }
  if (!is.null(sampling_table) && (!is.numeric(sampling_table) || anyNA(sampling_table))) {
    abort_argument("sampling_table", "must be numbers, as `make_sampling_table()` returns.", call = frame)
  }
  out <- bridge_do(
    "skipgrams",
    sequence = as_array(as.integer(sequence)),
    vocabulary_size = as_count(vocabulary_size, "vocabulary_size", frame, least = 2),
    window_size = as_count(window_size, "window_size", frame),
    negative_samples = as_num_arg(negative_samples, "negative_samples", frame),
    shuffle = as_bool_arg(shuffle, "shuffle", frame),
    categorical = as_bool_arg(categorical, "categorical", frame),
    sampling_table = if (!is.null(sampling_table)) as_array(as.double(sampling_table)),
    seed = convert_arg(seed, "int", "seed", frame),
    call = frame
  )
  couples <- out$couples
  list(
    couples = lapply(seq_len(nrow(couples)), \(i) couples[i, ]),
    labels = if (categorical) out$labels else as.vector(out$labels)
  )
}

#' @rdname skipgrams
#' @export
make_sampling_table <- function(size, sampling_factor = 1e-05) {
  frame <- rlang::current_env()
  as.vector(bridge_do(
    "make_sampling_table",
    size = as_count(size, "size", frame), sampling_factor = as_num_arg(sampling_factor, "sampling_factor", frame), call = frame
  ))
}

#' Windows over a time series
#'
#' A source of batches for [fit()][fit.kerasbridge_model]: each sample is a stretch of the series, its
#' target the value that follows. New code can use [timeseries_dataset_from_array()].
#'
#' @param data The series: a vector, or a matrix or array with the time steps in rows.
#' @param targets Targets, one for each row of `data`. The target of a window is that of the row after
#'   its last one.
#' @param length Rows a window spans.
#' @param sampling_rate Every so many-th row of a window is kept.
#' @param stride Rows from one window to the next.
#' @param start_index,end_index First and last row to use, counted from 1; by default all.
#' @param shuffle Draw windows at random instead of in order.
#' @param reverse The latest row of a window first.
#' @param batch_size Windows a batch.
#' @param seed A whole number that makes the draws of `shuffle` the same each time.
#' @return A source of batches: give it to `fit()`, `evaluate()` or `predict()` as `x`, or take batches from it
#'   with [generator_next()]. `length()` of it is the number of batches.
#' @examplesIf is_keras_available()
#' windows <- timeseries_generator(matrix(1:10), 1:10, length = 3, batch_size = 2)
#' length(windows)
#' generator_next(windows)
#' @export
timeseries_generator <- function(data, targets, length, sampling_rate = 1, stride = 1, start_index = 1,
                                 end_index = NULL, shuffle = FALSE, reverse = FALSE, batch_size = 128, seed = NULL) {
  frame <- rlang::current_env()
  position <- \(x, arg) {
    x <- as_count(x, arg, frame)
    if (!is.null(x)) x - 1L
  }
  bridge_do(
    "windows",
    data = as_data_arg(data, "data", frame), targets = as_data_arg(targets, "targets", frame),
    length = as_count(length, "length", frame), sampling_rate = as_count(sampling_rate, "sampling_rate", frame),
    stride = as_count(stride, "stride", frame), start_index = position(start_index, "start_index"),
    end_index = position(end_index, "end_index"), shuffle = as_bool_arg(shuffle, "shuffle", frame),
    reverse = as_bool_arg(reverse, "reverse", frame), batch_size = as_count(batch_size, "batch_size", frame),
    seed = convert_arg(seed, "int", "seed", frame), call = frame
  )
}

#' @export
length.kerasbridge.data.indexed.IndexedBatches <- function(x) as.integer(bridge_method(x, "__len__"))

#' @export
print.kerasbridge.data.indexed.IndexedBatches <- function(x, ...) {
  n <- length(x)
  cat(sprintf("<source of %d batch%s>\n", n, if (n == 1) "" else "es"))
  invisible(x)
}

# ---- lists of vectors across the border ---------------------------------------------------------------

# All values in a row, and the length of each vector.
flat_sequences <- function(x, arg, call) {
  if (!is.list(x)) {
    x <- list(x)
  }
  good <- vapply(x, \(s) is.numeric(s) || is.logical(s) || is.character(s) || is.null(s) || identical(s, list()), NA)
  if (!all(good)) {
    # a sequence may come as a list of single values
    x[!good] <- lapply(which(!good), \(i) {
      s <- x[[i]]
      if (!is.list(s) || !all(lengths(s) == 1) || !all(vapply(s, is.atomic, NA))) {
        abort_argument(arg, sprintf("must hold vectors; element %d is %s.", i, describe_value(s)), call = call)
      }
      unlist(s)
    })
  }
  refuse_na_list(x, arg, call)
  list(values = unlist(x, use.names = FALSE) %||% integer(), lengths = as.integer(lengths(x, use.names = FALSE)))
}

refuse_na_list <- function(x, arg, call) {
  missing <- vapply(x, \(s) is.atomic(s) && anyNA(s), NA)
  if (any(missing)) {
    i <- which(missing)[[1]]
    abort_kind(
      "data",
      sprintf("`%s` has a missing value (NA): element %d, position %d.", arg, i, which(is.na(x[[i]]))[[1]]),
      i = "Remove or replace it first.",
      argument = arg, call = call
    )
  }
}

# The reverse of flat_sequences, for what Python returns.
unflat <- function(x) {
  lengths <- as.vector(x$lengths)
  groups <- factor(rep(seq_along(lengths), lengths), levels = seq_along(lengths))
  unname(split(as.vector(x$values), groups))
}
