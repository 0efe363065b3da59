# R functions as generators. What could hang runs in a child process with a limit.
in_child <- function(code, seconds = 240) {
  script <- tempfile(fileext = ".R")
  on.exit(unlink(script))
  writeLines(c(
    sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")),
    "library(kerasbridge)", "options(kerasbridge.verbose = 0)", deparse(code)
  ), script)
  out <- suppressWarnings(system2(
    file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(script)), stdout = TRUE, stderr = TRUE, timeout = seconds
  ))
  paste(out, collapse = "\n")
}

test_that("training on an R function equals training on the same batches", {
  skip_if_no_keras()
  out <- in_child(quote({
    set.seed(1)
    x <- matrix(rnorm(200), 50)
    y <- rowSums(x)
    new_model <- function() {
      set_random_seed(3)
      model <- keras_model_sequential(input_shape = 4) |> layer_dense(3, activation = "tanh") |> layer_dense(1)
      compile(model, optimizer = "adam", loss = "mse", metrics = "mae")
      model
    }
    calls <- 0
    next_batch <- function() {
      rows <- (calls %% 5) * 10 + 1:10
      calls <<- calls + 1
      list(x[rows, ], y[rows])
    }
    a <- new_model()
    ours <- fit(a, next_batch, steps_per_epoch = 50 / 10, epochs = 3, validation_data = list(x[1:10, ], y[1:10])) # one batch: older Keras counts each alike
    stopifnot(calls == 15)
    theirs <- fit(new_model(), x, y, batch_size = 10, epochs = 3, shuffle = FALSE, validation_data = list(x[1:10, ], y[1:10]), engine = "keras")
    stopifnot(identical(sort(names(ours$metrics)), sort(names(theirs$metrics))))
    for (name in names(theirs$metrics)) {
      stopifnot(isTRUE(all.equal(ours$metrics[[name]], theirs$metrics[[name]], tolerance = 1e-5)))
    }
    calls <- 0
    scores <- evaluate(a, next_batch, steps = 4.5)
    stopifnot(calls == 5, isTRUE(all.equal(scores$loss, evaluate(a, x, y, batch_size = 10)$loss, tolerance = 1e-5)))
    calls <- 0
    p <- predict(a, next_batch, steps = 5)
    stopifnot(isTRUE(all.equal(p, predict(a, x), tolerance = 1e-5)), calls == 5)
    calls <- 0
    h <- fit_generator(a, next_batch, steps_per_epoch = 2, epochs = 2, validation_data = next_batch, validation_steps = 1)
    stopifnot(calls == 6, length(h$metrics$val_loss) == 2, identical(h$epoch, 1:2))
    stopifnot(identical(dim(predict_generator(a, next_batch, steps = 2)), c(20L, 1L)))
    stopifnot(is.numeric(evaluate_generator(a, next_batch, steps = 2)$mae))
    cat("all well")
  }))
  expect_match(out, "all well$")
})

test_that("weights, several inputs and dropped columns work", {
  skip_if_no_keras()
  out <- in_child(quote({
    one <- layer_input(shape = 2, name = "one")
    two <- layer_input(shape = 1, name = "two")
    model <- keras_model(list(one, two), layer_concatenate(one, two) |> layer_dense(1))
    compile(model, optimizer = "sgd", loss = "mse")
    by_position <- \() list(list(matrix(1, 4, 2), rep(1, 4)), rep(1, 4), c(1, 2, 1, 2))
    stopifnot(is.finite(fit(model, by_position, steps_per_epoch = 2, epochs = 1)$metrics$loss))
    by_name <- \() list(x = list(one = matrix(1, 4, 2), two = matrix(1, 4)), y = rep(1, 4))
    stopifnot(is.finite(fit(model, by_name, steps_per_epoch = 2, epochs = 1)$metrics$loss))
    column <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
    compile(column, optimizer = "sgd", loss = "mse")
    y <- matrix(1:8 / 8, 8)
    stopifnot(is.finite(fit(column, \() list(y[1:4, ], y[1:4, ]), steps_per_epoch = 3, epochs = 2)$metrics$loss))
    # a sparse matrix and a data frame, here and in other processes
    same <- keras_model_sequential(input_shape = 2) |> layer_activation("linear")
    values <- matrix(c(0, 2, 0, 0, 0, 3), 3)
    sparse <- \() list(Matrix::Matrix(values, sparse = TRUE))
    table <- \() list(data.frame(a = values[, 1], b = values[, 2]))
    for (made in list(sparse, table)) {
      stopifnot(identical(unname(predict(same, made, steps = 1)), values))
      if (.Platform$OS.type != "windows") stopifnot(identical(unname(predict_generator(same, \() made, steps = 2, workers = 2)), rbind(values, values)))
    }
    cat("all well")
  }))
  expect_match(out, "all well$")
})

