"""Training, data and files on JAX and PyTorch, without TensorFlow, where these are installed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

TOUR = (Path(__file__).parent / "backend_tour.py").read_text(encoding="utf-8")
NAMES = re.findall(r"^@step\ndef (\w+)", TOUR, re.MULTILINE)


@pytest.fixture(scope="module")
def outcomes():
    return {}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_on_another_backend(backend, name, outcomes, run_python):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"the package {backend} is not installed")
    if backend not in outcomes:
        outcomes[backend] = run_python(TOUR, timeout=300, KERAS_BACKEND=backend)
    done = outcomes[backend]
    found = re.search(rf"^{name}: (.*?)(?=^\w+: |\Z)", done.stdout, re.MULTILINE | re.DOTALL)
    assert found is not None, done.stderr[-2000:]
    assert found.group(1).strip() == "ok"


def test_the_tour_has_its_stops():
    assert len(NAMES) >= 13 and len(set(NAMES)) == len(NAMES)
