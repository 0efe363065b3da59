line_data <- function(n = 64) {
  x <- matrix(seq(-1, 1, length.out = 2 * n), n)
  list(x = x, y = x %*% c(1, -2) + 0.5)
}

test_that("fit learns a line and returns the history", {
  skip_if_no_keras()
  d <- line_data()
  set_random_seed(1)
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
  compile(model, optimizer_adam(0.05), loss = "mse", metrics = "mae")
  history <- fit(model, d$x, d$y, epochs = 30, validation_split = 0.25, verbose = 0)
  expect_s3_class(history, "kerasbridge_history")
  expect_length(history$metrics$loss, 30)
  expect_lt(history$metrics$loss[[30]], history$metrics$loss[[1]] / 5)
  expect_identical(history$history, history$metrics)
  expect_setequal(names(history$metrics), c("loss", "mae", "val_loss", "val_mae"))
  frame <- as.data.frame(history)
  expect_identical(nrow(frame), 120L)
  expect_identical(range(frame$epoch), c(1L, 30L))
  expect_output(print(history), "History of 30 epochs")
})

test_that("the validation split is the last part", {
  skip_if_no_keras()
  x <- matrix(c(rep(0, 8), rep(1, 2)), 10)
  model <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
  compile(model, optimizer_sgd(0), loss = "mse")
  set_weights(model, list(matrix(3), array(0)))
  history <- fit(model, x, rep(0, 10), validation_split = 0.2, epochs = 1, verbose = 0)
  expect_equal(history$metrics$loss, 0)
  expect_equal(history$metrics$val_loss, 9)
})

test_that("evaluate and predict give known numbers; row names stay", {
  skip_if_no_keras()
  model <- small_model(metrics = "mae")
  known_weights(model)
  x <- matrix(c(0, 1, 0, 1), 2, dimnames = list(c("r1", "r2"), NULL))
  expect_equal(predict(model, x, verbose = 0), matrix(c(0.5, 3.5), 2, dimnames = list(c("r1", "r2"), NULL)))
  score <- evaluate(model, x, c(0.5, 2.5), verbose = 0)
  expect_equal(score, list(loss = 0.5, mae = 0.5), tolerance = 1e-6)
  expect_identical(dim(predict(model, matrix(0, 0, 2), verbose = 0)), c(0L, 1L))
})

test_that("data frames of numbers are taken, others refused by column", {
  skip_if_no_keras()
  model <- small_model()
  known_weights(model)
  frame <- data.frame(a = c(0, 1), b = c(0L, 1L))
  expect_equal(as.vector(predict(model, frame, verbose = 0)), c(0.5, 3.5))
  frame$b <- factor(c("u", "v"))
  expect_error(predict(model, frame, verbose = 0), "'b' holds text or categories", class = "kerasbridge_error_data")
})

test_that("missing and infinite values are refused with their place", {
  skip_if_no_keras()
  model <- small_model()
  x <- matrix(0, 4, 2)
  x[3, 2] <- NA
  expect_error(fit(model, x, rep(0, 4), verbose = 0), "x[3, 2]", fixed = TRUE, class = "kerasbridge_error_data")
  x[3, 2] <- Inf
  expect_error(predict(model, x, verbose = 0), "infinite", class = "kerasbridge_error_data")
  expect_error(fit(model, matrix(0, 4, 2), c(0, 0, NA, 0), verbose = 0), "y[3]", fixed = TRUE)
})

test_that("columns that became NaN as a whole are named, with the cause", {
  skip_if_no_keras()
  model <- small_model(input = 3)
  x <- cbind(a = 1:4, b = 5, c = 4:1)
  expect_error(fit(model, scale(x), 1:4, verbose = 0), "1 of 3 columns.*'b'.*scale\\(\\)", class = "kerasbridge_error_data")
  pixels <- array(runif(24), c(4, 2, 3))
  pixels[, 2, 3] <- NaN
  pixels[, 1, 1] <- NaN
  expect_error(predict(model, pixels), "2 of 6 columns.*\\[, 1, 1\\], \\[, 2, 3\\]", class = "kerasbridge_error_data")
})

