diamonds_files <- function(env = parent.frame()) {
  folder <- withr::local_tempdir(.local_envir = env)
  diamonds <- as.data.frame(ggplot2::diamonds)
  half <- seq_len(nrow(diamonds)) %% 2 == 0
  utils::write.csv(diamonds[half, ], file.path(folder, "half.csv"), row.names = TRUE)
  con <- gzfile(file.path(folder, "rest.csv.gz"), "w")
  utils::write.csv(diamonds[!half, ], con, row.names = TRUE)
  close(con)
  folder
}

test_that("diamonds train from CSV and from Parquet", {
  skip_if_no_keras()
  skip_if_not_installed("ggplot2")
  folder <- diamonds_files()
  grades <- lapply(ggplot2::diamonds[c("cut", "color", "clarity")], levels)
  source <- source_csv(
    file.path(folder, "*.csv*"), y = "price", x = c("carat", "depth", "cut", "color", "clarity"),
    levels = grades, batch_size = 512, seed = 1, validation_split = 0.1
  )
  expect_identical(source$samples + source$validation$samples, 53940L)
  expect_identical(length(source), as.integer(ceiling(source$samples / 512)))
  expect_identical(source$levels$color, grades$color)
  expect_identical(utils::head(source$x_names, 3), c("carat", "depth", "cut=Fair"))
  expect_output(print(source), "csv source of 48546 rows in batches of 512.*5394 rows set aside")
  set_random_seed(4)
  model <- keras_model_sequential(input_shape = 22) |> layer_normalization() |> layer_dense(32, activation = "relu") |> layer_dense(1)
  compile(model, optimizer_adam(0.05), "mean_absolute_error")
  history <- fit(model, source, epochs = 10, verbose = 0)
  expect_identical(history$engine == "keras", config_backend() != "tensorflow")
  expect_identical(history$params$validation_samples, 5394L)
  expect_lt(history$metrics$loss[[10]], 0.5 * history$metrics$loss[[1]])
  expect_identical(dim(predict(model, source$validation, verbose = 0)), c(5394L, 1L))
  expect_equal(evaluate(model, source$validation, verbose = 0)$loss, history$metrics$val_loss[[10]], tolerance = 1e-3)
  # the same rows as Parquet, written by Python
  out <- run_python(c(
    "import pyarrow as pa, pyarrow.csv as c, pyarrow.parquet as q",
    sprintf("t = c.read_csv(r'%s')", file.path(folder, "half.csv")),
    sprintf("q.write_table(t, r'%s', row_group_size=5000)", file.path(folder, "half.parquet"))
  ))
  expect_identical(out$status, 0L)
  parquet <- source_parquet(file.path(folder, "half.parquet"), y = "cut", x = c("carat", "depth", "table"), levels = grades["cut"])
  expect_identical(parquet$samples, 26970L)
  classifier <- keras_model_sequential(input_shape = 3) |> layer_normalization() |> layer_dense(5, activation = "softmax")
  compile(classifier, "adam", "sparse_categorical_crossentropy", metrics = "accuracy")
  fit(classifier, parquet, epochs = 1, batch_size = 256, verbose = 0)
  some <- as.data.frame(ggplot2::diamonds)[1:6, ]
  classes <- predict(classifier, some[c("table", "depth", "carat")], type = "class", verbose = 0)
  expect_identical(levels(classes), grades$cut)
  expect_identical(length(classes), 6L)
})

test_that("bad rows are errors with file and row, or are skipped", {
  skip_if_no_keras()
  file <- withr::local_tempfile(fileext = ".csv")
  writeLines(c("a,b,y", "1,2,3", "4,,6", "7,8"), file)
  expect_error(source_csv(file, y = "y"), "row 3: it has 2 fields", class = "kerasbridge_error_data")
  expect_message(source <- source_csv(file, y = "y", on_error = "skip"), "2 rows can't be used", class = "kerasbridge_note")
  expect_identical(c(source$samples, source$skipped), c(1L, 2L))
  expect_error(source_csv(file, y = "z", on_error = "skip"), "no column 'z'", class = "kerasbridge_error_argument")
  expect_error(source_csv(tempfile()), "no file", class = "kerasbridge_error_file")
  expect_error(source_csv(file, types = "number"), "named by column", class = "kerasbridge_error_argument")
  expect_error(source_csv(file, levels = c(a = "x")), "list of levels", class = "kerasbridge_error_argument")
  expect_error(source_csv(file, sed = 1), "sed", class = "kerasbridge_error_argument")
  expect_error(source_csv(file, schema = 1), "frame_schema", class = "kerasbridge_error_argument")
})

