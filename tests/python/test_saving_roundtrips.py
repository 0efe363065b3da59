"""The representative part of bench/roundtrips.py: what one process saves, others read alike."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from conftest import ROOT

CASES = ["mlp", "learning_rate_schedule", "layer LSTM", "layer MultiHeadAttention"]
# R with this package: `make test` and `make check` say where it is
R = bool(shutil.which("Rscript") and os.environ.get("R_LIBS"))


def test_fresh_processes_of_both_languages_and_plain_keras_read_the_same(tmp_path):
    out = tmp_path / "out.json"
    command = [sys.executable, str(ROOT / "bench" / "roundtrips.py"), *CASES, "--json", str(out)]
    done = subprocess.run(
        [*command, *([] if R else ["--no-r"])], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    outcome = json.loads(out.read_text())
    readers = {"Python": 5, "plain Keras": 2, **({"R": 5} if R else {})}
    for writer in ("Python", "R") if R else ("Python",):
        for reader, formats in readers.items():
            table = outcome[f"{writer} -> {reader}"]
            assert sorted(table) == sorted(CASES)
            for row in table.values():
                assert len(row) == formats and set(row.values()) == {"same"}
