# The whole way on JAX and on PyTorch, each in a process of its own, where the environment has it.

tour <- '
library(kerasbridge)
use_backend("%s")
stopifnot(identical(kerasbridge_info()$backend, "%s"))
step <- \\(name, code) cat(name, ": ", tryCatch({ code; "ok" }, error = conditionMessage), "\\n", sep = "")
same <- \\(one, other) stopifnot(isTRUE(all.equal(one, other, tolerance = 1e-4)))
set_random_seed(1)
x <- matrix(sin(1:400), 100)
y <- rowSums(x)
model <- keras_model_sequential(input_shape = 4) |>
  layer_dense(8, activation = "relu") |> layer_batch_normalization() |> layer_dense(1)
compile(model, "adam", loss = "mse", metrics = "mae")
seen <- steps <- 0
hooks <- list(on_epoch_end = \\(epoch, logs) seen <<- seen + epoch, on_train_batch_end = \\(batch, logs) steps <<- steps + 1)
step("fit", {
  h <- fit(model, x, y, epochs = 2, validation_split = 0.2, callbacks = hooks, verbose = 0)
  stopifnot(seen == 3, steps == 6, length(h$metrics$val_mae) == 2, !anyNA(h$metrics$val_mae))
})
predicted <- predict(model, x, verbose = 0)
step("evaluate", same(evaluate(model, x, y, verbose = 0)[["loss"]], mean((predicted - y)^2)))
step("predict", stopifnot(identical(dim(predicted), c(100L, 1L))))
for (ending in c(".keras", ".h5")) {
  file <- tempfile(fileext = ending)
  step(ending, {
    save_model(model, file)
    same(predict(load_model(file), x, verbose = 0), predicted)
  })
}
step("weights", {
  file <- tempfile(fileext = ".safetensors")
  save_model_weights(model, file)
  fit(model, x, y, epochs = 1, verbose = 0)
  load_model_weights(model, file)
  same(predict(model, x, verbose = 0), predicted)
})
calls <- 0
batches <- \\() {
  calls <<- calls + 1
  list(x[1:10 + 10 * (calls %%%% 10), ], y[1:10 + 10 * (calls %%%% 10)])
}
step("generator", {
  h <- fit(model, batches, steps_per_epoch = 3, epochs = 2, verbose = 0)
  stopifnot(calls == 6, length(h$metrics$loss) == 2)
  stopifnot(is.finite(evaluate(model, batches, steps = 2, verbose = 0)[["loss"]]))
  stopifnot(nrow(predict(model, \\() x[1:10, ], steps = 3, verbose = 0)) == 30)
})
step("dataset", {
  rows <- dataset_from_function(5, \\(i) list(x[1:20 + (i - 1) * 20, ], y[1:20 + (i - 1) * 20]))
  stopifnot(length(fit(model, rows, epochs = 2, verbose = 0)$metrics$loss) == 2)
})
step("error of a hook", {
  told <- tryCatch(fit(model, x, y, verbose = 0, callbacks = list(on_epoch_end = \\(epoch, logs) stop("mine"))), error = conditionMessage)
  stopifnot(grepl("mine", told))
})
step("error of a generator", {
  told <- tryCatch(fit(model, \\() stop("boom"), steps_per_epoch = 2, verbose = 0), error = conditionMessage)
  stopifnot(grepl("boom", told))
})
step("factor", {
  classes <- keras_model_sequential(input_shape = 4) |> layer_dense(2, activation = "softmax")
  compile(classes, "adam", loss = "sparse_categorical_crossentropy")
  fit(classes, x, factor(ifelse(y > 0, "up", "down")), epochs = 1, verbose = 0)
  stopifnot(identical(levels(predict(classes, x, type = "class", verbose = 0)), c("down", "up")))
})
step("csv", {
  file <- tempfile(fileext = ".csv")
  utils::write.csv(cbind(as.data.frame(x), y = y), file, row.names = FALSE)
  rows <- source_csv(file, y = "y")
  fit(model, rows, epochs = 1, verbose = 0)
  same(predict(model, rows, verbose = 0), predict(model, x, verbose = 0))
})
step("written in R", {
  double <- Layer("Double", call = \\(inputs) inputs * 2)
  own <- keras_model_sequential(input_shape = 4) |> layer_dense(3)
  own$add(double())
  compile(own, "sgd", loss = \\(truth, guess) op_mean((truth - guess)^2))
  fit(own, x, cbind(y, y, y), epochs = 1, verbose = 0)
  file <- tempfile(fileext = ".keras")
  save_model(own, file)
  same(predict(load_model(file, compile = FALSE), x, verbose = 0), predict(own, x, verbose = 0))
})
told <- \\(code) tryCatch(code, error = conditionMessage)
step("says what needs TensorFlow", {
  stopifnot(grepl("TensorFlow", told(export_savedmodel(model, tempfile()))))
  if (!reticulate::py_module_available("tensorflow")) {
    stopifnot(
      grepl("`tf` needs TensorFlow, which is not installed", told(tf$constant(1))),
      grepl("TensorFlow", told(layer_text_vectorization()))
    )
  }
})
'

tour_steps <- c(
  "fit", "evaluate", "predict", ".keras", ".h5", "weights", "generator", "dataset", "error of a hook",
  "error of a generator", "factor", "csv", "written in R", "says what needs TensorFlow"
)

for (backend in c("jax", "torch")) {
  test_that(paste("R trains, predicts, saves and pulls batches on", backend), {
    skip_if_no_keras()
    there <- run_python(sprintf("import importlib.util; print(importlib.util.find_spec('%s') is not None)", backend))
    skip_if(!identical(utils::tail(there$output, 1), "True"), paste(backend, "is not installed"))
    done <- run_r(sprintf(tour, backend, backend), timeout = 300)
    expect_equal(grep(": ok$", done$output, value = TRUE), paste0(tour_steps, ": ok"), info = paste(done$output, collapse = "\n"))
    expect_equal(done$status, 0)
  })
}
