# What happens when the package is loaded: nothing heavy, no Python start, no message. Not even
# reticulate is loaded: what it brings along takes a second.

.onLoad <- function(libname, pkgname) {
  namespace <- topenv()
  the$loaded <- proc.time()[["elapsed"]]
  makeActiveBinding("keras", \() delayed_module("keras"), namespace)
  makeActiveBinding("tf", \() delayed_module("tensorflow"), namespace)
  when_loaded("reticulate", \(...) prepare_reticulate())
  register_deployment()
}

# `%*%` is exported for tensors and does what base R's does otherwise: no message about it.
.onAttach <- function(libname, pkgname) {
  assign(".conflicts.OK", TRUE, envir = as.environment("package:kerasbridge"))
}

# Run a function now if a package is loaded, else when it is.
when_loaded <- function(package, f) {
  if (isNamespaceLoaded(package)) {
    return(f())
  }
  setHook(packageEvent(package, "onLoad"), f)
}

prepare_reticulate <- function() {
  reticulate::register_class_filter(kerasbridge_classes)
  declare_python_needs()
}
