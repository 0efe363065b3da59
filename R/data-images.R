# Image generators of the older package. The engine is kerasbridge/data/images.py and augment.py.

#' Images changed at random
#'
#' `image_data_generator()` describes how images are changed at random and brought to scale;
#' [flow_images_from_data()] and its kin make batches of them. `fit_image_data_generator()` learns mean,
#' deviation and whitening from images, for the `featurewise_` settings and `zca_whitening`. In new models
#' the layers `layer_random_rotation()` and its kin do the same inside the model.
#'
#' Rotation, shifts, shear and zoom are one interpolation. The order is: random changes,
#' `preprocessing_function`, `rescale`, normalization.
#'
#' @param featurewise_center,featurewise_std_normalization Subtract the mean of the data, divide by their
#'   standard deviation, for each channel.
#' @param samplewise_center,samplewise_std_normalization The same with those of each image.
#' @param zca_whitening,zca_epsilon Decorrelate the pixels; the number keeps small variances in check.
#' @param rotation_range Rotate by up to so many degrees to either side.
#' @param width_shift_range,height_shift_range Move by up to this part of the size, or by so many pixels from 1
#'   on.
#' @param brightness_range Two factors between which brightness is drawn; the result stays within 0 to 255.
#' @param shear_range Shear by up to so many degrees.
#' @param zoom_range Zoom by factors from `1 - zoom_range` to `1 + zoom_range`, or between two factors.
#' @param channel_shift_range Add up to this much to all values.
#' @param fill_mode What fills the border: `"nearest"`, `"constant"` (the value `cval`), `"reflect"` or `"wrap"`.
#' @param cval Fills the border with `fill_mode = "constant"`.
#' @param horizontal_flip,vertical_flip Mirror every second image or so.
#' @param rescale Factor for all values, such as `1 / 255`.
#' @param preprocessing_function An R function that takes an array of height, width and channels and returns one
#'   of the same shape. It is called on R's main thread, image by image, which is slower than everything else here.
#' @param data_format `"channels_last"` or `"channels_first"`; Keras' setting if `NULL`.
#' @param validation_split Part of the images that `subset = "validation"` takes: the first ones.
#' @param object An image generator.
#' @param x Images: an array of image, height, width and channels.
#' @param augment Learn from changed images.
#' @param rounds How often to go over the images when they are changed.
#' @param seed A whole number that makes the changes the same each time.
#' @return The image generator.
#' @examplesIf is_keras_available()
#' generator <- image_data_generator(rotation_range = 20, horizontal_flip = TRUE, rescale = 1 / 255)
#' x <- array(runif(4 * 8 * 8 * 3, 0, 255), c(4, 8, 8, 3))
#' batches <- flow_images_from_data(x, 1:4, generator, batch_size = 2, seed = 1)
#' dim(generator_next(batches)[[1]])
#' @export
image_data_generator <- function(featurewise_center = FALSE, samplewise_center = FALSE, featurewise_std_normalization = FALSE,
                                 samplewise_std_normalization = FALSE, zca_whitening = FALSE, zca_epsilon = 1e-6,
                                 rotation_range = 0, width_shift_range = 0, height_shift_range = 0, brightness_range = NULL,
                                 shear_range = 0, zoom_range = 0, channel_shift_range = 0, fill_mode = "nearest", cval = 0,
                                 horizontal_flip = FALSE, vertical_flip = FALSE, rescale = NULL,
                                 preprocessing_function = NULL, data_format = NULL, validation_split = 0) {
  frame <- rlang::current_env()
  types <- c(
    featurewise_center = "bool", samplewise_center = "bool", featurewise_std_normalization = "bool",
    samplewise_std_normalization = "bool", zca_whitening = "bool", zca_epsilon = "num", rotation_range = "num",
    width_shift_range = "num", height_shift_range = "num", brightness_range = "nums", shear_range = "num", zoom_range = "nums",
    channel_shift_range = "num", fill_mode = "string", cval = "num", horizontal_flip = "bool", vertical_flip = "bool",
    rescale = "num", preprocessing_function = "function", validation_split = "num"
  )
  args <- supplied(frame, types)
  if (length(brightness_range) == 1) {
    abort_argument("brightness_range", "must be two factors, such as `c(0.8, 1.2)`.", call = frame)
  }
  args$data_format <- data_format %||% config_image_data_format()
  do.call(bridge_do, c(list("image_generator"), args, list(call = frame)))
}