test_that("a schema says types and levels, and a source's validates by itself", {
  skip_if_no_keras()
  file <- withr::local_tempfile(fileext = ".csv")
  utils::write.csv(iris, file, row.names = FALSE)
  known <- frame_schema(data.frame(Species = factor(character(1), c("virginica", "versicolor", "setosa", ""))))
  by_schema <- source_csv(file, y = "Species", schema = known)
  expect_identical(by_schema$y_levels[1:3], c("virginica", "versicolor", "setosa"))
  source <- source_csv(file, y = "Species", seed = 1, validation_split = 0.2)
  expect_identical(source$y_levels, levels(iris$Species))
  model <- keras_model_sequential(input_shape = 4) |> layer_dense(3, activation = "softmax")
  compile(model, optimizer_adam(0.02), "sparse_categorical_crossentropy", metrics = "accuracy")
  history <- fit(model, source, epochs = 3, verbose = 0)
  expect_length(history$metrics$val_accuracy, 3)
  other <- source_csv(file, y = "Species", levels = list(Species = rev(levels(iris$Species))))
  expect_error(evaluate(model, other, verbose = 0), "trained on 'setosa'", class = "kerasbridge_error_data")
  expect_error(fit(model, source, iris$Species, verbose = 0), "beside a source", class = "kerasbridge_error_argument")
  out <- fit(model, source, epochs = 1, validation_data = list(as.matrix(iris[1:4]), as.integer(iris$Species) - 1L), verbose = 0)
  expect_true(is.finite(out$metrics$val_loss))
})

test_that("arrays, windows and functions are sources", {
  skip_if_no_keras()
  folder <- withr::local_tempdir()
  x <- matrix(as.numeric(1:600), 100)
  out <- run_python(c(
    "import numpy as np, h5py",
    "x = np.arange(1, 601, dtype='float64').reshape(6, 100)",  # as R's hdf5r writes a 100 x 6 matrix
    sprintf("f = h5py.File(r'%s', 'w'); f['x'] = x; f['y'] = x[0]; f.close()", file.path(folder, "r.h5")),
    sprintf("np.save(r'%s', x.T); np.save(r'%s', x[0])", file.path(folder, "x.npy"), file.path(folder, "y.npy"))
  ))
  expect_identical(out$status, 0L)
  for (source in list(
    source_hdf5(file.path(folder, "r.h5"), x = "x", y = "y", shuffle = FALSE, batch_size = 10),
    source_npy(file.path(folder, "x.npy"), file.path(folder, "y.npy"), shuffle = FALSE, batch_size = 10)
  )) {
    expect_identical(length(source), 10L)
    batch <- generator_next(source)
    expect_equal(batch[[1]], x[1:10, ])
    expect_equal(as.vector(batch[[2]]), 1:10)
  }
  windows <- source_timeseries(x, x[-(1:3), 1], sequence_length = 3, shuffle = FALSE, start_index = 2)
  batch <- generator_next(windows)
  expect_equal(batch[[1]][1, , ], x[2:4, ])
  expect_equal(batch[[2]][[1]], x[5, 1])
  expect_error(source_function(\(i) i, 3), "dataset_from_function", class = "kerasbridge_error_argument")
  math <- import("math")
  roots <- source_function(math$sqrt, 9, shuffle = FALSE)
  expect_equal(as.vector(generator_next(roots)[[1]]), sqrt(0:8), tolerance = 1e-6)
})

