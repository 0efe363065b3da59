# install_kerasbridge(): the engine is run by a real Python, the installer is a stub where it fails.

skip_on_os("windows")

local_no_choice <- function(env = parent.frame()) {
  withr::local_envvar(
    RETICULATE_PYTHON = NA, KERASBRIDGE_VENV = NA, WORKON_HOME = withr::local_tempdir(.local_envir = env),
    .local_envir = env
  )
}

# A script in a folder of its own; returns its path.
stub_program <- function(name, lines, env = parent.frame()) {
  folder <- withr::local_tempdir(.local_envir = env)
  path <- file.path(folder, name)
  writeLines(c("#!/bin/sh", lines), path)
  Sys.chmod(path, "755")
  path
}

skip_without_python <- function() {
  usable <- tryCatch(find_interpreter(), kerasbridge_error_install = \(e) NULL)
  skip_if(is.null(usable), "no Python that can make environments")
}

# What is asked for, and the version that comes of it: `wished` where a Python of this machine can have it, else the
# newest (Debian 13 has Python 3.13 alone).
had_here <- function(wished, exact) {
  wishes <- c("--reticulate", installed_reticulate(), "--version", wished)
  usable <- tryCatch(find_interpreter(wishes = wishes), kerasbridge_error_install = \(e) NULL)
  if (is.null(usable)) c("2.21", "2.21.0") else c(wished, exact)
}

dry_run <- function(...) {
  output <- capture.output(answer <- install_kerasbridge(..., dry_run = TRUE))
  list(answer = answer, output = output)
}

test_that("a dry run prints interpreter, place and requirements, and makes nothing", {
  skip_without_python()
  local_no_choice()
  version <- had_here("2.18", "2.18.1")
  run <- dry_run(version[[1]], envname = "r-try")
  place <- file.path(Sys.getenv("WORKON_HOME"), "r-try")
  expect_equal(run$answer$status, "planned")
  expect_equal(run$answer$path, place)
  expect_true("tensorflow" == sub("(-cpu)?==.*", "", run$answer$requirements[[1]]))
  expect_match(run$answer$requirements[[1]], paste0("==", version[[2]]), fixed = TRUE)
  expect_match(run$output, place, fixed = TRUE, all = FALSE)
  expect_match(run$output, "Disk space: about", all = FALSE)
  expect_false(file.exists(place))
  if (utils::packageVersion("reticulate") < "1.38") {
    expect_true("numpy==1.26.4" %in% run$answer$requirements)
    expect_match(run$output, "can't exchange arrays with numpy 2", all = FALSE)
  }
})

test_that("what a cluster needs comes by one word", {
  skip_without_python()
  local_no_choice()
  version <- had_here("2.18", "2.18.1")[[1]]
  jax <- \(run) grep("^jax", run$answer$requirements, value = TRUE)
  expect_length(jax(dry_run(version)), 0)
  expect_match(jax(dry_run(version, extra = "cluster")), "^jax>=")
  expect_error(install_kerasbridge(extra = "more", dry_run = TRUE), "extra = .more. is not known", class = "kerasbridge_error_install")
  expect_error(install_kerasbridge(extra = 1), "`extra`", class = "kerasbridge_error_argument")
})

test_that("any version is resolved or refused with the accepted forms, before anything is made", {
  skip_without_python()
  local_no_choice()
  version <- had_here("2.16", "2.16.2")
  pinned <- paste0("==", version[[2]])
  short <- version[[1]]
  for (wish in list(as.numeric(short), short, numeric_version(short), factor(short), pinned, paste0(short, ".*"))) {
    expect_match(dry_run(wish)$answer$requirements[[1]], pinned, fixed = TRUE)
  }
  odd <- list(
    "nightly-gpu", "2.16.0-gpu", "2.16.0rc1", "<TF_VERSION>", NA, "", "1.15", "3.15", 2.2, TRUE,
    "2.16'; echo x", "$(echo 2.16)", strrep("9", 5000)
  )
  for (wish in odd) {
    error <- expect_error(
      install_kerasbridge(wish, dry_run = TRUE),
      class = "kerasbridge_error_install"
    )
    expect_s3_class(error, "kerasbridge_error")
    expect_equal(error$argument, "version")
    expect_match(conditionMessage(error), "Accepted|Use 2.16|in quotes")
    expect_no_match(conditionMessage(error), "invalid version specification")
    expect_equal(as.list(error$call)[[1]], as.name("install_kerasbridge"))
  }
  for (wish in list(c("2.16", "2.17"), list("2.16"), mean, Sys.Date())) {
    expect_error(install_kerasbridge(wish), "one version", class = "kerasbridge_error_install")
  }
  expect_length(list.files(Sys.getenv("WORKON_HOME")), 0)
})

