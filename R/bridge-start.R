# Starting Python and Keras, once, on the first call that needs them.

# With a reticulate that resolves requirements by itself (1.41 and later) a user needs no install
# step; an environment that the user or the project has chosen wins over it.
declare_python_needs <- function() {
  declare <- get0("py_require", asNamespace("reticulate"), inherits = FALSE)
  if (is.null(declare) || !is.null(find_environment()$path)) {
    return(invisible())
  }
  declare(python_requirements(), python_version = ">=3.10,<3.14", action = "add")
  invisible()
}

# A module that starts Keras when first touched: the exported objects `keras` and `tf`.
delayed_module <- function(name) {
  check_process()
  key <- paste0("module_", name)
  needed <- \() if (the$started && name == "tensorflow" && !identical(the$backend, name)) bridge_do("check_tensorflow", what = "`tf`")
  if (is.null(the[[key]])) {
    needed() # a Python that runs already imports at once
    the[[key]] <- reticulate::import(
      name,
      convert = TRUE,
      delay_load = list(
        before_load = \() {
          bridge_start()
          needed()
        },
        on_error = \(e) abort_not_found(e)
      )
    )
  }
  the[[key]]
}

# Point reticulate at the environment to use and start its Python. One that was chosen, or found, and can't be
# started is an error: reticulate would look for another one without a word.
bridge_environment <- function(call = rlang::caller_env()) {
  if (reticulate::py_available(initialize = FALSE)) {
    return(invisible())
  }
  if (Sys.getenv("TF_CPP_MIN_LOG_LEVEL") == "") {
    Sys.setenv(TF_CPP_MIN_LOG_LEVEL = "2")
  }
  # a console's code page (Windows) lacks signs that Python prints, which would be an error
  if (Sys.getenv("PYTHONIOENCODING") == "") {
    Sys.setenv(PYTHONIOENCODING = "utf-8")
  }
  certificates <- certificate_variables()
  if (length(certificates)) {
    do.call(Sys.setenv, certificates)
  }
  found <- find_environment()
  if (Sys.getenv("KERAS_BACKEND") == "" && !is.null(backend <- env_backend(found$path))) {
    Sys.setenv(KERAS_BACKEND = backend)
    the$backend_by <- paste0("the environment ", found$path, ", which was made for it")
  }
  if (is.null(found$python)) {
    if (found$chosen) abort_not_started(found, "There is no Python at that place.", call = call)
    return(invisible())
  }
  # reticulate 1.41 and later take another one, without a word, where this one doesn't run
  if (found$chosen && !runs_python(found$python, 10)) {
    abort_not_started(found, "", call = call)
  }
  # the variable keeps reticulate from searching the machine, which costs seconds and warns about
  # other projects' files in the current folder
  before <- Sys.getenv("RETICULATE_PYTHON", unset = NA)
  Sys.setenv(RETICULATE_PYTHON = found$python)
  on.exit(if (is.na(before)) Sys.unsetenv("RETICULATE_PYTHON") else Sys.setenv(RETICULATE_PYTHON = before))
  if (!suppressWarnings(reticulate::py_available(initialize = TRUE))) {
    said <- tryCatch(suppressWarnings(reticulate::py_config()), error = conditionMessage)
    abort_not_started(found, if (is.character(said)) said else "", call = call)
  }
  invisible()
}

abort_not_started <- function(found, said, call) {
  known <- NULL
  if (!is.null(found$python) && !runs_python(found$python, 10)) {
    said <- "It doesn't run, or is older than Python 3.9."
  } else if (is.null(known <- explain_message(said))) {
    said <- first_line(said)
  }
  abort_kind(
    "install",
    c(
      sprintf("R can't start the Python %s (%s).", found$python %||% found$path, found$reason),
      x = if (is.null(known)) said else known$cause,
      i = if (is.null(known)) "Correct or remove what names it, or make the environment again: `install_kerasbridge()`." else known$fix,
      i = "`kerasbridge_doctor()` looks at everything and says what to mend."
    ),
    python = found$python, call = call
  )
}

# The interpreter that use_python(), use_virtualenv() or use_condaenv() named in this session, or NULL.
# reticulate has no function that tells.
requested_python <- function() {
  if (!isNamespaceLoaded("reticulate")) {
    return(NULL)
  }
  state <- get0(".globals", asNamespace("reticulate"), inherits = FALSE)
  if (is.environment(state)) state$required_python_version
}