test_that("texts come by folder and by line", {
  skip_if_no_keras()
  folder <- withr::local_tempdir()
  for (class in c("bad", "good")) {
    dir.create(file.path(folder, class))
    for (i in 1:4) writeLines(paste(class, "film", i), file.path(folder, class, paste0(i, ".txt")))
  }
  lines <- source_text(file.path(folder, "bad", "*.txt"), unit = "lines", shuffle = FALSE)
  expect_identical(as.vector(generator_next(lines)[[1]]), paste("bad film", 1:4))
  expect_error(source_text(folder, vectorize = toupper), "vectorize", class = "kerasbridge_error_argument")
  skip_without_text_layers()
  layer <- layer_text_vectorization(output_mode = "multi_hot")
  adapt(layer, c("bad film", "good film 1 2 3 4"))
  source <- source_text(folder, vectorize = layer, validation_split = 0.25, seed = 1)
  expect_identical(source$class_names, c("bad", "good"))
  expect_identical(c(source$samples, source$validation$samples), c(6L, 2L))
  model <- keras_model_sequential(input_shape = 8) |> layer_dense(2, activation = "softmax")
  compile(model, optimizer_adam(0.1), "sparse_categorical_crossentropy", metrics = "accuracy")
  history <- fit(model, source, epochs = 20, verbose = 0)
  expect_equal(utils::tail(history$metrics$val_accuracy, 1), 1)
  expect_identical(as.character(predict(model, source$validation, type = "class", verbose = 0)), c("bad", "good"))
})

digit_folder <- function(env = parent.frame()) {
  folder <- withr::local_tempdir(.local_envir = env)
  digits <- dataset_digits()
  for (class in 0:9) dir.create(file.path(folder, class))
  for (i in 1:700) {
    pixels <- array(digits$train$x[i, , ] * 255 / 16, c(8, 8, 1))
    image_array_save(pixels, file.path(folder, digits$train$y[[i]], paste0(i, ".png")), scale = FALSE)
  }
  folder
}

test_that("the digits train from PNG files in class folders", {
  skip_if_no_keras()
  folder <- digit_folder()
  files <- length(list.files(folder, recursive = TRUE))
  net <- function() {
    model <- keras_model_sequential(input_shape = c(8, 8, 1)) |>
      layer_flatten() |>
      layer_dense(64, activation = "relu") |>
      layer_dense(10, activation = "softmax")
    compile(model, optimizer_adam(0.01), "sparse_categorical_crossentropy", metrics = "accuracy")
    model
  }
  source <- source_images(folder, target_size = c(8, 8), color_mode = "grayscale", rescale = 1 / 255, validation_split = 0.2, seed = 1)
  expect_identical(source$class_names, as.character(0:9))
  expect_identical(source$samples + source$validation$samples, files)
  model <- net()
  history <- fit(model, source, epochs = 12, verbose = 0)
  expect_gt(utils::tail(history$metrics$val_accuracy, 1), 0.85)
  expect_s3_class(predict(model, source$validation, type = "class", verbose = 0), "factor")
  generator <- image_data_generator(rescale = 1 / 255, width_shift_range = 0.1, validation_split = 0.2)
  flow <- \(subset) flow_images_from_directory(folder, generator, c(8, 8), "grayscale", class_mode = "sparse", seed = 1, subset = subset)
  older <- fit_generator(net(), flow("training"), epochs = 12, verbose = 0, validation_data = flow("validation"))
  expect_gt(utils::tail(older$metrics$val_accuracy, 1), 0.8)
  table <- data.frame(path = list.files(folder, recursive = TRUE))
  table$label <- factor(dirname(table$path), rev(0:9))
  listed <- source_images(table, directory = folder, target_size = c(8, 8), shuffle = FALSE, class_mode = "categorical")
  expect_identical(listed$class_names, as.character(9:0))
  expect_identical(dim(generator_next(listed)[[2]]), c(32L, 10L))
  expect_error(source_images(table["label"]), "without a column `path`", class = "kerasbridge_error_argument")
  own <- image_data_generator(preprocessing_function = \(x) x)
  expect_error(source_images(folder, generator = own), "R function", class = "kerasbridge_error_argument")
})
