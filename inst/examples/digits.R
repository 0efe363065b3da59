# The main job, start to end: real handwritten digits, a small convolutional network, a file that
# opens in R and in Python.
#
#   Rscript digits.R [folder for pictures and the model]

library(kerasbridge)

out <- commandArgs(trailingOnly = TRUE)
out <- if (length(out)) out[[1]] else "demo-output"
dir.create(out, showWarnings = FALSE, recursive = TRUE)
say <- function(...) cat("\n## ", ..., "\n", sep = "")

say("Load: 1,797 digits of 8 x 8 points; a third is held out")
digits <- dataset_digits(test_split = 1 / 3, seed = 1)
str(digits$train)

say("Look: the first image, and how many there are of each digit")
shades <- c(" ", ".", ":", "+", "#", "@")
cat(apply(digits$train$x[1, , ], 1, \(row) paste(shades[1 + round(row / 16 * 5)], collapse = " ")), sep = "\n")
print(table(label = digits$train$y))

# Grey values from 0 to 1, and an axis for the one colour channel
as_images <- function(x) array_reshape(x / 16, c(dim(x), 1))
x_train <- as_images(digits$train$x)
x_test <- as_images(digits$test$x)

say("Build: layers in a row, added with pipes")
set_random_seed(42)
model <- keras_model_sequential(input_shape = c(8, 8, 1)) |>
  layer_conv_2d(filters = 32, kernel_size = 3, padding = "same", activation = "relu") |>
  layer_conv_2d(filters = 64, kernel_size = 3, activation = "relu") |>
  layer_max_pooling_2d(pool_size = 2) |>
  layer_dropout(0.25) |>
  layer_flatten() |>
  layer_dense(64, activation = "relu") |>
  layer_dropout(0.4) |>
  layer_dense(10, activation = "softmax")
print(model)

say("Train: the last fifth validates; training stops when that no longer improves")
model |> compile(
  optimizer = optimizer_adam(learning_rate = 0.002),
  loss = "sparse_categorical_crossentropy",
  metrics = "accuracy"
)
history <- model |> fit(
  x_train, digits$train$y,
  epochs = 40, batch_size = 32, validation_split = 0.2,
  callbacks = callback_early_stopping(monitor = "val_loss", patience = 6, restore_best_weights = TRUE)
)
print(history)

say("Evaluate: on the third that the model has never seen")
score <- model |> evaluate(x_test, digits$test$y, verbose = 0)
cat(sprintf("loss %.4f, accuracy %.4f\n", score$loss, score$accuracy))
probability <- predict(model, x_test, verbose = 0)
predicted <- max.col(probability, ties.method = "first") - 1L
print(table(truth = digits$test$y, predicted = predicted))

say("Draw: the history, and a grid of digits with what was predicted")
png(file.path(out, "history.png"), width = 900, height = 700, res = 130)
print(plot(history))
invisible(dev.off())
png(file.path(out, "digits.png"), width = 1000, height = 800, res = 130)
wrong <- which(predicted != digits$test$y)
first <- c(utils::head(wrong, 8), setdiff(seq_along(predicted), wrong))[1:40]
plot_images(16 - digits$test$x[first, , ], digits$test$y[first], predicted[first], columns = 8)
invisible(dev.off())
cat("written:", file.path(out, c("history.png", "digits.png")), sep = "\n  ")

say("Save, then open the file in a fresh R process and in a plain Python process")
file <- file.path(out, "digits.keras")
save_model(model, file, overwrite = TRUE)
sample <- file.path(out, "sample.csv")
write.table(array_reshape(x_test[1:20, , , , drop = FALSE], c(20, 64)), sample, sep = ",", row.names = FALSE, col.names = FALSE)

in_r <- tempfile(fileext = ".R")
writeLines(c(
  "library(kerasbridge)",
  "args <- commandArgs(trailingOnly = TRUE)",
  "x <- array_reshape(as.matrix(read.csv(args[[2]], header = FALSE)), c(20, 8, 8, 1))",
  "p <- predict(load_model(args[[1]]), x, verbose = 0)",
  "write.table(format(p, digits = 9), args[[3]], sep = \",\", quote = FALSE, row.names = FALSE, col.names = FALSE)"
), in_r)
in_python <- tempfile(fileext = ".py")
writeLines(c(
  "import os, sys",
  "os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'",
  "import keras, numpy",
  "x = numpy.loadtxt(sys.argv[2], delimiter=',', dtype='float32').reshape(20, 8, 8, 1)",
  "p = keras.saving.load_model(sys.argv[1]).predict(x, verbose=0)",
  "numpy.savetxt(sys.argv[3], p, delimiter=',', fmt='%.9g')"
), in_python)
run <- function(program, script, ...) {
  answer <- tempfile(fileext = ".csv")
  log <- tempfile()
  # R on Debian sets LD_LIBRARY_PATH; another program must not see it
  status <- system2(program, shQuote(c(script, file, sample, answer)), stdout = log, stderr = log, ...)
  if (status != 0) {
    stop(program, " failed:\n", paste(readLines(log), collapse = "\n"))
  }
  unname(as.matrix(read.csv(answer, header = FALSE)))
}
r <- run(file.path(R.home("bin"), "Rscript"), in_r)
python <- run(kerasbridge_info()$python_path, in_python, env = "LD_LIBRARY_PATH=")
here <- probability[1:20, ]
difference <- c(R = max(abs(r - here)), Python = max(abs(python - here)))
cat(sprintf("largest difference of a probability, fresh %s process: %.1e\n", names(difference), difference), sep = "")
stopifnot("the test accuracy is below 0.97" = score$accuracy >= 0.97, "the loaded models differ" = all(difference < 1e-5))
cat("\nDone: the same model in R and in Python, accuracy ", sprintf("%.4f", score$accuracy), ".\n", sep = "")
