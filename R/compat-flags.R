# Flags of training runs, as in the package tfruns: small versions of one's own.

#' Hyperparameters that the command line can change
#'
#' `flags()` collects defaults, then takes other values from the file `flags.yml` in the current folder
#' (if the R package yaml is installed) and from the command line: `Rscript train.R --dropout 0.3`, or
#' `--dropout=0.3`; a dash in a name may stand for an underscore. `run_dir()` is the folder for the files
#' of a run: the environment variable `RUN_DIR`, or the current folder. The package tfruns has more.
#'
#' @param ... Flags, made by `flag_*()`.
#' @param config Name of a part of `flags.yml`; `NULL` for `"default"` or a file without parts.
#' @param file Path of the YAML file.
#' @param arguments The command line.
#' @param name Name of the flag.
#' @param default Value without any other.
#' @param description What it means, for readers.
#' @return `flags()`: a named list. `flag_*()`: a flag.
#' @examples
#' flags(flag_numeric("dropout", 0.4), flag_integer("units", 128), arguments = c("--units", "64"))
#' @export
flags <- function(..., config = NULL, file = "flags.yml", arguments = commandArgs(TRUE)) {
  frame <- rlang::current_env()
  known <- list(...)
  for (flag in known) {
    if (!inherits(flag, "kerasbridge_flag")) {
      abort_argument("...", paste0("must hold flags, not ", describe_value(flag), "."), "Flags come from `flag_numeric()` and its kin.", call = frame)
    }
  }
  names(known) <- vapply(known, \(f) f$name, "")
  values <- lapply(known, \(f) f$default)
  if (file.exists(file)) {
    if (requireNamespace("yaml", quietly = TRUE)) {
      values <- flag_values(values, known, flags_of_file(yaml::read_yaml(file, eval.expr = FALSE), config), file, frame)
    } else {
      note_once("flags_yaml", paste0("'", file, "' is not read: install the R package yaml for it."))
    }
  }
  flag_values(values, known, flags_of_line(arguments, frame), "the command line", frame)
}

flags_of_file <- function(content, config) {
  parts <- vapply(content, is.list, NA)
  if (!any(parts)) {
    return(content)
  }
  utils::modifyList(as.list(content$default), as.list(content[[config %||% "default"]]))
}

flags_of_line <- function(arguments, frame) {
  out <- list()
  i <- 1
  while (i <= length(arguments)) {
    if (startsWith(arguments[[i]], "--") && nchar(arguments[[i]]) > 2) {
      word <- sub("^--", "", arguments[[i]])
      if (grepl("=", word, fixed = TRUE)) {
        name <- sub("=.*", "", word)
        value <- sub("^[^=]*=", "", word)
      } else {
        name <- word
        if (i == length(arguments)) {
          abort_argument(name, "stands on the command line without a value.", call = frame)
        }
        i <- i + 1
        value <- arguments[[i]]
      }
      out[gsub("-", "_", name)] <- value
    }
    i <- i + 1
  }
  out
}

flag_values <- function(values, known, given, where, frame) {
  for (n in names(given)) {
    flag <- known[[n]]
    if (is.null(flag)) {
      abort_argument(n, paste0("of ", where, " is not a flag of this script."), did_you_mean(n, names(known)), call = frame)
    }
    values[[n]] <- flag_value(flag$type, given[[n]], n, frame)
  }
  values
}

flag_value <- function(type, x, name, frame) {
  if (type == "string") {
    return(as.character(x))
  }
  if (type == "boolean") {
    value <- if (is.logical(x)) x else c(true = TRUE, t = TRUE, yes = TRUE, `1` = TRUE, false = FALSE, f = FALSE, no = FALSE, `0` = FALSE)[tolower(as.character(x))]
    if (is.na(value)) {
      abort_argument(name, paste0("must be TRUE or FALSE, not ", describe_value(x), "."), call = frame)
    }
    return(unname(value))
  }
  value <- suppressWarnings(as.numeric(x))
  if (length(value) != 1 || is.na(value)) {
    abort_argument(name, paste0("must be a number, not ", describe_value(x), "."), call = frame)
  }
  if (type == "integer") as_int_arg(value, name, frame) else value
}

new_flag <- function(type, name, default, description, frame) {
  name <- as_string_arg(name, "name", frame)
  if (is.null(default)) {
    abort_argument("default", "is missing.", call = frame)
  }
  structure(
    list(type = type, name = name, default = flag_value(type, default, "default", frame), description = description),
    class = "kerasbridge_flag"
  )
}

#' @rdname flags
#' @export
flag_integer <- function(name, default, description = NULL) new_flag("integer", name, default, description, rlang::current_env())

#' @rdname flags
#' @export
flag_numeric <- function(name, default, description = NULL) new_flag("numeric", name, default, description, rlang::current_env())

#' @rdname flags
#' @export
flag_boolean <- function(name, default, description = NULL) new_flag("boolean", name, default, description, rlang::current_env())

#' @rdname flags
#' @export
flag_string <- function(name, default, description = NULL) new_flag("string", name, default, description, rlang::current_env())

#' @rdname flags
#' @export
run_dir <- function() {
  dir <- Sys.getenv("RUN_DIR")
  if (nzchar(dir)) dir else getwd()
}
