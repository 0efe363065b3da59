# Making an environment with Keras in it: finds an interpreter and lets the engine do the work.

#' Install Keras
#'
#' Makes a virtual environment of its own for Keras and TensorFlow, tries it
#' (import, build, fit, save, load) and only then says that it is installed.
#' The versions come from one table of combinations that were tested together,
#' with an eye on the Python found and on your version of reticulate. If
#' anything fails, what was there before is put back, and the error says what
#' to do.
#'
#' No argument is needed in the ordinary case. pip's own settings (package
#' index, proxy, certificates) are respected; `options(kerasbridge.ca_file = "certificates.pem")`, or the
#' environment variable `REQUESTS_CA_BUNDLE`, names an organisation's certificates for pip, uv and the
#' downloads of data sets at once.
#'
#' Interpreters are looked for on `PATH`, in the usual folders, and among those that uv and pyenv have
#' fetched. Where none fits, the error names the command that fetches one.
#'
#' @param version TensorFlow's version: `NULL` for the newest that fits, or
#'   `"2.18"`, `"2.18.1"`, `">=2.18"`, `"latest"`.
#' @param gpu Whether to install the libraries for an NVIDIA graphics card too
#'   (Linux; some 4.5 GB more).
#' @param backend What computes: `"tensorflow"`, `"jax"` or `"torch"`.
#' @param method `"uv"`, `"pip"`, `"conda"` (for the interpreter; the packages still come from
#'   pip), or `"auto"`: uv where it is on the path, else
#'   pip.
#' @param envname Name of the environment, or a path with a slash in it. The
#'   environment variable `KERASBRIDGE_VENV`, where it is set, names the place
#'   of the default one.
#' @param python Path of the Python to use, or a version such as `"3.11"` of one that is on the machine; `NULL` to
#'   look for one.
#' @param from A folder of wheels to install from, on a machine without a
#'   network.
#' @param dry_run Whether to print what would be done, and do nothing.
#' @param extra `"cluster"` for what [train_on_cluster()] needs beside the backend (JAX).
#' @return Invisibly a list: `status` (`"installed"`, `"present"` or
#'   `"planned"`), `path`, `python`, and the `requirements`.
#' @seealso [is_keras_available()]
#' @export
#' @examples
#' if (interactive()) {
#'   install_kerasbridge(dry_run = TRUE)
#'   install_kerasbridge()
#' }
install_kerasbridge <- function(version = NULL, gpu = FALSE, backend = "tensorflow",
                                method = "auto", envname = "r-kerasbridge",
                                python = NULL, from = NULL, dry_run = FALSE, extra = NULL) {
  install_environment(
    version = version, gpu = gpu, backend = backend, method = method,
    envname = envname, python = python, from = from, dry_run = dry_run, extra = extra
  )
}

#' Install Keras under the names of older packages
#'
#' For scripts written for other packages: the same as [install_kerasbridge()],
#' with Keras' own version, or versions of CUDA and cuDNN. CUDA and cuDNN come
#' from pip with TensorFlow; a combination that doesn't exist is refused, and
#' the nearest one that does is named.
#'
#' @param version For `install_keras()` the version of Keras, for
#'   `install_tensorflow()` that of TensorFlow; `NULL` for the newest that fits.
#' @param tensorflow TensorFlow's version.
#' @param cuda_version,cudnn_version Versions of CUDA and cuDNN, such as
#'   `"12.5"` and `"9.3"`; naming one asks for `gpu = TRUE`.
#' @param ... Further arguments of [install_kerasbridge()], by name.
#' @return As [install_kerasbridge()].
#' @export
#' @examples
#' if (interactive()) {
#'   install_keras(dry_run = TRUE)
#'   install_tensorflow("2.18", cuda_version = "12.5", dry_run = TRUE)
#' }
install_keras <- function(version = NULL, tensorflow = NULL, ...) {
  more <- check_install_dots(list(...), "install_keras")
  do.call(install_environment, c(list(keras = version, version = tensorflow), more))
}

