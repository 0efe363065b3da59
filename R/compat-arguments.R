# Older spellings of arguments, mapped in one place with a note once a session.

# older name -> today's name; applied where today's name is an argument of the function called
older_names <- c(
  lr = "learning_rate",
  nb_epoch = "epochs",
  epoch = "epochs",
  output_dim = "units",
  init = "kernel_initializer",
  W_regularizer = "kernel_regularizer",
  b_regularizer = "bias_regularizer",
  W_constraint = "kernel_constraint",
  b_constraint = "bias_constraint",
  bias = "use_bias",
  nb_filter = "filters",
  border_mode = "padding",
  subsample = "strides",
  pool_length = "pool_size",
  dim_ordering = "data_format",
  p = "rate",
  alpha = "negative_slope",
  theta = "threshold"
)

# older arguments that only chose how something was computed
without_effect <- c(
  implementation = "chose how a recurrent layer computed; Keras chooses by itself today",
  fused = "chose how a normalization was computed; Keras chooses by itself today"
)

# Rename what `...` holds under older names. `decay` of optimizers has no equal today: it is turned
# into the schedule it meant.
older_spellings <- function(dots, known, frame) {
  for (old in setdiff(intersect(names(dots), names(without_effect)), known)) {
    note_once(paste0("effect_", old), paste0("`", old, "` ", without_effect[[old]], "."))
    dots[[old]] <- NULL
  }
  for (old in intersect(names(dots), names(older_names))) {
    new <- older_names[[old]]
    if (old %in% known || !new %in% known) {
      next
    }
    if (new %in% names(dots)) {
      abort_argument(old, paste0("is the older spelling of `", new, "`, which is given too."), call = frame)
    }
    note_once(paste0("spelling_", old), paste0("`", old, "` is the older spelling of `", new, "`."))
    names(dots)[names(dots) == old] <- new
  }
  if ("decay" %in% names(dots) && "learning_rate" %in% known && !"decay" %in% known) {
    dots <- decay_as_schedule(dots, frame)
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
