#!/bin/sh
# R CMD build, then R CMD check --as-cran twice: with Keras (examples, tests and vignettes that need
# it run), and with no Keras to be found (they skip, and nothing fails). No network is used.
# The tests of the first check are those of the border and of the main job: `make test` has run all of
# them against the installed package.
# Accepted are no errors, no warnings, and only the notes that CONTRIBUTING.md lists.
set -eu
python=$1
work=$2/check
rm -rf "$work"
mkdir -p "$work/with-keras" "$work/no-keras"
root=$PWD

# the incoming check asks the network for each link of the help pages, also when told not to: it is
# for a machine that reaches them (_R_CHECK_CRAN_INCOMING_=true make check)
export _R_CHECK_CRAN_INCOMING_="${_R_CHECK_CRAN_INCOMING_:-false}"
export _R_CHECK_CRAN_INCOMING_REMOTE_=false
export _R_CHECK_SYSTEM_CLOCK_=0
export _R_CHECK_FORCE_SUGGESTS_=true
export TF_CPP_MIN_LOG_LEVEL=3
# the examples run once, not again for those in \donttest{}
export _R_CHECK_DONTTEST_EXAMPLES_=false

echo "== R CMD build (vignettes run with Keras) =="
# R CMD build copies the whole folder into the folder for temporary files, what .Rbuildignore names
# too: it is given the sources without the two gigabytes that the set-up made
mkdir "$work/kerasbridge"
tar -cf - --exclude=./.build --exclude=./.git --exclude=./.tox --exclude='./*.Rcheck' . |
  tar -xf - -C "$work/kerasbridge"
(cd "$work" && KERASBRIDGE_CHECK=true R CMD build kerasbridge < /dev/null)
package=$(ls "$work"/kerasbridge_*.tar.gz)

# a check in the background must not ignore Ctrl-C, as a shell's background processes do
check() {
  "$python" -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
os.execvp("R", ["R", "CMD", "check", "--no-manual", *sys.argv[1:]])' "$@" < /dev/null
}
judge() { "$python" tools/setup/check_log.py "$1/00check.log"; }

# the vignettes have just been run with Keras, by R CMD build
with_keras() {
  echo "== R CMD check with Keras =="
  (
    cd "$work/with-keras"
    export KERASBRIDGE_CHECK=true
    export KERASBRIDGE_TEST_FILTER='^(bridge|model|save-model|wrap|types|help|package)'
    check --as-cran --no-vignettes "$package"
  ) || status=1
  judge "$work/with-keras/kerasbridge.Rcheck" || status=1
}

no_keras() {
  echo "== R CMD check with no Keras to be found =="
  (
    cd "$work/no-keras"
    unset RETICULATE_PYTHON RETICULATE_PYTHON_ENV
    export KERASBRIDGE_CHECK=true KERASBRIDGE_VENV=/nonexistent WORKON_HOME=/nonexistent
    check --as-cran "$package"
  ) || status=1
  judge "$work/no-keras/kerasbridge.Rcheck" || status=1
}

# A package that builds on this one, against the installed kerasbridge: with Keras its models train, without
# it the tests that need it skip and those of shapes run.
dependent() {
  echo "== R CMD check of a package that builds on kerasbridge, with Keras and without =="
  mkdir -p "$work/dependent"
  (cd "$work/dependent" && R CMD build "$root/tests/packages/gatedunits" < /dev/null > build.log 2>&1) || {
    cat "$work/dependent/build.log"
    status=1
    return
  }
  for keras in true false; do
    mkdir "$work/dependent/keras-$keras"
    (
      cd "$work/dependent/keras-$keras"
      export KERASBRIDGE_CHECK="$keras"
      check ../gatedunits_*.tar.gz
    ) || status=1
    judge "$work/dependent/keras-$keras/gatedunits.Rcheck" || status=1
  done
  grep -q "SKIP 0" "$work/dependent/keras-true/gatedunits.Rcheck/tests/testthat.Rout" || {
    echo "With Keras a test was skipped."
    status=1
  }
  grep -q "FAIL 0 | WARN 0 | SKIP 1" "$work/dependent/keras-false/gatedunits.Rcheck/tests/testthat.Rout" || {
    echo "Without Keras something else than the one test that needs it was left out."
    status=1
  }
}

# beside the check with Keras, most of it the work of one thread, run the others
status=0
(
  no_keras
  dependent
  exit "$status"
) > "$work/others.log" 2>&1 &
others=$!
with_keras
wait "$others" || status=1
cat "$work/others.log"
exit "$status"
