# A class at the top level of a package: `Layer()` describes it, Python starts when it is first used. In
# saved files it is `gatedunits>Gated`, and loads where this package is loaded.

layer_gated <- Layer(
  "Gated",
  initialize = function(units, ...) {
    super$initialize(...)
    self$units <- units
  },
  build = function(input_shape) {
    size <- c(input_shape[[length(input_shape)]], self$units)
    self$signal <- self$add_weight(shape = size, name = "signal")
    self$gate <- self$add_weight(shape = size, name = "gate")
  },
  call = function(inputs) op_tanh(op_matmul(inputs, self$signal)) * op_sigmoid(op_matmul(inputs, self$gate)),
  compute_output_shape = function(input_shape) c(input_shape[-length(input_shape)], self$units)
)

# A compiled model for `columns` columns.
gated_regression <- function(columns, units = 8) {
  model <- keras_model_sequential(input_shape = columns) |>
    layer_gated(units = units) |>
    layer_dense(units = 1)
  compile(model, optimizer = "adam", loss = "mse")
}
