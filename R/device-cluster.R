# train_on_cluster(): one model trained by several machines, or by several processes of this one.

#' Train on several machines
#'
#' Every worker holds the weights and computes its part of each batch; the result is that of one device with the same
#' batches, to 1e-5. The work is done by JAX's distributed runtime under Keras' distribution API: workers are Python processes
#' with the backend JAX, whatever backend runs here. They are started and watched from here. When one dies, all are
#' started again from the checkpoint of the last finished epoch, and when this session ends, they end too.
#'
#' JAX is an extra: `install_kerasbridge(extra = "cluster")` brings it beside the backend, or
#' `install_kerasbridge(backend = "jax")` makes an environment of its own, whose Python is then `python`.
#'
#' A cluster needs: machines that `ssh` reaches from here without a password, this package's engine and `python` at the
#' same paths on all of them, and a `folder` that all of them share. The first machine coordinates: the others reach it
#' by the name given here, at a port from 20000 to 32000. The data of a `source_*()` are read by the workers, at the same
#' paths; arrays are written into the folder.
#'
#' @param model_fn A function without arguments that makes and compiles a model, or a compiled model. It is called here;
#'   the model travels as a file, so what a file can hold can be trained.
#' @param data `list(x, y)` or `list(x, y, weights)`, or a `source_*()` that reads files.
#' @param workers Number of processes on this machine, or names of machines as `ssh` knows them, such as
#'   `c("node1", "me@node2")`. A machine that is named twice has two workers, which share its cards. All reach the first
#'   by its name and, without cards, each other at ports that the system chooses: no firewall may stand between them.
#' @param epochs,batch_size,validation_data,shuffle As in [fit()][fit.kerasbridge_model]; the batch is that of all workers
#'   together, and a multiple of the number of devices. A shorter last batch is computed whole on each device where it
#'   can't be given to all alike.
#' @param seed Of the shuffling, and of layers that draw.
#' @param folder Folder for the task, checkpoints and logs; `NULL` for a temporary one, which other machines can't read.
#'   In one that holds a checkpoint the training goes on from there; the checkpoint of another model is refused.
#' @param restarts How often the workers are started again after one died. The same error twice at the same epoch isn't
#'   tried again.
#' @param timeout Seconds without a step of training after which the workers are taken to hang, and started again.
#' @param python Python of the workers; `NULL` for the one in use.
#' @param verbose As in [fit()][fit.kerasbridge_model].
#' @return A list: `model`, the trained model, and `history`.
#' @seealso [with_devices()] for several cards of one machine.
#' @examples
#' \dontrun{
#' trained <- train_on_cluster(
#'   \() {
#'     model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#'     compile(model, optimizer = "adam", loss = "mse")
#'   },
#'   list(matrix(runif(200), 100), runif(100)),
#'   workers = 2, epochs = 3, batch_size = 50
#' )
#' # train_on_cluster(model_fn, source_parquet("/shared/part-*.parquet", y = "price"),
#' #   workers = c("node1", "node2"), folder = "/shared/run1")
#' }
#' @export
train_on_cluster <- function(model_fn, data, workers = 2, epochs = 10, batch_size = NULL, validation_data = NULL,
                             shuffle = TRUE, seed = 0, folder = NULL, restarts = 3, timeout = 600, python = NULL,
                             verbose = getOption("kerasbridge.verbose", "auto")) {
  frame <- rlang::current_env()
  model <- if (is.function(model_fn) && !is_python(model_fn)) model_fn() else model_fn
  check_model(model, frame, "model_fn")
  check_compiled(model, frame)
  found <- bridge_do(
    "train_on_cluster",
    model = model, data = cluster_data(data, "data", frame), workers = if (is.character(workers)) as.list(workers) else as_count(workers, "workers", frame),
    epochs = as_count(epochs, "epochs", frame), batch_size = as_count(batch_size, "batch_size", frame),
    validation_data = if (!is.null(validation_data)) cluster_data(validation_data, "validation_data", frame),
    shuffle = as_bool_arg(shuffle, "shuffle", frame), seed = as_count(seed, "seed", frame, least = 0),
    folder = if (!is.null(folder)) path.expand(as_string_arg(folder, "folder", frame)), restarts = as_count(restarts, "restarts", frame, least = 0),
    timeout = as_num_arg(timeout, "timeout", frame), python = if (!is.null(python)) path.expand(as_string_arg(python, "python", frame)),
    verbose = as_verbose(verbose, frame), output = r_output(), call = frame
  )
  list(model = found$model, history = new_history(found$history, frame))
}

# Arrays as a tuple; a source as it is.
cluster_data <- function(data, arg, call) {
  if (is_python(data)) {
    return(data)
  }
  if (!is.list(data) || is.data.frame(data) || !length(data) %in% 1:3) {
    abort_argument(arg, "must be `list(x, y)` or a source.", call = call)
  }
  tagged(unname(Map(\(part, name) as_data_arg(part, name, call), data, c("x", "y", "sample_weight")[seq_along(data)])), "tuple")
}
