# Data that need not fit in memory. R describes them; the engine is kerasbridge/data/sources/.

#' Data larger than memory
#'
#' A source describes data that lie in files. Give it to [fit()][fit.kerasbridge_model], [evaluate()] or
#' `predict()` in place of `x` and `y`: batches are read while the model trains, and memory stays flat
#' however large the files are.
#'
#' # Order
#'
#' In training the parts of the files (ranges of lines, row groups, chunks) come in a new random order in
#' each epoch, and rows are mixed within a buffer of `buffer_size` rows. The order depends on `seed` and the
#' epoch. `evaluate()` and `predict()` take rows as they lie. Samples that can be had one by one (images,
#' texts, windows, functions) come in a full random order.
#'
#' # Rows that can't be used
#'
#' A row with a missing or infinite value, a field that is not a number, an unknown level or a wrong number
#' of fields, and a file that is damaged, are errors that name the file and the row (counted from 1, the
#' line of column names not counted). With `on_error = "skip"` such rows are left out and counted: the
#' files are read once ahead of training, `source$skipped` is the number of rows and `source$problems`
#' says where the first of them are. A missing value is of use where the model that reads the source has a rule
#' for it (`na` of [keras_model_tabular()] or of its schema): it is filled as in a data frame.
#'
#' # Columns
#'
#' Numbers and logicals become numbers. Text becomes a factor; its levels are those of `levels` or
#' `schema`, else they are learnt in one pass and sorted. `encode` says what a factor becomes: `"one_hot"` (a
#' column of 0 and 1 for each level), `"codes"` (its number from 0), or `"columns"`, with which `x` is a
#' named list of columns for a model with an input for each: text for its inputs of type `"string"`, such as
#' those of [keras_model_tabular()], the number of the level for others. A factor as `y` gives class numbers from 0; the
#' model keeps the levels, so that `predict(type = "class")` returns a factor. Dates are refused: write them
#' as numbers that mean something.
#'
#' @param path Files, patterns such as `"data/part-*.csv"`, or a folder. CSV files may be compressed (`.gz`,
#'   `.bz2`, `.zst`). `source_images()` and `source_text()` take a folder with a folder for each class.
#'   `source_images()` also takes a data frame with the columns `path` and, if there are labels, `label`.
#' @param y Names of the target columns; for `source_hdf5()` the path of the dataset of targets, for
#'   `source_npy()` that of its file.
#' @param x Names of the input columns; all others if `NULL` (a column without a name, such as the row names
#'   that `write.csv()` writes, is left out). For `source_hdf5()` and `source_npy()` as `y`; a named list of
#'   paths for a model of several inputs.
#' @param batch_size Rows a batch.
#' @param ... More arguments of every source, by name:
#'   * `shuffle` (`TRUE`): a new order in each epoch.
#'   * `seed`: a whole number that makes the orders the same each time.
#'   * `validation_split` (0): share of the rows, the last ones (for images and texts the last of each
#'     class), that validates. `fit()` uses it by itself; it is a source of its own, `source$validation`.
#'   * `buffer_size`: rows that are mixed together; by default as many as take 32 MB.
#'   * `on_error` (`"stop"`): or `"skip"`, see below.
#' @param sample_weight Name of a column of weights, or path as `y`.
#' @param types Named by column: `"number"` or `"factor"`, where the first rows mislead.
#' @param levels Named list of the levels of factors, in order.
#' @param encode What factors become, see below.
#' @param schema A schema, from [frame_schema()] or [model_schema()], that says types and levels.
#' @param column_names Names, for files that have no line of them.
#' @param sep,quote,dec,encoding How the text is written; `quote = ""` if quotes mean nothing.
#' @param na_strings Texts that mean a missing value.
#' @param transposed Whether axes lie in the opposite order, as in files that hdf5r and rhdf5 write; told from
#'   the numbers of rows of `x` and `y` if `NULL`.
#' @param unit For texts: `"files"` (a sample is a file) or `"lines"`.
#' @param labels Class name of each file.
#' @param classes Names of the classes in the order of their numbers from 0; sorted if `NULL`.
#' @param vectorize A layer or Python function that turns texts into numbers, such as an adapted
#'   [layer_text_vectorization()]. Without it `x` is text, for models that begin with such a layer.
#' @param directory Folder to which the paths of a data frame are relative.
#' @param target_size Height and width to which images are brought. A JPEG of twice that or more is made
#'   smaller while it is decoded.
#' @param color_mode `"rgb"`, `"rgba"` or `"grayscale"`.
#' @param class_mode `"sparse"` (class numbers), `"categorical"` (a column for each class), or `NULL` for
#'   images alone.
#' @param interpolation How sizes are changed, see [flow_images_from_directory()].
#' @param rescale Factor for all values, which are 0 to 255.
#' @param generator Random changes of the images, see [image_data_generator()].
#' @param data,targets A series: a vector, a matrix or array with time in its first axis, or the path of a
#'   `.npy` file. `targets[i]` belongs to the window that starts at step `i`.
#' @param sequence_length,sampling_rate,sequence_stride Steps of a window that are kept, every how many steps
#'   one is kept, and how many steps lie between the starts of two windows.
#' @param start_index,end_index First and last step that is used, counted from 1.
#' @param fn A Python function from a number, counted from 0, to `x`, `(x, y)` or `(x, y, weight)` of one
#'   sample. For R functions see [dataset_from_function()].
#' @param length Number of samples.
#' @return A source. `length()` is its number of batches; `source$samples` its rows, `source$levels` the
#'   levels by column, `source$x_names` the names of the columns of `x`, `source$validation` the rows set
#'   aside, `source$class_names` the classes of images and texts. [generator_next()] gives a batch.
#' @examplesIf is_keras_available()
#' file <- tempfile(fileext = ".csv")
#' write.csv(iris, file, row.names = FALSE)
#' flowers <- source_csv(file, y = "Species", batch_size = 16, seed = 1, validation_split = 0.2)
#' flowers
#' flowers$levels
#' model <- keras_model_sequential(input_shape = 4) |> layer_dense(3, activation = "softmax")
#' compile(model, "adam", "sparse_categorical_crossentropy")
#' history <- fit(model, flowers, epochs = 2, verbose = 0)
#' head(predict(model, flowers, type = "class", verbose = 0))
#' @name sources
NULL

