# Older spellings of arguments, mapped in one place with a note once a session.

# older name -> today's names; the first one that is an argument of the function called counts
older_names <- list(
  lr = "learning_rate",
  bias = "use_bias",
  nb_epoch = "epochs",
  epoch = "epochs",
  output_dim = "units",
  init = "kernel_initializer",
  inner_init = "recurrent_initializer",
  inner_activation = "recurrent_activation",
  W_regularizer = c("kernel_regularizer", "embeddings_regularizer"),
  U_regularizer = "recurrent_regularizer",
  b_regularizer = "bias_regularizer",
  W_constraint = c("kernel_constraint", "embeddings_constraint"),
  b_constraint = "bias_constraint",
  dropout_W = "dropout",
  dropout_U = "recurrent_dropout",
  nb_filter = "filters",
  filter_length = "kernel_size",
  border_mode = "padding",
  subsample = "strides",
  subsample_length = "strides",
  atrous_rate = "dilation_rate",
  pool_length = "pool_size",
  dim_ordering = "data_format",
  p = "rate",
  sigma = "stddev",
  alpha = "negative_slope",
  theta = "threshold",
  max_values = "max_tokens",
  max_tokens = "num_tokens",
  epsilon = "min_delta",
  line_length = "width",
  show_layer_names = "show_names"
)

# older arguments whatever value they have: they chose how something was computed or shown; `beside`
# is an argument that the functions have which took them
without_effect <- list(
  implementation = list(beside = "unroll", why = "chose how a recurrent layer computed; Keras chooses by itself today"),
  consume_less = list(beside = "unroll", why = "chose how a recurrent layer computed; Keras chooses by itself today"),
  fused = list(beside = "momentum", why = "chose how a normalization was computed; Keras chooses by itself today"),
  schedule_decay = list(beside = "beta_1", why = "has no equal: the momentum's schedule is fixed today"),
  is_legacy_optimizer = list(beside = "learning_rate", why = "chose between two sets of optimizers; there is one today"),
  jit_compile = list(beside = "learning_rate", why = "belongs to `compile()` today"),
  view_metrics = list(beside = "epochs", why = "has no effect: the progress line shows the metrics"),
  max_queue_size = list(beside = "callbacks", why = "has no effect: arrays need no queue"),
  workers = list(beside = "callbacks", why = "has no effect: arrays need no worker"),
  use_multiprocessing = list(beside = "callbacks", why = "has no effect: arrays need no further process"),
  sample_weight_mode = list(beside = "loss_weights", why = "has no effect: the shape of `sample_weight` says it"),
  compact = list(beside = "expand_nested", why = "has no effect: the table has no empty lines"),
  write_grads = list(beside = "log_dir", why = "has no effect: TensorBoard shows no gradients any more"),
  embeddings_layer_names = list(beside = "log_dir", why = "has no effect: all embeddings are written")
)

# older arguments that are let through where they ask for nothing: the values that do, and what to
# do instead of the others
off_values <- list(
  time_major = list(beside = "unroll", off = list(NULL, FALSE), instead = "Give the data as (samples, time, features)."),
  virtual_batch_size = list(beside = "momentum", off = list(NULL), instead = "Train with smaller batches."),
  adjustment = list(beside = "momentum", off = list(NULL), instead = "Apply it to the tensor before this layer."),
  mode = list(beside = "momentum", off = list(NULL, 0), instead = "Choose the axis with `axis`."),
  causal = list(
    beside = "dropout", off = list(NULL, FALSE),
    instead = "Make the layer alone, and call it with `use_causal_mask = TRUE`: `layer(inputs, use_causal_mask = TRUE)`."
  ),
  period = list(
    beside = "save_freq", off = list(NULL, 1),
    instead = "`save_freq` counts batches: for every fifth epoch give five times the batches of an epoch."
  ),
  embeddings_data = list(beside = "log_dir", off = list(NULL), instead = "Log them with `tf$summary` in a callback of your own."),
  target_tensors = list(beside = "loss_weights", off = list(NULL), instead = "Give the targets to `fit()`."),
  batch_size = list(
    beside = c("inputs", "log_dir"), off = list(NULL),
    instead = "Fix it where the input is described: `layer_input(batch_size = )`."
  ),
  weights = list(beside = "inputs", off = list(NULL), instead = "This layer has no weights to set.")
)

