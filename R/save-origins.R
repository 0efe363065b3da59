# Classes written in R on their way through files: their source as text, and back.

# R code that makes the class anew, or NULL where something in it can't be written as code (a Python
# object, data of another kind). Functions and values of the workspace that its methods use come along.
spec_source <- function(spec) {
  if (!identical(spec$package, "R")) {
    return(NULL)
  }
  parts <- tryCatch(spec_code(spec), kerasbridge_no_source = \(e) NULL)
  if (is.null(parts)) NULL else paste(c(parts$before, parts$code), collapse = "\n")
}

# R code of a function and of what it uses from the workspace, or NULL.
function_source <- function(f) {
  f <- rlang::as_function(f)
  code <- tryCatch(value_code(f), kerasbridge_no_source = \(e) NULL)
  if (is.null(code)) NULL else paste(c(helper_code(list(f)), code), collapse = "\n")
}

# Where a function comes from, in the words of the manifest: the workspace, or a name in a package.
function_home <- function(f) {
  f <- rlang::as_function(f)
  package <- home_package(environment(f) %||% baseenv())
  env <- if (!is.null(package)) asNamespace(package)
  name <- Find(\(n) !bindingIsActive(n, env) && identical(get(n, envir = env), f), ls(env %||% emptyenv(), all.names = TRUE))
  if (is.null(name)) {
    return(list(origin = "written in R"))
  }
  list(origin = paste0("the R function ", package, "::", name), package = package)
}

no_source <- function() {
  stop(structure(class = c("kerasbridge_no_source", "error", "condition"), list(message = "no source", call = NULL)))
}

class_makers <- c(
  layer = "Layer", model = "Model", loss = "Loss", metric = "Metric", callback = "Callback",
  constraint = "Constraint", regularizer = "Regularizer", initializer = "Initializer",
  schedule = "LearningRateSchedule", optimizer = "Optimizer"
)

# `known`: names of the workspace that are written down, or are being: a class may name itself, or two each other.
spec_code <- function(spec, known = new.env(parent = emptyenv())) {
  kind <- spec$kind
  base <- inherit_code(spec, known)
  if (identical(kind, "plain") && !is.null(base$kind)) {
    kind <- base$kind
  }
  active <- vapply(spec$members, is_active, NA)
  public <- code_list(if (is_r6_spec(spec)) spec$members[!active] else spec$members)
  lines <- c(
    if (length(public)) paste0("  public = list(\n", paste0("    ", public, collapse = ",\n"), "\n  )"),
    if (is_r6_spec(spec) && any(active)) paste0("  active = list(\n", paste0("    ", code_list(spec$members[active]), collapse = ",\n"), "\n  )"),
    if (length(spec$private)) paste0("  private = list(\n", paste0("    ", code_list(spec$private), collapse = ",\n"), "\n  )"),
    if (!is.null(base$code)) paste0("  inherit = ", base$code)
  )
  maker <- if (is_r6_spec(spec)) "R6::R6Class" else paste0("kerasbridge::", class_makers[kind])
  if (!is_r6_spec(spec) && !kind %in% names(class_makers)) {
    no_source()
  }
  code <- paste0(maker, "(\n  ", encodeString(spec$name, quote = "\""), if (length(lines)) ",\n", paste(lines, collapse = ",\n"), "\n)")
  list(before = unique(c(base$before, helper_code(c(spec$members, spec$private), known))), code = code)
}

is_r6_spec <- function(spec) isTRUE(spec$early) && !is.null(spec$generator)

# The class above as code, what must run before, and its kind if the description doesn't say it.
inherit_code <- function(spec, known) {
  inherit <- spec$inherit
  if (is_r6_spec(spec)) {
    parent <- spec$generator$get_inherit()
    if (!parent$classname %in% names(r6_roots)) {
      no_source()
    }
    return(list(code = paste0("kerasbridge::", parent$classname)))
  }
  if (is.null(inherit)) {
    return(list())
  }
  if (inherits(inherit, "kerasbridge_class")) {
    above <- attr(inherit, "spec")
    parts <- spec_code(above, known)
    return(list(before = c(parts$before, paste0(above$name, " <- ", parts$code)), code = above$name, kind = above$kind))
  }
  if (is_wrapper(inherit)) {
    return(list(code = encodeString(wrapper_symbol(inherit), quote = "\"")))
  }
  if (is.character(inherit)) {
    return(list(code = encodeString(inherit, quote = "\"")))
  }
  kind <- if (is_python_class(inherit)) the$bridge$class_kind(inherit)
  if (!is.null(kind) && kind %in% names(kind_bases) && grepl(paste0("\\.", py_attribute(inherit, "__name__"), "$"), kind_bases[[kind]])) {
    return(list(kind = kind))
  }
  no_source()
}

code_list <- function(values) {
  if (!length(values)) {
    return(character())
  }
  names <- vapply(names(values), \(n) if (identical(make.names(n), n)) n else paste0("`", n, "`"), "")
  codes <- vapply(values, value_code, "")
  paste0(names, " = ", codes)
}

value_code <- function(x) {
  if (is_python(x) || is.environment(x) || is_class(x)) {
    no_source()
  }
  if (is.function(x)) {
    active <- is_active(x)
    srcref <- attr(x, "srcref")
    attributes(x) <- NULL
    text <- if (is.null(srcref)) deparse(x, width.cutoff = 110L) else as.character(srcref)
    text <- paste(text, collapse = "\n")
    if (is.primitive(x)) {
      no_source()
    }
    return(if (active) paste0("kerasbridge::active_property(", text, ")") else text)
  }
  if (is.null(x) || is.atomic(x) || is.list(x) && all(vapply(x, \(v) is.null(v) || is.atomic(v), NA))) {
    return(paste(deparse(x, width.cutoff = 110L, control = c("keepNA", "keepInteger", "niceNames", "showAttributes", "digits17")), collapse = "\n"))
  }
  no_source()
}

