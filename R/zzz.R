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
  note <- masking_note(search())
  if (!is.null(note)) {
    packageStartupMessage(note)
  }
}

# One line where another package for Keras is attached too: whose functions are taken now.
masking_note <- function(attached) {
  others <- intersect(c("package:keras", "package:keras3"), attached)
  if (length(others) == 0) {
    return(NULL)
  }
  shared <- intersect(unlist(lapply(others, ls)), getNamespaceExports("kerasbridge"))
  shown <- utils::head(sort(shared), 6)
  sprintf(
    "kerasbridge masks %d functions of %s (%s%s): attach only one of them in a session.",
    length(shared), paste(sub("package:", "", others), collapse = " and "), paste(shown, collapse = ", "),
    if (length(shared) > length(shown)) ", ..." else ""
  )
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
