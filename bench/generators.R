# How much of an R generator's time is hidden behind the training step.
#
# The step is a small model whose `train_step` also waits, in TensorFlow's C++ code, as a step on a
# graphics card would; the generator waits in R. Neither takes processor time from the other, so the
# figures hold on a busy machine too. `Rscript bench/generators.R [repeats]`; medians.

suppressMessages(library(kerasbridge))
options(kerasbridge.verbose = 0)
repeats <- as.integer(c(commandArgs(TRUE), 5)[[1]])

invisible(kerasbridge_info())  # starts the Python of this package
reticulate::py_run_string("
import keras, tensorflow as tf

def waiting_model(seconds):
    class Waiting(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)
            endless = tf.data.Dataset.range(1 << 40)
            slow = tf.raw_ops.SleepDataset(
                input_dataset=tf.data.experimental.to_variant(endless),
                sleep_microseconds=tf.constant(int(seconds * 1e6), tf.int64),
                output_types=[tf.int64], output_shapes=[tf.TensorShape([])])
            slow = tf.data.experimental.from_variant(slow, endless.element_spec)
            options = tf.data.Options()
            options.experimental_optimization.inject_prefetch = False
            self.waits = iter(slow.with_options(options))

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            waited = tf.cast(next(self.waits), tf.float32) * 0.0
            x, y = data[:2]
            return super().train_step((x + waited, y))

    model = Waiting() if seconds else keras.Sequential([keras.layers.Dense(1)])
    model.compile('sgd', 'mse')
    return model
")
model_of <- function(ms) reticulate::py$waiting_model(ms / 1000)

x <- matrix(runif(320), 32)
y <- runif(32)
generator <- function(ms) {
  force(ms)
  function() {
    if (ms) Sys.sleep(ms / 1000)
    list(x, y)
  }
}
per_batch <- function(expr, n) {
  started <- proc.time()[[3]]
  force(expr)
  (proc.time()[[3]] - started) / n * 1000
}

cat(sprintf("%-28s %8s %8s %8s %7s\n", "wait of step, of generator", "step", "R", "both", "ratio"))
for (waits in list(c(5, 5), c(20, 20), c(20, 5), c(5, 20))) {
  n <- ceiling(2000 / max(waits))
  model <- model_of(waits[[1]])
  invisible(fit(model, generator(0), steps_per_epoch = 3, epochs = 1))
  found <- replicate(repeats, {
    alone <- generator(waits[[2]])
    c(
      step = per_batch(fit(model, generator(0), steps_per_epoch = n, epochs = 1), n),
      r = per_batch(for (i in seq_len(n)) alone(), n),
      both = per_batch(fit(model, generator(waits[[2]]), steps_per_epoch = n, epochs = 1), n)
    )
  })
  m <- apply(found, 1, stats::median)
  cat(sprintf("%-28s %5.1f ms %5.1f ms %5.1f ms %7.2f\n", sprintf("%d ms, %d ms", waits[[1]], waits[[2]]),
              m[["step"]], m[["r"]], m[["both"]], m[["both"]] / max(m[["step"]], m[["r"]])))
}
model <- model_of(0)
invisible(fit(model, generator(0), steps_per_epoch = 3, epochs = 1))
cost <- replicate(repeats, per_batch(fit(model, generator(0), steps_per_epoch = 500, epochs = 1), 500))
cat(sprintf("a batch in all, no waits (32 x 10, one dense layer): %.2f ms\n", stats::median(cost)))
