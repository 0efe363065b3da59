# Helpers around the applications (models trained on ImageNet): what fits the model at hand.

# Start of a model's name (lower case) -> the module of keras.applications that made it. Longer ones first.
application_families <- c(
  inception_resnet_v2 = "inception_resnet_v2", inception_v3 = "inception_v3", "efficientnetv2" = "efficientnet_v2",
  efficientnet = "efficientnet", "mobilenetv2" = "mobilenet_v2", "mobilenetv3" = "mobilenet_v3", mobilenet = "mobilenet",
  densenet = "densenet", nasnet = "nasnet", convnext = "convnext", vgg16 = "vgg16", vgg19 = "vgg19", xception = "xception"
)

application_family <- function(model, frame) {
  check_model(model, frame, "model")
  name <- tolower(py_attribute(model, "name"))
  if (grepl("^resnet[0-9]+v2", name)) {
    return("resnet_v2")
  }
  if (grepl("^resnet[0-9]+", name)) {
    return("resnet")
  }
  found <- application_families[startsWith(name, names(application_families))]
  if (!length(found)) {
    abort_argument(
      "model", paste0("is called '", py_attribute(model, "name"), "', which no application is: its preprocessing is not known."),
      "Call that of the family itself, such as `resnet_preprocess_input(x)`.", call = frame
    )
  }
  found[[1]]
}

#' Preprocessing and class names of the model at hand
#'
#' `application_preprocess_inputs()` scales images as the given application was trained, `application_decode_predictions()`
#' names the classes with the highest scores. The model is recognised by its name: keep the default `name`
#' when you make it.
#'
#' @param model A model that an `application_*()` function returned.
#' @param x Images with values from 0 to 255: an array or a tensor.
#' @param preds Scores with a row for each image and 1000 columns.
#' @param top Number of classes to name.
#' @param data_format `"channels_last"` or `"channels_first"`; Keras' setting if `NULL`.
#' @param ... Not used.
#' @return `application_preprocess_inputs()`: the images. `application_decode_predictions()`: a list with a data frame for each
#'   image: `class_name`, `class_description` and `score`.
#' @examplesIf is_keras_available()
#' model <- application_mobilenet_v2(weights = NULL, input_shape = c(32, 32, 3))
#' x <- array(c(0, 127.5, 255), c(1, 1, 1, 3))
#' application_preprocess_inputs(model, x)
#' @export
application_preprocess_inputs <- function(model, x, ..., data_format = NULL) {
  frame <- rlang::current_env()
  extra_args(list(...), character(), frame)
  symbol <- paste0("keras.applications.", application_family(model, frame), ".preprocess_input")
  args <- list(as_tensor_arg(x, "x", frame, dtype = "float32"))
  if (!is.null(data_format)) {
    args$data_format <- as_string_arg(data_format, "data_format", frame)
  }
  bridge_call(symbol, args, call = frame)
}

#' @rdname application_preprocess_inputs
#' @export
application_decode_predictions <- function(model, preds, top = 5L, ...) {
  frame <- rlang::current_env()
  extra_args(list(...), character(), frame)
  symbol <- paste0("keras.applications.", application_family(model, frame), ".decode_predictions")
  if (is_tensor(preds)) {
    preds <- tensor_to_r(preds)
  }
  found <- bridge_call(symbol, list(as_tensor_arg(preds, "preds", frame), top = as_count(top, "top", frame)), call = frame)
  lapply(found, \(image) {
    data.frame(
      class_name = vapply(image, \(row) as.character(row[[1]]), ""),
      class_description = vapply(image, \(row) as.character(row[[2]]), ""),
      score = vapply(image, \(row) as.numeric(row[[3]]), 0)
    )
  })
}

#' Load a stored MobileNet
#'
#' Older names: [load_model()] reads these files by itself.
#'
#' @param filepath Path of the file.
#' @return The model.
#' @examplesIf is_keras_available()
#' model <- application_mobilenet(weights = NULL, input_shape = c(32, 32, 3), classes = 2)
#' file <- tempfile(fileext = ".h5")
#' save_model(model, file)
#' mobilenet_load_model_hdf5(file)$name
#' @export
mobilenet_load_model_hdf5 <- function(filepath) {
  load_model(filepath, custom_objects = list(relu6 = keras$activations$relu6), compile = FALSE)
}

