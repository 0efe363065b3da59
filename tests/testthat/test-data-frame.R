# Data frames and formulas as data: matched by name, checked, never re-coded silently.

numbers_model <- function(width) {
  model <- keras_model_sequential(input_shape = width) |> layer_dense(1)
  compile(model, "sgd", loss = "mse")
  set_weights(model, list(matrix(seq_len(width), width), array(0)))
  model
}

fit_once <- function(model, ...) fit(model, ..., epochs = 1, verbose = 0)

frame_of_all <- function() {
  data.frame(
    d = c(1.5, 2, 3), i = c(1L, -2L, 3L), l = c(TRUE, FALSE, TRUE),
    o = factor(c("low", "high", "low"), levels = c("low", "mid", "high"), ordered = TRUE),
    day = as.Date(c("1970-01-02", "1970-01-01", "2000-01-01")),
    time = as.POSIXct(c(10, 5, 7), origin = "1970-01-01", tz = "Asia/Tokyo"),
    span = as.difftime(c(1, 2, 3), units = "mins")
  )
}

block_of <- function(x) {
  as.array(as_tensor(kerasbridge:::bridge_keep("table_block", columns = kerasbridge:::frame_columns(x, "x", NULL))))
}

test_that("columns cross with their stated meaning", {
  skip_if_no_keras()
  expect_equal(block_of(frame_of_all()), cbind(
    c(1.5, 2, 3), c(1, -2, 3), c(1, 0, 1), c(0, 2, 0), c(1, 0, 10957), c(5, 0, 2), c(60, 120, 180)
  ))
  # 64-bit integers as package bit64 keeps them: the bytes of a whole number in a double
  big <- structure(c(5e-324, 2 * 5e-324), class = "integer64")
  whole <- data.frame(big = 1:2)
  whole$big <- big
  expect_equal(block_of(whole), cbind(c(1, 2)))
  expect_equal(dim(block_of(data.frame(a = 1:3)[0, , drop = FALSE])), c(0, 1))
  expect_equal(dim(block_of(data.frame(a = 1))), c(1, 1))
  if (requireNamespace("tibble", quietly = TRUE)) {
    expect_equal(block_of(tibble::tibble(a = 1:2, b = c(0.5, 1))), cbind(1:2, c(0.5, 1)))
  }
})

test_that("64-bit integers and data.tables", {
  skip_if_no_keras()
  skip_if_not_installed("bit64")
  skip_if_not_installed("data.table")
  d <- data.table::data.table(y = c(1, 2, 3), a = bit64::as.integer64(c("1", "2", "16777216")), b = 3:1)
  expect_equal(block_of(d[, c("a", "b")]), cbind(c(1, 2, 16777216), 3:1))
  model <- numbers_model(2)
  fit_once(model, y ~ a + b, data = d)
  expect_identical(as.data.frame(model_schema(model))$kind, c("integer", "integer"))
  expect_identical(dim(predict(model, d, verbose = 0)), c(3L, 1L))
  d$a[2] <- NA
  expect_error(predict(model, d, verbose = 0), "'a' has 1 missing value.*row 2", class = "kerasbridge_error_data")
})

test_that("single batches go by the schema too", {
  skip_if_no_keras()
  d <- data.frame(a = c(1, 2), b = c(3, 4))
  model <- numbers_model(2)
  fit_once(model, d, 1:2)
  set_weights(model, list(cbind(c(1, 10)), array(0)))
  expect_equal(as.vector(predict_on_batch(model, d[2:1])), c(31, 42))
  expect_equal(test_on_batch(model, d[2:1], c(31, 41))$loss, 0.5)
  expect_named(train_on_batch(model, d, c(0, 0)), "loss")
  expect_error(predict_on_batch(model, d["a"]), "lack the column 'b'", class = "kerasbridge_error_data")
})

test_that("what has no meaning is refused by name", {
  skip_if_no_keras()
  model <- numbers_model(1)
  expect_error(predict(model, data.frame(a = I(list(1, 2)))), "'a'.*list column.*row 1", class = "kerasbridge_error_data")
  expect_error(predict(model, data.frame(a = 1i)), "'a'.*complex", class = "kerasbridge_error_data")
  odd <- data.frame(a = 1:2)
  class(odd$a) <- "odd"
  expect_error(predict(model, odd), "'a'.*<odd>", class = "kerasbridge_error_data")
  wide <- data.frame(a = 1:2)
  wide$m <- matrix(1:4, 2)
  expect_error(predict(model, wide), "'m'.*matrix", class = "kerasbridge_error_data")
  expect_error(predict(model, data.frame(a = c(1, NA, NA))), "'a' has 2 missing values.*row 2", class = "kerasbridge_error_data")
  expect_error(predict(model, data.frame(a = c(1L, NA))), "'a' has 1 missing value,.*row 2", class = "kerasbridge_error_data")
  expect_error(predict(model, data.frame(a = c(1, Inf))), "'a'.*infinite.*row 2", class = "kerasbridge_error_data")
  expect_error(predict(model, data.frame(a = c("x", "y"))), "'a' holds text.*feature_space", class = "kerasbridge_error_data")
  expect_error(predict(model, data.frame(a = 1:2, b = 3:4)), "2 columns of numbers; the model takes 1", class = "kerasbridge_error_data")
})

