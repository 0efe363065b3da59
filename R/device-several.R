# One model on several devices.

#' Train on several graphics cards
#'
#' What `expr` makes is for several devices: every device holds the weights and computes a part of each batch, and the
#' result is that of one device with the same batches. Make and compile the model inside; [fit()][fit.kerasbridge_model]
#' and the others take it as usual, with arrays, data frames, `source_*()` and R functions that make batches. `batch_size`
#' is that of all devices together, so raise it with their number.
#'
#' With TensorFlow this is `tf.distribute.MirroredStrategy`, and training may come after the block. Batches are cut as
#' evenly as rows go; a remainder counts by its rows. With JAX it is Keras' own distribution API, and training belongs inside
#' of the block. There a batch whose rows aren't a multiple of the number of devices, such as the last one of an epoch, is
#' computed whole on each of them: the result is the same, and that step is no faster than on one. Data that may have such
#' a batch go whole to each device, so a `batch_size` that is a multiple, and rows that are one, are best. PyTorch isn't
#' supported. With TensorFlow `layer_batch_normalization()` takes the statistics of a device's part, unless it is made with
#' `synchronized = TRUE`. Dropout draws on each device.
#'
#' To try it out without cards, call [virtual_devices()] first in a session.
#'
#' @param devices `"all"` (all cards; virtual processors where there is no card), a number of devices, or names as of
#'   [gpu_devices()], such as `c("gpu:0", "gpu:1")`.
#' @param expr Code that makes and compiles a model, and may train it.
#' @param layout For models too large for one device (JAX only): a named list. A name is a pattern for the path of a
#'   variable such as `".*dense.*kernel"`; its value says for each axis whether it is cut over the devices, `list(NULL,
#'   "model")`. Other variables are on every device.
#' @return The value of `expr`.
#' @seealso [multi_gpu_model()], [train_on_cluster()] for several machines, [distribution_set()] for Keras' own functions.
#' @examples
#' \dontrun{
#' virtual_devices(2)
#' model <- with_devices("all", {
#'   model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#'   compile(model, optimizer = "adam", loss = "mse")
#' })
#' fit(model, matrix(runif(200), 100), runif(100), batch_size = 64)
#' }
#' @export
with_devices <- function(devices = "all", expr, layout = NULL) {
  frame <- rlang::current_env()
  if (!identical(devices, "all")) {
    devices <- if (is.numeric(devices)) as_count(devices, "devices", frame) else as.list(as_strings_arg(devices, "devices", frame))
  }
  if (!is.null(layout)) {
    if (!is.list(layout) || is.null(names(layout)) || any(!nzchar(names(layout)))) {
      abort_argument("layout", "must be a named list such as `list(\".*kernel\" = list(NULL, \"model\"))`.", call = frame)
    }
    layout <- tagged(lapply(layout, \(axes) tagged(lapply(unname(as.list(axes)), \(a) if (!is.null(a) && !is.na(a)) a), "list")), "dict")
  }
  scope <- bridge_do("several_devices", devices = devices, layout = layout, call = frame)
  within_scope(scope, expr)
}

#' Copy a model to several graphics cards
#'
#' An older way to train on several cards; [with_devices()] is today's. The copy computes on `gpus` devices; when it has
#' been trained with [fit()][fit.kerasbridge_model], the weights go back to `model`, which is the one to save. Without
#' enough cards, [virtual_devices()] can stand in for them.
#'
#' @param model A model, built. It need not be compiled; the copy has to be.
#' @param gpus Number of graphics cards, or their positions from 1; `NULL` for all.
#' @param cpu_merge,cpu_relocation Not used any more.
#' @return The copy; the model itself if one device is asked for.
#' @examples
#' \dontrun{
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' parallel <- multi_gpu_model(model, gpus = 8)
#' compile(parallel, optimizer = "rmsprop", loss = "mse")
#' fit(parallel, matrix(runif(2000), 1000), runif(1000), batch_size = 256)
#' save_model(model, "model.keras")
#' }
#' @export
multi_gpu_model <- function(model, gpus = NULL, cpu_merge = TRUE, cpu_relocation = FALSE) {
  frame <- rlang::current_env()
  check_model(model, frame, "model")
  if (!is.null(gpus) && (!is_whole(gpus) || any(gpus < 0))) {
    abort_argument("gpus", paste0("must be a whole number, or positions from 1, not ", describe_value(gpus), "."), call = frame)
  }
  bridge_do("copy_on_devices", model = model, gpus = if (!is.null(gpus)) as.list(as.integer(gpus)), call = frame)
}
