x <- matrix(c(0, 1, 2, 3, 4, 5, 6, 7) / 4, 4)
trained <- function(loss = "mse", metrics = "mae", y = 1:4) {
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(3, activation = "relu") |> layer_dense(1)
  model |> compile(optimizer = "adam", loss = loss, metrics = metrics)
  fit(model, x, y, epochs = 1, verbose = 0)
  model
}
values <- function(model) predict(model, x, verbose = 0)

test_that("JSON, YAML and files of them give the same architecture", {
  skip_if_no_yaml()
  model <- trained()
  expect_equal(get_config(model_from_json(model_to_json(model)))$layers[[2]]$config$units, 3)
  yaml <- model_to_yaml(model)
  edited <- model_from_yaml(sub("units: 3", "units: 5", yaml))
  expect_equal(edited$layers[[1]]$units, 5)
  for (ending in c(".json", ".yaml")) {
    path <- withr::local_tempfile(fileext = ending)
    expect_equal(save_model_config(model, path), path)
    expect_equal(count_params(load_model_config(path)), 13)
    expect_error(save_model_config(model, path), class = "kerasbridge_error_file")
  }
  expect_error(model_from_yaml("a: !!python/object/apply:os.getcwd []"), class = "kerasbridge_error_unsafe_file")
  bomb <- paste(c("a0: &a0 [1, 1]", sprintf("a%d: &a%d [*a%d, *a%d]", 1:40, 1:40, 0:39, 0:39)), collapse = "\n")
  expect_error(model_from_yaml(bomb), "aliases", class = "kerasbridge_error_unsafe_file")
  expect_error(model_from_yaml("units: 3"), class = "kerasbridge_error_argument")
})

test_that("HDF5 files of short loss names load compiled", {
  skip_if_no_keras()
  y <- c(0, 1, 1, 0)
  for (loss in c("mse", "mae", "MSE", "msle", "kld", "bce")) {
    model <- trained(loss, c("mse", "accuracy"), y)
    path <- withr::local_tempfile(fileext = ".h5")
    save_model_hdf5(model, path)
    again <- load_model_hdf5(path)
    expect_equal(values(again), values(model))
    expect_equal(unname(unlist(evaluate(again, x, y, verbose = 0))), unname(unlist(evaluate(model, x, y, verbose = 0))), tolerance = 1e-6)
  }
})

test_that("weights go through every older format", {
  skip_if_no_keras()
  model <- trained()
  weights <- get_weights(model)
  zero <- function() set_weights(model, lapply(weights, \(w) w * 0))
  for (ending in c(".h5", ".hdf5", ".weights.h5")) {
    path <- withr::local_tempfile(fileext = ending)
    save_model_weights_hdf5(model, path)
    zero()
    load_model_weights_hdf5(model, path)
    expect_equal(get_weights(model), weights)
  }
  zero()
  expect_identical(load_model_weights_hdf5(model, path, by_name = TRUE), model)
  expect_equal(get_weights(model), weights)
  path <- withr::local_tempfile(fileext = ".h5")
  save_model_weights_hdf5(model, path)
  other <- keras_model_sequential(input_shape = 2) |> layer_dense(3, name = model$layers[[1]]$name) |> layer_dense(7, name = "new")
  load_model_weights_hdf5(other, path, by_name = TRUE)
  expect_equal(get_weights(other)[1:2], weights[1:2])
  report <- loaded_weights(other)
  expect_identical(report$status[1:2], c("loaded", "missing"))
  expect_identical(report$layer[1:2], c(model$layers[[1]]$name, "new"))
  path <- withr::local_tempfile()
  if (config_backend() != "tensorflow") {
    expect_error(save_model_weights_tf(model, path), "checkpoints are TensorFlow's", class = "kerasbridge_error_unsupported")
  }
  skip_if(config_backend() != "tensorflow", "checkpoints are TensorFlow's")
  save_model_weights_tf(model, path)
  zero()
  load_model_weights_tf(model, path)
  expect_equal(get_weights(model), weights)
  zero()
  compile(model, optimizer = "rmsprop", loss = "mse")
  if (is_keras_available("3.3")) {
    expect_warning(
      load_model_weights_tf(model, path), "state of another optimizer.*this RMSprop keeps", class = "kerasbridge_warning"
    )
  } else {
    load_model_weights_tf(model, path) # no state is in there
  }
  expect_equal(get_weights(model), weights)
  expect_error(load_model_weights_tf(model, paste0(path, "x")), class = "kerasbridge_error_file")
})

