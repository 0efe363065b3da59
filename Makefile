# The commands to remember. Each does all the set-up it needs, once; what it makes lies in .build/.
#
#   make demo       the main job on real data (pictures and model in demo-output/)
#   make test       every test: the engine's (pytest), the interface's (testthat), the bindings
#   make check      R CMD build and check, with Keras and with none to be found
#   make document   NAMESPACE and man/ from the comments in R/
#   make bindings   R/gen-*.R from the tables in tools/bindings/
#   make bench      the benchmarks
#   make matrix     every test over versions of R, reticulate, Python, TensorFlow, Keras (CELL=trixie for
#                   one cell, QUICK=1 for the core of it, FILTER=regex for some of its R tests, MINUTES=5 for
#                   the longest a cell may take)
#   make setup      only the set-up
#   make clean      remove everything that make made
#
# make test VENV=/path/to/an/environment uses an environment that stands already.

BUILD := $(CURDIR)/.build
VENV := $(BUILD)/venv
PYTHON := $(VENV)/bin/python

# The project's own environment counts here, whatever the person has chosen elsewhere.
unexport RETICULATE_PYTHON RETICULATE_PYTHON_ENV VIRTUAL_ENV CONDA_PREFIX PYTHONHOME PYTHONPATH
unexport KERAS_BACKEND _R_CHECK_PACKAGE_NAME_
export KERASBRIDGE_VENV := $(VENV)
export R_LIBS := $(BUILD)/lib$(if $(R_LIBS),:$(R_LIBS))

# R reads and writes UTF-8; a bare machine has no locale set.
ifeq ($(findstring utf,$(LC_ALL)$(LC_CTYPE)$(LANG))$(findstring UTF,$(LC_ALL)$(LC_CTYPE)$(LANG)),)
export LC_ALL := C.UTF-8
endif

ENGINE := $(shell find inst -type f ! -path '*__pycache__*')
SOURCES := DESCRIPTION $(wildcard NAMESPACE LICENSE R/*.R man/*.Rd) $(ENGINE)
VERSIONS := inst/python/kerasbridge/environment/versions.py

# An environment named on the command line is used as it is.
ifeq ($(origin VENV),command line)
ENVIRONMENT :=
else
ENVIRONMENT := $(VENV)/kerasbridge-environment.json
endif

.DELETE_ON_ERROR:
.PHONY: setup demo test check document bindings bench matrix clean

setup: $(BUILD)/system $(BUILD)/installed $(ENVIRONMENT)

demo: setup
	@Rscript inst/examples/digits.R demo-output

test: setup
	@sh tools/setup/test.sh "$(PYTHON)" "$(BUILD)"

check: setup
	@sh tools/setup/check.sh "$(PYTHON)" "$(BUILD)"

document: setup
	@Rscript -e 'roxygen2::roxygenise()'

bindings: setup
	@"$(PYTHON)" tools/bindings/generate.py

bench: setup
	@sh tools/setup/bench.sh "$(PYTHON)"

matrix:
	@python3 tools/matrix/matrix.py $(CELL) $(if $(QUICK),--quick) $(if $(FILTER),--filter '$(FILTER)') \
	  $(if $(MINUTES),--minutes $(MINUTES))

clean:
	rm -rf .build demo-output *.Rcheck kerasbridge_*.tar.gz .pytest_cache .ruff_cache .tox
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- set-up: each stage runs again only when what it depends on has changed ----------------------

# R, its packages, Python's parts: from Debian where that is what the machine runs
$(BUILD)/system: DESCRIPTION tools/setup/system.sh tools/setup/packages.R
	@mkdir -p "$(BUILD)/lib"
	@sh tools/setup/system.sh "$(BUILD)"
	@touch $@

# this package, in a library of its own
$(BUILD)/installed: $(SOURCES) | $(BUILD)/system
	@echo "Installing the R package ..."
	@R CMD INSTALL --no-test-load --library="$(BUILD)/lib" . > "$(BUILD)/install.log" 2>&1 || \
	  { cat "$(BUILD)/install.log"; echo "The R package can't be installed: see above."; exit 1; }
	@touch $@

# Python with Keras, made by the package itself as a user would
$(VENV)/kerasbridge-environment.json: $(VERSIONS) tools/setup/environment.R | $(BUILD)/installed
	@Rscript tools/setup/environment.R
	@touch $@
