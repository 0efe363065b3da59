"""PyTorch computes with its own library of linear algebra, also where the program around shows another (as R does)."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import sys

import pytest

BLAS = ctypes.util.find_library("blas")
needs_blas = pytest.mark.skipif(
    sys.platform != "linux" or not BLAS or not hasattr(os, "RTLD_DEEPBIND"),
    reason="needs glibc and a BLAS of the system",
)
SHOW = f"import ctypes, os, sys; ctypes.CDLL({BLAS!r}, os.RTLD_GLOBAL | os.RTLD_NOW)\n"
FLAGS = (
    "from kerasbridge.runtime import libraries\n"
    "out = [sys.getdlopenflags()]\n"
    "try:\n"
    "    with libraries.own_symbols_first(): out.append(sys.getdlopenflags()); raise ValueError\n"
    "except ValueError: out.append(sys.getdlopenflags())\n"
    "print(libraries.has_foreign_blas(), out[1] & os.RTLD_DEEPBIND != 0, out[0] == out[2])\n"
)


def test_a_program_without_a_blas_is_left_alone(run_python):
    assert run_python("import os, sys\n" + FLAGS).stdout.strip() == "False False True"


@needs_blas
def test_libraries_are_bound_to_themselves_within_the_block(run_python):
    assert run_python(SHOW + FLAGS).stdout.strip() == "True True True"


@needs_blas
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
def test_products_are_those_of_pytorch_alone(run_python):
    code = (
        "import numpy as np, torch\n"
        "a = torch.from_numpy(np.random.default_rng(0).random((300, 300), 'float32'))\n"
        "print((a @ a).double().sum().item().hex())\n"
    )
    load = "from kerasbridge.runtime import libraries; libraries.load_torch()\n"
    load = "os.environ['CUDA_VISIBLE_DEVICES'] = '-1'\n" + load
    alone, beside = run_python(code), run_python(SHOW + load + code)
    assert alone.stdout == beside.stdout != "", beside.stderr
