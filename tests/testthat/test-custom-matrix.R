# Every form of custom object that R users know, with every kind that it has: one model for each form, trained
# here, loaded and trained on in new processes. bench/custom_matrix.R takes the cells one at a time.

forms_file <- testthat::test_path("fixtures", "custom-forms.R")

numbers_by_form <- function(run) {
  expect_identical(run$status, 0L, info = paste(tail(run$output, 12), collapse = "\n"))
  lines <- strsplit(sub("^numbers ", "", grep("^numbers ", run$output, value = TRUE)), " +")
  rlang::set_names(lapply(lines, \(l) as.numeric(l[-1])), vapply(lines, `[[`, "", 1))
}

test_that("each form and kind written in R is trained, saved, and goes on alike in new processes of R and Python", {
  skip_if_no_keras()
  folder <- withr::local_tempdir()
  source <- sprintf("library(kerasbridge); source('%s'); folder <- '%s'", normalizePath(forms_file), folder)
  show <- "cat('numbers', name, sprintf('%.9g', numbers), '\\n')"
  made <- run_r(c(
    source, "seen <- NULL",
    "for (form in names(custom_forms)) {",
    # what only R can go on with, and what it can do without
    "  parts <- custom_forms[[form]](); stateful <- intersect(c('optimizer', if (inherits(parts$metric, 'kerasbridge_metric')) 'metric'), names(parts))",
    "  for (set in if (length(stateful)) c('whole', 'plain') else 'plain') {",
    "    name <- paste(form, set, sep = '.'); seen <- NULL",
    "    used <- parts[setdiff(names(parts), if (set == 'plain') c(stateful, 'model') else 'loss')]",
    "    model <- custom_model(used)",
    "    fit(model, x, y, epochs = 2, batch_size = 2, verbose = 0, shuffle = FALSE, callbacks = parts$callback)",
    "    if (!is.null(parts$callback)) stopifnot(seen == 1:2)",
    "    save_model(model, file.path(folder, paste0(name, '.keras')))",
    "    numbers <- custom_numbers(model)", show, "  }", "}"
  ), timeout = 240)
  wanted <- numbers_by_form(made)
  expect_setequal(
    names(wanted),
    c("functions.plain", "older_backend.plain", "classes.whole", "classes.plain", "r6.plain", "new_class.whole", "new_class.plain", "py_class.whole", "py_class.plain")
  )
  expect_true(all(is.finite(unlist(wanted))))

  again <- run_r(c(
    source, "rm(half, squared)", "for (path in Sys.glob(file.path(folder, '*.keras'))) {",
    "  model <- suppressMessages(load_model(path, r_code = TRUE)); name <- sub('[.]keras$', '', basename(path))",
    "  numbers <- custom_numbers(model)", show, "}"
  ), timeout = 240)
  expect_equal(numbers_by_form(again)[names(wanted)], wanted, tolerance = 1e-6)

  python <- run_python(c(
    "import glob, sys, numpy as np", "from kerasbridge.saving import load_model",
    "x = (np.arange(1, 9).reshape(2, 4).T / 8).astype('float32'); y = np.array([[0.2], [0.4], [0.1], [0.9]], 'float32')",
    sprintf("for path in glob.glob(r'%s/*.keras'):", folder),
    "    name = path.replace('\\\\', '/').split('/')[-1][:-6]",
    "    if name.endswith('.whole'):",
    "        try:", "            load_model(path)", "        except OSError as err:", "            print('refused', name, err)",
    "        print('alone', name, *('%.9g' % v for v in load_model(path, compile=False).predict(x, verbose=0).ravel()))",
    "        continue",
    "    model = load_model(path)", "    out = list(model.predict(x, verbose=0).ravel())",
    "    h = model.fit(x, y, epochs=2, batch_size=2, verbose=0, shuffle=False).history",
    "    print('numbers', name, *('%.9g' % v for v in out + [v for key in sorted(h) for v in h[key]]))"
  ), pythonpath = system.file("python", package = "kerasbridge"))
  plain <- grep("plain$", names(wanted), value = TRUE)
  expect_equal(numbers_by_form(python)[plain], wanted[plain], tolerance = 1e-6)
  # what keeps a state that only R can change says what it is; without it the model predicts
  text <- paste(python$output, collapse = "\n")
  for (needs in c("classes.whole optimizer 'PlainSgd'", "py_class.whole optimizer 'Step'", "new_class.whole metric 'Summed'")) {
    expect_match(text, paste("refused", needs, "is written in R: needs R"), fixed = TRUE)
  }
  alone <- grep("^alone ", python$output, value = TRUE)
  for (line in strsplit(sub("^alone ", "", alone), " +")) {
    expect_equal(as.numeric(line[-1]), wanted[[line[[1]]]][seq_along(line[-1])], tolerance = 1e-6)
  }
  expect_length(alone, 3)
})

