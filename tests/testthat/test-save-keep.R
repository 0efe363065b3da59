# models in saved workspaces, on workers, in forks and in sessions that are gone

lines <- c("library(kerasbridge)", "x <- matrix(seq(-1, 1, length.out = 24), 8)", "show <- \\(...) cat(..., '\\n')")

trained <- function(...) {
  model <- keras_model_sequential(input_shape = 3) |> layer_dense(4, name = "hidden") |> layer_dense(1)
  compile(model, optimizer_adam(0.01), loss = "mse")
  x <- matrix(seq(-1, 1, length.out = 24), 8)
  fit(model, x, x[, 1], epochs = 2, verbose = 0, ...)
  model
}

x8 <- matrix(seq(-1, 1, length.out = 24), 8)

test_that("a fitted model survives saveRDS() and save(), and goes on training", {
  skip_if_no_keras()
  model <- trained()
  expected <- predict(model, x8, verbose = 0)
  expect_gt(kept_size(model), 1000)
  file <- withr::local_tempfile(fileext = ".rds")
  image <- withr::local_tempfile(fileext = ".RData")
  saveRDS(list(model = model, expected = expected), file)
  save(model, expected, file = image)
  next_loss <- fit(model, x8, x8[, 1], epochs = 1, shuffle = FALSE, verbose = 0)$metrics$loss
  out <- run_r(c(
    "x <- matrix(seq(-1, 1, length.out = 24), 8)", # the package is loaded by the object
    sprintf("r <- readRDS('%s')", file),
    "cat('same', identical(predict(r$model, x, verbose = 0), r$expected), '\n')",
    "cat('steps', as.integer(as.array(r$model$optimizer$iterations)), '\n')",
    "h <- kerasbridge::fit(r$model, x, x[, 1], epochs = 1, shuffle = FALSE, verbose = 0)",
    "cat('loss', format(h$metrics$loss, digits = 10), '\n')",
    sprintf("load('%s')", image),
    "cat('image', identical(c(as.array(model(x))), c(expected)), '\n')",
    "again <- tempfile(); saveRDS(model, again)",
    "cat('twice', identical(predict(readRDS(again), x, verbose = 0), expected), '\n')"
  ))
  expect_identical(out$status, 0L)
  got <- strsplit(trimws(grep("^(same|steps|loss|image|twice)", out$output, value = TRUE)), " +")
  got <- stats::setNames(vapply(got, \(w) w[[2]], ""), vapply(got, \(w) w[[1]], ""))
  expect_identical(got[["same"]], "TRUE")
  expect_identical(got[["steps"]], "2")
  expect_identical(got[["image"]], "TRUE")
  expect_identical(got[["twice"]], "TRUE")
  expect_equal(as.numeric(got[["loss"]]), next_loss, tolerance = 1e-6)
})

test_that("workers in processes of their own predict and train as this one does", {
  skip_if_no_keras()
  model <- trained()
  expected <- predict(model, x8, verbose = 0)
  cluster <- parallel::makePSOCKcluster(2, rscript_envs = c(R_LIBS = paste(.libPaths(), collapse = .Platform$path.sep)))
  on.exit(parallel::stopCluster(cluster))
  work <- function(rows, model, table) predict(model, table[rows, , drop = FALSE], verbose = 0)
  environment(work) <- globalenv()
  parts <- parallel::clusterApply(cluster, list(1:3, 4:8), work, model = model, table = x8)
  expect_identical(do.call(rbind, parts), expected)
})

test_that("future's workers do too", {
  skip_if_no_keras()
  skip_if_not_installed("future.apply")
  model <- trained()
  future::plan("multisession", workers = 2)
  on.exit(future::plan("sequential"))
  parts <- future.apply::future_lapply(1:4, \(i) predict(model, x8, verbose = 0), future.seed = NULL)
  for (part in parts) expect_identical(part, predict(model, x8, verbose = 0))
})

