# Runs in a process of its own: load a file that the test wrote, and print what comes of it.
fresh_session <- function(path, before = character(), call = "load_model(path)", after = character()) {
  run_r(c(
    "library(kerasbridge)", sprintf("path <- '%s'", path), before,
    sprintf("model <- tryCatch(%s, error = \\(e) { cat(class(e)[[1]], '\\n'); cat(conditionMessage(e), '\\n'); quit(status = 3) })", call),
    after
  ))
}

scale_code <- function() {
  c(
    "half <- function(x) x / 2",
    "offset <- 0.25",
    "layer_scale <- Layer('Scale',",
    "  initialize = function(start = 1, ...) { super$initialize(...); self$start <- start },",
    "  build = function(input_shape) { self$factor <- self$add_weight(shape = c(), initializer = initializer_constant(self$start)) },",
    "  call = function(inputs) half(inputs * self$factor) + offset",
    ")"
  )
}

test_that("a layer written in R comes back in a new session: from the session, as argument, from the file", {
  skip_if_no_keras()
  path <- withr::local_tempfile(fileext = ".keras")
  made <- run_r(c(
    "library(kerasbridge)", scale_code(),
    "model <- keras_model_sequential(input_shape = 2) |> layer_scale(start = 4)",
    sprintf("save_model(model, '%s')", path), "cat(predict(model, matrix(1, 1, 2), verbose = 0))"
  ))
  expect_identical(made$status, 0L)
  expect_match(tail(made$output, 1), "2.25 2.25")

  seen <- inspect_model(path)
  expect_identical(seen$custom$name, "Scale")
  expect_identical(seen$custom$origin, "written in R")
  expect_match(seen$custom$source, "half <- function")
  expect_match(seen$custom$source, "offset <- 0.25", fixed = TRUE)

  shown <- "cat(predict(model, matrix(1, 1, 2), verbose = 0))"
  lacking <- fresh_session(path, after = shown)
  expect_identical(lacking$status, 0L)
  expect_match(paste(lacking$output, collapse = " "), "This session lacks 'Scale': what it computes is taken from the file", fixed = TRUE)
  expect_match(tail(lacking$output, 1), "2.25 2.25")

  known <- fresh_session(path, scale_code(), after = shown)
  expect_match(tail(known$output, 1), "2.25 2.25")
  layer_scale <- Layer("Scale", build = function(input_shape) NULL, call = function(inputs) inputs + 1)
  plain <- withr::local_tempfile(fileext = ".keras")
  save_model(keras_model_sequential(input_shape = 2) |> layer_scale(), plain)
  given <- load_model(plain, custom_objects = list(layer_scale))
  expect_equal(predict(given, matrix(1, 1, 2), verbose = 0), matrix(2, 1, 2))
  coded <- fresh_session(path, call = "load_model(path, r_code = TRUE)", after = shown)
  expect_match(tail(coded$output, 1), "2.25 2.25")
  expect_match(paste(coded$output, collapse = "\n"), "half(inputs * self$factor)", fixed = TRUE)

  python <- run_python(c(
    "import keras, numpy", "from kerasbridge.saving import load_model",
    sprintf("path = r'%s'", path),
    "print(keras.ops.convert_to_numpy(load_model(path)(numpy.ones((1, 2)))))",
    "class Scale(keras.layers.Layer):",
    "    def __init__(self, start=1, **kwargs):", "        super().__init__(**kwargs)", "        self.start = start",
    "    def build(self, shape):", "        self.factor = self.add_weight(shape=(), name='f')",
    "    def call(self, x):", "        return x * self.factor",
    "print(keras.ops.convert_to_numpy(load_model(path, {'Scale': Scale})(numpy.ones((1, 2)))))"
  ), pythonpath = system.file("python", package = "kerasbridge"))
  expect_match(python$output[[length(python$output) - 1]], "2.25 2.25", fixed = TRUE)
  expect_match(tail(python$output, 1), "4. 4.", fixed = TRUE)
})

test_that("the code of a class covers bases, private parts, active fields and losses", {
  skip_if_no_keras()
  Base <- Layer("Base", call = function(inputs) inputs * 2, parent_env = globalenv())
  Upper <- Layer(
    "Upper",
    call = function(inputs) super$call(inputs) + private$more + self$three,
    three = active_property(function() 3),
    private = list(more = 1), inherit = Base, parent_env = globalenv()
  )
  spec <- attr(Upper, "spec")
  bridge_start()
  env <- new.env(parent = globalenv())
  code <- spec_source(spec)
  for (expression in rlang::parse_exprs(code)) value <- eval(expression, env)
  expect_s3_class(value, "kerasbridge_class")
  expect_equal(as.array(value()(as_tensor(1))), array(6), ignore_attr = TRUE)
  dense <- Layer("Wide", call = function(inputs) super$call(inputs), inherit = layer_dense, parent_env = globalenv())
  expect_match(spec_source(attr(dense, "spec")), "inherit = \"keras.layers.Dense\"", fixed = TRUE)
  held <- Layer("Held", call = function(inputs) inputs, thing = keras$layers$Dense(1L), parent_env = globalenv())
  expect_null(spec_source(attr(held, "spec")))
  # a class whose own name stands in it, and two that name each other
  first <- Layer("First", call = function(inputs) inputs * self$first(), first = function() if (FALSE) second() else 3, parent_env = globalenv())
  second <- Layer("Second", call = function(inputs) first()(inputs), parent_env = globalenv())
  env <- new.env(parent = globalenv())
  for (expression in rlang::parse_exprs(spec_source(attr(second, "spec")))) value <- eval(expression, env)
  expect_equal(as.array(value()(as_tensor(1))), array(3), ignore_attr = TRUE)
})

