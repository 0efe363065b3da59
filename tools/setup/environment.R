# Makes the project's Python environment with the function that users call, plus the tools for tests.
# Arguments such as version=2.16.2 are handed on to it.
wishes <- strsplit(commandArgs(trailingOnly = TRUE), "=", fixed = TRUE)
wishes <- stats::setNames(lapply(wishes, `[[`, 2), vapply(wishes, `[[`, "", 1))
tryCatch(
  invisible(do.call(kerasbridge:::install_environment, c(wishes, extra = "dev"))),
  error = \(e) {
    message(conditionMessage(e))
    quit(status = 1)
  }
)
