"""Mutated files, a short run with a fixed seed; `bench/fuzz_files.py` does thousands."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def fuzz_files():
    spec = importlib.util.spec_from_file_location("fuzz_files", ROOT / "bench" / "fuzz_files.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_files"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5", ".safetensors"])
def test_a_mutated_file_is_refused_or_loads_right(fuzz_files, ending):
    tally, notable = fuzz_files.fuzz(ending, 30, seed=20)
    assert notable == []
    assert tally["refused"] + tally["same"] == 30
    assert tally["refused"] > 15
