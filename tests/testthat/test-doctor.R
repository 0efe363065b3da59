# An interpreter that R can start with, in a virtual environment of its own, without Keras.
bare_environment <- function(folder) {
  run_python(sprintf("import venv; venv.create(r'%s', with_pip=False, symlinks=True)", folder))
  folder
}

test_that("the doctor says which Python is used and why, and starts none", {
  skip_on_os("windows")
  skip_if_no_keras()
  root <- withr::local_tempdir()
  bare_environment(file.path(root, "no-keras"))
  dir.create(file.path(root, "broken", "bin"), recursive = TRUE)
  writeLines(c("#!/bin/sh", "exit 3"), file.path(root, "broken", "bin", "python"))
  Sys.chmod(file.path(root, "broken", "bin", "python"))
  writeLines("home = /usr/bin", file.path(root, "broken", "pyvenv.cfg"))
  good <- dirname(dirname(python_path()))
  out <- run_r(
    c(
      "library(kerasbridge)",
      "d <- kerasbridge_doctor()",
      "saveRDS(list(d, isNamespaceLoaded('reticulate') && reticulate::py_available(FALSE)), Sys.getenv('OUT'))",
      "print(d)"
    ),
    env = c(paste0("WORKON_HOME=", root), paste0("KERASBRIDGE_VENV=", good), paste0("OUT=", file.path(root, "out.rds")))
  )
  result <- readRDS(file.path(root, "out.rds"))
  expect_false(result[[2]])
  rows <- result[[1]]
  expect_s3_class(rows, "kerasbridge_doctor")
  expect_named(rows, c("check", "status", "found", "cause", "fix"))
  python <- rows[rows$check == "Python", ]
  expect_identical(python$status, "ok")
  expect_match(python$found, "because KERASBRIDGE_VENV names it", fixed = TRUE)
  places <- rows$found[grepl("^environment", rows$check)]
  expect_match(places, "no-keras .*no Keras", all = FALSE)
  expect_match(places, "broken ", all = FALSE)
  expect_match(places, paste0(good, " .*keras 3.*in use"), all = FALSE)
  expect_identical(rows$status[rows$check == "imports"], "ok")
  expect_match(out$output, "^ok +keras +3", all = FALSE)
})

test_that("the doctor works with a broken Python and with none", {
  skip_on_os("windows")
  root <- withr::local_tempdir()
  dir.create(file.path(root, "bin"))
  writeLines(c("#!/bin/sh", "echo nonsense", "exit 3"), file.path(root, "bin", "python"))
  Sys.chmod(file.path(root, "bin", "python"))
  withr::local_envvar(RETICULATE_PYTHON = NA, RETICULATE_PYTHON_ENV = NA, KERASBRIDGE_VENV = root)
  rows <- doctor_of_python(deep = TRUE, candidates = character())
  expect_identical(rows$status, c("problem", "problem"))
  expect_match(rows$cause[[1]], "It doesn't run")
  expect_match(rows$cause[[2]], "no usable Python on this machine")
  expect_match(rows$fix[[2]], "install_kerasbridge()", fixed = TRUE)
  withr::local_envvar(KERASBRIDGE_VENV = NA, RETICULATE_PYTHON = file.path(root, "gone"))
  rows <- doctor_of_python(deep = TRUE, candidates = character())
  expect_match(rows$found[[1]], "gone, because RETICULATE_PYTHON names it")
  expect_match(rows$cause[[1]], "There is no Python at that place")
})

test_that("the file that sets a variable is named", {
  folder <- withr::local_tempdir()
  withr::local_dir(folder)
  writeLines(c("# RETICULATE_PYTHON=/old", "RETICULATE_PYTHON=/opt/python"), ".Renviron")
  expect_identical(set_where("RETICULATE_PYTHON names it"), " (set in .Renviron)")
  expect_identical(set_where("install_kerasbridge() made it"), "")
})

test_that("R's own part names what doesn't fit", {
  linux <- c(sysname = "Linux", version = "1")
  expect_identical(r_row("4.2.2", "x86_64", linux)$status, "ok")
  expect_match(r_row("3.6.0", "x86_64", linux)$cause, "R 4.1 or newer")
  mac <- c(sysname = "Darwin", version = "Darwin Kernel Version 23; RELEASE_ARM64_T6000")
  expect_match(r_row("4.3.0", "x86_64", mac)$fix, "arm64 build of R")
  expect_identical(r_row("4.3.0", "aarch64", mac)$status, "ok")
})

test_that("an error is explained, as a condition and as text", {
  expect_output(known <- kerasbridge_doctor("No module named 'tensorflow'"), "no module 'tensorflow'")
  expect_identical(known$id, "module-missing")
  error <- tryCatch(stop("incompatible NumPy binary version 33554432"), error = identity)
  expect_output(kerasbridge_doctor(error), "Install numpy below 2")
  expect_output(expect_null(kerasbridge_doctor("the cat sat")), "not among the known ones")
  own <- tryCatch(install_kerasbridge(gpu = "yes"), error = identity)
  expect_output(expect_null(kerasbridge_doctor(own)), "says itself what is wrong:\n`gpu` must be TRUE or FALSE", fixed = TRUE)
  expect_error(kerasbridge_doctor(3), "`error` must be a condition", class = "kerasbridge_error_argument")
  expect_error(kerasbridge_doctor(deep = "yes"), "`deep`", class = "kerasbridge_error_argument")
})