# ---- Python to R ------------------------------------------------------------------------------------------

every_kind_in_python <- c(
  "import keras", "from keras import ops", "STEP = 0.5", "def unused():", "    raise RuntimeError('not this')",
  "def shift(x):", "    return x + STEP",
  "def curve(x):", "    return ops.tanh(shift(x))",
  "def level(shape, dtype=None):", "    return ops.ones(shape, dtype=dtype) / 4",
  "def small(w):", "    return 0.01 * ops.sum(w ** 2)",
  "def inside(w):", "    return ops.clip(w, -0.5, 0.5)",
  "def off(y_true, y_pred):", "    return ops.mean(ops.abs(y_true - y_pred), -1)",
  "def configured(cls):", "    return cls",
  "class Moved(keras.layers.Layer):",
  "    def __init__(self, by=1.0, **kwargs):", "        super().__init__(**kwargs)", "        self.by = by",
  "    def call(self, x):", "        return shift(ops.multiply(x, self.by))",
  "    def get_config(self):", "        return {**super().get_config(), 'by': self.by}",
  "class Level(keras.initializers.Initializer):",
  "    def __call__(self, shape, dtype=None):", "        return ops.ones(shape, dtype=dtype) / 3",
  "class Small(keras.regularizers.Regularizer):",
  "    def __init__(self, f=0.01):", "        self.f = f",
  "    def __call__(self, w):", "        return self.f * ops.sum(ops.abs(w))",
  "    def get_config(self):", "        return {'f': self.f}",
  "class Inside(keras.constraints.Constraint):",
  "    def __call__(self, w):", "        return ops.clip(w, -0.6, 0.6)",
  "class Wild(keras.losses.Loss):", "    def call(self, y_true, y_pred):", "        return ops.mean(ops.square(y_true - y_pred), -1)",
  "class Largest(keras.metrics.Metric):",
  "    def __init__(self, name='largest', **kwargs):",
  "        super().__init__(name=name, **kwargs)", "        self.top = self.add_variable((), 'zeros', name='top')",
  "    def update_state(self, y_true, y_pred, sample_weight=None):",
  "        self.top.assign(ops.maximum(self.top, ops.max(ops.abs(y_true - y_pred))))",
  "    def result(self):", "        return self.top + 0", # (Keras 3.0 makes no tensor of a variable)
  "class Falling(keras.optimizers.schedules.LearningRateSchedule):",
  "    def __init__(self, r):", "        self.r = r",
  "    def __call__(self, step):", "        return self.r / (1 + ops.cast(step, 'float32'))",
  "    def get_config(self):", "        return {'r': self.r}",
  "class Plain(keras.optimizers.Optimizer):",
  "    def __init__(self, learning_rate=0.1, name='plain', **kwargs):", "        super().__init__(learning_rate=learning_rate, name=name, **kwargs)",
  "    def update_step(self, gradient, variable, learning_rate):",
  "        self.assign_sub(variable, gradient * ops.cast(learning_rate, variable.dtype))",
  "@keras.saving.register_keras_serializable('named')",
  "class Net(keras.Model):",
  "    def __init__(self, units=1, **kwargs):", "        super().__init__(**kwargs)", "        self.units = units",
  "        self.moved = Moved(2.0)", "        self.dense = keras.layers.Dense(units, curve)",
  "    def call(self, x):", "        return self.dense(self.moved(x))",
  "    def get_config(self):", "        return {**super().get_config(), 'units': self.units}",
  "names = [curve, level, small, inside, off, Moved, Level, Small, Inside, Wild, Largest, Falling, Plain, Net]"
)