test_that("what goes wrong is told with the batch", {
  skip_if_no_keras()
  out <- in_child(quote({
    model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
    compile(model, optimizer = "sgd", loss = "mse")
    after <- function(n, last) {
      i <- 0
      function() {
        i <<- i + 1
        if (i <= n) list(matrix(1, 3, 2), rep(1, 3)) else last()
      }
    }
    failed <- function(f, ...) tryCatch(fit(model, f, steps_per_epoch = 2, epochs = 3, ...), error = identity)
    e <- failed(after(2, \() stop("no more petrol")))
    stopifnot(inherits(e, "kerasbridge_error_generator"), e$batch == 3, grepl("batch 3: no more petrol", conditionMessage(e)))
    stopifnot(identical(conditionMessage(e$original), "no more petrol"))
    e <- failed(after(2, \() list(matrix(1, 3, 5), 1:3)))
    stopifnot(inherits(e, "kerasbridge_error_data"), grepl("Batch 3 .*`x` has shape \\(3, 5\\)", conditionMessage(e)))
    e <- failed(after(1, \() list(matrix(1, 3, 2), c(1, NA, 2))))
    stopifnot(inherits(e, "kerasbridge_error_data"), grepl("y in batch 2", conditionMessage(e)))
    e <- failed(after(1, \() list(1, 2, 3, 4)))
    stopifnot(grepl("Batch 2 .*4 parts", conditionMessage(e)))
    w <- tryCatch(failed(after(3, \() NULL)), kerasbridge_warning_generator = identity)
    stopifnot(grepl("after 3 batches; 6 were asked for", conditionMessage(w)))
    h <- suppressWarnings(fit(model, after(3, \() NULL), steps_per_epoch = 2, epochs = 3))
    stopifnot(identical(h$epoch, 1:2))
    e <- tryCatch(fit(model, after(9, stop)), error = identity)
    stopifnot(inherits(e, "kerasbridge_error_argument"), identical(e$argument, "steps_per_epoch"))
    e <- tryCatch(fit(model, after(9, stop), rep(1, 3), steps_per_epoch = 1), error = identity)
    stopifnot(identical(e$argument, "y"))
    e <- tryCatch(predict(model, after(1, \() NULL), steps = 2), error = identity)
    stopifnot(grepl("after 1 batches; 2", conditionMessage(e)))
    cat("all well")
  }))
  expect_match(out, "all well$")
})

test_that("classes are columns counted from 0", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 3) |> layer_activation("softmax")
  x <- rbind(c(0, 5, 1), c(9, 0, 0), c(0, 0, 2))
  expect_identical(predict_classes(model, x), c(1L, 0L, 2L))
  expect_identical(predict_proba(model, x), predict(model, x, verbose = 0))
  binary <- keras_model_sequential(input_shape = 1) |> layer_activation("sigmoid")
  expect_identical(predict_classes(binary, c(-1, 2)), c(0L, 1L))
  expect_error(fit_generator(binary, 1:3), "generator", class = "kerasbridge_error_argument")
})
