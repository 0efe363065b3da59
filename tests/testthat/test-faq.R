# What R users read about Keras in questions and answers, as running code: each test checks the outcome that
# the answer promises. The names say which question it is.

wave <- function(n = 120, columns = 4) {
  x <- matrix(sin(seq_len(n * columns)), n)
  list(x = x, y = as.integer(rowSums(x) > 0))
}

two_classes <- function(columns = 4, units = 8) {
  model <- keras_model_sequential() %>%
    layer_dense(units = units, activation = "relu", input_shape = columns, name = "hidden") %>%
    layer_dense(units = 1, activation = "sigmoid", name = "answer")
  model %>% compile(optimizer = optimizer_rmsprop(lr = 0.01), loss = "binary_crossentropy", metrics = c("accuracy"))
}

test_that("installing: versions of TensorFlow, CUDA and cuDNN are arguments; placeholders are explained", {
  skip_if(is.null(tryCatch(find_interpreter(), kerasbridge_error_install = \(e) NULL)), "no Python that can make environments")
  withr::local_envvar(KERASBRIDGE_VENV = withr::local_tempfile())
  error <- expect_error(
    install_tensorflow(version = "<TF_VERSION>", cuda_version = "<CUDA_VERSION>", cudnn_version = "<cuDNN_VERSION>"),
    class = "kerasbridge_error_install"
  )
  expect_match(conditionMessage(error), "is not a TensorFlow version")
  expect_output(kerasbridge_doctor("Error: invalid version specification '<TF_VERSION>'"), "nothing to do with CUDA")
  expect_true(all(c("version", "cuda_version", "cudnn_version") %in% names(formals(install_tensorflow))))
})

test_that("choosing an environment: the functions are there, the chosen one wins, the doctor says why", {
  expect_true(is.function(use_condaenv) && is.function(use_virtualenv) && is.function(use_python))
  skip_if_no_keras()
  out <- run_r(c(
    sprintf("library(kerasbridge); use_python('%s')", python_path()),
    "Sys.setenv(KERASBRIDGE_VENV = '/nonexistent')",
    "d <- kerasbridge_doctor(deep = FALSE)",
    "cat(d$found[d$check == 'Python'])"
  ))
  expect_match(out$output, "because use_python() or use_virtualenv() named it", fixed = TRUE, all = FALSE)
})

test_that("GPUs by way of tf, versions, backend and build", {
  skip_if_no_keras()
  skip_if_not(kerasbridge_info()$backend == "tensorflow")
  gpus <- tf$config$list_physical_devices("GPU")
  expect_type(gpus, "list")
  for (gpu in gpus) tf$config$experimental$set_memory_growth(gpu, TRUE)
  expect_match(tf$`__version__`, "^2[.]")
  expect_identical(keras$backend$backend(), "tensorflow")
  expect_type(tf$test$is_built_with_cuda(), "logical")
  expect_true(all(c("keras", "backend", "backend_version", "python_path") %in% names(kerasbridge_info())))
})

test_that("parts of a model on devices of one's choice", {
  skip_if_no_keras()
  skip_if_not(kerasbridge_info()$backend == "tensorflow")
  expect_s3_class(gpu_devices(), "data.frame")
  encoder <- layer_lstm(units = 2)
  x <- array(sin(1:24), c(2, 4, 3))
  with(tf$device("/cpu:0"), one <- encoder(x))
  two <- device_scope("/cpu:0", encoder(x))
  expect_equal(as.array(one), as.array(two))
  expect_identical(dim(as.array(layer_concatenate(list(one, two)))), c(2L, 4L))
})

test_that("out of memory is a condition of its own", {
  skip_if_no_keras()
  skip_if_not(kerasbridge_info()$backend == "tensorflow")
  # the very exception that TensorFlow raises
  raise <- reticulate::import("kerasbridge.bridge.outcome", convert = FALSE)$describe
  exhausted <- tf$errors$ResourceExhaustedError(NULL, NULL, "OOM when allocating tensor with shape[4096,4096]")
  caught <- tryCatch(
    abort_from_python(reticulate::py_to_r(raise(exhausted)), call = NULL),
    kerasbridge_error_oom = \(e) conditionMessage(e)
  )
  expect_match(caught, "Memory ran out: a tensor of shape (4096, 4096)", fixed = TRUE)
  expect_match(caught, "Use fewer rows at once")
})

