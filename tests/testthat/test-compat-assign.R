test_that("several names are assigned at once", {
  expect_invisible(c(a, b) %<-% list(1, "x"))
  expect_identical(list(a, b), list(1, "x"))
  c(a, c(b, d)) %<-% list(1, list(2, 3))
  expect_identical(c(a, b, d), c(1, 2, 3))
  c(a, ., b) %<-% 1:3
  expect_identical(c(a, b), c(1L, 3L))
  c(first, ...others, last) %<-% 1:4
  expect_identical(list(first, others, last), list(1L, list(2L, 3L), 4L))
  whole %<-% list(1, 2)
  expect_identical(whole, list(1, 2))
  box <- list(x = 0)
  c(box$x, box$y) %<-% c(7, 8)
  expect_identical(box, list(x = 7, y = 8))
  c(u, v) %<-% data.frame(p = 1:2, q = 3:4)
  expect_identical(v, 3:4)
  c(f, g) %<-% list(quote(a + b), NULL)
  expect_identical(f, quote(a + b))
  expect_null(g)
})

test_that("numbers of names and values must agree", {
  expect_error(c(a, b) %<-% list(1, 2, 3), "3 elements for 2 names", class = "kerasbridge_error_argument")
  expect_error(c(a, b, ...r) %<-% list(1), "1 element for 3 names", class = "kerasbridge_error_argument")
  expect_error(c(...a, ...b) %<-% list(1, 2), "more than one", class = "kerasbridge_error_argument")
})

test_that("a context gets a name", {
  skip_if_no_keras()
  expect_error(list() %as% "tape", "name", class = "kerasbridge_error_argument")
  skip_if(config_backend() != "tensorflow", "a tape of gradients is TensorFlow's")
  x <- tf$constant(3)
  with(tf$GradientTape() %as% tape, {
    tape$watch(x)
    y <- x * x
  })
  expect_equal(as.numeric(tape$gradient(y, x)), 6)
})
