test_that("layers learn from data", {
  skip_if_no_keras()
  layer <- layer_normalization(axis = NULL)
  adapt(layer, c(2, 4, 6))
  expect_equal(as.vector(as.array(layer(c(2, 4, 6)))), c(-1, 0, 1) * sqrt(1.5), tolerance = 1e-5)
  columns <- layer_normalization()
  adapt(columns, matrix(c(0, 2, 10, 30), 2))
  expect_equal(as.array(columns(matrix(c(0, 2, 10, 30), 2))), matrix(c(-1, 1, -1, 1), 2), tolerance = 1e-5)
  expect_error(adapt(layer_dense(units = 1), 1:3), "learns nothing", class = "kerasbridge_error_argument")
  skip_without_text_layers()
  text <- layer_text_vectorization()
  adapt(text, c("b b a", "b ä"))
  expect_setequal(get_vocabulary(text), c("", "[UNK]", "b", "a", "ä"))
  expect_identical(get_vocabulary(text, include_special_tokens = FALSE)[[1]], "b")
  expect_error(adapt(text, c("a", NA)), "data[2]", fixed = TRUE, class = "kerasbridge_error_data")
  expect_error(adapt(text, "a", size = 3), "size", class = "kerasbridge_error_argument")
})

test_that("vocabularies are set and read", {
  skip_if_no_keras()
  expect_error(get_vocabulary(layer_dense(units = 1)), "no vocabulary", class = "kerasbridge_error_argument")
  skip_without_text_layers()
  layer <- layer_string_lookup()
  expect_identical(set_vocabulary(layer, c("red", "grün")), layer)
  expect_identical(get_vocabulary(layer), c("[UNK]", "red", "grün"))
  expect_equal(as.vector(as.array(layer(c("grün", "blue")))), c(2, 0))
  numbers <- layer_integer_lookup()
  set_vocabulary(numbers, c(12, 36))
  expect_identical(get_vocabulary(numbers, include_special_tokens = FALSE), c(12L, 36L))
  file <- withr::local_tempfile(lines = c("one", "two"))
  set_vocabulary(layer, file)
  expect_identical(get_vocabulary(layer), c("[UNK]", "one", "two"))
  expect_error(set_vocabulary(layer, c("a", NA)), "position 2", class = "kerasbridge_error_data")
})

test_that("a metric forgets", {
  skip_if_no_keras()
  m <- metric_mean()
  m$update_state(c(1, 3))
  expect_equal(as.numeric(m$result()), 2)
  reset_state(m)
  expect_equal(as.numeric(m$result()), 0)
  expect_error(reset_state(1), "object", class = "kerasbridge_error_argument")
})

test_that("features describe the columns of a feature space", {
  skip_if_no_keras()
  expect_error(feature_float_discretized(), "bin_boundaries", class = "kerasbridge_error_argument")
  expect_error(feature_cross("job", 3), "two features", class = "kerasbridge_error_argument")
  skip_without_text_layers()
  people <- data.frame(age = c(20, 40, 60), job = c("cook", "pilot", "cook"), floor = 1:3, size = c(0, 1, 2))
  space <- layer_feature_space(
    features = list(
      age = feature_float_normalized(),
      job = feature_string_categorical(num_oov_indices = 0),
      floor = feature_integer_categorical(num_oov_indices = 0),
      size = feature_float_rescaled(scale = 2, offset = 1)
    ),
    crosses = list(feature_cross(c("job", "floor"), crossing_dim = 5))
  )
  adapt(space, people)
  out <- as.array(space(as.list(people)))
  # columns in the order of their names: age, floor, job, size, the cross
  expect_identical(dim(out), c(3L, 1L + 3L + 2L + 1L + 5L))
  expect_equal(out[, 1], c(-1, 0, 1) * sqrt(1.5), tolerance = 1e-5)
  expect_equal(rowSums(out[, 2:6]), c(2, 2, 2))
  expect_equal(out[, 7], c(1, 3, 5))
  expect_equal(rowSums(out[, 8:12]), c(1, 1, 1))
  hashed <- layer_feature_space(features = list(
    job = feature_string_hashed(4), floor = feature_integer_hashed(3),
    age = feature_float_discretized(num_bins = 3), size = feature_float()
  ))
  adapt(hashed, people)
  expect_identical(dim(as.array(hashed(as.list(people)))), c(3L, 3L + 3L + 4L + 1L))
  own <- layer_feature_space(features = list(
    size = feature_custom("float32", layer_rescaling(scale = 10), output_mode = "float")
  ))
  adapt(own, people["size"])
  expect_equal(as.vector(as.array(own(list(size = c(0, 1, 2))))), c(0, 10, 20))
})