test_that("the older names check CUDA and Keras against the table", {
  skip_without_python()
  skip_on_os("mac")
  local_no_choice()
  version <- had_here("2.18", "2.18.1")
  output <- capture.output(
    answer <- install_tensorflow(version[[1]], cuda_version = 12.5, cudnn_version = "9.3", dry_run = TRUE)
  )
  expect_equal(answer$requirements[[1]], paste0("tensorflow[and-cuda]==", version[[2]]))
  expect_true("nvidia-cudnn-cu12==9.3.*" %in% answer$requirements)
  error <- expect_error(
    install_tensorflow(version[[1]], cuda_version = "11.8", dry_run = TRUE),
    class = "kerasbridge_error_install"
  )
  expect_match(conditionMessage(error), "Nearest: TensorFlow 2.17.1 with CUDA 12.3 and cuDNN 8.9|Nearest: TensorFlow 2.21.0")
  expect_equal(error$argument, "cuda_version")
  expect_error(install_tensorflow(cuda_version = "12.5", gpu = FALSE), "go only with `gpu = TRUE`")

  output <- capture.output(answer <- install_keras("3.12.0", dry_run = TRUE))
  expect_true("keras==3.12.0" %in% answer$requirements)
  expect_error(install_keras("2.3.1", dry_run = TRUE), "works with Keras 3")
  expect_error(install_keras(conda = TRUE), "no argument conda", class = "kerasbridge_error_argument")
  expect_error(install_keras(NULL, NULL, "uv"), "\\(unnamed\\)", class = "kerasbridge_error_argument")
})

test_that("arguments are checked by name", {
  expect_error(install_kerasbridge(gpu = NA), "`gpu` must be TRUE or FALSE, not NA")
  expect_error(install_kerasbridge(dry_run = "yes"), "`dry_run`")
  expect_error(install_kerasbridge(backend = c("jax", "torch")), "`backend` must be one string")
  expect_error(install_kerasbridge(envname = ""), "`envname`", class = "kerasbridge_error_argument")
  expect_error(
    install_kerasbridge(python = "/nowhere/python3"), "no Python at",
    class = "kerasbridge_error_install"
  )
})

test_that("an installer that fails gives a classed error, and the place is clean again", {
  skip_without_python()
  local_no_choice()
  uv <- stub_program("uv", c(
    "if [ \"$1\" = venv ]; then for last; do :; done; mkdir -p \"$last/bin\"",
    "  : > \"$last/pyvenv.cfg\"; ln -s /bin/true \"$last/bin/python\"; exit 0; fi",
    "echo 'error sending request: dns error {not a template}'; exit 1"
  ))
  withr::local_envvar(PATH = paste(dirname(uv), Sys.getenv("PATH"), sep = ":"))
  output <- capture.output(
    error <- expect_error(
      install_kerasbridge(envname = "r-try", method = "uv"),
      class = "kerasbridge_error_install"
    )
  )
  expect_match(conditionMessage(error), "can't be reached: there is no network")
  expect_match(conditionMessage(error), "from = \"wheels/\"", fixed = TRUE)
  expect_match(error$output, "dns error {not a template}", fixed = TRUE, all = FALSE)
  expect_match(output, "Installer: uv", all = FALSE)
  expect_length(list.files(Sys.getenv("WORKON_HOME"), all.files = TRUE, no.. = TRUE), 0)
})

test_that("interpreters that can't be used are passed over, and the error says why", {
  local_no_choice()
  old <- stub_program("python3", "echo 'SyntaxError: future feature annotations'; exit 1")
  error <- expect_error(
    install_kerasbridge(python = old, dry_run = TRUE), class = "kerasbridge_error_install"
  )
  expect_match(conditionMessage(error), "older than Python 3.9", fixed = TRUE)
  expect_match(conditionMessage(error), old, fixed = TRUE)
  denied <- withr::local_tempfile(lines = "x")
  error <- expect_error(install_kerasbridge(python = denied), class = "kerasbridge_error_install")
  expect_match(conditionMessage(error), "exit status 126", fixed = TRUE)
  broken <- stub_program("python3", "echo 'libpython3.11.so.1.0: cannot open shared object'; exit 127")
  error <- expect_error(install_kerasbridge(python = broken), class = "kerasbridge_error_install")
  expect_match(conditionMessage(error), "cannot open shared object", fixed = TRUE)

  skip_without_python()
  good <- find_interpreter()
  withr::local_envvar(RETICULATE_PYTHON = broken)
  expect_equal(find_interpreter(), good)
})

