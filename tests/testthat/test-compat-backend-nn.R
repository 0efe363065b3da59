# Older backend functions of neural networks against loops in base R.

close <- function(x, want, ...) expect_equal(as.array(x), want, tolerance = 1e-5, ignore_attr = TRUE, ...)
m <- matrix(c(-4, 0.25, 2, -0.75, 1, 3.5), 2)
softmax <- function(x) exp(x) / sum(exp(x))

# x (rows, columns, in), kernel (h, w, in, out) -> rows, columns, out; no padding
conv_loop <- function(x, kernel, stride = 1, dilation = 1) {
  reach <- (dim(kernel)[1:2] - 1) * dilation + 1
  size <- (dim(x)[1:2] - reach) %/% stride + 1
  out <- array(0, c(size, dim(kernel)[4]))
  for (i in seq_len(size[1])) for (j in seq_len(size[2])) for (o in seq_len(dim(kernel)[4])) {
    rows <- (i - 1) * stride + seq(1, reach[1], dilation)
    cols <- (j - 1) * stride + seq(1, reach[2], dilation)
    out[i, j, o] <- sum(x[rows, cols, , drop = FALSE] * array(kernel[, , , o], dim(kernel)[1:3]))
  }
  out
}

test_that("activations follow their formulas", {
  skip_if_no_keras()
  close(k_relu(m), pmax(m, 0))
  close(k_relu(m, alpha = 0.1), ifelse(m >= 0, m, 0.1 * m))
  close(k_relu(m, max_value = 1.5), pmin(pmax(m, 0), 1.5))
  close(k_relu(m, alpha = 0.5, threshold = 1), ifelse(m >= 1, m, 0.5 * (m - 1)))
  close(k_elu(m, 2), ifelse(m > 0, m, 2 * (exp(m) - 1)))
  close(k_softmax(m), t(apply(m, 1, softmax)))
  close(k_softmax(m, axis = 1), apply(m, 2, softmax))
  close(k_softplus(m), log1p(exp(m)))
  close(k_softsign(m), m / (1 + abs(m)))
  close(k_sigmoid(m), stats::plogis(m))
  close(k_tanh(m), tanh(m))
  close(k_hard_sigmoid(m), pmin(pmax(0.2 * m + 0.5, 0), 1))
})

test_that("losses follow their formulas", {
  skip_if_no_keras()
  y <- c(0, 1, 1)
  p <- c(0.2, 0.7, 0.4)
  close(k_binary_crossentropy(y, p), -(y * log(p) + (1 - y) * log(1 - p)))
  close(k_binary_crossentropy(y, stats::qlogis(p), from_logits = TRUE), -(y * log(p) + (1 - y) * log(1 - p)))
  q <- rbind(c(0.2, 0.5, 0.3), c(0.1, 0.1, 0.8))
  close(k_categorical_crossentropy(rbind(c(0, 1, 0), c(1, 0, 0)), q), -log(c(0.5, 0.1)))
  close(k_sparse_categorical_crossentropy(c(1, 0), q), -log(c(0.5, 0.1)))
  close(k_sparse_categorical_crossentropy(c(1, 0), log(q), from_logits = TRUE), -log(c(0.5, 0.1)))
  close(k_in_top_k(q, c(2, 2), 1), c(FALSE, TRUE))
  close(k_in_top_k(q, c(2, 1), 2), c(TRUE, TRUE))
  close(k_in_top_k(q[1, , drop = FALSE], 1, 1), TRUE)
})

test_that("CTC takes probabilities with the last class as the blank", {
  skip_if_no_keras()
  # two steps, classes 0, 1, blank; label 0 can come as (0, 0), (0, blank), (blank, 0)
  p <- rbind(c(0.5, 0.2, 0.3), c(0.6, 0.1, 0.3))
  cost <- k_ctc_batch_cost(matrix(0, 1, 1), array(p, c(1, 2, 3)), matrix(2, 1, 1), matrix(1, 1, 1))
  expect_identical(dim(cost), c(1L, 1L))
  close(cost, -log(0.5 * 0.6 + 0.5 * 0.3 + 0.3 * 0.6))
  expect_error(k_ctc_batch_cost(matrix(0, 1, 1), p, 2, 1), "samples, steps, classes", class = "kerasbridge_error_argument")
  if (!is_keras_available("3.3")) {
    expect_error(k_ctc_decode(array(p, c(1, 2, 3)), 2), "came with Keras 3.3", class = "kerasbridge_error_unsupported")
    return()
  }
  decoded <- k_ctc_decode(array(p, c(1, 2, 3)), 2)
  expect_length(decoded[[1]], 1)
  expect_identical(as.vector(as.array(decoded[[1]][[1]]))[[1]], 0L)
  beams <- k_ctc_decode(array(p, c(1, 2, 3)), 2, greedy = FALSE, beam_width = 10, top_paths = 2)
  expect_length(beams[[1]], 2)
  expect_identical(as.vector(as.array(beams[[1]][[1]]))[[1]], 0L)
})