#' @rdname install_keras
#' @export
install_tensorflow <- function(version = NULL, cuda_version = NULL, cudnn_version = NULL, ...) {
  more <- check_install_dots(list(...), "install_tensorflow")
  if (!is.null(cuda_version) || !is.null(cudnn_version)) {
    if (identical(more$gpu, FALSE)) {
      abort_install(
        "`cuda_version` and `cudnn_version` go only with `gpu = TRUE`.",
        hint = "Leave them out, or leave `gpu` out."
      )
    }
    more$gpu <- TRUE
  }
  wishes <- list(version = version, cuda = cuda_version, cudnn = cudnn_version)
  do.call(install_environment, c(wishes, more))
}

# What all three do; `extra` names optional sets, as the package's own Makefile asks for ("dev").
install_environment <- function(version = NULL, gpu = FALSE, backend = "tensorflow",
                                method = "auto", envname = "r-kerasbridge", python = NULL,
                                from = NULL, dry_run = FALSE, keras = NULL, cuda = NULL,
                                cudnn = NULL, extra = NULL, call = rlang::caller_env()) {
  check_install_flag(gpu, "gpu", call)
  check_install_flag(dry_run, "dry_run", call)
  check_install_string(backend, "backend", call)
  check_install_string(method, "method", call)
  check_install_string(envname, "envname", call)
  check_install_string(python, "python", call, optional = TRUE)
  check_install_string(from, "from", call, optional = TRUE)
  check_install_string(extra, "extra", call, optional = TRUE)
  check_r_fits(call = call)
  path <- if (identical(envname, "r-kerasbridge")) {
    kerasbridge_env_path(envname)
  } else {
    named_env_path(envname)
  }
  wishes <- c(
    "--backend", backend, "--reticulate", installed_reticulate(),
    wish_argument("--version", version, "version", call),
    wish_argument("--keras", keras, "version", call),
    wish_argument("--cuda", cuda, "cuda_version", call),
    wish_argument("--cudnn", cudnn, "cudnn_version", call),
    if (gpu) "--gpu",
    if (length(extra)) c(rbind("--extra", extra))
  )
  interpreter <- find_interpreter(python, wishes, call = call)
  arguments <- c(
    "install", "--path", path, "--method", method, wishes,
    if (!is.null(from)) c("--from", path.expand(from)),
    if (dry_run) "--dry-run"
  )
  answer <- run_environment(interpreter, arguments, stream = TRUE)
  if (!isTRUE(answer$ok)) {
    abort_answer(answer, call)
  }
  writeLines(next_steps(answer$status, answer$path, answer$python))
  invisible(list(
    status = answer$status, path = answer$path, python = answer$python,
    interpreter = interpreter,
    requirements = strsplit(answer$requirements, "; ", fixed = TRUE)[[1]]
  ))
}

# R for Intel on an Apple processor can't load a Python for Apple processors, and TensorFlow has no other.
check_r_fits <- function(row = r_row(), call = rlang::caller_env()) {
  if (row$status == "problem") {
    abort_install(row$cause, hint = row$fix, call = call)
  }
}

# What is left to do by hand: tell R of an environment in an unusual place, or start R anew.
next_steps <- function(status, path, python, bound = bound_python(), used = find_environment()$path) {
  if (status == "planned") {
    return(character())
  }
  named <- if (nzchar(Sys.getenv("RETICULATE_PYTHON"))) c("RETICULATE_PYTHON", python) else c("KERASBRIDGE_VENV", path)
  same <- \(a, b) identical(normalizePath(a, mustWork = FALSE), normalizePath(b, mustWork = FALSE))
  as.character(c(
    if (is.null(used) || !same(used, path)) {
      sprintf("R uses it after Sys.setenv(%s = \"%s\"), or with that variable in .Renviron.", named[[1]], named[[2]])
    },
    if (!is.null(bound) && (status == "installed" || !same(dirname(bound), dirname(python)))) {
      "Restart R to use it: this session runs a Python already."
    }
  ))
}

