# plot(model): layers as boxes, data flowing downward; drawn with base graphics, placed by graphviz
# where its program `dot` is found.

#' Draw a model
#'
#' Each layer is a box with its name, type and output shape; lines show where its input comes from.
#' Where graphviz is installed (its program `dot`) it places the boxes, which pays for models with many
#' branches; otherwise they stand in rows.
#'
#' @param x A model.
#' @param show_shapes Write the output shapes.
#' @param show_names Write the names of the layers beside their types.
#' @param cex Size of the text; chosen to fit if `NULL`.
#' @param method `"graphviz"` or `"rows"`; chosen by what is installed if `NULL`.
#' @param ... `show_layer_names`, an older spelling of `show_names`; all else is refused.
#' @return A data frame with a row for each box, invisibly: `name`, `type`, `shape`, and `column` and
#'   `row`, its place in the drawing. The attribute `method` says who placed them.
#' @seealso [plot_model()], Keras' own drawing, which writes a picture with graphviz and pydot.
#' @examplesIf is_keras_available()
#' input <- layer_input(4)
#' a <- layer_dense(input, 3)
#' b <- layer_dense(input, 3)
#' plot(keras_model(input, layer_add(a, b)))
#' @export
plot.kerasbridge_model <- function(x, ..., show_shapes = TRUE, show_names = TRUE, cex = NULL, method = NULL) {
  frame <- rlang::current_env()
  dots <- list(...)
  if (any(names(dots) %in% plot_model_only)) {
    abort_argument(intersect(plot_model_only, names(dots))[[1]], "is an argument of `plot_model()`, Keras' own drawing.", call = frame)
  }
  settle_dots(dots, names(formals()), frame)
  check_alive(x, "x", frame)
  boxes <- model_boxes(bridge_do("describe_model", model = x))
  if (!nrow(boxes)) {
    abort_argument("x", "has no layers to draw.", call = frame)
  }
  method <- plot_method(method, frame)
  label <- box_labels(boxes, as_bool_arg(show_shapes, "show_shapes", frame), as_bool_arg(show_names, "show_names", frame))
  if (method == "graphviz") {
    method <- draw_graphviz(boxes, label, cex)
  }
  if (method == "rows") {
    draw_boxes(boxes, label, cex)
  }
  boxes$from <- NULL
  attr(boxes, "method") <- method
  invisible(boxes)
}

# What Keras' drawing knows beside this one.
plot_model_only <- c(
  "to_file", "show_dtype", "rankdir", "expand_nested", "dpi", "layer_range", "show_layer_activations", "show_trainable"
)