test_that("products sum over the axes given", {
  skip_if_no_keras()
  close(k_dot(m, t(m)), m %*% t(m))
  a <- array(1:24 / 8, c(2, 3, 4))
  b <- array(24:1 / 8, c(2, 4, 5 - 2))
  by_hand <- array(0, c(2, 3, 3))
  for (s in 1:2) by_hand[s, , ] <- a[s, , ] %*% b[s, , ]
  close(k_batch_dot(a, b), by_hand)
  close(k_batch_dot(a, b, axes = c(3, 2)), by_hand)
  close(k_batch_dot(a, b, axes = c(-1, -2)), by_hand)
  close(k_batch_dot(m, m, axes = 2), matrix(rowSums(m^2)))
  expect_error(k_batch_dot(a, b, axes = 1), "between 2", class = "kerasbridge_error_argument")
  # (2, 3) . (4, 3, 5) -> (2, 4, 5)
  y <- array(1:60 / 30, c(4, 3, 5))
  want <- array(0, c(2, 4, 5))
  for (i in 1:4) want[, i, ] <- m %*% y[i, , ]
  close(k_dot(m, y), want)
  close(k_bias_add(a, c(1, 2, 3, 4)), sweep(a, 3, 1:4, `+`))
  close(k_bias_add(a, c(1, 2, 3), data_format = "channels_first"), sweep(a, 2, 1:3, `+`))
  full <- matrix(1:12, 3)
  close(k_bias_add(a, full), a + aperm(array(full, c(3, 4, 2)), c(3, 1, 2)))
  expect_error(k_bias_add(a, array(1, c(1, 1, 1))), "bias", class = "kerasbridge_error_argument")
})

test_that("normalisation uses the moments of the axes given", {
  skip_if_no_keras()
  x <- matrix(c(1, 2, 6, 4, 0, 8), 3)
  mean <- colMeans(x)
  var <- colMeans(sweep(x, 2, mean)^2)
  want <- sweep(sweep(x, 2, mean), 2, sqrt(var + 0.001), `/`)
  want <- sweep(sweep(want, 2, c(2, 3), `*`), 2, c(-1, 1), `+`)
  close(k_batch_normalization(x, mean, var, beta = c(-1, 1), gamma = c(2, 3)), want)
  out <- k_normalize_batch_in_training(x, gamma = c(2, 3), beta = c(-1, 1), reduction_axes = 1)
  close(out[[1]], want)
  close(out[[2]], mean)
  close(out[[3]], var)
  images <- array(1:24 / 6, c(2, 3, 4))
  first <- k_normalize_batch_in_training(images, NULL, NULL, reduction_axes = c(1, 3))
  close(first[[2]], apply(images, 2, base::mean))
})

test_that("convolutions are the loop", {
  skip_if_no_keras()
  x <- array(sin(1:50), c(5, 5, 2))
  kernel <- array(cos(1:24), c(2, 2, 2, 3))
  batch <- array(x, c(1, 5, 5, 2))
  close(k_conv2d(batch, kernel), array(conv_loop(x, kernel), c(1, 4, 4, 3)))
  close(k_conv2d(batch, kernel, strides = c(2, 2)), array(conv_loop(x, kernel, 2), c(1, 2, 2, 3)))
  close(k_conv2d(batch, kernel, dilation_rate = c(2, 2)), array(conv_loop(x, kernel, 1, 2), c(1, 3, 3, 3)))
  expect_identical(dim(k_conv2d(batch, kernel, padding = "same")), c(1L, 5L, 5L, 3L))
  # one dimension: a row of one pixel
  s <- x[, 1, , drop = FALSE]
  k1 <- kernel[, 1, , , drop = FALSE]
  one <- array(s, c(1, 5, 2))
  k_one <- array(k1, c(2, 2, 3))
  close(k_conv1d(one, k_one), array(conv_loop(s, k1), c(1, 4, 3)))
  causal <- as.array(k_conv1d(one, k_one, padding = "causal"))
  expect_identical(dim(causal), c(1L, 5L, 3L))
  expect_equal(causal[, 2:5, ], conv_loop(s, k1)[, 1, ], tolerance = 1e-5)
  expect_equal(causal[1, 1, ], colSums(k_one[2, , ] * one[1, 1, ]), tolerance = 1e-5)
  # three dimensions: a volume of depth one
  volume <- k_conv3d(array(x, c(1, 1, 5, 5, 2)), array(kernel, c(1, 2, 2, 2, 3)))
  close(volume, array(conv_loop(x, kernel), c(1, 1, 4, 4, 3)))
  # depthwise: each channel by itself
  depth <- array(cos(1:8), c(2, 2, 2, 1))
  by_channel <- sapply(1:2, \(ch) conv_loop(x[, , ch, drop = FALSE], depth[, , ch, , drop = FALSE]), simplify = "array")
  close(k_depthwise_conv2d(batch, depth), array(by_channel, c(1, 4, 4, 2)))
  point <- array(c(1, 2, -1, 0.5), c(1, 1, 2, 2))
  mixed <- array(matrix(by_channel, ncol = 2) %*% point[1, 1, , ], c(1, 4, 4, 2))
  close(k_separable_conv2d(batch, depth, point), mixed)
})

