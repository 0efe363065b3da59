test_that("settings are kept, checked and refused when they are late", {
  skip_if_no_keras()
  expect_error(gpu_config(memory = "lots"), "`memory` must be an amount such as '4GB'", class = "kerasbridge_error_argument")
  expect_error(gpu_config(visible = 0), "`visible` must be positions of graphics cards, counted from 1", class = "kerasbridge_error_argument")
  expect_error(gpu_config(precision = "float8"), "`precision` must be one of float32", class = "kerasbridge_error_argument")
  kerasbridge_info() # Keras runs from here on
  late <- expect_error(gpu_config(memory = "grow"), "`memory` can't be set any more: .+ was started by ", class = "kerasbridge_error_too_late")
  expect_identical(late$argument, "memory")
  expect_match(conditionMessage(late), "Start a new session and put this call first")
  expect_error(virtual_devices(3), class = "kerasbridge_error_too_late")
  if (nrow(gpu_devices()) == 0) {
    expect_type(use_gpu(FALSE), "list") # nothing to hide
  }
  policy <- config_dtype_policy()
  withr::defer(config_set_dtype_policy(policy))
  expect_identical(gpu_config(precision = "mixed_bfloat16")$precision, "mixed_bfloat16")
  expect_identical(layer_dense(units = 1)$compute_dtype, "bfloat16")
  expect_identical(gpu_config(precision = "float32")$precision, "float32")
})

test_that("a setting starts nothing, and counts when Keras starts; the start is named by its function", {
  skip_if_no_keras("3.9") # older ones train on one device of TensorFlow
  skip_if(kerasbridge_info()$backend == "torch", "PyTorch makes no virtual devices")
  out <- run_r(c(
    "Sys.unsetenv('CUDA_VISIBLE_DEVICES')", # the session that tests may hide cards
    "library(kerasbridge)",
    "gpu_config(memory = 'grow'); virtual_devices(2)",
    "cat(gpu_config(visible = 2:3)$visible, length(use_gpu(FALSE)$visible), '')",
    "cat(reticulate::py_eval('any(m in __import__(\"sys\").modules for m in (\"keras\", \"tensorflow\", \"jax\"))'), '')",
    "model <- with_devices('all', {",
    "  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)",
    "  compile(model, optimizer = 'sgd', loss = 'mse')",
    "  fit(model, matrix(1, 8, 2), rep(1, 8), epochs = 1, verbose = 0)",
    "  fit(model, \\() list(matrix(1, 8, 2), rep(1, 8)), steps_per_epoch = 2, epochs = 1, verbose = 0)",
    "  model",
    "})",
    "cat(nrow(gpu_devices('all')), nrow(gpu_devices()), dim(predict(model, matrix(1, 6, 2), verbose = 0)), '')",
    "copy <- multi_gpu_model(model, 2)",
    "compile(copy, optimizer = 'sgd', loss = 'mse')",
    "if (kerasbridge_info()$backend == 'tensorflow') h <- fit(copy, matrix(1, 8, 2), rep(1, 8), epochs = 1, verbose = 0)",
    "cat(isTRUE(all.equal(get_weights(copy), get_weights(model))), '')",
    "train <- \\() {", # batches of 33 to 31 rows from a function of R
    "  set_random_seed(3)",
    "  model <- keras_model_sequential(input_shape = 2) |> layer_dense(3, activation = 'relu') |> layer_dense(1)",
    "  compile(model, optimizer = 'adam', loss = 'mse', metrics = 'mae')",
    "  at <- 0",
    "  batches <- \\() {",
    "    at <<- at + 1",
    "    x <- matrix(sin(at * seq_len(2 * (34 - at))), ncol = 2)",
    "    list(x, x[, 1] - x[, 2])",
    "  }",
    "  history <- fit(model, batches, steps_per_epoch = 3, epochs = 1, verbose = 0)",
    "  list(history$metrics, get_weights(model))",
    "}",
    "cat(all.equal(with_devices(2, train()), train(), tolerance = 1e-5), '')",
    "cat(tryCatch(virtual_devices(4), kerasbridge_error_too_late = \\(e) e$details$started_by))"
  ))
  expect_match(paste(out$output, collapse = "\n"), "2 3 0 FALSE 2 0 6 1 TRUE TRUE with_devices()", fixed = TRUE)
})

test_that("memory is told by device", {
  skip_if_no_keras()
  found <- gpu_memory(reset = TRUE)
  expect_named(found, c("device", "current", "peak", "limit"))
  expect_identical(found$device[[1]], "CPU")
  expect_gt(found$current[[1]], 1e7)
  expect_gt(found$limit[[1]], found$current[[1]])
})

