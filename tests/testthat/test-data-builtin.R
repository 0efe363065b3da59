test_that("the parts of a dataset are named, arrays stay arrays", {
  x <- array(1:8, c(2, 2, 2))
  out <- as_train_test(list(list(x, array(0:1)), list(x[1, , , drop = FALSE], array(1L))))
  expect_named(out, c("train", "test"))
  expect_named(out$train, c("x", "y"))
  expect_identical(out$train$x, x)
  expect_identical(dim(out$test$x), c(1L, 2L, 2L))
})

test_that("texts become plain integer vectors, also those of one word or none", {
  texts <- structure(list(c(1, 14), 5L, list()), dim = 3L)
  out <- as_train_test(list(list(texts, array(0:2)), list(texts[1], array(0L))))
  expect_identical(out$train$x, list(c(1L, 14L), 5L, integer()))
  expect_identical(out$test$x, list(c(1L, 14L)))
})

test_that("wrong arguments are refused before anything is downloaded", {
  skip_if_no_keras()
  expect_error(dataset_cifar100("rough"), "label_mode")
  expect_error(dataset_california_housing("medium"), "version")
  expect_error(dataset_imdb(num_words = 10.5), "`num_words` must be a whole number", class = "kerasbridge_error_argument")
  expect_error(dataset_reuters(maxlen = "long"), "`maxlen`", class = "kerasbridge_error_argument")
})

test_that("the formals of the datasets are those of Keras", {
  cases <- utils::read.csv(testthat::test_path("fixtures", "bindings.csv"), stringsAsFactors = FALSE)
  names <- cases$r_name[grepl("^keras\\.datasets\\..*load_data$", cases$symbol)]
  expect_length(names, 8)
  for (name in names) {
    expect_true(is.function(getExportedValue("kerasbridge", name)), label = name)
  }
  expect_identical(
    names(formals(dataset_imdb)),
    c("path", "num_words", "skip_top", "maxlen", "seed", "start_char", "oov_char", "index_from")
  )
  expect_identical(
    names(formals(dataset_california_housing)), c("version", "path", "test_split", "seed")
  )
})
