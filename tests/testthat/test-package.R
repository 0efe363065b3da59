test_that("one version number", {
  version <- as.character(packageVersion("kerasbridge"))
  init <- readLines(system.file("python", "kerasbridge", "__init__.py", package = "kerasbridge"))
  expect_true(any(init == sprintf("__version__ = \"%s\"", version)))
})

test_that("names that clash with base R do what base R does", {
  expect_identical(matrix(1:4, 2) %*% matrix(1:4, 2), base::`%*%`(matrix(1:4, 2), matrix(1:4, 2)))
})

test_that("set_random_seed() gives the same numbers twice", {
  skip_if_no_keras()
  draw <- function() {
    set_random_seed(7)
    list(runif(2), as.array(random_uniform(3)))
  }
  expect_identical(draw(), draw())
  expect_error(set_random_seed(-1), "`seed` must be at least 0")
  expect_error(set_random_seed(1.5), "`seed` must be a whole number")
})

test_that("attaching beside another package for Keras names what is masked, in one line", {
  expect_null(masking_note(search()))
  other <- list(fit = identity, layer_dense = identity, something = 1)
  attach(other, name = "package:keras3", warn.conflicts = FALSE)
  withr::defer(detach("package:keras3", character.only = TRUE))
  note <- masking_note(search())
  expect_match(note, "masks 2 functions of keras3 (fit, layer_dense): attach only one", fixed = TRUE)
  expect_length(note, 1)
})