test_that("wrong arguments are named", {
  skip_if_no_keras()
  model <- small_model()
  x <- matrix(0, 4, 2)
  y <- rep(0, 4)
  expect_error(fit(model, x, y, epochs = 1.5), "`epochs` must be a whole number", class = "kerasbridge_error_argument")
  expect_error(fit(model, x, y, epochs = 0), "`epochs` must be at least 1")
  expect_error(fit(model, x, y, batch_size = 0), "`batch_size`")
  expect_error(fit(model, x, y, validation_split = 2), "`validation_split`")
  expect_error(fit(model, x, y, callbacks = list(1)), "`callbacks`")
  expect_error(fit(model, x, y, verbse = 0), "`verbse` is not an argument")
  expect_error(fit(model, x, y, verbose = 7), "`verbose` must be")
  uncompiled <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
  expect_error(fit(uncompiled, x, y), "is not compiled", class = "kerasbridge_error_argument")
  expect_error(compile(model, optimizer = "nonsense"), "nonsense")
})

test_that("wrong shapes are refused in terms of x and y", {
  skip_if_no_keras()
  model <- small_model()
  expect_error(predict(model, matrix(0, 4, 3), verbose = 0), "`x`", class = "kerasbridge_error_data")
  expect_error(fit(model, matrix(0, 4, 2), rep(0, 5), verbose = 0), "`y`", class = "kerasbridge_error_data")
})

test_that("class weights and sample weights weigh", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 1) |> layer_dense(2, activation = "softmax")
  compile(model, optimizer_sgd(0), loss = "sparse_categorical_crossentropy")
  set_weights(model, list(matrix(0, 1, 2), array(0, 2)))
  x <- matrix(1, 4, 1)
  y <- c(0, 0, 1, 1)
  plain <- fit(model, x, y, epochs = 1, verbose = 0)$metrics$loss
  weighted <- fit(model, x, y, epochs = 1, verbose = 0, class_weight = list("0" = 1, "1" = 3))$metrics$loss
  expect_equal(plain, log(2), tolerance = 1e-6)
  expect_equal(weighted, 2 * log(2), tolerance = 1e-6)
  sampled <- fit(model, x, y, epochs = 1, verbose = 0, sample_weight = c(2, 2, 2, 2))$metrics$loss
  expect_equal(sampled, 2 * log(2), tolerance = 1e-6)
  expect_error(fit(model, x, y, class_weight = list(a = 1)), "`class_weight`")
})

test_that("progress is one line an epoch in a log, and nothing when silent", {
  skip_if_no_keras()
  model <- small_model()
  x <- matrix(0, 8, 2)
  text <- capture.output(fit(model, x, rep(0, 8), epochs = 3, verbose = 2))
  expect_length(grep("Epoch [1-3]/3", text), 3)
  expect_false(any(grepl("[\b\033\r]", text)))
  expect_identical(capture.output(h <- fit(model, x, rep(0, 8), epochs = 1, verbose = 0)), character())
})

test_that("one-batch functions step, test and predict", {
  skip_if_no_keras()
  model <- small_model()
  known_weights(model)
  x <- matrix(1, 4, 2)
  before <- test_on_batch(model, x, rep(0, 4))
  expect_equal(before$loss, 3.5^2, tolerance = 1e-6)
  train_on_batch(model, x, rep(0, 4))
  expect_lt(test_on_batch(model, x, rep(0, 4))$loss, before$loss)
  expect_identical(dim(predict_on_batch(model, x)), c(4L, 1L))
})

test_that("the history plots with ggplot2 and with base graphics", {
  skip_if_no_keras()
  model <- small_model(metrics = "mae")
  history <- fit(model, matrix(0, 8, 2), rep(0, 8), epochs = 2, validation_split = 0.5, verbose = 0)
  withr::local_pdf(NULL)
  expect_s3_class(plot(history, method = "base"), "kerasbridge_history")
  skip_if_not_installed("ggplot2")
  expect_s3_class(plot(history), "ggplot")
  expect_error(plot(history, metrics = "nope"), "'nope'")
})

