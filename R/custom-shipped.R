# Layers beyond Keras' own that ship with this package (inst/python/kerasbridge/layers).

#' Where a step stands in a sequence
#'
#' Attention looks at the steps of a sequence without regard to their order; these layers add it.
#' `layer_position_embedding()` adds a learned vector for each position (Gehring et al. 2017),
#' `layer_sinusoidal_encoding()` sine and cosine waves of the position, which need no training and no
#' longest length (Vaswani et al. 2017).
#'
#' @inheritParams layer_locally_connected_1d
#' @param max_length The longest sequence, in steps; a longer one is an error.
#' @param initializer Start values of the vectors.
#' @param max_wavelength The longest wave, in units of 2 pi steps.
#' @param scale What the waves are multiplied with.
#' @param ... On a first layer the older spellings `input_shape`, `batch_input_shape`, `batch_size`.
#' @return The layer, the model, or the output tensor, of the shape of the input: `(batch, steps, features)`.
#' @family layers of this package
#' @examplesIf is_keras_available()
#' x <- random_normal(c(2, 5, 4))
#' x |> layer_position_embedding(max_length = 10)
#' x |> layer_sinusoidal_encoding()
#' @export
layer_position_embedding <- function(object, max_length, initializer = "uniform", name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.PositionEmbedding", environment(), c(max_length = "!int", initializer = "callable", shipped_types))
}

#' @rdname layer_position_embedding
#' @export
layer_sinusoidal_encoding <- function(object, max_wavelength = 10000, scale = 1, name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.SinusoidalEncoding", environment(), c(max_wavelength = "num", scale = "num", shipped_types))
}

shipped_types <- c(name = "string", dtype = "object_spec", trainable = "bool")

#' Transformer blocks
#'
#' Attention over the steps of a sequence, then a small network at each step, each with a residual connection and layer
#' norm (Vaswani et al. 2017). The decoder looks at earlier steps only; given an encoder's output it looks at that too.
#' Masks are followed.
#'
#' @inheritParams layer_locally_connected_1d
#' @param object What to compose with: nothing, a sequential model, or a tensor `(batch, steps, features)`; the
#'   decoder also takes `list(x, encoded)`, the second from an encoder.
#' @param num_heads Number of attention heads; it divides the features.
#' @param intermediate_dim Units of the network's first layer.
#' @param dropout Share of values dropped in training, from 0 to 1.
#' @param activation Activation of the network's first layer.
#' @param norm_first Layer norm before each part instead of after it, which trains deeper stacks (Xiong et al. 2020).
#' @param epsilon Small number added to variances.
#' @param ... On a first layer the older spellings `input_shape`, `batch_input_shape`, `batch_size`.
#' @return The layer, the model, or the output tensor, of the shape of the input.
#' @family layers of this package
#' @examplesIf is_keras_available()
#' x <- random_normal(c(2, 5, 8))
#' encoded <- x |> layer_transformer_encoder(num_heads = 2, intermediate_dim = 16)
#' list(x, encoded) |> layer_transformer_decoder(num_heads = 2, intermediate_dim = 16)
#' @export
layer_transformer_encoder <- function(object, num_heads, intermediate_dim, dropout = 0, activation = "relu", norm_first = FALSE,
                                      epsilon = 1e-5, name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.TransformerEncoder", environment(), transformer_types)
}

#' @rdname layer_transformer_encoder
#' @export
layer_transformer_decoder <- function(object, num_heads, intermediate_dim, dropout = 0, activation = "relu", norm_first = FALSE,
                                      epsilon = 1e-5, name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.TransformerDecoder", environment(), transformer_types)
}

transformer_types <- c(
  num_heads = "!int", intermediate_dim = "!int", dropout = "num", activation = "callable", norm_first = "bool",
  epsilon = "num", shipped_types
)

