pictures <- array(as.numeric(1:(6 * 4 * 5 * 3)) %% 251, c(6, 4, 5, 3))

class_folder <- function(env = parent.frame()) {
  folder <- withr::local_tempdir(.local_envir = env)
  for (class in c("cat", "dog")) {
    dir.create(file.path(folder, class))
    for (i in 1:3) {
      image_array_save(pictures[i, , , ], file.path(folder, class, paste0(i, ".png")), scale = FALSE)
    }
  }
  folder
}

test_that("an array becomes batches with labels", {
  skip_if_no_keras()
  generator <- image_data_generator(rescale = 1 / 255)
  expect_output(print(generator), "image generator")
  batches <- flow_images_from_data(pictures, 1:6, generator, batch_size = 4, shuffle = FALSE)
  expect_identical(length(batches), 2L)
  batch <- generator_next(batches)
  expect_equal(batch[[1]], pictures[1:4, , , ] / 255, tolerance = 1e-6)
  expect_identical(as.vector(batch[[2]]), 1:4)
  expect_identical(as.vector(generator_next(batches)[[2]]), 5:6)
  expect_identical(as.vector(generator_next(batches)[[2]]), 1:4)
})

test_that("seeds reproduce changes", {
  skip_if_no_keras()
  generator <- image_data_generator(rotation_range = 40, zoom_range = c(0.8, 1.1), horizontal_flip = TRUE, brightness_range = c(0.5, 1.5))
  one <- generator_next(flow_images_from_data(pictures, 1:6, generator, seed = 3))
  two <- generator_next(flow_images_from_data(pictures, 1:6, generator, seed = 3))
  expect_identical(one, two)
  expect_false(identical(one, generator_next(flow_images_from_data(pictures, 1:6, generator, seed = 4))))
})

test_that("statistics are learnt", {
  skip_if_no_keras()
  generator <- image_data_generator(featurewise_center = TRUE, featurewise_std_normalization = TRUE)
  expect_error(generator_next(flow_images_from_data(pictures, generator = generator)), "fit_image_data_generator", class = "kerasbridge_error_data")
  fit_image_data_generator(generator, pictures)
  out <- generator_next(flow_images_from_data(pictures, generator = generator))[[1]]
  expect_equal(apply(out, 4, mean), c(0, 0, 0), tolerance = 1e-4)
  expect_equal(as.vector(generator$mean), apply(pictures, 4, mean), tolerance = 1e-5)
})

test_that("folders and data frames are read, and train a model", {
  skip_if_no_keras()
  folder <- class_folder()
  images <- flow_images_from_directory(folder, target_size = c(4, 5), shuffle = FALSE, batch_size = 4)
  expect_identical(images$class_indices, list(cat = 0L, dog = 1L))
  expect_identical(images$samples, 6L)
  batch <- generator_next(images)
  expect_equal(batch[[1]][1:3, , , ], pictures[1:3, , , ])
  expect_equal(batch[[2]], rbind(c(1, 0), c(1, 0), c(1, 0), c(0, 1)))
  table <- data.frame(filename = c("dog/1.png", "cat/2.png"), class = c("dog", "cat"), weight = c(2.5, 1))
  from_table <- flow_images_from_dataframe(table, folder, target_size = c(4, 5), shuffle = FALSE, class_mode = "sparse")
  expect_equal(as.vector(generator_next(from_table)[[2]]), c(1, 0))
  raw <- flow_images_from_dataframe(table, folder, y_col = "weight", target_size = c(4, 5), shuffle = FALSE, class_mode = "raw")
  expect_equal(as.vector(generator_next(raw)[[2]]), c(2.5, 1))
  expect_error(flow_images_from_dataframe(table, folder, y_col = "kind"), "kind", class = "kerasbridge_error_argument")
  expect_error(flow_images_from_directory(folder, classes = c("cat", "bird")), "bird", class = "kerasbridge_error_argument")
  expect_error(flow_images_from_directory(tempfile()), "no folder", class = "kerasbridge_error_file")
  model <- keras_model_sequential(input_shape = c(4, 5, 3)) |> layer_flatten() |> layer_dense(2, activation = "softmax")
  compile(model, "adam", "categorical_crossentropy")
  train <- flow_images_from_directory(folder, image_data_generator(rescale = 1 / 255), target_size = c(4, 5), batch_size = 4)
  history <- fit(model, train, epochs = 2, validation_data = train, verbose = 0)
  expect_true(all(is.finite(history$metrics$val_loss)))
  expect_identical(dim(predict(model, train, verbose = 0)), c(6L, 2L))
  expect_identical(dim(predict_generator(model, train)), c(6L, 2L))
})

test_that("an R function preprocesses on the main thread", {
  skip_if_no_keras()
  script <- withr::local_tempfile(fileext = ".R")
  writeLines(c(
    sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")),
    "library(kerasbridge)",
    "x <- array(as.numeric(1:(10 * 4 * 4 * 1)), c(10, 4, 4, 1))",
    "calls <- 0",
    "half <- function(image) { calls <<- calls + 1; image / 2 }",
    "generator <- image_data_generator(preprocessing_function = half)",
    "batches <- flow_images_from_data(x, 1:10, generator, batch_size = 5, shuffle = FALSE)",
    "stopifnot(isTRUE(all.equal(generator_next(batches)[[1]], x[1:5, , , , drop = FALSE] / 2)), calls == 5)",
    "model <- keras_model_sequential(input_shape = c(4, 4, 1)) |> layer_flatten() |> layer_dense(1)",
    "compile(model, optimizer = 'sgd', loss = 'mse')",
    "batches <- flow_images_from_data(x / 100, 1:10, generator, batch_size = 5)",
    "stopifnot(length(batches) == 2)",
    "history <- fit(model, batches, epochs = 2, verbose = 0)",
    "stopifnot(length(history$metrics$loss) == 2, calls == 25)",
    "stopifnot(identical(dim(predict(model, batches, verbose = 0)), c(10L, 1L)))",
    "bad <- flow_images_from_data(x, 1:10, image_data_generator(preprocessing_function = \\(i) stop('broken')))",
    "e <- tryCatch(fit(model, bad, verbose = 0), error = identity)",
    "stopifnot(identical(strsplit(conditionMessage(e), '\\n')[[1]][[1]], 'broken'))",
    "cat('all well')"
  ), script)
  out <- suppressWarnings(system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(script)), stdout = TRUE, stderr = TRUE, timeout = 240))
  expect_match(paste(out, collapse = "\n"), "all well$")
})

test_that("settings are checked", {
  skip_if_no_keras()
  expect_error(image_data_generator(fill_mode = "mirror"), "fill_mode", class = "kerasbridge_error_argument")
  expect_error(image_data_generator(brightness_range = 0.5), "brightness_range", class = "kerasbridge_error_argument")
  expect_error(image_data_generator(rescale = "a"), "rescale", class = "kerasbridge_error_argument")
  expect_error(flow_images_from_data(pictures, generator = 1), "image generator", class = "kerasbridge_error_argument")
  expect_error(flow_images_from_data(pictures[1, , , ]), "4 axes", class = "kerasbridge_error_data")
  expect_error(flow_images_from_data(pictures, 1:5), "6 images", class = "kerasbridge_error_data")
})