# One process, one press of Ctrl-C for each way of running; a line for each.
interrupt_script <- "
library(kerasbridge)
x <- matrix(sin(1:8e4), ncol = 4); y <- rowSums(x)
model <- keras_model_sequential(input_shape = 4) |> layer_dense(32) |> layer_dense(1)
compile(model, 'sgd', loss = 'mse')
invisible(fit(model, x, y, epochs = 1, verbose = 0))
press <- \\(...) for (after in c(...)) system(sprintf('(sleep %g; kill -INT %d) > /dev/null 2>&1 &', after, Sys.getpid()))
many <- \\(f) for (i in 1:1e6) f()
timed <- function(label, run) {
  press(2)
  started <- proc.time()[[3]]
  out <- tryCatch(run(), interrupt = \\(i) 'interrupt', error = conditionMessage)
  if (inherits(out, 'kerasbridge_history')) out <- paste('history', out$interrupted, length(out$epoch) == length(out$metrics$loss))
  late <- proc.time()[[3]] - started > 60 # a busy machine compiles for long
  cat(label, ':', out, if (late) 'LATE', dim(predict(model, x[1:3, ], verbose = 0)), '\\n')
}
"

test_that("Ctrl-C ends fit with the epochs done, and evaluate and predict as an interrupt, in every engine", {
  skip_if_no_keras()
  skip_on_os("windows")
  out <- run_r(c(
    interrupt_script,
    "for (engine in c('auto', 'keras', 'graph', 'xla')) timed(paste('fit', engine), \\() fit(model, x, y, epochs = 1e6, verbose = 0, engine = engine))",
    "timed('hooks', \\() fit(model, x, y, epochs = 1e6, verbose = 0, callbacks = list(on_train_batch_end = \\(b) Sys.sleep(0.001))))",
    "timed('generator', \\() fit(model, \\() list(x[1:32, ], y[1:32]), steps_per_epoch = 100, epochs = 1e6, verbose = 0))",
    "timed('predict auto', \\() many(\\() predict(model, x, batch_size = 64, verbose = 0)))",
    "timed('predict keras', \\() many(\\() predict(model, x, engine = 'keras', verbose = 0)))",
    "timed('evaluate auto', \\() many(\\() evaluate(model, x, y, batch_size = 32, verbose = 0)))",
    "timed('evaluate keras', \\() many(\\() evaluate(model, x, y, engine = 'keras', verbose = 0)))",
    "rows <- as.data.frame(matrix(sin(1:8e6), ncol = 4))",
    "for (i in 1:3) timed('data frame', \\() many(\\() kerasbridge:::frame_arg(rows, 'x', NULL)))"
  ), timeout = 500)
  ways <- c(paste("fit", c("auto", "keras", "graph", "xla")), "hooks", "generator")
  calls <- paste(rep(c("predict", "evaluate"), each = 2), c("auto", "keras"))
  expect_equal(trimws(grep(" : ", out$output, value = TRUE)), c(paste(ways, ": history TRUE TRUE 3 1"), paste(c(calls, rep("data frame", 3)), ": interrupt 3 1")))
})

test_that("a second Ctrl-C interrupts R itself, and nothing trains on", {
  skip_if_no_keras()
  skip_on_os("windows")
  out <- run_r(c(
    interrupt_script,
    "for (attempt in 1:3) {", # on a busy machine both presses may come before fit() has ended
    "  once <- list(on_epoch_end = \\(epoch) if (epoch == 1) press(0.5, 0.5 + attempt))",
    "  second <- tryCatch({",
    "    history <- fit(model, x, y, epochs = 1e6, verbose = 0, callbacks = once); Sys.sleep(5); 'no second'",
    "  }, interrupt = \\(i) 'second')",
    "  if (second == 'second') break",
    "}",
    "before <- get_weights(model); Sys.sleep(1)",
    "cat(second, history$interrupted, identical(before, get_weights(model)))"
  ), timeout = 120)
  # the last line: TensorFlow 2.16 says, besides, that XLA starts
  expect_identical(utils::tail(out$output, 1), "second TRUE TRUE")
})

