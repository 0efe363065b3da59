# Random R values to Python and back: types, shapes, limits and texts stay what they are.

random_array <- function(type, seed) {
  set.seed(seed)
  rank <- sample(1:4, 1)
  shape <- sample(0:4, rank, replace = TRUE)
  n <- prod(shape)
  limit <- .Machine$integer.max
  words <- c("", "a", "\u00e9t\u00e9", "\u6f22\u5b57", "\U1F600", strrep("x", 5000), "NA", "line\nbreak", "tab\t\"quote\"'")
  values <- switch(type,
    integer = sample(c(-limit, -1L, 0L, 1L, limit), n, replace = TRUE),
    double = sample(c(0, -0.5, 1e300, 5e-324, 2^53, pi), n, replace = TRUE),
    logical = sample(c(TRUE, FALSE), n, replace = TRUE),
    character = sample(words, n, replace = TRUE)
  )
  array(values, shape)
}

test_that("arrays of every type and shape come back as they went", {
  skip_if_no_keras()
  for (type in c("integer", "double", "logical", "character")) {
    for (seed in 1:25) {
      x <- random_array(type, seed)
      if (type == "double" && ops_narrow()) { # 32 bits hold these; the rest is refused or rounded
        x[!x %in% c(0, -0.5, 2^53)] <- 0.25
      }
      back <- if (type == "character") {
        sent <- to_python(tagged(x, "data"))
        # texts of several axes cross as a tensor
        if (inherits(sent, "kerasbridge_tensor")) as.array(sent) else reticulate::py_to_r(sent)
      } else {
        as.array(as_tensor(x, dtype = if (type == "double") "float64"))
      }
      expect_identical(typeof(back), type)
      expect_identical(dim(back), dim(x))
      expect_identical(as.vector(back), as.vector(x))
    }
  }
})

test_that("what can't cross unchanged is refused, never altered", {
  skip_if_no_keras()
  if (ops_narrow()) {
    error <- expect_error(as_tensor(c(1, 1e300), dtype = "float64"), "`x` holds numbers beyond 3.4e\\+38, and JAX keeps float64 in 32", class = "kerasbridge_error_argument")
    expect_match(deparse(conditionCall(error))[[1]], "as_tensor(", fixed = TRUE)
  }
  for (x in list(c(1L, NA), c(TRUE, NA), c("a", NA), c(1, NA))) {
    expect_error(as_tensor(x), "missing value|NA", class = "kerasbridge_error_data")
    expect_error(predict(small_model(input = 2), matrix(x, 1)), class = "kerasbridge_error_data")
  }
})

test_that("levels come back in order, whatever they say", {
  skip_if_no_keras()
  pool <- c("a", "B", "\u00e9", "e\u0301", "\u6f22\u5b57", "\U1F600", " lead", "trail ", "NA", "", "TRUE", "1", "a\"b'c", "x\ny", strrep("long", 2000))
  for (seed in 1:15) {
    set.seed(seed)
    levels <- sample(pool, sample(1:length(pool), 1))
    y <- factor(sample(levels, 20, replace = TRUE), levels = levels, ordered = seed %% 2 == 0)
    found <- class_codes(y, NULL, "y", NULL)
    expect_identical(found$levels, levels)
    expect_identical(found$codes, as.integer(y) - 1L)
    # against the same levels in another order
    other <- class_codes(factor(as.character(y), levels = rev(levels)), list(kind = "factor", levels = levels), "y", NULL)
    expect_identical(other$codes, found$codes)
  }
})

test_that("random data frames become the block that R would make of them", {
  skip_if_no_keras()
  for (seed in 1:15) {
    set.seed(seed)
    n <- sample(c(0, 1, 2, 50), 1)
    makers <- list(
      double = \() stats::rnorm(n), integer = \() sample(-1000:1000, n, TRUE), logical = \() sample(c(TRUE, FALSE), n, TRUE),
      ordered = \() factor(sample(c("u", "v", "w"), n, TRUE), c("w", "u", "v"), ordered = TRUE),
      day = \() as.Date("2000-01-01") + sample(-400:400, n, TRUE), span = \() as.difftime(sample(100, n, TRUE), units = "hours")
    )
    d <- as.data.frame(lapply(makers[sample(length(makers), sample(1:6, 1))], \(make) make()))
    expected <- vapply(d, \(v) {
      if (is.factor(v)) as.integer(v) - 1 else if (inherits(v, "difftime")) as.numeric(v, units = "secs") else as.numeric(v)
    }, numeric(n))
    got <- as.array(as_tensor(bridge_keep("table_block", columns = frame_columns(d, "x", NULL))))
    expect_identical(dim(got), c(as.integer(n), ncol(d)))
    expect_equal(as.vector(got), as.vector(expected), tolerance = 1e-6)
  }
})
