# Where an environment with Keras is, found from files alone: no Python is started, no network used.

#' Is Keras available?
#'
#' Answers from files, in a few milliseconds: no Python is started and nothing
#' is downloaded. `deep = TRUE` really imports Keras, in a process of its own.
#'
#' During `R CMD check` of any package the answer is `FALSE`, so that examples
#' and tests that need Keras are left out; set the environment variable
#' `KERASBRIDGE_CHECK` to `true` to have them run.
#'
#' @param version The least version of Keras that will do, such as `"3.5"`;
#'   `NULL` for any.
#' @param deep Whether to import Keras in a process of its own, which takes some
#'   seconds, but also finds an environment that is broken.
#' @return `TRUE` or `FALSE`.
#' @seealso [install_kerasbridge()]
#' @export
#' @examples
#' is_keras_available()
#' is_keras_available("3.5")
is_keras_available <- function(version = NULL, deep = FALSE) {
  least <- check_least_version(version)
  check_install_flag(deep, "deep")
  checking <- nzchar(Sys.getenv("_R_CHECK_PACKAGE_NAME_"))
  if (checking && !identical(tolower(Sys.getenv("KERASBRIDGE_CHECK")), "true")) {
    return(FALSE)
  }
  found <- find_environment()
  if (is.null(found$python)) {
    found <- required_environment()
  }
  if (is.null(found$python) || is.null(found$keras) || compare_versions(found$keras, 3) < 0) {
    return(FALSE)
  }
  if (!is.null(least) && compare_versions(found$keras, least) < 0) {
    return(FALSE)
  }
  if (deep) keras_imports(found$python) else TRUE
}

# Which environment the package uses, following the user's own choice first.
# Returns list(path, python, reason, keras, chosen): python is NULL where none was found, keras is
# the version of Keras in it (NULL: not there), chosen says whether the user named it.
find_environment <- function(envname = "r-kerasbridge") {
  chosen <- function(path, reason) {
    python <- env_python(path)
    list(
      path = path, python = python, reason = reason,
      keras = if (!is.null(python) && env_complete(path)) env_version(path, "keras"),
      chosen = TRUE
    )
  }
  named <- Sys.getenv("RETICULATE_PYTHON")
  if (nzchar(named) && !identical(named, "managed")) {
    return(chosen(path.expand(named), "RETICULATE_PYTHON names it"))
  }
  named <- Sys.getenv("RETICULATE_PYTHON_ENV")
  if (nzchar(named)) {
    return(chosen(named_env_path(named), "RETICULATE_PYTHON_ENV names it"))
  }
  requested <- requested_python()
  if (!is.null(requested)) {
    return(chosen(requested, "use_python() or use_virtualenv() named it"))
  }
  if (nzchar(Sys.getenv("KERASBRIDGE_VENV"))) {
    return(chosen(kerasbridge_env_path(envname), "KERASBRIDGE_VENV names it"))
  }
  candidates <- list()
  for (variable in c("VIRTUAL_ENV", "CONDA_PREFIX")) {
    if (nzchar(Sys.getenv(variable))) {
      candidates[[length(candidates) + 1]] <- list(
        path.expand(Sys.getenv(variable)), paste(variable, "is active and has Keras")
      )
    }
  }
  candidates[[length(candidates) + 1]] <- list(
    kerasbridge_env_path(envname), "install_kerasbridge() made it"
  )
  for (usual in c("r-keras", "r-tensorflow", "r-reticulate")) {
    candidates[[length(candidates) + 1]] <- list(
      named_env_path(usual), paste("it is the usual environment", usual, "and has Keras")
    )
  }
  on_path <- Sys.which("python3")[[1]]
  if (nzchar(on_path)) {
    candidates[[length(candidates) + 1]] <- list(on_path, "python3 on PATH has Keras")
  }
  for (candidate in candidates) {
    python <- env_python(candidate[[1]])
    keras <- if (!is.null(python)) env_version(candidate[[1]], "keras")
    if (!is.null(keras) && env_complete(candidate[[1]]) && compare_versions(keras, 3) >= 0) {
      return(list(
        path = candidate[[1]], python = python, reason = candidate[[2]],
        keras = keras, chosen = FALSE
      ))
    }
  }
  list(
    path = NULL, python = NULL, reason = "no environment with Keras 3 was found",
    keras = NULL, chosen = FALSE
  )
}

# The folder of this package's own environment.
kerasbridge_env_path <- function(envname = "r-kerasbridge") {
  named <- Sys.getenv("KERASBRIDGE_VENV")
  if (nzchar(named)) path.expand(named) else named_env_path(envname)
}

# A name stands for a folder among the virtual environments; anything with a slash is a path.
named_env_path <- function(envname) {
  if (grepl("[/\\\\]", envname) || startsWith(envname, "~")) {
    return(path.expand(envname))
  }
  root <- Sys.getenv("WORKON_HOME", unset = "")
  path.expand(file.path(if (nzchar(root)) root else "~/.virtualenvs", envname))
}

# The interpreter of an environment's folder, or the path itself if it is one; NULL if it is gone.
env_python <- function(path) {
  if (file.exists(path) && !dir.exists(path)) {
    return(path)
  }
  places <- if (.Platform$OS.type == "windows") {
    c("Scripts/python.exe", "python.exe")
  } else {
    c("bin/python", "bin/python3")
  }
  found <- Filter(file.exists, file.path(path, places))
  if (length(found)) found[[1]] else NULL
}

