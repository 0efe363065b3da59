# What a model of images sees, with base graphics: images with labels and predictions, a confusion matrix,
# filters, feature maps.

#' Show images with their labels and what was predicted
#'
#' A grid of images. Above each stands its label; where `predicted` is given, the prediction, with its
#' probability if that is known, in red beside the label where they differ.
#'
#' @param x Images: an array of image, height, width (grey), or of image, height, width and 1 or 3 channels.
#' @param labels One label an image: a factor, class names, class numbers from 0, or a one-hot matrix.
#' @param predicted Predictions of the same kinds, or what `predict()` gave: a matrix of probabilities with a
#'   column for each class, or one column for the second of two classes.
#' @param classes Names of the classes in the order of their numbers.
#' @param columns Number of columns; chosen to fit if `NULL`.
#' @param max At most so many images are shown, the first ones.
#' @param range Values of black and white; those of all of `x` if `NULL`.
#' @param cex Size of the text.
#' @return A data frame with a row for each image shown, invisibly: `label`, `predicted`, `probability`,
#'   `right`, those of them that are known.
#' @seealso [plot_filters()] and [plot_feature_maps()] for what the model makes of them,
#'   [confusion_matrix()] for all predictions; [plot_image_gallery()] is Keras' own, drawn by matplotlib.
#' @examples
#' digits <- dataset_digits()$test
#' plot_images(digits$x, digits$y, max = 12)
#' @export
plot_images <- function(x, labels = NULL, predicted = NULL, classes = NULL, columns = NULL, max = 40, range = NULL, cex = 1) {
  frame <- rlang::current_env()
  x <- check_images(x, frame)
  n <- dim(x)[[1]]
  classes <- convert_arg(classes, "string_list", "classes", frame)
  truth <- class_labels(labels, n, unlist(classes), "labels", frame)
  guess <- class_labels(predicted, n, unlist(classes), "predicted", frame)
  shown <- seq_len(min(n, as_count(max, "max", frame, least = 1)))
  range <- picture_range(x, range, frame)
  right <- if (!is.null(truth) && !is.null(guess)) truth$name == guess$name
  draw_grid(length(shown), columns, title = any(!is.null(truth), !is.null(guess)), frame, \(i) {
    draw_picture(x[i, , , , drop = FALSE], range)
    name <- guess$name[i] %||% truth$name[i]
    if (!is.null(guess$probability)) {
      name <- sprintf("%s %.0f%%", name, 100 * guess$probability[i])
    }
    wrong <- isFALSE(right[i])
    if (!is.null(name)) {
      graphics::title(
        if (wrong) sprintf("%s (is %s)", name, truth$name[i]) else name,
        col.main = if (wrong) "firebrick" else "black", cex.main = cex, line = 0.3
      )
    }
  })
  out <- list(label = truth$name, predicted = guess$name, probability = guess$probability, right = right)
  out <- lapply(out[lengths(out) > 0], \(column) column[shown])
  invisible(if (length(out)) as.data.frame(out) else data.frame(row.names = shown))
}

#' Count which class was taken for which
#'
#' @param truth The classes: a factor, class names, class numbers from 0, or a one-hot matrix.
#' @param predicted What was predicted: of the same kinds, or what `predict()` gave, probabilities for each class.
#' @param classes Names of the classes in the order of their numbers.
#' @return `confusion_matrix()`: a table of class `kerasbridge_confusion`, rows by truth, columns by prediction.
#'   `plot()` draws it as shaded squares with counts, and returns it, invisibly.
#' @examples
#' truth <- factor(c("cat", "cat", "dog", "dog", "owl"))
#' predicted <- factor(c("cat", "dog", "dog", "dog", "owl"))
#' confusion_matrix(truth, predicted)
#' plot(confusion_matrix(truth, predicted))
#' @export
confusion_matrix <- function(truth, predicted, classes = NULL) {
  frame <- rlang::current_env()
  classes <- unlist(convert_arg(classes, "string_list", "classes", frame))
  for (name in c("truth", "predicted")) {
    if (!length(get(name, frame))) {
      abort_argument(name, "holds no classes.", call = frame)
    }
  }
  known <- classes %||% (if (is.factor(truth)) levels(truth) else if (is.factor(predicted)) levels(predicted))
  truth <- class_labels(truth, NULL, known, "truth", frame)
  predicted <- class_labels(predicted, length(truth$name), known, "predicted", frame)
  # numbers in the order of numbers, names as they come
  all <- unique(c(truth$name, predicted$name))
  all <- if (suppressWarnings(anyNA(as.numeric(all)))) sort(all) else all[order(as.numeric(all))]
  names <- union(known, all)
  out <- table(truth = factor(truth$name, names), predicted = factor(predicted$name, names))
  structure(out, class = c("kerasbridge_confusion", class(out)))
}