test_that("how to cite", {
  expect_match(format(citation("kerasbridge"), style = "text"), "kerasbridge|Keras")
})

test_that("backends that ended say so at once, and which there are", {
  for (name in c("theano", "cntk", "plaidml")) {
    error <- expect_error(use_backend(name), "ended in 20", class = "kerasbridge_error_unsupported")
    expect_match(conditionMessage(error), "\"tensorflow\", \"jax\" or \"torch\"", fixed = TRUE)
  }
})

test_that("layers are added in place, and the last one can be taken off", {
  skip_if_no_keras()
  model <- keras_model_sequential()
  model %>%
    layer_dense(units = 32, activation = "relu", input_shape = c(784)) %>%
    layer_dense(units = 32, activation = "relu") %>%
    layer_dense(units = 10, activation = "softmax")
  expect_length(model$layers, 3)
  model %>% pop_layer()
  expect_length(model$layers, 2)
  expect_identical(dim(predict(model, matrix(0, 2, 784), verbose = 0)), c(2L, 32L))
})

test_that("a whole model in HDF5 resumes exactly where it was", {
  skip_if_no_keras()
  d <- wave()
  set_random_seed(7)
  model <- two_classes()
  fit(model, d$x, d$y, epochs = 3, shuffle = FALSE, verbose = 0)
  path <- withr::local_tempfile(fileext = ".h5")
  save_model_hdf5(model, path)
  again <- load_model_hdf5(path)
  expect_equal(predict(again, d$x, verbose = 0), predict(model, d$x, verbose = 0))
  on <- fit(model, d$x, d$y, epochs = 2, shuffle = FALSE, verbose = 0)$metrics$loss
  resumed <- fit(again, d$x, d$y, epochs = 2, shuffle = FALSE, verbose = 0)$metrics$loss
  expect_equal(resumed, on, tolerance = 1e-6)
})

test_that("the architecture alone, as JSON and YAML", {
  skip_if_no_yaml()
  model <- two_classes()
  for (again in list(model_from_json(model_to_json(model)), model_from_yaml(model_to_yaml(model)))) {
    expect_identical(vapply(again$layers, \(l) l$name, ""), c("hidden", "answer"))
    expect_identical(count_params(again), count_params(model))
  }
})

test_that("weights alone: back into the same architecture, and by name into another", {
  skip_if_no_keras()
  old <- keras_model_sequential() %>%
    layer_dense(units = 2, input_dim = 3, name = "dense 1") %>%
    layer_dense(units = 3, name = "dense_3")
  for (ending in c(".h5", ".weights.h5")) {
    path <- withr::local_tempfile(fileext = ending)
    save_model_weights_hdf5(old, path)
    same <- keras_model_sequential() %>%
      layer_dense(units = 2, input_dim = 3, name = "dense 1") %>%
      layer_dense(units = 3, name = "dense_3")
    same %>% load_model_weights_hdf5(path)
    expect_equal(get_weights(same), get_weights(old))
    other <- keras_model_sequential() %>%
      layer_dense(units = 2, input_dim = 3, name = "dense 1") %>%
      layer_dense(units = 3, name = "new_dense")
    before <- get_weights(get_layer(other, "new_dense"))
    other %>% load_model_weights_hdf5(path, by_name = TRUE)
    expect_equal(get_weights(get_layer(other, "dense 1")), get_weights(get_layer(old, "dense 1")))
    expect_identical(get_weights(get_layer(other, "new_dense")), before)
  }
  # a name that TensorFlow's graphs don't take is no hindrance to using the model
  x <- matrix(1:6, 2)
  weights <- get_weights(old)
  expected <- sweep(sweep(x %*% weights[[1]], 2, weights[[2]], "+") %*% weights[[3]], 2, weights[[4]], "+")
  expect_equal(predict(old, x, verbose = 0), expected, tolerance = 1e-5)
  old %>% compile("sgd", "mse")
  expect_equal(fit(old, x, expected, epochs = 1, verbose = 0)$metrics$loss, 0, tolerance = 1e-5)
})

test_that("the loss of training is an average over the epoch, with dropout; evaluation has none", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 2) |> layer_dropout(0.9) |> layer_dense(1)
  compile(model, optimizer_sgd(0), "mse")
  x <- matrix(1, 64, 2)
  y <- predict(model, x, verbose = 0)
  expect_equal(evaluate(model, x, y, verbose = 0)$loss, 0)
  expect_gt(fit(model, x, y, epochs = 1, verbose = 0)$metrics$loss, 0)
})