test_that("what was not kept says what to do, whatever it is used for", {
  skip_if_no_keras()
  withr::local_options(kerasbridge.keep = FALSE)
  model <- trained()
  withr::local_options(kerasbridge.keep = 0.0001)
  big <- suppressMessages(trained())
  expect_identical(kept_size(model), NA_real_)
  file <- withr::local_tempfile(fileext = ".rds")
  saveRDS(list(model = model, big = big, layer = model$layers[[1]], optimizer = model$optimizer,
               tensor = as_tensor(1:3), data = tensor_slices_dataset_or_null()), file)
  out <- run_r(c(
    lines,
    sprintf("r <- readRDS('%s')", file),
    "try_it <- function(label, expr) {",
    "  seconds <- system.time(e <- tryCatch({ force(expr); NULL }, error = identity))[[3]]",
    "  show(label, class(e)[[1]], seconds < 2, conditionMessage(e))",
    "}",
    "print(r$model); try_it('layers', r$model$layers); show('without', isNamespaceLoaded('reticulate'))",
    "loadNamespace('reticulate')",
    "try_it('predict', predict(r$model, x))",
    "try_it('big', predict(r$big, x))",
    "try_it('dollar', r$model$layers)",
    "try_it('call', r$model(x))",
    "try_it('fit', fit(r$model, x, x[, 1]))",
    "try_it('layer', r$layer$units)",
    "try_it('layer_call', r$layer(x))",
    "try_it('weights', get_weights(r$layer))",
    "try_it('optimizer', r$optimizer$learning_rate)",
    "try_it('optimizer_used', compile(keras_model_sequential(input_shape = 2) |> layer_dense(1), r$optimizer))",
    "try_it('tensor', as.array(r$tensor))",
    "try_it('sum', r$tensor + 1L)",
    "if (!is.null(r$data)) try_it('data', r$data$take(1L))",
    "print(r$model); print(r$layer); print(r$optimizer); print(r$tensor); str(r$model); str(r$layer)"
  ))
  expect_identical(out$status, 0L)
  found <- grep("kerasbridge_error_dead", out$output, value = TRUE)
  expect_length(found, 13 + !is.null(tensor_slices_dataset_or_null()))
  # what starts Python first takes longer; all others answer at once
  expect_gte(sum(grepl("_dead TRUE", found)), length(found) - 1)
  # a session that has loaded no reticulate, which takes a second, has no live object
  expect_match(found[[1]], "^layers kerasbridge_error_dead TRUE")
  expect_true("without FALSE" %in% trimws(out$output))
  expect_match(found[[2]], "no copy of it was kept: `options\\(kerasbridge.keep = FALSE\\)` was set")
  expect_match(found[[3]], "larger than the option")
  expect_match(grep("^tensor ", found, value = TRUE), "belongs to an R session that has ended \\(class: tensor\\)")
  expect_match(grep("^optimizer_used ", found, value = TRUE), "`optimizer` belongs to an R session")
  expect_length(grep("non-function|Unable to access|pointer", out$output), 0)
  expect_gte(length(grep("R session that has ended", out$output)), length(found) + 6)
})

test_that("a copy is never older than the model", {
  skip_if_no_keras()
  model <- trained()
  reason <- \(m) kerasbridge:::kept_copy(m)$reason
  expect_null(reason(model))
  train_on_batch(model, x8, x8[, 1])
  expect_match(reason(model), "train_on_batch")
  predict(model, x8, verbose = 0)
  expect_null(reason(model))
  set_weights(get_layer(model, "hidden"), get_weights(get_layer(model, "hidden")))
  expect_match(reason(model), "weights of one of its layers were set")
  keep_model(model)
  expect_null(reason(model))
  # another model with the same layers
  half <- keras_model(model$inputs, get_layer(model, "hidden")$output)
  compile(half, "sgd", "mse")
  before <- kerasbridge:::kept_copy(model)$values
  fit(half, x8, matrix(0, 8, 4), epochs = 1, verbose = 0)
  expect_null(reason(model))
  expect_false(identical(kerasbridge:::kept_copy(model)$values, before))
  freeze_weights(model)
  expect_null(reason(model))
  expect_error(
    fit(model, x8, x8[, 1], verbose = 0, callbacks = list(on_epoch_end = \(epoch, logs) stop("enough"))), "enough"
  )
  expect_match(reason(model), "did not come to an end")
})

test_that("copies have limits in size and time, and can be asked for", {
  skip_if_no_keras()
  withr::local_options(kerasbridge.keep = 0.0001)
  model <- suppressMessages(trained())
  expect_identical(kept_size(model), NA_real_)
  keep_model(model)
  expect_gt(kept_size(model), 1000)
  expect_error(keep_model("m"), "must be a model", class = "kerasbridge_error_argument")
  state <- kerasbridge:::the
  seconds <- state$keep_seconds
  on.exit(state$keep_seconds <- seconds)
  withr::local_options(kerasbridge.keep = 64)
  state$keep_seconds <- 1e9
  fit(model, x8, x8[, 1], epochs = 1, verbose = 0)
  expect_match(kerasbridge:::kept_copy(model)$reason, "many times in a short time")
})

