# Small data utilities that Keras scripts in R use: lists, shapes, arrays held by Python, HDF5 rows,
# images as arrays, one batch at a time.

#' Lists with names, lists of pairs
#'
#' `named_list()` is `list()` that names each element it was given without a name by the expression.
#' `zip_lists()` puts the first elements of several lists together, then the second ones, and so on.
#'
#' @param ... For `named_list()` values, for `zip_lists()` lists (or vectors) of one length. Lists with
#'   names are matched by name, in the order of the first.
#' @return A list.
#' @examples
#' units <- 32
#' named_list(units, rate = 0.5)
#' zip_lists(list("a", "b"), list(1, 2))
#' zip_lists(x = list(a = 1, b = 2), y = list(b = 20, a = 10))
#' @export
named_list <- function(...) {
  out <- list(...)
  words <- vapply(as.list(substitute(list(...)))[-1], \(e) paste(deparse(e, width.cutoff = 500L), collapse = " "), "")
  given <- rlang::names2(out)
  names(out) <- ifelse(nzchar(given), given, words)
  out
}

#' @rdname named_list
#' @export
zip_lists <- function(...) {
  frame <- rlang::current_env()
  lists <- list(...)
  if (length(lists) == 1 && is.list(lists[[1]]) && length(lists[[1]]) && all(vapply(lists[[1]], is.list, NA))) {
    lists <- lists[[1]]
  }
  if (!length(lists)) {
    return(list())
  }
  if (length(unique(lengths(lists))) > 1) {
    abort_argument("...", sprintf("must be lists of one length, not of %s.", paste(lengths(lists), collapse = ", ")), call = frame)
  }
  first <- names(lists[[1]])
  if (!is.null(first)) {
    lists <- lapply(lists, \(l) {
      if (is.null(names(l))) {
        return(l)
      }
      if (anyDuplicated(names(l)) || !setequal(names(l), first)) {
        abort_argument("...", "must be lists with the same names, each name once.", call = frame)
      }
      l[first]
    })
  }
  out <- lapply(seq_along(lists[[1]]), \(i) lapply(lists, \(l) l[[i]]))
  names(out) <- first
  out
}

#' A shape
#'
#' The lengths of the axes of a tensor, as every `shape` argument takes them (these also take a plain
#' `c(28, 28, 1)`).
#'
#' @param ... Whole numbers, `NA` or `NULL` for a free axis; vectors and lists are joined. A single
#'   tensor or array gives its own shape.
#' @return A list of class `kerasbridge_shape` with an integer or `NULL` for each axis.
#' @examples
#' shape(28, 28, 1)
#' shape(NA, 10)
#' shape(matrix(0, 2, 3))
#' @export
shape <- function(...) {
  frame <- rlang::current_env()
  dots <- list(...)
  if (length(dots) == 1 && (is_tensor(dots[[1]]) || !is.null(dim(dots[[1]])))) {
    dots <- as.list(dim(dots[[1]]))
  }
  axes <- lapply(unlist(lapply(dots, \(d) if (is.null(d)) list(NULL) else as.list(d)), recursive = FALSE), \(axis) {
    if (is.null(axis) || length(axis) == 1 && (is.na(axis) || identical(as.numeric(axis), -1))) {
      return(NULL)
    }
    if (!is_whole(axis) || length(axis) != 1 || axis < 0) {
      abort_argument("...", paste0("must be whole numbers, with NA for a free axis, not ", describe_value(axis), "."), call = frame)
    }
    as.integer(axis)
  })
  structure(axes, class = "kerasbridge_shape")
}

#' @export
format.kerasbridge_shape <- function(x, ...) {
  paste0("shape(", paste(vapply(unclass(x), \(a) if (is.null(a)) "NA" else as.character(a), ""), collapse = ", "), ")")
}

#' @export
print.kerasbridge_shape <- function(x, ...) {
  cat(format(x), "\n", sep = "")
  invisible(x)
}

#' @export
as.integer.kerasbridge_shape <- function(x, ...) vapply(unclass(x), \(a) a %||% NA_integer_, 0L)

#' R arrays as arrays held by Python
#'
#' Turns R values into NumPy arrays in row-major order once, so that models take them without another
#' copy. `fit()` and the others do this by themselves; it pays where the same data are used many times.
#'
#' @param x A vector, matrix, array or data frame of numbers, or a list of these.
#' @param dtype Type of the elements. By default doubles become `"float32"`, integers and logicals stay
#'   what they are.
#' @return A NumPy array held by Python, or a list of them; `NULL` for `NULL`.
#' @examplesIf is_keras_available()
#' keras_array(matrix(1:6, 2), dtype = "float32")
#' @export
keras_array <- function(x, dtype = NULL) {
  frame <- rlang::current_env()
  if (is.null(x) || is_python(x)) {
    return(x)
  }
  if (is.list(x) && !is.data.frame(x)) {
    return(lapply(x, keras_array, dtype = dtype))
  }
  dtype <- convert_arg(dtype, "dtype", "dtype", frame)
  bridge_start(frame)
  x <- as_tensor_arg(if (is.atomic(x)) as_array(x) else x, "x", frame, dtype = dtype)
  x <- if (inherits(x, "kb_tag")) x$value else x
  the$raw$as_array(x, dtype %||% if (is.double(x)) "float32")
}

