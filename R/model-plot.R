# plot(model): layers as boxes, data flowing downward; base graphics, no other program needed.

#' Draw a model
#'
#' Each layer is a box with its name, type and output shape; lines show where its input comes from.
#'
#' @param x A model.
#' @param show_shapes Write the output shapes.
#' @param show_names Write the names of the layers beside their types.
#' @param cex Size of the text; chosen to fit if `NULL`.
#' @param ... Not used.
#' @return A data frame with a row for each box, invisibly: `name`, `type`, `shape`, and `column` and
#'   `row`, its place in the drawing.
#' @examplesIf is_keras_available()
#' input <- layer_input(4)
#' a <- layer_dense(input, 3)
#' b <- layer_dense(input, 3)
#' plot(keras_model(input, layer_add(a, b)))
#' @export
plot.kerasbridge_model <- function(x, ..., show_shapes = TRUE, show_names = TRUE, cex = NULL) {
  check_alive(x, "x")
  boxes <- model_boxes(bridge_do("describe_model", model = x))
  if (!nrow(boxes)) {
    abort_argument("x", "has no layers to draw.")
  }
  draw_boxes(boxes, show_shapes, show_names, cex)
  boxes$from <- NULL
  invisible(boxes)
}

# One row a layer with its place: the row is one more than that of its lowest source.
model_boxes <- function(d) {
  rows <- lapply(d$layers, \(column) unlist(lapply(column, \(v) if (is.null(v)) NA else v)))
  n <- length(rows$name)
  from <- lapply(seq_len(n), \(i) strsplit(rows$from[[i]], ", ", fixed = TRUE)[[1]])
  if (d$class == "Sequential") {
    from <- c(list(character()), as.list(rows$name))[seq_len(n)]
  }
  row <- stats::setNames(rep(1L, n), rows$name)
  for (i in seq_len(n)) {
    above <- intersect(from[[i]], rows$name)
    if (length(above)) {
      row[[i]] <- max(row[above]) + 1L
    }
  }
  column <- stats::ave(seq_len(n), row, FUN = \(i) seq_along(i) - (length(i) + 1) / 2)
  boxes <- data.frame(
    name = rows$name %||% character(), type = rows$type %||% character(), shape = rows$shape %||% character(),
    column = column, row = unname(row)
  )
  boxes$from <- from
  boxes
}

draw_boxes <- function(boxes, show_shapes, show_names, cex) {
  depth <- max(boxes$row)
  half <- max(abs(boxes$column)) + 0.5
  old <- graphics::par(mar = rep(0.5, 4))
  on.exit(graphics::par(old))
  graphics::plot.new()
  graphics::plot.window(c(-half, half), c(-depth - 0.5, -0.5))
  label <- if (show_names) paste0(boxes$name, "\n", boxes$type) else boxes$type
  if (show_shapes) {
    label <- paste0(label, "\n", boxes$shape)
  }
  lines <- max(lengths(strsplit(label, "\n", fixed = TRUE)))
  if (is.null(cex)) {
    # as large as the rows and the widest box allow, within what can be read
    tall <- 0.62 / (lines * graphics::strheight("M", cex = 1) * 1.7)
    wide <- 0.86 / max(graphics::strwidth(label, cex = 1))
    cex <- max(0.3, min(1.1, tall, wide))
  }
  height <- lines * graphics::strheight("M", cex = cex) * 1.7 / 2
  width <- max(graphics::strwidth(label, cex = cex)) / 2 + 0.02 * 2 * half
  place <- stats::setNames(seq_len(nrow(boxes)), boxes$name)
  for (i in seq_len(nrow(boxes))) {
    for (source in place[intersect(boxes$from[[i]], boxes$name)]) {
      graphics::arrows(
        boxes$column[[source]], -boxes$row[[source]] - height, boxes$column[[i]], -boxes$row[[i]] + height,
        length = 0.06, col = "grey45"
      )
    }
  }
  graphics::rect(
    boxes$column - width, -boxes$row - height, boxes$column + width, -boxes$row + height,
    col = "#eef3f8", border = "#2166ac"
  )
  graphics::text(boxes$column, -boxes$row, label, cex = cex)
}
