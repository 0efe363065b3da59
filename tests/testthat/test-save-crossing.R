# every format over the border between languages, in processes of their own: plain Keras on the other side

test_that("plain Keras reads every format that R writes, and R what plain Keras writes", {
  skip_if_no_keras("3.13", backend = "tensorflow")
  skip_if_no_yaml()
  folder <- withr::local_tempdir()
  at <- \(...) file.path(folder, paste0(...))
  set_random_seed(1)
  model <- keras_model_sequential(input_shape = 4) |> layer_dense(3, activation = "tanh", name = "hidden") |> layer_dense(1, name = "out")
  inputs <- keras_input(shape = 4)
  model <- keras_model(inputs, model(inputs)[, 1] * 2 + inputs[, 4])
  compile(model, "adam", "mse")
  x <- matrix(seq(-1, 1, length.out = 24), 6)
  fit(model, x, x[, 1], epochs = 2, verbose = 0)
  expected <- as.vector(predict(model, x, verbose = 0))
  save_model(model, at("r.keras"))
  save_model(model, at("r.h5"))
  writeBin(serialize_model(model), at("r-bytes.keras"))
  for (ending in c(".weights.h5", ".older.h5", ".safetensors", ".weights.json")) save_model_weights(model, at("r", ending))
  for (ending in c(".json", ".yaml")) save_model_config(model, at("r", ending))
  export_savedmodel(model, at("r-saved"))
  save_model_weights_tf(model, at("r-checkpoint"))

  out <- run_python(c(
    "import json, sys, keras, numpy as np, tensorflow as tf, yaml",
    "from safetensors.numpy import load_file",
    sprintf("at = r'%s/'", folder),
    "assert not any(name.startswith('kerasbridge') for name in sys.modules)",
    "x = np.linspace(-1, 1, 24).reshape(4, 6).T.astype('float32')",
    "whole = keras.saving.load_model(at + 'r.keras')",
    "weights = whole.get_weights()",
    "tell = lambda name, values: print('FOUND', name, ' '.join('%.6f' % v for v in np.ravel(values)))",
    "def fresh():",
    "    made = keras.models.model_from_json(open(at + 'r.json').read())",
    "    made.set_weights([w * 0 for w in made.get_weights()])",
    "    return made",
    "for name in ('r.keras', 'r.h5', 'r-bytes.keras'):",
    "    tell(name, keras.saving.load_model(at + name).predict(x, verbose=0))",
    "for name in ('r.weights.h5', 'r.older.h5', 'r.weights.json'):",
    "    made = fresh()",
    "    made.load_weights(at + name)",
    "    tell(name, made.predict(x, verbose=0))",
    "made = keras.saving.deserialize_keras_object(yaml.safe_load(open(at + 'r.yaml')))",
    "arrays = load_file(at + 'r.safetensors')",
    "made.set_weights([next(a for n, a in arrays.items() if n.endswith(w.path)) for w in made.weights])",
    "tell('r.yaml', made.predict(x, verbose=0))",
    "served = tf.saved_model.load(at + 'r-saved')",
    "tell('r-saved', served.serve(x))",
    "made = fresh()",
    "tf.train.Checkpoint(model=made).read(at + 'r-checkpoint').expect_partial()",
    "tell('r-checkpoint', made.predict(x, verbose=0))",
    # the other way round
    "whole.save(at + 'p.keras')",
    "whole.save(at + 'p.h5')",
    "whole.save_weights(at + 'p.weights.h5')",
    "whole.save_weights(at + 'p.weights.json', max_shard_size=1)",
    "open(at + 'p.json', 'w').write(whole.to_json())",
    "yaml.safe_dump(json.loads(whole.to_json()), open(at + 'p.yaml', 'w'))",
    "whole.export(at + 'p-saved', verbose=False)",
    "tf.train.Checkpoint(model=whole).write(at + 'p-checkpoint')"
  ))
  expect_identical(out$status, 0L, info = paste(tail(out$output, 12), collapse = "\n"))
  found <- strsplit(sub("^FOUND ", "", grep("^FOUND ", out$output, value = TRUE)), " ")
  expect_setequal(vapply(found, `[`, "", 1), c(
    "r.keras", "r.h5", "r-bytes.keras", "r.weights.h5", "r.older.h5", "r.weights.json", "r.yaml", "r-saved", "r-checkpoint"
  ))
  for (one in found) expect_equal(as.numeric(one[-1]), expected, tolerance = 1e-5, info = one[[1]])

  values <- \(model) as.vector(predict(model, x, verbose = 0))
  for (name in c("p.keras", "p.h5")) expect_identical(values(load_model(at(name))), expected, info = name)
  expect_identical(values(unserialize_model(readBin(at("p.keras"), "raw", 1e6))), expected)
  for (name in c("p.json", "p.yaml")) {
    made <- load_model_config(at(name))
    for (ending in c(".weights.h5", ".weights.json")) {
      set_weights(made, lapply(get_weights(made), \(w) w * 0))
      load_model_weights(made, at("p", ending))
      expect_identical(values(made), expected, info = paste(name, ending))
    }
  }
  # a checkpoint holds the optimizer's state, too: into a model with the same
  set_weights(model, lapply(get_weights(model), \(w) w * 0))
  load_model_weights_tf(model, at("p-checkpoint"))
  expect_identical(values(model), expected)
  expect_equal(values(load_model(at("p-saved"))), expected, tolerance = 1e-6)
})