test_that("custom objects of every kind written in Python load in R: imported, given, or from the source in the file", {
  skip_if_no_keras()
  folder <- withr::local_tempdir()
  writeLines(every_kind_in_python, file.path(folder, "moving.py"))
  made <- run_python(c(
    "import sys, keras, numpy as np", sprintf("sys.path.insert(0, r'%s')", folder), "import moving as m",
    "from kerasbridge.saving import save_model",
    "x = (np.arange(1, 9).reshape(2, 4).T / 8).astype('float32'); y = np.array([[0.2], [0.4], [0.1], [0.9]], 'float32')",
    "def go(name, model):",
    "    model.fit(x, y, epochs=2, batch_size=2, verbose=0, shuffle=False)",
    sprintf("    save_model(model, r'%s/' + name + '.keras')", folder),
    "    out = list(model.predict(x, verbose=0).ravel())",
    "    h = model.fit(x, y, epochs=2, batch_size=2, verbose=0, shuffle=False).history",
    "    print('numbers', name, *('%.9g' % v for v in out + [v for key in sorted(h) for v in h[key]]))",
    "keras.utils.set_random_seed(1)", "L = keras.layers",
    "functions = keras.Sequential([keras.Input((2,)), L.Dense(3, m.curve, kernel_initializer=m.level, kernel_regularizer=m.small, kernel_constraint=m.inside), L.Dense(1)])",
    "functions.compile('sgd', loss=m.off, metrics=[m.off])",
    "go('functions', functions)",
    "classes = keras.Sequential([keras.Input((2,)), m.Moved(2.0), L.Dense(3, kernel_initializer=m.Level(), kernel_regularizer=m.Small(0.02), kernel_constraint=m.Inside()), L.Dense(1)])",
    "classes.compile(m.Plain(learning_rate=m.Falling(0.05)), loss=m.Wild(), metrics=[m.Largest()])",
    "go('classes', classes)",
    "net = m.Net()", "net.compile('sgd', loss='mse')", "go('net', net)"
  ), pythonpath = system.file("python", package = "kerasbridge"))
  wanted <- numbers_by_form(made)
  expect_setequal(names(wanted), c("functions", "classes", "net"))
  # one process of R for each way: what one way registered or imported must not help the next
  load <- function(before, further) {
    run_r(c(
      sprintf("library(kerasbridge); source('%s'); folder <- '%s'", normalizePath(forms_file), folder), before,
      "for (name in c('functions', 'classes', 'net')) {",
      sprintf("  model <- tryCatch(load_model(file.path(folder, paste0(name, '.keras'))%s), error = \\(e) { cat('refused', gsub('\\n', ' ', conditionMessage(e)), '\\n'); NULL })", further),
      "  if (!is.null(model)) { numbers <- custom_numbers(model); cat('numbers', name, sprintf('%.9g', numbers), '\\n') }", "}"
    ))
  }
  here <- "info <- kerasbridge_info(); moving <- reticulate::import_from_path('moving', folder)"
  given <- load(here, ", custom_objects = moving$names")
  expect_equal(numbers_by_form(given)[names(wanted)], wanted, tolerance = 1e-6)
  imported <- load(here, "")
  expect_equal(numbers_by_form(imported)[names(wanted)], wanted, tolerance = 1e-6)
  unlink(file.path(folder, "moving.py"))
  refused <- paste(grep("^refused", load(character(), "")$output, value = TRUE), collapse = "\n")
  for (name in c("curve", "level", "small", "inside", "off", "Moved", "Level", "Small", "Inside", "Wild", "Largest", "Falling", "Plain", "Net")) {
    expect_match(refused, paste0("(class|function) '", name, "' \\(Python: moving[.]", name))
  }
  expect_match(refused, "`custom_objects = list\\(curve = ...,")
  expect_match(refused, "allow = \"python_code\"", fixed = TRUE)
  coded <- load(character(), ", allow = 'python_code'")
  expect_equal(numbers_by_form(coded)[names(wanted)], wanted, tolerance = 1e-6)
  expect_match(paste(coded$output, collapse = "\n"), "Running the Python code of class <Moved>", fixed = TRUE)
  expect_no_match(paste(coded$output, collapse = "\n"), "not this", fixed = TRUE)
})