# An installation that was cut short leaves a mark.
env_complete <- function(path) {
  !file.exists(file.path(path, ".kerasbridge-incomplete"))
}

# Version of a package in an environment or beside an interpreter, from the name of its metadata
# folder; NULL if it isn't there.
env_version <- function(path, package) {
  pattern <- paste0("^", package, "-([0-9][^-]*)(-py[0-9.]+)?\\.(dist|egg)-info$")
  for (folder in env_site_folders(path)) {
    entry <- grep(pattern, list.files(folder), value = TRUE, ignore.case = TRUE)
    whole <- file.exists(file.path(folder, entry, "METADATA")) |
      file.exists(file.path(folder, entry, "PKG-INFO")) |
      (file.exists(file.path(folder, entry)) & !dir.exists(file.path(folder, entry)))
    if (any(whole)) {
      return(sub(pattern, "\\1", entry[whole][[1]], ignore.case = TRUE))
    }
  }
  NULL
}

# The folders in which an environment, or an interpreter, keeps its packages.
env_site_folders <- function(path) {
  prefix <- if (dir.exists(path)) path else dirname(dirname(path))
  if (!file.exists(file.path(prefix, "pyvenv.cfg")) && !dir.exists(path)) {
    prefix <- dirname(dirname(normalizePath(path, mustWork = FALSE)))
  }
  if (.Platform$OS.type == "windows") {
    return(Filter(dir.exists, file.path(prefix, "Lib", "site-packages")))
  }
  folders <- Sys.glob(file.path(prefix, "lib", "python3*", "site-packages"))
  if (!file.exists(file.path(prefix, "pyvenv.cfg"))) {
    folders <- c(
      folders,
      Sys.glob(file.path(prefix, "local", "lib", "python3*", "dist-packages")),
      Sys.glob(file.path(prefix, "lib", "python3", "dist-packages"))
    )
  }
  folders
}

# -1, 0 or 1, as numbers compare; letters after the digits ("3.5.0rc1") don't count.
# R's own numeric_version() is not used: it stops on what it can't read.
compare_versions <- function(a, b) {
  a <- version_numbers(a)
  b <- version_numbers(b)
  length(a) <- length(b) <- max(length(a), length(b))
  a[is.na(a)] <- 0L
  b[is.na(b)] <- 0L
  differ <- which(a != b)
  if (length(differ) == 0) 0 else sign(a[differ[[1]]] - b[differ[[1]]])
}

version_numbers <- function(version) {
  digits <- regmatches(version, regexpr("^[0-9]+(\\.[0-9]+)*", version))
  if (length(digits) == 0) integer() else as.integer(strsplit(digits, ".", fixed = TRUE)[[1]])
}

check_least_version <- function(version, call = rlang::caller_env()) {
  if (is.null(version)) {
    return(NULL)
  }
  if (inherits(version, "numeric_version")) {
    version <- as.character(version)
  }
  usable <- length(version) == 1 && (is.character(version) || is.numeric(version)) &&
    !is.na(version) && grepl("^v?[0-9]+(\\.[0-9]+)*$", trimws(version))
  if (!usable) {
    abort_argument(
      "version", "must be one version of Keras.",
      "Use NULL for any, or a number in quotes, such as \"3.5\" or \"3.15.1\".",
      call = call
    )
  }
  sub("^v", "", trimws(as.character(version)))
}

# What a reticulate that makes environments by itself must put into one. The engine's table writes
# the file (`python -m kerasbridge.environment needs`), so that no Python is needed to read it.
python_requirements <- function(system = Sys.info()[["sysname"]], machine = R.version$arch) {
  needs <- readLines(file.path(engine_folder(), "kerasbridge", "environment", "needs.txt"))
  needs <- needs[!startsWith(needs, "#")]
  # the smaller wheel without CUDA exists only there
  if (!(system %in% c("Linux", "Windows") && machine %in% c("x86_64", "amd64", "x86-64"))) {
    needs <- sub("^tensorflow-cpu", "tensorflow", needs)
  }
  needs
}

# Imports Keras in a process of its own, with a limit of 120 seconds.
keras_imports <- function(python) {
  settings <- list(
    LD_LIBRARY_PATH = NA, PYTHONPATH = NA, PYTHONHOME = NA,
    TF_CPP_MIN_LOG_LEVEL = "3", CUDA_VISIBLE_DEVICES = "-1"
  )
  status <- with_variables(settings, suppressWarnings(system2(
    python, c("-c", shQuote("import keras, sys; sys.exit(int(keras.__version__[0]) < 3)")),
    stdout = FALSE, stderr = FALSE, timeout = 120
  )))
  identical(as.integer(status), 0L)
}

# Runs an expression with environment variables set (NA: unset), and puts them back.
with_variables <- function(variables, expr) {
  before <- Sys.getenv(names(variables), unset = NA, names = TRUE)
  set <- function(values) {
    values <- as.list(values)
    gone <- vapply(values, is.na, logical(1))
    Sys.unsetenv(names(values)[gone])
    if (any(!gone)) do.call(Sys.setenv, values[!gone])
  }
  on.exit(set(before))
  set(variables)
  expr
}