#' @rdname image_data_generator
#' @export
fit_image_data_generator <- function(object, x, augment = FALSE, rounds = 1, seed = NULL) {
  frame <- rlang::current_env()
  check_image_generator(object, "object", frame)
  bridge_do(
    "image_generator_fit",
    generator = object, x = as_data_arg(x, "x", frame), augment = as_bool_arg(augment, "augment", frame),
    rounds = as_count(rounds, "rounds", frame), seed = convert_arg(seed, "int", "seed", frame), call = frame
  )
  invisible(object)
}

#' Batches of images
#'
#' Sources of image batches for [fit()][fit.kerasbridge_model], `evaluate()` and `predict()`: from an array, from a folder
#' with one subfolder for each class, or from a data frame of paths. Files are read batch by batch, by several
#' threads.
#'
#' @param x Images: an array of image, height, width and channels.
#' @param y Targets, a row for each image.
#' @param generator How to change and scale the images, see [image_data_generator()].
#' @param batch_size Images a batch.
#' @param shuffle A new random order in each epoch.
#' @param sample_weight A weight for each image.
#' @param seed A whole number that makes order and changes the same each time.
#' @param save_to_dir Folder to write the changed images to, to look at them.
#' @param save_prefix,save_format Start of the names of these files, and their format.
#' @param subset `"training"` or `"validation"`, with a generator that has a `validation_split`.
#' @param directory The folder; for a data frame the one to which its paths are relative.
#' @param target_size Height and width to which images are brought. A JPEG of twice that or more is made
#'   smaller while it is decoded.
#' @param color_mode `"rgb"`, `"rgba"` or `"grayscale"`.
#' @param classes Names of the classes (subfolders) in the order of their numbers from 0; sorted by name if
#'   `NULL`.
#' @param class_mode Form of the targets: `"categorical"` (a column for each class), `"binary"` or `"sparse"` (class
#'   numbers), `"input"` (the images themselves), `NULL` for none; with a data frame also `"raw"` (the values of
#'   `y_col`) and `"multi_output"` (an output for each of `y_col`).
#' @param follow_links Follow links to other folders.
#' @param interpolation How sizes are changed: `"nearest"`, `"bilinear"`, `"bicubic"`, `"lanczos"`, `"box"` or
#'   `"hamming"`.
#' @param dataframe A data frame of paths and targets.
#' @param drop_duplicates Leave out rows whose path came before.
#' @param x_col,y_col Names of the columns with paths and with targets.
#' @return A source of batches with the fields `samples`, `class_indices` (a named list class = number), `classes`,
#'   `filenames`, `num_classes`, `image_shape`; `length()` of it is the number of batches. Take a batch with
#'   [generator_next()].
#' @examplesIf is_keras_available()
#' folder <- tempfile()
#' for (class in c("dark", "light")) {
#'   dir.create(file.path(folder, class), recursive = TRUE)
#'   image_array_save(array(runif(192), c(8, 8, 3)), file.path(folder, class, "1.png"))
#' }
#' images <- flow_images_from_directory(folder, target_size = c(8, 8))
#' images$class_indices
#' @export
flow_images_from_data <- function(x, y = NULL, generator = image_data_generator(), batch_size = 32, shuffle = TRUE,
                                  sample_weight = NULL, seed = NULL, save_to_dir = NULL, save_prefix = "",
                                  save_format = "png", subset = NULL) {
  frame <- rlang::current_env()
  image_flow("flow", generator, frame, list(
    x = as_data_arg(x, "x", frame), y = as_data_arg(y, "y", frame), sample_weight = as_data_arg(sample_weight, "sample_weight", frame)
  ))
}

#' @rdname flow_images_from_data
#' @export
flow_images_from_directory <- function(directory, generator = image_data_generator(), target_size = c(256, 256),
                                       color_mode = "rgb", classes = NULL, class_mode = "categorical", batch_size = 32,
                                       shuffle = TRUE, seed = NULL, save_to_dir = NULL, save_prefix = "",
                                       save_format = "png", follow_links = FALSE, subset = NULL,
                                       interpolation = "nearest") {
  frame <- rlang::current_env()
  image_flow("flow_from_directory", generator, frame, c(
    list(directory = as_path_arg(directory, "directory", frame), follow_links = as_bool_arg(follow_links, "follow_links", frame)),
    reading_arguments(frame)
  ))
}

