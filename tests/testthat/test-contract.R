# The contract of the bindings: every public callable of Keras, every argument, every example; and every
# name that R users know.

bindings <- utils::read.csv(test_path("fixtures", "bindings.csv"), encoding = "UTF-8", na.strings = character())
exported <- getNamespaceExports("kerasbridge")
wrapped <- bindings[!bindings$kind %in% c("skip", "merged", "hand"), ]

test_that("every name that R users know exists", {
  names <- utils::read.csv(test_path("fixtures", "r-names.csv"))$name
  expect_identical(setdiff(names, exported), character())
  expect_gt(length(names), 1000)
})

test_that("every wrapper is exported, with its aliases and all its arguments", {
  aliases <- unlist(strsplit(wrapped$aliases, ";", fixed = TRUE))
  expect_identical(setdiff(c(wrapped$r_name, aliases), exported), character())
  missing <- character()
  for (i in seq_len(nrow(wrapped))) {
    formals <- names(formals(getExportedValue("kerasbridge", wrapped$r_name[[i]])))
    absent <- setdiff(strsplit(wrapped$arguments[[i]], " ", fixed = TRUE)[[1]], formals)
    missing <- c(missing, if (length(absent)) paste0(wrapped$r_name[[i]], ": ", paste(absent, collapse = ", ")))
  }
  expect_identical(missing, character())
})

test_that("what is written by hand exists", {
  by_hand <- bindings$r_name[bindings$kind == "hand" & nzchar(bindings$r_name)]
  expect_identical(setdiff(by_hand, exported), character())
})

test_that("every wrapper has an example", {
  expect_identical(wrapped$r_name[!nzchar(trimws(wrapped$example))], character())
})

# An example that needs what isn't in every environment says so in its first line, "#! needs: ...": a
# backend, Python modules, the network, a session of its own. With KERASBRIDGE_EXAMPLES=all in the
# environment those run whose needs are met here ("network" only with KERASBRIDGE_NETWORK=true).
# On an older Keras a name or an argument may be absent: then the error says which version brought it.
needs <- ifelse(grepl("^#! needs:", wrapped$example), sub("^#! needs: *([^\n]*).*", "\\1", wrapped$example), "")
all_examples <- identical(Sys.getenv("KERASBRIDGE_EXAMPLES"), "all")

needs_met <- function(words) {
  met <- \(word) {
    switch(word,
      network = identical(Sys.getenv("KERASBRIDGE_NETWORK"), "true"),
      `fresh-session` = TRUE,
      `jax-backend` = ,
      `torch-backend` = identical(paste0(kerasbridge_info()$backend, "-backend"), word),
      graphviz = nzchar(Sys.which("dot")),
      run_python(sprintf("import importlib.util; assert importlib.util.find_spec('%s')", word))$status == 0
    )
  }
  all(vapply(strsplit(words, " ")[[1]], met, NA))
}

fresh <- grepl("fresh-session", needs)
if (all_examples) {
  kinds <- unique(needs)
  met <- vapply(kinds, \(words) !nzchar(words) || needs_met(words), NA)[match(needs, kinds)]
  alone <- wrapped[met & fresh, ]
  runnable <- wrapped[met & !fresh, ]
} else {
  alone <- wrapped[0, ]
  runnable <- wrapped[!startsWith(wrapped$example, "#!"), ]
}

for (i in seq_len(nrow(alone))) {
  test_that(paste("an example runs in a session of its own:", alone$r_name[[i]]), {
    done <- run_r(c("library(kerasbridge)", alone$example[[i]]))
    expect_identical(done$status, 0L, info = paste(done$output, collapse = "\n"))
  })
}
room <- sub("^keras\\.([a-z_]+).*", "\\1", runnable$symbol)

# Faults of older Keras versions themselves, seen with Keras 3.3.3 (2026-11-21) and 3.0.5 (2026-11-25) on
# TensorFlow 2.16.2: the example is right and fails there for a reason of theirs.
older_faults <- c(
  "distribution_data_parallel", "distribution_model_parallel", "distribution_set", # no processes on TensorFlow
  "layer_reshape", # NA for a free axis
  "metric_poisson", # mixes double and single precision
  "op_image_map_coordinates", # the last row and column count as outside (3.0.5)
  "op_eig", "op_full", "op_full_like", "op_svd" # data types; number of results
)

# Does the message name a version that brought it, later than the installed one?
names_later_keras <- function(message) {
  told <- regmatches(message, regexpr("(?<=It came with Keras )[0-9]+[.][0-9]+", message, perl = TRUE))
  length(told) == 1 && utils::compareVersion(told, kerasbridge_info()$keras) > 0
}

# Off TensorFlow: what is made of it says so, where it isn't installed beside the backend; Keras' own limits on each.
jax_limits <- c(
  paste0("op_segment_", c("max", "min", "prod", "sum")), # `num_segments` must be given
  "op_average_pool", "op_max_pool", # `strides` must be given
  "optimizer_loss_scale" # `apply()` called by hand
)
torch_limits <- paste0("op_", c("jvp", "layer_normalization", "vdot")) # see test-ops-cases.R
limit_elsewhere <- function(name, error) {
  backend <- kerasbridge_info()$backend
  explained <- inherits(error, c("kerasbridge_error_install", "kerasbridge_error_unsupported"))
  backend != "tensorflow" && explained && grepl("TensorFlow", conditionMessage(error)) ||
    name %in% switch(backend, jax = jax_limits, torch = torch_limits)
}

run_example <- function(code) {
  utils::capture.output(suppressMessages(suppressWarnings(
    eval(parse(text = code, keep.source = FALSE), new.env(parent = globalenv()))
  )))
}

for (group in unique(room)) {
  test_that(paste("examples run:", group), {
    skip_if_no_keras()
    # R CMD check runs the examples of the help pages, which are these
    skip_if(nzchar(Sys.getenv("_R_CHECK_PACKAGE_NAME_")), "run as examples of the help pages")
    newest <- utils::compareVersion(kerasbridge_info()$keras, "3.15") >= 0
    withr::local_pdf(NULL)
    withr::local_dir(withr::local_tempdir())
    part <- runnable[room == group, ]
    failed <- character()
    for (i in seq_len(nrow(part))) {
      report <- \(e) {
        if (!limit_elsewhere(part$r_name[[i]], e)) paste0(part$r_name[[i]], ": ", first_line(conditionMessage(e)))
      }
      failed <- c(failed, tryCatch(
        {
          run_example(part$example[[i]])
          NULL
        },
        kerasbridge_error_unsupported = \(e) {
          explained <- names_later_keras(conditionMessage(e))
          if (newest || !explained && !part$r_name[[i]] %in% older_faults) report(e)
        },
        error = \(e) if (newest || !part$r_name[[i]] %in% older_faults) report(e)
      ))
    }
    expect_identical(failed, character())
  })
}
