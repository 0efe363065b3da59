# What the copies beside models cost (see ?keep_model): fits with and without them, by turns.
# `Rscript bench/keeping.R` with the package installed.

library(kerasbridge)

rows <- 20000L
x <- matrix(stats::rnorm(rows * 10), rows)
y <- x[, 1]

measure <- function(label, units, epochs, repeats = 7) {
  model <- keras_model_sequential(input_shape = 10) |>
    layer_dense(units, activation = "relu") |>
    layer_dense(units) |>
    layer_dense(1)
  compile(model, optimizer = "adam", loss = "mse")
  run <- function(keep) {
    options(kerasbridge.keep = keep)
    system.time(fit(model, x, y, epochs = epochs, verbose = 0))[["elapsed"]]
  }
  run(64)
  run(64)
  with <- without <- numeric()
  for (i in seq_len(repeats)) {
    without <- c(without, run(FALSE))
    with <- c(with, run(64))
  }
  options(kerasbridge.keep = 64)
  copy <- stats::median(replicate(9, system.time(keep_model(model))[["elapsed"]]))
  cat(sprintf(
    "| %s | %.3f s | %.3f s | %.3f | %.4f s | %s |\n", label, stats::median(without), stats::median(with),
    stats::median(with) / stats::median(without), copy, format(kept_size(model), big.mark = ",")
  ))
}

cat("| fit | without | with | ratio | one copy | bytes |\n|---|---|---|---|---|---|\n")
measure("64 units, 1 epoch", 64, 1)
measure("64 units, 20 epochs", 64, 20)
measure("1024 units, 1 epoch", 1024, 1)
