# A data frame of 1,000,000 rows and 50 columns of doubles to one row-major float32 block, against
# `as.matrix()` and numpy's cast. Both in this process, by turns, from R, checks included in ours.
#
# Rscript bench/frames.R [rows] [columns] [repeats]

arguments <- as.integer(commandArgs(trailingOnly = TRUE))
rows <- if (length(arguments) > 0) arguments[[1]] else 1e6
columns <- if (length(arguments) > 1) arguments[[2]] else 50
repeats <- if (length(arguments) > 2) arguments[[3]] else 7

library(kerasbridge)
invisible(kerasbridge_info())
set.seed(1)
data <- as.data.frame(replicate(columns, stats::rnorm(rows), simplify = FALSE), col.names = paste0("v", seq_len(columns)))
numpy <- reticulate::import("numpy", convert = FALSE)

plain <- function() numpy$asarray(as.matrix(data))$astype("float32", order = "C")
ours <- function() kerasbridge:::frame_arg(data, "x", NULL)
# Free memory of a virtual machine goes back to its host and is slow to come again: it is taken and freed
# before each run of either side, so that none pays for it.
seconds <- function(f) {
  warm <- numpy$ones(120000000L)
  rm(warm)
  gc()
  system.time(f())[["elapsed"]]
}

stopifnot(reticulate::py_to_r(numpy$array_equal(plain(), ours())))
times <- vapply(seq_len(repeats), \(i) c(plain = seconds(plain), ours = seconds(ours)), numeric(2))
medians <- apply(times, 1, stats::median)
cat(sprintf(
  "%d x %d data frame to float32: as.matrix() and numpy %.3f s, ours %.3f s (medians of %d), %.1fx; bar 3x\n",
  as.integer(rows), as.integer(columns), medians[["plain"]], medians[["ours"]], as.integer(repeats), medians[["plain"]] / medians[["ours"]]
))
