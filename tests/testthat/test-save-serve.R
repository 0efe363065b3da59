test_that("a model trained on a data frame answers rows of JSON, and Ctrl-C ends it", {
  skip_if_no_keras()
  skip_on_os("windows")
  log <- withr::local_tempfile(lines = character())
  script <- withr::local_tempfile(fileext = ".R")
  writeLines(c(
    sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")),
    "library(kerasbridge)",
    "d <- data.frame(speed = c(1, 2, 3, 4), late = c(FALSE, TRUE, FALSE, TRUE))",
    "d$y <- factor(c('early', 'early', 'late', 'late'))",
    "model <- keras_model_sequential(input_shape = 2) |> layer_dense(2, activation = 'softmax')",
    "model |> compile(optimizer = 'sgd', loss = 'sparse_categorical_crossentropy')",
    "model |> fit(y ~ ., data = d, epochs = 1, verbose = 0)",
    "set_weights(model, list(matrix(c(-5, 0, 5, 0), 2), array(c(12.5, -12.5))))",
    "cat('pid', Sys.getpid(), '\\n')",
    "n <- serve_model(model, port = 0, seconds = 120)",
    "cat('answered', n, '\\n')"
  ), script)
  system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", shQuote(script)), stdout = log, stderr = log, wait = FALSE)
  started <- Sys.time()
  repeat {
    lines <- readLines(log, warn = FALSE)
    if (any(grepl("Serving at", lines)) || difftime(Sys.time(), started, units = "secs") > 100) break
    Sys.sleep(0.2)
  }
  expect_match(lines, "Serving at http://127[.]0[.]0[.]1:[0-9]+", all = FALSE)
  url <- sub(".*Serving at (\\S+) .*", "\\1", grep("Serving at", lines, value = TRUE))
  pid <- as.integer(sub("pid ", "", grep("^pid", lines, value = TRUE)))
  withr::defer(tools::pskill(pid, tools::SIGKILL))
  ask <- function(body) {
    run_python(c(
      "import json, urllib.request, urllib.error",
      sprintf("request = urllib.request.Request('%s/predict', data=%s.encode())", url, deparse(body)),
      "try:",
      "    print(urllib.request.urlopen(request, timeout=30).read().decode())",
      "except urllib.error.HTTPError as error:",
      "    print(error.code, error.read().decode())"
    ))$output
  }
  out <- ask("{\"rows\": [{\"late\": false, \"speed\": 1}, {\"speed\": 4, \"late\": true}], \"type\": \"class\"}")
  expect_identical(out, "{\"predictions\": [\"early\", \"late\"], \"levels\": [\"early\", \"late\"]}")
  expect_match(ask("{\"rows\": [{\"speed\": 1}]}"), "^400 .*'late'")
  tools::pskill(pid, tools::SIGINT)
  for (i in 1:50) {
    if (any(grepl("answered", readLines(log, warn = FALSE)))) break
    Sys.sleep(0.2)
  }
  expect_match(readLines(log, warn = FALSE), "^answered 1", all = FALSE)
})

test_that("arguments of serve_model() are checked", {
  skip_if_no_keras()
  model <- small_model()
  expect_error(serve_model("x"), "`model`", class = "kerasbridge_error_argument")
  expect_error(serve_model(model, port = -1), "`port`", class = "kerasbridge_error_argument")
  expect_error(serve_model(model, port = 70000), class = "kerasbridge_error_argument")
  expect_error(serve_model(model, max_body = 0), "`max_body`", class = "kerasbridge_error_argument")
  expect_output(expect_identical(serve_model(model, port = 0, seconds = 0.1), 0L), "Serving at")
})
