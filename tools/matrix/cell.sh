#!/bin/sh
# One cell, in the place where it runs (this machine, or a chroot): the R package, a Python environment, the
# main job, the tests. Its folder gets versions.tsv and results/summary.txt.
#   cell.sh FOLDER WAY TESTS_PYTHON TESTS_R TESTS_BINDINGS [WISH=VALUE ...]
# WAY as in cells.py, the tests as in tools/setup/test.sh. PIP_CONSTRAINT holds what is pinned.
set -eu
folder=$1
way=$2
export TESTS_PYTHON="$3" TESTS_R="$4" TESTS_BINDINGS="$5"
shift 5
build=$PWD/.build
mkdir -p "$folder"
rm -rf "$folder/results" "$folder/versions.tsv"
unset RETICULATE_PYTHON RETICULATE_PYTHON_ENV VIRTUAL_ENV CONDA_PREFIX PYTHONHOME PYTHONPATH
unset KERAS_BACKEND KERASBRIDGE_VENV
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 LC_ALL="${LC_ALL:-C.UTF-8}"

python=$folder/venv/bin/python
if [ "$way" = engine ]; then
  # shellcheck disable=SC2046
  PYTHONPATH=inst/python python3 -m kerasbridge.environment install --path "$folder/venv" --extra dev \
    $(for wish; do printf -- '--%s %s ' "${wish%%=*}" "${wish#*=}"; done)
  "$python" tools/matrix/versions.py > "$folder/versions.tsv"
  exec sh tools/setup/test.sh "$python" "$folder"
fi

make --no-print-directory "$build/installed"
export R_LIBS="$build/lib"
case $way in
  project)
    make --no-print-directory setup
    export KERASBRIDGE_VENV="$build/venv"
    ;;
  install)
    export KERASBRIDGE_VENV="$folder/venv"
    Rscript tools/setup/environment.R "$@"
    ;;
  require)
    # no environment at all: reticulate makes one out of what the package declares
    export TESTS_START=true WORKON_HOME=/nonexistent RETICULATE_UV="$PWD/tools/matrix/uv.sh" UV_PROGRAM="$folder/uv/bin/uv"
    if [ ! -x "$UV_PROGRAM" ]; then
      "$(Rscript -e 'cat(kerasbridge:::find_interpreter())' | tail -n 1)" -m venv "$folder/uv"
      # (reticulate 1.41 to 1.43 can't use later ones)
      "$folder/uv/bin/python" -m pip install --quiet \
        "$(Rscript -e 'cat(if (packageVersion("reticulate") < "1.44") "uv<0.8" else "uv")')"
    fi
    ;;
esac
Rscript -e 'i <- kerasbridge::kerasbridge_info(); cat(sprintf("%s\t%s\n", names(i), unlist(i)), sep = "")' \
  > "$folder/versions.tsv"
echo "== Main job =="
Rscript inst/examples/digits.R "$folder/demo-output"
# what summarises needs nothing but Python
[ -x "$python" ] || python="$folder/uv/bin/python"
[ "$way" != project ] || python="$build/venv/bin/python"
# R reads from the environment which backend it was made for; Python's tests are told
for wish; do
  case $wish in backend=*) export KERAS_BACKEND="${wish#*=}" ;; esac
done
exec sh tools/setup/test.sh "$python" "$folder"