test_that("the output of a layer in the middle", {
  skip_if_no_keras()
  x <- wave()$x
  model <- two_classes()
  middle <- keras_model(inputs = model$input, outputs = get_layer(model, "hidden")$output)
  output <- predict(middle, x, verbose = 0)
  weights <- get_weights(get_layer(model, "hidden"))
  expect_equal(output, pmax(sweep(x %*% weights[[1]], 2, weights[[2]], "+"), 0), tolerance = 1e-5)
})

test_that("a generator that samples, with steps that are a fraction", {
  skip_if_no_keras()
  d <- wave()
  Y <- cbind(d$y)
  asked <- 0
  sampling <- function(x, y, batch_size) {
    function() {
      asked <<- asked + 1
      rows <- sample(seq_len(nrow(x)), batch_size, replace = TRUE)
      list(x[rows, ], y[rows, ]) # the one column is dropped to a vector
    }
  }
  model <- two_classes()
  history <- model %>% fit_generator(sampling(d$x, Y, 50), steps_per_epoch = nrow(d$x) / 50, epochs = 2, verbose = 0)
  expect_length(history$metrics$loss, 2)
  expect_identical(history$params$steps, 3L)
  expect_gte(asked, 6)
  score <- evaluate_generator(model, sampling(d$x, Y, 50), steps = 2)
  expect_true("loss" %in% names(score))
  expect_identical(dim(predict_generator(model, sampling(d$x, Y, 50), steps = 2)), c(100L, 1L))
})

test_that("a generator with a state of its own goes over files again and again", {
  skip_if_no_keras()
  folder <- withr::local_tempdir()
  for (i in 1:3) saveRDS(list(matrix(i, 5, 4), rep(i %% 2, 5)), file.path(folder, paste0(i, ".rds")))
  seen <- character()
  over_files <- function(dir) {
    files <- list.files(dir, full.names = TRUE)
    at <- 0
    function() {
      at <<- at %% length(files) + 1
      seen <<- c(seen, basename(files[[at]]))
      readRDS(files[[at]])
    }
  }
  fit_generator(two_classes(), over_files(folder), steps_per_epoch = 3, epochs = 2, verbose = 0)
  expect_identical(seen[1:6], rep(c("1.rds", "2.rds", "3.rds"), 2))
})

test_that("one batch at a time", {
  skip_if_no_keras()
  d <- wave()
  model <- two_classes()
  before <- test_on_batch(model, d$x, d$y)$loss
  for (i in 1:30) train_on_batch(model, d$x, d$y)
  expect_lt(test_on_batch(model, d$x, d$y)$loss, before)
})

test_that("training stops when the validation loss has stopped falling", {
  skip_if_no_keras()
  d <- wave()
  model <- two_classes()
  compile(model, optimizer_sgd(0), "binary_crossentropy")
  stopping <- callback_early_stopping(monitor = "val_loss", patience = 2)
  history <- model %>% fit(d$x, d$y, validation_split = 0.2, epochs = 20, callbacks = c(stopping), verbose = 0)
  expect_length(history$metrics$val_loss, 3)
})

test_that("the validation split is the last tenth, unshuffled, the same in all epochs", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 1) |> layer_dense(1, kernel_initializer = "ones")
  compile(model, optimizer_sgd(0), "mae")
  x <- matrix(c(rep(0, 18), 5, 7), 20)
  history <- fit(model, x, rep(0, 20), validation_split = 0.1, epochs = 3, verbose = 0)
  expect_equal(history$metrics$val_loss, rep(6, 3))
  expect_equal(history$metrics$loss, rep(0, 3))
})

test_that("training rows are shuffled anew each epoch, or not at all", {
  skip_if_no_keras()
  # in a process without a seed: with one, Keras on TensorFlow shuffles every epoch alike
  out <- run_r(c(
    "library(kerasbridge)",
    "rows <- function(shuffle) {",
    "  model <- keras_model_sequential(input_shape = 1) |> layer_dense(1, use_bias = FALSE, kernel_initializer = 'zeros')",
    "  compile(model, optimizer_sgd(0), 'mae')",
    "  losses <- NULL",
    "  note <- list(on_train_batch_end = \\(batch, logs) losses <<- c(losses, logs$loss))",
    "  fit(model, matrix(1, 40), 1:40, batch_size = 1, epochs = 2, shuffle = shuffle, verbose = 0, callbacks = note)",
    "  # the mean so far, times its number, is the sum of the targets seen",
    "  apply(matrix(losses, 40), 2, \\(l) round(diff(c(0, l * 1:40))))",
    "}",
    "plain <- rows(FALSE); mixed <- rows(TRUE)",
    "cat(all(plain == 1:40), all(apply(mixed, 2, sort) == 1:40), identical(mixed[, 1], mixed[, 2]))"
  ))
  expect_match(utils::tail(out$output, 1), "TRUE TRUE FALSE$")
})

