test_that("images come with labels and predictions, wrong ones marked", {
  withr::local_pdf(NULL)
  x <- array(runif(5 * 4 * 3), c(5, 4, 3))
  probability <- rbind(c(0.9, 0.1), c(0.2, 0.8), c(0.7, 0.3), c(0.4, 0.6), c(0.5, 0.5))
  shown <- plot_images(x, labels = c(0, 1, 1, 1, 0), predicted = probability, classes = c("cat", "dog"), max = 4)
  expect_identical(shown$label, c("cat", "dog", "dog", "dog"))
  expect_identical(shown$predicted, c("cat", "dog", "cat", "dog"))
  expect_identical(shown$right, c(TRUE, TRUE, FALSE, TRUE))
  expect_equal(shown$probability, c(0.9, 0.8, 0.7, 0.6))
  second <- plot_images(array(0:1, c(2, 3, 3, 3)), predicted = cbind(c(0.2, 0.9)), classes = c("no", "yes"), columns = 1)
  expect_identical(second$predicted, c("no", "yes"))
  expect_equal(second$probability, c(0.8, 0.9))
  expect_identical(dim(plot_images(x)), c(5L, 0L))
  expect_identical(par("mfrow"), c(1L, 1L))
})

test_that("what are no images or no classes is refused", {
  withr::local_pdf(NULL)
  x <- array(0, c(2, 4, 4))
  expect_error(plot_images(matrix(0, 2, 2)), "`x` must be images", class = "kerasbridge_error_argument")
  expect_error(plot_images(array(0, c(2, 4, 4, 2))), "1 or 3 channels", class = "kerasbridge_error_argument")
  expect_error(plot_images(x, labels = 1), "`labels` has 1 entries for 2 cases", class = "kerasbridge_error_argument")
  expect_error(plot_images(x, labels = c(0.5, 1)), "`labels` must be classes", class = "kerasbridge_error_argument")
  expect_error(plot_images(x, labels = c(0, 2), classes = c("a", "b")), "holds class 2", class = "kerasbridge_error_argument")
  expect_error(plot_images(x, range = c(1, 0)), "the smaller one first", class = "kerasbridge_error_argument")
  expect_error(plot_images(x, max = 0), "`max`", class = "kerasbridge_error_argument")
})

test_that("the picture that is drawn is the image, upright", {
  path <- withr::local_tempfile(fileext = ".png")
  grDevices::png(path, 100, 100)
  image <- array(0, c(1, 4, 4))
  image[1, 1, 4] <- 1 # upper right
  plot_images(image)
  grDevices::dev.off()
  skip_if_not_installed("png")
  pixels <- png::readPNG(path)[, , 1]
  expect_equal(mean(pixels[16:22, 78:84]), 1)
  expect_equal(mean(pixels[78:84, 16:22]), 0)
})

test_that("a confusion matrix counts by truth and prediction", {
  truth <- factor(c("b", "a", "b", "c"), levels = c("c", "b", "a"))
  counts <- confusion_matrix(truth, c("b", "b", "b", "c"))
  expect_identical(rownames(counts), c("c", "b", "a"))
  expect_identical(counts["a", "b"], 1L)
  expect_identical(counts["b", "b"], 2L)
  expect_identical(sum(counts), 4L)
  numbers <- confusion_matrix(c(10, 2, 2), c(2, 2, 10))
  expect_identical(rownames(numbers), c("2", "10"))
  named <- confusion_matrix(c(0, 1), rbind(c(0.3, 0.7), c(0.1, 0.9)), classes = c("no", "yes", "never"))
  expect_identical(unclass(named)[, "yes"], c(no = 1L, yes = 1L, never = 0L))
  expect_output(print(named), "predicted")
  withr::local_pdf(NULL)
  expect_identical(plot(named), named)
  expect_error(plot(named, colour = 1), "`colour`", class = "kerasbridge_error_argument")
  expect_error(confusion_matrix(1:3, 1:2), "`predicted` has 2 entries for 3 cases", class = "kerasbridge_error_argument")
  expect_error(confusion_matrix(NULL, 1), "`truth` holds no classes", class = "kerasbridge_error_argument")
})

test_that("filters and feature maps are the layer's own numbers", {
  skip_if_no_keras()
  withr::local_pdf(NULL)
  model <- keras_model_sequential(input_shape = c(6, 6, 3)) |>
    layer_conv_2d(filters = 4, kernel_size = 3, name = "first") |>
    layer_conv_2d(filters = 2, kernel_size = 1, name = "second") |>
    layer_flatten() |>
    layer_dense(2, name = "last")
  kernel <- get_weights(get_layer(model, "first"))[[1]]
  filters <- plot_filters(model, max = 3)
  expect_identical(dim(filters), c(4L, 3L, 3L, 3L))
  expect_equal(filters[2, , , 1], kernel[, , 1, 2])
  second <- plot_filters(model, layer = 2)
  expect_equal(as.vector(second), colMeans(get_weights(get_layer(model, "second"))[[1]][1, 1, , ]), tolerance = 1e-6)
  x <- array(sin(1:108), c(6, 6, 3))
  maps <- plot_feature_maps(model, x)
  expect_identical(dim(maps), c(4L, 4L, 4L))
  expect_equal(maps[1, 1, 2], sum(x[1:3, 1:3, ] * kernel[, , , 2]), tolerance = 1e-5)
  expect_identical(dim(plot_feature_maps(model, array(x, c(1, 6, 6, 3)), layer = "second")), c(4L, 4L, 2L))
  expect_error(plot_feature_maps(model, x, layer = "last"), "whose output is no image", class = "kerasbridge_error_argument")
  expect_error(plot_feature_maps(model, matrix(0, 2, 2)), "must be one image", class = "kerasbridge_error_argument")
  expect_error(plot_filters(model, layer = "last"), "has no filters", class = "kerasbridge_error_argument")
  expect_error(plot_filters(small_model()), "no two-dimensional convolution", class = "kerasbridge_error_argument")
})