#' @rdname flow_images_from_data
#' @export
flow_images_from_dataframe <- function(dataframe, directory = NULL, x_col = "filename", y_col = "class",
                                       generator = image_data_generator(), target_size = c(256, 256), color_mode = "rgb",
                                       classes = NULL, class_mode = "categorical", batch_size = 32, shuffle = TRUE,
                                       seed = NULL, save_to_dir = NULL, save_prefix = "", save_format = "png",
                                       subset = NULL, interpolation = "nearest", drop_duplicates = FALSE) {
  frame <- rlang::current_env()
  if (!is.data.frame(dataframe)) {
    abort_argument("dataframe", paste0("must be a data frame, not ", describe_value(dataframe), "."), call = frame)
  }
  needs_y <- !is.null(class_mode) && !identical(class_mode, "input")
  for (column in c(x_col, if (needs_y) y_col)) {
    if (!column %in% names(dataframe)) {
      arg <- if (column %in% x_col) "x_col" else "y_col"
      abort_argument(arg, paste0("names '", column, "', which the data frame does not have."), paste0("It has: ", paste(names(dataframe), collapse = ", "), "."), call = frame)
    }
  }
  files <- as.character(dataframe[[x_col]])
  refuse_na(files, paste0("dataframe$", x_col), frame)
  y <- NULL
  if (needs_y && class_mode %in% c("raw", "other", "multi_output")) {
    y <- tagged(lapply(y_col, \(column) as_data_arg(dataframe[[column]], paste0("dataframe$", column), frame)), "list")
  } else if (needs_y) {
    labels <- as.character(dataframe[[y_col]])
    refuse_na(labels, paste0("dataframe$", y_col), frame)
    y <- as_utf8_list(labels)
  }
  image_flow("flow_from_table", generator, frame, c(
    list(
      files = as_utf8_list(files), y = y, directory = convert_arg(directory, "path", "directory", frame),
      drop_duplicates = as_bool_arg(drop_duplicates %||% FALSE, "drop_duplicates", frame)
    ),
    reading_arguments(frame)
  ))
}

reading_arguments <- function(frame) {
  classes <- get("classes", frame)
  list(
    target_size = size_pair(get("target_size", frame), frame),
    color_mode = as_string_arg(get("color_mode", frame), "color_mode", frame),
    classes = if (!is.null(classes)) as_utf8_list(as.character(classes)),
    class_mode = convert_arg(get("class_mode", frame), "string", "class_mode", frame),
    interpolation = as_string_arg(get("interpolation", frame), "interpolation", frame)
  )
}

image_flow <- function(kind, generator, frame, own) {
  check_image_generator(generator, "generator", frame)
  types <- c(shuffle = "bool", seed = "int", save_to_dir = "path", save_prefix = "string", save_format = "string", subset = "string")
  common <- lapply(rlang::set_names(names(types)), \(name) convert_arg(get(name, frame), types[[name]], name, frame))
  common$batch_size <- as_count(get("batch_size", frame), "batch_size", frame)
  bridge_do("image_flow", kind = kind, generator = generator, arguments = tagged(c(own, common), "dict"), call = frame)
}

check_image_generator <- function(x, arg, call) {
  check_alive(x, arg, call)
  if (!inherits(x, "kerasbridge.data.images.ImageGenerator")) {
    abort_argument(arg, paste0("must be an image generator, not ", describe_value(x), "."), "`image_data_generator()` makes one.", call = call)
  }
}

#' @export
print.kerasbridge.data.images.ImageGenerator <- function(x, ...) {
  cat("<image generator>\n")
  invisible(x)
}

#' @export
length.kerasbridge.data.indexed.DirectBatches <- function(x) as.integer(bridge_method(x, "__len__"))

#' @export
print.kerasbridge.data.indexed.DirectBatches <- function(x, ...) print.kerasbridge.data.indexed.IndexedBatches(x)
