test_that("library() starts no Python, loads no reticulate and prints nothing", {
  out <- run_r(c(
    "library(kerasbridge)",
    "stopifnot(!isNamespaceLoaded('reticulate'))",
    "stopifnot(!reticulate::py_available(initialize = FALSE))",
    "digits <- dataset_digits(); x <- to_categorical(0:2); x <- array_reshape(1:6, c(2, 3))",
    "stopifnot(!reticulate::py_available(initialize = FALSE))"
  ))
  expect_identical(out$status, 0L)
  expect_identical(out$output, character())
})

test_that("without a usable Python the first call says what to do", {
  out <- run_r(c(
    "library(kerasbridge)",
    "stopifnot(!is_keras_available())",
    "e <- tryCatch(layer_dense(units = 1), error = identity)",
    "cat(class(e), '\\n', conditionMessage(e), '\\n')"
  ), env = c("KERASBRIDGE_VENV=/nonexistent", "RETICULATE_PYTHON=/nonexistent/bin/python", "PATH=/usr/bin:/bin"))
  text <- paste(out$output, collapse = " ")
  expect_match(text, "kerasbridge_error_install")
  expect_match(text, "install_kerasbridge()", fixed = TRUE)
})

test_that("the first call starts Keras once, without chatter", {
  skip_if_no_keras()
  out <- run_r(c("library(kerasbridge)", "x <- layer_dense(units = 1)", "y <- op_add(1, 2)"))
  expect_identical(out$status, 0L)
  expect_identical(out$output, character())
})

test_that("kerasbridge_info() names what runs", {
  skip_if_no_keras()
  info <- kerasbridge_info()
  expect_identical(info$kerasbridge, as.character(packageVersion("kerasbridge")))
  expect_match(info$keras, "^3\\.")
  expect_true(file.exists(info$python_path))
  expect_output(print(info), "keras:")
})

test_that("keras and tf are modules that load when first touched", {
  skip_if_no_keras()
  expect_equal(as.numeric(keras$ops$add(1, 2)), 3)
  skip_if_not(kerasbridge_info()$backend == "tensorflow")
  x <- with(tf$device("/cpu:0"), keras$ops$ones(tuple(2L)))
  expect_match(x$device, "CPU")
})

test_that("a fork is refused at once", {
  skip_if_no_keras()
  skip_on_os("windows")
  out <- run_r(c(
    "library(kerasbridge); x <- op_add(1, 2)",
    "answer <- tempfile()",
    "job <- parallel::mcparallel(writeLines(tryCatch(op_add(1, 2), error = class), answer))",
    "for (i in 1:100) if (file.exists(answer)) break else Sys.sleep(0.2)",
    "Sys.sleep(0.2)",
    "print(readLines(answer))",
    "tools::pskill(job$pid, 9)"
  ), timeout = 60)
  expect_match(paste(out$output, collapse = " "), "kerasbridge_error_fork")
})

test_that("an object of an ended session says so", {
  skip_if_no_keras()
  path <- tempfile(fileext = ".rds")
  withr::local_options(kerasbridge.keep = FALSE)
  saveRDS(small_model(), path)
  dead <- readRDS(path)
  expect_error(predict(dead, matrix(0, 1, 2)), class = "kerasbridge_error_dead")
  expect_error(get_weights(dead), class = "kerasbridge_error_dead")
  expect_output(print(dead), "session that has ended")
})

test_that("the interpreter that use_python() names wins", {
  skip_if_no_keras()
  out <- run_r(c(
    sprintf("python <- '%s'", python_path()),
    "Sys.setenv(KERASBRIDGE_VENV = '/nonexistent')",
    "library(kerasbridge)",
    "use_python(python)",
    "stopifnot(is_keras_available())",
    "np <- import('numpy')", # the first thing that starts Python
    "stopifnot(identical(kerasbridge_info()$python_path, python))",
    "cat('it won\\n')"
  ))
  expect_match(paste(out$output, collapse = "\n"), "it won")
})

test_that("an interpreter without Keras that the user named is not replaced", {
  skip_if_no_keras()
  skip_if(!file.exists("/usr/bin/python3"), "no second Python")
  out <- run_r(c(
    "library(kerasbridge)",
    "chosen <- tryCatch({ reticulate::use_python('/usr/bin/python3', required = TRUE); TRUE }, error = \\(e) FALSE)",
    "cat(if (chosen) kerasbridge:::find_environment()$python else 'unusable')"
  ))
  expect_match(paste(out$output, collapse = "\n"), "/usr/bin/python3|unusable")
})

test_that("import() starts Python in the environment of this package", {
  skip_if_no_keras()
  out <- run_r(c("library(kerasbridge)", "cat(import('keras')$`__version__`)"))
  expect_match(paste(out$output, collapse = "\n"), "3\\.[0-9]+")
})

test_that("a Python that is bound already and has no Keras is named, with the line that mends it", {
  skip_on_os("windows")
  skip_if_no_keras()
  folder <- withr::local_tempdir()
  run_python(sprintf("import venv; venv.create(r'%s', with_pip=False, symlinks=True)", folder))
  plain <- file.path(folder, "bin", "python")
  out <- run_r(
    c(
      sprintf("Sys.setenv(RETICULATE_PYTHON = '%s')", plain),
      "invisible(reticulate::py_config())",
      "library(kerasbridge)",
      "e <- tryCatch(layer_dense(units = 1), error = identity)",
      "cat(class(e)[[1]], '\\n')",
      "cat(conditionMessage(e), '\\n')"
    )
  )
  expect_match(out$output[[1]], "kerasbridge_error_wrong_python", all = FALSE)
  text <- paste(out$output, collapse = " ")
  expect_match(text, plain, fixed = TRUE)
  expect_match(text, "chosen by RETICULATE_PYTHON", fixed = TRUE)
  expect_match(text, "Restart R and put this line first")
})
