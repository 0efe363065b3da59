x <- matrix(1:20 / 20, 10)
y <- rowSums(x)

recorder <- function() {
  seen <- new.env()
  seen$steps <- list()
  seen$closed <- 0
  list(
    seen = seen,
    set = \(value, message, detail) seen$steps <- c(seen$steps, list(list(value = value, message = message, detail = detail))),
    close = \() seen$closed <- seen$closed + 1
  )
}

test_that("progress is shown epoch by epoch and closed at the end", {
  skip_if_no_keras()
  shown <- recorder()
  history <- fit(
    small_model(), x, y, epochs = 4, validation_split = 0.2, verbose = 0,
    callbacks = callback_shiny_progress(progress = shown, message = "Learning", every = 0)
  )
  steps <- shown$seen$steps
  expect_equal(vapply(steps, `[[`, 0, "value"), c(0, 0.25, 0.5, 0.75, 1))
  expect_equal(unique(vapply(steps, `[[`, "", "message")), "Learning")
  expect_equal(
    steps[[5]]$detail,
    sprintf("epoch 4 of 4, loss %s, val loss %s", format(signif(history$metrics$loss[[4]], 4)), format(signif(history$metrics$val_loss[[4]], 4)))
  )
  expect_gte(shown$seen$closed, 1)
  rare <- recorder()
  fit(small_model(), x, y, epochs = 5, verbose = 0, callbacks = callback_shiny_progress(progress = rare, every = 1000))
  expect_equal(vapply(rare$seen$steps, `[[`, 0, "value"), c(0, 0.2, 1))
})

test_that("progress is closed when training ends by an error", {
  skip_if_no_keras()
  shown <- recorder()
  fails <- list(on_epoch_end = \(epoch, logs) if (epoch == 2) stop("in the middle"))
  expect_error(
    fit(small_model(), x, y, epochs = 4, verbose = 0, callbacks = list(callback_shiny_progress(progress = shown, every = 0), fails)),
    "in the middle"
  )
  expect_equal(shown$seen$closed, 1)
})

test_that("progress goes through Shiny's own object", {
  skip_if_no_keras()
  skip_if_not_installed("shiny")
  sent <- list()
  # what Progress needs of a session
  session <- list(progressStack = TRUE, sendProgress = \(type, message) sent <<- c(sent, list(c(list(type = type), message))))
  shiny::withReactiveDomain(session, {
    fit(small_model(), x, y, epochs = 2, verbose = 0, callbacks = callback_shiny_progress(every = 0))
  })
  expect_equal(vapply(sent, `[[`, "", "type"), c("open", "update", "update", "update", "close"))
  expect_equal(vapply(sent[2:4], `[[`, 0, "value"), c(0, 0.5, 1))
  expect_match(sent[[4]]$detail, "^epoch 2 of 2, loss ")
  expect_error(callback_shiny_progress(), "server function", class = "kerasbridge_error_argument")
})

test_that("what can't show progress is refused", {
  expect_error(callback_shiny_progress(progress = list(set = identity)), "`progress` must have functions", class = "kerasbridge_error_argument")
  expect_error(callback_shiny_progress(message = 1), "`message` must be a string", class = "kerasbridge_error_argument")
  expect_error(callback_shiny_progress(every = "a"), "`every` must be a number", class = "kerasbridge_error_argument")
})
