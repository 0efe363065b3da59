# compile(): how a model learns.

#' Say how a model learns
#'
#' Sets the loss that training makes small, the optimizer that does so, and the metrics that are shown beside it.
#' Call it before [fit()][fit.kerasbridge_model], and again after layers were frozen or unfrozen: what is trained is
#' settled here. The weights stay; the optimizer starts anew.
#'
#' A loss of classes goes with how they are written: `"sparse_categorical_crossentropy"` for class numbers or a
#' factor, `"categorical_crossentropy"` for columns of 0 and 1 ([to_categorical()]), `"binary_crossentropy"` for 0
#' and 1.
#'
#' @param object A model.
#' @param optimizer Name such as `"adam"`, or an object from an `optimizer_*()` function.
#' @param loss Name such as `"mse"`, an object or function from a `loss_*()` function, an R function
#'   of `y_true` and `y_pred`, or a (named) list of these, one for each output.
#' @param metrics Names, `metric_*()` objects or R functions; for several outputs a (named) list.
#' @param loss_weights Weights of the losses, a vector or named list, for several outputs.
#' @param weighted_metrics Metrics that sample weights and class weights apply to.
#' @param run_eagerly `TRUE` runs every step in Python, operation by operation: slow, for looking
#'   into a model.
#' @param steps_per_execution Steps that Keras runs in one call; callbacks of batches are called that much less often.
#' @param jit_compile `TRUE`, `FALSE` or `"auto"`: compile the step with XLA.
#' @param auto_scale_loss Scale the loss for `"mixed_float16"`.
#' @param ... Older arguments that have no effect any more are refused by name.
#' @return The model, changed in place, invisibly.
#' @seealso [optimizer_adam()], [loss_mean_squared_error()], [metric_mean_absolute_error()] and their kin;
#'   [fit()][fit.kerasbridge_model].
#' @aliases compile
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 4) |> layer_dense(1)
#' model |> compile(optimizer = optimizer_adam(0.01), loss = "mse", metrics = "mae")
#' @export
compile.kerasbridge_model <- function(object, optimizer = "rmsprop", loss = NULL, metrics = NULL, ...,
                                      loss_weights = NULL, weighted_metrics = NULL, run_eagerly = FALSE,
                                      steps_per_execution = 1L, jit_compile = "auto", auto_scale_loss = TRUE) {
  frame <- rlang::current_env()
  settle_dots(list(...), names(formals()), frame)
  check_alive(object, "object", frame)
  types <- c(
    optimizer = "callable", loss = "callable", loss_weights = "any", run_eagerly = "bool", steps_per_execution = "num_or_int",
    jit_compile = "any", auto_scale_loss = "bool"
  )
  args <- supplied(frame, types)
  args$metrics <- as_metrics_arg(metrics, "metrics", frame)
  args$weighted_metrics <- as_metrics_arg(weighted_metrics, "weighted_metrics", frame)
  if (!is.null(loss_weights)) {
    args$loss_weights <- as.list(loss_weights)
  }
  do.call(bridge_do, c(list("compile", model = object), args, list(call = frame)))
  keep_fresh(object)
}

# A list of metrics, also when one was given alone; a list of lists for several outputs.
as_metrics_arg <- function(x, arg, call) {
  if (is.null(x)) {
    return(NULL)
  }
  if (is_python(x) || is.function(x)) {
    x <- list(x)
  }
  items <- Map(\(v, i) {
    if (is.null(v)) {
      return(NULL)
    }
    if (is.list(v) && !is_python(v) || is.character(v) && length(v) > 1) {
      return(as_metrics_arg(v, arg, call))
    }
    if (is.function(v) && !is_python(v) && !is_wrapper(v)) {
      name <- attr(v, "py_function_name") %||% (if (nzchar(i)) i else "r_metric")
      return(tagged(v, "function", name = name, described = "named"))
    }
    as_callable_arg(v, arg, call)
  }, as.list(x), rlang::names2(x))
  outputs <- !is.null(names(x)) && all(nzchar(names(x))) && !any(vapply(x, \(v) is.function(v) && !is_python(v), NA))
  tagged(if (outputs) items else unname(items), if (outputs) "dict" else "list")
}