#' @rdname confusion_matrix
#' @param x A confusion matrix.
#' @param cex Size of the counts; chosen to fit if `NULL`.
#' @param ... Not used; anything here is refused.
#' @export
plot.kerasbridge_confusion <- function(x, ..., cex = NULL) {
  frame <- rlang::current_env()
  settle_dots(list(...), names(formals()), frame)
  n <- nrow(x)
  share <- unclass(x) / pmax(rowSums(x), 1)
  names <- rownames(x)
  margin <- 2 + max(graphics::strwidth(names, units = "inches")) / graphics::par("csi")
  old <- graphics::par(mar = c(1, margin + 1, margin + 1, 1))
  on.exit(graphics::par(old))
  empty_plot(c(0.5, n + 0.5), c(n + 0.5, 0.5))
  at <- expand.grid(row = seq_len(n), column = seq_len(n))
  share <- as.vector(share)
  # right ones in blue, wrong ones in red, the deeper the larger their share of the row
  ink <- ifelse(at$row == at$column, "#2166ac", "#b2182b")
  fill <- mapply(\(colour, part) grDevices::adjustcolor(colour, alpha.f = part), ink, share)
  graphics::rect(at$column - 0.5, at$row - 0.5, at$column + 0.5, at$row + 0.5, col = fill, border = "grey80")
  count <- as.vector(x)
  size <- cex %||% max(0.4, min(1.2, 9 / n))
  graphics::text(at$column, at$row, ifelse(count > 0, count, ""), col = ifelse(share > 0.55, "white", "black"), cex = size)
  graphics::axis(2, seq_len(n), names, las = 1, tick = FALSE, line = -0.8, cex.axis = min(1, size + 0.2))
  graphics::axis(3, seq_len(n), names, las = if (max(nchar(names)) > 3) 2 else 1, tick = FALSE, line = -0.8, cex.axis = min(1, size + 0.2))
  graphics::mtext("truth", 2, line = margin - 0.3)
  graphics::mtext("predicted", 3, line = margin - 0.3)
  invisible(x)
}

#' Look at filters, and at what a layer answers to an image
#'
#' `plot_filters()` shows the kernels of a two-dimensional convolution as images: in colour where the layer takes
#' three channels, else their mean over the input channels. `plot_feature_maps()` shows the channels of a
#' layer's output for one image. Each picture has its own range from black to white.
#'
#' @param model A model.
#' @param layer A layer's name or its position from 1; by default the first convolution.
#' @param x One image: an array of height, width and channels, with or without a first axis of length 1.
#' @param max At most so many pictures are shown, the first ones.
#' @param columns Number of columns; chosen to fit if `NULL`.
#' @return What is shown as an array, invisibly: `plot_filters()` filter, height, width and 1 or 3 channels;
#'   `plot_feature_maps()` height, width and channel.
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = c(8, 8, 1)) |>
#'   layer_conv_2d(filters = 6, kernel_size = 3, name = "strokes")
#' plot_filters(model)
#' digit <- dataset_digits()$test$x[1, , ] / 16
#' plot_feature_maps(model, array(digit, c(8, 8, 1)), layer = "strokes")
#' @export
plot_filters <- function(model, layer = NULL, max = 40, columns = NULL) {
  frame <- rlang::current_env()
  check_model(model, frame, "model")
  layer <- picture_layer(model, layer, frame)
  kernel <- get_weights(layer)
  if (!length(kernel) || length(dim(kernel[[1]])) != 4) {
    abort_argument("layer", sprintf("names '%s', which has no filters of height and width.", layer$name), call = frame)
  }
  kernel <- aperm(kernel[[1]], c(4, 1, 2, 3))
  if (dim(kernel)[[4]] != 3) {
    kernel <- array(apply(kernel, 1:3, mean), c(dim(kernel)[1:3], 1))
  }
  shown <- min(dim(kernel)[[1]], as_count(max, "max", frame, least = 1))
  draw_grid(shown, columns, title = FALSE, frame, \(i) {
    one <- kernel[i, , , , drop = FALSE]
    draw_picture(one, base::range(one))
  })
  invisible(kernel)
}

#' @rdname plot_filters
#' @export
plot_feature_maps <- function(model, x, layer = NULL, max = 40, columns = NULL) {
  frame <- rlang::current_env()
  check_model(model, frame, "model")
  layer <- picture_layer(model, layer, frame)
  if (!is.array(x) || !length(dim(x)) %in% 3:4 || (length(dim(x)) == 4 && dim(x)[[1]] != 1)) {
    abort_argument("x", paste0("must be one image, an array of height, width and channels, not ", describe_value(x), "."), call = frame)
  }
  if (length(dim(x)) == 3) {
    dim(x) <- c(1, dim(x))
  }
  inner <- keras_model(inputs = model$inputs, outputs = layer$output)
  maps <- stats::predict(inner, x, verbose = 0)
  if (length(dim(maps)) != 4) {
    abort_argument(
      "layer", sprintf("names '%s', whose output is no image: its shape is %s.", layer$name, paste0("(", paste(dim(maps), collapse = ", "), ")")),
      "Choose a convolution or a pooling layer.", call = frame
    )
  }
  maps <- array(maps, dim(maps)[-1])
  shown <- min(dim(maps)[[3]], as_count(max, "max", frame, least = 1))
  draw_grid(shown, columns, title = FALSE, frame, \(i) {
    draw_picture(array(maps[, , i], c(1, dim(maps)[1:2], 1)), base::range(maps[, , i]))
  })
  invisible(maps)
}