plot_method <- function(method, call) {
  found <- nzchar(Sys.which("dot"))
  method <- convert_arg(method, "string", "method", call) %||% (if (found) "graphviz" else "rows")
  if (!method %in% c("graphviz", "rows")) {
    abort_argument("method", paste0("must be \"graphviz\" or \"rows\", not ", describe_value(method), "."), call = call)
  }
  if (method == "graphviz" && !found) {
    abort_argument(
      "method", "is \"graphviz\", but its program `dot` is not found.",
      "Install graphviz, for example with `apt-get install graphviz`, or use `method = \"rows\"`.", call = call
    )
  }
  method
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

box_labels <- function(boxes, show_shapes, show_names) {
  label <- if (show_names) paste0(boxes$name, "\n", boxes$type) else boxes$type
  if (show_shapes) paste0(label, "\n", boxes$shape) else label
}

empty_plot <- function(x, y) {
  graphics::plot.new()
  graphics::plot.window(x, y)
}

draw_box <- function(x, y, width, height, label, cex) {
  graphics::rect(x - width / 2, y - height / 2, x + width / 2, y + height / 2, col = "#eef3f8", border = "#2166ac")
  graphics::text(x, y, label, cex = cex)
}

# Boxes in rows.
draw_boxes <- function(boxes, label, cex) {
  depth <- max(boxes$row)
  half <- max(abs(boxes$column)) + 0.5
  old <- graphics::par(mar = rep(0.5, 4))
  on.exit(graphics::par(old))
  empty_plot(c(-half, half), c(-depth - 0.5, -0.5))
  lines <- max(lengths(strsplit(label, "\n", fixed = TRUE)))
  if (is.null(cex)) {
    # as large as the rows and the widest box allow, within what can be read
    tall <- 0.62 / (lines * graphics::strheight("M", cex = 1) * 1.7)
    wide <- 0.86 / max(graphics::strwidth(label, cex = 1))
    cex <- max(0.3, min(1.1, tall, wide))
  }
  height <- lines * graphics::strheight("M", cex = cex) * 1.7
  width <- max(graphics::strwidth(label, cex = cex)) + 0.04 * 2 * half
  place <- stats::setNames(seq_len(nrow(boxes)), boxes$name)
  for (i in seq_len(nrow(boxes))) {
    for (source in place[intersect(boxes$from[[i]], boxes$name)]) {
      graphics::arrows(
        boxes$column[[source]], -boxes$row[[source]] - height / 2, boxes$column[[i]], -boxes$row[[i]] + height / 2,
        length = 0.06, col = "grey45"
      )
    }
  }
  draw_box(boxes$column, -boxes$row, width, height, label, cex)
}

# Boxes where graphviz puts them. Gives the method that was used: "rows" if the program failed.
draw_graphviz <- function(boxes, label, cex) {
  old <- graphics::par(mar = rep(0.2, 4))
  on.exit(graphics::par(old))
  graphics::plot.new()
  size <- cex %||% 0.9
  lines <- lengths(strsplit(label, "\n", fixed = TRUE))
  width <- vapply(label, graphics::strwidth, 0, units = "inches", cex = size) + 0.2
  height <- lines * graphics::strheight("M", units = "inches", cex = size) * 1.7 + 0.1
  layout <- graphviz_layout(boxes, width, height)
  if (is.null(layout)) {
    note_once("graphviz", "graphviz failed; the layers are drawn in rows.")
    graphics::par(new = TRUE)
    return("rows")
  }
  # the graph in inches, shrunk where the device is smaller than it
  room <- graphics::par("pin")
  scale <- min(1, room / layout$size)
  middle <- layout$size / 2
  graphics::plot.window(
    middle[[1]] + c(-0.5, 0.5) * room[[1]] / scale, middle[[2]] + c(-0.5, 0.5) * room[[2]] / scale, xaxs = "i", yaxs = "i"
  )
  for (edge in layout$edges) {
    n <- nrow(edge)
    graphics::lines(edge, col = "grey45")
    graphics::arrows(edge[n - 1, 1], edge[n - 1, 2], edge[n, 1], edge[n, 2], length = 0.06, col = "grey45")
  }
  draw_box(layout$nodes[, 1], layout$nodes[, 2], width, height, label, size * scale)
  "graphviz"
}

# Places in inches from the lower left: `size`, `nodes` (a row each), `edges` (a matrix of points
# each); NULL if the program fails or takes too long. Nodes are numbered, so that no name is quoted.
graphviz_layout <- function(boxes, width, height) {
  nodes <- sprintf("n%d [width=%.3f, height=%.3f]", seq_along(width), width, height)
  edges <- unlist(lapply(seq_len(nrow(boxes)), \(i) {
    from <- match(intersect(boxes$from[[i]], boxes$name), boxes$name)
    if (length(from)) sprintf("n%d -> n%d", from, i)
  }))
  source <- tempfile(fileext = ".dot")
  on.exit(unlink(source))
  writeLines(c(
    "digraph {", "node [shape=box, fixedsize=true, label=\"\"]", "edge [dir=none]", "graph [nodesep=0.25, ranksep=0.3]", nodes, edges, "}"
  ), source)
  plain <- tryCatch(
    system2("dot", c("-Tplain", shQuote(source)), stdout = TRUE, stderr = FALSE, timeout = 20),
    error = \(e) NULL, warning = \(w) NULL
  )
  words <- strsplit(plain %||% "", " ", fixed = TRUE)
  kind <- vapply(words, \(w) if (length(w)) w[[1]] else "", "")
  if (!identical(kind[[1]], "graph") || sum(kind == "node") != nrow(boxes) || sum(kind == "edge") != length(edges)) {
    return(NULL)
  }
  size <- as.numeric(words[[1]][3:4])
  at <- do.call(rbind, lapply(words[kind == "node"], \(w) as.numeric(w[3:4])))
  order <- match(seq_len(nrow(boxes)), as.integer(sub("n", "", vapply(words[kind == "node"], \(w) w[[2]], ""))))
  list(
    size = size, nodes = at[order, , drop = FALSE],
    edges = lapply(words[kind == "edge"], \(w) {
      points <- matrix(as.numeric(w[4 + seq_len(2 * as.integer(w[[4]]))]), ncol = 2, byrow = TRUE)
      bezier_points(points)
    })
  )
}

# Points on a row of cubic Bezier curves: 3 n + 1 control points, 8 steps a curve.
bezier_points <- function(control) {
  t <- seq(0, 1, length.out = 9)
  weights <- cbind((1 - t)^3, 3 * t * (1 - t)^2, 3 * t^2 * (1 - t), t^3)
  starts <- seq(1, nrow(control) - 3, by = 3)
  pieces <- lapply(starts, \(s) (weights %*% control[s + 0:3, , drop = FALSE])[-1, , drop = FALSE])
  rbind(control[1, ], do.call(rbind, pieces))
}
