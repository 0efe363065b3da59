test_that("each known message is recognised in R as in Python", {
  cases <- strsplit(readLines(test_path("fixtures", "messages.tsv"), encoding = "UTF-8")[-1], "\t", fixed = TRUE)
  expect_gt(length(cases), 100)
  for (case in cases) {
    text <- gsub("\\\\", "\\", gsub("\\n", "\n", case[[2]], fixed = TRUE), fixed = TRUE)
    expect_identical(explain_message(text)$id, case[[1]])
  }
})

test_that("what the message names stands in the explanation", {
  known <- explain_message("Unrecognized keyword arguments passed to LSTM: {'time_major': False}")
  expect_match(known$cause, "The layer LSTM does not take {'time_major': False}", fixed = TRUE)
  known <- explain_message("ERROR: No matching distribution found for tensorflow==9.9")
  expect_match(known$cause, "no file of tensorflow for this Python", fixed = TRUE)
  expect_null(explain_message("the cat sat on the mat"))
})
