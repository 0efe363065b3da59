# R functions that make batches in other R processes. kerasbridge/data/workers.py starts the processes, asks
# them and takes their batches over; here is what runs in them, and what is sent there.

# Run `use(source)` with `count` workers on `generator`, and end them whatever happens.
with_workers <- function(generator, count, total, ahead, frame, use) {
  task <- tempfile(fileext = ".rds")
  on.exit(unlink(task), add = TRUE)
  saveRDS(worker_task(generator), task, compress = FALSE)
  code <- sprintf(".libPaths(c(%s)); kerasbridge:::worker_main()", paste(encodeString(.libPaths(), quote = "\""), collapse = ", "))
  workers <- bridge_do(
    "start_workers",
    command = as.list(c(file.path(R.home("bin"), "Rscript"), "--vanilla", "-e", code)),
    task = task, count = count, total = as.integer(total), ahead = ahead, call = frame
  )
  on.exit(bridge_method(workers, "close"), add = TRUE)
  use(workers)
}

# What a worker needs to know: the function, what it finds in the global environment, packages, a seed.
worker_task <- function(generator) {
  list(
    generator = generator,
    globals = mget(global_names(if (is_r_dataset(generator)) generator$batch else generator), envir = globalenv()),
    packages = setdiff(.packages(), c("base", "datasets", "methods", "kerasbridge")),
    seed = if (is_r_dataset(generator)) 1L else sample.int(.Machine$integer.max, 1)
  )
}

# Names in the global environment that a function uses, by itself or by functions it calls there.
global_names <- function(f, found = character()) {
  here <- intersect(codetools::findGlobals(f), ls(globalenv(), all.names = TRUE))
  for (name in setdiff(here, found)) {
    found <- union(found, name)
    value <- get(name, envir = globalenv())
    if (is.function(value) && !is.primitive(value)) {
      found <- union(found, global_names(value, found))
    }
  }
  found
}

# The whole life of a worker: a batch for each line of standard input, until that ends.
worker_main <- function(arguments = commandArgs(TRUE)) {
  task <- readRDS(arguments[[1]])
  number <- as.integer(arguments[[2]])
  folder <- arguments[[3]]
  replies <- file(file.path("/dev/fd", arguments[[4]]), "wb", raw = TRUE)
  reply <- function(...) {
    writeLines(paste(...), replies)
    flush(replies)
  }
  requests <- file("stdin", "rb")
  make <- tryCatch(worker_generator(task, number), error = \(e) \(k) stop(e))
  while (length(request <- readLines(requests, 1))) {
    path <- file.path(folder, paste0(number, "-", request))
    tryCatch(
      {
        batch <- make(as.integer(request))
        if (is.null(batch)) {
          reply("end")
        } else {
          parts <- batch_parts(plain_tables(batch), sprintf("batch of worker %d", number), rlang::current_env())
          write_batch(lapply(parts, plain_part), path)
          reply("ok", path)
        }
      },
      error = \(e) reply("error", paste(charToRaw(enc2utf8(conditionMessage(e))), collapse = ""))
    )
  }
}

# A function of the batch's number, counted from 0, that makes the batch.
worker_generator <- function(task, number) {
  list2env(task$globals, globalenv())
  for (package in task$packages) {
    suppressPackageStartupMessages(library(package, character.only = TRUE))
  }
  worker_seed(task$seed, number)
  if (is_r_dataset(task$generator)) {
    return(\(k) batch_at(task$generator, k))
  }
  generator <- if (length(formals(args(task$generator)))) task$generator(number) else task$generator()
  if (!is.function(generator)) {
    abort_argument(
      "generator", "must make a generator where `workers` is above 1: a function that returns a function.",
      "For example `function() { i <- 0; function() { i <<- i + 1; list(x, y) } }`."
    )
  }
  \(k) generator()
}

# A stream of random numbers of its own for each worker, all from one seed.
worker_seed <- function(seed, number) {
  RNGkind("L'Ecuyer-CMRG")
  set.seed(seed)
  stream <- get(".Random.seed", envir = globalenv())
  for (i in seq_len(number)) {
    stream <- parallel::nextRNGStream(stream)
  }
  assign(".Random.seed", stream, envir = globalenv())
}

# There is no Python in a worker: data frames become matrices in R, and sparse matrices dense ones.
plain_tables <- function(x) {
  if (is.data.frame(x)) {
    if (ncol(x) == 1 && is.factor(x[[1]])) {
      return(x[[1]])
    }
    plain <- vapply(x, \(v) !is.object(v) && (is.numeric(v) || is.logical(v)), NA)
    if (!all(plain)) {
      abort_kind(
        "data", sprintf("Column '%s' of a batch holds neither numbers nor logicals.", names(x)[!plain][[1]]),
        i = "Turn it into numbers in the generator."
      )
    }
    return(as.matrix(x))
  }
  if (is_sparse_matrix(x)) {
    loadNamespace("Matrix")
    return(as.matrix(x))
  }
  if (is.list(x) && !is.object(x)) {
    x[] <- lapply(x, plain_tables)
  }
  x
}

# ---- the file of a batch ------------------------------------------------------------------------------

# A line of JSON with the nesting, then each array in NumPy's format, column by column as R holds it.
write_batch <- function(parts, path) {
  leaves <- list()
  describe <- function(x) {
    if (is.null(x)) {
      return("null")
    }
    if (is.list(x)) {
      inner <- vapply(x, describe, "")
      if (is.null(names(x))) {
        return(paste0("[", paste(inner, collapse = ","), "]"))
      }
      return(paste0("{", paste0(json_text(names(x)), ":", inner, collapse = ","), "}"))
    }
    leaves[[length(leaves) + 1L]] <<- x
    as.character(length(leaves) - 1L)
  }
  form <- describe(unname(parts))
  texts <- vapply(leaves, \(x) {
    if (!is.character(x)) {
      return("null")
    }
    sprintf("[[%s],[%s]]", paste(json_text(x), collapse = ","), paste(dim(x), collapse = ","))
  }, "")
  # beside its place and then renamed: a file that is there is whole
  file <- file(paste0(path, ".part"), "wb")
  on.exit(close(file))
  writeBin(charToRaw(sprintf("{\"parts\":%s,\"texts\":[%s]}\n", form, paste(texts, collapse = ","))), file)
  for (x in leaves) {
    if (!is.character(x)) write_npy(x, file)
  }
  close(file)
  on.exit()
  file.rename(paste0(path, ".part"), path)
}

json_text <- function(x) {
  x <- gsub("([\"\\\\])", "\\\\\\1", enc2utf8(x))
  for (code in 1:31) {
    x <- gsub(intToUtf8(code), sprintf("\\u%04x", code), x, fixed = TRUE)
  }
  paste0("\"", x, "\"")
}

write_npy <- function(x, file) {
  type <- switch(typeof(x), double = "<f8", integer = "<i4", logical = "|b1")
  shape <- paste0(format(dim(x), scientific = FALSE, trim = TRUE), ",", collapse = " ")
  header <- sprintf("{'descr': '%s', 'fortran_order': True, 'shape': (%s), }", type, shape)
  header <- paste0(header, strrep(" ", -(nchar(header) + 11) %% 64), "\n")
  writeBin(c(as.raw(0x93), charToRaw("NUMPY"), as.raw(c(1, 0))), file)
  writeBin(nchar(header), file, size = 2, endian = "little")
  writeBin(charToRaw(header), file)
  writeBin(if (is.logical(x)) as.raw(x) else as.vector(x), file, endian = "little")
}
