# Every op against numbers worked out beforehand (fixtures/ops-cases.csv), and what positions mean.

cases <- ops_cases()

test_that("the table has a case for every op of the bindings", {
  bindings <- utils::read.csv(test_path("fixtures", "bindings.csv"), colClasses = "character")
  ops <- grep("^keras[.](ops|random)[.]", bindings$symbol, value = TRUE)
  expect_gt(length(ops), 350)
  expect_identical(setdiff(ops, cases$symbol), character())
})

# Faults of the oldest Keras versions themselves, seen with Keras 3.0.5 on TensorFlow 2.16.2
# (2026-11-25): wrong data types, or an error of theirs.
older_op_faults <- paste0("keras.ops.", c(
  "svd", # unpacks three results where there is one
  "expand_dims", "flip", # several axes at once
  "full", "full_like", # whole numbers given as doubles
  "image.map_coordinates", # the last row and column count as outside
  "take", "take_along_axis" # negative positions; tensors of positions
))
# What Keras does otherwise on JAX, seen with Keras 3.15.1 on JAX 0.6.2 (2026-11-26). Each is an error, but where it
# says "other numbers".
jax_op_faults <- paste0("keras.ops.", c(
  "array", "cast", # other numbers: whole ones beyond 16777216 given as doubles, which have 32 bits there
  "image.gaussian_blur", # other numbers at the edges
  "shape", "size" # plain numbers in place of tensors
))
# On PyTorch, seen with Keras 3.15.1 on PyTorch 2.13.0 (2026-11-26).
torch_op_faults <- paste0("keras.ops.", c(
  "image.gaussian_blur", # other numbers at the edges
  "shape" # plain numbers in place of tensors
))
newest <- is_keras_available("3.15")
older <- !is_keras_available("3.4")

test_that("whole numbers, doubles and logicals are covered, not single precision alone", {
  covered <- \(dtype) length(unique(cases$symbol[vapply(strsplit(cases$dtype, ";"), \(d) dtype %in% d, NA)]))
  expect_gt(covered("int32"), 90)
  expect_gt(covered("float64"), 110)
  expect_gt(covered("bool"), 35)
})

for (symbol in unique(cases$symbol)) {
  test_that(paste(symbol, "gives the expected numbers"), {
    skip_if_no_keras()
    bridge_start()
    own <- cases[cases$symbol == symbol, ]
    if (!the$bridge$has(symbol)) {
      # an older Keras: the error says so
      expect_match(ops_check_case(own[1, ]), "error: .*has no `keras")
      own <- own[0, ]
    }
    for (i in seq_len(nrow(own))) {
      wrong <- tryCatch(ops_check_case(own[i, ]), kerasbridge_error = conditionMessage)
      # an older Keras: an argument that came later is named with its version
      absent <- any(grepl("^error: .*has no argument .*It came with Keras 3", wrong))
      faults <- switch(the$backend, jax = jax_op_faults, torch = torch_op_faults)
      other <- symbol %in% older_op_faults && older || symbol %in% faults
      if (absent && !newest || other) {
        next
      }
      expect(!length(wrong), paste0(own$r_call[i], "\n", paste(wrong, collapse = "\n")))
    }
  })
}

test_that("the comparison finds wrong values, shapes, types and counts", {
  skip_if_no_keras()
  case <- function(r_call, expected, dtype = "") list(r_call = r_call, expected = expected, dtype = dtype)
  right <- '{"shape": [2], "data": [1, 2]}'
  expect_null(ops_check_case(case("op_array(c(1, 2))", right, "float32")))
  expect_match(ops_check_case(case("op_array(c(1, 2.001))", right)), "values")
  expect_match(ops_check_case(case("op_array(c(1, NaN))", right)), "values")
  if (!ops_narrow() && !ops_single()) {
    expect_match(ops_check_case(case("op_array(c(1, 2 + 1e-7), dtype = 'float64')", right, "float64")), "values")
  }
  expect_match(ops_check_case(case("op_array(matrix(c(1, 2), 1))", right)), "shape")
  expect_match(ops_check_case(case("op_array(1:2)", right, "float32")), "dtype int32")
  expect_match(ops_check_case(case("list(1, 2, 3)", '{"list": [{"shape": [], "data": [1]}]}')), "list of 1")
  expect_match(ops_check_case(case("random_uniform(2)", '{"shape": [2], "range": [2, 3]}')), "range")
  expect_match(ops_check_case(case("stop('no')", right)), "error: no")
})

