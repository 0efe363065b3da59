# The R side of bench/roundtrips.py, in a process of its own:
#   Rscript bench/roundtrips.R read INDEX OUT    loads every file, predicts, trains one epoch
#   Rscript bench/roundtrips.R write INDEX OUT   loads each `.keras` file and saves it in every format
# INDEX is that of roundtrips.py; OUT gets a JSON of what was found, by case and ending.

arguments <- commandArgs(trailingOnly = TRUE)
here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))))
Sys.setenv(TF_CPP_MIN_LOG_LEVEL = "3", CUDA_VISIBLE_DEVICES = "-1")
options(kerasbridge.keep = FALSE)
library(kerasbridge)
kerasbridge_info()
reticulate::py_run_string(sprintf("import sys; sys.path.insert(0, r'%s/../tests/python')", here))
module <- reticulate::import("training_models", convert = FALSE)
own <- Filter(\(x) inherits(x, "python.builtin.type"), sapply(names(module), \(n) module[[n]], simplify = FALSE))

`%||%` <- function(x, y) if (is.null(x)) y else x
whole <- c(".keras", ".h5")

leaf <- function(x) {
  data <- methods::as(unlist(x$data), switch(x$type, double = "numeric", x$type))
  dim <- as.integer(unlist(x$dim))
  if (length(dim) < 2) array(data, length(data)) else aperm(array(data, rev(dim)), rev(seq_along(dim)))
}

value <- function(x) {
  switch(x$kind,
    none = NULL,
    array = leaf(x$values[[1]]),
    list = lapply(x$values, leaf),
    dict = stats::setNames(lapply(x$values, leaf), unlist(x$names))
  )
}

plain <- function(x) {
  x <- as.array(x)
  dim <- if (is.null(dim(x))) length(x) else dim(x)
  # in hexadecimal digits: decimal ones would lose the last bits
  list(dim = I(as.integer(dim)), data = I(sprintf("%a", as.numeric(if (length(dim) > 1) aperm(x, rev(seq_along(dim))) else x))))
}

flat <- function(x) if (is.list(x) && !is.object(x)) unlist(lapply(x, flat), recursive = FALSE, use.names = FALSE) else list(x)

facts <- function(model, entry, ending) {
  given <- jsonlite::read_json(paste0(entry$stem, ".json"))
  x <- value(given$x)
  # as Keras predicts: in larger batches, which R chooses where rows are independent, the last bit may differ
  rows <- given$rows %||% 32L
  out <- list(predict = lapply(flat(predict(model, x, verbose = 0, batch_size = rows)), plain), weights = lapply(get_weights(model), plain))
  y <- value(given$y)
  if (!is.null(y) && !is.null(model$optimizer) && !ending %in% c(".older.h5", ".safetensors")) {
    out$optimizer <- lapply(model$optimizer$variables, plain)
    out$rate <- as.numeric(as.array(model$optimizer$learning_rate))
    out$loss <- fit(model, x, y, epochs = 1, shuffle = FALSE, verbose = 0, batch_size = rows)$metrics$loss[[1]]
  }
  out
}

fails <- function(e) list(error = substr(paste0(class(e)[[1]], ": ", conditionMessage(e)), 1, 200))

index <- jsonlite::read_json(arguments[[2]])
outcome <- list()
for (name in names(index)) {
  entry <- index[[name]]
  if (is.character(entry)) next
  base <- entry$files[[".keras"]]
  row <- list()
  if (arguments[[1]] == "write") {
    row <- tryCatch(
      {
        model <- load_model(base, custom_objects = own)
        for (ending in names(entry$files)) {
          path <- paste0(entry$stem, "-R", ending)
          if (ending %in% whole) save_model(model, path) else save_model_weights(model, path)
          row[[ending]] <- path
        }
        row
      },
      error = fails
    )
  } else {
    for (ending in names(entry$files)) {
      row[[ending]] <- tryCatch(
        {
          if (ending %in% whole) {
            model <- load_model(entry$files[[ending]], custom_objects = own)
          } else {
            model <- load_model(base, custom_objects = own)
            set_weights(model, lapply(get_weights(model), \(w) w * 0))
            load_model_weights(model, entry$files[[ending]])
          }
          facts(model, entry, ending)
        },
        error = fails
      )
    }
  }
  outcome[[name]] <- row
}
jsonlite::write_json(outcome, arguments[[3]], auto_unbox = TRUE, digits = NA)