# Functions and plain values of the workspace that methods use, as assignments, the innermost first.
helper_code <- function(values, known = new.env(parent = emptyenv())) {
  out <- character()
  for (f in values) {
    if (!is.function(f) || is.primitive(f)) {
      next
    }
    for (name in setdiff(all.names(body(f), unique = TRUE), names(formals(f)))) {
      held <- workspace_value(name, environment(f))
      if (is.null(held) || exists(name, envir = known, inherits = FALSE)) {
        next
      }
      assign(name, TRUE, envir = known)
      if (inherits(held, c("kerasbridge_class", "R6ClassGenerator"))) {
        out <- c(out, helper_class_code(name, held, known))
        next
      }
      code <- tryCatch(value_code(held), kerasbridge_no_source = \(e) NULL)
      if (!is.null(code) && sum(nchar(code)) < 1e5) {
        out <- c(out, helper_code(list(held), known), paste0(if (identical(make.names(name), name)) name else paste0("`", name, "`"), " <- ", code))
      }
    }
  }
  out
}

# A class that methods make objects of, as an assignment.
helper_class_code <- function(name, class, known) {
  spec <- if (inherits(class, "R6ClassGenerator")) r6_spec(class, NULL) else attr(class, "spec")
  parts <- tryCatch(spec_code(spec, known), kerasbridge_no_source = \(e) NULL)
  if (!is.null(parts)) c(parts$before, paste0(name, " <- ", parts$code))
}

# What a name stands for between a function and the workspace; NULL beyond (packages are there anyway).
workspace_value <- function(name, env) {
  while (!is.null(env) && !identical(env, emptyenv()) && !isNamespace(env) && !identical(env, baseenv())) {
    if (exists(name, envir = env, inherits = FALSE)) {
      return(get(name, envir = env, inherits = FALSE))
    }
    if (identical(env, globalenv())) {
      break
    }
    env <- parent.env(env)
  }
  NULL
}

# ---- on the way in ----------------------------------------------------------------------------------------

# Custom objects for a file: those given, then classes of that name in the workspace and in loaded
# packages, then, if allowed, those whose code the file holds.
objects_for_file <- function(path, custom_objects, r_code, allow, frame) {
  given <- as_custom_objects_arg(custom_objects, "custom_objects", frame)
  if (is_python(given) || dir.exists(path) || !file.exists(path)) {
    return(given)
  }
  needed <- bridge_do("inspect_model", filepath = path, call = frame)$custom
  values <- if (is.null(given)) list() else unclass_tag(given)
  needed <- Filter(\(item) !item$name %in% names(values), needed)
  for (item in needed) {
    found <- class_in_session(item)
    if (!is.null(found)) {
      values[[item$name]] <- as_custom_object(found, item$name, "custom_objects", frame)
    }
  }
  coded <- Filter(\(item) !item$name %in% names(values) && !is.null(item$source), needed)
  if (r_code && length(coded)) {
    values <- c(values, run_r_code(coded, frame))
  }
  if ("python_code" %in% allow) {
    for (item in Filter(\(item) !item$name %in% names(values) && !is.null(item$python), needed)) {
      show_code("Python", item, item$python)
    }
  }
  if (length(values)) tagged(values, "dict") else given
}

show_code <- function(language, item, code) {
  cli::cli_inform(c(i = "Running the {language} code of {item$kind} {.cls {item$name}} that the file holds:"), class = "kerasbridge_note")
  cli::cli_verbatim(strsplit(code, "\n", fixed = TRUE)[[1]])
}

unclass_tag <- function(x) if (inherits(x, "kb_tag")) x$value else as.list(x)

# The class or function of an entry in the manifest, where the session has it. A package is not loaded
# because a file names it.
class_in_session <- function(item) {
  from <- function(pattern, part = "\\1") if (grepl(pattern, item$origin)) sub(pattern, part, item$origin)
  of_function <- "^the R function (.+)::(.+)$"
  package <- from(of_function) %||% from("^the R package '(.*)'$")
  env <- if (!is.null(package)) {
    if (isNamespaceLoaded(package)) asNamespace(package)
  } else if (identical(item$origin, "written in R")) {
    globalenv()
  }
  if (is.null(env)) {
    return(NULL)
  }
  wanted <- from(of_function, "\\2") %||% item$name
  for (name in ls(env, all.names = TRUE)) {
    if (bindingIsActive(name, env)) {
      next
    }
    value <- get(name, envir = env)
    if (identical(item$kind, "function") && identical(name, wanted) && is.function(value)) {
      # a plain function bears the name of the argument that it was given for: any function may have it
      if (is.null(item$source) || identical(item$source, function_source(value))) {
        return(value)
      }
    }
    if (inherits(value, c("kerasbridge_class", "R6ClassGenerator")) && identical(custom_name(value), item$name)) {
      return(value)
    }
  }
  NULL
}

# Run the code that a file holds, after showing it.
run_r_code <- function(items, frame) {
  env <- new.env(parent = globalenv())
  out <- list()
  for (item in items) {
    show_code("R", item, item$source)
    value <- tryCatch(
      {
        for (expression in rlang::parse_exprs(item$source)) {
          value <- eval(expression, env)
        }
        value
      },
      error = \(e) {
        abort_kind(
          "file", paste0("The R code of '", item$name, "' in the file fails: ", conditionMessage(e)),
          i = "Define the class in this session before loading.", argument = "r_code", call = frame
        )
      }
    )
    out[[item$name]] <- as_custom_object(value, item$name, "r_code", frame)
  }
  out
}