test_that("a report names nobody, and a place that can't be written is an error", {
  rows <- structure(
    doctor_row("Python", "problem", paste0(path.expand("~"), "/env"), "gone", "mend"),
    class = c("kerasbridge_doctor", "data.frame")
  )
  file <- withr::local_tempfile()
  write_doctor_report(rows, file, NULL)
  text <- readLines(file)
  expect_match(text, "~/env", fixed = TRUE, all = FALSE)
  expect_false(any(grepl(path.expand("~"), text, fixed = TRUE)))
  expect_match(text, "fix:   mend", fixed = TRUE, all = FALSE)
  expect_error(
    write_doctor_report(rows, "/nonexistent/report.txt", NULL), "`report` can't be written",
    class = "kerasbridge_error_argument"
  )
})

test_that("the version the doctor reports is the one that runs", {
  skip_if_no_keras()
  bridge_start()
  running <- reticulate::import("sys")$version_info
  version <- paste(running$major, running$minor, running$micro, sep = ".")
  expect_identical(kerasbridge_info()$python, version)
  rows <- doctor_of_python(deep = FALSE)
  expect_match(rows$found[rows$check == "Python"], paste0("^Python ", version, " at "))
})

test_that("what Python says in 200 lines becomes a few", {
  skip_if_no_keras()
  trace <- paste(c(
    "Graph execution error:", "Detected at node gradient defined at (most recent call last):",
    rep("  File \"layer.py\", line 1, in call", 200), "indices[0,1] = 10 is not in [0, 10)",
    "\t [[{{node Gather}}]] [Op:__inference_one_step_1]"
  ), collapse = "\n")
  error <- tryCatch(
    abort_from_python(list(kind = "python", type = "InvalidArgumentError", message = explain_message(trace)$cause, hint = explain_message(trace)$fix, traceback = trace), call = NULL),
    error = identity
  )
  lines <- strsplit(conditionMessage(error), "\n")[[1]]
  expect_lte(length(lines), 8)
  expect_match(lines[[1]], "The number 10 was looked up in an embedding", fixed = TRUE)
  expect_false(any(grepl("py_call_impl|Graph execution error|Detected at node", lines)))
  expect_output(last_python_error(), "Graph execution error")
})

test_that("Pythons that never answer don't keep the doctor longer than 20 seconds", {
  skip_on_os("windows")
  root <- withr::local_tempdir()
  hang <- function(name) {
    path <- file.path(root, name, "bin", "python")
    dir.create(dirname(path), recursive = TRUE)
    writeLines(c("#!/bin/sh", "sleep 100"), path)
    Sys.chmod(path)
    path
  }
  withr::local_envvar(RETICULATE_PYTHON = hang("chosen"), KERASBRIDGE_VENV = NA)
  others <- vapply(paste0("other", 1:9), hang, "")
  started <- proc.time()[["elapsed"]]
  rows <- doctor_of_python(deep = TRUE, candidates = others)
  expect_lt(proc.time()[["elapsed"]] - started, 20)
  expect_match(rows$cause[[1]], "It doesn't run (or not within 5 seconds)", fixed = TRUE)
  expect_match(rows$cause[[2]], "no usable Python")
})

test_that("PYTHONPATH, as R's own Python would read it, is part of the trial", {
  skip_on_os("windows")
  skip_if_no_keras()
  root <- withr::local_tempdir()
  writeLines("raise ImportError('an old one')", file.path(root, "h5py.py"))
  withr::local_envvar(PYTHONPATH = root)
  rows <- doctor_of_python(deep = TRUE)
  bad <- rows[rows$check == "imports", ]
  expect_identical(bad$status, "problem")
  expect_match(bad$cause, "PYTHONPATH|h5py can't be imported")
  expect_match(rows$found[rows$check == "library paths"], paste0("PYTHONPATH=", root), fixed = TRUE)
  expect_identical(Sys.getenv("PYTHONPATH"), root)
})

test_that("a report leaves out home folders under any name, and only whole words of the user's name", {
  lines <- c("/Users/anna/env, /users/anna/x, C:\\Users\\Anna\\e", "anna made it; banana", "anna's and /srv/anna/e")
  clean <- without_names(lines, home = c("/Users/anna", "C:\\Users\\Anna", ""), user = "anna")
  expect_identical(clean, c("~/env, /users/user/x, ~\\e", "user made it; banana", "user's and /srv/user/e"))
  expect_identical(without_names("root of the tree", home = "/nonexistent-home", user = "root"), "root of the tree")
  # a name with signs of regular expressions
  expect_identical(without_names("by a.b+c", home = "", user = "a.b+c"), "by user")
})

test_that("a fix says what else must go where a setting names the environment", {
  fix <- c("install_kerasbridge()", "pip uninstall x", "install_kerasbridge(gpu = TRUE), or more")
  expect_identical(
    beside_setting(fix, "RETICULATE_PYTHON names it (set in .Renviron)"),
    c(
      "install_kerasbridge(), and take away what names the other (RETICULATE_PYTHON)", "pip uninstall x",
      "install_kerasbridge(gpu = TRUE), and take away what names the other (RETICULATE_PYTHON), or more"
    )
  )
  expect_identical(beside_setting(fix, "KERASBRIDGE_VENV names it"), fix)
})

test_that("what is printed ends with a line of its own", {
  rows <- structure(doctor_row("R", "ok", "R 4"), class = c("kerasbridge_doctor", "data.frame"))
  file <- withr::local_tempfile()
  withr::with_output_sink(file, print(rows))
  expect_identical(readLines(file), c("ok       R  R 4", "", "Nothing is wrong."))
  expect_identical(readChar(file, file.size(file)) |> substring(file.size(file)), "\n")
})
