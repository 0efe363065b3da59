# Runs tests/testthat against the installed package: the output of each file is printed when it ends,
# and the outcome of each test goes to the file named as first argument, one "outcome<TAB>test" a line.
# A second argument is a filter on file names, as testthat::test_dir() takes it. A third one names a
# folder that several such processes share: each file is run by the one that claims it first.
# TESTS_START=true starts Keras first: for an environment that reticulate makes only when it is needed.

if (identical(Sys.getenv("TESTS_START"), "true")) {
  print(kerasbridge::kerasbridge_info())
}
arguments <- commandArgs(trailingOnly = TRUE)
filter <- if (length(arguments) > 1 && nzchar(arguments[[2]])) arguments[[2]]
shared <- if (length(arguments) > 2) arguments[[3]]

# the largest files first, so that no process is left with one of them at the end
files <- Sys.glob("tests/testthat/test-*.R")
files <- files[order(-file.size(files))]
names <- sub("^test-(.*)\\.R$", "\\1", basename(files))
if (!is.null(filter)) names <- names[grepl(filter, names)]
# making a folder succeeds for one process only
claimed <- function(name) is.null(shared) || dir.create(file.path(shared, name), showWarnings = FALSE)

run <- function(name) {
  printed <- tempfile()
  results <- testthat::test_dir(
    "tests/testthat",
    filter = paste0("^", gsub(".", "\\.", name, fixed = TRUE), "$"),
    reporter = testthat::ProgressReporter$new(
      max_failures = Inf, update_interval = Inf, show_praise = FALSE, file = printed
    ),
    package = "kerasbridge",
    load_package = "installed",
    stop_on_failure = FALSE,
    stop_on_warning = FALSE
  )
  # the line of the file and its failures, not the headings around them
  told <- readLines(printed, warn = FALSE)
  told <- told[nzchar(told) & !grepl("Context$|Results \u2550|^Duration: |^\\[ FAIL ", told)]
  cat(paste0(told, "\n"), sep = "")
  as.data.frame(results)
}

lines <- character()
for (name in names) {
  if (!claimed(name)) next
  table <- run(name)
  outcome <- ifelse(
    table$error | table$failed > 0, "failed",
    ifelse(table$skipped, "skipped", "passed")
  )
  tests <- paste(table$file, gsub("[\t\n]", " ", table$test), sep = ": ")
  lines <- c(lines, paste(outcome, tests, sep = "\t"))
}
writeLines(lines, arguments[[1]])