test_that("later data frames are matched with the one of training", {
  skip_if_no_keras()
  train <- data.frame(a = c(1, 2, 3), b = factor(c("u", "v", "u"), levels = c("u", "v"), ordered = TRUE))
  model <- numbers_model(2)
  expect_null(model_schema(model))
  fit_once(model, train, c(1, 2, 3))
  set_weights(model, list(cbind(c(1, 10)), array(0)))
  expect_equal(as.vector(predict(model, train, verbose = 0)), c(1, 12, 3))
  # another order, further columns, other codes for the same levels
  other <- data.frame(z = 0, b = factor(c("v", "u")), a = c(5, 6))
  expect_message(p <- predict(model, other, verbose = 0), "does not use: 'z'", class = "kerasbridge_note")
  expect_equal(as.vector(p), c(15, 6))
  expect_equal(as.vector(predict(model, data.frame(b = "v", a = TRUE), verbose = 0)), 11)
  refused <- function(new, pattern) expect_error(predict(model, new, verbose = 0), pattern, class = "kerasbridge_error_data")
  refused(data.frame(a = 1), "lack the column 'b'")
  refused(data.frame(a = c(1, 2), b = c("u", "w")), "'b' has the level 'w'.*row 2")
  refused(data.frame(a = c("1", "2"), b = "u"), "'a' holds text; the model was trained on numbers")
  refused(data.frame(a = 1, b = 1), "'b' holds numbers.*ordered factor")
  refused(data.frame(a = c(1, 2, NaN), b = "u"), "'a' has 1 missing value.*row 3")
  table <- as.data.frame(model_schema(model))
  expect_identical(table$name, c("a", "b"))
  expect_identical(table$kind, c("number", "ordered"))
  expect_output(print(model_schema(model)), "Schema of 2 columns")
})

test_that("a formula says what is predicted from what", {
  skip_if_no_keras()
  d <- data.frame(y = c(1, 2, 3, 4), a = c(1, 0, 1, 0), `b c` = 4:1, check.names = FALSE)
  model <- numbers_model(2)
  fit_once(model, y ~ ., data = d)
  set_weights(model, list(cbind(c(1, 2)), array(0)))
  expect_equal(as.vector(predict(model, d, verbose = 0)), c(9, 6, 5, 2))
  loss <- mean((c(9, 6, 5, 2) - d$y)^2)
  expect_equal(evaluate(model, y ~ ., data = d, verbose = 0)$loss, loss)
  expect_equal(evaluate(model, d, verbose = 0)$loss, loss)
  expect_equal(evaluate(model, data = d, verbose = 0)$loss, loss)
  expect_equal(evaluate(model, log(y) ~ ., data = d, verbose = 0)$loss, mean((c(9, 6, 5, 2) - log(d$y))^2), tolerance = 1e-6)
  one <- numbers_model(1)
  history <- fit_once(one, y ~ . - a, data = d, validation_data = d)
  expect_true("val_loss" %in% names(history$metrics))
  expect_identical(as.data.frame(model_schema(one))$name, "b c")
  bad <- function(formula, pattern, class = "kerasbridge_error_argument") {
    expect_error(fit_once(numbers_model(1), formula, data = d), pattern, class = class)
  }
  bad(y ~ log(a), "log\\(a\\)")
  bad(y ~ a:`b c`, "cross")
  bad(y ~ 1, "no predictors")
  bad(y ~ a + offset(a), "offset")
  bad(y ~ zz, "lacks the column 'zz'", "kerasbridge_error_data")
  expect_error(fit_once(numbers_model(1), y ~ a), "data", class = "kerasbridge_error_argument")
  expect_error(fit_once(numbers_model(1), y ~ a, d$y, data = d), "`y`", class = "kerasbridge_error_argument")
})

