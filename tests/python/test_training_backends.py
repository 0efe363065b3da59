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


def test_a_file_of_pytorch_loads_without_pytorch(tmp_path, run_python):
    """PyTorch's optimizers are classes of their own, which the file names."""
    code = f"""
import json, sys, zipfile
sys.modules["torch"] = None
import keras, numpy as np
from kerasbridge import saving, training
m = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
m.compile(keras.optimizers.Adam(0.25), "mse")
m.save({str(tmp_path / "plain.keras")!r})
with zipfile.ZipFile({str(tmp_path / "plain.keras")!r}) as old:
    parts = {{name: old.read(name) for name in old.namelist()}}
config = json.loads(parts["config.json"])
own = config["compile_config"]["optimizer"]
own.update(module="keras." + "src.backend.torch.optimizers.torch_adam", registered_name="Adam")
parts["config.json"] = json.dumps(config)
with zipfile.ZipFile({str(tmp_path / "torch.keras")!r}, "w") as new:
    for name, content in parts.items():
        new.writestr(name, content)
found = saving.load_model({str(tmp_path / "torch.keras")!r})
rate = keras.ops.convert_to_numpy(found.optimizer.learning_rate)
print(type(found.optimizer).__name__, float(rate))
training.fit(found, np.ones((4, 3), "float32"), np.ones((4, 2), "float32"), verbose=0)
own["module"] = "keras." + "src.backend.torch.optimizers.torch_adam.evil"
own["class_name"] = own["registered_name"] = "eval"
parts["config.json"] = json.dumps(config)
with zipfile.ZipFile({str(tmp_path / "evil.keras")!r}, "w") as new:
    for name, content in parts.items():
        new.writestr(name, content)
try:
    saving.load_model({str(tmp_path / "evil.keras")!r})
except Exception as error:
    print(type(error).__name__)
"""
    done = run_python(code)
    first, second = done.stdout.splitlines()
    assert first == "Adam 0.25", done.stderr
    assert second in ("FileError", "UnsafeFileError")