#' @rdname mobilenet_load_model_hdf5
#' @export
mobilenet_v2_load_model_hdf5 <- function(filepath) mobilenet_load_model_hdf5(filepath)

#' Dense networks of any size
#'
#' A densely connected network with any number of units in each block. [application_densenet121()] and its kin are
#' the usual ones.
#'
#' @param blocks Units of each block: `c(6, 12, 24, 16)` is DenseNet121.
#' @param include_top With the layers that tell the classes.
#' @param weights `"imagenet"` (for the usual block sizes only), `NULL` for random ones, or the path of a weights file.
#' @param input_tensor A symbolic tensor to use as input.
#' @param input_shape Shape of the input, such as `c(224, 224, 3)`.
#' @param pooling Without the top: `"avg"`, `"max"`, or `NULL` for the feature maps themselves.
#' @param classes Number of classes.
#' @return A model.
#' @examplesIf is_keras_available()
#' model <- application_densenet(c(2, 2), weights = NULL, input_shape = c(32, 32, 3), classes = 2)
#' count_params(model)
#' @export
application_densenet <- function(blocks, include_top = TRUE, weights = "imagenet", input_tensor = NULL,
                                 input_shape = NULL, pooling = NULL, classes = 1000) {
  frame <- rlang::current_env()
  if (!is_whole(blocks) || !length(blocks)) {
    abort_argument("blocks", paste0("must be whole numbers, not ", describe_value(blocks), "."), call = frame)
  }
  bridge_do(
    "densenet",
    blocks = tagged(as.list(as.integer(blocks)), "tuple"), include_top = as_bool_arg(include_top, "include_top", frame),
    weights = convert_arg(weights, "path", "weights", frame), input_tensor = input_tensor,
    input_shape = convert_arg(input_shape, "shape", "input_shape", frame),
    pooling = convert_arg(pooling, "string", "pooling", frame), classes = as_count(classes, "classes", frame), call = frame
  )
}

#' NASNet by its numbers
#'
#' The two networks of the family that exist: the large one (the defaults) and the mobile one
#' (`penultimate_filters = 1056`, `num_blocks = 4`, `stem_block_filters = 32`, `skip_reduction = FALSE`). Keras builds no
#' others any more. In new code use [application_nasnet_large()] and [application_nasnet_mobile()].
#'
#' @param penultimate_filters,num_blocks,stem_block_filters,skip_reduction,filter_multiplier Numbers that say which of the
#'   two is meant; other combinations are refused.
#' @param weights `NULL` for random weights, `"imagenet"`, or the path of a weights file.
#' @param default_size Height and width of the input if `input_shape` says nothing.
#' @return A model.
#' @examplesIf is_keras_available()
#' \dontrun{
#' model <- application_nasnet(input_shape = c(64, 64, 3), classes = 2)
#' }
#' @export
application_nasnet <- function(input_shape = NULL, penultimate_filters = 4032, num_blocks = 6, stem_block_filters = 96,
                               skip_reduction = TRUE, filter_multiplier = 2, include_top = TRUE, weights = NULL,
                               input_tensor = NULL, pooling = NULL, classes = 1000, default_size = NULL) {
  frame <- rlang::current_env()
  numbers <- c(penultimate_filters, num_blocks, stem_block_filters, skip_reduction, filter_multiplier)
  which <- if (isTRUE(all.equal(numbers, c(4032, 6, 96, 1, 2)))) "Large" else if (isTRUE(all.equal(numbers, c(1056, 4, 32, 0, 2)))) "Mobile"
  if (is.null(which)) {
    abort_kind(
      "unsupported", "Keras has the large and the mobile NASNet only; these numbers describe another one.",
      i = "Large: 4032, 6, 96, TRUE, 2 (the defaults). Mobile: 1056, 4, 32, FALSE, 2.", argument = "penultimate_filters", call = frame
    )
  }
  if (!is.null(default_size) && is.null(input_shape)) {
    input_shape <- c(default_size, default_size, 3)
  }
  args <- list(
    input_shape = convert_arg(input_shape, "shape", "input_shape", frame), include_top = as_bool_arg(include_top, "include_top", frame),
    weights = convert_arg(weights, "path", "weights", frame), input_tensor = input_tensor,
    pooling = convert_arg(pooling, "string", "pooling", frame), classes = as_count(classes, "classes", frame)
  )
  bridge_call(paste0("keras.applications.NASNet", which), args, call = frame)
}
