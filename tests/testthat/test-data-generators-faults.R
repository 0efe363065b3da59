# What goes wrong in R functions that Python calls while training: each group in a process of its own with
# a time limit, since what goes wrong here may hang or end R.

expect_well <- function(code, ..., env = character()) {
  out <- run_r(c(
    "library(kerasbridge)", "options(kerasbridge.verbose = 0)",
    "model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)",
    "compile(model, 'sgd', loss = 'mse')",
    "ok <- function() list(matrix(1, 3, 2), rep(1, 3))",
    "after <- function(n, last) { i <- 0; function() { i <<- i + 1; if (i <= n) ok() else last() } }",
    "run <- function(f, ...) fit(model, f, steps_per_epoch = 6, epochs = 1, ...)",
    "failed <- function(f, ...) tryCatch(run(f, ...), error = identity)",
    deparse(code), "cat('all well')"
  ), env = env, ...)
  expect_match(paste(out$output, collapse = "\n"), "all well$")
}

test_that("errors, warnings and jumps in a generator come back as what they are", {
  skip_if_no_keras()
  expect_well(quote({
    own <- structure(class = c("petrol", "error", "condition"), list(message = "boom at batch 4", call = quote(tank(1))))
    e <- failed(after(3, \() stop(own)))
    stopifnot(inherits(e, "petrol"), inherits(e, "kerasbridge_error_generator"), e$batch == 4)
    stopifnot(grepl("boom at batch 4$", conditionMessage(e)), identical(conditionCall(e), quote(tank(1))))
    careful <- after(3, \() {
      warning("careful")
      ok()
    })
    w <- tryCatch(run(careful), warning = identity)
    stopifnot(inherits(w, "warning"), identical(conditionMessage(w), "careful"))
    seen <- 0
    h <- withCallingHandlers(run(after(4, \() {
      warning("careful")
      ok()
    })), warning = \(w) {
      seen <<- seen + 1
      invokeRestart("muffleWarning")
    })
    stopifnot(seen == 2, length(h$metrics$loss) == 1)
    options(warn = 2)
    e <- failed(after(1, \() warning("careful")))
    options(warn = 0)
    stopifnot(inherits(e, "kerasbridge_error_generator"), grepl("batch 2.*converted from warning", conditionMessage(e)))
    deep <- function(n) deep(n + 1)
    stopifnot(inherits(failed(after(2, \() deep(1))), "kerasbridge_error_generator"))
    left <- withRestarts(failed(after(2, \() invokeRestart("abort"))), abort = \() "left")
    stopifnot(identical(left, "left"))
    left <- withRestarts(failed(after(2, \() invokeRestart("leave", 5))), leave = \(x) x)
    stopifnot(identical(left, 5))
    stopifnot(identical(run(ok)$engine, if (config_backend() == "tensorflow") "graph" else "keras"))
  }))
})

test_that("a generator may use Keras itself, the model being trained included", {
  skip_if_no_keras()
  expect_well(quote({
    inner <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
    compile(inner, "sgd", loss = "mse")
    h <- run(\() {
      fit(inner, ok, steps_per_epoch = 2, epochs = 1)
      fit(inner, matrix(1, 4, 2), rep(1, 4), epochs = 1)
      ok()
    })
    stopifnot(is.finite(h$metrics$loss))
    h <- run(\() {
      p <- predict(model, matrix(1, 3, 2))
      list(matrix(1, 3, 2), p)
    })
    stopifnot(h$metrics$loss < 1e-10)
    set_weights(model, list(matrix(0, 2, 1), array(0)))
    seen <- numeric()
    h <- run(\() {
      seen <<- c(seen, get_weights(model)[[2]])
      ok()
    })
    # each call sees the weights after the step before
    stopifnot(length(seen) == 6, seen[[1]] == 0, all(diff(seen) > 0))
    h <- run(\() list(op_ones(c(3L, 2L)), op_ones(c(3L, 1L))))
    stopifnot(identical(h$engine, if (config_backend() == "tensorflow") "graph" else "keras"))
  }))
})

test_that("what is no batch is named, whichever batch it is", {
  skip_if_no_keras()
  expect_well(quote({
    says <- function(batch, text, good = 2) {
      e <- failed(after(good, \() batch))
      if (!inherits(e, "kerasbridge_error_data") || !grepl(text, conditionMessage(e))) stop("no such error: ", text, ": ", conditionMessage(e))
    }
    says(data.frame(a = 1:3, b = 4:6), "Batch 3 .*parts x; the first batch had x, y")
    says(data.frame(a = 1:3, b = 4:6), "Batch 1 .*no targets", good = 0)
    says(list(matrix(1, 3, 2), NULL), "Batch 1 .*no targets", good = 0)
    says(list(matrix(1, 5, 2), rep(1, 4)), "Batch 1 .*`x` has 5 rows, `y` 4", good = 0)
    says(list(list(matrix(1, 3, 2), matrix(1, 3, 2)), 1:3), "Batch 1 .*2 parts, the model takes 1 inputs", good = 0)
    says(list(matrix(1, 3, 2), c(1, NA, 2)), "y in batch 3")
    says(list(matrix(1, 3, 2), c(1, Inf, 2)), "y in batch 3")
    says(list(data.frame(a = c("u", "v"), b = 1:2), 1:2), "Batch 3.*'a'")
    says(list(\() 1, 1:3), "x in batch 3.*function")
    says(list(), "Batch 3 .*0 parts")
    says(list(matrix(1, 0, 2), numeric()), "Batch 3 .*no rows")
    says("text", "Batch 3")
    classes <- keras_model_sequential(input_shape = 2) |> layer_dense(3, activation = "softmax")
    compile(classes, "sgd", loss = "sparse_categorical_crossentropy")
    model <- classes
    says(list(matrix(1, 3, 2), c(1, 2, 3)), "Batch 1 .*labels from 1 to 3", good = 0)
    # several outputs, by position and by name
    x <- layer_input(shape = 2)
    two <- keras_model(x, list(layer_dense(x, 1, name = "a"), layer_dense(x, 2, name = "b")))
    compile(two, "sgd", loss = list("mse", "mse"))
    h <- fit(two, \() list(matrix(1, 3, 2), list(rep(1, 3), matrix(1, 3, 2))), steps_per_epoch = 2, epochs = 1,
             validation_data = \() list(matrix(1, 3, 2), list(rep(1, 3), matrix(1, 3, 2))), validation_steps = 1)
    each <- if (is_keras_available("3.5")) c("a_loss", "b_loss", "val_b_loss") # older ones report their sum
    stopifnot(all(c("loss", each) %in% names(h$metrics)))
    h <- fit(two, \() list(x = matrix(1, 3, 2), y = list(b = matrix(1, 3, 2), a = rep(1, 3))), steps_per_epoch = 2, epochs = 1)
    stopifnot(is.finite(h$metrics$loss))
    p <- predict(two, \() list(matrix(1, 3, 2)), steps = 4)
    stopifnot(identical(lapply(unname(p), dim), list(c(12L, 1L), c(12L, 2L))))
  }))
})