test_that("histories, layers and tensors summarise, format and show their structure", {
  skip_if_no_keras()
  history <- fit(small_model(), matrix(1, 4, 2), rep(0, 4), epochs = 3, verbose = 0)
  s <- summary(history)
  expect_identical(s$metric, "loss")
  expect_equal(s$least, min(history$metrics$loss))
  expect_identical(s$least_epoch, which.min(history$metrics$loss))
  expect_match(format(history), "^<history of 3 epochs: loss ")
  expect_output(str(history), "history of 3 epochs")
  layer <- layer_dense(units = 2)
  layer(op_ones(c(1, 3)))
  expect_identical(summary(layer)$shape, c("(3, 2)", "(2)"))
  expect_output(str(layer), "Dense")
  expect_equal(summary(as_tensor(c(1, 2, 6)))[["Mean"]], 3)
})

test_that("hooks name their arguments freely, add to the logs, and say what they cost at every batch", {
  skip_if_no_keras()
  model <- small_model()
  x <- matrix(1, 8, 2)
  seen <- NULL
  hooks <- list(
    on_epoch_end = \(number, values) list(twice = 2 * values$loss, epochs_done = number),
    on_train_batch_end = \(number) seen <<- c(seen, number)
  )
  history <- fit(model, x, rep(0, 8), epochs = 2, batch_size = 4, verbose = 0, callbacks = hooks)
  expect_equal(seen, c(1, 2, 1, 2))
  expect_equal(history$metrics$twice, 2 * history$metrics$loss)
  expect_equal(history$metrics$epochs_done, c(1, 2))
  Adding <- Callback("Adding", on_epoch_end = function(epoch, logs = NULL) list(own = self$model$count_params()))
  expect_equal(fit(model, x, rep(0, 8), epochs = 1, verbose = 0, callbacks = Adding())$metrics$own, 3)
  slow <- list(on_train_batch_end = \(batch, logs) Sys.sleep(0.3))
  text <- capture.output(fit(model, x, rep(0, 8), epochs = 2, batch_size = 4, verbose = 2, callbacks = slow))
  expect_length(grep("called at every batch took [0-9]+% of this epoch", text), 1)
})

test_that("fit goes on from a history, whose epochs it keeps", {
  skip_if_no_keras()
  model <- small_model(metrics = "mae")
  x <- matrix(sin(1:32), 16)
  first <- fit(model, x, rep(0, 16), epochs = 2, validation_split = 0.25, verbose = 0)
  after <- get_weights(model)
  both <- fit(model, x, rep(0, 16), epochs = 5, verbose = 0, resume = first)
  expect_identical(both$epoch, 1:5)
  expect_equal(both$metrics$loss[1:2], first$metrics$loss)
  expect_equal(both$metrics$val_loss, c(first$metrics$val_loss, NA, NA, NA))
  expect_false(identical(after, get_weights(model)))
  frame <- as.data.frame(both)
  expect_identical(dim(frame), c(20L, 4L))
  expect_identical(sum(is.na(frame$value)), 6L)
  generated <- fit(model, \() list(x, rep(0, 16)), steps_per_epoch = 1, epochs = 6, verbose = 0, resume = both)
  expect_identical(generated$epoch, 1:6)
  expect_error(fit(model, x, rep(0, 16), epochs = 5, resume = both), "5 epochs are done", class = "kerasbridge_error_argument")
  expect_error(fit(model, x, rep(0, 16), resume = list()), "`resume` must be a history", class = "kerasbridge_error_argument")
  expect_error(fit(model, x, rep(0, 16), resume = first, initial_epoch = 1), "`initial_epoch`", class = "kerasbridge_error_argument")
})

