# What single calls from R cost: predictions of one row, and hooks of a callback at every step.
#
# Rscript bench/calls.R

library(kerasbridge)

x <- matrix(sin(1:4e4), ncol = 4)
y <- rowSums(x)
model <- keras_model_sequential(input_shape = 4) |> layer_dense(32, activation = "relu") |> layer_dense(1)
compile(model, "adam", loss = "mse")

clock <- function(expr) {
  started <- proc.time()
  force(expr)
  took <- proc.time() - started
  c(wall = took[["elapsed"]], cpu = took[["user.self"]] + took[["sys.self"]])
}
missed <- FALSE
row <- function(label, value, bar, unit) {
  missed <<- missed || value > bar
  cat(sprintf("%-44s %8.3f %s   bar %.3f%s\n", label, value, unit, bar, if (value > bar) "  MISSED" else ""))
}

warm_up(model)
one <- vapply(1:5, \(repeat_) clock(for (i in 1:50) predict(model, x[i, , drop = FALSE], verbose = 0))[["wall"]], 0)
together <- predict(model, x[1:50, ], verbose = 0)
single <- do.call(rbind, lapply(1:50, \(i) predict(model, x[i, , drop = FALSE], verbose = 0)))
stopifnot(isTRUE(all.equal(together, single, tolerance = 1e-6)))
row("50 predictions of one row", stats::median(one), 1, "s ")

# the same steps by Keras' own loop, with and without hooks of R, by turns
steps <- nrow(x) / 8
run <- \(callbacks) clock(fit(model, x, y, epochs = 1, batch_size = 8, verbose = 0, engine = "keras", callbacks = callbacks))
hook <- kerasbridge:::callback_from_r(list(on_train_batch_end = \(batch, logs) NULL), NULL)
folder <- tempfile()
dir.create(folder)
writeLines(c(
  "import time", "import keras", "",
  "class Hook(keras.callbacks.Callback):", "    def on_train_batch_end(self, batch, logs=None):", "        pass", "",
  "class Busy(keras.callbacks.Callback):", "    seconds = 0.0", "    def on_train_batch_end(self, batch, logs=None):",
  "        until = time.perf_counter() + self.seconds", "        while time.perf_counter() < until:", "            pass"
), file.path(folder, "written_in_python.py"))
written <- reticulate::import_from_path("written_in_python", folder)
python <- written$Hook()
busy <- written$Busy()
within <- \(callback) reticulate::py_to_r(reticulate::py_get_attr(callback, "__dict__"))$batch_seconds / steps
took <- list()
invisible(run(NULL))
for (i in 1:15) {
  took$without <- rbind(took$without, run(NULL))
  took$python <- rbind(took$python, run(python))
  took$r <- rbind(took$r, run(hook))
  inside <- c(if (i > 1) inside, within(hook))
  busy$seconds <- stats::median(inside)
  took$busy <- rbind(took$busy, run(busy))
}
unlink(folder, recursive = TRUE)
took <- 1000 * vapply(took, \(one) apply(one, 2, stats::median), c(wall = 0, cpu = 0)) / steps
# Keras fetches the logs of each step once anybody asks for them
cat(sprintf("a hook of Python at every step           %6.3f ms, processor time %6.3f ms\n",
            took["wall", "python"] - took["wall", "without"], took["cpu", "python"] - took["cpu", "without"]))
row("what a hook of R adds to that", took["wall", "r"] - took["wall", "python"], 0.1, "ms")
cat(sprintf("  in processor time of all threads %6.3f ms\n", took["cpu", "r"] - took["cpu", "python"]))
cat(sprintf("  the hook itself takes %6.3f ms; one of Python that computes as long adds %6.3f ms\n",
            1000 * stats::median(inside), took["wall", "busy"] - took["wall", "python"]))

quit(status = as.integer(missed))