test_that("code that fails is an error that names the class", {
  skip_if_no_keras()
  expect_error(
    run_r_code(list(list(name = "Bad", kind = "class", source = "stop('no')")), rlang::current_env()),
    "code of 'Bad' in the file fails: no", class = "kerasbridge_error_file"
  ) |> suppressMessages()
})

test_that("levels and history travel with the model into a new session", {
  skip_if_no_keras()
  set.seed(1)
  x <- as.matrix(iris[, 1:4])
  model <- keras_model_sequential(input_shape = 4) |> layer_dense(3, activation = "softmax")
  compile(model, optimizer_adam(0.05), loss = "sparse_categorical_crossentropy", metrics = "accuracy")
  history <- fit(model, x, iris$Species, epochs = 3, validation_split = 0.1, verbose = 0)
  expect_identical(model_history(model)$metrics, history$metrics)
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(model, path)
  expect_identical(model_history(load_model(path))$metrics, history$metrics)
  for (path in withr::local_tempfile(fileext = ".h5")) {
    save_model(model, path)
    out <- fresh_session(path, after = c(
      "h <- model_history(model)", "cat(class(h), h$epoch, names(h$metrics), '\\n')",
      "cat(sprintf('%.6f', h$metrics$loss), '\\n')", "grDevices::pdf(NULL)", "invisible(plot(h, method = 'base'))",
      "p <- predict(model, as.matrix(iris[1:3, 1:4]), type = 'class', verbose = 0)",
      "cat(is.factor(p), levels(p), '\\n')"
    ))
    expect_identical(out$status, 0L)
    text <- paste(out$output, collapse = "\n")
    expect_match(text, "kerasbridge_history 1 2 3 accuracy loss val_accuracy val_loss", fixed = TRUE)
    expect_match(text, paste(sprintf("%.6f", history$metrics$loss), collapse = " "), fixed = TRUE)
    expect_match(text, "TRUE setosa versicolor virginica", fixed = TRUE)
  }
  expect_null(model_history(small_model()))
})

test_that("a registered function travels as code too", {
  skip_if_no_keras()
  env <- new.env(parent = globalenv())
  third <- eval(quote(function(x) x / divisor), env)
  assign("divisor", 3, envir = env)
  expect_match(function_source(third), "divisor <- 3\nfunction", fixed = TRUE)
  expect_null(function_source(sum))
  half <- register_keras_serializable(third, name = "third_of")
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1, use_bias = FALSE, kernel_initializer = "ones", activation = half)
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(model, path)
  seen <- inspect_model(path)$custom
  expect_identical(seen[c("name", "kind", "origin")], data.frame(name = "third_of", kind = "function", origin = "written in R"))
  out <- fresh_session(path, call = "load_model(path, r_code = TRUE)", after = "cat(predict(model, matrix(3, 1, 2), verbose = 0))")
  expect_match(tail(out$output, 1), "^2$")
})

test_that("classes and functions of an R package are taken from it, never from the file", {
  skip_if_no_keras()
  lib <- withr::local_tempdir()
  source <- file.path(withr::local_tempdir(), "scale.test")
  dir.create(file.path(source, "R"), recursive = TRUE)
  writeLines(c("Package: scale.test", "Version: 0.1", "Title: Layers", "Description: Layers.", "License: MIT", "Imports: kerasbridge"), file.path(source, "DESCRIPTION"))
  writeLines("export(layer_triple, third)", file.path(source, "NAMESPACE"))
  writeLines(c(
    "layer_triple <- kerasbridge::Layer('Triple', call = function(inputs) three() * inputs)",
    "three <- function() 3", "third <- function(x) x / three() + kerasbridge::random_normal(1) * 0"
  ), file.path(source, "R", "code.R"))
  installed <- system2(file.path(R.home("bin"), "R"), c("CMD", "INSTALL", "--no-docs", "--no-test-load", "-l", shQuote(lib), shQuote(source)), stdout = TRUE, stderr = TRUE)
  skip_if_not(dir.exists(file.path(lib, "scale.test")), paste(tail(installed, 1), "(a package can't be installed here)"))

  path <- withr::local_tempfile(fileext = ".keras")
  lib_line <- sprintf(".libPaths(c('%s', .libPaths()))", lib)
  made <- run_r(c(
    lib_line, "library(kerasbridge)",
    "act <- register_keras_serializable(scale.test::third, name = 'by_three')",
    "model <- keras_model_sequential(input_shape = 2) |> scale.test::layer_triple() |>",
    "  layer_dense(1, use_bias = FALSE, kernel_initializer = 'ones', activation = act)",
    sprintf("save_model(model, '%s')", path)
  ))
  expect_identical(made$status, 0L)
  custom <- inspect_model(path)$custom
  expect_setequal(custom$origin, c("the R package 'scale.test'", "the R function scale.test::third"))
  expect_true(all(is.na(custom$source) | lengths(custom$source) == 0))

  alone <- fresh_session(path, lib_line, call = "load_model(path, r_code = TRUE)")
  expect_identical(alone$status, 3L)
  text <- paste(alone$output, collapse = " ")
  expect_match(text, "kerasbridge_error_file")
  expect_match(text, "'by_three' (the R function scale.test::third", fixed = TRUE)
  expect_match(text, "`library(scale.test)`", fixed = TRUE)
  loaded <- fresh_session(path, c(lib_line, "loadNamespace('scale.test')"), after = "cat(predict(model, matrix(2, 1, 2), verbose = 0))")$output
  if (kerasbridge_info()$backend == "jax") {
    expect_match(paste(loaded, collapse = " "), "only from a seed") # the class is found; its draw has none
  } else {
    expect_match(tail(loaded, 1), "^4$")
  }
})
