# Batches made in other R processes.

test_that("a batch file keeps types, shapes, names and text", {
  path <- tempfile()
  parts <- list(
    list(num = matrix(c(1.5, 2, 3, 4, 5, -6), 2), "in\"t\\" = array(c(1L, .Machine$integer.max), 2)),
    list(array(c(TRUE, FALSE), c(2, 1)), matrix(c("é", "b\n", "", "d"), 2)),
    array(1:24, c(2, 3, 4))
  )
  kerasbridge:::write_batch(parts, path)
  skip_if_no_keras()
  out <- run_python(c(
    "import numpy as np", "from kerasbridge.data.workers import read_batch",
    sprintf("a, (b, c), d = read_batch('%s')", path),
    "assert list(a) == ['num', 'in\"t\\\\'], list(a)",
    "assert a['num'].dtype == np.float32 and a['num'].tolist() == [[1.5, 3, 5], [2, 4, -6]]",
    "assert a['in\"t\\\\'].dtype == np.int32 and a['in\"t\\\\'].tolist() == [1, 2**31 - 1]",
    "assert b.dtype == bool and b.tolist() == [[True], [False]]",
    "assert c.tolist() == [['\\u00e9', ''], ['b\\n', 'd']]",
    "assert d.shape == (2, 3, 4) and d[1, 2, 3] == 24 and d[0, 1, 0] == 3",
    "print('as written')"
  ), pythonpath = system.file("python", package = "kerasbridge"))
  expect_identical(utils::tail(out$output, 1), "as written")
})

test_that("each worker has a random stream of its own, from one seed", {
  draw <- function(seed, number) {
    withr::with_preserve_seed({
      kinds <- RNGkind()
      kerasbridge:::worker_seed(seed, number)
      x <- runif(3)
      do.call(RNGkind, as.list(kinds))
      x
    })
  }
  expect_identical(draw(1, 1), draw(1, 1))
  expect_false(any(draw(1, 1) %in% c(draw(1, 2), draw(2, 1))))
})

test_that("workers make the batches of fit, evaluate and predict in order, and none is left", {
  skip_if_no_keras()
  skip_on_os("windows")
  out <- run_r(c(
    "library(kerasbridge)", "options(kerasbridge.verbose = 0)",
    deparse(quote({
      same <- keras_model_sequential(input_shape = 2) |> layer_activation("linear")
      model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
      compile(model, "sgd", loss = "mse")
      scale_by <- 7
      grow <- function(z) z * scale_by
      factory <- function(worker) {
        i <- 0
        function() {
          i <<- i + 1
          list(cbind(c(worker, runif(1)), grow(i)), c(1, 1))
        }
      }
      take <- function(seed) {
        set.seed(seed)
        predict_generator(same, factory, steps = 5, workers = 2)
      }
      a <- take(1)
      stopifnot(identical(a[c(1, 3, 5, 7, 9), 1], c(1, 2, 1, 2, 1)), identical(a[c(1, 3, 5, 7, 9), 2], c(7, 7, 14, 14, 21)))
      stopifnot(identical(a, take(1)), !identical(a, take(2)))
      data <- dataset_from_function(10, \(i) list(cbind(i, Sys.getpid() != PARENT), i * 0.01), batch_size = 3, seed = 1)
      PARENT <- Sys.getpid()
      p <- predict_generator(same, data, workers = 4)
      stopifnot(identical(p[, 1], as.numeric(1:10)), all(p[, 2] == 1))
      h <- fit(model, data, epochs = 2, workers = 2)
      other <- clone_model(model)
      stopifnot(length(h$metrics$loss) == 2, h$params$steps == 4)
      failed <- function(f) tryCatch(fit(model, f, steps_per_epoch = 4, epochs = 1, workers = 2), error = identity)
      e <- failed(\() \() stop("bad file"))
      stopifnot(inherits(e, "kerasbridge_error_generator"), grepl("batch 1 (worker 1): bad file", conditionMessage(e), fixed = TRUE))
      e <- failed(\() list(1, 2))
      stopifnot(grepl("a function that returns a function", conditionMessage(e)))
      e <- failed(\(w) \() {
        if (w == 2) tools::pskill(Sys.getpid(), 9)
        list(matrix(1, 3, 2), 1:3)
      })
      stopifnot(grepl("Worker 2 of 2 .*SIGKILL", conditionMessage(e)))
      system(sprintf("(sleep 3; kill -INT %d) > /dev/null 2>&1 &", Sys.getpid()))
      h <- fit(model, \() \() {
        Sys.sleep(0.05)
        list(matrix(1, 3, 2), 1:3)
      }, steps_per_epoch = 5, epochs = 1e5, workers = 2)
      stopifnot(h$interrupted)
      stopifnot(!length(list.files("/dev/shm", sprintf("kerasbridge-%d-", Sys.getpid()))))
      state <- \(folder) tryCatch(readLines(file.path(folder, "stat"), warn = FALSE), error = \(e) "", warning = \(w) "")
      states <- vapply(list.files("/proc", "^[0-9]+$", full.names = TRUE), state, "")
      stopifnot(!any(grepl(sprintf("\\) [A-Z] %d ", Sys.getpid()), states))) # whose parent is this process
      cat("all well")
    }))
  ), timeout = 180)
  expect_match(paste(out$output, collapse = "\n"), "all well$")
})
