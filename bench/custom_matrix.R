# Custom objects of R in every form and of every kind, one at a time: trained and saved in one process, loaded and
# trained on in a new process of R (its code from the file), in one without that code (what it computes, from
# the file) and in plain Python. A cell is good if all give the predictions and the history of the first to 1e-6.
#
# Rscript bench/custom_matrix.R

library(kerasbridge)

fixture <- file.path("tests", "testthat", "fixtures", "custom-forms.R")
stopifnot(file.exists(fixture))
source(fixture)
folder <- tempfile()
dir.create(folder)
seen <- NULL

loading <- function(allowed) {
  sprintf(
    paste(
      "library(kerasbridge); source('%s'); rm(half, squared)",
      "for (path in Sys.glob('%s/*.keras')) { v <- tryCatch({",
      "m <- suppressMessages(load_model(path, r_code = %s)); sprintf('%%.9g', custom_numbers(m))",
      "}, error = \\(e) paste('FAILED', conditionMessage(e)))",
      "cat(sub('[.]keras$', '', basename(path)), v, '\\n') }",
      sep = "\n"
    ), normalizePath(fixture), folder, allowed
  )
}
in_python <- sprintf("
import glob, os, sys
import numpy as np
from kerasbridge.saving import load_model
x = (np.arange(1, 9).reshape(2, 4).T / 8).astype('float32')
y = np.array([[0.2], [0.4], [0.1], [0.9]], 'float32')
for path in sorted(glob.glob(r'%s/*.keras')):
    name = os.path.basename(path)[:-6]
    try:
        m = load_model(path)
        out = list(m.predict(x, verbose=0).ravel())
        h = m.fit(x, y, epochs=2, batch_size=2, verbose=0, shuffle=False).history
        out += [v for key in sorted(h) for v in h[key]]
        print(name, *('%%.9g' %% v for v in out))
    except Exception as err:
        print(name, 'FAILED', str(err).splitlines()[0])
", folder)

wanted <- list()
for (form in names(custom_forms)) {
  parts <- custom_forms[[form]]()
  for (kind in intersect(custom_kinds, names(parts)[!vapply(parts, is.null, NA)])) {
    name <- paste(form, kind, sep = ".")
    seen <- NULL
    model <- custom_model(parts[setdiff(kind, "callback")])
    fit(model, x, y, epochs = 2, batch_size = 2, verbose = 0, shuffle = FALSE, callbacks = if (kind == "callback") parts$callback)
    save_model(model, file.path(folder, paste0(name, ".keras")))
    wanted[[name]] <- custom_numbers(model)
    if (kind == "callback" && !identical(as.numeric(seen), c(1, 2))) {
      wanted[[name]] <- NA
    }
  }
}

read <- function(output) {
  lines <- strsplit(grep("^[a-z0-9_]+[.][a-z]+ ", output, value = TRUE), " +")
  rlang::set_names(lapply(lines, \(l) l[-1]), vapply(lines, `[[`, "", 1))
}
run <- function(program, code, ending, env = character()) {
  script <- tempfile(fileext = ending)
  writeLines(code, script)
  read(suppressWarnings(system2(program, shQuote(script), stdout = TRUE, stderr = FALSE, env = env, timeout = 900)))
}
places <- list(
  "R, its code" = run(file.path(R.home("bin"), "Rscript"), loading("TRUE"), ".R"),
  "R, no code" = run(file.path(R.home("bin"), "Rscript"), loading("FALSE"), ".R"),
  "Python" = run(kerasbridge:::find_environment()$python, in_python, ".py", paste0("PYTHONPATH=", system.file("python", package = "kerasbridge")))
)

bad <- 0
for (name in names(wanted)) {
  kind <- sub(".*[.]", "", name)
  # a metric of a class keeps its state in weights, which only R can change
  written_down <- kind == "callback" || kind %in% expressible_kinds && !(kind == "metric" && !grepl("^(functions|older)", name))
  promised <- c(TRUE, written_down, written_down)
  verdict <- vapply(places, \(place) {
    got <- place[[name]]
    if (is.null(got)) return("nothing came out")
    if (got[[1]] == "FAILED") return(paste(got, collapse = " "))
    got <- as.numeric(got)
    if (length(got) != length(wanted[[name]]) || anyNA(wanted[[name]])) return("other numbers")
    apart <- max(abs(got - wanted[[name]]))
    if (apart <= 1e-6) "equal" else sprintf("differ by %.2g", apart)
  }, "")
  fine <- verdict == "equal" | !promised & startsWith(verdict, "FAILED")
  bad <- bad + sum(!fine)
  cat(sprintf("%-24s %s\n", name, paste(names(places), ifelse(fine & verdict != "equal", "needs R", verdict), sep = ": ", collapse = "   ")))
}
cat(if (bad) paste(bad, "are not what was promised\n") else "all as promised\n")
unlink(folder, recursive = TRUE)
quit(status = as.integer(bad > 0))