#' @rdname sources
#' @export
source_csv <- function(path, y = NULL, x = NULL, batch_size = 32, ..., sample_weight = NULL, types = NULL, levels = NULL,
                       encode = "one_hot", schema = NULL, column_names = NULL, sep = ",", quote = "\"", dec = ".",
                       encoding = "UTF-8", na_strings = NULL) {
  frame <- rlang::current_env()
  make_source("source_csv", frame, list(...), c(
    table_arguments(frame),
    list(
      column_names = strings_list(column_names, "column_names", frame),
      delimiter = as_string_arg(sep, "sep", frame), quote = as_string_arg(quote, "quote", frame),
      decimal_point = as_string_arg(dec, "dec", frame), encoding = as_string_arg(encoding, "encoding", frame),
      missing = strings_list(na_strings, "na_strings", frame)
    )
  ))
}

#' @rdname sources
#' @export
source_parquet <- function(path, y = NULL, x = NULL, batch_size = 32, ..., sample_weight = NULL, types = NULL,
                           levels = NULL, encode = "one_hot", schema = NULL) {
  frame <- rlang::current_env()
  make_source("source_parquet", frame, list(...), table_arguments(frame))
}

#' @rdname sources
#' @export
source_hdf5 <- function(path, x = "x", y = NULL, batch_size = 32, ..., sample_weight = NULL, transposed = NULL) {
  frame <- rlang::current_env()
  make_source("source_hdf5", frame, list(...), list(
    path = paths_list(path, "path", frame), x = as_strings_arg(x, "x", frame), y = convert_arg(y, "strings", "y", frame),
    sample_weight = convert_arg(sample_weight, "strings", "sample_weight", frame),
    transposed = convert_arg(transposed, "bool", "transposed", frame)
  ))
}

