test_that("gpu_status() says whether a card is used, and else why not and what mends it", {
  skip_if_no_keras()
  status <- gpu_status()
  expect_s3_class(status, "kerasbridge_gpu_status")
  expect_identical(status$backend, kerasbridge_info()$backend)
  expect_true(nzchar(status$message))
  if (status$found) {
    expect_identical(status$reason, "found")
  } else {
    expect_match(paste(format(status), collapse = "\n"), "not used. .+What to do: ")
  }
  expect_output(print(status), "Graphics card")
})

test_that("gpu_status() starts neither Keras nor TensorFlow", {
  skip_if_no_keras()
  out <- run_r(c(
    "library(kerasbridge)",
    "invisible(gpu_status())",
    "cat(reticulate::py_eval('any(m in __import__(\"sys\").modules for m in (\"keras\", \"tensorflow\"))'))"
  ))
  expect_identical(out$output, "FALSE")
})