test_that("hist$history holds the losses and metrics of each epoch", {
  skip_if_no_keras()
  d <- wave()
  hist <- two_classes() %>% fit(d$x, d$y, validation_split = 0.2, epochs = 2, verbose = 0)
  expect_setequal(names(hist$history), c("loss", "accuracy", "val_loss", "val_accuracy"))
  expect_true(all(lengths(hist$history) == 2))
})

test_that("freezing counts as of compile(), as the answer says", {
  skip_if_no_keras()
  data <- matrix(runif(64 * 8), 64)
  labels <- matrix(runif(64 * 4), 64)
  input <- layer_input(shape = c(8))
  layer <- layer_dense(units = 4)
  layer$trainable <- FALSE
  y <- input %>% layer
  still <- keras_model(input, y)
  still %>% compile(optimizer = "rmsprop", loss = "mse")
  layer$trainable <- TRUE
  learning <- keras_model(input, y)
  learning %>% compile(optimizer = "rmsprop", loss = "mse")
  first <- get_weights(layer)
  still %>% fit(data, labels, epochs = 2, verbose = 0)
  expect_identical(get_weights(layer), first)
  learning %>% fit(data, labels, epochs = 2, verbose = 0)
  expect_false(identical(get_weights(layer), first))
  expect_false(layer_dense(units = 2, trainable = FALSE)$trainable)
})

test_that("a frozen base with a head on it, and unfreezing from a layer on", {
  skip_if_no_keras()
  base <- application_vgg16(weights = NULL, include_top = FALSE, input_shape = c(32, 32, 3))
  freeze_weights(base)
  model <- keras_model_sequential() %>%
    base() %>%
    layer_flatten() %>%
    layer_dense(units = 4, activation = "relu") %>%
    layer_dense(units = 1, activation = "sigmoid")
  model %>% compile(loss = "binary_crossentropy", optimizer = optimizer_rmsprop(lr = 2e-5), metrics = c("accuracy"))
  expect_equal(as.numeric(model$optimizer$learning_rate), 2e-5, tolerance = 1e-5)
  expect_length(model$trainable_weights, 4)
  unfreeze_weights(base, from = "block5_conv1")
  model %>% compile(loss = "binary_crossentropy", optimizer = optimizer_rmsprop(lr = 2e-5), metrics = c("accuracy"))
  expect_length(model$trainable_weights, 4 + 6)
})

test_that("recurrent layers keep their state between batches until it is reset", {
  skip_if_no_keras()
  skip_if(config_backend() != "tensorflow", "others can't train a layer that keeps its state")
  model <- keras_model_sequential() %>%
    layer_lstm(units = 3, stateful = TRUE, batch_input_shape = c(4, 5, 2)) %>%
    layer_dense(1)
  model %>% compile("sgd", "mse")
  x <- array(sin(1:40), c(4, 5, 2))
  fit(model, x, matrix(0, 4, 1), epochs = 1, batch_size = 4, shuffle = FALSE, verbose = 0)
  reset_states(model)
  first <- predict(model, x, batch_size = 4, verbose = 0)
  second <- predict(model, x, batch_size = 4, verbose = 0)
  expect_false(isTRUE(all.equal(first, second)))
  reset_states(model)
  expect_equal(predict(model, x, batch_size = 4, verbose = 0), first)
})

test_that("classes and probabilities under the older names", {
  skip_if_no_keras()
  d <- wave()
  model <- two_classes()
  p <- predict_proba(model, d$x)
  expect_identical(dim(p), c(120L, 1L))
  expect_identical(as.vector(predict_classes(model, d$x)), as.integer(p > 0.5))
})

