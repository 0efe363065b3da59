# R packages that DESCRIPTION asks for and that are not installed, or too old: one name a line.
# With "install" as first argument, installs them from the CRAN mirror that R is set to, into the
# library named second.

fields <- read.dcf("DESCRIPTION", c("Imports", "Suggests"))
entries <- trimws(unlist(strsplit(fields[!is.na(fields)], ",")))
entries <- c(entries, "codetools", "roxygen2")
names <- sub("[[:space:]]*\\(.*", "", entries)
least <- ifelse(grepl(">=", entries), sub(".*>=[[:space:]]*([0-9.-]+).*", "\\1", entries), "0")
base <- rownames(installed.packages(priority = "base"))
missing <- names[!vapply(seq_along(names), \(i) {
  names[[i]] %in% base || (nzchar(system.file(package = names[[i]])) &&
    utils::compareVersion(as.character(packageVersion(names[[i]])), least[[i]]) >= 0)
}, logical(1))]

arguments <- commandArgs(trailingOnly = TRUE)
if (length(missing) && length(arguments) && arguments[[1]] == "install") {
  mirror <- getOption("repos")
  if (is.null(mirror) || !length(mirror) || any(mirror %in% c("@CRAN@", ""))) {
    quit(status = 1)
  }
  tried <- tryCatch(
    utils::install.packages(missing, lib = arguments[[2]], quiet = TRUE),
    error = \(e) quit(status = 1), warning = \(w) quit(status = 1)
  )
} else {
  writeLines(unique(missing))
}
