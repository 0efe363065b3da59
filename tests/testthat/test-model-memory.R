# Memory of training and prediction, in a process of its own.

memory_script <- "
library(kerasbridge)
field <- \\(name) as.numeric(gsub('\\\\D', '', grep(paste0('^', name), readLines('/proc/self/status'), value = TRUE))) * 1024
rss <- \\() field('VmRSS')
"

test_that("a double matrix reaches training with one float32 copy", {
  skip_if_no_keras()
  skip_if_not(file.exists("/proc/self/status"))
  out <- run_r(c(
    memory_script,
    "m <- keras_model_sequential(input_shape = 50) |> layer_dense(1)",
    "compile(m, 'sgd', 'mse')",
    "train <- \\(x, y) fit(m, x, y, epochs = 1, batch_size = 20000, verbose = 0, engine = 'graph')$engine",
    "x <- matrix(1, 60000, 50); y <- rep(1, 60000); train(x, y)",
    "x <- matrix(1, 1e6, 50); y <- rep(1, 1e6)",
    "invisible(gc()); before <- rss()",
    "reset <- tryCatch({ writeLines('5', '/proc/self/clear_refs'); TRUE }, error = \\(e) FALSE, warning = \\(w) FALSE)",
    "engine <- train(x, y)",
    "cat('RESULT', reset, engine, (field('VmHWM') - before) / (4 * length(x)))"
  ), timeout = 240)
  found <- strsplit(tail(out$output, 1), " ")[[1]]
  skip_if(identical(found[[2]], "FALSE"), "the peak can't be reset here")
  compiled <- config_backend() == "tensorflow" # Keras' own loop mixes the rows in a second block
  expect_identical(found[1:3], c("RESULT", "TRUE", if (compiled) "graph" else "keras"))
  expect_gt(as.numeric(found[[4]]), 0.9)
  expect_lte(as.numeric(found[[4]]), if (compiled) 1.3 else 2.1)
})

test_that("prediction again and again takes no more memory", {
  skip_if_no_keras()
  skip_if_not(file.exists("/proc/self/status"))
  out <- run_r(c(
    memory_script,
    "m <- keras_model_sequential(input_shape = 50) |> layer_dense(100)",
    "x <- matrix(1, 10000, 50)",
    "for (i in 1:20) p <- predict(m, x, verbose = 0)",
    "invisible(gc()); before <- rss()",
    "for (i in 1:200) p <- predict(m, x, verbose = 0)",
    "invisible(gc()); cat('RESULT', (rss() - before) / 2^20)"
  ), timeout = 240)
  # each is 8 MB in R: kept ones would be 1,600
  expect_lt(as.numeric(sub("RESULT ", "", tail(out$output, 1))), 200)
})
