library(testthat)
library(kerasbridge)

# a pattern of file names, for a check that comes after all tests have run
filter <- Sys.getenv("KERASBRIDGE_TEST_FILTER")
test_check("kerasbridge", filter = if (nzchar(filter)) filter)