test_that("a child Python sees neither R's library path nor another PYTHONPATH, and R keeps its own", {
  shown <- stub_program("python3", c(
    "echo \"LD=[$LD_LIBRARY_PATH] HOME=[$PYTHONHOME] PATH=[$PYTHONPATH]\"", "exit 3"
  ))
  withr::local_envvar(LD_LIBRARY_PATH = "/usr/lib/R/lib", PYTHONHOME = "/x", PYTHONPATH = "/y")
  answer <- run_environment(shown, "interpreter", stream = FALSE)
  expect_false(answer$ok)
  expect_equal(answer$output, sprintf("LD=[] HOME=[] PATH=[%s]", engine_folder()))
  expect_match(answer$message, "exit status")
  expect_equal(Sys.getenv(c("LD_LIBRARY_PATH", "PYTHONPATH"), names = FALSE), c("/usr/lib/R/lib", "/y"))
})

test_that("one option names the certificates for all that downloads", {
  file <- withr::local_tempfile(lines = "x")
  withr::local_options(kerasbridge.ca_file = file)
  expect_identical(certificate_variables()$PIP_CERT, normalizePath(file))
  expect_named(certificate_variables(), c("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"))
  withr::local_options(kerasbridge.ca_file = "/nonexistent.pem")
  expect_error(certificate_variables(), "kerasbridge.ca_file", class = "kerasbridge_error_install")
  withr::local_options(kerasbridge.ca_file = NULL)
  withr::local_envvar(REQUESTS_CA_BUNDLE = NA, SSL_CERT_FILE = NA)
  expect_identical(certificate_variables(), list())
  # the one that people set serves uv, too, and with it py_require(); a folder is none
  withr::local_envvar(REQUESTS_CA_BUNDLE = file)
  expect_identical(certificate_variables(), list(SSL_CERT_FILE = file))
  withr::local_envvar(REQUESTS_CA_BUNDLE = dirname(file))
  expect_identical(certificate_variables(), list())
  withr::local_envvar(REQUESTS_CA_BUNDLE = file, SSL_CERT_FILE = "mine.pem")
  expect_identical(certificate_variables(), list())
})

# A Python that says of itself that it is version 3.14, and runs the engine for real.
coming_python <- function(env = parent.frame()) {
  real <- find_interpreter()
  folder <- withr::local_tempdir(.local_envir = env)
  writeLines(c(
    "import runpy, sys",
    "sys.version_info = (3, 14, 0, 'final', 0)",
    "module, sys.argv = sys.argv[2], sys.argv[2:]",
    "runpy.run_module(module, run_name='__main__')"
  ), file.path(folder, "coming.py"))
  stub_program("python3", sprintf("exec '%s' '%s' \"$@\"", real, file.path(folder, "coming.py")), env = env)
}

test_that("a Python too new for TensorFlow is refused before anything, with the command that fetches one", {
  skip_without_python()
  local_no_choice()
  stub <- coming_python()
  error <- expect_error(install_kerasbridge(python = stub), class = "kerasbridge_error_install")
  text <- conditionMessage(error)
  expect_match(text, "This Python can't be used.", fixed = TRUE)
  expect_match(text, paste0(stub, ": "), fixed = TRUE)
  expect_match(text, "this is Python 3[.]14|can't start Python 3[.]14")
  expect_match(text, "uv python install 3.11|pyenv install 3.11")
  expect_lte(length(strsplit(text, "\n")[[1]]), 8)
  expect_identical(error$argument, "python")
  expect_length(list.files(Sys.getenv("WORKON_HOME")), 0)
  # one that fits is taken in its place
  withr::local_envvar(RETICULATE_PYTHON = stub)
  expect_false(find_interpreter() == stub)
})

