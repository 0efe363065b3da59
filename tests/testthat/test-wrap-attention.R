test_that("a list piped into an attention layer is its query, value and key", {
  skip_if_no_keras("3.12") # older ones want query and value of one width
  query <- layer_input(c(5, 8))
  value <- layer_input(c(7, 6))
  out <- list(query, value) |> layer_multi_head_attention(num_heads = 2, key_dim = 4)
  expect_identical(dim(out), c(NA, 5L, 8L))
  named <- list(value = value, query = query) |> layer_multi_head_attention(num_heads = 2, key_dim = 4)
  expect_identical(dim(named), c(NA, 5L, 8L))
  grouped <- list(query, layer_input(c(7, 8))) |>
    layer_group_query_attention(head_dim = 4, num_query_heads = 4, num_key_value_heads = 2)
  expect_identical(dim(grouped), c(NA, 5L, 8L))
})

test_that("a layer without further arguments in Keras offers no `trainable`", {
  expect_false("trainable" %in% names(formals(layer_spatial_dropout_1d)))
  expect_false("trainable" %in% names(formals(layer_discretization)))
  expect_true("trainable" %in% names(formals(layer_dense)))
})