# An interpreter on which the wishes can be fulfilled and that R can load: the one named, else
# RETICULATE_PYTHON, else those on PATH and in the usual folders. Says why others were passed over.
find_interpreter <- function(python = NULL, wishes = c("--reticulate", installed_reticulate()),
                             call = rlang::caller_env()) {
  if (!is.null(python)) {
    candidates <- if (grepl("^3[.][0-9]+$", python)) {
      python_of_version(python)
    } else {
      env_python(path.expand(python)) %||% Sys.which(python)[[1]]
    }
    if (!nzchar(candidates)) {
      abort_install(
        sprintf("There is no Python at `python = \"%s\"`.", python),
        hint = "Give the path of an interpreter, such as \"/usr/bin/python3\", or the version of one that is here, such as \"3.11\" (`uv python install 3.11` fetches one).",
        argument = "python", call = call
      )
    }
  } else {
    candidates <- interpreter_candidates()
  }
  passed_over <- list()
  for (candidate in candidates) {
    answer <- run_environment(candidate, c("interpreter", wishes), stream = FALSE)
    if (isTRUE(answer$ok)) {
      return(answer$interpreter)
    }
    if (!is.null(answer$argument) && answer$argument != "python") {
      abort_answer(answer, call) # no interpreter can mend this wish
    }
    passed_over[[candidate]] <- answer
  }
  if (length(candidates) == 0) {
    abort_install(
      "There is no Python on this machine.",
      hint = paste(
        "Install Python 3.10 or 3.11 (Debian or Ubuntu, as root:",
        "apt-get install python3-venv), or name one: python = \"/path/to/python3\"."
      ),
      call = call
    )
  }
  abort_install(
    if (is.null(python)) "No Python that was found can be used." else "This Python can't be used.",
    bullets = passed_over_lines(passed_over),
    hint = unusable_hint(passed_over),
    argument = if (!is.null(python)) "python", call = call
  )
}

# The first interpreter on the machine of a version such as "3.11"; "" if there is none.
python_of_version <- function(version) {
  here <- interpreter_candidates()
  # /usr/bin/python3 is most often a link to python3.11 or the like, which is then not listed again
  wanted <- paste0("python", version)
  named <- sub("[.]exe$", "", basename(here)) == wanted | basename(normalizePath(here)) == wanted
  placed <- grepl(paste0("(cpython-|versions/)", gsub(".", "[.]", version, fixed = TRUE), "[.-]"), here)
  c(here[named | placed], "")[[1]]
}

# At most four of the interpreters that were tried, each with what is wrong with it.
passed_over_lines <- function(answers, most = 4) {
  lines <- sprintf("%s: %s", names(answers), vapply(answers, \(a) a$message, ""))
  if (length(lines) <= most) {
    return(lines)
  }
  c(lines[seq_len(most - 1)], sprintf("... and %d more", length(lines) - most + 1))
}

unusable_hint <- function(answers) {
  hints <- unlist(lapply(answers, \(a) a$hint))
  if (length(hints)) hints[[1]] else "Name another: python = \"/path/to/python3\"."
}

interpreter_candidates <- function() {
  named <- Sys.getenv("RETICULATE_PYTHON")
  folders <- strsplit(Sys.getenv("PATH"), .Platform$path.sep, fixed = TRUE)[[1]]
  if (.Platform$OS.type == "windows") {
    found <- file.path(folders, "python.exe")
    # the store's placeholder opens a shop window
    found <- found[!grepl("WindowsApps", found, fixed = TRUE)]
  } else {
    folders <- unique(c(folders, "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"))
    programs <- c("python3", paste0("python3.", c(11, 12, 13, 10, 9)), "python")
    found <- as.vector(outer(folders, programs, file.path))
  }
  found <- c(if (nzchar(named) && named != "managed") path.expand(named), found, fetched_pythons())
  found <- found[file.exists(found) & !dir.exists(found)]
  found[!duplicated(normalizePath(found, mustWork = FALSE)) | grepl("shims", found)]
}