test_that("200 predictions take no more memory", {
  skip_if_no_keras()
  model <- small_model()
  x <- matrix(0, 64, 2)
  for (i in 1:20) predict(model, x, verbose = 0)
  gc()
  before <- gpu_memory()$current[[1]]
  for (i in 1:200) predict(model, x, verbose = 0)
  gc()
  expect_lt(gpu_memory()$current[[1]] - before, 50e6)
})

test_that("a device is used by name, and refused where there is none", {
  skip_if_no_keras()
  expect_identical(device_scope("/cpu:0", 1 + 1), 2)
  model <- device_scope("cpu", keras_model_sequential(input_shape = 2) |> layer_dense(1))
  expect_identical(dim(predict(model, matrix(0, 3, 2), verbose = 0)), c(3L, 1L))
  expect_error(device_scope("gpu:77", 1), "no device 'gpu:77' here; there are cpu:0", class = "kerasbridge_error_argument")
  expect_error(device_scope("disk", 1), "`device` must be a name such as", class = "kerasbridge_error_argument")
  if (config_backend() == "torch") {
    expect_error(with_devices(99, 1), "need the backend tensorflow or jax; this is torch", class = "kerasbridge_error_unsupported")
  } else {
    expect_error(with_devices(99, 1), "99 devices are asked for", class = "kerasbridge_error_argument")
  }
  expect_error(with_devices(2, 1, layout = list(1)), "`layout` must be a named list", class = "kerasbridge_error_argument")
})

test_that("a script can insist on a card", {
  skip_if_no_keras()
  if (gpu_status()$found) {
    expect_true(require_gpu())
    expect_gt(nrow(gpu_devices()), 0)
  } else {
    caught <- expect_error(require_gpu(), "No graphics card can be used: ", class = "kerasbridge_error_gpu")
    expect_identical(caught$details$reason, gpu_status()$reason)
    expect_identical(gpu_devices(), data.frame(device = character(), name = character(), memory = numeric()))
  }
})

test_that("where the backend comes from is shown", {
  skip_if_no_keras()
  home <- withr::local_tempdir()
  writeLines("{\"backend\": \"torch\", \"epsilon\": 1e-05}", file.path(home, "keras.json"))
  code <- c("library(kerasbridge)", "use_backend('jax')", "x <- keras_settings(); print(x)", "cat(x$overruled, sep = '')")
  out <- run_r(code, env = paste0("KERAS_HOME=", home))
  expect_match(out$output, "Backend: jax, from use_backend()", fixed = TRUE, all = FALSE)
  expect_match(out$output, "from the environment variable KERAS_HOME", fixed = TRUE, all = FALSE)
  expect_match(out$output, "epsilon: 1e-05", fixed = TRUE, all = FALSE)
  expect_match(out$output, "keras.json says \"torch\"; KERAS_BACKEND wins.", fixed = TRUE, all = FALSE)
  expect_match(format(keras_settings()), paste0("Running: ", kerasbridge_info()$backend), all = FALSE)
})

test_that("a cluster is given what it can take", {
  skip_if_no_keras()
  expect_error(train_on_cluster(1, list(1)), "`model_fn` must be a model", class = "kerasbridge_error_argument")
  expect_error(train_on_cluster(small_model(), matrix(1, 4, 2)), "`data` must be `list\\(x, y\\)` or a source", class = "kerasbridge_error_argument")
  status <- tryCatch(train_on_cluster(small_model(), list(matrix(1, 8, 2), rep(1, 8)), epochs = 2, batch_size = 8, verbose = 0), kerasbridge_error_install = \(e) e)
  if (inherits(status, "condition")) {
    expect_match(conditionMessage(status), "needs JAX, which is not installed")
  } else {
    expect_identical(status$history$epoch, 1:2)
    expect_lt(status$history$metrics$loss[[2]], status$history$metrics$loss[[1]])
    expect_identical(dim(predict(status$model, matrix(1, 3, 2), verbose = 0)), c(3L, 1L))
  }
})

test_that("too many graphics cards are counted", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
  expect_error(multi_gpu_model(model, 99), "99 graphics cards; Keras sees [0-9]+ here", class = "kerasbridge_error_argument")
  expect_identical(multi_gpu_model(model, 0), model)
  expect_error(multi_gpu_model(model, 1.5), "`gpus` must be a whole number", class = "kerasbridge_error_argument")
})
