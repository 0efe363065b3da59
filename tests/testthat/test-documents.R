# What people read and paste: the code of the README runs, the vignettes need no network.

# The sources lie beside the tests, not in an installed package.
source_file <- function(...) {
  path <- testthat::test_path("..", "..", ...)
  skip_if_not(file.exists(path), "no sources here")
  path
}

# The lines of the code blocks of a language, those that are only shown left out.
code_blocks <- function(lines, language) {
  start <- grep(paste0("^```\\{?", language, "\\b"), lines)
  start <- start[!grepl("eval = FALSE", lines[start])]
  end <- vapply(start, \(i) i + match("```", trimws(lines[-seq_len(i)])), 0)
  Map(\(from, to) lines[seq_len(to - from - 1) + from], start, end)
}

test_that("the twenty lines of the README run, and their file opens in plain Python", {
  skip_if_no_keras()
  lines <- readLines(source_file("README.md"))
  lines <- lines[seq(match("## Twenty lines", lines), length(lines))]
  code <- code_blocks(lines, "r")[[1]]
  expect_lte(length(code), 24)
  folder <- withr::local_tempdir()
  run <- run_r(c(sprintf("setwd('%s'); grDevices::pdf(NULL)", folder), code, "cat('accuracy', evaluate(model, x_test, digits$test$y, verbose = 0)$accuracy)"))
  expect_identical(run$status, 0L)
  accuracy <- as.numeric(sub("accuracy ", "", utils::tail(run$output, 1)))
  expect_gt(accuracy, 0.9)
  python <- code_blocks(lines, "python")[[1]]
  run <- run_python(c(sprintf("os.chdir(r'%s')", folder), python, "print(model.predict(numpy.zeros((1, 8, 8, 1)), verbose=0).shape)"))
  expect_match(utils::tail(run$output, 1), "(1, 10)", fixed = TRUE)
})

test_that("no vignette asks the network", {
  reaching <- c(
    "dataset_mnist", "dataset_cifar10", "dataset_cifar100", "dataset_imdb", "dataset_reuters", "dataset_boston_housing",
    "dataset_fashion_mnist", "dataset_california_housing", "download.file", "url", "install_kerasbridge", "install_keras",
    "install.packages", "get_file"
  )
  files <- list.files(source_file("vignettes"), "[.]Rmd$", full.names = TRUE)
  expect_gte(length(files), 9)
  for (file in files) {
    for (block in code_blocks(readLines(file, encoding = "UTF-8"), "r")) {
      called <- all.names(parse(text = block))
      expect_identical(intersect(called, reaching), character(), info = file)
      expect_false(any(grepl("\"imagenet\"|https?://", block)), info = file)
    }
  }
})

test_that("every vignette is listed, says that it needs Keras, and builds without", {
  for (file in list.files(source_file("vignettes"), "[.]Rmd$", full.names = TRUE)) {
    lines <- readLines(file, encoding = "UTF-8")
    title <- sub("title: \"(.*)\"", "\\1", grep("^title:", lines, value = TRUE))
    expect_true(any(grepl(paste0("VignetteIndexEntry{", title, "}"), lines, fixed = TRUE)), info = file)
    expect_true(any(grepl("eval = (available|ready|FALSE)", lines)), info = file)
  }
})
