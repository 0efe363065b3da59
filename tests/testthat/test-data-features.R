# Encodings of raw columns, ahead of a model and inside one.

people <- function(n = 60) {
  i <- seq_len(n)
  data.frame(
    age = 20 + (i * 7) %% 50, income = ifelse(i %% 9 == 0, NA, 1000 + 37 * i), member = i %% 3 == 0,
    job = c("cook", "pilot", "n\u00e9e", NA)[i %% 4 + 1],
    size = factor(c("s", "m", "l")[i %% 3 + 1], c("s", "m", "l"), ordered = TRUE),
    born = as.Date("1990-01-01") + i, pay = 10 + i %% 5 + (i * 7) %% 50
  )
}

rules <- list(income = "median", job = "level")

text_alone <- "Keras computes with text on TensorFlow alone"

test_that("on other backends columns of numbers are encoded in the model, and text is refused by name", {
  skip_if_no_keras()
  skip_if(config_backend() == "tensorflow", "the tests below are about it")
  d <- people()
  expect_error(keras_model_tabular(pay ~ ., d, na = rules), "'job' holds text, which Keras handles on TensorFlow only", class = "kerasbridge_error_unsupported")
  model <- keras_model_tabular(pay ~ age + income + member, d, hidden = 8, na = rules["income"])
  history <- fit(model, pay ~ age + income + member, data = d, epochs = 20, batch_size = 10, verbose = 0)
  expect_lt(utils::tail(history$metrics$loss, 1), history$metrics$loss[[1]])
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(model, path)
  expect_equal(predict(load_model(path), d, verbose = 0), predict(model, d, verbose = 0), tolerance = 1e-6)
})

test_that("a feature space encodes by choice and with defaults", {
  skip_if_no_keras()
  skip_if(config_backend() != "tensorflow", text_alone)
  d <- people()
  space <- feature_space(pay ~ . - born, d, na = rules, encodings = list(age = list(how = "bucketize", bins = 4)))
  out <- encode_features(space, d)
  jobs <- c("cook", "n\u00e9e", "pilot", "(missing)")
  expect_identical(colnames(out), c(paste0("age_", 0:3), "income_missing", "income", "member", paste0("job_", jobs), "size"))
  expect_equal(unname(rowSums(out[, 1:4])), rep(1, 60))
  expect_equal(unname(out[, "income_missing"]), as.double(is.na(d$income)))
  filled <- ifelse(is.na(d$income), stats::median(d$income, na.rm = TRUE), d$income)
  expect_equal(unname(out[, "income"]), (filled - mean(filled)) / sqrt(mean((filled - mean(filled))^2)), tolerance = 1e-5)
  expect_equal(unname(out[, "member"]), as.double(d$member))
  expect_equal(unname(out[, "job_pilot"]), as.double(d$job %in% "pilot"))
  expect_equal(unname(out[, "job_(missing)"]), as.double(is.na(d$job)))
  expect_equal(unname(out[, "size"]), (as.integer(d$size) - 1) / 2)
  expect_identical(dim(encode_features(space, d[0, ])), c(0L, 12L))
  expect_equal(encode_features(space, d[3, rev(names(d))])[1, ], out[3, ])
  expect_error(encode_features(space, transform(d, job = "judge")), "'job' has the level 'judge'.*row 1", class = "kerasbridge_error_data")
  expect_output(print(space), "age +number +bucketize")
  again <- unserialize(serialize(space, NULL))
  expect_identical(encode_features(again, d), out)
})

test_that("crosses, hashes, words and embeddings", {
  skip_if_no_keras()
  skip_if(config_backend() != "tensorflow", text_alone)
  d <- data.frame(a = rep(c("x", "y"), 10), b = factor(rep(1:4, 5)), text = rep(c("good day", "bad day"), 10))
  space <- feature_space(~ . + a:b, d, encodings = list(a = list(how = "hash", bins = 8), text = "text"), cross_bins = 16)
  out <- encode_features(space, d)
  expect_identical(dim(out), c(20L, 8L + 4L + 4L + 16L))
  expect_equal(unname(rowSums(out[, paste0("a_X_b_", 0:15)])), rep(1, 20))
  expect_equal(unname(out[, "text_good"]), rep(c(1, 0), 10))
  expect_equal(nrow(encode_features(space, transform(d, a = "any", text = "else"))), 20)
  embedded <- feature_space(~ b, d, encodings = list(b = list(how = "embedding", dim = 3)))
  expect_error(encode_features(embedded, d), "embedding", class = "kerasbridge_error_argument")
  expect_identical(dim(feature_layers(embedded)$features), c(NA, 3L))
  bad <- function(pattern, ...) expect_error(feature_space(~ ., d, ...), pattern, class = "kerasbridge_error_argument")
  bad("'wild', which does not exist", encodings = c(a = "wild"))
  bad("'zz', which is not used", encodings = c(zz = "hash"))
  bad("'normalize' does not go with column 'a'", encodings = c(a = "normalize"))
  bad("no option 'dim'", encodings = list(a = list(how = "hash", dim = 3)))
  bad("must name columns", encodings = "hash")
  expect_error(feature_space(d), "formula", class = "kerasbridge_error_argument")
  expect_error(feature_space(~ a:n, transform(d, n = 1:20)), "needs levels", class = "kerasbridge_error_argument")
})