test_that("factor responses give classifiers, ordered ones too", {
  skip_if_no_keras()
  d <- data.frame(size = factor(c("s", "m", "l", "s"), c("s", "m", "l"), ordered = TRUE), a = c(-1, 0, 1, -1))
  model <- keras_model_sequential(input_shape = 1) |> layer_dense(3, activation = "softmax")
  compile(model, "sgd", loss = "sparse_categorical_crossentropy")
  fit_once(model, size ~ a, data = d)
  expect_identical(colnames(predict(model, d, verbose = 0)), c("s", "m", "l"))
  class <- predict(model, d, type = "class", verbose = 0)
  expect_true(is.ordered(class))
  expect_identical(levels(class), c("s", "m", "l"))
  d$size <- factor(as.character(d$size), levels = c("l", "m", "s"))
  expect_no_error(evaluate(model, d, verbose = 0))
  d$size <- factor("xl")
  expect_error(evaluate(model, d, verbose = 0), "'xl'.*row 1", class = "kerasbridge_error_data")
})

test_that("a fit that is refused leaves no schema behind", {
  skip_if_no_keras()
  model <- numbers_model(1)
  expect_error(fit_once(model, data.frame(a = 1:3), c(1, 2)), class = "kerasbridge_error_data")
  expect_null(model_schema(model))
})

test_that("rules for missing values and unknown levels", {
  skip_if_no_keras()
  d <- data.frame(a = c(1, NA, 4, 7), o = factor(c("x", "y", NA, "x"), ordered = TRUE))
  rules <- frame_schema(d, na = list(a = "median", o = "level"), unknown = "slot")
  model <- numbers_model(3)
  fit_once(model, d, 1:4, schema = rules)
  set_weights(model, list(cbind(c(1, 100, 10)), array(0)))
  expect_equal(as.vector(predict(model, d, verbose = 0)), c(1, 114, 24, 7))
  new <- data.frame(a = 0, o = c("x", "y", NA, "new"))
  expect_equal(as.vector(predict(model, new, verbose = 0)), c(0, 10, 20, 30))
  plain <- frame_schema(d["a"], na = list(a = list(how = "mean", indicator = FALSE)))
  expect_match(as.data.frame(plain)$missing, "mean \\(4\\)")
  expect_error(frame_schema(d, na = c(b = "mean")), "'b'", class = "kerasbridge_error_argument")
  expect_error(frame_schema(d, na = "mean"), "does not go with column 'o'", class = "kerasbridge_error_argument")
  expect_error(frame_schema(d, na = "drop"), "rule 'drop'", class = "kerasbridge_error_argument")
  expect_error(frame_schema(1:3), "data frame", class = "kerasbridge_error_argument")
  expect_error(fit_once(model, d, 1:4, schema = "a"), "schema", class = "kerasbridge_error_argument")
})

test_that("constant columns and rounded whole numbers are pointed out", {
  skip_if_no_keras()
  model <- numbers_model(2)
  expect_warning(fit_once(model, data.frame(a = c(5, 5, 5), b = 1:3), 1:3), "'a' holds one value", class = "kerasbridge_warning_data")
  scaled <- as.data.frame(scale(cbind(a = c(5, 5, 5), b = 1:3)))
  expect_error(fit_once(numbers_model(2), scaled, 1:3), "'a' holds nothing but missing values.*scale\\(\\)", class = "kerasbridge_error_data")
  big <- data.frame(a = c(1, 2), b = c(1, 2)^1 * 123456789)
  big$b <- as.integer(big$b)
  expect_warning(predict(numbers_model(2), big, verbose = 0), "'b'.*16,777,216", class = "kerasbridge_warning_data")
})

test_that("a model with an input for each column takes them by name", {
  skip_if_no_keras()
  job <- layer_input(1, name = "job", dtype = "int32")
  age <- layer_input(1, name = "age")
  out <- layer_concatenate(layer_flatten(layer_embedding(job, 2, 1, name = "e")), age) |> layer_dense(1)
  model <- keras_model(list(job, age), out)
  compile(model, "sgd", loss = "mse")
  d <- data.frame(age = c(3, 4), job = factor(c("b", "a"), levels = c("b", "a")))
  fit_once(model, d, c(1, 2))
  expect_equal(predict(model, d, verbose = 0), predict(model, list(age = d$age, job = 0:1), verbose = 0))
  expect_equal(predict(model, d, verbose = 0), predict(model, list(0:1, d$age), verbose = 0))
  expect_error(predict(model, data.frame(x = 1, y = 2), verbose = 0), "lack the columns 'age', 'job'", class = "kerasbridge_error_data")
  other <- keras_model(list(job, age), out)
  expect_error(predict(other, data.frame(x = 1, y = 2), verbose = 0), "expected +got", class = "kerasbridge_error_data")
})