# The interpreters that uv, pyenv or Windows' installer put where PATH doesn't lead, 3.11 first.
fetched_pythons <- function() {
  home <- path.expand("~")
  given <- \(name, usual) if (nzchar(Sys.getenv(name))) Sys.getenv(name) else usual
  found <- if (.Platform$OS.type == "windows") {
    Sys.glob(c(
      file.path(given("UV_PYTHON_INSTALL_DIR", file.path(Sys.getenv("APPDATA"), "uv", "python")), "*", "python.exe"),
      file.path(Sys.getenv("LOCALAPPDATA"), "Programs", "Python", "Python3*", "python.exe")
    ))
  } else {
    share <- given("XDG_DATA_HOME", file.path(home, ".local", "share"))
    Sys.glob(file.path(
      c(
        file.path(given("UV_PYTHON_INSTALL_DIR", file.path(share, "uv", "python")), "cpython-3*"),
        file.path(given("PYENV_ROOT", file.path(home, ".pyenv")), "versions", "3*")
      ),
      "bin", "python3"
    ))
  }
  preferred <- grepl("(cpython-3[.]|versions/3[.]|Python3)11", found)
  c(found[preferred], rev(found[!preferred]))
}

# Runs `python -m kerasbridge.environment ...`. Returns a list: ok, the fields of the report the
# engine wrote, message and hint where it failed, output.
run_environment <- function(python, arguments, stream) {
  report <- tempfile("kerasbridge-", fileext = ".dcf")
  on.exit(unlink(report))
  command <- paste(
    c(
      shQuote(python), "-m", "kerasbridge.environment",
      shQuote(c(arguments, "--report", report)), "2>&1"
    ),
    collapse = " "
  )
  settings <- list(
    PYTHONPATH = engine_folder(), LD_LIBRARY_PATH = NA, PYTHONHOME = NA,
    PYTHONUNBUFFERED = "1", PYTHONIOENCODING = "utf-8", PYTHONDONTWRITEBYTECODE = "1"
  )
  settings <- c(settings, certificate_variables())
  ran <- with_variables(settings, run_streaming(command, stream))
  out <- list(ok = FALSE, status = "failed", output = ran$lines)
  if (file.exists(report)) {
    fields <- tryCatch(read.dcf(report), error = \(e) matrix(character(), 1, 0))
    out[colnames(fields)] <- as.list(fields[1, ])
  }
  out$ok <- identical(ran$status, 0L) && !identical(out$status, "failed")
  if (!out$ok && is.null(out$message)) {
    out$message <- foreign_interpreter(ran$lines, ran$status)
  }
  out
}

# options(kerasbridge.ca_file = ): an organisation's certificates, for pip, uv and downloads. Without it
# REQUESTS_CA_BUNDLE serves for all: the engine sees to pip and downloads.
certificate_variables <- function(file = getOption("kerasbridge.ca_file")) {
  if (is.null(file)) {
    # uv, and with it py_require(), looks at SSL_CERT_FILE only
    bundle <- Sys.getenv("REQUESTS_CA_BUNDLE")
    known <- nzchar(Sys.getenv("SSL_CERT_FILE")) || !utils::file_test("-f", bundle)
    return(if (known) list() else list(SSL_CERT_FILE = bundle))
  }
  if (!rlang::is_string(file) || !file.exists(file)) {
    abort_install(
      "`options(kerasbridge.ca_file = )` must name a file of certificates that is there.",
      argument = "kerasbridge.ca_file"
    )
  }
  file <- normalizePath(file)
  list(PIP_CERT = file, SSL_CERT_FILE = file, REQUESTS_CA_BUNDLE = file)
}