test_that("a schema of a table travels along", {
  skip_if_no_keras()
  table <- data.frame(a = c(1, 2, 3, 4), b = c(1, 0, 1, 0), y = factor(c("u", "v", "u", "v")))
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(2, activation = "softmax")
  compile(model, "sgd", "sparse_categorical_crossentropy")
  fit(model, y ~ a + b, data = table, epochs = 1, verbose = 0)
  file <- withr::local_tempfile(fileext = ".rds")
  saveRDS(list(model = model, table = table, class = predict(model, table, type = "class", verbose = 0)), file)
  out <- run_r(c(
    lines, sprintf("r <- readRDS('%s')", file),
    "show('same', identical(predict(r$model, r$table, type = 'class', verbose = 0), r$class), levels(r$class))"
  ))
  expect_match(out$output, "^same TRUE u v", all = FALSE)
})

test_that("a fork is refused at once, whatever is used there", {
  skip_if_no_keras()
  skip_on_os("windows")
  out <- run_r(c(
    lines,
    "m <- keras_model_sequential(input_shape = 3) |> layer_dense(1)",
    "compile(m, 'sgd', 'mse'); invisible(fit(m, x, x[, 1], epochs = 1, verbose = 0))",
    "t <- as_tensor(1:3); l <- m$layers[[1]]; o <- m$optimizer; dead <- unserialize(serialize(m, NULL))",
    "uses <- list(predict = \\() predict(m, x), call = \\() m(x), dollar = \\() m$layers, layer = \\() l(x),",
    "  sum = \\() t + 1L, array = \\() as.array(t), optimizer = \\() o$learning_rate, new = \\() layer_dense(units = 1),",
    "  module = \\() keras$ops$add(1, 2), print = \\() print(m), save = \\() save_model(m, tempfile(fileext = '.keras')),",
    "  dead = \\() predict(dead, x), keep = \\() keep_model(m))",
    "job <- parallel::mcparallel(lapply(uses, function(use) {",
    "  seconds <- system.time(e <- tryCatch({ use(); NULL }, error = identity))[[3]]",
    "  paste(class(e)[[1]], seconds < 2, conditionMessage(e))",
    "}))",
    "got <- parallel::mccollect(job, wait = FALSE, timeout = 30)[[1]]",
    "for (n in names(got)) show(n, gsub('\n', ' ', got[[n]]))",
    "show('still', dim(predict(m, x, verbose = 0)))"
  ))
  expect_identical(out$status, 0L)
  expect_length(grep("kerasbridge_error_fork TRUE Keras was started in another process.*PSOCK", out$output), 13)
  expect_match(out$output, "^still 8 1", all = FALSE)
})

test_that("a model can be used by a finalizer, also when R ends", {
  skip_if_no_keras()
  out <- run_r(c(
    lines,
    "m <- keras_model_sequential(input_shape = 3) |> layer_dense(1)",
    "compile(m, 'sgd', 'mse')",
    "f <- function(e) show('final', nrow(predict(m, x, verbose = 0)))",
    "e <- new.env(); reg.finalizer(e, f); rm(e); invisible(gc())",
    "e <- new.env(); reg.finalizer(e, f, onexit = TRUE)"
  ))
  expect_identical(out$status, 0L)
  expect_identical(trimws(grep("^final", out$output, value = TRUE)), c("final 8", "final 8"))
})

test_that("the same file gives the same object on request", {
  skip_if_no_keras()
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(trained(), path)
  one <- load_model(path, cached = TRUE)
  two <- load_model(path, cached = TRUE)
  three <- load_model(path)
  set_weights(one, lapply(get_weights(one), \(w) w * 0))
  expect_identical(predict(two, x8, verbose = 0)[[1]], 0)
  expect_false(predict(three, x8, verbose = 0)[[1]] == 0)
  expect_false(predict(load_model(path, compile = FALSE, cached = TRUE), x8, verbose = 0)[[1]] == 0)
  Sys.setFileTime(path, Sys.time() + 5)
  expect_false(predict(load_model(path, cached = TRUE), x8, verbose = 0)[[1]] == 0)
})