test_that("the Pythons that uv and pyenv have fetched are found, 3.11 first", {
  root <- withr::local_tempdir()
  made <- c("uv/cpython-3.10.5-linux", "uv/cpython-3.8.1-linux", "uv/cpython-3.11.9-linux", "pyenv/versions/3.11.7", "pyenv/versions/3.7.16")
  for (folder in file.path(root, made, "bin")) {
    dir.create(folder, recursive = TRUE)
    file.create(file.path(folder, "python3"))
  }
  withr::local_envvar(UV_PYTHON_INSTALL_DIR = file.path(root, "uv"), PYENV_ROOT = file.path(root, "pyenv"), RETICULATE_PYTHON = NA, PATH = root)
  found <- fetched_pythons()
  expect_setequal(found, file.path(root, made, "bin", "python3"))
  expect_match(found[1:2], "3[.]11[.]")
  expect_identical(utils::tail(interpreter_candidates(), 5), found)
  expect_identical(python_of_version("3.7"), file.path(root, "pyenv/versions/3.7.16/bin/python3"))
  expect_match(python_of_version("3.8"), "cpython-3.8.1-linux")
  expect_identical(python_of_version("3.1"), "")
  withr::local_envvar(UV_PYTHON_INSTALL_DIR = NA, XDG_DATA_HOME = file.path(root, "share"), PYENV_ROOT = root)
  expect_identical(fetched_pythons(), character())
  # a python3 that is a link, as the system's is
  skip_on_os("windows")
  file.create(file.path(root, "python3.13"))
  file.symlink(file.path(root, "python3.13"), file.path(root, "python3"))
  expect_identical(python_of_version("3.13"), file.path(root, "python3"))
})

test_that("many interpreters that can't be used still give a short error", {
  answers <- lapply(1:12, \(i) list(message = paste("It is broken in way", i), hint = if (i == 3) "Mend it so."))
  names(answers) <- sprintf("/p%d/python3", 1:12)
  expect_identical(
    passed_over_lines(answers),
    c(sprintf("/p%d/python3: It is broken in way %d", 1:3, 1:3), "... and 9 more")
  )
  expect_length(passed_over_lines(answers[1:4]), 4)
  expect_identical(unusable_hint(answers), "Mend it so.")
  expect_match(unusable_hint(answers[1]), "Name another")
})

test_that("R for Intel on an Apple processor is refused", {
  mac <- c(sysname = "Darwin", version = "Darwin Kernel Version 23; RELEASE_ARM64_T6000")
  error <- expect_error(check_r_fits(r_row("4.3.0", "x86_64", mac)), class = "kerasbridge_error_install")
  expect_match(conditionMessage(error), "Install the arm64 build of R", fixed = TRUE)
  expect_null(check_r_fits(r_row("4.3.0", "aarch64", mac)))
  expect_null(check_r_fits())
})

test_that("what is left to do by hand is said", {
  withr::local_envvar(RETICULATE_PYTHON = NA)
  place <- withr::local_tempdir()
  python <- file.path(place, "bin", "python")
  expect_identical(next_steps("installed", place, python, bound = NULL, used = place), character())
  expect_identical(next_steps("planned", place, python, bound = NULL, used = NULL), character())
  expect_match(next_steps("installed", place, python, bound = NULL, used = NULL), sprintf("KERASBRIDGE_VENV = \"%s\"", place), fixed = TRUE)
  expect_match(next_steps("installed", place, python, bound = "/usr/bin/python3", used = place), "^Restart R")
  expect_identical(next_steps("present", place, python, bound = python, used = place), character())
  withr::local_envvar(RETICULATE_PYTHON = "/usr/bin/python3")
  expect_match(next_steps("present", place, python, bound = NULL, used = "/usr/bin/python3"), sprintf("RETICULATE_PYTHON = \"%s\"", python), fixed = TRUE)
})

test_that("the certificates that the option names reach the installer", {
  file <- withr::local_tempfile(lines = "x")
  withr::local_options(kerasbridge.ca_file = file)
  shown <- stub_program("python3", c("echo \"$PIP_CERT $SSL_CERT_FILE $REQUESTS_CA_BUNDLE\"", "exit 3"))
  expect_identical(run_environment(shown, "interpreter", stream = FALSE)$output, paste(rep(normalizePath(file), 3), collapse = " "))
})

test_that("a folder can stand for its Python, and what is none is named", {
  skip_without_python()
  local_no_choice()
  good <- find_interpreter()
  folder <- dirname(dirname(good))
  skip_if(is.null(env_python(folder)), "the interpreter has another name in its folder")
  expect_no_error(find_interpreter(folder))
  expect_error(find_interpreter(withr::local_tempdir()), "no Python at", class = "kerasbridge_error_install")
})
