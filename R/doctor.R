# kerasbridge_doctor(): what is there, what is wrong with it, and the command that mends it.

#' Find out what is wrong with an installation, or what an error means
#'
#' Looks at R, reticulate, Python (which one is used and why), every environment that can be found, the versions
#' of numpy, TensorFlow, Keras and their kin and whether they go together, Keras' settings, the processor, memory,
#' disk and graphics card, and imports the packages one at a time in a process of its own. Python is not started
#' in this session, nothing is changed, and the network is not touched. It takes a few seconds, and also works with no
#' Python at all, a broken one, or a package whose import ends the process.
#'
#' @param error An error to explain instead: a condition (such as what `tryCatch(..., error = identity)` gives), or
#'   the text of a message.
#' @param deep Whether to import the packages; `FALSE` only looks at files.
#' @param report Name of a text file to write, to paste into a question or an issue; your name and your home
#'   folder are left out of it.
#' @return A data frame of class `kerasbridge_doctor` with a row for each check: `check`, `status` (`"ok"`,
#'   `"warning"`, `"problem"` or `"skipped"`), `found`, and, where something is wrong, `cause` and `fix`. With `error`
#'   invisibly a list of `id`, `kind`, `cause` and `fix`, or `NULL` for an unknown message.
#' @seealso [install_kerasbridge()], [is_keras_available()]
#' @examples
#' kerasbridge_doctor("No module named 'tensorflow'")
#' \donttest{
#' kerasbridge_doctor()
#' }
#' @export
kerasbridge_doctor <- function(error = NULL, deep = TRUE, report = NULL) {
  frame <- rlang::current_env()
  check_install_flag(deep, "deep")
  check_install_string(report, "report", frame, optional = TRUE)
  if (!is.null(error)) {
    return(explain_error(error, frame))
  }
  rows <- rbind(doctor_of_r(), doctor_of_python(deep))
  rows <- structure(rows, class = c("kerasbridge_doctor", "data.frame"), row.names = seq_len(nrow(rows)))
  if (!is.null(report)) {
    write_doctor_report(rows, report, frame)
  }
  rows
}

explain_error <- function(error, call) {
  if (inherits(error, "condition")) {
    text <- c(error$python_traceback, conditionMessage(error))
  } else if (is.character(error)) {
    text <- error
  } else {
    abort_argument("error", paste0("must be a condition or the text of a message, not ", describe_value(error), "."), call = call)
  }
  known <- explain_message(text)
  if (is.null(known) && inherits(error, "kerasbridge_error")) {
    cat("This error says itself what is wrong:\n", conditionMessage(error), "\n", sep = "")
  } else if (is.null(known)) {
    cat("This message is not among the known ones. `kerasbridge_doctor()` looks at the installation.\n")
  } else {
    cat("Cause:      ", known$cause, "\nWhat to do: ", known$fix, "\n", sep = "")
  }
  invisible(known)
}

doctor_row <- function(check, status, found, cause = "", fix = "") {
  data.frame(check = check, status = status, found = found, cause = cause, fix = fix)
}

# ---- R's own part --------------------------------------------------------------------------------------

doctor_of_r <- function() {
  rbind(r_row(), reticulate_row(), session_row())
}

r_row <- function(version = getRversion(), arch = R.version$arch, system = Sys.info()) {
  shown <- sprintf("R %s, %s, %s", version, arch, system[["sysname"]])
  if (system[["sysname"]] == "Darwin" && arch == "x86_64" && grepl("ARM64", system[["version"]])) {
    return(doctor_row("R", "problem", shown, "This is R for Intel on an Apple processor: TensorFlow's wheels don't fit it.", "Install the arm64 build of R from CRAN."))
  }
  if (version < "4.1") {
    return(doctor_row("R", "problem", shown, "R 4.1 or newer is needed.", "Install a newer R."))
  }
  doctor_row("R", "ok", shown)
}

reticulate_row <- function() {
  version <- tryCatch(installed_reticulate(), error = \(e) NULL)
  if (is.null(version)) {
    return(doctor_row("reticulate", "problem", "not installed", "The package that connects R and Python is missing.", "install.packages(\"reticulate\")"))
  }
  if (compare_versions(version, "1.28") < 0) {
    return(doctor_row("reticulate", "problem", version, "Version 1.28 or newer is needed.", "install.packages(\"reticulate\")"))
  }
  doctor_row("reticulate", "ok", version)
}

