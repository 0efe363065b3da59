frame <- quote(f(x))
convert <- function(value, type) convert_arg(value, type, "arg", frame)

test_that("whole numbers take 32 and 32L and refuse 32.5", {
  expect_identical(convert(32, "int"), 32L)
  expect_identical(convert(32L, "int"), 32L)
  expect_identical(convert(1e4, "int"), 10000L)
  expect_null(convert(NULL, "int"))
  for (bad in list(32.5, NA, "3", c(1, 2), Inf, TRUE)) {
    if (!isTRUE(bad)) {
      expect_error(convert(bad, "int"), "`arg` must be a whole number", class = "kerasbridge_error_argument")
    }
  }
})

test_that("integers beyond R's range cross exactly", {
  skip_if_no_keras()
  big <- convert(2^40, "int")
  expect_s3_class(big, "kb_bigint")
  expect_identical(big$value, "1099511627776")
})

test_that("how many there are of something is at least one", {
  expect_identical(convert(2, "count"), 2L)
  for (wrong in list(0, -3)) {
    expect_error(convert(wrong, "count"), paste0("`arg` must be at least 1, not ", wrong), class = "kerasbridge_error_argument")
  }
  expect_error(convert(2.5, "count"), "`arg` must be a whole number")
  expect_error(layer_conv_2d(filters = 0, kernel_size = 3), "`filters` must be at least 1", class = "kerasbridge_error_argument")
})

test_that("axes count from 1, negatives from the end, zero is refused", {
  expect_identical(convert(1, "axis"), 0L)
  expect_identical(convert(3, "axis"), 2L)
  expect_identical(convert(-1, "axis"), -1L)
  expect_error(convert(0, "axis"), "counts from 1", class = "kerasbridge_error_argument")
  expect_identical(convert(c(1, -1), "axes")$value, list(0L, -1L))
  expect_error(convert(c(1, 0), "axes"), "counts from 1")
})

test_that("shapes take NA and NULL for a free axis", {
  expect_identical(convert(c(28, 28, 1), "shape")$value, list(28L, 28L, 1L))
  expect_identical(convert(c(NA, 3), "shape")$value, list(NULL, 3L))
  expect_identical(convert(list(NULL, 3), "shape")$value, list(NULL, 3L))
  expect_error(convert(c(2, 1.5), "shape"), "`arg` must be whole numbers")
})

test_that("logicals and strings are checked", {
  expect_true(convert(TRUE, "bool"))
  expect_true(convert(1, "bool"))
  expect_error(convert(NA, "bool"), "must be TRUE or FALSE")
  expect_error(convert("yes", "bool"), "must be TRUE or FALSE")
  expect_identical(convert("relu", "string"), "relu")
  expect_error(convert(1, "string"), "must be a string")
  expect_error(convert(NA_character_, "string"), "must be a string")
})

test_that("NA never crosses in a tensor", {
  expect_error(convert(c(1, NA), "tensor"), "1 missing value .* position 2", class = "kerasbridge_error_data")
  expect_error(convert(c(1L, NA), "tensor"), class = "kerasbridge_error_data")
  expect_error(convert(c(TRUE, NA), "tensor"), class = "kerasbridge_error_data")
  expect_s3_class(convert(c(1, NaN), "tensor"), "kb_tensor")
  expect_error(convert(factor("a"), "tensor"), "must be numbers")
})

test_that("errors describe a value without printing it", {
  secret <- data.frame(password = "hunter2")
  message <- conditionMessage(tryCatch(convert(secret, "num"), error = identity))
  expect_match(message, "a data frame of 1 rows and 1 columns")
  expect_no_match(message, "hunter2")
})
