# Shared by all test files.


# Run R code in a process of its own with a time limit; returns list(status, output).
run_r <- function(code, timeout = 120, env = character()) {
  script <- tempfile(fileext = ".R")
  log <- tempfile()
  writeLines(c(sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")), code), script)
  status <- suppressWarnings(system2(
    file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(script)),
    stdout = log, stderr = log, timeout = timeout, env = env
  ))
  list(status = status, output = readLines(log, warn = FALSE))
}

# The Python interpreter that the package uses, for tests that need a plain Python process.
python_path <- function() find_environment()$python %||% bound_python()

run_python <- function(code, timeout = 120, pythonpath = "") {
  script <- tempfile(fileext = ".py")
  log <- tempfile()
  writeLines(c("import os", "os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'", code), script)
  status <- suppressWarnings(system2(
    python_path(), shQuote(script), stdout = log, stderr = log, timeout = timeout,
    env = c("LD_LIBRARY_PATH=", paste0("PYTHONPATH=", pythonpath))
  ))
  list(status = status, output = readLines(log, warn = FALSE))
}

small_model <- function(units = 1, input = 2, ...) {
  model <- keras_model_sequential(input_shape = input) |> layer_dense(units)
  compile(model, optimizer = "sgd", loss = "mse", ...)
  model
}

known_weights <- function(model, kernel = matrix(c(1, 2), 2), bias = 0.5) {
  set_weights(model, list(kernel, array(bias)))
}

# A TensorFlow dataset, or NULL on other backends.
tensor_slices_dataset_or_null <- function() {
  if (kerasbridge_info()$backend == "tensorflow") tf$data$Dataset$range(3L)
}

# To ask for a module of Python starts whatever Python reticulate finds, unless Keras has started its own.
start_keras <- function() invisible(as_tensor(0))

# Keras makes its layers of text and hashing of TensorFlow on every backend.
skip_without_text_layers <- function() {
  skip_if_no_keras()
  start_keras()
  skip_if_not(reticulate::py_module_available("tensorflow"), "layers of text need the Python package tensorflow")
}

# YAML needs a package of Python that not every environment has.
skip_if_no_yaml <- function() {
  skip_if_no_keras()
  start_keras()
  skip_if_not(reticulate::py_module_available("yaml"), "the Python package PyYAML")
}