# Rename what `...` holds under older names. `decay` of optimizers has no equal today: it is turned
# into the schedule it meant.
older_spellings <- function(dots, known, frame) {
  for (old in took(without_effect, dots, known)) {
    note_once(paste0("effect_", old), paste0("`", old, "` ", without_effect[[old]]$why, "."))
    dots[[old]] <- NULL
  }
  if (all(c("nb_row", "nb_col") %in% names(dots)) && "kernel_size" %in% known) {
    note_once("spelling_nb_row", "`nb_row` and `nb_col` are the older spelling of `kernel_size`.")
    dots$kernel_size <- c(dots$nb_row, dots$nb_col)
    dots[c("nb_row", "nb_col")] <- NULL
  }
  for (old in intersect(names(dots), names(older_names))) {
    new <- intersect(older_names[[old]], known)
    if (old %in% known || !length(new)) {
      next
    }
    new <- new[[1]]
    if (new %in% names(dots) || given_in(frame, new)) {
      abort_argument(old, paste0("is the older spelling of `", new, "`, which is given too."), call = frame)
    }
    note_once(paste0("spelling_", old), paste0("`", old, "` is the older spelling of `", new, "`."))
    names(dots)[names(dots) == old] <- new
    if (old == "dim_ordering") {
      dots[new] <- list(older_data_format(dots[[new]]))
    }
  }
  if ("decay" %in% names(dots) && "learning_rate" %in% known && !"decay" %in% known) {
    dots <- decay_as_schedule(dots, frame)
  }
  dots
}

# The same list with names cut short written out. `known` are the arguments that `dots` may hold.
full_names <- function(dots, known, frame) {
  for (short in setdiff(names(dots), c(known, ""))) {
    full <- unique(known[startsWith(known, short)])
    if (!length(full)) {
      next
    }
    if (length(full) > 1) {
      abort_argument(
        short, paste0("can be short for ", paste0("`", full, "`", collapse = " or "), "."),
        "Write the name in full.", call = frame
      )
    }
    if (full %in% names(dots) || given_in(frame, full)) {
      abort_argument(short, paste0("is short for `", full, "`, which is given too."), call = frame)
    }
    note_once(paste("short", short, full), paste0("`", short, "` is taken for `", full, "`: names are better written in full."))
    names(dots)[names(dots) == short] <- full
  }
  dots
}

# For functions written by hand, whose frame this is: what reached `...` under an older name or cut short
# takes its place among the function's own arguments; what else is there is refused.
settle_dots <- function(dots, own, frame) {
  known <- setdiff(own, "...")
  if (any(!nzchar(rlang::names2(dots)))) {
    by_name <- own[match("...", own) + 1]
    abort_argument("...", "takes named arguments only.", paste0("From `", by_name, "` on, arguments are given by name: `", by_name, " = `."), call = frame)
  }
  dots <- full_names(without_off_values(older_spellings(dots, known, frame), known, frame), known, frame)
  for (arg in names(dots)) {
    if (!arg %in% known) {
      abort_argument(arg, "is not an argument of this function.", did_you_mean(arg, known), call = frame)
    }
    assign(arg, dots[[arg]], envir = frame)
  }
}

# What of `dots` stands in the table, for a function that has the arguments `known`.
took <- function(table, dots, known) {
  Filter(\(old) any(table[[old]]$beside %in% known), setdiff(intersect(names(dots), names(table)), known))
}

# Whether the user gave the argument to the wrapper whose frame this is.
given_in <- function(frame, arg) {
  is.environment(frame) && exists(arg, envir = frame, inherits = FALSE) && !eval(call("missing", as.name(arg)), frame)
}

older_data_format <- function(x) {
  formats <- c(tf = "channels_last", th = "channels_first")
  if (rlang::is_string(x) && x %in% names(formats)) formats[[x]] else x
}

# Leave out what asks for nothing; refuse what would be dropped. `known` are the arguments of the
# function called.
without_off_values <- function(dots, known, frame) {
  for (old in took(off_values, dots, known)) {
    row <- off_values[[old]]
    if (!any(vapply(row$off, \(v) identical(v, dots[[old]]) || is.numeric(v) && isTRUE(all.equal(v, dots[[old]])), NA))) {
      abort_argument(old, "is an older argument that Keras has no more.", row$instead, call = frame)
    }
    dots[[old]] <- NULL
  }
  dots
}

# lr / (1 + decay * step), as Keras 2 had it
decay_as_schedule <- function(dots, frame) {
  decay <- as_num_arg(dots$decay, "decay", frame)
  dots$decay <- NULL
  if (decay == 0) {
    return(dots)
  }
  rate <- dots$learning_rate %||% get("learning_rate", envir = frame)
  if (!is.numeric(rate)) {
    abort_argument("decay", "can't be combined with a learning-rate schedule.", call = frame)
  }
  note_once("decay", "`decay` is older: it becomes `learning_rate_schedule_inverse_time_decay()`.")
  schedule <- bridge_call(
    "keras.optimizers.schedules.InverseTimeDecay",
    list(initial_learning_rate = as.double(rate), decay_steps = 1L, decay_rate = decay),
    call = frame
  )
  dots$learning_rate <- schedule
  dots
}