# Start Python and Keras and load the engine's border. Cheap when done already.
bridge_start <- function(call = rlang::caller_env()) {
  if (the$mock) {
    return(invisible())
  }
  if (the$started) {
    check_process(call)
    return(invisible())
  }
  bridge_environment(call)
  started <- tryCatch(
    {
      the$insides <- base_insides()
      the$bridge <- import_bridge(convert = TRUE, call)
      the$raw <- import_bridge(convert = FALSE, call)
      # what every call goes through is looked up once
      the$ways <- list(
        hold = the$bridge$hold, release = the$bridge$release, call = the$bridge$call, method = the$bridge$method, do = the$bridge$do
      )
      the$interrupt_signal <- the$raw$Signal("interrupt")
      the$jump_signal <- the$raw$Signal("error", "The R code was left by a jump to a place outside.", "jump")
      the$bridge$start(NULL, as.character(getRversion()), if (start_is_shown()) to_python(r_output()), calling_text(call))
    },
    error = \(e) abort_not_found(e, call = call)
  )
  if (!started$ok) {
    abort_from_python(started$error, call = call)
  }
  info <- started$value
  the$classes <- unlist(info$classes)
  the$keras_version <- info$keras
  the$backend <- info$backend
  the$backend_version <- info$backend_version
  the$python_version <- info$python
  the$pid <- Sys.getpid()
  the$started <- TRUE
  invisible()
}

# The call that a person made, such as "fit()"; "" where there is none.
calling_text <- function(call) {
  if (is.environment(call)) {
    call <- if (identical(call, globalenv())) NULL else rlang::frame_call(call)
  }
  if (!is.call(call)) "" else paste0(sub("^.*::", "", deparse(call[[1]])[[1]]), "()")
}

# Whether a person is told that the start takes long: one who looks on, and has not asked for silence.
start_is_shown <- function() {
  shows_progress() && isTRUE(getOption("kerasbridge.progress", TRUE)) && !identical(as.character(getOption("kerasbridge.verbose", "auto")), "0")
}

# Run a verb that needs neither Keras nor a backend; Python starts, if it hasn't, and nothing else.
bridge_look <- function(verb, ..., call = rlang::caller_env()) {
  if (the$started || the$mock) {
    return(bridge_do(verb, ..., call = call))
  }
  bridge_environment(call)
  bridge <- tryCatch(import_bridge(convert = TRUE, call), error = \(e) abort_not_found(e, call = call))
  unwrap(bridge$do(verb, list(...)), call)
}

# The backend that an environment was made for, if it isn't the usual one.
env_backend <- function(path) {
  file <- file.path(path %||% "", "kerasbridge-environment.json")
  if (!file.exists(file)) {
    return(NULL)
  }
  line <- grep("\"backend\": *\"", readLines(file, warn = FALSE), value = TRUE)
  backend <- sub(".*\"backend\": *\"([a-z]+)\".*", "\\1", line)
  if (length(backend) && backend[[1]] %in% c("jax", "torch", "openvino")) backend[[1]]
}

import_bridge <- function(convert, call) {
  check_numpy(call)
  path <- system.file("python", package = "kerasbridge")
  reticulate::import_from_path("kerasbridge.bridge", path = path, convert = convert)
}

# reticulate before 1.38 can't exchange arrays with numpy 2: say so instead of failing on each array.
check_numpy <- function(call) {
  if (utils::packageVersion("reticulate") >= "1.38") {
    return(invisible())
  }
  reticulate::py_available(initialize = TRUE)
  metadata <- reticulate::import("importlib.metadata")
  version <- tryCatch(metadata$version("numpy"), error = \(e) NA_character_)
  if (!is.na(version) && utils::compareVersion(version, "2") >= 0) {
    abort_kind(
      "install",
      paste0("numpy ", version, " needs reticulate 1.38 or newer; this is reticulate ",
             utils::packageVersion("reticulate"), "."),
      i = "Install numpy below 2 into that environment (1.26.4 works with TensorFlow 2.21), or a newer reticulate; `install_kerasbridge()` makes an environment that fits.",
      call = call
    )
  }
}

abort_not_found <- function(error, call = rlang::caller_env()) {
  if (inherits(error, "kerasbridge_error")) {
    stop(error) # it says already what is wrong
  }
  reason <- conditionMessage(error)
  if (reticulate::py_available(initialize = FALSE) && grepl("No module named|was not found", reason)) {
    abort_wrong_python(reason, call)
  }
  known <- explain_message(reason)
  abort_kind(
    "install",
    c(
      "Keras can't be started: no usable Python environment with Keras was found.",
      x = if (is.null(known)) first_line(reason) else known$cause,
      i = if (is.null(known)) {
        "Install it with `install_kerasbridge()`, then restart R; or choose an environment that has it with `use_virtualenv()` before the first call."
      } else {
        known$fix
      },
      i = uv_too_new(),
      i = "`kerasbridge_doctor()` looks at everything and says what to mend."
    ),
    call = call
  )
}

# reticulate 1.41 and 1.42, and 1.43 with a uv that the user has, lose the environment that uv 0.8 and later
# make for py_require().
uv_too_new <- function(reticulate = utils::packageVersion("reticulate")) {
  if (reticulate >= "1.41" && reticulate < "1.44") {
    sprintf("Where Python packages are to be resolved at first use: reticulate %s can't use uv 0.8 or newer; reticulate 1.44 can.", reticulate)
  }
}