test_that("another package: availability starts nothing, the module waits, custom layers compose", {
  out <- run_r(c(
    "library(kerasbridge)",
    "invisible(is_keras_available('3.0'))",
    "module <- kerasbridge::implementation()", # as in .onLoad
    "cat(isNamespaceLoaded('reticulate') && reticulate::py_available(initialize = FALSE))"
  ))
  expect_identical(out$output, "FALSE")
  skip_if_no_keras()
  expect_false(is_keras_available("99"))
  Twice <- R6::R6Class("Twice", inherit = KerasLayer, public = list(
    call = function(x, mask = NULL) x * 2
  ))
  layer_twice <- function(object) create_layer(Twice, object, list())
  model <- keras_model_sequential(input_shape = 2) %>% layer_twice()
  expect_equal(predict(model, matrix(1:4, 2), verbose = 0), matrix(2 * 1:4, 2))
})

test_that("the same seed gives the same numbers in two processes", {
  skip_if_no_keras()
  code <- c(
    "suppressMessages({ library(kerasbridge); use_session_with_seed(42, disable_gpu = FALSE, disable_parallel_cpu = FALSE, quiet = TRUE) })",
    "x <- matrix(rnorm(80), 20)",
    "model <- keras_model_sequential(input_shape = 4) |> layer_dense(3) |> layer_dropout(0.5) |> layer_dense(1)",
    "compile(model, 'adam', 'mse')",
    "fit(model, x, rowSums(x), epochs = 2, verbose = 0)",
    "cat(sprintf('%a', c(runif(1), reticulate::import('numpy')$random$rand(), unlist(get_weights(model)))))"
  )
  first <- run_r(code)$output
  expect_length(strsplit(utils::tail(first, 1), " ")[[1]], 2 + 15 + 4)
  expect_identical(run_r(code)$output, first)
})

test_that("a seed set first in a session leaves one thread and no graphics card, with nothing left to say", {
  skip_if_no_keras()
  skip_if_not(kerasbridge_info()$backend == "tensorflow")
  out <- run_r(c(
    "library(kerasbridge)", "use_session_with_seed(42)",
    "cat(Sys.getenv(c('CUDA_VISIBLE_DEVICES', 'TF_NUM_INTRAOP_THREADS')), length(tf$config$get_visible_devices('GPU')))"
  ))
  expect_identical(out$output, "-1 1 0")
})

test_that("where settings and downloads lie", {
  skip_if_no_keras()
  expect_identical(config_image_data_format(), "channels_last")
  expect_equal(config_epsilon(), 1e-7)
  expect_identical(config_floatx(), "float32")
  folder <- withr::local_tempdir()
  withr::local_envvar(KERAS_HOME = folder)
  source <- withr::local_tempfile(lines = "a,b", fileext = ".csv")
  path <- get_file("small.csv", origin = paste0("file://", source), cache_dir = folder)
  expect_identical(normalizePath(path), normalizePath(file.path(folder, "datasets", "small.csv")))
  expect_identical(readLines(path), "a,b")
})

test_that("a model from Python: a data frame to predict from, wrong columns named", {
  skip_if_no_keras()
  path <- withr::local_tempfile(fileext = ".h5")
  run_python(c(
    "import keras, numpy",
    "m = keras.Sequential([keras.Input((10,)), keras.layers.Dense(32, activation='relu'), keras.layers.Dense(1, activation='sigmoid')])",
    "m.compile(optimizer='adam', loss='binary_crossentropy', metrics=['accuracy'])",
    "m.fit(numpy.random.rand(100, 10), numpy.random.randint(0, 2, (100, 1)), epochs=1, verbose=0)",
    sprintf("m.save(r'%s')", path)
  ))
  model <- load_model_hdf5(path)
  frame <- as.data.frame(matrix(runif(50), 5))
  names(frame) <- letters[1:10]
  expect_equal(predict(model, frame, verbose = 0), predict(model, as.matrix(frame), verbose = 0), ignore_attr = TRUE)
  frame$a <- c("red", "blue", "green", "red", "blue")
  expect_error(predict(model, frame, verbose = 0), "'a'", class = "kerasbridge_error_data")
  error <- expect_error(predict(model, frame[, -1], verbose = 0), class = "kerasbridge_error_data")
  expect_match(conditionMessage(error), "9|10")
})