test_that("transposed convolution spreads each point, to the shape asked for", {
  skip_if_no_keras()
  x <- matrix(c(1, 3, 2, 4), 2)
  kernel <- matrix(c(1, 0.5, 2, -1, 1, 0, 3, 1, -2), 3)
  spread <- \(rows) {
    out <- matrix(0, rows, rows)
    for (i in 1:2) for (j in 1:2) {
      r <- (i - 1) * 2 + 1:3
      out[r, (j - 1) * 2 + 1:3] <- out[r, (j - 1) * 2 + 1:3] + x[i, j] * kernel
    }
    out
  }
  batch <- array(x, c(1, 2, 2, 1))
  k2 <- array(kernel, c(3, 3, 1, 1))
  close(k_conv2d_transpose(batch, k2, c(1, 5, 5, 1), strides = c(2, 2)), array(spread(5), c(1, 5, 5, 1)))
  close(k_conv2d_transpose(batch, k2, list(NULL, 6, 6, 1), strides = 2), array(spread(6), c(1, 6, 6, 1)))
  expect_identical(dim(k_conv2d_transpose(batch, k2, strides = 2, padding = "same")), c(1L, 4L, 4L, 1L))
  expect_identical(dim(k_conv2d_transpose(batch, k2, c(1, 3, 3, 1), strides = 2, padding = "same")), c(1L, 3L, 3L, 1L))
  expect_error(k_conv2d_transpose(batch, k2, c(1, 9, 9, 1), strides = 2), "output_shape", class = "kerasbridge_error_argument")
  v <- k_conv3d_transpose(array(x, c(1, 1, 2, 2, 1)), array(kernel, c(1, 3, 3, 1, 1)), c(1, 1, 5, 5, 1), strides = c(1, 2, 2))
  close(v, array(spread(5), c(1, 1, 5, 5, 1)))
})

test_that("pooling takes the largest or the mean of each window", {
  skip_if_no_keras()
  x <- matrix(c(1, 5, 2, 8, 3, 4, 9, 6, 7, 0, 2, 1, 4, 4, 8, 3), 4)
  window <- \(f) matrix(c(f(x[1:2, 1:2]), f(x[3:4, 1:2]), f(x[1:2, 3:4]), f(x[3:4, 3:4])), 2)
  batch <- array(x, c(1, 4, 4, 1))
  close(k_pool2d(batch, c(2, 2), strides = c(2, 2)), array(window(max), c(1, 2, 2, 1)))
  close(k_pool2d(batch, 2, strides = 2, pool_mode = "avg"), array(window(mean), c(1, 2, 2, 1)))
  expect_identical(dim(k_pool2d(batch, c(2, 2))), c(1L, 3L, 3L, 1L))
  volume <- array(x, c(1, 1, 4, 4, 1))
  close(k_pool3d(volume, c(1, 2, 2), strides = c(1, 2, 2), pool_mode = "avg"), array(window(mean), c(1, 1, 2, 2, 1)))
  expect_error(k_pool2d(batch, 2, pool_mode = "min"), "pool_mode", class = "kerasbridge_error_argument")
})

test_that("local convolution has a kernel at every place", {
  skip_if_no_keras()
  x <- array(sin(1:12), c(1, 6, 2))
  kernel <- array(cos(1:30), c(5, 4, 3))
  want <- array(0, c(1, 5, 3))
  for (p in 1:5) want[1, p, ] <- as.vector(t(x[1, p:(p + 1), ])) %*% kernel[p, , ]
  close(k_local_conv1d(x, kernel, list(2), list(1)), want)
  x <- array(sin(1:9), c(1, 3, 3, 1))
  kernel <- array(cos(1:32), c(4, 4, 2))
  want <- array(0, c(1, 2, 2, 2))
  for (i in 1:2) for (j in 1:2) {
    want[1, i, j, ] <- as.vector(t(x[1, i:(i + 1), j:(j + 1), 1])) %*% kernel[(i - 1) * 2 + j, , ]
  }
  close(k_local_conv2d(x, kernel, c(2, 2), c(1, 1), c(2, 2)), want)
  expect_error(k_local_conv2d(x, kernel, c(2, 2), c(1, 1), c(3, 3)), "output_shape", class = "kerasbridge_error_argument")
  expect_error(k_local_conv1d(array(0, c(1, 9, 2)), kernel, 2, 1), "kernel", class = "kerasbridge_error_argument")
})
