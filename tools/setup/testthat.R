# Runs tests/testthat against the installed package: failures are printed as they come, and the
# outcome of each test goes to the file named as first argument, one "outcome<TAB>test" a line.
# A second argument is a filter on file names, as testthat::test_dir() takes it.
# TESTS_START=true starts Keras first: for an environment that reticulate makes only when it is needed.

if (identical(Sys.getenv("TESTS_START"), "true")) {
  print(kerasbridge::kerasbridge_info())
}
arguments <- commandArgs(trailingOnly = TRUE)
results <- testthat::test_dir(
  "tests/testthat",
  filter = if (length(arguments) > 1) arguments[[2]],
  reporter = testthat::ProgressReporter$new(
    max_failures = Inf, update_interval = Inf, show_praise = FALSE
  ),
  package = "kerasbridge",
  load_package = "installed",
  stop_on_failure = FALSE,
  stop_on_warning = FALSE
)
table <- as.data.frame(results)
outcome <- ifelse(
  table$error | table$failed > 0, "failed",
  ifelse(table$skipped, "skipped", "passed")
)
names <- paste(table$file, gsub("[\t\n]", " ", table$test), sep = ": ")
writeLines(paste(outcome, names, sep = "\t"), arguments[[1]])
