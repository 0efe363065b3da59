#!/bin/sh
# uv as reticulate calls it, but with the interpreters of this system: reticulate asks for builds of Python
# that uv downloads from a host which a matrix run doesn't use. UV_PROGRAM is the real one.
for argument; do
  shift
  case $argument in
    --only-downloads) continue ;;
    *only-managed) argument=${argument%only-managed}only-system ;;
  esac
  set -- "$@" "$argument"
done
exec "$UV_PROGRAM" "$@"
