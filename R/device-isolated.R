# run_isolated(): code in an R process of its own, whose memory is given back when it ends.

#' Train in an R process of its own
#'
#' A backend keeps the memory of a graphics card until its process ends. `run_isolated()` evaluates code in a
#' new R process and hands over the value; when it returns, that process and all memory that it held are gone. Keras
#' is not started in this session for it.
#'
#' The code sees the variables of the place it is called from that it names, and has the packages attached that are
#' attached here. Models among them travel along, and models in the value come back as raw bytes for
#' [unserialize_model()] (`list(history, model)` gives both): making one here would take memory of the card again. What
#' the code prints is shown here. An error there is an error here.
#'
#' @param expr Code, such as a block in braces that builds, trains and returns `list(history = , model = )`.
#' @param timeout Seconds after which the process is ended with an error of class `kerasbridge_error_timeout`.
#' @param echo Show what the code prints, when it is done.
#' @return The value of `expr`; models in it (also inside of lists) as raw vectors.
#' @seealso [gpu_memory()].
#' @examplesIf is_keras_available()
#' \dontrun{
#' out <- run_isolated({
#'   model <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
#'   compile(model, optimizer = "sgd", loss = "mse")
#'   history <- fit(model, c(1, 2), c(2, 4), epochs = 2, verbose = 0)
#'   list(history = history, model = model)
#' })
#' model <- unserialize_model(out$model)
#' }
#' @export
run_isolated <- function(expr, timeout = Inf, echo = TRUE) {
  frame <- rlang::current_env()
  code <- substitute(expr)
  here <- parent.frame()
  timeout <- as_num_arg(timeout, "timeout", frame)
  if (timeout <= 0) {
    abort_argument("timeout", "must be a positive number of seconds.", call = frame)
  }
  folder <- tempfile("isolated-")
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE), add = TRUE)
  task <- list(
    code = code, values = lapply(named_values(code, here), pack_models),
    packages = rev(setdiff(.packages(), c("base", "datasets", "methods"))),
    options = options()[c("kerasbridge.verbose", "kerasbridge.progress", "kerasbridge.engine")],
    settings = if (!is.null(bound_python())) bridge_look("device_settings", call = frame),
    python = bound_python()
  )
  saveRDS(task, file.path(folder, "task.rds"), compress = FALSE)
  child <- start_child("kerasbridge:::isolated_main()", folder)
  on.exit(end_child(child), add = TRUE, after = FALSE)
  ended <- wait_child(child, timeout)
  if (as_bool_arg(echo, "echo", frame) && file.exists(child$log)) {
    writeLines(readLines(child$log, warn = FALSE))
  }
  if (!ended) {
    abort_kind("timeout", sprintf("The code was not done after %s seconds; its process was ended.", format(timeout)), argument = "timeout", call = frame)
  }
  isolated_value(child, folder, frame)
}

isolated_value <- function(child, folder, frame) {
  file <- file.path(folder, "value.rds")
  if (!file.exists(file)) {
    status <- as.integer(readLines(child$done, warn = FALSE))
    how <- if (status > 128) sprintf("was ended by signal %d", status - 128L) else sprintf("ended with status %d", status)
    abort_kind(
      "isolated", sprintf("The R process that ran the code %s before it was done.", how),
      i = if (status == 137) "The system kills processes like that when memory runs out." else "What it printed last says more.",
      status = status, call = frame
    )
  }
  out <- readRDS(file)
  if (!is.null(out$error)) {
    stop(out$error)
  }
  if (out$visible) out$value else invisible(out$value)
}

# What runs in the new process.
isolated_main <- function(arguments = commandArgs(TRUE)) {
  folder <- arguments[[1]]
  task <- readRDS(file.path(folder, "task.rds"))
  if (!is.null(task$python)) {
    Sys.setenv(RETICULATE_PYTHON = task$python)
  }
  for (package in task$packages) {
    suppressPackageStartupMessages(library(package, character.only = TRUE))
  }
  options(Filter(Negate(is.null), task$options))
  out <- tryCatch(
    {
      if (length(task$settings)) {
        do.call(bridge_look, c(list("configure_devices"), task$settings))
      }
      list2env(lapply(task$values, unpack_models), globalenv())
      found <- withVisible(eval(task$code, globalenv()))
      list(value = pack_models(found$value, bytes = TRUE), visible = found$visible)
    },
    error = \(e) list(error = plain_condition(e))
  )
  file <- file.path(folder, "value.rds")
  saveRDS(out, paste0(file, ".part"), compress = FALSE)
  invisible(file.rename(paste0(file, ".part"), file))
}

