# Older backend functions against base R: element by element, reductions, K$...

m <- matrix(c(-1.5, 0.25, 2, -0.75, 1, 3.5), 2)
close <- function(x, want) expect_equal(as.array(x), want, tolerance = 1e-5, ignore_attr = TRUE)
spread <- function(v) sqrt(mean((v - mean(v))^2))

test_that("element by element as in base R", {
  skip_if_no_keras()
  close(k_abs(m), abs(m))
  close(k_cos(m), cos(m))
  close(k_sin(m), sin(m))
  close(k_exp(m), exp(m))
  close(k_log(abs(m)), log(abs(m)))
  close(k_round(m), round(m))
  close(k_round(c(0.5, 1.5, 2.5)), c(0, 2, 2))
  close(k_sign(m), sign(m))
  close(k_square(m), m^2)
  close(k_sqrt(abs(m)), sqrt(abs(m)))
  close(k_sqrt(c(-4, 4)), c(0, 2))
  close(k_pow(m, 3), m^3)
  close(k_maximum(m, 0), pmax(m, 0))
  close(k_minimum(m, t(matrix(1:6 / 6, 3))), pmin(m, t(matrix(1:6 / 6, 3))))
  close(k_clip(m, -1, 1), pmin(pmax(m, -1), 1))
  close(k_clip(m, 0), pmax(m, 0))
  close(k_clip(m, NULL, 0), pmin(m, 0))
})

test_that("comparisons give logicals", {
  skip_if_no_keras()
  for (name in c("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")) {
    base <- switch(name, equal = `==`, not_equal = `!=`, greater = `>`, greater_equal = `>=`, less = `<`, `<=`)
    got <- get(paste0("k_", name))(m, 1)
    expect_identical(k_dtype(got), "bool", label = name)
    expect_equal(as.array(got), base(m, 1), ignore_attr = TRUE, label = name)
  }
})

test_that("types are kept and changed as asked", {
  skip_if_no_keras()
  expect_identical(k_dtype(k_clip(1:3, 2, 3)), "int32")
  expect_identical(k_dtype(k_cast(1:3, "float16")), "float16")
  expect_identical(k_dtype(k_cast_to_floatx(1:3)), "float32")
  close(k_cast(c(1.7, -1.7), "int32"), c(1, -1))
})

test_that("reductions count axes from 1", {
  skip_if_no_keras()
  for (name in c("sum", "mean", "max", "min", "prod")) {
    f <- get(paste0("k_", name))
    base <- get(name, baseenv())
    close(f(m), base(m))
    close(f(m, axis = 1), apply(m, 2, base))
    close(f(m, axis = -1), apply(m, 1, base))
    close(f(m, axis = c(1, 2)), base(m))
    expect_identical(dim(f(m, axis = 2, keepdims = TRUE)), c(2L, 1L), label = name)
  }
  close(k_std(m, 2), apply(m, 1, spread))
  close(k_var(m), spread(m)^2)
  close(k_logsumexp(m, 1), log(colSums(exp(m))))
  close(k_any(m > 3, axis = 1), apply(m > 3, 2, any))
  close(k_all(m > -1, axis = 2), apply(m > -1, 1, all))
  close(k_cumsum(m), apply(m, 2, cumsum))
  close(k_cumsum(m, axis = 2), t(apply(m, 1, cumsum)))
  close(k_cumprod(m, axis = 1), apply(m, 2, cumprod))
  close(k_l2_normalize(m, axis = 2), m / sqrt(rowSums(m^2)))
  close(k_l2_normalize(m), m / sqrt(sum(m^2)))
  close(k_l2_normalize(c(0, 0)), c(0, 0))
  expect_error(k_sum(m, axis = 0), "counts from 1", class = "kerasbridge_error_argument")
  expect_error(k_mean(), "`x` is missing", class = "kerasbridge_error_argument")
  expect_error(k_mean(m, axis = 1.5), "axis", class = "kerasbridge_error_argument")
})

test_that("argmax gives class numbers from 0 along an axis counted from 1", {
  skip_if_no_keras()
  close(k_argmax(m), apply(m, 1, which.max) - 1)
  close(k_argmax(m, axis = 1), apply(m, 2, which.max) - 1)
  close(k_argmin(m), apply(m, 1, which.min) - 1)
  expect_identical(as.array(op_argmax(as_tensor(m), axis = -1)) - 1L, as.array(k_argmax(m)))
})

test_that("K$ takes Python's names and axes", {
  skip_if_no_keras()
  K <- backend()
  expect_identical(K$epsilon(), 1e-7)
  close(K$mean(K$square(m), axis = -1L), rowMeans(m^2))
  close(K$sum(m, axis = 0L), colSums(m))
  close(K$sum(m, 0L), colSums(m))
  close(K$sum(m, axis = list(0L, 1L)), sum(m))
  close(K$permute_dimensions(m, c(1L, 0L)), t(m))
  close(K$concatenate(list(m, m), axis = 0L), rbind(m, m))
  close(K$expand_dims(m, 0L), array(m, c(1, 2, 3)))
  close(K$reshape(m, c(3L, 2L)), matrix(t(m), 3, byrow = TRUE))
  close(K$argmax(m, axis = 0L), apply(m, 2, which.max) - 1)
  close(K$relu6(c(-1, 9)), c(0, 6))
  close(K[["abs"]](m), abs(m))
  close(kerasbridge::K$exp(m), exp(m))
  expect_error(K$meen(m), "Did you mean `mean`", class = "kerasbridge_error_argument")
  expect_error(K$sum(m, axis = 0.5), "counted from 0", class = "kerasbridge_error_argument")
})

test_that("backend() shows itself and starts nothing", {
  expect_s3_class(backend(), "kerasbridge_backend")
  expect_output(print(backend()), "axes are counted from 0")
  expect_true(all(c("mean", "function", "conv2d") %in% names(backend())))
  expect_identical(utils::.DollarNames(backend(), "^epsi"), "epsilon")
  expect_error(backend(convert = FALSE), class = "kerasbridge_error_unsupported")
})

test_that("implementation() is the keras module", {
  skip_if_no_keras()
  expect_s3_class(implementation(), "python.builtin.module")
  close(implementation()$ops$add(1, 2), 3)
})

test_that("a loss written with K$ trains as the built-in one", {
  skip_if_no_keras()
  K <- backend()
  x <- matrix(c(0.1, 0.5, -0.3, 0.8, 0.2, -0.6, 0.4, 0.9), 4)
  y <- matrix(c(1, 0, 0.5, 2), 4)
  losses <- list(
    own = \(y_true, y_pred) K$mean(K$square(y_true - y_pred), axis = -1L),
    older = \(y_true, y_pred) k_mean(k_square(y_true - y_pred), axis = 2),
    built_in = "mse"
  )
  ends <- lapply(losses, \(loss) {
    model <- keras_model_sequential(input_shape = 2) |> layer_dense(1)
    set_weights(model, list(matrix(c(0.3, -0.2), 2), array(0.1)))
    compile(model, optimizer = optimizer_sgd(0.1), loss = loss)
    fit(model, x, y, epochs = 3, verbose = 0, batch_size = 4, shuffle = FALSE)
    get_weights(model)
  })
  expect_equal(ends$own, ends$built_in, tolerance = 1e-6)
  expect_equal(ends$older, ends$built_in, tolerance = 1e-6)
})