# The interpreter that this session runs; NULL while none was started. Starts nothing.
bound_python <- function() {
  if (isNamespaceLoaded("reticulate") && reticulate::py_available(initialize = FALSE)) {
    reticulate::py_config()$python
  }
}

# The environment that py_require() made for this session, once it runs.
required_environment <- function() {
  if (the$started && isTRUE(reticulate::py_config()$ephemeral)) {
    list(python = bound_python(), keras = the$keras_version)
  }
}

# R holds one Python for its whole life; here it is one without Keras.
abort_wrong_python <- function(reason, call) {
  config <- reticulate::py_config()
  better <- with_variables(list(RETICULATE_PYTHON = NA), find_environment()$python)
  line <- if (is.null(better) || identical(better, config$python)) {
    "install_kerasbridge()"
  } else {
    sprintf("Sys.setenv(RETICULATE_PYTHON = \"%s\")", better)
  }
  abort_kind(
    "wrong_python",
    c(
      sprintf("R runs the Python %s, which has no usable Keras, and can't change it any more.", config$python),
      x = first_line(sub("^.*?(No module named)", "\\1", reason)),
      i = sprintf("It was chosen by %s.", config$forced %||% "reticulate, when another call started Python before Keras was needed"),
      i = sprintf("Restart R and put this line first, before library(): %s", line)
    ),
    python = config$python,
    call = call
  )
}

first_line <- function(text) {
  lines <- trimws(strsplit(paste(text, collapse = "\n"), "\n", fixed = TRUE)[[1]])
  lines <- lines[nzchar(lines)]
  if (length(lines)) substr(lines[[1]], 1, 300) else ""
}

#' Versions and places in use
#'
#' Starts Keras if it hasn't started and says which versions run, on which backend, from where.
#'
#' @return A list of class `kerasbridge_info` with `kerasbridge`, `keras`, `backend`,
#'   `backend_version`, `python`, `python_path`, `numpy`, `reticulate` and `r`, each a string.
#' @examplesIf is_keras_available()
#' kerasbridge_info()
#' @export
kerasbridge_info <- function() {
  bridge_start()
  config <- reticulate::py_config()
  structure(
    list(
      kerasbridge = as.character(utils::packageVersion("kerasbridge")),
      keras = the$keras_version,
      backend = the$backend,
      backend_version = the$backend_version,
      python = the$python_version,
      python_path = config$python,
      numpy = as.character(config$numpy$version),
      reticulate = as.character(utils::packageVersion("reticulate")),
      r = as.character(getRversion())
    ),
    class = "kerasbridge_info"
  )
}

#' @export
print.kerasbridge_info <- function(x, ...) {
  cat(paste0(format(paste0(names(x), ":")), " ", vapply(x, \(v) first_line(v), ""), "\n"), sep = "")
  invisible(x)
}

#' Keras and TensorFlow as Python modules
#'
#' The whole Python interface for what no R function covers: `keras$ops$add(1, 2)`,
#' `tf$config$list_physical_devices()`. Each module is loaded when first touched. Positions are
#' 0-based here, whole numbers need an `L` and shapes are `tuple(28L, 28L)`: nothing is converted
#' by meaning, unlike in the functions of this package.
#'
#' @format Python modules.
#' @examplesIf is_keras_available()
#' keras$ops$add(1, 2)
#' @name keras
#' @aliases tf
#' @rawNamespace export(keras, tf)
NULL

#' Declare which Python packages a script needs
#'
#' Passed on to `reticulate::py_require()`, which newer versions of reticulate (1.41 and later) have: they
#' make an environment with what was asked for when Python starts.
#'
#' @param packages Names of Python packages, with versions if need be, such as `"pandas>=2"`.
#' @param python_version Versions of Python that will do.
#' @param ... Further arguments of `reticulate::py_require()`.
#' @param exclude_newer A date: no release after it.
#' @param action `"add"`, `"remove"` or `"set"`.
#' @return As `reticulate::py_require()`, invisibly.
#' @examples
#' \dontrun{
#' py_require("pandas")
#' }
#' @export
py_require <- function(packages = NULL, python_version = NULL, ..., exclude_newer = NULL,
                       action = c("add", "remove", "set")) {
  frame <- rlang::current_env()
  declare <- get0("py_require", asNamespace("reticulate"), inherits = FALSE)
  if (is.null(declare)) {
    abort_kind(
      "unsupported",
      paste0("The installed reticulate (", utils::packageVersion("reticulate"), ") has no `py_require()`; it came with 1.41."),
      i = "Install the Python packages into the environment instead, or install a newer reticulate.",
      call = frame
    )
  }
  invisible(declare(packages, python_version, ..., exclude_newer = exclude_newer, action = rlang::arg_match(action)))
}

# An environment variable that Python, running already, should see too.
set_python_variable <- function(name, value) {
  if (reticulate::py_available(initialize = FALSE)) {
    reticulate::import("os")$environ$update(stats::setNames(list(value), name))
  }
}
