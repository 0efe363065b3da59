library(testthat)
library(gatedunits)

test_check("gatedunits")