# Runs a shell command; its lines are shown as they come.
run_streaming <- function(command, stream) {
  con <- pipe(command, open = "r", encoding = "UTF-8")
  lines <- character()
  status <- NULL
  on.exit(if (is.null(status)) close(con))
  repeat {
    line <- readLines(con, n = 1, warn = FALSE)
    if (length(line) == 0) break
    lines <- c(lines, line)
    if (stream) cat(line, "\n", sep = "")
  }
  status <- close(con)
  status <- if (is.null(status)) 0L else as.integer(status)
  # of a shell's child that ended by itself the status stands in the upper byte
  list(lines = lines, status = if (status > 255L) status %/% 256L else status)
}

# What to say about an interpreter that couldn't run the engine at all.
foreign_interpreter <- function(lines, status) {
  text <- paste(lines, collapse = "\n")
  if (grepl("SyntaxError|No module named kerasbridge|No module named __future__", text)) {
    return("It is older than Python 3.9.")
  }
  last <- if (length(lines)) lines[[length(lines)]] else "it printed nothing"
  sprintf("It doesn't run (exit status %s): %s", status, substr(last, 1, 200))
}

engine_folder <- function() {
  system.file("python", package = "kerasbridge", mustWork = TRUE)
}

installed_reticulate <- function() {
  as.character(utils::packageVersion("reticulate"))
}

# The engine's refusal as a condition of R.
abort_answer <- function(answer, call) {
  abort_install(
    answer$message, hint = answer$hint, output = answer$output,
    argument = r_argument(answer$argument), call = call
  )
}

# The engine's names of arguments are those of Python's and the command line.
r_argument <- function(name) {
  if (is.null(name)) {
    return(NULL)
  }
  names <- c(path = "envname", keras = "version", to = "dir")
  if (name %in% names(names)) names[[name]] else name
}

# A version as it was typed goes to the engine, which reads it or refuses it: R's own reading of
# versions stops on most of what people write.
wish_argument <- function(flag, value, argument, call) {
  if (is.null(value)) {
    return(NULL)
  }
  if (inherits(value, "numeric_version") || is.factor(value)) {
    value <- as.character(value)
  }
  if (length(value) != 1 || is.object(value) || !(is.character(value) || is.numeric(value) || is.logical(value))) {
    abort_install(
      sprintf("`%s` must be one version, not %s.", argument, describe_value(value)),
      hint = "Use NULL for the newest, or a string such as \"2.18\".",
      argument = argument, call = call
    )
  }
  text <- if (is.na(value)) "NA" else format(value, digits = 15)
  paste0(flag, "=", text)
}

check_install_dots <- function(dots, name, call = rlang::caller_env()) {
  known <- setdiff(names(formals(install_kerasbridge)), "version")
  given <- if (is.null(names(dots))) rep("", length(dots)) else names(dots)
  odd <- !given %in% known
  if (any(odd)) {
    shown <- ifelse(nzchar(given[odd]), given[odd], "(unnamed)")
    abort_kind(
      "argument",
      sprintf("`%s()` has no argument %s.", name, paste(shown, collapse = ", ")),
      i = paste0("It takes, by name: ", paste(known, collapse = ", "), "."),
      call = call, argument = shown[[1]]
    )
  }
  dots
}

check_install_flag <- function(value, argument, call = rlang::caller_env()) {
  if (!rlang::is_bool(value)) {
    abort_argument(
      argument, paste0("must be TRUE or FALSE, not ", describe_value(value), "."), call = call
    )
  }
}

check_install_string <- function(value, argument, call, optional = FALSE) {
  if (optional && is.null(value)) {
    return(invisible())
  }
  if (!rlang::is_string(value) || !nzchar(value)) {
    abort_argument(
      argument, paste0("must be one string, not ", describe_value(value), "."), call = call
    )
  }
}

abort_install <- function(message, hint = NULL, bullets = NULL, output = NULL, argument = NULL,
                          call = rlang::caller_env()) {
  bullets <- as.character(bullets)
  names(bullets) <- rep("x", length(bullets))
  text <- c(message, bullets, if (!is.null(hint)) c(i = hint))
  abort_kind("install", text, output = output, argument = argument, call = call)
}
