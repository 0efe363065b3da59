# Finding an environment from files: laid out here in temporary folders, no Python needed.

# An environment's folder with metadata folders for `packages`, such as c(keras = "3.15.1").
fake_environment <- function(packages = character(), folder = tempfile("env"), complete = TRUE) {
  site <- file.path(folder, "lib", "python3.11", "site-packages")
  dir.create(site, recursive = TRUE)
  dir.create(file.path(folder, "bin"))
  file.create(file.path(folder, "bin", "python"), file.path(folder, "pyvenv.cfg"))
  for (name in names(packages)) {
    info <- file.path(site, paste0(name, "-", packages[[name]], ".dist-info"))
    dir.create(info)
    writeLines("Name: x", file.path(info, "METADATA"))
  }
  if (!complete) {
    file.create(file.path(folder, ".kerasbridge-incomplete"))
  }
  folder
}

# Nothing chosen, nothing to be found, outside of R CMD check, no environment of py_require() running.
local_nothing_chosen <- function(env = parent.frame()) {
  before <- the$started
  the$started <- FALSE
  withr::defer(the$started <- before, envir = env)
  withr::local_envvar(
    RETICULATE_PYTHON = NA, RETICULATE_PYTHON_ENV = NA, KERASBRIDGE_VENV = NA,
    VIRTUAL_ENV = NA, CONDA_PREFIX = NA, KERASBRIDGE_CHECK = NA, `_R_CHECK_PACKAGE_NAME_` = NA,
    WORKON_HOME = tempfile("no-envs"), PATH = tempfile("no-path"),
    .local_envir = env
  )
}

skip_on_os("windows")

test_that("with nothing there, nothing is found", {
  local_nothing_chosen()
  found <- find_environment()
  expect_null(found$python)
  expect_null(found$path)
  expect_match(found$reason, "no environment with Keras 3")
  expect_false(is_keras_available())
})

test_that("the user's own choice comes first, with or without Keras", {
  local_nothing_chosen()
  root <- withr::local_tempdir()
  withr::local_envvar(WORKON_HOME = root)
  ours <- fake_environment(c(keras = "3.15.1"), file.path(root, "r-kerasbridge"))
  expect_equal(find_environment()$path, ours)
  expect_match(find_environment()$reason, "install_kerasbridge")
  expect_false(find_environment()$chosen)

  active <- fake_environment(c(keras = "3.5.0"))
  withr::local_envvar(VIRTUAL_ENV = active)
  expect_equal(find_environment()$keras, "3.5.0")

  named <- fake_environment(c(keras = "3.10.0"))
  withr::local_envvar(KERASBRIDGE_VENV = named)
  expect_equal(find_environment()$path, named)
  expect_match(find_environment()$reason, "KERASBRIDGE_VENV")

  withr::local_envvar(RETICULATE_PYTHON_ENV = "other")
  fake_environment(character(), file.path(root, "other"))
  expect_equal(find_environment()$path, file.path(root, "other"))
  expect_null(find_environment()$keras)
  expect_true(find_environment()$chosen)

  python <- file.path(active, "bin", "python")
  withr::local_envvar(RETICULATE_PYTHON = python)
  found <- find_environment()
  expect_equal(found[c("python", "keras")], list(python = python, keras = "3.5.0"))
  expect_match(found$reason, "RETICULATE_PYTHON")

  # a setting that means "reticulate's own" names no interpreter
  withr::local_envvar(RETICULATE_PYTHON = "managed")
  expect_equal(find_environment()$path, file.path(root, "other"))
})

test_that("an active environment without Keras is passed over, older ones with it are found", {
  local_nothing_chosen()
  root <- withr::local_tempdir()
  withr::local_envvar(WORKON_HOME = root, VIRTUAL_ENV = fake_environment(c(numpy = "1.26.4")))
  fake_environment(c(keras = "2.15.0"), file.path(root, "r-tensorflow"))
  expect_null(find_environment()$python)
  fake_environment(c(keras = "3.3.3"), file.path(root, "r-reticulate"))
  expect_equal(find_environment()$keras, "3.3.3")
  expect_match(find_environment()$reason, "r-reticulate")
})