#' @rdname sources
#' @export
source_npy <- function(x, y = NULL, batch_size = 32, ..., sample_weight = NULL) {
  frame <- rlang::current_env()
  make_source("source_npy", frame, list(...), list(
    x = as_strings_arg(x, "x", frame), y = convert_arg(y, "strings", "y", frame),
    sample_weight = convert_arg(sample_weight, "strings", "sample_weight", frame)
  ))
}

#' @rdname sources
#' @export
source_text <- function(path, batch_size = 32, ..., unit = "files", labels = NULL, classes = NULL, vectorize = NULL,
                        encoding = "UTF-8") {
  frame <- rlang::current_env()
  if (!is.null(vectorize) && !is_python(vectorize)) {
    abort_argument("vectorize", paste0("must be a layer or a Python function, not ", describe_value(vectorize), "."), call = frame)
  }
  path <- if (length(path) == 1) as_path_arg(path, "path", frame) else paths_list(path, "path", frame)
  make_source("source_text", frame, list(...), list(
    path = path, unit = as_string_arg(unit, "unit", frame), labels = strings_list(as_text(labels), "labels", frame),
    classes = strings_list(classes, "classes", frame), vectorize = vectorize,
    encoding = as_string_arg(encoding, "encoding", frame)
  ))
}

#' @rdname sources
#' @export
source_images <- function(path, batch_size = 32, ..., directory = NULL, target_size = c(224, 224), color_mode = "rgb",
                          classes = NULL, class_mode = "sparse", interpolation = "bilinear", rescale = NULL,
                          generator = NULL) {
  frame <- rlang::current_env()
  if (!is.null(generator)) {
    check_image_generator(generator, "generator", frame)
    if (!is.null(py_attribute(generator, "preprocessing_function"))) {
      abort_argument("generator", "has an R function for preprocessing, which must not run beside training.", "Use `flow_images_from_directory()`.", call = frame)
    }
  }
  labels <- NULL
  if (is.data.frame(path)) {
    if (!"path" %in% names(path)) {
      abort_argument("path", "is a data frame without a column `path`.", paste0("It has: ", paste(names(path), collapse = ", "), "."), call = frame)
    }
    labels <- path$label
    if (is.factor(labels)) {
      classes <- classes %||% levels(labels)
      labels <- as.character(labels)
    }
    labels <- if (is.character(labels)) strings_list(labels, "path$label", frame) else as_data_arg(labels, "path$label", frame)
    path <- strings_list(as.character(path$path), "path$path", frame)
  } else {
    path <- as_path_arg(path, "path", frame)
  }
  make_source("source_images", frame, list(...), list(
    path = path, labels = labels, directory = convert_arg(directory, "path", "directory", frame),
    target_size = size_pair(target_size, frame), color_mode = as_string_arg(color_mode, "color_mode", frame),
    classes = strings_list(classes, "classes", frame), class_mode = convert_arg(class_mode, "string", "class_mode", frame),
    interpolation = as_string_arg(interpolation, "interpolation", frame), rescale = convert_arg(rescale, "num", "rescale", frame),
    generator = generator
  ), keep = "class_mode")
}

#' @rdname sources
#' @export
source_timeseries <- function(data, targets = NULL, sequence_length, batch_size = 32, ..., sampling_rate = 1,
                              sequence_stride = 1, start_index = 1, end_index = NULL) {
  frame <- rlang::current_env()
  series <- function(value, arg) if (is.character(value)) as_path_arg(value, arg, frame) else as_data_arg(value, arg, frame)
  make_source("source_timeseries", frame, list(...), list(
    data = series(data, "data"), targets = series(targets, "targets"),
    sequence_length = as_count(sequence_length, "sequence_length", frame),
    sampling_rate = as_count(sampling_rate, "sampling_rate", frame),
    sequence_stride = as_count(sequence_stride, "sequence_stride", frame),
    start = as_count(start_index, "start_index", frame) - 1L, end = as_count(end_index, "end_index", frame)
  ))
}

