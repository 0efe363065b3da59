# What bench/two_machines.sh runs on the machine "driver": train_on_cluster() on node1 and node2, against one device.
#
#   killed       the worker on node2 is killed after the first epoch
#   coordinator  so is the one on node1, through which the others found each other
#   source       both read a CSV file themselves
#   three        two workers on node1, one on node2
#   here         one worker on this machine, one on node2
#   cut          node2's cable is pulled for a while after the first epoch

suppressMessages(library(kerasbridge))
options(kerasbridge.verbose = 0)
arguments <- commandArgs(TRUE)
work <- arguments[[1]]
wanted <- arguments[-(1:2)]
shared <- file.path(work, "shared")

set.seed(1)
x <- matrix(rnorm(95 * 3), 95)
y <- drop(x %*% c(1, -2, 0.5))
table <- file.path(shared, "rows.csv")
write.csv(data.frame(x, y = y), table, row.names = FALSE)

make <- function() {
  set_random_seed(3)
  model <- keras_model_sequential(input_shape = 3) |> layer_dense(4, activation = "relu") |> layer_dense(1)
  compile(model, optimizer = "adam", loss = "mse", metrics = "mae")
}

# Shell words that run beside the training, once its first epoch has ended.
after_first_epoch <- function(folder, words) {
  system(sprintf("( until grep -q epoch '%s/epochs.json' 2> /dev/null; do sleep 0.05; done; %s ) > '%s/beside.log' 2>&1 &",
                 folder, words, work))
}
kill_on <- \(node) sprintf("ssh %s pkill -KILL -f '[k]erasbridge.cluster'", node)

workers_left <- function(nodes) {
  sum(vapply(nodes, \(node) as.integer(system2("ssh", c(node, "pgrep", "-c", "-f", shQuote("[k]erasbridge.cluster")), stdout = TRUE) |> suppressWarnings()), 0L))
}

missed <- FALSE
trial <- function(name, workers, data = list(x, y), epochs = 4, beside = NULL, restarted = !is.null(beside), batch_size = 24, ...) {
  if (length(wanted) && !name %in% wanted) {
    return(invisible())
  }
  folder <- file.path(shared, paste("run of", name))
  dir.create(folder)
  if (!is.null(beside)) after_first_epoch(folder, beside)
  began <- proc.time()[["elapsed"]]
  found <- tryCatch(
    train_on_cluster(make, data, workers = workers, epochs = epochs, batch_size = batch_size, shuffle = FALSE, folder = folder, ...),
    error = identity
  )
  took <- proc.time()[["elapsed"]] - began
  if (inherits(found, "error")) {
    missed <<- TRUE
    cat(sprintf("%-12s %5.1f s  FAILED: %s\n", name, took, paste(conditionMessage(found), collapse = "\n")))
    for (log in list.files(folder, "^worker.*log$", full.names = TRUE)) cat("  ", basename(log), tail(readLines(log, warn = FALSE), 12), sep = "\n    ")
    return(invisible())
  }
  alone <- make()
  expected <- if (is.list(data)) {
    fit(alone, x, y, epochs = epochs, batch_size = batch_size, shuffle = FALSE, verbose = 0)
  } else {
    fit(alone, data, epochs = epochs, shuffle = FALSE, verbose = 0)
  }
  apart <- max(
    mapply(\(one, other) max(abs(one - other)), get_weights(found$model), get_weights(alone)),
    abs(unlist(found$history$metrics[names(expected$metrics)]) - unlist(expected$metrics))
  )
  Sys.sleep(3)
  left <- workers_left(setdiff(unique(workers), "driver"))
  again <- length(list.files(folder, "^worker-0-[1-9]")) > 0
  right <- apart < 1e-5 && length(found$history$epoch) == epochs && left == 0 && restarted == again
  missed <<- missed || !right
  cat(sprintf("%-12s %5.1f s  differs by %.1e from one device, %d of %d epochs, started %s, %d workers left%s\n", name, took, apart,
              length(found$history$epoch), epochs, if (again) "again" else "once", left, if (right) "" else "  MISSED"))
}

nodes <- c("node1", "node2")
trial("killed", nodes, epochs = 60, beside = kill_on("node2"))
trial("coordinator", nodes, epochs = 60, beside = kill_on("node1"))
trial("source", nodes, source_csv(table, y = "y", batch_size = 24), epochs = 2)
trial("three", c("node1", "node1", "node2"))
trial("here", c("driver", "node2"))
trial("cut", nodes, epochs = 60, beside = "ip link set to-node2 down; sleep 90; ip link set to-node2 up", timeout = 60)

quit(status = as.integer(missed))