# Which Python this session runs already, if any: it can't be changed any more.
session_row <- function() {
  bound <- bound_python()
  if (is.null(bound)) {
    return(doctor_row("this session", "ok", "Python has not been started"))
  }
  wanted <- find_environment()$python
  if (!is.null(wanted) && normalizePath(wanted, mustWork = FALSE) != normalizePath(bound, mustWork = FALSE) && is.null(env_version(bound, "keras"))) {
    return(doctor_row(
      "this session", "problem", paste("runs", bound),
      "This Python has no Keras, and a session can't change it.",
      sprintf("Restart R and put first: Sys.setenv(RETICULATE_PYTHON = \"%s\")", wanted)
    ))
  }
  doctor_row("this session", "ok", paste("runs", bound))
}

# ---- Python's part: `python -m kerasbridge.environment doctor` -----------------------------------------

doctor_of_python <- function(deep, candidates = interpreter_candidates(), end = Sys.time() + 18) {
  chosen <- find_environment()
  reason <- paste0(chosen$reason, set_where(chosen$reason))
  if (!is.null(chosen$python) && runs_python(chosen$python, 5)) {
    return(ask_doctor(chosen$python, chosen$python, reason, deep, end))
  }
  broken <- if (!is.null(chosen$path)) {
    doctor_row(
      "Python", "problem", paste0(chosen$python %||% chosen$path, ", because ", reason),
      if (is.null(chosen$python)) "There is no Python at that place." else "It doesn't run (or not within 5 seconds), or is older than 3.9.",
      "Correct or remove that setting, or make the environment again: install_kerasbridge()"
    )
  }
  other <- first_working(setdiff(candidates, chosen$python), end - 8)
  if (is.null(other)) {
    return(rbind(broken, doctor_row("any Python", "problem", "none that runs was found", "There is no usable Python on this machine.", "Debian or Ubuntu, as root: apt-get install python3-venv; then install_kerasbridge()")))
  }
  why <- if (is.null(broken)) "it is the first that runs; no environment with Keras 3 was found" else "it is the first that runs"
  rbind(broken, ask_doctor(other, other, why, deep, end))
}

# `end`: when an answer must be there; what else the engine looks at takes 5 seconds at most.
ask_doctor <- function(looker, python, reason, deep, end) {
  left <- as.numeric(difftime(end, Sys.time(), units = "secs"))
  report <- tempfile("kerasbridge-", fileext = ".dcf")
  on.exit(unlink(report))
  arguments <- c(
    "-m", "kerasbridge.environment", "doctor", "--report", report, "--python", python, "--why", reason,
    "--reticulate", tryCatch(installed_reticulate(), error = \(e) "1.28"),
    "--seconds", format(max(2, left - 5)),
    if (nzchar(Sys.getenv("LD_LIBRARY_PATH"))) c("--library-path", Sys.getenv("LD_LIBRARY_PATH")),
    if (nzchar(Sys.getenv("PYTHONPATH"))) c("--python-path", Sys.getenv("PYTHONPATH")),
    if (!deep) "--shallow"
  )
  settings <- list(PYTHONPATH = engine_folder(), LD_LIBRARY_PATH = NA, PYTHONHOME = NA, PYTHONDONTWRITEBYTECODE = "1")
  output <- with_variables(settings, suppressWarnings(system2(looker, shQuote(arguments), stdout = TRUE, stderr = TRUE, timeout = ceiling(left))))
  rows <- if (file.exists(report)) tryCatch(as.data.frame(read.dcf(report, keep.white = "found")), error = \(e) NULL)
  if (is.null(rows) || nrow(rows) == 0) {
    return(doctor_row("Python", "problem", looker, foreign_interpreter(output, attr(output, "status")), "install_kerasbridge()"))
  }
  rows[rows == "-"] <- ""
  rows$fix <- beside_setting(rows$fix, reason)
  python_home_row(rows)
}

# A new environment is of no use while a setting names another one.
beside_setting <- function(fix, reason) {
  setting <- regmatches(reason, regexpr("^(RETICULATE_PYTHON_ENV|RETICULATE_PYTHON|use_python\\(\\))", reason))
  if (length(setting) == 0) {
    return(fix)
  }
  gsub("(install_kerasbridge\\([^)]*\\))", paste0("\\1, and take away what names the other (", setting, ")"), fix)
}