test_that("a custom layer from Python: the class is named, and custom_objects supplies it", {
  skip_if_no_keras()
  folder <- withr::local_tempdir()
  writeLines(c(
    "import keras",
    "class Scaled(keras.layers.Layer):",
    "    def __init__(self, factor=2.0, **kwargs):",
    "        super().__init__(**kwargs)",
    "        self.factor = factor",
    "    def call(self, inputs):",
    "        return inputs * self.factor",
    "    def get_config(self):",
    "        return {**super().get_config(), 'factor': self.factor}"
  ), file.path(folder, "scaled_layer.py"))
  path <- file.path(folder, "custom.h5")
  run_python(c(
    "import keras, numpy", "from scaled_layer import Scaled",
    "m = keras.Sequential([keras.Input((2,)), Scaled(3.0), keras.layers.Dense(1)])",
    "m.compile(optimizer='adam', loss='mse')", "m.fit(numpy.ones((4, 2)), numpy.ones(4), verbose=0)",
    sprintf("m.save(r'%s')", path)
  ), pythonpath = folder)
  error <- expect_error(load_model_hdf5(path), class = "kerasbridge_error")
  expect_match(conditionMessage(error), "Scaled")
  expect_match(conditionMessage(error), "custom_objects")
  Scaled <- Layer("Scaled",
    initialize = function(factor = 2, ...) {
      super$initialize(...)
      self$factor <- factor
    },
    call = function(inputs) inputs * self$factor,
    get_config = function() c(super$get_config(), list(factor = self$factor))
  )
  model <- load_model_hdf5(path, custom_objects = list(Scaled = Scaled))
  weights <- get_weights(model)
  expect_equal(predict(model, matrix(1, 1, 2), verbose = 0), matrix(3 * sum(weights[[1]]) + weights[[2]], 1), tolerance = 1e-5)
})

test_that("text that was never encoded names its column and how to encode it", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
  data <- data.frame(feature_a = c("red", "blue"), feature_b = c(10, 20))
  error <- expect_error(predict(model, data, verbose = 0), "'feature_a'", class = "kerasbridge_error_data")
  expect_match(conditionMessage(error), "feature_space|model.matrix")
  expect_error(predict(model, as.matrix(data), verbose = 0), "`x` holds text", class = "kerasbridge_error_data")
})

test_that("scale() on constant pixels is found out, and what is advised learns", {
  skip_if_no_keras()
  digits <- dataset_digits()
  rows <- seq(1, 1198, by = 4)
  x <- array_reshape(digits$train$x[rows, , ], c(-1, 64))
  expect_true(any(apply(x, 2, stats::sd) == 0))
  y <- to_categorical(digits$train$y[rows], num_classes = 10)
  set_random_seed(1)
  model <- keras_model_sequential() %>%
    layer_dense(units = 64, activation = "relu", input_shape = c(64)) %>%
    layer_dropout(rate = 0.2) %>%
    layer_dense(units = 10, activation = "softmax")
  model %>% compile(loss = "categorical_crossentropy", optimizer = "adam", metrics = c("accuracy"))
  error <- expect_error(fit(model, scale(x), y, verbose = 0), "without a single number", class = "kerasbridge_error_data")
  expect_match(conditionMessage(error), "`x / 255`", fixed = TRUE)
  history <- fit(model, x / 16, y, epochs = 25, validation_split = 0.2, verbose = 0)
  expect_gt(utils::tail(history$metrics$accuracy, 1), 0.8)
})

test_that("a loss in terms of K", {
  skip_if_no_keras()
  d <- wave()
  custom_loss <- function(y_true, y_pred) K$mean(K$square(y_true - y_pred))
  model <- keras_model_sequential() %>%
    layer_dense(units = 8, activation = "relu", input_shape = c(4)) %>%
    layer_dense(units = 1)
  model %>% compile(loss = custom_loss, optimizer = "adam")
  y <- rowSums(d$x)
  expected <- mean((y - predict(model, d$x, verbose = 0))^2)
  expect_equal(unname(unlist(evaluate(model, d$x, y, batch_size = 120, verbose = 0))), expected, tolerance = 1e-5)
})

test_that("two branches of one input", {
  skip_if_no_keras()
  input <- layer_input(shape = c(10))
  one <- input %>% layer_dense(units = 6, activation = "relu") %>% layer_dense(units = 3, activation = "relu")
  other <- input %>% layer_dense(units = 3, activation = "relu")
  output <- layer_concatenate(list(one, other)) %>% layer_dense(units = 1)
  model <- keras_model(inputs = input, outputs = output)
  model %>% compile(loss = "mse", optimizer = "adam")
  x <- matrix(sin(1:200), 20)
  loss <- fit(model, x, rowSums(x), epochs = 5, verbose = 0)$metrics$loss
  expect_lt(loss[[5]], loss[[1]])
})