#' @rdname sources
#' @export
source_function <- function(fn, length, batch_size = 32, ...) {
  frame <- rlang::current_env()
  if (!is_python(fn)) {
    abort_argument("fn", paste0("must be a Python function, not ", describe_value(fn), "."), "For an R function see `dataset_from_function()`.", call = frame)
  }
  make_source("source_function", frame, list(...), list("function" = fn, length = as_count(length, "length", frame)))
}

# ---- arguments ----------------------------------------------------------------------------------------

# What every source takes in `...`.
reading_types <- c(
  shuffle = "bool", seed = "int", validation_split = "num", buffer_size = "int", on_error = "string"
)

make_source <- function(verb, frame, dots, own, keep = character()) {
  reading <- extra_args(dots, reading_types, frame)
  reading$batch_size <- as_count(get("batch_size", frame), "batch_size", frame)
  given <- c(own, reading)
  given <- given[!vapply(given, is.null, NA) | names(given) %in% keep]
  source <- do.call(bridge_do, c(list(verb), given, list(call = frame)))
  skipped <- source$skipped
  problems <- unlist(source$problems)
  if (length(problems)) {
    rlang::inform(
      c(
        sprintf("%d row%s can't be used and %s left out.", skipped, if (skipped == 1) "" else "s", if (skipped == 1) "is" else "are"),
        rlang::set_names(utils::head(problems, 3), "i")
      ),
      class = "kerasbridge_note"
    )
  }
  source
}

table_arguments <- function(frame) {
  from <- function(name) get(name, frame)
  levels <- from("levels")
  if (!is.null(levels)) {
    if (!is.list(levels) || is.null(names(levels))) {
      abort_argument("levels", "must be a list of levels, named by column.", "For example `list(size = c(\"small\", \"large\"))`.", call = frame)
    }
    levels <- tagged(lapply(levels, \(one) strings_list(as.character(one), "levels", frame)), "dict")
  }
  types <- from("types")
  if (!is.null(types)) {
    if (is.null(names(types))) {
      abort_argument("types", "must be named by column, such as `c(zip = \"factor\")`.", call = frame)
    }
    types <- tagged(as.list(types), "dict")
  }
  list(
    path = paths_list(from("path"), "path", frame), y = strings_list(from("y"), "y", frame),
    x = strings_list(from("x"), "x", frame), sample_weight = convert_arg(from("sample_weight"), "string", "sample_weight", frame),
    types = types, levels = levels, encode = as_string_arg(from("encode"), "encode", frame),
    schema = if (!is.null(from("schema"))) schema_json(from("schema"), frame)
  )
}

strings_list <- function(x, arg, call) {
  if (is.null(x)) {
    return(NULL)
  }
  if (!is.character(x)) {
    abort_argument(arg, paste0("must be one or several strings, not ", describe_value(x), "."), call = call)
  }
  refuse_na(x, arg, call)
  tagged(as.list(enc2utf8(unname(x))), "list")
}

paths_list <- function(x, arg, call) strings_list(if (is.character(x)) path.expand(x) else x, arg, call)

as_text <- function(x) if (is.factor(x)) as.character(x) else x

size_pair <- function(size, frame) {
  if (!is_whole(size) || length(size) != 2 || any(size < 1)) {
    abort_argument("target_size", paste0("must be height and width, not ", describe_value(size), "."), call = frame)
  }
  tagged(as.list(as.integer(size)), "tuple")
}

# ---- what a source shows ------------------------------------------------------------------------------

#' @export
length.kerasbridge.data.sources.base.Source <- function(x) as.integer(bridge_method(x, "__len__"))

#' @export
print.kerasbridge.data.sources.base.Source <- function(x, ...) {
  word <- sub("Source$|Batches$", "", sub(".*\\.", "", class(x)[[1]]))
  cat(sprintf("<%s source of %d row%s in batches of %d>\n", tolower(word), x$samples, if (x$samples == 1) "" else "s", x$batch_size))
  if (!is.null(x$validation)) {
    cat(sprintf("  %d rows set aside for validation\n", x$validation$samples))
  }
  if (length(x$problems)) {
    cat(sprintf("  %d left out, for instance: %s\n", x$skipped, x$problems[[1]]))
  }
  invisible(x)
}
