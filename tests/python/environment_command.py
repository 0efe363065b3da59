"""`python -m kerasbridge.environment` in a process of its own, for the tests of environments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kerasbridge.environment import install

ENGINE = Path(install.__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name == "nt", reason="the stub is a Unix script")


def quiet(line):
    pass


def child(arguments, **settings):
    """This Python with the engine on its path, with a limit."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ENGINE), **settings},
    )
