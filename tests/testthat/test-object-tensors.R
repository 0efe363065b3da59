test_that("R arrays go to tensors and back unchanged, ranks 0 to 5", {
  skip_if_no_keras()
  for (shape in list(3L, c(2L, 3L), c(2L, 3L, 4L), c(2L, 1L, 3L, 2L), c(1L, 2L, 1L, 2L, 3L))) {
    x <- array(as.double(seq_len(prod(shape))), shape)
    expect_equal(as.array(as_tensor(x)), x)
    i <- array(seq_len(prod(shape)), shape)
    expect_identical(as.array(as_tensor(i)), i)
  }
  expect_equal(as.array(as_tensor(array(0, c(0, 3)))), array(0, c(0, 3)))
  expect_identical(as.numeric(as_tensor(5)), 5)
  expect_identical(as.array(as_tensor(matrix(c(TRUE, FALSE), 1))), matrix(c(TRUE, FALSE), 1))
})

# JAX keeps numbers of 64 bits in 32, unless it is told otherwise.
is_narrow <- function() kerasbridge_info()$backend == "jax" && Sys.getenv("JAX_ENABLE_X64") != "true"

test_that("every data type comes back as what it was", {
  skip_if_no_keras()
  values <- c(0, 1, 2, 3, 4, 5)
  on_torch <- kerasbridge_info()$backend == "torch"
  dtypes <- c("float64", "float32", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
  for (dtype in c(dtypes, if (!on_torch) "uint64")) {
    for (shape in list(6L, c(2L, 3L), c(1L, 3L, 2L))) {
      x <- array(values, shape)
      back <- as.array(as_tensor(x, dtype = dtype))
      expect_equal(back, x, ignore_attr = FALSE, info = dtype)
      short <- c("int8", "int16", "int32", "uint8", "uint16", if (is_narrow()) "int64")
      expect_identical(is.integer(back), dtype %in% short, info = dtype)
    }
    expect_identical(dim(as.array(as_tensor(array(0, c(2, 0, 3)), dtype = dtype))), c(2L, 0L, 3L), info = dtype)
  }
  if (on_torch) {
    expect_error(as_tensor(values, dtype = "uint64"), "`x` can't be uint64: PyTorch has no such tensors", class = "kerasbridge_error_argument")
  }
  big <- c(2^31, 2^40 + 1, -2^33)
  if (is_narrow()) {
    expect_error(as_tensor(big, dtype = "int64"), "`x` holds whole numbers beyond 2147483647", class = "kerasbridge_error_argument")
  } else {
    expect_identical(as.numeric(as_tensor(big, dtype = "int64")), big)
  }
  expect_identical(as.numeric(as_tensor(c(2^31, 2^32 - 1), dtype = "uint32")), c(2^31, 2^32 - 1))
  expect_identical(as.array(as_tensor(array(c(TRUE, FALSE), c(1, 2, 1)))), array(c(TRUE, FALSE), c(1, 2, 1)))
  expect_equal(as.array(as_tensor(c(1 + 2i, -1i))), array(c(1 + 2i, -1i)))
  expect_identical(as.vector(as_tensor(c(NaN, Inf, -Inf))), c(NaN, Inf, -Inf))
})

test_that("the way to a tensor and back holds little more than the data", {
  skip_if_no_keras()
  skip_if(!file.exists("/proc/self/status"), "the peak of the memory is read from /proc")
  done <- run_r(c(
    "library(kerasbridge)",
    "peak <- function() as.numeric(sub('[^0-9]*([0-9]+).*', '\\\\1', grep('^VmHWM', readLines('/proc/self/status'), value = TRUE))) / 1024",
    "small <- as.array(as_tensor(matrix(0, 10, 10)))",
    "x <- matrix(0.5, 4000, 2000)", # 61 MB of doubles, 31 MB as float32
    "invisible(gc()); before <- peak()",
    "t <- as_tensor(x); there <- peak(); y <- as.array(t); back <- peak()",
    "stopifnot(identical(x, y)); cat(sprintf('there %.0f back %.0f\\n', there - before, back - there))"
  ))
  expect_identical(done$status, 0L, info = paste(done$output, collapse = "\n"))
  line <- grep("^there", done$output, value = TRUE)
  used <- as.numeric(regmatches(line, gregexpr("-?[0-9]+", line))[[1]])
  # there: the float32 values, once on their way and once as the tensor; back: those and R's doubles
  expect_lt(used[[1]], 2 * 61)
  expect_lt(used[[2]], 2.6 * 61)
})

test_that("op_reshape() fills row by row, as array_reshape() does, unlike R's dim()", {
  skip_if_no_keras()
  counter <- array(1:24, c(2, 3, 4))
  for (shape in list(c(6, 4), c(4, 6), 24, c(4, 3, 2))) {
    expect_equal(as.array(op_reshape(counter, shape)), array_reshape(counter, shape), ignore_attr = FALSE)
  }
  expect_false(identical(as.vector(as.array(op_reshape(counter, c(4, 6)))), as.vector(array(counter, c(4, 6)))))
})

test_that("doubles become float32, whole numbers stay what they are", {
  skip_if_no_keras()
  expect_identical(tensor_dtype(as_tensor(c(1, 2))), "float32")
  expect_identical(tensor_dtype(as_tensor(1:2)), "int32")
  expect_identical(tensor_dtype(as_tensor(c(1, 2), dtype = "float64")), if (is_narrow()) "float32" else "float64")
  expect_identical(tensor_dtype(as_tensor(1:2) + 1), "int32")
  expect_identical(tensor_dtype(as_tensor(c(1.5, 2)) + 1L), "float32")
})

test_that("arithmetic, comparison, Math and Summary match R", {
  skip_if_no_keras()
  m <- matrix(c(1, -2, 3, 4.5, 5, -6), 2)
  t <- as_tensor(m)
  expect_equal(as.array(t + 1), m + 1)
  expect_equal(as.array(2 * t - t / 4), 2 * m - m / 4, tolerance = 1e-6)
  expect_equal(as.array(t^2), m^2, tolerance = 1e-6)
  expect_equal(as.array(-t), -m)
  expect_equal(as.array(t %% 2), m %% 2, tolerance = 1e-6)
  expect_equal(as.array(t %/% 2), m %/% 2, tolerance = 1e-6)
  expect_identical(as.array(t > 2), m > 2)
  expect_identical(as.array(!(t > 2)), !(m > 2))
  expect_identical(as.array(t > 2 & t < 5), m > 2 & m < 5)
  expect_equal(as.array(exp(t)), exp(m), tolerance = 1e-6)
  expect_equal(as.array(abs(t)), abs(m))
  expect_equal(as.array(round(t)), round(m))
  expect_equal(as.array(log(abs(t), base = 2)), log2(abs(m)), tolerance = 1e-6)
  expect_equal(as.numeric(sum(t)), sum(m))
  expect_equal(as.numeric(max(t)), max(m))
  expect_equal(as.numeric(mean(t)), mean(m), tolerance = 1e-6)
  expect_equal(as.numeric(sum(t, axis = 1)), colSums(m))
  expect_equal(as.numeric(mean(t, axis = 2)), rowMeans(m), tolerance = 1e-6)
  expect_equal(as.array(t(t)), t(m))
  expect_equal(as.array(t %*% t(m)), m %*% t(m), tolerance = 1e-6)
  expect_identical(1:3 %*% 1:3, base::`%*%`(1:3, 1:3))
  expect_error(gamma(t), "no tensor form")
})

test_that("subsetting counts from 1", {
  skip_if_no_keras()
  a <- array(as.double(1:24), c(2, 3, 4))
  t <- as_tensor(a)
  expect_equal(as.array(t[1, , ]), a[1, , ])
  expect_equal(as.array(t[, 2:3, 4]), a[, 2:3, 4])
  expect_equal(as.array(t[, , -1]), a[, , 4])
  expect_equal(as.numeric(t[2, 1, 3]), a[2, 1, 3])
  expect_identical(dim(t[1, , , drop = FALSE]), c(1L, 3L, 4L))
  expect_identical(dim(t[NULL, , , ]), c(1L, 2L, 3L, 4L))
  i <- 2
  expect_equal(as.numeric(t[i, i, i]), a[i, i, i])
  expect_error(t[3, , ], "position 3 of an axis of length 2")
  expect_error(t[0, , ], "counts from 1")
})

test_that("parts are replaced as in an array; a tensor by a new one, a variable in place", {
  skip_if_no_keras()
  a <- array(as.double(1:24), c(2, 3, 4))
  t <- before <- as_tensor(a)
  t[1, , 2:3] <- 0
  a2 <- a
  a2[1, , 2:3] <- 0
  expect_equal(as.array(t), a2)
  expect_equal(as.array(before), a)
  t[t > 20] <- -1
  a2[a2 > 20] <- -1
  expect_equal(as.array(t), a2)
  v <- same <- keras_variable(c(1, 2, 3))
  v[2] <- 9
  expect_equal(as.numeric(same), c(1, 9, 3))
  fixed <- layer_input(batch_shape = c(2, 3))
  place <- fixed
  place[, 1] <- 0
  expect_equal(predict(keras_model(fixed, place), matrix(1, 2, 3), verbose = 0), cbind(0, matrix(1, 2, 2)))
  expect_error({t[3, 1, 1] <- 0}, "position", class = "kerasbridge_error_argument")
  free <- layer_input(3)
  expect_error({free[1, 1] <- 0}, "no fixed length", class = "kerasbridge_error_argument")
})

test_that("range() and data frames come from tensors", {
  skip_if_no_keras()
  m <- matrix(c(1, -2, 3, 4.5, 5, -6), 2)
  t <- as_tensor(m)
  expect_equal(as.numeric(range(t)), range(m))
  expect_equal(as.array(range(t, axis = 1)), rbind(apply(m, 2, min), apply(m, 2, max)))
  expect_equal(as.data.frame(t), as.data.frame(m))
  expect_error(as.data.frame(layer_input(2)), "symbolic tensor", class = "kerasbridge_error_argument")
})

test_that("an axis that there is not is refused in R's count", {
  skip_if_no_keras()
  m <- matrix(1:6 + 0, 2)
  refused <- \(code, match) expect_error(code, match, class = "kerasbridge_error_argument")
  refused(op_sum(m, axis = 5), "`axis` names axis 5; `x` has 2")
  refused(op_transpose(m, c(3, 1)), "`axes` names axis 3; `x` has 2")
  refused(op_concatenate(list(m, m), axis = 3), "`axis` names axis 3; `xs` has 2")
  refused(op_max(1:3, axis = -2), "`axis` names axis -2; `x` has 1")
  refused(sum(as_tensor(m), axis = 4), "`axis` names axis 4; `x` has 2")
  refused(abort_from_python(list(kind = "argument", message = "Cannot squeeze axis=0, axis 1"), NULL), "squeeze axis=1, axis 2")
  expect_identical(dim(op_expand_dims(m, axis = 3)), c(2L, 3L, 1L))
})

test_that("symbolic tensors and variables behave alike", {
  skip_if_no_keras()
  x <- layer_input(3)
  expect_identical(dim(x), c(NA, 3L))
  y <- (x + 1) * 2
  model <- keras_model(x, y)
  expect_equal(predict(model, matrix(1, 1, 3), verbose = 0), matrix(4, 1, 3))
  expect_output(print(x), "symbolic tensor")
  v <- keras_variable(c(1, 2))
  expect_equal(as.array(v * 2), array(c(2, 4)))
  expect_identical(length(v), 2L)
  expect_output(print(v), "variable")
  expect_output(print(as_tensor(c(1, 2))), "shape \\(2\\), float32")
})

test_that("cumulative sums run as R's do, the first axis fastest", {
  skip_if_no_keras()
  m <- matrix(c(1, 2, 3, 4, 5, 6), 2)
  for (x in list(as_tensor(m), keras_variable(m))) {
    expect_equal(as.numeric(cumsum(x)), cumsum(m))
    expect_equal(as.numeric(cumprod(x)), cumprod(m))
  }
})

test_that("missing and infinite values are found", {
  skip_if_no_keras()
  x <- c(1, NaN, Inf)
  t <- as_tensor(x)
  expect_identical(as.logical(is.na(t)), c(FALSE, TRUE, FALSE))
  expect_identical(as.logical(is.nan(t)), is.nan(x))
  expect_identical(as.logical(is.finite(t)), is.finite(x))
  expect_identical(as.logical(is.infinite(keras_variable(x))), is.infinite(x))
  expect_true(anyNA(t))
  expect_false(anyNA(as_tensor(1:3)))
  expect_s3_class(is.na(layer_input(2)), "kerasbridge_keras_tensor")
})

test_that("a symbolic tensor has a shape and no values", {
  skip_if_no_keras()
  x <- layer_input(3, name = "place")
  expect_identical(length(x), NA_integer_)
  for (f in list(as.array, as.matrix, as.numeric, as.integer, as.logical, as.vector, anyNA)) {
    expect_error(f(x), "is a symbolic tensor", class = "kerasbridge_error_argument")
  }
  expect_output(str(x), "symbolic tensor 'place'")
  expect_match(format(x), "shape (NA, 3), float32", fixed = TRUE)
})

test_that("layers, models and histories print, format, summarise", {
  skip_if_no_keras()
  model <- small_model()
  history <- fit(model, matrix(0, 4, 2), rep(0, 4), epochs = 2, verbose = 0)
  expect_output(str(model), "Sequential model")
  expect_output(print(model), "Compiled: optimizer")
  expect_match(format(model$layers[[1]]), "Dense\\), 3 parameters")
  expect_output(str(model$layers[[1]]), "Dense")
  expect_identical(summary(model$layers[[1]])$params, c(2, 1))
  expect_output(print(history), "History of 2 epochs")
  expect_match(format(history), "history of 2 epochs")
  expect_output(str(history), "2 epochs")
  expect_identical(summary(history)$metric, "loss")
  # a Sequential that has been built has an input, also when nothing described it
  late <- keras_model_sequential() |> layer_dense(1)
  late(as_tensor(matrix(0, 2, 5)))
  expect_identical(dim(late$input)[[2]], 5L)
})