test_that("epochs without a validation are NA in the history, its table and its plots", {
  skip_if_no_keras()
  model <- small_model()
  x <- matrix(sin(1:32), 16)
  history <- fit(model, x, rep(0, 16), epochs = 4, validation_split = 0.25, validation_freq = 2, verbose = 0,
                 callbacks = callback_reduce_lr_on_plateau(monitor = "loss"))
  expect_identical(is.na(history$metrics$val_loss), c(TRUE, FALSE, TRUE, FALSE))
  frame <- as.data.frame(history)
  expect_identical(nrow(frame), 4L * length(history$metrics))
  expect_equal(frame$value[frame$metric == "loss" & frame$data == "validation"], history$metrics$val_loss)
  expect_output(print(history), "val_loss: +[0-9.e-]+")
  withr::local_pdf(NULL)
  expect_s3_class(plot(history, method = "base"), "kerasbridge_history")
  if (rlang::is_installed("ggplot2")) expect_identical(nrow(plot(history)$data), sum(!is.na(frame$value)))
})

test_that("the history says what the run depended on", {
  skip_if_no_keras()
  set_random_seed(42)
  history <- fit(small_model(), matrix(1, 8, 2), rep(0, 8), epochs = 1, verbose = 0)
  expect_equal(history$seed, 42)
  # whether determinism is on depends on what ran before in this process; the child process below starts afresh
  expect_type(history$deterministic, "logical")
  expect_identical(history$versions[["keras"]], kerasbridge_info()$keras)
  expect_identical(history$versions[["R"]], as.character(getRversion()))
  expect_match(history$devices, "cpu|gpu", all = TRUE)
  out <- run_r(c(
    "library(kerasbridge); set_random_seed(42); x <- matrix(rnorm(400), 100); y <- rowSums(x)",
    "m <- keras_model_sequential(input_shape = 4) |> layer_dense(8, activation = 'relu') |> layer_dropout(0.3) |> layer_dense(1)",
    "compile(m, 'adam', 'mse'); h <- fit(m, x, y, epochs = 3, verbose = 0)",
    "cat(sprintf('%a', unlist(get_weights(m))))"
  ))
  again <- {
    set_random_seed(42)
    x <- matrix(rnorm(400), 100)
    y <- rowSums(x)
    m <- keras_model_sequential(input_shape = 4) |> layer_dense(8, activation = "relu") |> layer_dropout(0.3) |> layer_dense(1)
    compile(m, "adam", "mse")
    fit(m, x, y, epochs = 3, verbose = 0)
    paste(sprintf("%a", unlist(get_weights(m))), collapse = " ")
  }
  expect_identical(out$output, again)
})

test_that("weights that become infinite and a loss that does are warnings", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
  compile(model, optimizer_sgd(1e30), loss = "mse")
  expect_warning(
    expect_warning(
      fit(model, matrix(1, 8, 2), rep(1e5, 8), epochs = 3, verbose = 0),
      "weights '.*' hold values that are not finite", class = "kerasbridge_warning_training"
    ),
    "The loss is", class = "kerasbridge_warning_training"
  )
})

test_that("class weights by level weigh as those by number", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 1) |> layer_dense(2, activation = "softmax")
  compile(model, optimizer_sgd(0), loss = "sparse_categorical_crossentropy")
  set_weights(model, list(matrix(0, 1, 2), array(0, 2)))
  x <- matrix(1, 4, 1)
  y <- factor(c("a", "a", "b", "b"))
  loss <- fit(model, x, y, epochs = 1, verbose = 0, class_weight = c(b = 3, a = 1))$metrics$loss
  expect_equal(loss, 2 * log(2), tolerance = 1e-6)
  expect_error(fit(model, x, y, class_weight = c(a = 1)), "no weight for the level 'b'", class = "kerasbridge_error_argument")
  expect_error(fit(model, x, y, class_weight = c(a = 1, b = 1, c = 1)), "names 'c'", class = "kerasbridge_error_argument")
})

