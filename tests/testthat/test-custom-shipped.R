test_that("each layer of this package has its output's shape, as a layer, in a model and on a tensor", {
  skip_if_no_keras()
  sequence <- random_normal(c(2, 5, 8))
  table <- random_normal(c(4, 3))
  image <- random_normal(c(2, 8, 8, 6))
  expect_identical(dim(layer_position_embedding(sequence, max_length = 6)), c(2L, 5L, 8L))
  expect_identical(dim(layer_sinusoidal_encoding(sequence)), c(2L, 5L, 8L))
  encoded <- layer_transformer_encoder(sequence, num_heads = 2, intermediate_dim = 4, activation = "gelu")
  expect_identical(dim(encoded), c(2L, 5L, 8L))
  decoded <- layer_transformer_decoder(list(sequence, encoded), num_heads = 2, intermediate_dim = 4)
  expect_identical(dim(decoded), c(2L, 5L, 8L))
  expect_identical(dim(layer_transformer_decoder(sequence, 2, 4)), c(2L, 5L, 8L))
  expect_identical(dim(layer_patch_embedding(image, 4, 10, class_token = TRUE)), c(2L, 5L, 10L))
  expect_identical(dim(layer_temporal_block(sequence, 3, dilation_rate = 2)), c(2L, 5L, 3L))
  expect_identical(dim(layer_feature_tokenizer(table, 5)), c(4L, 4L, 5L))
  codes <- op_convert_to_tensor(matrix(c(0L, 1L, 0L, 1L)), dtype = "int32")
  expect_identical(dim(layer_tabular_transformer(list(table, codes), 8, 1, 2, cardinalities = 2)), c(4L, 8L))
  expect_identical(dim(layer_periodic_embedding(table, 4)), c(4L, 3L, 8L))
  expect_identical(dim(layer_mixture_density(table, 2)), c(4L, 6L))
  expect_identical(dim(layer_squeeze_excite(image, ratio = 2)), c(2L, 8L, 8L, 6L))
  expect_identical(dim(layer_attention_pooling(sequence, 4)), c(2L, 8L))
  model <- keras_model_sequential(input_shape = c(5, 8)) |>
    layer_transformer_encoder(2, 4) |>
    layer_attention_pooling() |>
    layer_dense(1)
  expect_identical(dim(predict(model, array(0, c(3, 5, 8)), verbose = 0)), c(3L, 1L))
  expect_s3_class(layer_monte_carlo_dropout(rate = 0.2), "kerasbridge_layer")
})

test_that("values are those of the definitions", {
  skip_if_no_keras()
  out <- as.array(layer_piecewise_linear_embedding(as_tensor(matrix(c(-1, 0.5, 2))), edges = c(0, 1, 3)))
  expect_equal(out[, 1, 1], c(-1, 0.5, 1))
  expect_equal(out[, 1, 2], c(0, 0, 0.5))
  loss <- loss_mixture_density(components = 1)
  value <- as.numeric(loss(matrix(1), matrix(c(0, 0, 0), 1)))
  expect_equal(value, -dnorm(1, log = TRUE), tolerance = 1e-6)
  dropped <- as.array(layer_monte_carlo_dropout(op_ones(c(1, 400)), rate = 0.25, seed = 1))
  expect_setequal(unique(round(as.vector(dropped), 4)), c(0, round(4 / 3, 4)))
})

test_that("a forecast gets its level back", {
  skip_if_no_keras()
  series <- layer_input(c(6, 1))
  norm <- layer_reversible_instance_norm()
  model <- keras_model(series, norm(norm(series), reference = series))
  x <- array(runif(12, 10, 20), c(2, 6, 1))
  expect_equal(predict(model, x, verbose = 0), x, tolerance = 1e-3)
})

test_that("models with these layers are saved, and open in a fresh Python", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = c(4, 4)) |>
    layer_sinusoidal_encoding() |>
    layer_transformer_encoder(2, 4) |>
    layer_attention_pooling(4)
  path <- withr::local_tempfile(fileext = ".keras")
  save_model(model, path)
  x <- array(seq_len(32) / 32, c(2, 4, 4))
  want <- predict(model, x, verbose = 0)
  expect_identical(predict(load_model(path), x, verbose = 0), want)
  out <- run_python(c(
    "import numpy as np, keras, kerasbridge.layers",
    "kerasbridge.layers.register()",
    sprintf("model = keras.saving.load_model(r'%s')", path),
    "x = np.arange(1, 33, dtype='float32').reshape((2, 4, 4), order='F') / 32",
    "print(' '.join(f'{v:.6f}' for v in model.predict(x, verbose=0).ravel()))"
  ), pythonpath = system.file("python", package = "kerasbridge"))
  got <- as.numeric(strsplit(utils::tail(out$output, 1), " ")[[1]])
  expect_equal(got, as.vector(t(want)), tolerance = 1e-5)
})

test_that("arguments are checked by name", {
  skip_if_no_keras()
  expect_error(layer_position_embedding(max_length = 2.5), "`max_length`", class = "kerasbridge_error_argument")
  expect_error(layer_transformer_encoder(random_normal(c(1, 2, 4)), 3, 4), "3 heads", class = "kerasbridge_error_argument")
  expect_error(layer_piecewise_linear_embedding(edges = list(1:3, 1:2)), "`edges`", class = "kerasbridge_error_argument")
  expect_error(layer_piecewise_linear_embedding(edges = c(2, 1)), "rising", class = "kerasbridge_error_argument")
  expect_error(layer_mixture_density(), "`components`", class = "kerasbridge_error_argument")
})
