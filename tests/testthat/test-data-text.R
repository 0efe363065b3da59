texts <- c("The cat sat.", "The dog sat on the cat", "", "Ünïcode cat")

test_that("a tokenizer learns words, shows its fields and prints", {
  skip_if_no_keras()
  tokenizer <- text_tokenizer()
  expect_identical(fit_text_tokenizer(tokenizer, texts), tokenizer)
  expect_identical(
    tokenizer$word_index,
    list(the = 1L, cat = 2L, sat = 3L, dog = 4L, on = 5L, "ünïcode" = 6L)
  )
  expect_identical(tokenizer$word_counts$the, 3L)
  expect_identical(tokenizer$word_docs$cat, 3L)
  expect_identical(tokenizer$document_count, 4L)
  expect_null(tokenizer$num_words)
  expect_output(print(tokenizer), "6 tokens from 4 texts")
})

test_that("texts become word numbers and matrices", {
  skip_if_no_keras()
  tokenizer <- text_tokenizer(oov_token = "?") |> fit_text_tokenizer(texts)
  expect_identical(texts_to_sequences(tokenizer, c("the bird sat", "", "on")), list(c(2L, 1L, 4L), integer(), 6L))
  expect_identical(texts_to_sequences(tokenizer, "cat"), list(3L))
  count <- texts_to_matrix(tokenizer, c("cat cat", ""), mode = "count")
  expect_identical(count, rbind(c(0, 0, 0, 2, 0, 0, 0, 0), 0))
  expect_identical(sequences_to_matrix(tokenizer, list(c(3, 3), integer()), "count"), count)
  expect_identical(sequences_to_matrix(tokenizer, list(3)), rbind(c(0, 0, 0, 1, 0, 0, 0, 0)))
  tfidf <- texts_to_matrix(tokenizer, "the the", mode = "tfidf")
  expect_equal(tfidf[1, 3], (1 + log(2)) * log(1 + 4 / (1 + 2)))
  expect_error(texts_to_matrix(tokenizer, "a", mode = "tf"), "mode")
})

test_that("lists of tokens, R functions and generators work", {
  skip_if_no_keras()
  tokens <- text_tokenizer() |> fit_text_tokenizer(list(c("New York", "is"), "is"))
  expect_identical(tokens$word_index, list(is = 1L, "new york" = 2L))
  i <- 0
  next_texts <- function() {
    i <<- i + 1
    if (i <= 2) texts[[i]]
  }
  read <- text_tokenizer() |> fit_text_tokenizer(next_texts)
  expect_identical(read$document_count, 2L)
  next_sequence <- texts_to_sequences_generator(read, c("cat", "dog sat"))
  expect_identical(next_sequence(), 2L)
  expect_identical(next_sequence(), c(4L, 3L))
  expect_null(next_sequence())
})

test_that("missing texts and other things are refused by place", {
  skip_if_no_keras()
  tokenizer <- text_tokenizer()
  expect_error(fit_text_tokenizer(tokenizer, c("a", NA)), "position 2", class = "kerasbridge_error_data")
  expect_error(fit_text_tokenizer(tokenizer, list("a", c("b", NA))), "element 2, position 2", class = "kerasbridge_error_data")
  expect_error(fit_text_tokenizer(tokenizer, 1:3), "must be texts", class = "kerasbridge_error_argument")
  expect_error(fit_text_tokenizer("a", "b"), "text_tokenizer", class = "kerasbridge_error_argument")
  expect_error(texts_to_sequences(tokenizer, "a"), "no words", class = "kerasbridge_error_data")
  expect_error(text_tokenizer(num_words = 2.5), "num_words", class = "kerasbridge_error_argument")
})

test_that("a stored tokenizer comes back, an older pickle is refused", {
  skip_if_no_keras()
  file <- withr::local_tempfile()
  tokenizer <- text_tokenizer(num_words = 4) |> fit_text_tokenizer(texts)
  save_text_tokenizer(tokenizer, file)
  again <- load_text_tokenizer(file)
  expect_identical(again$word_index, tokenizer$word_index)
  expect_identical(texts_to_sequences(again, texts), texts_to_sequences(tokenizer, texts))
  writeBin(as.raw(c(0x80, 0x04, 0x95)), file)
  expect_error(load_text_tokenizer(file), "not a stored tokenizer", class = "kerasbridge_error_file")
})

test_that("words are split and hashed", {
  skip_if_no_keras()
  expect_identical(text_to_word_sequence("Good day, SÜN!"), c("good", "day", "sün"))
  expect_identical(text_to_word_sequence(""), character())
  numbers <- text_one_hot("good day good", 100)
  expect_type(numbers, "integer")
  expect_identical(numbers[[1]], numbers[[3]])
  expect_true(all(numbers >= 1 & numbers < 100))
  expect_identical(text_hashing_trick("aa b", 10, hash_function = \(w) nchar(w)), c(3L, 2L))
  expect_identical(text_hashing_trick("good day good", 100), numbers)
  expect_error(text_hashing_trick("a", 10, hash_function = \(w) stop("own error")), "own error")
  expect_error(text_one_hot(NA_character_, 10), "input_text", class = "kerasbridge_error_argument")
})
