test_that("the preprocessing is that of the model's family", {
  skip_if_no_keras()
  x <- array(c(0, 127.5, 255), c(1, 1, 1, 3))
  named <- function(name) {
    keras_model_sequential(input_shape = 1, name = name) |> layer_dense(1)
  }
  small <- application_mobilenet_v2(weights = NULL, input_shape = c(32, 32, 3), classes = 3)
  expect_equal(as.vector(as.array(application_preprocess_inputs(small, x))), c(-1, 0, 1))
  caffe <- c(255 - 103.939, 127.5 - 116.779, -123.68)
  for (name in c("resnet50", "vgg16")) {
    expect_equal(as.vector(as.array(application_preprocess_inputs(named(name), x))), caffe, tolerance = 1e-5)
  }
  torch <- (c(0, 0.5, 1) - c(0.485, 0.456, 0.406)) / c(0.229, 0.224, 0.225)
  expect_equal(as.vector(as.array(application_preprocess_inputs(named("densenet121"), x))), torch, tolerance = 1e-5)
  expect_equal(as.vector(as.array(application_preprocess_inputs(named("efficientnetv2-b0"), x))), c(0, 127.5, 255))
  expect_equal(as.vector(as.array(application_preprocess_inputs(named("resnet101v2"), x))), c(-1, 0, 1))
  expect_error(application_preprocess_inputs(named("mine"), x), "mine", class = "kerasbridge_error_argument")
  expect_error(application_preprocess_inputs(1, x), "model", class = "kerasbridge_error_argument")
  expect_error(application_decode_predictions(named("mine"), matrix(0, 1, 1000)), "mine", class = "kerasbridge_error_argument")
})

test_that("a stored MobileNet is read", {
  skip_if_no_keras()
  model <- application_mobilenet(weights = NULL, input_shape = c(32, 32, 3), classes = 2, alpha = 0.25)
  file <- withr::local_tempfile(fileext = ".h5")
  save_model(model, file)
  again <- mobilenet_load_model_hdf5(file)
  x <- array(0.5, c(1, 32, 32, 3))
  expect_equal(predict(again, x, verbose = 0), predict(model, x, verbose = 0))
  expect_identical(mobilenet_v2_load_model_hdf5(file)$name, model$name)
})

test_that("densenets of any block sizes are built as Keras builds its own", {
  skip_if_no_keras()
  theirs <- application_densenet121(weights = NULL, input_shape = c(32, 32, 3), classes = 4)
  ours <- application_densenet(blocks = c(6, 12, 24, 16), weights = NULL, input_shape = c(32, 32, 3), classes = 4)
  expect_identical(count_params(ours), count_params(theirs))
  set_weights(ours, get_weights(theirs))
  x <- array(runif(2 * 32 * 32 * 3), c(2, 32, 32, 3))
  expect_equal(predict(ours, x, verbose = 0), predict(theirs, x, verbose = 0), tolerance = 1e-5)
  small <- application_densenet(blocks = c(2, 2), include_top = FALSE, weights = NULL, input_shape = c(32, 32, 3), pooling = "avg")
  # 64 + 2 * 32 channels, halved, + 2 * 32
  expect_identical(dim(predict(small, x, verbose = 0)), c(2L, 128L))
  expect_error(application_densenet(c(2, 2), input_shape = c(32, 32, 3)), "weights", class = "kerasbridge_error_argument")
})

test_that("the numbers of NASNet choose one of the two", {
  skip_if_no_keras()
  skip_if(config_backend() == "torch", "Keras makes no NASNet on PyTorch, and says so")
  model <- application_nasnet(c(32, 32, 3), 1056, 4, 32, FALSE, classes = 3, weights = NULL)
  expect_identical(dim(model$output), c(NA, 3L))
  expect_lt(count_params(model), 5e6)
  expect_error(application_nasnet(num_blocks = 5), "Large", class = "kerasbridge_error_unsupported")
})
