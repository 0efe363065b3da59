seeded <- '
library(kerasbridge)
train <- \\(seed) {
  set_random_seed(seed)
  x <- array(runif(64 * 8 * 8), c(64, 8, 8, 1))
  y <- runif(64)
  model <- keras_model_sequential(input_shape = c(8, 8, 1)) |>
    layer_random_flip() |> layer_random_rotation(0.1) |>
    layer_conv_2d(2, 3) |> layer_flatten() |> layer_dropout(0.5) |> layer_dense(1)
  compile(model, optimizer = "adam", loss = "mse")
  history <- fit(model, x, y, epochs = 2, batch_size = 16, shuffle = TRUE, verbose = 0)
  batches <- \\() {
    rows <- sample(64, 16)
    list(x[rows, , , , drop = FALSE] + rnorm(1), y[rows])
  }
  pulled <- fit(model, batches, steps_per_epoch = 3, epochs = 2, verbose = 0)
  cat("seed", history$seed, pulled$seed, rlang::hash(list(get_weights(model), history$metrics, pulled$metrics)), "\\n")
}
train(7)
train(8)
'

test_that("one seed gives two sessions the same weights, with dropout, augmentation, shuffling and a generator", {
  skip_if_no_keras()
  said <- \() grep("^seed", run_r(seeded)$output, value = TRUE)
  first <- said()
  expect_match(first[[1]], "^seed 7 7 [0-9a-f]{32} $")
  expect_match(first[[2]], "^seed 8 8 [0-9a-f]{32} $")
  expect_false(substring(first[[1]], 10) == substring(first[[2]], 10))
  expect_identical(said(), first)
})