test_that("SavedModel folders train on when whole and predict when not", {
  skip_if_no_keras()
  model <- trained()
  folder <- withr::local_tempdir()
  whole <- file.path(folder, "whole")
  if (config_backend() != "tensorflow") {
    expect_error(save_model_tf(model, whole), "SavedModel folders .* are TensorFlow's", class = "kerasbridge_error_unsupported")
  }
  skip_if(config_backend() != "tensorflow", "SavedModels are TensorFlow's")
  save_model_tf(model, whole)
  again <- load_model_tf(whole)
  expect_equal(values(again), values(model))
  expect_length(fit(again, x, 1:4, epochs = 1, verbose = 0)$metrics$loss, 1)
  plain <- file.path(folder, "plain")
  export_savedmodel(model, plain)
  served <- model_from_saved_model(plain)
  expect_equal(predict(served, x, batch_size = 3), values(model), tolerance = 1e-6)
  expect_error(fit(served, x, 1:4), class = "kerasbridge_error_unsupported")
  expect_error(predict(served, matrix(0, 2, 5)), class = "kerasbridge_error_data")
  expect_error(export_savedmodel(model, plain, overwrite = FALSE), class = "kerasbridge_error_file")
  expect_error(model_from_saved_model(folder), class = "kerasbridge_error_file")
  expect_setequal(dir(folder, all.files = TRUE, no.. = TRUE), c("whole", "plain"))
})

test_that("a raw vector and a configuration make the object again", {
  skip_if_no_keras()
  model <- trained()
  bytes <- serialize_model(model)
  expect_type(bytes, "raw")
  path <- withr::local_tempfile()
  saveRDS(bytes, path)
  expect_equal(values(unserialize_model(readRDS(path))), values(model))
  expect_error(unserialize_model(as.raw(1:20)), class = "kerasbridge_error_file")
  config <- get_config(layer_conv_2d(filters = 2, kernel_size = c(3, 2), activation = "relu"))
  config$filters <- 5
  layer <- from_config(config)
  expect_equal(layer$filters, 5L)
  expect_equal(unlist(layer$kernel_size), c(3L, 2L))
  expect_equal(get_config(from_config(get_config(optimizer_adam(0.25))))$learning_rate, 0.25)
  expect_error(from_config(list(units = 3)), class = "kerasbridge_error_argument")
})

test_that("custom functions are found by scope, by session and by call", {
  skip_if_no_keras()
  half <- structure(function(x) x / 2, py_function_name = "half")
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1, activation = half)
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(model, path)
  lacking <- "This session lacks 'half': what it computes is taken from the file"
  expect_message(without <- load_model(path), lacking)
  expect_equal(values(without), values(model))
  expect_no_message(named <- load_model(path, custom_objects = list(half = half)))
  expect_equal(values(named), values(model))
  expect_no_message(scoped <- with_custom_object_scope(list(half = half), load_model(path)))
  expect_equal(values(scoped), values(model))
  expect_message(load_model(path), lacking)
  set_custom_objects(list(half = half))
  expect_no_message(known <- load_model(path))
  expect_equal(values(known), values(model))
  set_custom_objects()
  expect_message(load_model(path), lacking)
})