#' Images as sequences of patches
#'
#' Cuts images into square patches and gives each a vector, the first layer of a vision transformer
#' (Dosovitskiy et al. 2020).
#'
#' @inheritParams layer_locally_connected_1d
#' @param patch_size Pixels of a patch's side; it divides both sides of the image.
#' @param embed_dim Length of the vectors.
#' @param class_token Whether a learned vector is put in front, to read the class from.
#' @param position Whether a learned vector of its place is added to each patch.
#' @param ... On a first layer the older spellings `input_shape`, `batch_input_shape`, `batch_size`.
#' @return The layer, the model, or the output tensor `(batch, patches, embed_dim)`.
#' @family layers of this package
#' @examplesIf is_keras_available()
#' random_normal(c(2, 8, 8, 3)) |> layer_patch_embedding(patch_size = 4, embed_dim = 16)
#' @export
layer_patch_embedding <- function(object, patch_size, embed_dim, class_token = FALSE, position = TRUE, name = NULL,
                                  dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.PatchEmbedding", environment(), c(
    patch_size = "!int", embed_dim = "!int", class_token = "bool", position = "bool", shipped_types
  ))
}

#' Time series
#'
#' `layer_temporal_block()` is a block of a temporal convolutional network: two convolutions that look back only, with
#' gaps, and a residual connection (Bai et al. 2018). Stack blocks with `dilation_rate` 1, 2, 4, ...
#'
#' `layer_reversible_instance_norm()` takes level and scale off each series (Kim et al. 2022). Make the layer alone, call
#' it on the series, and at the end on the forecast with `reference`, which puts level and scale back.
#'
#' @inheritParams layer_locally_connected_1d
#' @param filters Features of the output.
#' @param kernel_size Steps of the window.
#' @param dilation_rate Gap between the steps of the window.
#' @param dropout Share of values dropped in training.
#' @param activation Activation after each convolution and at the end.
#' @param affine Whether a learned scale and offset for each feature is applied too.
#' @param epsilon Small number added to variances.
#' @param ... On a first layer the older spellings `input_shape`, `batch_input_shape`, `batch_size`.
#' @return The layer, the model, or the output tensor: `(batch, steps, filters)`; for the norm the shape of the input.
#' @family layers of this package
#' @examplesIf is_keras_available()
#' series <- layer_input(c(24, 3))
#' norm <- layer_reversible_instance_norm()
#' forecast <- norm(series) |>
#'   layer_temporal_block(filters = 16, dilation_rate = 2) |>
#'   layer_dense(3)
#' model <- keras_model(series, norm(forecast, reference = series))
#' @export
layer_temporal_block <- function(object, filters, kernel_size = 3, dilation_rate = 1, dropout = 0, activation = "relu",
                                 name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.TemporalBlock", environment(), c(
    filters = "!int", kernel_size = "int", dilation_rate = "int", dropout = "num", activation = "callable", shipped_types
  ))
}

#' @rdname layer_temporal_block
#' @export
layer_reversible_instance_norm <- function(object, affine = TRUE, epsilon = 1e-5, name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.ReversibleInstanceNorm", environment(), c(affine = "bool", epsilon = "num", shipped_types))
}

