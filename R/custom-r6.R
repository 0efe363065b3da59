# R6 classes of the older package to inherit from, and layers made from classes of any origin.

#' R6 classes of the older package
#'
#' Inherit from these to write layers, layer wrappers, constraints and callbacks as R6 classes, as
#' scripts for the older package do. [create_layer()] makes a layer of such a class, [create_wrapper()] a
#' wrapper; constraints and callbacks are given as objects, `MyCallback$new()`. New code is better off
#' with [Layer()], [Constraint()] and [Callback()].
#'
#' In methods of a layer, `self` is the Keras layer: `self$add_weight()`, `self$add_loss()` and all else
#' of it are there. Hooks of a callback find `self$model` and `self$params`; epochs and batches count
#' from 1.
#'
#' @format R6 class generators.
#' @return Objects to give to Keras.
#' @examplesIf is_keras_available()
#' Losses <- R6::R6Class("Losses", inherit = KerasCallback, public = list(
#'   losses = NULL,
#'   on_epoch_end = function(epoch, logs = list()) self$losses[[epoch]] <- logs$loss
#' ))
#' Losses$new()
#' @name KerasLayer
#' @export
KerasLayer <- R6::R6Class("KerasLayer", public = list(), cloneable = FALSE)

#' @rdname KerasLayer
#' @export
KerasWrapper <- R6::R6Class("KerasWrapper", public = list(), cloneable = FALSE)

#' @rdname KerasLayer
#' @export
KerasConstraint <- R6::R6Class(
  "KerasConstraint",
  public = list(
    #' @description Called with the weights after each step; returns the weights to use.
    #' @param weights A tensor.
    call = function(weights) {
      abort_kind("unsupported", "A constraint needs a method `call(weights)`.")
    },
    #' @description Named list of plain values.
    get_config = function() list()
  ),
  cloneable = FALSE
)

#' @rdname KerasLayer
#' @export
KerasCallback <- R6::R6Class(
  "KerasCallback",
  public = list(
    #' @field params List with `epochs`, `steps` and `verbose`, while it runs.
    params = NULL,
    #' @field model The model, while it runs.
    model = NULL
  ),
  cloneable = FALSE
)

r6_roots <- c(KerasLayer = "layer", KerasWrapper = "wrapper", KerasConstraint = "constraint", KerasCallback = "callback")

# The description of an R6 class that descends from one of those above; kept, so that it is made once.
r6_spec <- function(generator, call) {
  known <- the$r6_specs[vapply(the$r6_specs, \(s) identical(s$generator, generator), NA)]
  if (length(known)) {
    return(known[[1]])
  }
  parent <- generator$get_inherit()
  if (is.null(parent)) {
    abort_argument(
      "layer_class", paste0("is the R6 class '", generator$classname, "', which inherits from nothing of Keras."),
      "Inherit from `KerasLayer`.", call = call
    )
  }
  root <- parent$classname %in% names(r6_roots) && is.null(parent$get_inherit())
  kind <- if (root) r6_roots[[parent$classname]] else r6_spec(parent, call)$kind
  members <- c(generator$public_methods, lapply(generator$active, mark_active), generator$public_fields)
  members$clone <- NULL
  spec <- new_class_spec(
    kind, generator$classname, members[!vapply(members, is.null, NA)],
    c(generator$private_fields, generator$private_methods), if (!root) parent, generator$parent_env, early = TRUE, call = call
  )
  # fields that start as NULL
  for (n in setdiff(names(generator$public_fields), names(spec$members))) {
    spec$members[n] <- list(NULL)
  }
  spec$generator <- generator
  the$r6_specs <- c(the$r6_specs, list(spec))
  spec
}

# Classes made in R, and objects of R6 classes, given as arguments.
custom_value <- function(x, call) {
  if (is_class(x)) {
    return(as_class(x, call))
  }
  if (inherits(x, "KerasConstraint")) {
    return(constraint_from_r6(x, call))
  }
  if (inherits(x, "KerasLayer")) {
    abort_argument(class(x)[[1]], "is an R6 object; `create_layer()` takes the class.", call = call)
  }
  x
}

# A constraint from an R6 object: its methods are those of the class, its fields arguments of the constructor,
# so that both travel in files. Methods that need the R6 object itself keep it.
constraint_from_r6 <- function(x, call) {
  own <- setdiff(names(x), c("clone", "initialize", "get_config", ".__enclos_env__"))
  values <- mget(own[!vapply(own, bindingIsActive, NA, env = x)], envir = x)
  is_method <- vapply(values, is.function, NA)
  methods <- values[is_method]
  fields <- values[!is_method]
  if (any(c("super", "private") %in% unlist(lapply(methods, \(f) all.names(body(f)))))) {
    make <- Constraint(class(x)[[1]], call = \(w) x$call(w), get_config = \() x$get_config(), parent_env = globalenv())
    return(make())
  }
  if (!identical(body(x$get_config), body(KerasConstraint$public_methods$get_config))) {
    methods$get_config <- x$get_config
  }
  if (length(fields)) {
    set <- lapply(names(fields), \(n) rlang::expr(self[[!!n]] <- !!as.name(n)))
    methods$initialize <- rlang::new_function(lapply(fields, \(f) NULL), as.call(c(quote(`{`), set)), globalenv())
  }
  make <- class_constructor(new_class_spec("constraint", class(x)[[1]], methods, parent_env = globalenv(), call = call))
  do.call(make, fields)
}

