"""The short form of bench/kills.py: processes killed while they save over a good file."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from conftest import ROOT
from kerasbridge.runtime.keras_version import keras_before

FORMATS = [
    ".keras",
    ".h5",
    ".weights.h5",
    "older weights .h5",
    "sharded weights",
    ".safetensors",
    "ModelCheckpoint",
    "BackupAndRestore",
    "CSVLogger",
]
if keras_before(3, 10):
    FORMATS.remove("sharded weights")


@pytest.mark.skipif(sys.platform == "win32", reason="children are forks of a prepared process")
def test_every_kill_leaves_a_whole_file_and_no_rubbish(tmp_path):
    counts = tmp_path / "counts.json"
    command = [sys.executable, str(ROOT / "bench" / "kills.py"), *FORMATS, "--kills", "10"]
    done = subprocess.run(
        [*command, "--json", str(counts)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    table = json.loads(counts.read_text())
    assert list(table) == FORMATS
    for name, row in table.items():
        assert (row["whole"], row["rubbish"]) == (10, 0), name