test_that("one call makes a model that takes raw columns, in R and in plain Python", {
  skip_if_no_keras()
  skip_if(config_backend() != "tensorflow", text_alone)
  d <- people()
  set_random_seed(3)
  model <- keras_model_tabular(pay ~ ., d, hidden = 8, na = rules, unknown = c(job = "slot"), encodings = c(job = "embedding"))
  expect_identical(as.data.frame(model_schema(model))$name, setdiff(names(d), "pay"))
  history <- fit(model, pay ~ ., data = d, epochs = 30, batch_size = 10, verbose = 0)
  expect_lt(utils::tail(history$metrics$loss, 1), history$metrics$loss[[1]])
  expect_named(evaluate(model, d, verbose = 0), c("loss", "mae"))
  new <- data.frame(
    size = c("l", "s", "m"), age = c(30L, 40L, 50L), income = c(NA, 2000, 1500), member = c(TRUE, FALSE, TRUE),
    job = c("pilot", NA, "never seen"), born = as.Date("1990-02-01") + 0:2
  )
  here <- predict(model, new, verbose = 0)
  expect_identical(dim(here), c(3L, 1L))
  expect_identical(dim(predict(model, new[0, ], verbose = 0)), c(0L, 1L))
  expect_error(predict(model, transform(new, size = "xl"), verbose = 0), "'size' has the level 'xl'", class = "kerasbridge_error_data")
  expect_error(predict(model, transform(new, age = NA), verbose = 0), "'age'.*missing", class = "kerasbridge_error_data")
  # a column of nothing but NA has no type of its own
  expect_equal(
    predict(model, transform(new, job = NA, income = NA), verbose = 0),
    predict(model, transform(new, job = NA_character_, income = NA_real_), verbose = 0)
  )
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(model, path)
  there <- run_python(c(
    "import keras, numpy as np, sys",
    sprintf("model = keras.saving.load_model(%s)", encodeString(path, quote = "'")),
    "assert 'kerasbridge' not in sys.modules",
    "raw = {",
    "  'size': np.array(['l', 's', 'm'], object), 'age': np.array([30, 40, 50], 'float32'),",
    "  'income': np.array([np.nan, 2000, 1500], 'float32'), 'member': np.array([1, 0, 1], 'float32'),",
    "  'job': np.array(['pilot', '(missing)', 'never seen'], object),",
    paste0("  'born': np.array([", paste(as.integer(new$born), collapse = ", "), "], 'float32')}"),
    "print('P', *[repr(float(v)) for v in model.predict(raw, verbose=0)[:, 0]])"
  ))
  expect_identical(there$status, 0L)
  line <- grep("^P ", there$output, value = TRUE)
  expect_equal(as.numeric(strsplit(line, " ")[[1]][-1]), as.vector(here), tolerance = 1e-6)
})