#' Tables: columns as vectors
#'
#' `layer_feature_tokenizer()` gives each column of a table a vector; `layer_tabular_transformer()` runs transformer
#' blocks over these vectors and returns one for the row (FT-Transformer, Gorishniy et al. 2021).
#'
#' `layer_periodic_embedding()` turns each number into sines and cosines of learned frequencies,
#' `layer_piecewise_linear_embedding()` into how far it fills each of a row of bins (Gorishniy et al. 2022). Both often
#' help networks on tables; follow them with [layer_flatten()] or a dense layer.
#'
#' @inheritParams layer_locally_connected_1d
#' @param object What to compose with: nothing, a sequential model, or a tensor of numbers `(batch, columns)`. With
#'   `cardinalities`, a list of two: the numbers, and whole numbers that count from 0.
#' @param embed_dim Length of the vectors.
#' @param cardinalities Number of values of each column of whole numbers.
#' @param class_token Whether a learned vector is put in front.
#' @param num_blocks,num_heads Number of transformer blocks, and of attention heads in each.
#' @param intermediate_dim Units of the blocks' networks; `2 * embed_dim` by default.
#' @param dropout Share of values dropped in training.
#' @param num_frequencies Waves for each column.
#' @param sigma Spread of the frequencies at the start.
#' @param edges A matrix or a list with the rising edges of the bins, one row or element for each column. Quantiles of the
#'   training data are a good choice: `t(apply(x, 2, quantile, probs = seq(0, 1, 0.1)))`.
#' @param ... On a first layer the older spellings `input_shape`, `batch_input_shape`, `batch_size`.
#' @return The layer, the model, or the output tensor: tokenizer `(batch, columns, embed_dim)`, with the class token one
#'   more; transformer `(batch, embed_dim)`; periodic `(batch, columns, 2 * num_frequencies)`; piecewise `(batch, columns,
#'   bins)`.
#' @family layers of this package
#' @examplesIf is_keras_available()
#' x <- random_normal(c(4, 3))
#' x |> layer_tabular_transformer(embed_dim = 8, num_blocks = 1, num_heads = 2)
#' x |> layer_piecewise_linear_embedding(edges = matrix(c(-1, 0, 1), 3, 3, byrow = TRUE))
#' @export
layer_feature_tokenizer <- function(object, embed_dim, cardinalities = NULL, class_token = TRUE, name = NULL, dtype = NULL,
                                    trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.FeatureTokenizer", environment(), c(
    embed_dim = "!int", cardinalities = "ints", class_token = "bool", shipped_types
  ))
}

#' @rdname layer_feature_tokenizer
#' @export
layer_tabular_transformer <- function(object, embed_dim = 32, num_blocks = 2, num_heads = 4, cardinalities = NULL,
                                      intermediate_dim = NULL, dropout = 0, name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.TabularTransformer", environment(), c(
    embed_dim = "int", num_blocks = "int", num_heads = "int", cardinalities = "ints", intermediate_dim = "int",
    dropout = "num", shipped_types
  ))
}

#' @rdname layer_feature_tokenizer
#' @export
layer_periodic_embedding <- function(object, num_frequencies = 8, sigma = 0.1, name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.PeriodicEmbedding", environment(), c(num_frequencies = "int", sigma = "num", shipped_types))
}

#' @rdname layer_feature_tokenizer
#' @export
layer_piecewise_linear_embedding <- function(object, edges, name = NULL, dtype = NULL, trainable = TRUE, ...) {
  if (is.list(edges)) {
    if (length(unique(lengths(edges))) != 1) {
      abort_argument("edges", "must have as many edges for each column.")
    }
    edges <- do.call(rbind, edges)
  }
  edges <- if (is.matrix(edges)) edges else matrix(edges, 1)
  wrap_layer("kerasbridge.layers.PiecewiseLinearEmbedding", environment(), c(edges = "!any", shipped_types))
}

#' Predict a whole distribution
#'
#' `layer_mixture_density()` ends a model with the parameters of a mixture of normal distributions (Bishop 1994);
#' `loss_mixture_density()` is minus the logarithm of the density they give to the targets, in nats a row.
#'
#' @inheritParams layer_locally_connected_1d
#' @param components Normal distributions in the mixture.
#' @param outputs Numbers that are predicted for a row.
#' @param min_log_scale The smallest logarithm of a standard deviation that counts.
#' @param reduction How the losses of the rows are joined: `"sum_over_batch_size"`, `"sum"` or `"none"`.
#' @param ... On a first layer the older spellings `input_shape`, `batch_input_shape`, `batch_size`; for the loss not used, and
#'   refused.
#' @return The layer, the model, or the output tensor `(batch, components * (1 + 2 * outputs))`: logits of the components, means,
#'   logarithms of standard deviations. `loss_mixture_density()`: a loss.
#' @family layers of this package
#' @examplesIf is_keras_available()
#' model <- keras_model_sequential(input_shape = 1) |>
#'   layer_dense(8, activation = "relu") |>
#'   layer_mixture_density(components = 2)
#' model |> compile(optimizer = "adam", loss = loss_mixture_density(components = 2))
#' @export
layer_mixture_density <- function(object, components, outputs = 1, name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.MixtureDensity", environment(), c(components = "!int", outputs = "int", shipped_types))
}

