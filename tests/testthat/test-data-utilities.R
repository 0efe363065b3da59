test_that("lists are named and zipped", {
  units <- 32
  expect_identical(named_list(units, rate = 0.5), list(units = 32, rate = 0.5))
  expect_identical(zip_lists(list("a", "b"), list(1, 2)), list(list("a", 1), list("b", 2)))
  expect_identical(
    zip_lists(x = list(a = 1, b = 2), y = list(b = 20, a = 10)),
    list(a = list(x = 1, y = 10), b = list(x = 2, y = 20))
  )
  expect_error(zip_lists(1:2, 1:3), "2, 3", class = "kerasbridge_error_argument")
  expect_error(zip_lists(list(a = 1), list(b = 1)), "same names", class = "kerasbridge_error_argument")
})

test_that("a shape keeps its free axes", {
  expect_identical(unclass(shape(28, NA, NULL, 1)), list(28L, NULL, NULL, 1L))
  expect_output(print(shape(NA, 10)), "shape(NA, 10)", fixed = TRUE)
  expect_identical(as.integer(shape(c(2, 3), NA)), c(2L, 3L, NA))
  expect_identical(as.integer(shape(matrix(0, 2, 3))), 2:3)
  expect_length(shape(), 0)
  expect_error(shape(2.5), "whole numbers", class = "kerasbridge_error_argument")
  skip_if_no_keras()
  expect_identical(as.integer(shape(as_tensor(matrix(0, 4, 2)))), c(4L, 2L))
  expect_identical(dim(layer_input(shape = shape(4, NA))), c(NA, 4L, NA))
})

test_that("arrays stay in Python once there", {
  skip_if_no_keras()
  x <- keras_array(matrix(c(1.5, 2, 3, 4), 2))
  expect_s3_class(x, "numpy.ndarray")
  expect_identical(py_to_r(x), matrix(c(1.5, 2, 3, 4), 2))
  expect_identical(as.character(py_to_r(x$dtype$name)), "float32")
  expect_identical(as.character(py_to_r(keras_array(1:3, dtype = "int64")$dtype$name)), "int64")
  expect_null(keras_array(NULL))
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
  expect_identical(predict(model, x, verbose = 0), predict(model, matrix(c(1.5, 2, 3, 4), 2), verbose = 0))
})

test_that("rows are read from HDF5", {
  skip_if_no_keras()
  file <- withr::local_tempfile(fileext = ".h5")
  h5 <- import("h5py")$File(file, "w")
  invisible(h5$create_dataset("g/x", data = np_array(matrix(1:6, 3))))
  h5$close()
  expect_identical(hdf5_matrix(file, "g/x", start = 2, end = 3), matrix(1:6, 3)[2:3, ])
  expect_identical(hdf5_matrix(file, "g/x", normalizer = \(x) x * 2), matrix(1:6, 3) * 2)
  expect_error(hdf5_matrix(file, "y"), "g/x", class = "kerasbridge_error_argument")
  expect_error(hdf5_matrix(file, "g/x", end = 4), "3 rows", class = "kerasbridge_error_argument")
  expect_error(hdf5_matrix(tempfile(), "x"), "no file", class = "kerasbridge_error_file")
  expect_error(hdf5_matrix(file, "g/x", start = 0), "start", class = "kerasbridge_error_argument")
})

test_that("the next batch comes from R functions and Python iterators", {
  i <- 0
  f <- function() {
    i <<- i + 1
    if (i == 1) list(1, 2)
  }
  expect_identical(generator_next(f), list(1, 2))
  expect_identical(generator_next(f, completed = "end"), "end")
  expect_error(generator_next(1:3), "generator", class = "kerasbridge_error_argument")
})

test_that("images are written and resized", {
  skip_if_no_keras()
  img <- array(rep(c(0, 255), each = 4 * 6 * 3 / 2), c(4, 6, 3))
  file <- withr::local_tempfile(fileext = ".png")
  image_array_save(img, file, scale = FALSE)
  expect_equal(image_to_array(image_load(file)), img)
  small <- image_array_resize(img, 2, 3)
  expect_true(is.numeric(small) && !inherits(small, "python.builtin.object"))
  expect_identical(dim(small), c(2L, 3L, 3L))
  expect_identical(dim(image_array_resize(image_load(file), 8, 8)), c(8L, 8L, 3L))
  expect_identical(dim(image_array_resize(aperm(img, c(3, 1, 2)), 2, 3, "channels_first")), c(3L, 2L, 3L))
  expect_error(image_array_resize(1:3, 2, 2), "img", class = "kerasbridge_error_argument")
})

test_that("py_require is passed on or refused in words", {
  skip_if(utils::packageVersion("reticulate") >= "1.41")
  expect_error(py_require("pandas"), "1.41", class = "kerasbridge_error_unsupported")
})