test_that("is_keras_available() compares versions as numbers", {
  local_nothing_chosen()
  withr::local_envvar(KERASBRIDGE_VENV = fake_environment(c(keras = "3.10.0")))
  expect_true(is_keras_available())
  expect_true(is_keras_available("3.9"))
  expect_true(is_keras_available("3.10"))
  expect_true(is_keras_available(3))
  expect_true(is_keras_available(numeric_version("3.2")))
  expect_false(is_keras_available("3.10.1"))
  expect_false(is_keras_available("4"))
})

test_that("Keras 2, a cut-off installation and a missing interpreter are not available", {
  local_nothing_chosen()
  withr::local_envvar(KERASBRIDGE_VENV = fake_environment(c(keras = "2.15.0")))
  expect_false(is_keras_available())
  withr::local_envvar(
    KERASBRIDGE_VENV = fake_environment(c(keras = "3.15.1"), complete = FALSE)
  )
  expect_false(is_keras_available())
  gone <- fake_environment(c(keras = "3.15.1"))
  withr::local_envvar(KERASBRIDGE_VENV = gone)
  expect_true(is_keras_available())
  unlink(file.path(gone, "bin", "python"))
  expect_false(is_keras_available())
  withr::local_envvar(KERASBRIDGE_VENV = "/nonexistent")
  expect_false(is_keras_available())
})

test_that("during R CMD check the answer is FALSE unless asked for", {
  local_nothing_chosen()
  withr::local_envvar(
    KERASBRIDGE_VENV = fake_environment(c(keras = "3.15.1")), `_R_CHECK_PACKAGE_NAME_` = "x"
  )
  expect_false(is_keras_available())
  withr::local_envvar(KERASBRIDGE_CHECK = "true")
  expect_true(is_keras_available())
})

test_that("deep = TRUE notices an environment that is broken", {
  local_nothing_chosen()
  broken <- fake_environment(c(keras = "3.15.1"))
  program <- file.path(broken, "bin", "python")
  writeLines(c("#!/bin/sh", "exit 1"), program)
  Sys.chmod(program, "755")
  withr::local_envvar(KERASBRIDGE_VENV = broken)
  expect_true(is_keras_available())
  expect_false(is_keras_available(deep = TRUE))
  writeLines(c("#!/bin/sh", "[ -z \"$LD_LIBRARY_PATH\" ]"), program)
  withr::local_envvar(LD_LIBRARY_PATH = "/usr/lib/R/lib")
  expect_true(is_keras_available(deep = TRUE))
  expect_equal(Sys.getenv("LD_LIBRARY_PATH"), "/usr/lib/R/lib")
})

test_that("odd versions and flags are refused with what is accepted", {
  for (odd in list("gpu", NA, c("3", "4"), "", TRUE, list(3))) {
    error <- expect_error(is_keras_available(odd), class = "kerasbridge_error_argument")
    expect_match(conditionMessage(error), "one version of Keras")
    expect_equal(error$argument, "version")
  }
  expect_error(is_keras_available(deep = NA), "deep", class = "kerasbridge_error_argument")
})

test_that("places are named by a variable, a name or a path", {
  withr::local_envvar(KERASBRIDGE_VENV = NA, WORKON_HOME = "/envs")
  expect_equal(kerasbridge_env_path("r-kerasbridge"), "/envs/r-kerasbridge")
  expect_equal(named_env_path("/a/b"), "/a/b")
  withr::local_envvar(WORKON_HOME = NA)
  expect_equal(named_env_path("x"), path.expand("~/.virtualenvs/x"))
  withr::local_envvar(KERASBRIDGE_VENV = "~/here")
  expect_equal(kerasbridge_env_path("r-kerasbridge"), path.expand("~/here"))
})

test_that("versions compare by number", {
  expect_equal(compare_versions("3.10", "3.9"), 1)
  expect_equal(compare_versions("3.9.0", "3.9"), 0)
  expect_equal(compare_versions("3.9rc1", "3.10"), -1)
})

test_that("the needs declared to reticulate come from the engine's table and fit the machine", {
  needs <- python_requirements("Linux", "x86_64")
  expect_match(needs[[1]], "^tensorflow-cpu>=2[.]16[.]1,<2[.][0-9]+$")
  expect_match(needs[[2]], "^keras>=3")
  expect_true(all(c("numpy", "pyarrow", "h5py>=3.10") %in% needs))
  expect_match(python_requirements("Darwin", "aarch64")[[1]], "^tensorflow>=2[.]16")
})
