#!/bin/sh
# Every test: pytest, testthat, the bindings' own check; then one line that sums them.
# A test's result is in its result file; a runner that breaks off leaves none, which counts as failed.
# TESTS_PYTHON (files), TESTS_R (a filter on file names) and TESTS_BINDINGS narrow it down; "none" leaves
# one of the three out.
set -u
python=$1
results=$2/results
rm -rf "$results"
mkdir -p "$results"
set --

if [ "${TESTS_PYTHON:=tests/python}" != none ]; then
  echo "== Engine (pytest) =="
  # one process for each of two cores, where the plugin is there; a file stays in one of them
  parallel=$("$python" -c 'import xdist; print("-n 2 --dist loadfile")' 2> /dev/null) || parallel=
  # shellcheck disable=SC2086
  PYTHONPATH=inst/python "$python" -m pytest $TESTS_PYTHON $parallel --junitxml="$results/pytest.xml" < /dev/null
  status=$?
  # everything passed but the runner itself failed (a plugin, an error in the configuration)
  if [ "$status" -gt 1 ]; then
    printf 'failed\tpytest ended with status %s\n' "$status" > "$results/pytest-status.tsv"
  fi
  set -- "$@" "$results/pytest.xml"
fi

if [ "${TESTS_R:=}" != none ]; then
  echo "== Interface (testthat) =="
  "$python" tools/setup/testthat.py "$results" "$TESTS_R" ||
    printf 'failed\ttestthat ended with status %s\n' "$?" > "$results/testthat-status.tsv"
  set -- "$@" "$results/testthat.tsv"
fi

if [ -f tools/bindings/generate.py ] && [ "${TESTS_BINDINGS:-}" != none ]; then
  echo "== Bindings are up to date =="
  if "$python" tools/bindings/generate.py --check < /dev/null; then
    printf 'passed\tbindings are up to date\n' > "$results/bindings.tsv"
  else
    printf 'failed\tbindings are stale: run make bindings\n' > "$results/bindings.tsv"
  fi
  set -- "$@" "$results/bindings.tsv"
fi

echo
for extra in "$results"/*-status.tsv; do
  [ -f "$extra" ] && set -- "$@" "$extra"
done
"$python" tools/setup/summary.py "$@" > "$results/summary.txt"
status=$?
cat "$results/summary.txt"
exit "$status"
