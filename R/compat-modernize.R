# modernize_script(): old scripts in today's words, by the table of older names (inst/extdata/older-names.csv).

#' Rewrite an old script
#'
#' Scripts written for the packages keras and keras3 run as they are. This turns their older names and argument
#' spellings into today's and shows what it would change; nothing is written unless `output` says where. Only what
#' means exactly the same is changed: the code is parsed, so strings and comments stay untouched. What lives on
#' under its older name is listed with the modern way beside it.
#'
#' @param path An R script.
#' @param output Where to write the new script; `NULL` only shows the changes. An existing file needs
#'   `overwrite = TRUE`.
#' @param overwrite Replace `output` if it exists.
#' @return Invisibly a data frame of class `kerasbridge_modernized` with a row for each change or remark: `line`,
#'   `old`, `new` (`NA` where the code stays), `note`. It prints.
#' @seealso The vignette *From keras and keras3*.
#' @examples
#' script <- tempfile(fileext = ".R")
#' writeLines(c("library(keras)", "opt <- optimizer_adam(lr = 0.01)"), script)
#' modernize_script(script)
#' @export
modernize_script <- function(path, output = NULL, overwrite = FALSE) {
  frame <- rlang::current_env()
  check_install_string(path, "path", frame)
  check_install_string(output, "output", frame, optional = TRUE)
  check_install_flag(overwrite, "overwrite", frame)
  if (!file.exists(path) || dir.exists(path)) {
    abort_kind("file", sprintf("There is no file '%s'.", path), argument = "path", call = frame)
  }
  lines <- readLines(path, warn = FALSE, encoding = "UTF-8")
  tokens <- script_tokens(lines, path, frame)
  edits <- rbind(package_edits(tokens), name_edits(tokens), argument_edits(tokens))
  changed <- apply_edits(lines, edits)
  if (!is.null(output)) {
    if (file.exists(output) && !overwrite) {
      abort_kind("file", sprintf("'%s' exists.", output), i = "Say `overwrite = TRUE` to replace it.", argument = "output", call = frame)
    }
    write_script(changed, output, frame)
  }
  report <- structure(edit_report(lines, changed, edits), class = c("kerasbridge_modernized", "data.frame"))
  if (is.null(output)) print(report)
  invisible(report)
}

#' @export
print.kerasbridge_modernized <- function(x, ...) {
  if (nrow(x) == 0) {
    cat("Nothing to change.\n")
  }
  for (i in seq_len(nrow(x))) {
    if (is.na(x$new[[i]])) {
      cat(sprintf("line %d: %s\n", x$line[[i]], x$note[[i]]))
    } else {
      cat(sprintf("line %d:\n  - %s\n  + %s\n", x$line[[i]], trimws(x$old[[i]]), trimws(x$new[[i]])))
    }
  }
  invisible(x)
}

# ---- reading ---------------------------------------------------------------------------------------------

script_tokens <- function(lines, path, call) {
  parsed <- tryCatch(
    parse(text = lines, keep.source = TRUE, encoding = "UTF-8"),
    error = \(e) abort_kind("data", c(sprintf("'%s' is not R code that can be read.", path), x = first_line(sub("^<text>:", "line ", conditionMessage(e)))), argument = "path", call = call)
  )
  tokens <- utils::getParseData(parsed)
  tokens[order(tokens$line1, tokens$col1), ]
}

older_table <- function() {
  utils::read.csv(system.file("extdata", "older-names.csv", package = "kerasbridge", mustWork = TRUE), encoding = "UTF-8")
}

no_edits <- function() {
  data.frame(line = integer(), from = integer(), to = integer(), text = character(), note = character())
}

an_edit <- function(line, from, to, text, note = "") {
  data.frame(line = line, from = from, to = to, text = text, note = note)
}

join_edits <- function(edits) do.call(rbind, c(list(no_edits()), edits))

# The call that a token of a function's name belongs to: the rows of its direct parts, in order.
call_parts <- function(tokens, id) {
  name <- tokens$parent[tokens$id == id]
  tokens[tokens$parent == tokens$parent[tokens$id == name], ]
}

# ---- what to change -----------------------------------------------------------------------------------------

# library(keras), require("keras3"), keras::fit
package_edits <- function(tokens) {
  others <- c("keras", "keras3")
  edits <- list()
  for (i in which(tokens$token == "SYMBOL_PACKAGE" & tokens$text %in% c(others, "kerasbridge"))) {
    name <- tokens$text[tokens$parent == tokens$parent[[i]]][[3]]
    # predict() is R's own generic
    home <- if (name %in% c("predict_classes", "predict_proba", "predict_generator")) "stats" else "kerasbridge"
    edits <- c(edits, list(an_edit(tokens$line1[[i]], tokens$col1[[i]], tokens$col2[[i]], home)))
  }
  for (i in which(tokens$token == "SYMBOL_FUNCTION_CALL" & tokens$text %in% c("library", "require"))) {
    parts <- call_parts(tokens, tokens$id[[i]])
    first <- parts[parts$token == "expr", ][2, ]
    inner <- tokens[tokens$parent %in% first$id & gsub("[\"']", "", tokens$text) %in% others, ]
    for (j in seq_len(nrow(inner))) {
      text <- sub("keras3?", "kerasbridge", inner$text[[j]])
      edits <- c(edits, list(an_edit(inner$line1[[j]], inner$col1[[j]], inner$col2[[j]], text)))
    }
    if (any(gsub("[\"']", "", tokens$text[tokens$parent %in% first$id]) == "tensorflow")) {
      note <- "library(tensorflow) can be left out: `tf` is here too, and so is install_tensorflow()."
      edits <- c(edits, list(an_edit(tokens$line1[[i]], NA, NA, NA, note)))
    }
  }
  join_edits(edits)
}