test_that("positions and axes count from 1; zero and fractions are refused by name", {
  skip_if_no_keras()
  x <- matrix(c(1, 2, 3, 4), 2)
  expect_error(op_sum(x, axis = 0), "`axis` counts from 1", class = "kerasbridge_error_argument")
  expect_error(op_argmax(x, axis = 1.5), "`axis`", class = "kerasbridge_error_argument")
  expect_error(op_take(x, 0), "`indices` counts from 1", class = "kerasbridge_error_argument")
  expect_error(op_slice(x, c(0, 1), c(1, 1)), "`start_indices` counts from 1", class = "kerasbridge_error_argument")
  expect_error(op_slice(x, c(1.5, 1), c(1, 1)), "`start_indices`", class = "kerasbridge_error_argument")
  expect_error(op_transpose(x, axes = c(1, 0)), "`axes`", class = "kerasbridge_error_argument")
  expect_error(op_top_k(x, k = 1.5), "`k`", class = "kerasbridge_error_argument")
  expect_error(op_one_hot(c(0, 1.5), 3), "`x`", class = "kerasbridge_error_argument")
})

test_that("tensors of positions count from 1 like R vectors of positions", {
  skip_if_no_keras()
  x <- c(30, 10, 20)
  expect_equal(as.numeric(op_take(x, op_argsort(x))), c(10, 20, 30))
  if (!older) { # Keras 3.0 to 3.3 takes a negative position in a tensor for the first
    expect_equal(as.numeric(op_take(x, op_array(c(-1L, 1L)))), c(20, 30))
  }
  best <- op_top_k(x, k = 2)
  expect_equal(as.numeric(op_take(x, best[[2]])), as.numeric(best[[1]]))
  expect_equal(as.numeric(op_scatter_update(x, op_reshape(op_argmax(x), c(1, 1)), array(0))), c(0, 10, 20))
})

test_that("op_unique() gives positions from 1 and counts as they are, whatever was asked for", {
  skip_if_no_keras("3.15")
  x <- c(5, 7, 5, 5)
  both <- op_unique(x, return_inverse = TRUE, return_counts = TRUE)
  expect_equal(as.numeric(both[[2]]), c(1, 2, 1, 1))
  expect_equal(as.numeric(both[[3]]), c(3, 1))
  first <- op_unique(x, return_index = TRUE)
  expect_equal(as.numeric(first[[2]]), c(1, 2))
})

test_that("op_tensordot() tells a number of axes from axes", {
  skip_if_no_keras()
  x <- matrix(c(1, 2, 3, 4), 2)
  expect_equal(as.numeric(op_tensordot(x, x, axes = 2)), sum(x * x))
  expect_equal(as.array(op_tensordot(x, x, axes = list(1, 1))), crossprod(x))
  expect_error(op_tensordot(x, x, axes = list(1, c(1, 2))), "`axes`", class = "kerasbridge_error_argument")
  expect_error(op_tensordot(x, x, axes = list(0, 1)), "`axes` counts from 1", class = "kerasbridge_error_argument")
})

test_that("doubles keep their precision on the way to a chosen data type", {
  skip_if_no_keras()
  expect_equal(as.numeric(op_array(c(0.1, 1 / 3), dtype = "float64")), c(0.1, 1 / 3), tolerance = if (ops_narrow()) 1e-7 else 0)
  if (!ops_narrow()) expect_identical(as.numeric(op_cast(c(16777217, 2), "int32")), c(16777217, 2))
  expect_identical(tensor_dtype(op_array(c(0.1, 0.2))), "float32")
})

test_that("intervals are two numbers", {
  skip_if_no_keras()
  expect_error(op_histogram(c(1, 2), range = 3), "`range` must be two numbers", class = "kerasbridge_error_argument")
  expect_error(op_histogram(c(1, 2), range = c(1, NA)), "`range`", class = "kerasbridge_error_argument")
})
