#!/bin/sh
# Runs every benchmark in bench/: R scripts and Python scripts, one after the other.
set -eu
python=$1
found=0
for script in bench/*.R bench/*.py; do
  [ -f "$script" ] || continue
  found=1
  echo "== $script =="
  case $script in
    *.R) Rscript "$script" ;;
    *) PYTHONPATH=inst/python "$python" "$script" ;;
  esac
done
[ "$found" = 1 ] || echo "There is no benchmark in bench/ yet."
