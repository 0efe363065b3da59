# Older backend functions that hold or change state, and those that are refused.

close <- function(x, want) expect_equal(as.array(x), want, tolerance = 1e-5, ignore_attr = TRUE)

test_that("variables are read and written", {
  skip_if_no_keras()
  v <- k_variable(c(1, 2))
  expect_null(k_set_value(v, c(3, 5)))
  expect_equal(as.vector(k_get_value(v)), c(3, 5))
  expect_equal(as.vector(k_eval(k_update_add(v, c(1, 1)))), c(4, 6))
  expect_equal(as.vector(k_eval(k_update_sub(v, c(0, 2)))), c(4, 4))
  expect_equal(as.vector(k_eval(k_update(v, c(10, 20)))), c(10, 20))
  k_moving_average_update(v, c(0, 0), momentum = 0.9)
  expect_equal(as.vector(k_eval(v)), c(9, 18), tolerance = 1e-6)
  w <- k_variable(1)
  k_batch_set_value(list(list(v, c(0, 1)), list(w, 7)))
  expect_equal(lapply(k_batch_get_value(list(v, w)), as.vector), list(c(0, 1), 7))
  expect_equal(as.vector(k_eval(as_tensor(2) * 3)), 6)
  expect_error(k_set_value(as_tensor(1), 2), "k_variable", class = "kerasbridge_error_argument")
  expect_error(k_set_value(v, 1:3), class = "kerasbridge_error")
  expect_error(k_eval(layer_input(2)), "k_function", class = "kerasbridge_error_unsupported")
})

test_that("a learning rate is changed in place", {
  skip_if_no_keras()
  model <- small_model()
  k_set_value(model$optimizer$learning_rate, 0.25)
  expect_equal(as.numeric(k_get_value(model$optimizer$learning_rate)), 0.25)
})

test_that("functions run over the first axis", {
  skip_if_no_keras()
  close(k_map_fn(\(x) x^2, matrix(1:4 / 2, 2)), matrix(1:4 / 2, 2)^2)
  expect_identical(k_dtype(k_map_fn(~ .x, 1:3, dtype = "float32")), "float32")
  close(k_foldl(\(a, b) a - b, c(1, 2, 3)), -4)
  close(k_foldr(\(a, b) a - b, c(1, 2, 3)), 0)
  close(k_foldl(\(a, b) a * b, c(2, 3), initializer = 10), 60)
  expect_error(k_foldl(\(a, b) a, layer_input(2)), "elems", class = "kerasbridge_error_argument")
})

test_that("k_rnn() carries states, obeys a mask, and runs backwards", {
  skip_if_no_keras()
  if (!is_keras_available("3.4")) {
    step <- \(input, states) list(input, list(input))
    expect_error(k_rnn(step, array(1, c(1, 3, 2)), list(matrix(0, 1, 2))), "came with Keras 3.4", class = "kerasbridge_error_unsupported")
    return()
  }
  x <- array(1:6 / 1, c(1, 3, 2))
  step <- \(input, states) list(input + states[[1]], list(input + states[[1]]))
  for (unroll in c(FALSE, TRUE)) {
    out <- k_rnn(step, x, list(matrix(0, 1, 2)), unroll = unroll)
    close(out[[1]], rbind(c(6, 15)))
    close(out[[2]], array(apply(x[1, , ], 2, cumsum), c(1, 3, 2)))
    close(out[[3]][[1]], rbind(c(6, 15)))
    masked <- k_rnn(step, x, list(matrix(0, 1, 2)), mask = matrix(c(TRUE, FALSE, TRUE), 1), unroll = unroll)
    close(masked[[1]], rbind(c(4, 10)))
  }
  back <- k_rnn(step, x, list(matrix(0, 1, 2)), go_backwards = TRUE)
  close(back[[2]], array(apply(x[1, 3:1, ], 2, cumsum), c(1, 3, 2)))
  expect_error(k_rnn(step, x, list(matrix(0, 1, 2)), input_length = 4), "input_length", class = "kerasbridge_error_argument")
  expect_error(k_rnn(\(i, s) i, x, list(matrix(0, 1, 2))), "two things", class = "kerasbridge_error_argument")
})

test_that("k_function() computes between tensors of a model", {
  skip_if_no_keras()
  model <- keras_model_sequential(input_shape = 3) |> layer_dense(2, activation = "tanh") |> layer_dropout(0.5) |> layer_dense(1)
  x <- matrix(c(0.1, 0.4, -0.2, 0.3, 0.5, 0.9), 2)
  hidden <- k_function(list(model$input), list(model$layers[[1]]$output))
  w <- get_weights(model)
  expect_equal(hidden(list(x))[[1]], tanh(sweep(x %*% w[[1]], 2, as.vector(w[[2]]), `+`)), tolerance = 1e-5)
  single <- k_function(model$input, model$layers[[1]]$output)
  expect_equal(single(x), hidden(list(x))[[1]])
  phased <- k_function(list(model$input, k_learning_phase()), list(model$layers[[2]]$output))
  expect_equal(phased(list(x, 0))[[1]], hidden(list(x))[[1]], tolerance = 1e-5)
  dropped <- phased(list(x[rep(1, 200), ], 1))[[1]]
  expect_gt(mean(dropped == 0), 0.3)
  expect_error(hidden(list(x, x)), "list of 1", class = "kerasbridge_error_argument")
  expect_error(k_function(list(model$input), list(model$output), updates = list(1)), class = "kerasbridge_error_unsupported")
  expect_error(k_function(list(x), list(model$output)), "inputs", class = "kerasbridge_error_argument")
})

