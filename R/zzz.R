# What happens when the package is loaded: nothing heavy, no Python start, no message.

.onLoad <- function(libname, pkgname) {
  reticulate::register_class_filter(kerasbridge_classes)
  declare_python_needs()
  makeActiveBinding("keras", \() delayed_module("keras"), env = topenv())
  makeActiveBinding("tf", \() delayed_module("tensorflow"), env = topenv())
}
