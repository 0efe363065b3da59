"""Libraries of C code in a process that brings some of its own, as R does."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import sys

from kerasbridge.runtime import nvidia

_PRODUCTS = ("sgemm_", "dgemm_")  # of matrices, in every BLAS; R's own has the second alone


def has_foreign_blas() -> bool:
    """Whether the program around (R, linked to a BLAS) shows its BLAS to all libraries that come later."""
    if sys.platform != "linux":
        return False
    around = ctypes.CDLL(None)
    return any(hasattr(around, name) for name in _PRODUCTS)


@contextlib.contextmanager
def own_symbols_first():
    """Within the block a library that is loaded uses its own functions ahead of those of the program around.

    PyTorch's library holds a BLAS under the usual names. In R's process it would call the one of R instead, which on
    many systems is the plain reference: a product of two 1000 x 1000 matrices took 18 times as long
    (`bench/torch_blas.R`), and its last bits differed from those in Python. Nothing happens where the program around
    has none, or where the system has no such way (`RTLD_DEEPBIND` is of glibc).
    """
    if not hasattr(os, "RTLD_DEEPBIND") or not has_foreign_blas():
        yield
        return
    before = sys.getdlopenflags()
    sys.setdlopenflags(before | os.RTLD_DEEPBIND)
    try:
        yield
    finally:
        sys.setdlopenflags(before)


def load_torch() -> None:
    """Import PyTorch, if it isn't yet, with its own functions; what it needs besides is loaded in the usual way.

    On a machine whose graphics card it may use, Keras imports it as ever: the card multiplies there, and this way of
    loading has not been tried with the libraries of CUDA.

    Raises:
        ImportError: it can't be imported.
    """
    if "torch" in sys.modules or nvidia.wanted(os.environ):
        return
    importlib.import_module("numpy")
    with own_symbols_first():
        importlib.import_module("torch")
