# the methods for bundle, butcher and vetiver, with those packages and without

deployed <- function() {
  model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
  compile(model, optimizer = "adam", loss = "mse")
  known_weights(model)
}

rows <- data.frame(b = c(1, 0), a = c(0, 1))

test_that("the methods hang on the generics of packages that are loaded later", {
  skip_if_no_keras()
  # a generic of a package that is there
  kerasbridge:::add_methods("generics", list(explain = \(x, ...) "ours", absent = identity))
  expect_identical(generics::explain(deployed()), "ours")
  expect_error(generics::explain(1), "no applicable method")
})

test_that("a model without its optimizer predicts the same", {
  skip_if_no_keras()
  model <- deployed()
  lean <- kerasbridge:::axe_fitted_model(model)
  expect_identical(predict(lean, as.matrix(rows), verbose = 0), predict(model, as.matrix(rows), verbose = 0))
  expect_false(lean$compiled)
  expect_message(kerasbridge:::axe_fitted_model(model, verbose = TRUE), "3 parameters kept")
})

test_that("requests are answered by column name", {
  skip_if_no_keras()
  model <- deployed()
  methods <- kerasbridge:::vetiver_methods()
  expect_identical(methods$vetiver_create_description(model), "A Keras model with 3 parameters")
  expect_error(methods$vetiver_ptype(model), "prototype_data` is missing", class = "kerasbridge_error_argument")
  prototype <- methods$vetiver_ptype(model, prototype_data = data.frame(a = 1, b = 2))
  expect_identical(dim(prototype), c(0L, 2L))
  answer <- methods$handler_predict(list(model = model, prototype = prototype))
  # weights 1 and 2, bias 0.5; the columns come in another order
  expect_equal(answer(list(body = rows))$.pred, c(2.5, 1.5))
  expect_error(answer(list(body = rows["a"])), "lacks the column 'b'", class = "kerasbridge_error_data")
})

test_that("bundle() and unbundle() bring a model into another process", {
  skip_if_no_keras()
  skip_if_not_installed("bundle")
  model <- deployed()
  file <- withr::local_tempfile(fileext = ".rds")
  saveRDS(getExportedValue("bundle", "bundle")(model), file)
  out <- run_r(c(
    "library(kerasbridge)", sprintf("m <- getExportedValue('bundle', 'unbundle')(readRDS('%s'))", file),
    "cat(predict(m, matrix(1, 1, 2), verbose = 0))"
  ))
  expect_identical(tail(out$output, 1), "3.5")
})

test_that("vetiver serves a model", {
  skip_if_no_keras()
  skip_if_not_installed("vetiver")
  served <- getExportedValue("vetiver", "vetiver_model")(deployed(), "small", prototype_data = data.frame(a = 1, b = 2))
  expect_match(served$description, "3 parameters")
  expect_identical(names(served$prototype), c("a", "b"))
})
