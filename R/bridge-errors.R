# Python errors as R conditions.

# Turn what the engine says of an error into a condition; an error of the user's own R code comes
# back as that very condition.
abort_from_python <- function(error, call) {
  the$last_error <- error$traceback
  if (!is.null(error$r_key)) {
    resume_in_r(error$r_key, error$place)
  }
  bullets <- to_r_words(error$message)
  if (!is.null(error$hint)) {
    bullets <- c(bullets, i = to_r_words(error$hint))
    if (!is.null(error$details$said)) {
      bullets <- c(bullets, `*` = paste0("Python said: ", error$details$said))
    }
  } else if (error$kind %in% c("python", "argument", "data")) {
    bullets <- c(bullets, i = "Python's full text: `last_python_error()`.")
  }
  abort_kind(
    error$kind,
    bullets,
    argument = error$argument,
    details = error$details,
    python_type = error$type,
    python_traceback = error$traceback,
    call = call
  )
}

# Python's words for values and places, in R's spelling: None, True, x[0], x['age'], axis=0.
to_r_words <- function(text) {
  text <- gsub("\\bNone\\b", "NULL", text)
  text <- gsub("\\bTrue\\b", "TRUE", text)
  text <- gsub("\\bFalse\\b", "FALSE", text)
  text <- gsub("\\b(x|y|sample_weight)\\['([^']+)'\\]", "\\1$\\2", text)
  axis <- gregexpr("(?<=\\baxis=|\\baxis )[0-9]+", text, perl = TRUE)
  regmatches(text, axis) <- lapply(regmatches(text, axis), \(found) as.integer(found) + 1L)
  place <- gregexpr("\\b(x|y|sample_weight)\\[[0-9]+\\]", text)
  regmatches(text, place) <- lapply(regmatches(text, place), \(found) {
    number <- as.integer(gsub("\\D", "", found)) + 1L
    sprintf("%s[[%d]]", sub("\\[.*", "", found), number)
  })
  text
}

#' The full text of the last Python error
#'
#' Errors that reach R say in a line or two what is wrong. This is everything Python said.
#'
#' @return The traceback as one string, invisibly, and printed; `NULL` if there was no error.
#' @examples
#' last_python_error()
#' @export
last_python_error <- function() {
  if (is.null(the$last_error)) {
    cat("No Python error in this session.\n")
    return(invisible(NULL))
  }
  cat(the$last_error, sep = "\n")
  invisible(the$last_error)
}