# A callback from an R6 object or from a list of hooks.
callback_from_r <- function(x, call) {
  if (inherits(x, "KerasCallback")) {
    hooks <- intersect(callback_hooks, names(x))
    members <- lapply(rlang::set_names(hooks), \(h) {
      hook <- x[[h]]
      rlang::new_function(
        formals(hook),
        rlang::expr({
          r6_object$model <- self$model
          r6_object$params <- self$params
          r6_hook(!!!lapply(setdiff(names(formals(hook)), "..."), as.name))
        }),
        list2env(list(r6_object = x, r6_hook = hook), parent = baseenv())
      )
    })
    return(class_constructor(new_class_spec("callback", class(x)[[1]], members, parent_env = globalenv(), call = call))())
  }
  hooks <- names(x)
  unknown <- setdiff(hooks, callback_hooks)
  if (length(unknown)) {
    abort_argument("callbacks", paste0("has a hook `", unknown[[1]], "`, which does not exist."), did_you_mean(unknown[[1]], callback_hooks), call = call)
  }
  members <- lapply(x, rlang::as_function)
  if (!any(c("self", "super", "private") %in% unlist(lapply(members, \(f) all.names(body(f)))))) {
    # without `self` a hook costs a third
    takes <- lapply(members, \(f) if ("..." %in% names(formals(f))) -1L else length(formals(f)))
    return(bridge_do("hook_list", functions = lapply(members, tagged, "hook"), takes = takes, call = call))
  }
  class_constructor(new_class_spec("callback", "HookList", members, parent_env = globalenv(), call = call))()
}

is_hook_list <- function(x) {
  is.list(x) && !is.object(x) && length(x) && !is.null(names(x)) && all(startsWith(names(x), "on_")) &&
    all(vapply(x, \(f) is.function(f) || rlang::is_formula(f), NA))
}

#' Layers from classes of any origin
#'
#' `create_layer()` makes a layer of a class and composes it with `object`; `create_layer_wrapper()`
#' makes a function of a class that does so, for layers of other Python packages or of
#' [new_layer_class()]; `create_wrapper()` is `create_layer()` for wrappers of a layer.
#'
#' @param layer_class,LayerClass,wrapper_class A Python class, an R6 class that inherits from
#'   [KerasLayer], or a class made by [Layer()] or its kin.
#' @param object What to compose with: a sequential model, a tensor, or nothing.
#' @param args Named list of arguments of the constructor; `NULL`s are left out.
#' @param modifiers Named list of functions, each applied to the argument of that name before it is
#'   passed on, such as `list(units = as.integer)`.
#' @param convert Not used any more; refused unless `TRUE`.
#' @return `create_layer()` and `create_wrapper()`: as any `layer_*()` function. `create_layer_wrapper()`:
#'   a function with `object` first and then the arguments of the class.
#' @examplesIf is_keras_available()
#' layer_my_dense <- create_layer_wrapper(keras$layers$Dense, modifiers = list(units = as.integer))
#' keras_model_sequential(input_shape = 2) |> layer_my_dense(units = 3)
#' @export
create_layer <- function(layer_class, object, args = list()) {
  frame <- rlang::current_env()
  if (!missing(object)) {
    force(object)
  }
  layer <- layer_from_class(layer_class, args, frame)
  compose(layer, frame)
}

#' @rdname create_layer
#' @export
create_wrapper <- function(wrapper_class, object, args = list()) {
  frame <- rlang::current_env()
  if (!missing(object)) {
    force(object)
  }
  compose(layer_from_class(wrapper_class, args, frame), frame)
}

layer_from_class <- function(class, args, frame) {
  class <- as_class(class, frame)
  args <- args[!vapply(args, is.null, NA)]
  bridge_method(class, "__call__", lapply(args, custom_argument, call = frame), call = frame)
}

#' @rdname create_layer
#' @export
create_layer_wrapper <- function(LayerClass, modifiers = NULL, convert = TRUE) {
  frame <- rlang::current_env()
  force(LayerClass)
  if (!isTRUE(convert)) {
    abort_argument("convert", "must be TRUE: values are always converted.", call = frame)
  }
  if (length(modifiers) && (is.null(names(modifiers)) || !all(vapply(modifiers, is.function, NA)))) {
    abort_argument("modifiers", "must be a named list of functions.", call = frame)
  }
  arguments <- wrapper_formals(LayerClass, frame)
  body <- rlang::expr((!!construct_with)(!!list(class = LayerClass, modifiers = modifiers), environment(), !!names(arguments)))
  rlang::new_function(c(alist(object = ), arguments), body, new.env(parent = topenv()))
}

wrapper_formals <- function(class, frame) {
  if (inherits(class, "kerasbridge_class")) {
    out <- formals(class)
  } else {
    bridge_start(frame)
    found <- the$bridge$parameters_of(as_class(class, frame))
    out <- lapply(found, \(p) if (p$optional && p$kind == "named") NULL else quote(expr = ))
    names(out) <- vapply(found, \(p) p$name, "")
    out <- out[!duplicated(names(out))]
  }
  out <- out[setdiff(names(out), "object")]
  if (!"..." %in% names(out)) c(out, alist(... = )) else out
}

construct_with <- function(how, frame, names) {
  if (!eval(quote(missing(object)), frame)) {
    force(get("object", envir = frame))
  }
  args <- list()
  for (n in setdiff(names, "...")) {
    if (!eval(call("missing", as.name(n)), frame)) {
      args[n] <- list(get(n, envir = frame))
    }
  }
  args <- c(args, frame_dots(frame))
  for (n in intersect(names(args), names(how$modifiers))) {
    args[n] <- list(how$modifiers[[n]](args[[n]]))
  }
  layer <- bridge_method(as_class(how$class, frame), "__call__", lapply(args, custom_argument, call = frame), call = frame)
  compose(layer, frame)
}
