# A product of matrices on PyTorch, one thread: in R by this package, in R by reticulate alone (torch imported as any module,
# so that R's BLAS takes the place of PyTorch's), and in Python. Each in a new process, in turn.
#   KERASBRIDGE_VENV=(an environment with torch) Rscript bench/torch_blas.R [rounds]
rounds <- as.integer(c(commandArgs(trailingOnly = TRUE), 5)[[1]])
python <- file.path(Sys.getenv("KERASBRIDGE_VENV"), "bin", "python")
Sys.setenv(KERAS_BACKEND = "torch", RETICULATE_PYTHON = python)

timed <- "
import time, torch
torch.set_num_threads(1)
a = torch.rand(1000, 1000)
took = []
for _ in range(6):
    start = time.perf_counter()
    a @ a
    took.append(time.perf_counter() - start)
took = min(took[1:])
"
in_r <- function(before) {
  file <- tempfile(fileext = ".R")
  writeLines(c(
    before, sprintf("found <- reticulate::py_run_string(%s)", deparse1(timed)),
    'cat("TOOK", format(found$took, digits = 15), "\\n")'
  ), file)
  system2(file.path(R.home("bin"), "Rscript"), file, stdout = TRUE, stderr = FALSE)
}
in_python <- function() {
  file <- tempfile(fileext = ".py")
  writeLines(paste0(timed, "\nprint('TOOK', took)"), file)
  system2(python, file, stdout = TRUE, stderr = FALSE)
}
seconds <- function(lines) as.numeric(strsplit(grep("^TOOK", lines, value = TRUE), " ")[[1]][[2]])

found <- data.frame()
for (round in seq_len(rounds)) {
  found <- rbind(found, data.frame(
    ours = seconds(in_r("invisible(kerasbridge::op_zeros(1))")),
    reticulate = seconds(in_r('invisible(reticulate::import("torch"))')),
    python = seconds(in_python())
  ))
}
middle <- vapply(found, stats::median, numeric(1))
cat("BLAS of R:", extSoftVersion()[["BLAS"]], "\n")
cat(sprintf("%-12s%7.1f ms\n", names(middle), middle * 1000), sep = "")
cat(sprintf("reticulate / ours %.1fx, ours / Python %.2fx\n", middle[["reticulate"]] / middle[["ours"]], middle[["ours"]] / middle[["python"]]))
