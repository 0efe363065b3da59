# The history that fit() returns: print, plot, data frame.

# From the engine's history; epochs count from 1 in R, an absent value is NA.
new_history <- function(x, call = NULL) {
  if (isTRUE(x$interrupted)) {
    settle_interrupts()
  }
  # a method of a run that has just ended, a table where the history comes from a file
  columns <- if (is.function(x$columns)) x$columns(NULL) else x$columns
  metrics <- metric_columns(columns[names(columns) != "epoch"])
  epoch <- as.integer(unlist(x$epoch)) + 1L
  about <- x$environment
  for (text in x$warnings) {
    rlang::warn(text, class = "kerasbridge_warning_training", call = call)
  }
  structure(
    list(
      params = x$params,
      metrics = metrics,
      history = metrics,
      epoch = epoch,
      interrupted = isTRUE(x$interrupted),
      engine = x$engine,
      engine_reason = x$engine_reason,
      seconds = as.numeric(x$seconds),
      seed = about$seed,
      deterministic = isTRUE(about$deterministic),
      devices = as.character(unlist(about$devices)),
      versions = c(unlist(about$versions), R = as.character(getRversion()))
    ),
    class = "kerasbridge_history"
  )
}

# A number for each epoch, NA where it has none. A metric of several numbers (F1 for each class) becomes several:
# `f1_score_1`, `f1_score_2`, ...
metric_columns <- function(columns) {
  out <- list()
  for (name in names(columns)) {
    values <- lapply(unname(columns[[name]]), as.numeric)
    width <- max(1L, lengths(values))
    for (i in seq_len(width)) {
      out[[if (width > 1) paste0(name, "_", i) else name]] <- vapply(values, \(v) if (length(v)) v[i] else NA_real_, 0)
    }
  }
  out
}

# One history of two runs, the second of which went on from the first.
continued <- function(earlier, later) {
  if (is.null(earlier)) {
    return(later)
  }
  absent <- \(h, n) h$metrics[[n]] %||% rep(NA_real_, length(h$epoch))
  names <- union(names(earlier$metrics), names(later$metrics))
  later$metrics <- lapply(rlang::set_names(names), \(n) c(absent(earlier, n), absent(later, n)))
  later$history <- later$metrics
  later$epoch <- c(earlier$epoch, later$epoch)
  later$seconds <- earlier$seconds + later$seconds
  later
}

#' @export
print.kerasbridge_history <- function(x, ...) {
  n <- length(x$epoch)
  cat(sprintf("History of %d epoch%s%s\n", n, if (n == 1) "" else "s", if (x$interrupted) " (interrupted)" else ""))
  if (n) {
    last <- vapply(x$metrics, last_value, 0)
    cat(paste0("  ", format(paste0(names(last), ":")), " ", format(last, digits = 4), "\n"), sep = "")
  }
  invisible(x)
}

# NaN is a value, NA an epoch without one.
last_value <- function(v) {
  v <- v[!is.na(v) | is.nan(v)]
  if (length(v)) v[[length(v)]] else NA_real_
}

#' A history as a data frame
#'
#' @param x A history.
#' @param row.names,optional Not used.
#' @param ... Not used.
#' @return A data frame with one row for each epoch, metric and data set: `epoch`, `value`, `metric`
#'   (a factor), `data` (a factor, training or validation). `value` is `NA` where an epoch has none.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
#' model |> compile(optimizer = "sgd", loss = "mse")
#' as.data.frame(fit(model, c(1, 2), c(2, 4), epochs = 2, verbose = 0))
#' @export
as.data.frame.kerasbridge_history <- function(x, row.names = NULL, optional = FALSE, ...) {
  names <- names(x$metrics)
  validation <- startsWith(names, "val_")
  base <- sub("^val_", "", names)
  data.frame(
    epoch = rep(x$epoch, times = length(names)),
    value = as.numeric(unlist(x$metrics, use.names = FALSE)),
    metric = factor(rep(base, each = length(x$epoch)), levels = unique(base)),
    data = factor(rep(ifelse(validation, "validation", "training"), each = length(x$epoch)), levels = c("training", "validation"))
  )
}

