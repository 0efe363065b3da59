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
  expect_match(out$output, "kerasbridge_error_wrong_python", all = FALSE)
  text <- paste(out$output, collapse = " ")
  expect_match(text, plain, fixed = TRUE)
  expect_match(text, "chosen by RETICULATE_PYTHON", fixed = TRUE)
  expect_match(text, "Restart R and put this line first")
})

# An environment of the running Python with stub packages: name -> c(version, source).
stub_environment <- function(packages, env = parent.frame()) {
  folder <- withr::local_tempdir(.local_envir = env)
  run_python(sprintf("import venv; venv.create(r'%s', with_pip=False, symlinks=True)", folder))
  site <- Sys.glob(file.path(folder, "lib", "python3*", "site-packages"))
  for (name in names(packages)) {
    info <- file.path(site, sprintf("%s-%s.dist-info", name, packages[[name]][[1]]))
    dir.create(info)
    writeLines(c("Metadata-Version: 2.1", paste("Name:", name), paste("Version:", packages[[name]][[1]])), file.path(info, "METADATA"))
    dir.create(file.path(site, name))
    writeLines(packages[[name]][[2]], file.path(site, name, "__init__.py"))
  }
  folder
}

first_error <- function(settings) {
  out <- run_r(c(
    "library(kerasbridge)",
    "e <- tryCatch(layer_dense(units = 1), error = identity)",
    "cat(class(e)[[1]], '\\n')",
    "cat(conditionMessage(e), '\\n')"
  ), env = settings)
  list(class = trimws(out$output[[1]]), text = paste(out$output[-1], collapse = "\n"), lines = length(out$output) - 1)
}

test_that("numpy 2 under a reticulate that can't use it is named at the first call", {
  skip_on_os("windows")
  skip_if_no_keras()
  skip_if(utils::packageVersion("reticulate") >= "1.38", "this reticulate can use numpy 2")
  folder <- stub_environment(list(
    numpy = c("2.2.6", "__version__ = '2.2.6'"), keras = c("3.15.1", "__version__ = '3.15.1'")
  ))
  error <- first_error(paste0("KERASBRIDGE_VENV=", folder))
  expect_identical(error$class, "kerasbridge_error_install")
  expect_match(error$text, "^numpy 2.2.6 needs reticulate 1.38 or newer; this is reticulate 1[.]")
  expect_match(error$text, "Install numpy below 2 into that environment (1.26.4 works", fixed = TRUE)
  expect_no_match(error$text, "incompatible NumPy binary")
  expect_lte(error$lines, 8)
})

test_that("a Python that an old reticulate can't start is named, not its exit status alone", {
  skip_on_os("windows")
  skip_if_no_keras()
  skip_if(utils::packageVersion("reticulate") >= "1.33", "this reticulate can start it")
  folder <- stub_environment(list(keras = c("3.15.1", "")))
  python <- file.path(folder, "bin", "python")
  unlink(python)
  # it runs; what reticulate asks it fails, as with Python 3.12
  writeLines(c(
    "#!/bin/sh", sprintf("[ \"$1\" = -c ] && exec '%s' \"$@\"", normalizePath(python_path())),
    "echo \"ModuleNotFoundError: No module named 'imp'\" >&2", "exit 1"
  ), python)
  Sys.chmod(python)
  error <- first_error(paste0("KERASBRIDGE_VENV=", folder))
  expect_identical(error$class, "kerasbridge_error_install")
  expect_match(error$text, sprintf("R can't start the Python %s (KERASBRIDGE_VENV names it)", python), fixed = TRUE)
  expect_match(error$text, "versions before 1.33 need a module that Python 3.12 removed", fixed = TRUE)
  expect_match(error$text, "use Python 3.10 or 3.11", fixed = TRUE)
  expect_lte(error$lines, 8)
})

test_that("a chosen Python that doesn't run or is gone is an error; no other one is taken in its place", {
  skip_on_os("windows")
  skip_if_no_keras()
  folder <- withr::local_tempdir()
  dir.create(file.path(folder, "bin"))
  writeLines(c("#!/bin/sh", "exit 3"), file.path(folder, "bin", "python"))
  Sys.chmod(file.path(folder, "bin", "python"))
  python <- file.path(folder, "bin", "python")
  cases <- list(
    c(paste0("KERASBRIDGE_VENV=", folder), "It doesn't run"),
    c(paste0("RETICULATE_PYTHON=", python), "It doesn't run"),
    c(paste0("KERASBRIDGE_VENV=", folder, "/gone"), "There is no Python at that place"),
    c(paste0("RETICULATE_PYTHON=", folder, "/gone"), "There is no Python at that place")
  )
  for (case in cases) {
    error <- first_error(case[[1]])
    expect_identical(error$class, "kerasbridge_error_install")
    expect_match(error$text, "^R can't start the Python .*names it")
    expect_match(error$text, case[[2]], fixed = TRUE)
    expect_match(error$text, "install_kerasbridge()", fixed = TRUE)
  }
})

test_that("a session opens no connection and asks for no name", {
  skip_on_os("windows")
  skip_if_no_keras()
  folder <- withr::local_tempdir()
  # Python's own report of each connection and each question for a host, from its start on
  writeLines(c(
    "import sys, os",
    "def _watch(event, args):",
    "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname', 'socket.sendto'):",
    "        with open(os.environ['WATCHED'], 'a') as file: print(event, args, file=file)",
    "sys.addaudithook(_watch)",
    "open(os.environ['WATCHED'], 'a').close()"
  ), file.path(folder, "sitecustomize.py"))
  watched <- file.path(folder, "watched")
  dead <- paste0(c("HTTPS_PROXY", "HTTP_PROXY"), "=http://127.0.0.1:9")
  out <- run_r(c(
    "library(kerasbridge)",
    "model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)",
    "compile(model, 'sgd', 'mse')",
    "h <- fit(model, matrix(1, 4, 2), rep(0, 4), epochs = 1, verbose = 0)",
    "cat(dim(predict(model, matrix(1, 3, 2), verbose = 0)))"
  ), env = c(paste0("PYTHONPATH=", folder), paste0("WATCHED=", watched), dead, paste0("KERASBRIDGE_VENV=", dirname(dirname(python_path())))))
  expect_identical(out$output, "3 1")
  expect_identical(readLines(watched), character())
})

test_that("Python prints UTF-8 whatever the console's code page, unless the user says otherwise", {
  skip_on_os("windows")
  skip_if_no_keras()
  plain <- c("LC_ALL=C", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0", paste0("KERASBRIDGE_VENV=", dirname(dirname(python_path()))))
  code <- c("library(kerasbridge)", "cat(import('sys')$stdout$encoding)")
  expect_identical(run_r(code, env = plain)$output, "utf-8")
  expect_match(run_r(code, env = c(plain, "PYTHONIOENCODING=latin-1"))$output, "latin-1|iso8859-1")
})

test_that("a reticulate that can't use today's uv is named, another is not", {
  expect_match(uv_too_new(package_version("1.41.0.1")), "reticulate 1.41.0.1 can't use uv 0.8 or newer; reticulate 1.44 can", fixed = TRUE)
  expect_null(uv_too_new(package_version("1.28")))
  expect_null(uv_too_new(package_version("1.44.0")))
})
