"""Conversion by Keras 2 itself, where one can be had."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest
from kerasbridge.errors import ArgumentError, FileError, UnsupportedError
from kerasbridge.saving.legacy import convert_model
from legacy_files import recorded, unpacked

# a Python with Keras 2; the conversion itself is tested where the machine has one
KERAS_2 = os.environ.get("KERASBRIDGE_TEST_KERAS2") or (
    sys.executable if importlib.util.find_spec("tf_keras") else None
)


CODE = """
class Scale(keras.layers.Layer):
    def __init__(self, k=2.0, **kw):
        super().__init__(**kw)
        self.k = k
    def build(self, shape):
        self.w = self.add_weight(name='w', shape=(shape[-1],), initializer='ones')
    def call(self, x):
        return x * self.w * self.k
    def get_config(self):
        return dict(super().get_config(), k=self.k)
"""


def _converts(tmp_path, python):
    import numpy as np
    from kerasbridge.saving import load_model

    source = unpacked("k216__custom_layer.h5", tmp_path)
    code = tmp_path / "classes.py"
    code.write_text(CODE)
    folder = convert_model(source, tmp_path / "out", python=python, code=str(code))
    case = recorded("k216__custom_layer")
    found = load_model(folder).predict(case["x0"])
    assert float(np.abs(found - case["y0"]).max()) <= 1e-6
    with pytest.raises(FileError, match="exists already"):
        convert_model(source, tmp_path / "out", python=python, code=str(code))


@pytest.mark.skipif(KERAS_2 is None, reason="no Keras 2 on this machine")
def test_keras_2_writes_what_the_rules_refuse(tmp_path):
    _converts(tmp_path, KERAS_2)


@pytest.mark.skipif(
    os.environ.get("KERASBRIDGE_NETWORK") != "true", reason="installs tf-keras: KERASBRIDGE_NETWORK"
)
def test_keras_2_is_installed_for_the_one_conversion(tmp_path):
    before = importlib.util.find_spec("tf_keras")
    _converts(tmp_path, None)
    assert importlib.util.find_spec("tf_keras") == before


def test_an_environment_without_keras_2_says_so_and_leaves_nothing(tmp_path):
    source = unpacked("k216__custom_layer.h5", tmp_path)
    with pytest.raises(UnsupportedError, match="Keras 2 can't read .*: ") as info:
        convert_model(source, tmp_path / "out", python=_without_keras(tmp_path))
    assert "`code =`" in info.value.hint
    assert not (tmp_path / "out").exists()


def _without_keras(folder) -> str:
    """An interpreter whose imports of TensorFlow fail at once."""
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    script.chmod(0o755)
    return str(script)


def test_bad_arguments_are_named(tmp_path):
    source = unpacked("k216__custom_layer.h5", tmp_path)
    with pytest.raises(FileError, match="no file"):
        convert_model(tmp_path / "none.h5", tmp_path / "out")
    with pytest.raises(ArgumentError, match="There is no file") as info:
        convert_model(source, tmp_path / "out", python=sys.executable, code="none.py")
    assert info.value.argument == "code"
    with pytest.raises(ArgumentError, match="can't be run"):
        convert_model(source, tmp_path / "out", python="/no/such/python")
