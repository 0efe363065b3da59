test_that("the environment in use is written down once", {
  skip_if_no_keras()
  folder <- withr::local_tempdir()
  files <- write_environment(folder)
  expect_identical(basename(files), c("requirements.txt", "Dockerfile"))
  pins <- readLines(file.path(folder, "requirements.txt"))
  expect_match(pins, "^keras==3[.]", all = FALSE)
  expect_match(pins, "^numpy==", all = FALSE)
  expect_true(all(grepl("^#|^[a-z0-9-]+==[0-9]", pins)))
  docker <- readLines(file.path(folder, "Dockerfile"))
  expect_true(paste0("FROM rocker/r-ver:", getRversion()) %in% docker)
  expect_error(write_environment(folder), class = "kerasbridge_error_file")
  write_environment(folder, r = FALSE, overwrite = TRUE)
  expect_match(readLines(file.path(folder, "Dockerfile")), "^FROM python:3", all = FALSE)
})

test_that("what can't be written down names the argument", {
  skip_if_no_keras()
  expect_error(write_environment("/nonexistent"), "no folder", class = "kerasbridge_error_install")
  expect_error(write_environment(3), "`path`", class = "kerasbridge_error_argument")
  folder <- withr::local_tempdir()
  expect_error(write_environment(folder, model = "/nonexistent/m.keras"), "is not a file inside", class = "kerasbridge_error_install")
})

test_that("wheels are bundled from the index that pip is set to", {
  skip_if_no_keras()
  withr::local_envvar(PIP_NO_INDEX = "1", PIP_FIND_LINKS = withr::local_tempdir(), RETICULATE_PYTHON = NA)
  expect_error(
    utils::capture.output(bundle_wheels(withr::local_tempdir(), python = python_path())),
    class = "kerasbridge_error_install"
  )
  expect_error(bundle_wheels(NULL), "`dir`", class = "kerasbridge_error_argument")
  expect_error(bundle_wheels("x", gpu = 1), "`gpu`", class = "kerasbridge_error_argument")
})