test_that("a single case without its first axis: the call that mends it, or expand", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = c(2, 3)) |> layer_flatten() |> layer_dense(1)
  x <- array(as.numeric(1:12), c(2, 2, 3))
  expect_error(predict(model, x[1, , ], verbose = 0), "x[1, , , drop = FALSE]", fixed = TRUE, class = "kerasbridge_error_data")
  expect_equal(predict(model, x[1, , ], verbose = 0, expand = TRUE), predict(model, x[1, , , drop = FALSE], verbose = 0))
  compile(model, "sgd", "mse")
  expect_length(fit(model, x[1, , ], 1, epochs = 1, verbose = 0, expand = TRUE)$epoch, 1)
  expect_named(evaluate(model, x[1, , ], 1, verbose = 0, expand = TRUE), "loss")
})

test_that("warm_up() leaves the model as it is and ready", {
  skip_if_no_keras()
  a <- layer_input(3)
  b <- layer_input(2)
  model <- keras_model(list(a, b), layer_dense(layer_concatenate(list(a, b)), 1))
  before <- get_weights(model)
  expect_identical(warm_up(model, rows = 4), model)
  expect_identical(get_weights(model), before)
  expect_error(warm_up(model, rows = 0), "`rows`", class = "kerasbridge_error_argument")
  expect_error(warm_up(keras_model_sequential() |> layer_dense(1)), "has not been built", class = "kerasbridge_error_argument")
})

test_that("silence is silent in both streams, and a log of thousands of steps is short", {
  skip_if_no_keras()
  out <- run_r(c(
    "library(kerasbridge)",
    "x <- matrix(sin(1:4e4), ncol = 4); y <- rowSums(x)",
    "for (i in 1:7) {", # as many models as would make TensorFlow speak of retracing
    "  m <- keras_model_sequential(input_shape = 4) |> layer_dense(1)",
    "  compile(m, 'sgd', 'mse')",
    "  h <- fit(m, x[1:64, ], y[1:64], epochs = 1, verbose = 0, engine = if (i < 7) 'keras' else 'auto')",
    "  s <- evaluate(m, x[1:64, ], y[1:64], verbose = 0, engine = 'keras')",
    "  p <- predict(m, x[1:64, ], verbose = 0, engine = 'keras')",
    "}",
    "options(kerasbridge.progress = FALSE)",
    "h <- fit(m, x, y, epochs = 1)",
    "options(kerasbridge.progress = TRUE)",
    "cat('MARK\\n')",
    "h <- fit(m, x, y, epochs = 2, batch_size = 4)"
  ))
  mark <- match("MARK", out$output)
  expect_identical(out$output[seq_len(mark - 1)], character())
  log <- out$output[-seq_len(mark)]
  expect_length(grep("^Epoch [12]/2 ", log), 2)
  expect_lt(sum(nchar(log) + 1), 1000)
  expect_no_match(log, "[\b\033\r]")
})

test_that("a metric of several numbers has a column for each in the history, also from a file", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(3, activation = "softmax")
  compile(model, optimizer = "sgd", loss = "categorical_crossentropy", metrics = list(metric_f1_score(average = NULL)))
  x <- matrix(seq(0, 1, length.out = 24), 12)
  y <- diag(3)[rep(1:3, 4), ]
  for (epochs in 1:2) {
    history <- fit(model, x, y, epochs = epochs, validation_data = list(x, y), verbose = 0)
    columns <- paste0(rep(c("", "val_"), each = 3), "f1_score_", 1:3)
    expect_setequal(names(history$metrics), c("loss", "val_loss", columns))
    expect_identical(unname(lengths(history$metrics)), rep(epochs, 8L))
  }
  # the last numbers are those of the model as it is now
  expect_equal(
    unname(vapply(history$metrics[columns[4:6]], \(v) v[2], 0)),
    as.numeric(evaluate(model, x, y, verbose = 0)$f1_score), tolerance = 1e-6
  )
  expect_equal(nrow(as.data.frame(history)), 16)
  expect_output(print(history), "f1_score_3")
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(model, path)
  expect_equal(model_history(load_model(path))$metrics, history$metrics)
})
