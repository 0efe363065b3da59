# Makes the project's Python environment with the function that users call, plus the tools for tests.
tryCatch(
  invisible(kerasbridge:::install_environment(extra = "dev")),
  error = \(e) {
    message(conditionMessage(e))
    quit(status = 1)
  }
)
