# keras_help(): the installed Keras' own text, shown at run time and stored nowhere.

#' What the installed Keras says of a function
#'
#' Shows the docstring of the Keras class or function behind a function of this package, for the
#' version that is installed. It speaks Python: positions there count from 0.
#'
#' @param topic A function of this package such as `layer_dense`, its name as a string, a Keras name
#'   such as `"keras.layers.Dense"`, or a Keras object.
#' @return The text, invisibly; it is printed.
#' @examplesIf is_keras_available()
#' keras_help(layer_dense)
#' keras_help("keras.ops.add")
#' @export
keras_help <- function(topic) {
  frame <- rlang::current_env()
  symbol <- help_symbol(topic, frame)
  text <- bridge_do("docstring", topic = symbol, call = frame)
  cat(text, "\n", sep = "")
  invisible(text)
}

help_symbol <- function(topic, frame) {
  if (is_python(topic)) {
    return(topic)
  }
  if (is.character(topic) && length(topic) == 1 && !is.na(topic)) {
    if (startsWith(topic, "keras.")) {
      return(topic)
    }
    found <- get0(topic, envir = topenv(), inherits = FALSE, mode = "function")
    if (is.null(found)) {
      abort_argument("topic", paste0("names '", topic, "', which is no function of kerasbridge."),
                     "Or give a Keras name such as \"keras.layers.Dense\".", call = frame)
    }
    topic <- found
  }
  if (!is.function(topic)) {
    abort_argument("topic", paste0("must be a function or a name, not ", describe_value(topic), "."), call = frame)
  }
  symbol <- wrapper_symbol(topic) %||% hand_symbol(topic)
  if (is.null(symbol)) {
    abort_argument("topic", "is not a wrapper of a Keras function.", "Its R help page says what it does.", call = frame)
  }
  symbol
}

# What is written by hand in R and stands for a Keras name, too.
hand_symbol <- function(f) {
  known <- c(written_by_hand, vapply(c("compile", "fit", "evaluate", "predict"), \(verb) paste0("keras.Model.", verb), ""))
  for (name in names(known)) {
    if (identical(f, get(name, envir = topenv()))) {
      return(known[[name]])
    }
  }
}