# PYTHONHOME is cleared for the process that looks; its own row says so.
python_home_row <- function(rows) {
  home <- Sys.getenv("PYTHONHOME")
  if (nzchar(home)) {
    rows <- rbind(rows, doctor_row("PYTHONHOME", "problem", home, "PYTHONHOME makes Python read another installation's files.", "Sys.unsetenv(\"PYTHONHOME\"); look in .Renviron and the shell's start-up files."))
  }
  rows
}

first_working <- function(candidates, end) {
  for (candidate in candidates) {
    if (Sys.time() > end) {
      break
    }
    if (runs_python(candidate, 2)) {
      return(candidate)
    }
  }
  NULL
}

runs_python <- function(python, seconds) {
  settings <- list(LD_LIBRARY_PATH = NA, PYTHONHOME = NA, PYTHONPATH = NA)
  status <- with_variables(settings, suppressWarnings(system2(
    python, c("-c", shQuote("import sys; sys.exit(sys.version_info < (3, 9))")),
    stdout = FALSE, stderr = FALSE, timeout = seconds
  )))
  identical(as.integer(status), 0L)
}

# The start-up file that sets the variable a reason speaks of, if one does.
set_where <- function(reason) {
  variable <- regmatches(reason, regexpr("^(RETICULATE_PYTHON_ENV|RETICULATE_PYTHON|KERASBRIDGE_VENV|VIRTUAL_ENV|CONDA_PREFIX)", reason))
  files <- c(".Renviron", ".Rprofile", "~/.Renviron", "~/.Rprofile", file.path(R.home("etc"), c("Renviron.site", "Rprofile.site", "Renviron")))
  for (file in if (length(variable)) files[file.exists(files)]) {
    lines <- readLines(file, warn = FALSE)
    if (any(grepl(paste0("^[^#]*\\b", variable, "\\b"), lines))) {
      return(paste0(" (set in ", file, ")"))
    }
  }
  ""
}

# ---- showing -------------------------------------------------------------------------------------------

#' @export
print.kerasbridge_doctor <- function(x, ...) {
  if (!all(c("check", "status", "found", "cause", "fix") %in% names(x))) {
    return(NextMethod())
  }
  writeLines(doctor_lines(x))
  invisible(x)
}

doctor_lines <- function(rows) {
  wide <- max(nchar(rows$check), 0)
  lines <- unlist(lapply(seq_len(nrow(rows)), \(i) {
    row <- rows[i, ]
    head <- sprintf("%-8s %s  %s", if (row$status == "problem") "PROBLEM" else row$status, formatC(row$check, width = -wide), row$found)
    indent <- strrep(" ", wide + 11)
    c(
      head,
      if (row$status %in% c("warning", "problem")) c(paste0(indent, "cause: ", row$cause), paste0(indent, "fix:   ", row$fix))
    )
  }))
  bad <- sum(rows$status == "problem")
  odd <- sum(rows$status == "warning")
  c(lines, "", if (bad + odd == 0) "Nothing is wrong." else sprintf("%d problem(s), %d warning(s): see above.", bad, odd))
}

write_doctor_report <- function(rows, file, call) {
  lines <- c(paste("kerasbridge", utils::packageVersion("kerasbridge")), doctor_lines(rows))
  lines <- without_names(lines)
  tryCatch(
    writeLines(lines, file),
    error = \(e) abort_argument("report", paste0("can't be written: ", file, "."), "Name a file in a folder that is yours.", call = call),
    warning = \(w) abort_argument("report", paste0("can't be written: ", file, "."), "Name a file in a folder that is yours.", call = call)
  )
}

# The lines without the home folder, under any of its names, and without the user's name.
without_names <- function(lines, home = c(path.expand("~"), Sys.getenv(c("HOME", "USERPROFILE"))), user = Sys.info()[["user"]]) {
  home <- home[nchar(home) > 1]
  home <- unique(c(home, normalizePath(home, mustWork = FALSE), normalizePath(home, "/", mustWork = FALSE)))
  for (folder in home[order(nchar(home), decreasing = TRUE)]) {
    lines <- gsub(folder, "~", lines, fixed = TRUE)
  }
  if (nchar(user) > 2 && user != "root") {
    lines <- gsub(paste0("(?<![[:alnum:]])\\Q", user, "\\E(?![[:alnum:]])"), "user", lines, perl = TRUE)
  }
  lines
}