# A condition that means something in another process: what points into Python is left out.
plain_condition <- function(e) {
  plain <- \(v) is.atomic(v) || is.call(v) || is.list(v) && all(vapply(v, plain, NA))
  parts <- Filter(plain, unclass(e))
  parts$message <- conditionMessage(e)
  structure(parts, class = class(e))
}

# The variables that code names, where it is called from; functions take those along that they name there.
named_values <- function(code, here) {
  names <- intersect(all.names(code, unique = TRUE), ls(here, all.names = TRUE))
  found <- mget(names, envir = here)
  for (value in Filter(is.function, found)) {
    more <- setdiff(global_names(value), names(found))
    found <- c(found, mget(more, envir = globalenv()))
  }
  found
}

# Models as bytes on the way to another process; `bytes` leaves them bytes for good.
pack_models <- function(x, bytes = FALSE) {
  if (is_python(x)) {
    if (!is_model(x)) {
      abort_kind(
        "unsupported", paste0("A Python object of class <", class(x)[[1]], "> can't go from one process to another."),
        i = "Use plain R values and models; `as.array()` makes a tensor one."
      )
    }
    octets <- serialize_model(x)
    return(if (bytes) octets else structure(list(octets), class = "kerasbridge_packed"))
  }
  if (is.list(x) && !is.data.frame(x)) {
    x[] <- lapply(x, pack_models, bytes = bytes)
  }
  x
}

unpack_models <- function(x) {
  if (inherits(x, "kerasbridge_packed")) {
    return(unserialize_model(x[[1]]))
  }
  if (is.list(x) && !is.data.frame(x)) {
    x[] <- lapply(x, unpack_models)
  }
  x
}

# ---- child processes ----------------------------------------------------------------------------------

# An Rscript in the background: it leaves its process number, its status when it ends, and what it printed.
start_child <- function(code, folder, environment = character()) {
  child <- list(pid = file.path(folder, "pid"), done = file.path(folder, "status"), log = file.path(folder, "log"), since = Sys.time())
  line <- sprintf(
    ".libPaths(c(%s)); writeLines(format(Sys.getpid()), %s); %s",
    paste(encodeString(.libPaths(), quote = "\""), collapse = ", "), encodeString(child$pid, quote = "\""), code
  )
  script <- file.path(folder, "start.R")
  writeLines(line, script)
  rscript <- shQuote(file.path(R.home("bin"), "Rscript"))
  run <- sprintf("%s --vanilla %s %s > %s 2>&1", rscript, shQuote(script), shQuote(folder), shQuote(child$log))
  if (.Platform$OS.type == "windows") {
    writeLines(c(run, sprintf("echo %%ERRORLEVEL%%> %s", shQuote(child$done))), file.path(folder, "run.bat"))
    shell(shQuote(file.path(folder, "run.bat")), wait = FALSE)
  } else {
    system(sprintf("( %s; echo $? > %s ) < /dev/null", run, shQuote(child$done)), wait = FALSE)
  }
  child
}

# Whether it ended within the time; waits in short steps, which Ctrl-C can end.
wait_child <- function(child, timeout) {
  limit <- Sys.time() + timeout
  while (!file.exists(child$done) || !length(readLines(child$done, warn = FALSE))) {
    if (Sys.time() > limit) {
      return(FALSE)
    }
    if (!file.exists(child$pid) && Sys.time() > child$since + 120) {
      abort_kind("isolated", "The R process did not start within two minutes.", i = "Is the machine out of memory or processes?")
    }
    Sys.sleep(0.1)
  }
  TRUE
}

end_child <- function(child) {
  if (!file.exists(child$done) && file.exists(child$pid)) {
    pid <- suppressWarnings(as.integer(readLines(child$pid, warn = FALSE)))
    if (length(pid) == 1 && !is.na(pid)) {
      tools::pskill(pid, tools::SIGTERM)
      if (!wait_child(child, 2)) tools::pskill(pid, tools::SIGKILL)
    }
  }
}