# Functions under new names, and remarks on those that live on.
name_edits <- function(tokens) {
  table <- older_table()
  edits <- list()
  for (i in which(tokens$token %in% c("SYMBOL_FUNCTION_CALL", "SYMBOL") & grepl("^[A-Za-z]", tokens$text))) {
    name <- tokens$text[[i]]
    is_call <- tokens$token[[i]] == "SYMBOL_FUNCTION_CALL"
    row <- table[table$older == name, ]
    new <- if (nrow(row) && row$action == "rename") row$modern else op_of_backend(name)
    if (!is.null(new) && (is_call || startsWith(name, "k_"))) {
      edits <- c(edits, list(an_edit(tokens$line1[[i]], tokens$col1[[i]], tokens$col2[[i]], new)))
      if (nrow(row) && nzchar(row$append)) {
        close <- call_parts(tokens, tokens$id[[i]])
        close <- close[close$token == "')'", ]
        edits <- c(edits, list(an_edit(close$line1, close$col1, close$col1 - 1L, paste0(", ", row$append))))
      }
    } else if (nrow(row) && is_call && (nzchar(row$modern) || row$action == "remove")) {
      modern <- if (nzchar(row$modern)) paste0("the modern way is ", row$modern) else "it can be left out"
      note <- sprintf("%s() works; %s%s.", name, modern, if (nzchar(row$note)) paste0(" (", row$note, ")") else "")
      edits <- c(edits, list(an_edit(tokens$line1[[i]], NA, NA, NA, note)))
    }
  }
  join_edits(edits)
}

# op_mean for k_mean, where both take the same arguments.
op_of_backend <- function(name) {
  if (!startsWith(name, "k_")) {
    return(NULL)
  }
  new <- sub("^k_", "op_", name)
  here <- asNamespace("kerasbridge")
  functions <- lapply(c(name, new), \(f) get0(f, here, mode = "function", inherits = FALSE))
  if (any(vapply(functions, is.null, TRUE)) || !identical(names(formals(functions[[1]])), names(formals(functions[[2]])))) {
    return(NULL)
  }
  new
}

# optimizer_adam(lr = ) and its like: argument names that `older_spellings()` maps when the script runs.
argument_edits <- function(tokens) {
  here <- asNamespace("kerasbridge")
  edits <- list()
  for (i in which(tokens$token == "SYMBOL_SUB" & tokens$text %in% names(older_names))) {
    siblings <- tokens[tokens$parent == tokens$parent[[i]], ]
    head <- tokens[tokens$parent == siblings$id[[1]] & tokens$token == "SYMBOL_FUNCTION_CALL", ]
    f <- if (nrow(head) == 1) get0(head$text, here, mode = "function", inherits = FALSE)
    if (head_is_generic(head)) {
      f <- get0(paste0(head$text, ".kerasbridge_model"), here, mode = "function", inherits = FALSE)
    }
    known <- names(formals(f))
    old <- tokens$text[[i]]
    new <- intersect(older_names[[old]], known)
    if (is.null(f) || old %in% known || length(new) == 0) next
    edits <- c(edits, list(an_edit(tokens$line1[[i]], tokens$col1[[i]], tokens$col2[[i]], new[[1]])))
  }
  join_edits(edits)
}

head_is_generic <- function(head) nrow(head) == 1 && head$text %in% c("fit", "evaluate", "predict", "compile")

# ---- changing and showing -------------------------------------------------------------------------------------

# From the end of each line to its beginning, so that places stay true.
apply_edits <- function(lines, edits) {
  edits <- edits[!is.na(edits$from), ]
  for (i in order(edits$line, edits$from, decreasing = TRUE)) {
    line <- lines[[edits$line[[i]]]]
    lines[[edits$line[[i]]]] <- paste0(substr(line, 1, edits$from[[i]] - 1), edits$text[[i]], substring(line, edits$to[[i]] + 1))
  }
  lines
}

# Beside its target first, so that a full disk leaves the old one.
write_script <- function(lines, output, call) {
  beside <- paste0(output, ".part")
  on.exit(unlink(beside))
  written <- tryCatch(
    {
      writeLines(lines, beside, useBytes = TRUE)
      file.rename(beside, output)
    },
    error = \(e) FALSE, warning = \(w) FALSE
  )
  if (!written) {
    abort_kind("file", sprintf("'%s' can't be written.", output), i = "Name a file in a folder that is yours.", argument = "output", call = call)
  }
}

edit_report <- function(lines, changed, edits) {
  touched <- which(lines != changed)
  remarks <- unique(edits[is.na(edits$from), c("line", "note")])
  report <- rbind(
    data.frame(line = touched, old = lines[touched], new = changed[touched], note = rep("", length(touched))),
    data.frame(line = remarks$line, old = lines[remarks$line], new = rep(NA_character_, nrow(remarks)), note = remarks$note)
  )
  report <- report[order(report$line), ]
  rownames(report) <- NULL
  report
}
