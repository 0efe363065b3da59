# Backend, session and device switches under the names R users know.

#' Choose the backend
#'
#' Keras runs on TensorFlow, JAX or PyTorch, and decides once, when it starts. Say so in the first
#' lines of a script, before anything else of this package is used.
#'
#' What needs TensorFlow, and says so on the others: layers of text and hashing (they need the package beside another
#' backend, and prepare data ahead of the model there), text in [feature_space()], `tf.data`, SavedModel folders and checkpoints of
#' TensorFlow, and the compiled loops of [fit()][fit.kerasbridge_model] in whose place Keras' own run. On JAX
#' layers with `stateful = TRUE` and models with their own `train_step(data)` are refused, and numbers have 32
#' bits. `vignette("devices")` has the list.
#'
#' `use_implementation()` chose between two Python packages in older scripts; there is one today, and
#' `"keras"` and `"tensorflow"` are both accepted for it.
#'
#' @param backend `"tensorflow"`, `"jax"`, `"torch"` or `"openvino"`, which predicts and
#'   evaluates with models that were trained on another backend (`pip install openvino`), in 16 bits where the
#'   processor can.
#' @param implementation `"keras"` or `"tensorflow"`.
#' @return The name, invisibly.
#' @seealso [keras_settings()] for what decides it, and why.
#' @examples
#' \dontrun{
#' library(kerasbridge)
#' use_backend("jax")
#' }
#' @export
use_backend <- function(backend) {
  frame <- rlang::current_env()
  if (missing(backend)) {
    abort_argument("backend", "is missing.", "For instance `use_backend(\"jax\")`.", call = frame)
  }
  backend <- as_string_arg(backend, "backend", frame)
  if (the$started) {
    if (identical(tolower(backend), the$backend)) {
      return(invisible(the$backend))
    }
    check_backend_name(backend, frame)
    abort_kind(
      "unsupported", paste0("Keras already runs on ", the$backend, "; it can't change to ", backend, " in this session."),
      i = paste0("Restart R and put this line first: `kerasbridge::use_backend(\"", backend, "\")`"),
      argument = "backend", call = frame
    )
  }
  backend <- check_backend_name(backend, frame)
  Sys.setenv(KERAS_BACKEND = backend)
  the$backend_by <- "use_backend()"
  set_python_variable("KERAS_BACKEND", backend)
  invisible(backend)
}

#' @rdname use_backend
#' @export
config_set_backend <- function(backend) use_backend(backend)

#' @rdname use_backend
#' @export
use_implementation <- function(implementation = c("keras", "tensorflow")) {
  frame <- rlang::current_env()
  implementation <- implementation[[1]]
  if (!implementation %in% c("keras", "tensorflow")) {
    abort_argument("implementation", paste0("must be \"keras\" or \"tensorflow\", not ", describe_value(implementation), "."), call = frame)
  }
  note_once("implementation", "There is one implementation today, Keras 3: `use_implementation()` changes nothing.")
  invisible(implementation)
}

# The engine's words for a backend that ended, without starting Keras.
check_backend_name <- function(backend, frame) {
  low <- tolower(backend)
  ended <- c(theano = "Theano ended in 2017", cntk = "CNTK ended in 2019", plaidml = "PlaidML ended in 2020")
  if (low %in% names(ended)) {
    abort_kind(
      "unsupported", paste0(ended[[low]], "; Keras 3 runs on TensorFlow, JAX or PyTorch."),
      i = "Use backend \"tensorflow\", \"jax\" or \"torch\".", argument = "backend", call = frame
    )
  }
  known <- c("tensorflow", "jax", "torch", "openvino")
  if (!low %in% known) {
    abort_argument("backend", paste0("must be one of ", paste0("\"", known, "\"", collapse = ", "), ", not ", describe_value(backend), "."), call = frame)
  }
  low
}