test_that("responses of every kind", {
  skip_if_no_keras()
  skip_if(config_backend() != "tensorflow", text_alone)
  model <- keras_model_tabular(Species ~ ., iris, hidden = 8, optimizer = optimizer_adam(0.05))
  fit(model, Species ~ ., data = iris, epochs = 15, verbose = 0)
  class <- predict(model, iris, type = "class", verbose = 0)
  expect_identical(levels(class), levels(iris$Species))
  expect_gt(mean(class == iris$Species), 0.8)
  expect_identical(colnames(predict(model, iris[1:2, ], verbose = 0)), levels(iris$Species))
  two <- droplevels(iris[1:100, ])
  model <- keras_model_tabular(Species ~ Petal.Length, two, hidden = NULL, optimizer = optimizer_adam(0.2))
  fit(model, Species ~ ., data = two, epochs = 15, verbose = 0)
  expect_identical(predict(model, two[c(1, 100), ], type = "class", verbose = 0), stats::setNames(two$Species[c(1, 100)], NULL))
  both <- keras_model_tabular(cbind(Sepal.Length, Sepal.Width) ~ Petal.Width, iris, hidden = 4, network = NULL)
  fit(both, cbind(Sepal.Length, Sepal.Width) ~ Petal.Width, data = iris, epochs = 1, verbose = 0)
  expect_identical(dim(predict(both, iris, verbose = 0)), c(150L, 2L))
  own <- keras_model_tabular(Sepal.Length ~ Species, iris, network = \(x) layer_dense(x, 5, name = "mine"))
  expect_identical(get_layer(own, "mine")$units, 5L)
  bad <- function(pattern, ...) expect_error(keras_model_tabular(..., data = iris), pattern, class = "kerasbridge_error_argument")
  expect_warning(feature_space(~ ., data.frame(a = c(1, 1), b = 1:2)), "'a' holds one value", class = "kerasbridge_warning_data")
  bad("left side", ~ .)
  bad("hidden", Species ~ ., hidden = 1.5)
})

test_that("layers of a feature space in a model of one's own", {
  skip_if_no_keras()
  skip_if(config_backend() != "tensorflow", text_alone)
  d <- people()
  space <- feature_space(pay ~ ., d, na = rules)
  parts <- feature_layers(space)
  expect_named(parts$inputs, setdiff(names(d), "pay"))
  model <- keras_model(parts$inputs, parts$features |> layer_dense(1))
  compile(model, "adam", loss = "mse")
  set_model_schema(model, space)
  fit(model, d, epochs = 1, verbose = 0)
  outside <- encode_features(space, d)
  kernel <- get_weights(model)
  expect_equal(as.vector(predict(model, d, verbose = 0)), as.vector(outside %*% kernel[[1]] + kernel[[2]][[1]]), tolerance = 1e-5)
  set_model_schema(model, NULL)
  expect_null(model_schema(model))
})

test_that("diamonds, end to end", {
  skip_if_no_keras()
  skip_if(config_backend() != "tensorflow", text_alone)
  skip_if_not_installed("ggplot2")
  set_random_seed(1)
  diamonds <- ggplot2::diamonds
  test <- diamonds[seq(1, nrow(diamonds), by = 10), ]
  train <- diamonds[-seq(1, nrow(diamonds), by = 10), ]
  model <- keras_model_tabular(price ~ ., train, hidden = c(32, 32), optimizer = optimizer_adam(0.005))
  history <- fit(model, price ~ ., data = train, epochs = 2, batch_size = 128, verbose = 0, validation_data = test)
  expect_gt(nrow(train), 48000)
  # a straight line from carat alone is off by about 1,000
  expect_lt(evaluate(model, test, verbose = 0)$mae, 700)
  expect_equal(history$metrics$val_mae[[2]], evaluate(model, test, verbose = 0)$mae, tolerance = 1e-3)
  plain <- keras_model_sequential() |> layer_batch_normalization() |> layer_dense(16, activation = "relu") |> layer_dense(1)
  compile(plain, optimizer_adam(0.01), loss = "mae")
  some <- train[seq(1, nrow(train), by = 10), ]
  fit(plain, price ~ ., data = some, epochs = 2, verbose = 0)
  expect_identical(dim(predict(plain, test, verbose = 0)), c(nrow(test), 1L))
  # another order of columns and of levels changes nothing
  mixed <- test[rev(names(test))]
  mixed$cut <- factor(as.character(mixed$cut))
  expect_equal(predict(plain, mixed, verbose = 0), predict(plain, test, verbose = 0))
  expect_equal(predict(model, mixed, verbose = 0), predict(model, test, verbose = 0))
})

