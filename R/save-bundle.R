# Methods for the packages bundle, butcher and vetiver, registered where and when those are loaded.

register_deployment <- function() {
  when_loaded("bundle", \(...) add_methods("bundle", list(bundle = bundle_model)))
  when_loaded("butcher", \(...) add_methods("butcher", list(axe_fitted = axe_fitted_model)))
  when_loaded("vetiver", \(...) add_methods("vetiver", vetiver_methods()))
}

# A generic that the installed version lacks is left out.
add_methods <- function(package, methods, namespace = asNamespace(package)) {
  for (generic in intersect(names(methods), ls(namespace))) {
    registerS3method(generic, "kerasbridge_model", methods[[generic]], envir = namespace)
  }
}

# A bundle holds the bytes of the `.keras` file; unbundling makes the model from them.
bundle_model <- function(x, ...) {
  frame <- rlang::current_env()
  extra_args(list(...), character(), frame)
  make <- getExportedValue("bundle", "bundle_constr")
  situate <- getExportedValue("bundle", "situate_constr")
  make(
    object = serialize_model(x),
    situate = situate(function(object) kerasbridge::unserialize_model(object)),
    desc_class = class(x)[[1]]
  )
}

# What only training needs, the optimizer and its state, is left out; predictions stay.
axe_fitted_model <- function(x, verbose = FALSE, ...) {
  out <- unserialize_model(serialize_model(x, include_optimizer = FALSE), compile = FALSE)
  if (verbose) {
    rlang::inform(c(i = sprintf("Optimizer and loss left out; %s parameters kept.", format_count(count_params(out)))))
  }
  out
}

vetiver_methods <- function() {
  list(
    vetiver_create_description = \(model) sprintf("A Keras model with %s parameters", format_count(count_params(model))),
    vetiver_create_meta = \(model, metadata) getExportedValue("vetiver", "vetiver_meta")(metadata, required_pkgs = "kerasbridge"),
    vetiver_prepare_model = \(model) bundle_model(model),
    vetiver_ptype = vetiver_rows,
    handler_startup = \(vetiver_model) invisible(getExportedValue("vetiver", "attach_pkgs")(vetiver_model$metadata$required_pkgs)),
    handler_predict = vetiver_handler
  )
}

# The columns and types that a request must have: no rows of the data given as `prototype_data`.
vetiver_rows <- function(model, ..., prototype_data = NULL) {
  if (is.null(prototype_data)) {
    abort_argument(
      "prototype_data", "is missing: a model by itself doesn't know the names of its columns.",
      "Give a few rows of the training data: `vetiver_model(model, \"name\", prototype_data = head(x))`."
    )
  }
  as.data.frame(prototype_data)[0, , drop = FALSE]
}

vetiver_handler <- function(vetiver_model, ...) {
  function(req) {
    rows <- as.data.frame(req$body)
    wanted <- vetiver_model$prototype
    if (!is.null(wanted)) {
      rows <- ordered_columns(rows, names(wanted))
    }
    model <- vetiver_model$model
    out <- predict(model, if (all(vapply(rows, is.numeric, NA))) data.matrix(rows) else rows, ..., verbose = 0)
    list(.pred = if (is.matrix(out) && ncol(out) == 1) out[, 1] else out)
  }
}

ordered_columns <- function(rows, wanted) {
  missing <- setdiff(wanted, names(rows))
  if (length(missing)) {
    abort_kind(
      "data", sprintf("The request lacks the column '%s'.", missing[[1]]),
      i = paste0("The model takes: ", paste(wanted, collapse = ", "), "."), argument = "req"
    )
  }
  rows[wanted]
}
