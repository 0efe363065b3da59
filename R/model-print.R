# How models, layers and other Keras objects print.

#' @export
print.kerasbridge_model <- function(x, ...) {
  cat(format(x, ...), sep = "\n")
  invisible(x)
}

#' @export
format.kerasbridge_model <- function(x, width = getOption("width"), ...) {
  if (is_dead(x)) {
    copy <- if (is.na(kept_size(x))) "" else ", kept as a copy: it is made again when it is first used"
    return(paste0("<Keras model of an R session that has ended", copy, ">"))
  }
  format_model(bridge_do("describe_model", model = x), width)
}

format_model <- function(d, width, show_trainable = NULL) {
  head <- sprintf("%s model '%s'%s", d$class, d$name, if (d$built) "" else " (not built: it has not seen an input shape)")
  rows <- d$layers
  if (!length(rows$name)) {
    return(c(head, "  no layers"))
  }
  rows <- lapply(rows, \(column) unlist(lapply(column, \(v) if (is.null(v)) NA else v)))
  branched <- d$class != "Sequential" && any(grepl(",", rows$from))
  columns <- list(
    `layer (type)` = paste0(strrep("  ", rows$depth), rows$name, " (", rows$type, ")"),
    output = rows$shape,
    params = ifelse(is.nan(rows$params), "?", format_count(rows$params)),
    if (branched) rows$from,
    if (show_trainable %||% !all(rows$trainable)) ifelse(rows$trainable, "yes", "no")
  )
  names(columns) <- c("layer (type)", "output", "params", "from", "trainable")
  columns <- columns[!vapply(columns, is.null, NA)]
  body <- format_columns(columns, width, right = "params")
  total <- if (d$built) {
    sprintf("Parameters: %s trainable, %s not", format_count(d$trainable), format_count(d$non_trainable))
  }
  compiled <- if (d$compiled) {
    paste0("Compiled: optimizer ", d$optimizer, if (!is.null(d$loss)) paste0(", loss ", d$loss))
  } else {
    "Not compiled"
  }
  c(head, body, total, compiled)
}

format_count <- function(x) format(x, big.mark = ",", scientific = FALSE, trim = TRUE)

format_columns <- function(columns, width, right = character()) {
  cells <- Map(\(values, name) {
    align <- if (name %in% right) "right" else "left"
    formatC(c(name, values), width = max(nchar(c(name, values))), flag = if (align == "left") "-" else "")
  }, columns, names(columns))
  lines <- do.call(paste, c(unname(cells), sep = "  "))
  rule <- strrep("-", min(width, max(nchar(lines))))
  c(rule, lines[[1]], rule, lines[-1], rule)
}

#' Summary of a model
#'
#' One row a layer with its output shape and number of parameters, then the totals and how the model
#' was compiled.
#'
#' @param object A model.
#' @param width Width of the printed table in characters.
#' @param expand_nested `TRUE` shows the layers of models inside the model too, set in by two spaces; the
#'   parameters that they have are part of those of the model's row.
#' @param show_trainable Whether a column says which layers train; by default it does where some don't.
#' @param ... Older spellings: `line_length` for `width`, `compact`, which has no effect. All else is refused.
#' @return What was printed, as a list: `layers` (a data frame with `name`, `type`, `shape`, `params`,
#'   `trainable`, `from`, `depth`), `trainable`, `non_trainable` and `compiled`; invisibly printed by its
#'   own method.
#' @examplesIf is_keras_available()
#' inner <- keras_model_sequential(input_shape = 4) |> layer_dense(3)
#' model <- keras_model_sequential(input_shape = 4) |> layer_dense(4)
#' model$add(inner)
#' summary(model, expand_nested = TRUE)
#' @export
summary.kerasbridge_model <- function(object, ..., width = getOption("width"), expand_nested = FALSE,
                                      show_trainable = NULL) {
  frame <- rlang::current_env()
  settle_dots(list(...), names(formals()), frame)
  check_alive(object, "object")
  d <- bridge_do("describe_model", model = object, expand_nested = as_bool_arg(expand_nested, "expand_nested", frame))
  d$layers_text <- format_model(d, as_int_arg(width, "width", frame), convert_arg(show_trainable, "bool", "show_trainable", frame))
  d$layers <- as.data.frame(lapply(d$layers, \(column) unlist(lapply(column, \(v) if (is.null(v)) NA else v))))
  structure(d, class = "kerasbridge_summary")
}

#' @export
print.kerasbridge_summary <- function(x, ...) {
  cat(x$layers_text, sep = "\n")
  invisible(x)
}

#' @export
print.kerasbridge_layer <- function(x, ...) {
  cat(format(x), sep = "\n")
  invisible(x)
}

#' @export
format.kerasbridge_layer <- function(x, ...) {
  if (is_dead(x)) {
    return("<Keras layer of an R session that has ended>")
  }
  type <- sub("^.*\\.", "", setdiff(class(x), grep("^kerasbridge_", class(x), value = TRUE))[[1]])
  state <- if (isTRUE(py_attribute(x, "built"))) {
    sprintf("%s parameters", format_count(bridge_method(x, "count_params")))
  } else {
    "not built"
  }
  sprintf("<layer '%s' (%s), %s%s>", py_attribute(x, "name"), type, state, if (isTRUE(py_attribute(x, "trainable"))) "" else ", frozen")
}

#' @export
str.kerasbridge_model <- function(object, ...) cat("", format(object)[[1]], "\n")

#' @export
str.kerasbridge_layer <- function(object, ...) cat("", format(object), "\n")

#' Summary of a layer
#'
#' @param object A layer.
#' @param ... Not used.
#' @return A data frame with a row for each weight: `name`, `shape`, `trainable`, `params`.
#' @examplesIf is_keras_available()
#' layer <- layer_dense(units = 2)
#' layer(op_ones(c(1, 3)))
#' summary(layer)
#' @export
summary.kerasbridge_layer <- function(object, ...) {
  check_alive(object, "object")
  weights <- py_attribute(object, "weights")
  shapes <- lapply(weights, tensor_dim)
  data.frame(
    name = vapply(weights, py_attribute, "", name = "path"),
    shape = vapply(shapes, \(s) paste0("(", paste(s, collapse = ", "), ")"), ""),
    trainable = vapply(weights, py_attribute, NA, name = "trainable"),
    params = vapply(shapes, prod, 0)
  )
}

# ---- other objects of Keras ---------------------------------------------------------------------------
#' @export
format.kerasbridge_object <- function(x, ...) {
  if (is_dead(x)) {
    return("<Keras object of an R session that has ended>")
  }
  about <- bridge_do("describe_object", object = x)
  if (is.null(about)) {
    return(NextMethod())
  }
  axis <- about$settings$axis
  if (is.numeric(axis) && axis >= 0) {
    about$settings$axis <- axis + 1L
  }
  settings <- vapply(about$settings, \(v) if (is.character(v)) encodeString(v, quote = "\"") else format(v, digits = 6), "")
  listed <- if (length(settings)) paste0(": ", paste(names(settings), "=", settings, collapse = ", "))
  paste0("<", about$type, listed, ">")
}

#' @export
print.kerasbridge_object <- function(x, ...) {
  if (is_dead(x) || !is.null(bridge_do("describe_object", object = x))) {
    cat(format(x), "\n", sep = "")
    return(invisible(x))
  }
  NextMethod()
}

#' @export
str.kerasbridge_object <- function(object, ...) cat("", format(object), "\n")