test_that("state trees come back and weights are quantized", {
  skip_if_no_keras()
  model <- trained()
  if (!is_keras_available("3.6")) {
    expect_error(get_state_tree(model), "came with Keras 3.6", class = "kerasbridge_error_unsupported")
    return()
  }
  state <- get_state_tree(model)
  before <- values(model)
  fit(model, x, 1:4, epochs = 2, verbose = 0)
  expect_false(isTRUE(all.equal(values(model), before)))
  set_state_tree(model, state)
  expect_equal(values(model), before)
  suppressWarnings(quantize_weights(model, "int8"))
  expect_equal(values(model), before, tolerance = 0.1)
  expect_equal(model$layers[[1]]$quantization_mode, "int8")
})

test_that("what is permitted can be said under the older names too", {
  skip_if_no_keras()
  twice <- reticulate::py_eval("lambda x: x * 2", convert = FALSE)
  model <- keras_model_sequential(input_shape = 2)
  model$add(keras$layers$Lambda(twice, name = "doubled"))
  bytes <- serialize_model(model)
  expect_error(unserialize_model(bytes), "layer 'doubled'.*allow = \"lambda\"", class = "kerasbridge_error_unsafe_file")
  expect_equal(predict(unserialize_model(bytes, allow = "lambda"), matrix(3, 1, 2), verbose = 0), matrix(6, 1, 2))
  path <- withr::local_tempfile(fileext = ".h5")
  save_model_hdf5(model, path)
  expect_error(load_model_hdf5(path), "layer 'doubled'", class = "kerasbridge_error_unsafe_file")
  expect_equal(predict(load_model_hdf5(path, allow = "lambda"), matrix(3, 1, 2), verbose = 0), matrix(6, 1, 2))

  skip_if_not(kerasbridge_info()$backend == "tensorflow", "SavedModels are TensorFlow's")
  secret <- withr::local_tempfile(lines = "abc")
  reads <- reticulate::py_run_string(sprintf(
    "import tensorflow as tf\nm = tf.Module()\nm.f = tf.function(lambda x: {'y': x + tf.cast(tf.strings.length(tf.io.read_file(r'%s')), tf.float32)}, input_signature=[tf.TensorSpec((None,), name='x')])", secret
  ), convert = FALSE)
  folder <- withr::local_tempfile()
  tf$saved_model$save(reads$m, folder, signatures = reads$m$f)
  for (load in list(load_model, load_model_tf, model_from_saved_model)) {
    expect_error(load(folder), "operation ReadFile reaches files.*allow = \"saved_model\"", class = "kerasbridge_error_unsafe_file")
    expect_equal(as.numeric(predict(load(folder, allow = "saved_model"), array(c(1, 2)))), c(5, 6))
  }
  seen <- inspect_model(folder)
  expect_false(seen$safe)
})

test_that("an archive of endpoints and an image are written beside their targets", {
  skip_if_no_keras()
  path <- file.path(withr::local_tempdir(), "a.png")
  for (shade in c(0, 255)) {
    image_array_save(array(shade, c(4, 6, 3)), path, scale = FALSE)
    expect_equal(unique(as.numeric(image_to_array(image_load(path)))), shade)
  }
  expect_identical(list.files(dirname(path), all.files = TRUE, no.. = TRUE), "a.png")
  expect_error(image_array_save(array(0, c(4, 6, 3)), file.path(dirname(path), "no", "a.png")), "does not exist", class = "kerasbridge_error_file")
  skip_if_not(kerasbridge_info()$backend == "tensorflow", "SavedModels are TensorFlow's")
  model <- small_model()
  folder <- withr::local_tempfile()
  archive <- export_archive()
  archive$track(model)
  archive$add_endpoint("serve", model$call, list(keras$InputSpec("float32", list(NULL, 2L))))
  archive$write_out(folder, verbose = FALSE)
  expect_equal(predict(load_model(folder), matrix(1, 1, 2)), predict(model, matrix(1, 1, 2), verbose = 0), tolerance = 1e-6)
  expect_error(archive$write_out(dirname(path), verbose = FALSE), "holds something else")
})
