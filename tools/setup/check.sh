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
(cd "$work" && KERASBRIDGE_CHECK=true R CMD build "$root" < /dev/null)
package=$(ls "$work"/kerasbridge_*.tar.gz)

status=0
echo "== R CMD check with Keras =="
(cd "$work/with-keras" &&
  KERASBRIDGE_CHECK=true KERASBRIDGE_TEST_FILTER='^(bridge|model|save-model|wrap|types|help|package)' \
    R CMD check --as-cran --no-manual "$package" < /dev/null) || status=1
"$python" tools/setup/check_log.py "$work/with-keras/kerasbridge.Rcheck/00check.log" || status=1

echo "== R CMD check with no Keras to be found =="
(cd "$work/no-keras" && unset RETICULATE_PYTHON RETICULATE_PYTHON_ENV &&
  KERASBRIDGE_CHECK=true KERASBRIDGE_VENV=/nonexistent WORKON_HOME=/nonexistent \
    R CMD check --as-cran --no-manual "$package" < /dev/null) || status=1
"$python" tools/setup/check_log.py "$work/no-keras/kerasbridge.Rcheck/00check.log" || status=1

# A package that builds on this one, against the installed kerasbridge: with Keras its models train, without
# it the tests that need it skip and those of shapes run.
echo "== R CMD check of a package that builds on kerasbridge, with Keras and without =="
mkdir -p "$work/dependent"
(cd "$work/dependent" && R CMD build "$root/tests/packages/gatedunits" < /dev/null > build.log 2>&1) || {
  cat "$work/dependent/build.log"
  exit 1
}
for keras in true false; do
  (cd "$work/dependent" && mkdir "keras-$keras" && cd "keras-$keras" &&
    KERASBRIDGE_CHECK=$keras R CMD check --no-manual ../gatedunits_*.tar.gz < /dev/null) || status=1
  "$python" tools/setup/check_log.py "$work/dependent/keras-$keras/gatedunits.Rcheck/00check.log" || status=1
done
grep -q "SKIP 0" "$work/dependent/keras-true/gatedunits.Rcheck/tests/testthat.Rout" || {
  echo "With Keras a test was skipped."
  status=1
}
grep -q "FAIL 0 | WARN 0 | SKIP 1" "$work/dependent/keras-false/gatedunits.Rcheck/tests/testthat.Rout" || {
  echo "Without Keras something else than the one test that needs it was left out."
  status=1
}

exit "$status"