test_that("a feature space is learnt from files in parts, and its model trains on them", {
  skip_if_no_keras()
  skip_if(config_backend() != "tensorflow", text_alone)
  set.seed(3)
  n <- 300
  d <- data.frame(age = sample(18:80, n, TRUE), city = sample(c("Rom", "Ulm"), n, TRUE), rank = rnorm(n), pay = rnorm(n, 50, 5))
  folder <- withr::local_tempdir()
  for (i in 1:3) utils::write.csv(d[seq(i, n, by = 3), ], file.path(folder, sprintf("part-%d.csv", i)), row.names = FALSE)
  files <- source_csv(file.path(folder, "part-*.csv"), y = "pay", encode = "columns", seed = 1, validation_split = 0.1)
  # the source reads all rows but those set aside
  all_rows <- source_csv(file.path(folder, "part-*.csv"), y = "pay", encode = "columns")
  encodings <- list(rank = list(how = "bucketize", bins = 4))
  streamed <- feature_space(pay ~ ., all_rows, encodings = encodings)
  whole <- feature_space(pay ~ ., d, encodings = encodings)
  expect_equal(encode_features(streamed, d), encode_features(whole, d), tolerance = 1e-5)

  set_random_seed(1)
  model <- keras_model_tabular(pay ~ ., all_rows, hidden = 8)
  expect_identical(model_schema(model)$json, bridge_do("features_describe", features = feature_space(pay ~ ., all_rows)$json)$schema)
  history <- fit(model, files, epochs = 2, verbose = 0)
  expect_named(history$metrics, c("loss", "mae", "val_loss", "val_mae"), ignore.order = TRUE)
  expect_lt(history$metrics$mae[[2]], 15) # pay is around 50: its mean is in the model
  by_frame <- predict(model, d, verbose = 0)
  in_order <- do.call(rbind, lapply(1:3, \(i) d[seq(i, n, by = 3), ]))
  expect_equal(predict(model, all_rows, verbose = 0), unname(predict(model, in_order, verbose = 0)), tolerance = 1e-5, ignore_attr = TRUE)
  expect_identical(dim(by_frame), c(as.integer(n), 1L))

  expect_error(feature_space(pay ~ nope, all_rows), "lacks the column 'nope'", class = "kerasbridge_error_data")
  expect_error(feature_space(log(pay) ~ age, all_rows), "computes `log\\(pay\\)`", class = "kerasbridge_error_argument")
  expect_error(keras_model_tabular(~ age, all_rows), "what is predicted", class = "kerasbridge_error_argument")
})

test_that("missing values of files follow the rules of the model that is given them", {
  skip_if_no_keras()
  skip_if(config_backend() != "tensorflow", text_alone)
  d <- data.frame(
    age = c(20, NA, 40, 50, 30, NA), city = factor(c("Rom", "Ulm", NA, "Rom", "Ulm", "Ulm")), pay = c(1, 2, 3, 4, 5, 6)
  )
  folder <- withr::local_tempdir()
  file <- file.path(folder, "rows.csv")
  utils::write.csv(d, file, row.names = FALSE)
  rows <- \(...) source_csv(file, y = "pay", encode = "columns", batch_size = 4, ...)
  set_random_seed(1)
  model <- keras_model_tabular(pay ~ ., d, hidden = 4, na = list(age = "median", city = "level"))
  expect_equal(
    predict(model, rows(), verbose = 0), unname(predict(model, d, verbose = 0)),
    tolerance = 1e-5, ignore_attr = TRUE
  )
  # batches of the same size: before Keras 3.3 each counts alike
  expect_equal(
    evaluate(model, rows(), verbose = 0)[["loss"]], evaluate(model, d, d$pay, batch_size = 4, verbose = 0)[["loss"]], tolerance = 1e-5
  )
  expect_true(all(is.finite(fit(model, rows(), epochs = 2, verbose = 0)$metrics$loss)))
  # a column without a rule is refused with its place, and a row that is skipped stays skipped
  strict <- keras_model_tabular(pay ~ ., d[-3, ], hidden = 4, na = list(age = "median"))
  expect_error(predict(strict, rows(), verbose = 0), "row 3: column 'city' has no value", class = "kerasbridge_error_data")
  expect_identical(nrow(predict(model, rows(on_error = "skip"), verbose = 0)), 3L)

  # rules of a schema outside of the model: the number itself where there is no column of indicators
  plain <- keras_model_sequential(input_shape = 1) |> layer_dense(1)
  compile(plain, "sgd", loss = "mse")
  ages <- d["age"]
  schema <- frame_schema(ages, na = list(age = list(how = "median", indicator = FALSE)))
  fit(plain, ages, d$pay, epochs = 1, schema = schema, verbose = 0)
  from_file <- predict(plain, source_csv(file, y = "pay", x = "age"), verbose = 0)
  expect_equal(from_file, unname(predict(plain, ages, verbose = 0)), tolerance = 1e-5, ignore_attr = TRUE)
  expect_identical(from_file[2], from_file[6])
})