test_that("an interrupt keeps the epochs done, in the generator as in a step", {
  skip_if_no_keras()
  skip_on_os("windows")
  for (wait in c(0, 20)) {
    expect_well(bquote({
      h <- fit(model, ok, steps_per_epoch = 3, epochs = 2)
      begun <- 0
      generator <- \() {
        begun <<- begun + 1
        if (begun > 30) Sys.sleep(.(wait))
        ok()
      }
      system(sprintf("(sleep 4; kill -INT %d; sleep 15; kill -INT %d) > /dev/null 2>&1 &", Sys.getpid(), Sys.getpid()))
      h <- fit(model, generator, steps_per_epoch = 10, epochs = 1e6)
      stopifnot(h$interrupted, length(h$epoch) >= 3, length(h$epoch) == length(h$metrics$loss))
      w <- get_weights(model)[[1]]
      stopifnot(identical(dim(predict(model, matrix(1, 3, 2))), c(3L, 1L)))
      Sys.sleep(0.3)
      stopifnot(identical(w, get_weights(model)[[1]]))
    }), timeout = 90)
  }
})

test_that("progress and text work with the streams of RStudio and knitr", {
  skip_if_no_keras()
  expect_well(quote({
    for (verbose in 0:2) {
      h <- fit(
        model, ok, steps_per_epoch = 5, epochs = 2, verbose = verbose, validation_data = ok, validation_steps = 2,
        callbacks = if (verbose == 2) list(on_train_batch_end = \(batch, logs) if (batch == 2) print(names(logs)))
      )
      stopifnot(length(h$metrics$val_loss) == 2)
    }
    reticulate::py_run_string("
from kerasbridge.runtime import threads
import sys, warnings
def shout():
    print('from the worker'); print('an error line', file=sys.stderr); warnings.warn('a warning')
with threads.routed_output():
    threads.finish(threads.start(shout))
")
  }), env = "RETICULATE_REMAP_OUTPUT_STREAMS=1")
})

test_that("a Keras dataset whose methods are R functions runs on R's thread", {
  skip_if_no_keras()
  done <- run_r(c(
    "library(kerasbridge)",
    "x <- matrix(sin(1:120), 30); y <- rowSums(x)",
    "invisible(kerasbridge_info()); asked <- integer()",
    "Batches <- reticulate::PyClass('Batches', inherit = keras$utils$PyDataset, defs = list(",
    "  `__len__` = function(self) 3L,",
    "  `__getitem__` = function(self, index) {",
    "    asked <<- c(asked, index); rows <- 1:10 + index * 10",
    "    if (index == 2 && isTRUE(getOption('fails'))) stop('no third batch')",
    "    reticulate::tuple(x[rows, ], matrix(y[rows]))",
    "  }",
    "))",
    "model <- keras_model_sequential(input_shape = 4) |> layer_dense(1); compile(model, 'sgd', loss = 'mse')",
    "h <- fit(model, Batches(), epochs = 2, validation_data = Batches(), verbose = 0)",
    "stopifnot(length(h$metrics$val_loss) == 2, identical(sort(asked), rep(0:2, each = 4)))",
    "asked <- integer(); h <- fit(model, Batches(), epochs = 2, shuffle = FALSE, verbose = 0); stopifnot(identical(asked, rep(0:2, 2)))",
    "stopifnot(all.equal(evaluate(model, Batches(), verbose = 0)[['loss']], evaluate(model, x, y, verbose = 0)[['loss']], tolerance = 1e-5))",
    "stopifnot(all.equal(predict(model, Batches(), verbose = 0), predict(model, x, verbose = 0), tolerance = 1e-5))",
    "h <- fit(model, x, y, epochs = 1, validation_data = Batches(), verbose = 0); stopifnot(is.finite(h$metrics$val_loss))",
    "options(fails = TRUE)",
    "cat(tryCatch(fit(model, Batches(), epochs = 1, verbose = 0), error = conditionMessage))"
  ), timeout = 120)
  expect_match(paste(done$output, collapse = "\n"), "no third batch")
  expect_identical(done$status, 0L)
})
