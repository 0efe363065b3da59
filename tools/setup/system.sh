#!/bin/sh
# Sees to R, its packages and Python's parts; installs what is missing from Debian's packages where
# this is Debian (or a relative) and the caller is root, R packages also from a CRAN mirror.
# Otherwise stops with one sentence that names what is missing and how to get it.
set -eu
build=$1
log=$build/system.log
: > "$log"

has() { command -v "$1" > /dev/null 2>&1; }

stop() {
  echo "Set-up stopped: $*" >&2
  exit 1
}

# R packages that are missing; all that DESCRIPTION names where there is no R yet
missing_r() {
  if has Rscript; then
    Rscript tools/setup/packages.R
  else
    awk '/^(Imports|Suggests):/ { on = 1; next } /^[^ ]/ { on = 0 } on { gsub(/[ ,]|\(.*/, ""); print }' \
      DESCRIPTION | grep -v -x -E 'grDevices|graphics|grid|methods|parallel|splines|stats|tools|utils'
    printf 'codetools\nroxygen2\n'
  fi
}

# a Python of at least 3.9 that can make environments and that R can load
usable_python() {
  for python in python3 /usr/bin/python3 python3.11 python3.12 python3.13 python3.10; do
    if has "$python" && PYTHONPATH=inst/python LD_LIBRARY_PATH='' PYTHONDONTWRITEBYTECODE=1 \
      "$python" -m kerasbridge.environment interpreter --reticulate 1.28 >> "$log" 2>&1 ||
      { has "$python" && PYTHONPATH=inst/python LD_LIBRARY_PATH='' PYTHONDONTWRITEBYTECODE=1 \
        "$python" -m kerasbridge.environment interpreter --reticulate 1.41 >> "$log" 2>&1; }; then
      return 0
    fi
  done
  return 1
}

# Debian's packages for a Python that TensorFlow has wheels for: its own Python 3, or where that is too
# new the newest that fits
debian_python() {
  if ! has /usr/bin/python3; then
    # the library comes with whatever Python 3 this Debian has
    printf 'python3-venv\nlibpython3-stdlib\n'
    return
  fi
  PYTHONPATH=inst/python PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -c '
import sys
from kerasbridge.environment.versions import TENSORFLOW
newest = max(row.python[1] for row in TENSORFLOW)
if sys.version_info[:2] <= newest:
    print("python3-venv\nlibpython%d.%d" % sys.version_info[:2])
else:
    print("python%d.%d-venv\nlibpython%d.%d" % (newest * 2))'
}

# everything that is missing, as the names of Debian's packages
missing() {
  has Rscript || echo r-base-core
  missing_r | tr '[:upper:]' '[:lower:]' | sed 's/^/r-cran-/'
  usable_python || debian_python
}

# programs that make the whole check possible: vignettes, the help pages' HTML, plot(model)
helpful() {
  has pandoc || echo pandoc
  has qpdf || echo qpdf
  has tidy || echo tidy
  has dot || echo graphviz
}

needed=$(missing | sort -u | tr '\n' ' ')
extras=$(helpful | tr '\n' ' ')
wanted=$needed$extras
[ -n "$wanted" ] || exit 0
# what only helps is no reason to stop
if [ -z "$needed" ] && { ! has apt-get || [ "$(id -u)" != 0 ]; }; then
  echo "Note: make check and some tests do less without: $extras"
  exit 0
fi

if ! has apt-get; then
  packages=$(missing_r | tr '\n' ' ')
  if has Rscript && [ -n "$packages" ]; then
    echo "Installing R packages from the CRAN mirror that R is set to: $packages"
    Rscript tools/setup/packages.R install "$build/lib" >> "$log" 2>&1 || true
    packages=$(R_LIBS="$build/lib" Rscript tools/setup/packages.R | tr '\n' ' ')
    [ -z "$packages" ] || stop "these R packages are missing: $packages; install them with" \
      "install.packages() in R, then run the same command again."
  fi
  has Rscript || stop "R (4.1 or newer) is missing; install it from your system's packages or from" \
    "r-project.org, then run the same command again."
  usable_python || stop "no usable Python (3.9 or newer, with venv and a shared library) was found;" \
    "install one, then run the same command again. What was tried: $(tail -n 1 "$log")"
  [ -z "$extras" ] || echo "Note: make check and some tests do less without: $extras"
  exit 0
fi

if [ "$(id -u)" != 0 ]; then
  stop "these Debian packages are missing, and only root can install them:" \
    "sudo apt-get install --no-install-recommends $wanted"
fi

echo "Installing Debian packages: $wanted"
export DEBIAN_FRONTEND=noninteractive
apt-get update >> "$log" 2>&1 || echo "apt-get update failed; going on with the lists that are here." >> "$log"

# what this Debian doesn't have is left to CRAN below
known=''
unknown=''
for package in $wanted; do
  if apt-cache show "$package" > /dev/null 2>&1; then
    known="$known $package"
  else
    unknown="$unknown $package"
  fi
done
if [ -n "$known" ]; then
  # shellcheck disable=SC2086
  apt-get install -y --no-install-recommends $known < /dev/null >> "$log" 2>&1 || {
    [ -n "$needed" ] || { echo "Note: make check and some tests do less without: $extras"; exit 0; }
    stop "Debian's packages can't be fetched or installed (no network, or no package source set):" \
      "try apt-get install --no-install-recommends$known (the whole log: .build/system.log)."
  }
fi
if has Rscript && [ -n "$(missing_r)" ]; then
  echo "Installing R packages that this Debian lacks: $(missing_r | tr '\n' ' ')"
  Rscript tools/setup/packages.R install "$build/lib" >> "$log" 2>&1 || true
fi
left=$(missing | sort -u | tr '\n' ' ')
[ -z "$left" ] || stop "these are still missing after installing:" \
  "$left(R used: $(command -v Rscript || echo none)); not among this system's packages:${unknown:- none}."