test_that("schema and levels are there again in a new session", {
  skip_if_no_keras()
  d <- data.frame(a = c(1, NA, 3, 4), o = factor(c("x", "y", "x", "y"), ordered = TRUE), kind = factor(c("u", "v", "w", "u"), c("w", "v", "u")))
  model <- keras_model_sequential(input_shape = 3) |> layer_dense(3, activation = "softmax")
  compile(model, "sgd", loss = "sparse_categorical_crossentropy")
  fit_once(model, kind ~ ., data = d, schema = frame_schema(d[c("a", "o")], na = list(a = "mean")))
  class <- predict(model, d, type = "class", verbose = 0)
  for (ending in c(".keras", ".h5")) {
    path <- withr::local_tempfile(fileext = ending)
    save_model(model, path)
    done <- run_r(c(
      "library(kerasbridge)",
      sprintf("model <- load_model('%s')", path),
      "new <- data.frame(o = c('x', 'y', 'x', 'y'), a = c(1, NA, 3, 4))",
      "print(as.character(predict(model, new, type = 'class', verbose = 0)))",
      "print(levels(predict(model, new, type = 'class', verbose = 0)))",
      "print(class(try(predict(model, data.frame(a = 1, o = 'z'), verbose = 0), silent = TRUE)))"
    ), env = paste0("KERASBRIDGE_VENV=", Sys.getenv("KERASBRIDGE_VENV")))
    expect_identical(done$status, 0L)
    shown <- function(x) utils::capture.output(print(x))
    expect_identical(utils::tail(done$output, 3), c(shown(as.character(class)), shown(c("w", "v", "u")), shown("try-error")))
  }
})

test_that("text goes where the model takes text, and nowhere else", {
  skip_if_no_keras()
  model <- small_model()
  expect_error(predict(model, matrix(c("a", "b"), 1), verbose = 0), "`x` holds text; the model takes float32.*feature_space", class = "kerasbridge_error_data")
  expect_error(fit_once(model, matrix(0, 2, 2), c("a", "b")), "`y` is text.*factor\\(y\\)", class = "kerasbridge_error_data")
  expect_error(fit_once(model, kind ~ a + b, data = data.frame(kind = "u", a = 1:2, b = 2:1)), "`y` is text", class = "kerasbridge_error_data")
  expect_error(fit_once(model, matrix(0, 2, 2), as.Date("2020-01-01") + 0:1), "`y` holds Date values", class = "kerasbridge_error_data")
  skip_if(config_backend() != "tensorflow", "Keras computes with text on TensorFlow alone")
  words <- layer_input(1, dtype = "string", name = "s")
  lookup <- keras_model(words, layer_string_lookup(words, vocabulary = c("a", "b"), num_oov_indices = 0))
  for (x in list(c("b", "a"), matrix(c("b", "a")), data.frame(s = c("b", "a")))) {
    expect_equal(as.vector(predict(lookup, x, verbose = 0)), c(1, 0))
  }
})

test_that("a response may be a list of numbers or a data frame of one column", {
  skip_if_no_keras()
  model <- small_model()
  known_weights(model)
  x <- matrix(c(0, 1, 0, 1), 2)
  loss <- evaluate(model, x, c(0.5, 2), verbose = 0)$loss
  expect_equal(evaluate(model, x, list(0.5, 2), verbose = 0)$loss, loss)
  expect_equal(evaluate(model, x, data.frame(y = c(0.5, 2)), verbose = 0)$loss, loss)
})

test_that("long columns are read where they lie, and nothing that is kept points at them", {
  skip_if_no_keras()
  rows <- 20000
  data <- data.frame(
    number = sin(seq_len(rows)), whole = rev(seq_len(rows)), sequence = seq_len(rows), truth = rep(c(TRUE, FALSE), rows / 2),
    day = as.Date("2026-01-01") + seq_len(rows), level = factor(rep(c("low", "high"), rows / 2), c("low", "high"), ordered = TRUE)
  )
  data$few <- ifelse(data$whole %% 7 == 0, NA, data$whole)
  expect_true(can_lend())
  expect_identical(vapply(lent_columns(unname(lapply(data, \(x) list(values = unclass(x)))))[c(1, 2, 4)], \(x) is.character(x$address), NA), rep(TRUE, 3))

  block <- frame_arg(data[1:6], "x", NULL)
  wanted <- cbind(data$number, data$whole, data$sequence, data$truth, as.numeric(data$day), as.integer(data$level) - 1)
  found <- reticulate::py_to_r(block)
  expect_equal(found, wanted, tolerance = 1e-7, ignore_attr = TRUE)
  expect_error(frame_arg(data["few"], "x", NULL), "'few'", class = "kerasbridge_error_data")

  # an input of float64 called as the column would be the very numbers: it gets memory of its own
  input <- layer_input(1, name = "number", dtype = "float64")
  model <- keras_model(input, layer_dense(input, 1, dtype = "float64"))
  x <- prepare_table(model, data["number"], NULL, "x", NULL)$x
  before <- reticulate::py_to_r(x)
  data$number[1] <- 100
  rm(data)
  invisible(gc())
  expect_identical(reticulate::py_to_r(x), before)
  expect_identical(as.numeric(before), sin(seq_len(rows)))
})
