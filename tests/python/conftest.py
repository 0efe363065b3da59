"""Shared by all tests of the engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "inst" / "python"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(ENGINE))


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def run_python():
    """Run Python code in a process of its own, with a time limit."""

    def run(code: str, timeout: int = 120, **env: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "PYTHONPATH": str(ENGINE), "TF_CPP_MIN_LOG_LEVEL": "3", **env}
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
        )

    return run
