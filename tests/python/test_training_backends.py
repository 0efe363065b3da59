"""Training, data and files on JAX and PyTorch, without TensorFlow, where these are installed."""

from __future__ import annotations

import importlib.util
import os
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


def test_a_backend_that_only_predicts_says_so(monkeypatch):
    from kerasbridge.errors import UnsupportedError
    from kerasbridge.training import entering

    entering.check_trains("fit")
    monkeypatch.setattr(entering, "backend_name", lambda: "openvino")
    with pytest.raises(UnsupportedError, match="`fit` can't be had on the backend openvino"):
        entering.check_trains("fit")


def test_openvino_predicts_with_a_model_that_was_trained_elsewhere(tmp_path, run_python):
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("the package openvino is not installed")
    file, rows = str(tmp_path / "model.keras"), str(tmp_path / "rows.npz")
    made = f"""
import keras, numpy as np
from kerasbridge import saving, training
x = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
m = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
training.compile(m, optimizer="adam", loss="mse")
training.fit(m, x, x[:, :1], epochs=2, verbose=0)
saving.save_model(m, {file!r})
np.savez({rows!r}, x=x, y=training.predict(m, x, verbose=0))
"""
    assert run_python(made).returncode == 0
    code = f"""
import numpy as np
from kerasbridge import saving, training
from kerasbridge.errors import UnsupportedError
held = np.load({rows!r})
m = saving.load_model({file!r})
print(float(np.abs(training.predict(m, held["x"], verbose=0) - held["y"]).max()))
print(sorted(training.evaluate(m, held["x"], held["y"], verbose=0)))
for train in (training.fit, training.train_on_batch):
    try:
        train(m, held["x"], held["y"])
    except UnsupportedError as error:
        print(error.message)
"""
    done = run_python(code, KERAS_BACKEND="openvino")
    difference, *said = done.stdout.splitlines()
    assert float(difference) < 0.02, (
        done.stderr
    )  # OpenVINO computes in 16 bits where the processor can
    assert said[0] == "['loss']"
    assert [line.split()[0] for line in said[1:]] == ["`fit`", "`train_on_batch`"]


def test_a_file_of_pytorch_loads_without_pytorch(tmp_path, run_python):
    """PyTorch's optimizers are classes of their own, which the file names."""
    if os.environ.get("KERAS_BACKEND") == "torch":
        pytest.skip("there it is the optimizer of the file")
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