test_that("k_gradients() works between tensors of a model, and says where it can't", {
  skip_if_no_keras()
  skip_if(config_backend() != "tensorflow", "gradients between tensors need TensorFlow")
  x <- layer_input(2)
  f <- k_function(list(x), k_gradients(k_sum(k_square(x)), x))
  expect_equal(f(list(rbind(c(1, -3))))[[1]], rbind(c(2, -6)), tolerance = 1e-6)
  expect_error(k_gradients(as_tensor(1), as_tensor(1)), "GradientTape", class = "kerasbridge_error_unsupported")
  expect_error(k_gradients(1, as_tensor(1)), "loss", class = "kerasbridge_error_argument")
  expect_length(k_stop_gradient(list(as_tensor(1), as_tensor(2))), 2)
  if (!is_keras_available("3.6")) {
    expect_error(k_stop_gradient(x), "Keras 3.6 and later do", class = "kerasbridge_error_unsupported")
    return(invisible())
  }
  stopped <- k_function(list(x), k_gradients(k_sum(k_stop_gradient(x) * x), x))
  expect_equal(stopped(list(rbind(c(1, -3))))[[1]], rbind(c(1, -3)), tolerance = 1e-6)
})

test_that("k_print_tensor() prints and passes on", {
  skip_if_no_keras()
  expect_output(out <- k_print_tensor(as_tensor(c(1, 2)), "value:"), "value: \\[1\\] 1 2")
  close(out, c(1, 2))
  expect_error(k_print_tensor(layer_input(2)), class = "kerasbridge_error_unsupported")
})

test_that("placeholders are inputs; phases are chosen by `training`", {
  skip_if_no_keras()
  p <- k_placeholder(list(NULL, 3), dtype = "int32", name = "numbers")
  expect_identical(dim(p), c(NA, 3L))
  expect_identical(k_dtype(p), "int32")
  expect_identical(dim(k_placeholder(ndim = 2)), c(NA_integer_, NA_integer_))
  expect_error(k_placeholder(), "ndim", class = "kerasbridge_error_argument")
  expect_identical(k_learning_phase(), 0L)
  expect_message(expect_null(k_set_learning_phase(0)), "nothing to do")
  expect_error(k_set_learning_phase(1), "training = TRUE", class = "kerasbridge_error_unsupported")
  close(k_in_train_phase(1, 2, training = TRUE), 1)
  close(k_in_train_phase(\() 1, \() 2, training = 0), 2)
  close(k_in_test_phase(1, 2, training = as_tensor(FALSE)), 1)
  expect_error(k_in_train_phase(1, 2), "training", class = "kerasbridge_error_unsupported")
  expect_error(k_in_test_phase(1, 2), "training", class = "kerasbridge_error_unsupported")
})

test_that("sessions are refused with what to do instead", {
  expect_error(k_get_session(), "no TensorFlow sessions", class = "kerasbridge_error_unsupported")
  expect_error(k_set_session(NULL), "set_random_seed", class = "kerasbridge_error_unsupported")
  expect_error(k_manual_variable_initialization(TRUE), "set_weights", class = "kerasbridge_error_unsupported")
  expect_null(k_manual_variable_initialization(FALSE))
})

test_that("k_reset_uids() starts names again", {
  skip_if_no_keras()
  k_reset_uids()
  first <- layer_dense(units = 1)$name
  k_reset_uids()
  expect_identical(layer_dense(units = 1)$name, first)
})

test_that("every older backend name exists and is documented on a page of its family", {
  known <- c(
    "k_abs", "k_argmax", "k_batch_dot", "k_ctc_decode", "k_foldr", "k_gradients", "k_local_conv2d", "k_rnn", "k_unstack", "k_zeros_like"
  )
  expect_true(all(known %in% getNamespaceExports("kerasbridge")))
  expect_gte(length(grep("^k_", getNamespaceExports("kerasbridge"))), 150)
})

test_that("k_print_tensor() inside a traced loss prints while it runs", {
  skip_if_no_keras()
  skip_if(config_backend() != "tensorflow", "printing inside a graph is TensorFlow's")
  out <- run_r(c(
    "library(kerasbridge)",
    "model <- keras_model_sequential(input_shape = 1) |> layer_dense(1)",
    "set_weights(model, list(matrix(2, 1), array(0)))",
    "compile(model, optimizer = 'sgd', loss = \\(y_true, y_pred) k_mean(k_print_tensor(k_square(y_true - y_pred), 'squares:'), axis = 2))",
    "e <- evaluate(model, matrix(1, 1), matrix(5, 1), verbose = 0)"
  ))
  expect_identical(out$status, 0L)
  expect_match(out$output, "squares: \\[\\[9\\]\\]", all = FALSE)
})