#' @rdname layer_mixture_density
#' @export
loss_mixture_density <- function(components, outputs = 1, min_log_scale = -7, ..., reduction = "sum_over_batch_size",
                                 name = "mixture_density_loss", dtype = NULL) {
  wrap_class("kerasbridge.layers.MixtureDensityLoss", environment(), c(
    components = "!int", outputs = "int", min_log_scale = "num", reduction = "string", name = "string", dtype = "object_spec"
  ))
}

#' Dropout that stays on, gradients that turn around
#'
#' `layer_monte_carlo_dropout()` drops values in prediction as in training: repeated predictions show how sure a model is
#' (Gal and Ghahramani 2016). `layer_gradient_reversal()` passes its input on and, on the way back, the gradient times
#' `-factor`: for features that a second output must not be able to use (Ganin and Lempitsky 2015).
#'
#' @inheritParams layer_locally_connected_1d
#' @param rate Share of values set to 0, from 0 up to 1.
#' @param seed A whole number for the same draws each time.
#' @param factor A number of at least 0.
#' @param ... On a first layer the older spellings `input_shape`, `batch_input_shape`, `batch_size`.
#' @return The layer, the model, or the output tensor, of the shape of the input.
#' @family layers of this package
#' @examplesIf is_keras_available()
#' op_ones(c(1, 6)) |> layer_monte_carlo_dropout(rate = 0.5)
#' op_ones(c(1, 2)) |> layer_gradient_reversal()
#' @export
layer_monte_carlo_dropout <- function(object, rate, seed = NULL, name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.MonteCarloDropout", environment(), c(rate = "!num", seed = "int", shipped_types))
}

#' @rdname layer_monte_carlo_dropout
#' @export
layer_gradient_reversal <- function(object, factor = 1, name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.GradientReversal", environment(), c(factor = "num", shipped_types))
}

#' What matters most
#'
#' `layer_squeeze_excite()` scales each channel by a number from 0 to 1 that depends on the means of all channels
#' (Hu et al. 2018). `layer_attention_pooling()` is the mean over the steps of a sequence with learned weights; masked
#' steps weigh nothing (Yang et al. 2016).
#'
#' @inheritParams layer_locally_connected_1d
#' @param ratio How many times fewer units the small network has than there are channels.
#' @param activation Activation of the small network.
#' @param units Units of the small network that weighs the steps.
#' @param ... On a first layer the older spellings `input_shape`, `batch_input_shape`, `batch_size`.
#' @return The layer, the model, or the output tensor: for `layer_squeeze_excite()` of the shape of the input, for
#'   `layer_attention_pooling()` `(batch, features)`.
#' @family layers of this package
#' @examplesIf is_keras_available()
#' random_normal(c(2, 4, 4, 8)) |> layer_squeeze_excite(ratio = 4)
#' random_normal(c(2, 5, 8)) |> layer_attention_pooling()
#' @export
layer_squeeze_excite <- function(object, ratio = 16, activation = "relu", name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.SqueezeExcite", environment(), c(ratio = "num", activation = "callable", shipped_types))
}

#' @rdname layer_squeeze_excite
#' @export
layer_attention_pooling <- function(object, units = 32, name = NULL, dtype = NULL, trainable = TRUE, ...) {
  wrap_layer("kerasbridge.layers.AttentionPooling", environment(), c(units = "int", shipped_types))
}
