#!/bin/sh
# Every test: pytest, testthat, the bindings' own check; then one line that sums them.
# A test's result is in its result file; a runner that breaks off leaves none, which counts as failed.
set -u
python=$1
results=$2/results
rm -rf "$results"
mkdir -p "$results"

echo "== Engine (pytest) =="
# one process for each of two cores, where the plugin is there; a file stays in one of them
parallel=$("$python" -c 'import xdist; print("-n 2 --dist loadfile")' 2> /dev/null) || parallel=
# shellcheck disable=SC2086
PYTHONPATH=inst/python "$python" -m pytest tests/python $parallel --junitxml="$results/pytest.xml" < /dev/null
status=$?
# everything passed but the runner itself failed (a plugin, an error in the configuration)
if [ "$status" -gt 1 ]; then
  printf 'failed\tpytest ended with status %s\n' "$status" > "$results/pytest-status.tsv"
fi

echo "== Interface (testthat) =="
"$python" tools/setup/testthat.py "$results"

if [ -f tools/bindings/generate.py ]; then
  echo "== Bindings are up to date =="
  if "$python" tools/bindings/generate.py --check < /dev/null; then
    printf 'passed\tbindings are up to date\n' > "$results/bindings.tsv"
  else
    printf 'failed\tbindings are stale: run make bindings\n' > "$results/bindings.tsv"
  fi
fi

echo
set -- "$results/pytest.xml" "$results/testthat-1.tsv" "$results/testthat-2.tsv"
for extra in "$results"/*-status.tsv "$results/bindings.tsv"; do
  [ -f "$extra" ] && set -- "$@" "$extra"
done
"$python" tools/setup/summary.py "$@" > "$results/summary.txt"
status=$?
cat "$results/summary.txt"
exit "$status"