# The layer that is named, or the first two-dimensional convolution.
picture_layer <- function(model, layer, frame) {
  if (is.character(layer)) {
    return(get_layer(model, name = layer))
  }
  if (!is.null(layer)) {
    return(get_layer(model, index = layer))
  }
  for (candidate in model$layers) {
    if (length(candidate$weights) && length(candidate$weights[[1]]$shape) == 4) {
      return(candidate)
    }
  }
  abort_argument("layer", "must be given: the model has no two-dimensional convolution.", call = frame)
}

# Images as an array of image, height, width and 1 or 3 channels.
check_images <- function(x, frame) {
  shape <- dim(x)
  if (!is.array(x) || !is.numeric(x) || !length(shape) %in% 3:4 || (length(shape) == 4 && !shape[[4]] %in% c(1, 3)) || !all(shape > 0)) {
    abort_argument(
      "x", paste0("must be images, an array of image, height, width and 1 or 3 channels, not ", describe_value(x), "."), call = frame
    )
  }
  if (length(shape) == 3) {
    dim(x) <- c(shape, 1)
  }
  x
}

picture_range <- function(x, range, frame) {
  range <- unlist(convert_arg(range, "nums", "range", frame))
  if (is.null(range)) {
    finite <- x[is.finite(x)]
    return(if (length(finite)) base::range(finite) else c(0, 1))
  }
  if (length(range) != 2 || range[[1]] >= range[[2]]) {
    abort_argument("range", "must be two numbers, the smaller one first.", call = frame)
  }
  range
}

# Names of classes, and probabilities where these are given; NULL for none.
class_labels <- function(value, n, classes, arg, frame) {
  if (is.null(value)) {
    return(NULL)
  }
  probability <- NULL
  if (length(dim(value)) == 2 && is.numeric(value)) {
    if (ncol(value) == 1 && !all(value %in% 0:1)) {
      second <- value[, 1] > 0.5
      probability <- ifelse(second, value[, 1], 1 - value[, 1])
      value <- as.integer(second)
    } else if (ncol(value) == 1) {
      value <- value[, 1]
    } else {
      best <- max.col(value, ties.method = "first")
      if (!all(value %in% 0:1)) {
        probability <- value[cbind(seq_along(best), best)]
      }
      value <- best - 1
    }
  }
  if (is.factor(value) || is.character(value) || is.logical(value)) {
    name <- as.character(value)
  } else if (is_whole(value) && all(value >= 0)) {
    if (length(classes) && any(value >= length(classes))) {
      abort_argument(
        arg, sprintf("holds class %d; there are %d class names, for 0 to %d.", max(value), length(classes), length(classes) - 1), call = frame
      )
    }
    name <- if (length(classes)) classes[value + 1] else as.character(value)
  } else {
    abort_argument(
      arg, paste0("must be classes (a factor, names, numbers from 0) or a matrix of probabilities, not ", describe_value(value), "."), call = frame
    )
  }
  if (!is.null(n) && length(name) != n) {
    abort_argument(arg, sprintf("has %d entries for %d cases.", length(name), n), call = frame)
  }
  list(name = name, probability = probability)
}

draw_grid <- function(n, columns, title, frame, draw) {
  room <- graphics::par("din")
  wide <- ceiling(sqrt(n * room[[1]] / room[[2]]))
  columns <- if (is.null(columns)) min(n, wide) else as_count(columns, "columns", frame, least = 1)
  old <- graphics::par(mfrow = c(ceiling(n / columns), columns), mar = c(0.2, 0.2, if (title) 1.5 else 0.2, 0.2))
  on.exit(graphics::par(old))
  for (i in seq_len(n)) {
    draw(i)
  }
}

# One image, of shape (1, height, width, channels).
draw_picture <- function(x, range) {
  width <- base::max(diff(range), 1e-12)
  x <- pmin(pmax((x - range[[1]]) / width, 0), 1)
  x[is.na(x)] <- 0
  shape <- dim(x)
  colours <- if (shape[[4]] == 3) array(x, shape[2:4]) else matrix(x, shape[[2]])
  empty_plot(c(0, shape[[3]]), c(0, shape[[2]]))
  graphics::plot.window(c(0, shape[[3]]), c(0, shape[[2]]), asp = 1)
  graphics::rasterImage(grDevices::as.raster(colours), 0, 0, shape[[3]], shape[[2]], interpolate = FALSE)
}
