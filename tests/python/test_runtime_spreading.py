"""One model on several devices gives what it gives on one: on virtual processors, each backend apart."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

TOUR = (Path(__file__).parent / "spreading_tour.py").read_text(encoding="utf-8")
NAMES = re.findall(r"^@step\ndef (\w+)", TOUR, re.MULTILINE)


@pytest.fixture(scope="module")
def outcomes():
    return {}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_on_several_devices(backend, name, outcomes, run_python):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"the package {backend} is not installed")
    if backend not in outcomes:
        try:
            outcomes[backend] = run_python(TOUR, timeout=400, KERAS_BACKEND=backend)
        except subprocess.TimeoutExpired as late:  # waited for once, not by every test
            told = (late.stdout or b"").decode("utf-8", "replace")
            outcomes[backend] = subprocess.CompletedProcess([], 124, told, str(late)[-200:])
    done = outcomes[backend]
    found = re.search(rf"^{name}: (.*?)(?=^\w+: |\Z)", done.stdout, re.MULTILINE | re.DOTALL)
    assert found is not None, done.stderr[-2000:]
    # (JAX 0.12 prints lines of its own behind, which name a place in Keras)
    verdict, _, more = found.group(1).strip().partition("\n")
    assert verdict == "ok", more


def test_the_tour_has_its_stops():
    assert len(NAMES) >= 9 and len(set(NAMES)) == len(NAMES)


def test_tensorflow_on_several_devices_needs_keras_3_9(run_python):
    pytest.importorskip("tensorflow")
    done = run_python(
        """
from kerasbridge.runtime import device_settings, spreading, starting
device_settings.configure(virtual=2)
keras = starting.start(by="the test")
old = tuple(int(n) for n in keras.__version__.split(".")[:2]) < (3, 9)
try:
    spreading.Spread(2)
    print("fine" if not old else "not refused")
except Exception as error:
    print("fine" if old and "Keras 3.9" in error.hint else f"{type(error).__name__}: {error}")
spreading.Spread(1)
""",
        KERAS_BACKEND="tensorflow",
    )
    assert done.stdout.split("\n")[0] == "fine", done.stderr[-2000:]
