"""The representative part of bench/roundtrips.py: what one process saves, others read alike."""

from __future__ import annotations

import json
import subprocess
import sys

from conftest import ROOT

CASES = ["mlp", "learning_rate_schedule", "layer LSTM", "layer MultiHeadAttention"]


def test_fresh_processes_with_and_without_this_package_read_the_same(tmp_path):
    out = tmp_path / "out.json"
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "roundtrips.py"), *CASES, "--json", str(out)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    outcome = json.loads(out.read_text())
    for reader, formats in (("kerasbridge", 5), ("plain Keras", 2)):
        assert sorted(outcome[reader]) == sorted(CASES)
        for row in outcome[reader].values():
            assert len(row) == formats and set(row.values()) == {"same"}