#' Make results repeatable
#'
#' Seeds R, Python, NumPy, Keras and its backend, and makes the backend's operations deterministic,
#' which costs some speed. Use it before a model is made. [set_random_seed()] sets the seeds alone.
#'
#' @param seed Whole number from 0.
#' @param disable_gpu Hide graphics cards. Possible only before the first computation.
#' @param disable_parallel_cpu Compute with one thread, so that sums have a fixed order. Possible only
#'   before the first computation; not needed with deterministic operations otherwise.
#' @param quiet Say nothing about what could not be done any more.
#' @return The seed, invisibly.
#' @examplesIf is_keras_available()
#' use_session_with_seed(42, disable_gpu = FALSE, disable_parallel_cpu = FALSE)
#' @export
use_session_with_seed <- function(seed, disable_gpu = TRUE, disable_parallel_cpu = TRUE, quiet = FALSE) {
  frame <- rlang::current_env()
  seed <- as_count(seed, "seed", frame, least = 0)
  disable_gpu <- as_bool_arg(disable_gpu, "disable_gpu", frame)
  disable_parallel_cpu <- as_bool_arg(disable_parallel_cpu, "disable_parallel_cpu", frame)
  # read when the backend starts, which the call below does
  if (!the$started) {
    early <- c(
      if (disable_gpu) c(CUDA_VISIBLE_DEVICES = "-1"),
      if (disable_parallel_cpu) c(TF_NUM_INTRAOP_THREADS = "1", TF_NUM_INTEROP_THREADS = "1")
    )
    for (name in names(early)) {
      do.call(Sys.setenv, as.list(early[name]))
      set_python_variable(name, early[[name]])
    }
  }
  late <- bridge_do(
    "deterministic", seed = seed, disable_gpu = disable_gpu, disable_parallel_cpu = disable_parallel_cpu, call = frame
  )
  set.seed(seed)
  if (length(late) && !as_bool_arg(quiet, "quiet", frame)) {
    rlang::inform(
      c(i = paste0(paste(unlist(late), collapse = " "), " Call `use_session_with_seed()` first in a new session to have it.")),
      class = "kerasbridge_note"
    )
  }
  invisible(seed)
}

#' Look at training in TensorBoard
#'
#' Starts the program TensorBoard on logs that [callback_tensorboard()] wrote, and opens it in a browser.
#'
#' @param log_dir Folder of the logs, or several, named.
#' @param action `"start"` or `"stop"` (the one started on the same folder, or all).
#' @param host Address to serve on.
#' @param port Port; `"auto"` takes a free one.
#' @param launch_browser Open a browser.
#' @param reload_interval Seconds between readings of the logs.
#' @param purge_orphaned_data Drop points of restarted runs.
#' @return The address, invisibly.
#' @examples
#' \dontrun{
#' tensorboard("logs")
#' tensorboard("logs", action = "stop")
#' }
#' @export
tensorboard <- function(log_dir, action = c("start", "stop"), host = "127.0.0.1", port = "auto",
                        launch_browser = interactive(), reload_interval = 5, purge_orphaned_data = TRUE) {
  frame <- rlang::current_env()
  action <- rlang::arg_match(action)
  if (action == "stop") {
    bridge_do("tensorboard_stop", log_dir = if (missing(log_dir)) NULL else folder_text(log_dir, frame), call = frame)
    return(invisible())
  }
  if (missing(log_dir)) {
    abort_argument("log_dir", "is missing.", "The folder that `callback_tensorboard()` wrote to.", call = frame)
  }
  url <- bridge_do(
    "tensorboard_start", log_dir = folder_text(log_dir, frame), host = as_string_arg(host, "host", frame),
    port = if (identical(port, "auto")) NULL else as_int_arg(port, "port", frame),
    reload_interval = as_int_arg(reload_interval, "reload_interval", frame),
    purge = as_bool_arg(purge_orphaned_data, "purge_orphaned_data", frame), call = frame
  )
  message("TensorBoard runs at ", url)
  if (launch_browser) {
    utils::browseURL(url)
  }
  invisible(url)
}

folder_text <- function(log_dir, frame) {
  if (!is.character(log_dir) || !length(log_dir) || anyNA(log_dir)) {
    abort_argument("log_dir", paste0("must be the path of a folder, not ", describe_value(log_dir), "."), call = frame)
  }
  paths <- normalizePath(path.expand(log_dir), mustWork = FALSE)
  if (is.null(names(log_dir))) paste(paths, collapse = ",") else paste0(names(log_dir), ":", paths, collapse = ",")
}
