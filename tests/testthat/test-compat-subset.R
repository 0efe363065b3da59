# Parts of tensors and taking lists apart.

m <- matrix(1:12, 3)
a <- array(1:24, c(2, 3, 4))
same <- function(x, want) expect_identical(as.array(x), want)
flat <- function(x) as.vector(as.array(x))

test_that("op_subset() is R's own subsetting", {
  skip_if_no_keras()
  x <- as_tensor(m)
  expect_identical(flat(op_subset(x, 2, )), m[2, ])
  expect_identical(flat(op_subset(x, , 3)), m[, 3])
  expect_identical(flat(op_subset(x, 2)), m[2, ])
  same(op_subset(x, 2:3, c(1, 4)), m[2:3, c(1, 4)])
  same(op_subset(x, c(TRUE, FALSE, TRUE), ), m[c(1, 3), ])
  expect_equal(flat(op_subset(x, -1, 1)), m[3, 1])
  same(op_subset(m, 1:2, 1:2), m[1:2, 1:2])
  i <- 2
  expect_identical(flat(op_subset(x, i, )), m[i, ])
})

test_that("op_subset() knows all_dims(), newaxis, slices, masks and matrices", {
  skip_if_no_keras()
  x <- as_tensor(a)
  same(op_subset(x, all_dims(), 2), a[, , 2])
  same(op_subset(x, 1, all_dims()), a[1, , ])
  same(op_subset(x, 1, all_dims(), 2:3), a[1, , 2:3])
  expect_identical(dim(op_subset(x, newaxis, all_dims())), c(1L, 2L, 3L, 4L))
  expect_identical(dim(op_subset(x, all_dims(), NULL)), c(2L, 3L, 4L, 1L))
  same(op_subset(x, , , 2:NULL), a[, , 2:4])
  same(op_subset(x, , , NULL:2), a[, , 1:2])
  same(op_subset(x, , , 1:4:2), a[, , c(1, 3)])
  same(op_subset(x, , , -2:NULL), a[, , 3:4])
  y <- as_tensor(m)
  expect_identical(flat(op_subset(y, m > 5)), m[m > 5])
  expect_identical(flat(op_subset(y, as_tensor(m > 5))), m[m > 5])
  places <- cbind(3:1, c(1, 4, 2))
  expect_identical(flat(op_subset(y, places)), m[places])
  expect_error(op_subset(y, cbind(1, 1, 1)), "3 columns", class = "kerasbridge_error_argument")
  expect_error(op_subset(y, cbind(4, 1)), "outside", class = "kerasbridge_error_argument")
  expect_error(op_subset(y, all_dims(), all_dims()), "more than once", class = "kerasbridge_error_argument")
  expect_error(op_subset(y, 9, ), "position 9", class = "kerasbridge_error_argument")
  expect_error(op_subset(y, 3:2:1, ), "takes nothing", class = "kerasbridge_error_argument")
  expect_output(print(all_dims()), "all axes")
  expect_null(newaxis)
})

test_that("parts are replaced in a new tensor", {
  skip_if_no_keras()
  x <- as_tensor(m)
  changed <- function(...) {
    r <- m
    eval(substitute(`[<-`(r, ...)))
  }
  same(op_subset_set(x, 1, , value = 0L), changed(1, , value = 0L))
  same(op_subset_set(x, 2:3, 2:3, value = matrix(1:4, 2)), changed(2:3, 2:3, value = matrix(1:4, 2)))
  same(op_subset_set(x, c(1, 3), c(4, 1), value = matrix(21:24, 2)), changed(c(1, 3), c(4, 1), value = matrix(21:24, 2)))
  same(op_subset_set(x, , c(TRUE, FALSE, FALSE, TRUE), value = 7L), changed(, c(TRUE, FALSE, FALSE, TRUE), value = 7L))
  same(op_subset_set(x, m > 5, value = 0L), changed(m > 5, value = 0L))
  same(op_subset_set(x, cbind(1:3, 1:3), value = 31:33), changed(cbind(1:3, 1:3), value = 31:33))
  same(op_subset_set(x, all_dims(), -1, value = 5L), changed(, 4, value = 5L))
  same(op_subset_set(as_tensor(a), 1, , c(1, 4), value = 0), { r <- a; r[1, , c(1, 4)] <- 0L; r })
  same(x, m)
  op_subset(x, 1, 2) <- 99
  expect_identical(as.array(x)[1, 2], 99L)
  v <- k_variable(c(1, 2, 3))
  w <- v
  op_subset(v, 2) <- 0
  expect_s3_class(v, "kerasbridge_variable")
  expect_equal(as.vector(as.array(w)), c(1, 0, 3))
  expect_error(op_subset_set(x, 1, value = 1.5), "whole numbers", class = "kerasbridge_error_argument")
  expect_error(op_subset_set(x, 5, value = 1L), "outside", class = "kerasbridge_error_argument")
  expect_error(op_subset_set(x, NULL, 1, value = 1L), "new axis", class = "kerasbridge_error_argument")
  expect_error(op_subset_set(layer_input(2), 1, value = 0), "no fixed length", class = "kerasbridge_error_argument")
  expect_error(op_subset_set(x, 1, , value = 1:3), class = "kerasbridge_error")
})

test_that("`.` takes lists apart", {
  .[first, , third] <- list(1, "skipped", 3)
  expect_identical(c(first, third), c(1, 3))
  .[train = train] <- list(test = 1, train = 2)
  expect_identical(train, 2)
  .[head, ..] <- 1:4
  expect_identical(head, 1L)
  expect_identical(.., as.list(2:4))
  expect_error({ .[p, q] <- list(1) }, "1 elements for 2 names", class = "kerasbridge_error_argument")
  expect_error({ .[p = missing_one] <- list(1) }, "no element called", class = "kerasbridge_error_argument")
  expect_output(print(kerasbridge::.), "takes lists apart")
})
