# What a message means, read from the engine's table (environment/messages.tsv) without any Python.

# list(id, kind, cause, fix) for the first row that knows the text, or NULL.
explain_message <- function(text) {
  text <- paste(text, collapse = "\n")
  for (row in message_table()) {
    match <- regexpr(paste0("(?s)", row[["pattern"]]), text, perl = TRUE)
    if (match > 0) {
      found <- named_groups(match, text)
      return(list(
        id = row[["id"]], kind = row[["kind"]],
        cause = fill_places(row[["cause"]], found), fix = fill_places(row[["fix"]], found)
      ))
    }
  }
  NULL
}

message_table <- function() {
  if (is.null(the$messages)) {
    file <- file.path(engine_folder(), "kerasbridge", "environment", "messages.tsv")
    lines <- strsplit(readLines(file, encoding = "UTF-8"), "\t", fixed = TRUE)
    the$messages <- lapply(lines[-1], \(line) stats::setNames(line, lines[[1]]))
  }
  the$messages
}

# Groups that matched, by name; `name2` is the same thing as `name` in another branch of the pattern.
named_groups <- function(match, text) {
  starts <- attr(match, "capture.start")
  lengths <- attr(match, "capture.length")
  found <- list()
  for (i in seq_along(starts)) {
    name <- sub("[0-9]+$", "", colnames(starts)[[i]])
    if (nzchar(name) && lengths[[i]] > 0 && is.null(found[[name]])) {
      value <- substr(text, starts[[i]], starts[[i]] + lengths[[i]] - 1)
      found[[name]] <- gsub("^[\"'`,;]+|[\"'`,;]+$", "", value)
    }
  }
  found
}

fill_places <- function(sentence, found) {
  place <- gregexpr("\\{[a-z]+\\}", sentence)
  regmatches(sentence, place) <- lapply(regmatches(sentence, place), \(names) {
    vapply(gsub("[{}]", "", names), \(name) found[[name]] %||% "(not said)", "")
  })
  sentence
}
