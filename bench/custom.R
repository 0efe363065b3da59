# A layer, a loss and a metric written in R with op_*() against the same written in Python, in the same
# model, trained by turns. What R wrote is traced once: each step runs the same graph.
#
# Rscript bench/custom.R [turns]

library(kerasbridge)

turns <- as.integer(c(commandArgs(trailingOnly = TRUE), 9)[[1]])
bar <- 0.95

folder <- tempfile()
dir.create(folder)
writeLines(c(
  "import keras", "from keras import ops", "",
  "class Gate(keras.layers.Layer):",
  "    def __init__(self, units, **kwargs):", "        super().__init__(**kwargs)", "        self.units = units",
  "    def build(self, shape):",
  "        self.w = self.add_weight(shape=(shape[-1], self.units))",
  "        self.v = self.add_weight(shape=(shape[-1], self.units))",
  "    def call(self, x):", "        return ops.tanh(ops.matmul(x, self.w)) * ops.sigmoid(ops.matmul(x, self.v))", "",
  "class Smooth(keras.losses.Loss):",
  "    def call(self, y_true, y_pred):", "        return ops.mean(ops.log(ops.cosh(y_true - y_pred)), -1)", "",
  "class Largest(keras.metrics.Metric):",
  "    def __init__(self, name='largest', **kwargs):",
  "        super().__init__(name=name, **kwargs)",
  "        self.top = self.add_variable(shape=(), initializer='zeros', name='top')",
  "    def update_state(self, y_true, y_pred, sample_weight=None):",
  "        self.top.assign(ops.maximum(self.top, ops.max(ops.abs(y_true - y_pred))))",
  "    def result(self):", "        return ops.convert_to_tensor(self.top)",
  "    def reset_state(self):", "        self.top.assign(0)"
), file.path(folder, "written_in_python.py"))

layer_gate <- Layer(
  "Gate",
  initialize = function(units, ...) {
    super$initialize(...)
    self$units <- units
  },
  build = function(input_shape) {
    self$w <- self$add_weight(shape = c(input_shape[[2]], self$units))
    self$v <- self$add_weight(shape = c(input_shape[[2]], self$units))
  },
  call = function(inputs) op_tanh(op_matmul(inputs, self$w)) * op_sigmoid(op_matmul(inputs, self$v))
)
loss_smooth <- Loss("Smooth", call = function(y_true, y_pred) op_mean(op_log(op_cosh(y_true - y_pred)), -1))
metric_largest <- Metric(
  "Largest",
  initialize = function(name = "largest", ...) {
    super$initialize(name = name, ...)
    self$top <- self$add_variable(shape = c(), initializer = "zeros", name = "top")
  },
  update_state = function(y_true, y_pred, sample_weight = NULL) {
    self$top$assign(op_maximum(self$top, op_max(op_abs(y_true - y_pred))))
  },
  result = function() op_convert_to_tensor(self$top),
  reset_state = function() self$top$assign(0)
)

rows <- 40000
x <- matrix(sin(seq_len(rows * 16)), ncol = 16)
y <- matrix(rowSums(x[, 1:4]) * x[, 5])
start <- keras$ops # Python starts here
python <- reticulate::import_from_path("written_in_python", folder)

make <- function(layer, loss, metric) {
  set_random_seed(1)
  model <- keras_model_sequential(input_shape = 16)
  model$add(layer)
  model |> layer_dense(1)
  compile(model, optimizer_adam(0.001), loss = loss, metrics = list(metric))
}
models <- list(
  r = make(layer_gate(units = 64), loss_smooth(), metric_largest()),
  python = make(python$Gate(64L), python$Smooth(), python$Largest())
)
one <- function(which, engine, batch_size) {
  started <- proc.time()[["elapsed"]]
  # the engine's own loop is so fast that one epoch would measure the machine's other work
  epochs <- if (engine == "auto") 10 else if (batch_size > 100) 2 else 1
  history <- fit(models[[which]], x, y, epochs = epochs, batch_size = batch_size, verbose = 0, shuffle = FALSE, engine = engine)
  list(seconds = proc.time()[["elapsed"]] - started, loss = history$metrics$loss)
}

missed <- FALSE
for (engine in c("auto", "keras")) {
  for (batch_size in c(32, 256)) {
    first <- lapply(c(r = "r", python = "python"), one, engine = engine, batch_size = batch_size) # traces
    stopifnot(isTRUE(all.equal(first$r$loss, first$python$loss, tolerance = 1e-4)))
    seconds <- list(r = numeric(), python = numeric())
    for (turn in seq_len(turns)) {
      for (which in if (turn %% 2) c("r", "python") else c("python", "r")) {
        seconds[[which]][[turn]] <- one(which, engine, batch_size)$seconds
      }
    }
    ratio <- stats::median(seconds$python) / stats::median(seconds$r)
    fastest <- min(seconds$python) / min(seconds$r) # what else the machine does only ever slows a run down
    short <- max(ratio, fastest) < bar
    missed <- missed || short
    cat(sprintf(
      "engine %-5s batch %3d   R %.2f s   Python %.2f s   speed of R's %.2f x Python's, fastest runs %.2f x   bar %.2f%s\n",
      engine, batch_size, stats::median(seconds$r), stats::median(seconds$python), ratio, fastest, bar, if (short) "  MISSED" else ""
    ))
  }
}
unlink(folder, recursive = TRUE)
quit(status = as.integer(missed))
