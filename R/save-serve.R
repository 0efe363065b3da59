# serve_model(): predictions over HTTP.

#' Serve predictions over HTTP
#'
#' Answers `POST /predict` with predictions for rows of JSON until it is stopped (Ctrl-C, Esc). Rows are objects with
#' values by column name and are checked by the model's schema (see [frame_schema()]), as `predict()` checks a data
#' frame: a missing column, an unknown level or a value of the wrong kind is answered with status 400, the
#' column and the row. `GET /` says what the model takes, `GET /health` that it is there.
#'
#' Only this machine can reach the default address. There is no encryption and no password: put a web server
#' in front before you open it to others.
#'
#' @param model A model.
#' @param port Port to listen on; 0 takes a free one.
#' @param host Address to listen on. `"0.0.0.0"` is open to the network.
#' @param max_body Bytes of a request at most.
#' @param max_rows Rows of a request at most.
#' @param seconds Stop after this time; `NULL` for never.
#' @return The number of requests that were answered with predictions, invisibly.
#' @details
#' A request, and its answer, for a model trained on a data frame with the columns `speed` and `kind`:
#'
#' ```
#' curl -d '{"rows": [{"speed": 4.2, "kind": "new"}], "type": "class"}' http://127.0.0.1:8000/predict
#' {"predictions": ["late"], "levels": ["early", "late"]}
#' ```
#'
#' For a model of plain arrays send `{"inputs": [[1, 2, 3]]}`, with several inputs an object of them by name.
#' `"type"` is that of [predict()][predict.kerasbridge_model]. The same server without R:
#' `python -m kerasbridge.serving model.keras`.
#' @seealso [write_environment()] for an image that serves a model.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
#' serve_model(model, port = 0, seconds = 0.2)
#' @export
serve_model <- function(model, port = 8000, host = "127.0.0.1", max_body = 1e6, max_rows = 10000, seconds = NULL) {
  frame <- rlang::current_env()
  check_model(model, frame, "model")
  check_install_string(host, "host", frame)
  if (!is.null(seconds)) {
    seconds <- as_num_arg(seconds, "seconds", frame)
  }
  server <- bridge_do(
    "serve_start",
    model = model, host = host, port = as_count(port, "port", frame, least = 0),
    max_body = as_count(max_body, "max_body", frame), max_rows = as_count(max_rows, "max_rows", frame), call = frame
  )
  on.exit(bridge_method(server, "close", call = frame))
  cat("Serving at ", py_attribute(server, "url"), " (Ctrl-C stops).\n", sep = "")
  utils::flush.console()
  # Ctrl-C is how a server ends
  tryCatch(bridge_method(server, "run", list(seconds = seconds), call = frame), interrupt = \(i) NULL)
  invisible(py_attribute(server, "count"))
}