#' Rows of an HDF5 dataset
#'
#' Reads rows of a dataset in an HDF5 file, without reading the others. The axes have the order that
#' Python sees: the first one counts the samples.
#'
#' @param datapath Path of the HDF5 file.
#' @param dataset Name of the dataset in it, such as `"train/x"`.
#' @param start,end First and last row to read, counted from 1; `NULL` for the last row of all.
#' @param normalizer An R function that the array goes through.
#' @return An R array.
#' @examplesIf is_keras_available()
#' file <- tempfile(fileext = ".h5")
#' h5 <- import("h5py")$File(file, "w")
#' h5$create_dataset("x", data = np_array(matrix(1:6, 3)))
#' h5$close()
#' hdf5_matrix(file, "x", start = 2, end = 3)
#' @export
hdf5_matrix <- function(datapath, dataset, start = 1, end = NULL, normalizer = NULL) {
  frame <- rlang::current_env()
  if (!is.null(normalizer) && !is.function(normalizer) && !rlang::is_formula(normalizer)) {
    abort_argument("normalizer", paste0("must be a function, not ", describe_value(normalizer), "."), call = frame)
  }
  out <- bridge_do(
    "read_hdf5",
    path = as_path_arg(datapath, "datapath", frame), dataset = as_string_arg(dataset, "dataset", frame),
    start = as_count(start, "start", frame) - 1L, end = as_count(end, "end", frame), call = frame
  )
  if (is.null(normalizer)) out else rlang::as_function(normalizer)(out)
}

#' The next batch
#'
#' Takes one batch from a source such as [timeseries_generator()] or [flow_images_from_data()], from an R
#' function that returns batches, or from a Python iterator.
#'
#' @param generator The source. Sources of this package start again after their last batch.
#' @param completed What to return when there is nothing left.
#' @return The batch: usually a list of `x` and `y`.
#' @examplesIf is_keras_available()
#' batches <- timeseries_generator(1:10, 1:10, length = 3, batch_size = 2)
#' generator_next(batches)
#' @export
generator_next <- function(generator, completed = NULL) {
  frame <- rlang::current_env()
  if (is.function(generator) && !is_python(generator)) {
    return(generator() %||% completed)
  }
  check_alive(generator, "generator", frame)
  if (!is_python(generator)) {
    abort_argument("generator", paste0("must be a source of batches, not ", describe_value(generator), "."), call = frame)
  }
  bridge_do("generator_next", generator = generator, call = frame) %||% completed
}

#' Images as arrays
#'
#' `image_array_save()` writes an array of height, width and channels to an image file,
#' `image_array_resize()` changes its height and width.
#'
#' @param img An array of height, width and channels, or an image that [image_load()] returned.
#' @param path Path of the file; its ending says the format unless `file_format` does.
#' @param data_format `"channels_last"` or `"channels_first"`; Keras' setting if `NULL`.
#' @param file_format Format of the file such as `"png"` or `"jpeg"`.
#' @param scale Stretch the values to 0 to 255 before writing.
#' @param height,width The new size.
#' @return `image_array_save()`: `img`, invisibly. `image_array_resize()`: the array in its new size.
#' @examplesIf is_keras_available()
#' img <- array(runif(4 * 6 * 3), c(4, 6, 3))
#' image_array_save(img, tempfile(fileext = ".png"))
#' dim(image_array_resize(img, 2, 3))
#' @export
image_array_save <- function(img, path, data_format = NULL, file_format = NULL, scale = TRUE) {
  frame <- rlang::current_env()
  if (is_python(img) && !is_tensor(img) && !inherits(img, "numpy.ndarray")) {
    img <- bridge_call("keras.utils.img_to_array", list(img), call = frame)
  }
  given <- list(
    as_path_arg(path, "path", frame), as_tensor_arg(img, "img", frame),
    data_format = convert_arg(data_format, "string", "data_format", frame),
    file_format = convert_arg(file_format, "string", "file_format", frame), scale = as_bool_arg(scale, "scale", frame)
  )
  bridge_call("keras.utils.save_img", given[!vapply(given, is.null, NA)], call = frame)
  invisible(img)
}

#' @rdname image_array_save
#' @export
image_array_resize <- function(img, height, width, data_format = c("channels_last", "channels_first")) {
  frame <- rlang::current_env()
  data_format <- rlang::arg_match(data_format)
  size <- tagged(list(as_count(height, "height", frame), as_count(width, "width", frame)), "tuple")
  if (is_python(img) && !is_tensor(img) && !inherits(img, "numpy.ndarray")) {
    img <- bridge_call("keras.utils.img_to_array", list(img), call = frame)
  }
  if (!is_python(img) && !length(dim(img)) %in% 3:4) {
    abort_argument("img", paste0("must be an array of height, width and channels, not ", describe_value(img), "."), call = frame)
  }
  out <- bridge_call("keras.ops.image.resize", list(as_tensor_arg(img, "img", frame, dtype = "float32"), size, data_format = data_format), call = frame)
  if (is_tensor(img)) out else tensor_to_r(out)
}