#' Plot a history
#'
#' One panel a metric, training and validation by epoch; with ggplot2 where it is installed, with base
#' graphics otherwise.
#'
#' @param x A history.
#' @param y Not used.
#' @param metrics Names of the metrics to show; all by default.
#' @param method `"ggplot2"` or `"base"`; chosen by what is installed if `NULL`.
#' @param ... Not used.
#' @return With ggplot2 the plot, which draws itself when printed; with base graphics the history,
#'   invisibly.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
#' model |> compile(optimizer = "sgd", loss = "mse")
#' plot(fit(model, c(1, 2), c(2, 4), epochs = 3, verbose = 0))
#' @export
plot.kerasbridge_history <- function(x, y, metrics = NULL, method = NULL, ...) {
  frame <- as.data.frame(x)
  if (!is.null(metrics)) {
    unknown <- setdiff(metrics, levels(frame$metric))
    if (length(unknown)) {
      abort_argument("metrics", paste0("names '", unknown[[1]], "', which the history does not have."),
                     paste0("It has: ", paste(levels(frame$metric), collapse = ", "), "."))
    }
    frame <- droplevels(frame[frame$metric %in% metrics, ])
  }
  frame <- frame[!is.na(frame$value), ]
  method <- method %||% if (rlang::is_installed("ggplot2")) "ggplot2" else "base"
  if (!method %in% c("ggplot2", "base")) {
    abort_argument("method", paste0("must be \"ggplot2\" or \"base\", not ", describe_value(method), "."))
  }
  if (method == "ggplot2") {
    return(plot_history_ggplot(frame))
  }
  plot_history_base(frame)
  invisible(x)
}

plot_history_ggplot <- function(frame) {
  epochs <- range(frame$epoch)
  plot <- ggplot2::ggplot(frame, ggplot2::aes(.data$epoch, .data$value, colour = .data$data)) +
    ggplot2::geom_line(linewidth = 0.7) +
    ggplot2::geom_point(size = 1.2) +
    ggplot2::facet_wrap(~metric, ncol = 1, scales = "free_y", strip.position = "left") +
    ggplot2::scale_colour_manual(values = history_colours, drop = TRUE) +
    ggplot2::labs(x = "epoch", y = NULL, colour = NULL) +
    ggplot2::theme_minimal() +
    ggplot2::theme(strip.placement = "outside", legend.position = "top", panel.grid.minor = ggplot2::element_blank())
  if (diff(epochs) < 12) {
    plot <- plot + ggplot2::scale_x_continuous(breaks = seq(epochs[[1]], epochs[[2]]))
  }
  plot
}

history_colours <- c(training = "#2166ac", validation = "#d6604d")

plot_history_base <- function(frame) {
  metrics <- levels(droplevels(frame$metric))
  old <- graphics::par(mfrow = c(length(metrics), 1), mar = c(3, 4, 1, 1), mgp = c(2, 0.7, 0))
  on.exit(graphics::par(old))
  for (metric in metrics) {
    part <- frame[frame$metric == metric, ]
    graphics::plot(range(part$epoch), range(part$value), type = "n", xlab = "epoch", ylab = metric, las = 1)
    for (data in levels(droplevels(part$data))) {
      line <- part[part$data == data, ]
      graphics::lines(line$epoch, line$value, type = "o", pch = 19, col = history_colours[[data]])
    }
    if (length(unique(part$data)) > 1) {
      graphics::legend("topright", names(history_colours), col = history_colours, lty = 1, pch = 19, bty = "n")
    }
  }
}

#' @export
format.kerasbridge_history <- function(x, ...) {
  n <- length(x$epoch)
  last <- vapply(x$metrics, last_value, 0)
  paste0("<history of ", n, " epoch", if (n == 1) "" else "s", ": ", paste(names(last), format(last, digits = 4), sep = " ", collapse = ", "), ">")
}

#' @export
str.kerasbridge_history <- function(object, ...) cat("", format(object), "\n")

#' Summary of a history
#'
#' @param object A history.
#' @param ... Not used.
#' @return A data frame with a row for each metric: `metric`, `first`, `last`, `least`, `least_epoch`,
#'   `most`, `most_epoch`; epochs count from 1.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
#' model |> compile(optimizer = "sgd", loss = "mse")
#' summary(fit(model, c(1, 2), c(2, 4), epochs = 3, verbose = 0))
#' @export
summary.kerasbridge_history <- function(object, ...) {
  number <- \(f) unname(vapply(object$metrics, \(v) if (all(is.na(v))) NA_real_ else as.numeric(f(v)), 0))
  epoch <- \(f) {
    at <- vapply(object$metrics, \(v) if (all(is.na(v))) NA_integer_ else f(v), 0L)
    unname(object$epoch[at])
  }
  data.frame(
    metric = names(object$metrics) %||% character(),
    first = number(\(v) v[[1]]), last = number(\(v) v[[length(v)]]),
    least = number(\(v) min(v, na.rm = TRUE)), least_epoch = epoch(which.min),
    most = number(\(v) max(v, na.rm = TRUE)), most_epoch = epoch(which.max)
  )
}
