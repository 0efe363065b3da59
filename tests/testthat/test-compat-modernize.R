old_script <- c(
  "library(keras)",
  "K <- backend() # fit_generator( stays here",
  "x <- matrix(runif(40), 20)",
  "y <- as.integer(x[, 1] > 0.5)",
  "model <- keras_model_sequential() %>%",
  "  layer_dense(units = 4, input_shape = 2, activation = 'relu') %>%",
  "  layer_dense(1, activation = 'sigmoid')",
  "model %>% compile(",
  "  optimizer = optimizer_rmsprop(lr = 0.01),",
  "  loss = function(y_true, y_pred) k_mean(k_square(y_true - y_pred)), metrics = 'accuracy'",
  ")",
  "batches <- function() { rows <- sample(20, 5); list(x[rows, ], y[rows]) }",
  "h <- model %>% fit_generator(batches, steps_per_epoch = 3, epochs = 2, verbose = 0)",
  "classes <- predict_classes(model, x)",
  "p <- keras::predict_proba(model, x)",
  "use_session_with_seed(1)",
  "message('predict_classes(model)')"
)

test_that("older names and spellings become today's; strings and comments stay", {
  script <- withr::local_tempfile(lines = old_script, fileext = ".R")
  new <- withr::local_tempfile(fileext = ".R")
  report <- modernize_script(script, output = new)
  lines <- readLines(new)
  expect_identical(lines[[1]], "library(kerasbridge)")
  expect_identical(lines[[2]], old_script[[2]])
  expect_match(lines[[9]], "optimizer_rmsprop(learning_rate = 0.01)", fixed = TRUE)
  expect_match(lines[[13]], "fit(batches, steps_per_epoch = 3, epochs = 2, verbose = 0)", fixed = TRUE)
  expect_identical(lines[[14]], "classes <- predict(model, x, type = \"class\")")
  expect_identical(lines[[15]], "p <- stats::predict(model, x)")
  expect_identical(lines[[17]], old_script[[17]])
  expect_s3_class(report, "kerasbridge_modernized")
  remark <- report[is.na(report$new) & report$line == 16, ]
  expect_match(remark$note, "the modern way is set_random_seed()", fixed = TRUE)
  expect_output(print(report), "- classes <- predict_classes(model, x)", fixed = TRUE)
  expect_no_error(parse(new))
})

test_that("the old script and the new one both run and give the same kind of result", {
  skip_if_no_keras()
  script <- withr::local_tempfile(lines = sub("^library.*", "library(kerasbridge)", gsub("keras::", "kerasbridge::", old_script)), fileext = ".R")
  new <- withr::local_tempfile(fileext = ".R")
  modernize_script(script, output = new)
  for (file in c(script, new)) {
    scope <- new.env()
    suppressMessages(source(file, local = scope))
    expect_length(scope$h$metrics$loss, 2)
    expect_true(all(scope$classes %in% 0:1))
    expect_identical(dim(scope$p), c(20L, 1L))
  }
})

test_that("nothing is written unasked or over a file", {
  script <- withr::local_tempfile(lines = old_script, fileext = ".R")
  expect_output(modernize_script(script), "library(kerasbridge)", fixed = TRUE)
  expect_identical(readLines(script), old_script)
  expect_error(modernize_script(script, output = script), "exists", class = "kerasbridge_error_file")
  expect_error(modernize_script("/nonexistent.R"), "There is no file", class = "kerasbridge_error_file")
  broken <- withr::local_tempfile(lines = c("x <- 1", "y <- (("), fileext = ".R")
  expect_error(modernize_script(broken), "is not R code", class = "kerasbridge_error_data")
  expect_output(modernize_script(withr::local_tempfile(lines = "x <- 1", fileext = ".R")), "Nothing to change")
  expect_output(
    modernize_script(withr::local_tempfile(lines = c("library('tensorflow')", "tf$abs(1)"), fileext = ".R")),
    "line 1: library(tensorflow) can be left out", fixed = TRUE
  )
  expect_error(modernize_script(tempdir()), "There is no file", class = "kerasbridge_error_file")
  expect_error(modernize_script(script, overwrite = NA), "`overwrite`", class = "kerasbridge_error_argument")
  expect_error(modernize_script(script, output = "/nonexistent/new.R"), "can't be written", class = "kerasbridge_error_file")
  copy <- withr::local_tempfile(lines = old_script, fileext = ".R")
  modernize_script(copy, output = copy, overwrite = TRUE)
  expect_identical(readLines(copy, n = 1), "library(kerasbridge)")
  expect_false(file.exists(paste0(copy, ".part")))
})

test_that("the table of older names is true", {
  table <- older_table()
  expect_identical(anyDuplicated(table$older), 0L)
  expect_true(all(table$action %in% c("rename", "keep", "remove")))
  exported <- getNamespaceExports("kerasbridge")
  # every older name exists, and so does every function that the table sends people to
  expect_identical(setdiff(table$older, exported), character())
  named <- unlist(regmatches(table$modern, gregexpr("[A-Za-z_0-9.]+(?=\\()", table$modern, perl = TRUE)))
  renamed <- table$modern[table$action == "rename"]
  missing <- setdiff(c(named, renamed), c(exported, "predict", "strsplit", "iter_next"))
  expect_identical(missing, character())
})
