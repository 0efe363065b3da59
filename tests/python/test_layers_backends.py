"""The shipped layers on a second backend: files written here give the same numbers there, and train."""

from __future__ import annotations

import importlib.util
import json

import keras
import numpy as np
import pytest
import test_layers_modern
from kerasbridge import layers

OTHER = "tensorflow" if keras.config.backend() == "jax" else "jax"

CHILD = """
import json, sys
import numpy as np
import keras
import kerasbridge.layers

assert keras.config.backend() == sys.argv[1]
folder = sys.argv[2]
out = {}
for name in json.load(open(folder + "/names.json")):
    held = np.load(f"{folder}/{name}.npz")
    x = [held[f"x{i}"] for i in range(int(held["inputs"]))]
    x = x if len(x) > 1 else x[0]
    try:
        model = keras.saving.load_model(f"{folder}/{name}.keras")
        y = keras.ops.convert_to_numpy(model(x))
        before = [np.array(w) for w in model.trainable_weights]
        model.compile(keras.optimizers.SGD(0.5), "mse")
        if held["title"] in ("RandomHeight", "RandomWidth"):  # in training any size comes out
            loss, before = 1.0, []
        else:
            loss = model.fit(x, np.random.default_rng(1).normal(2.0, size=y.shape), epochs=1, verbose=0).history["loss"][0]
        moved = [w.path for w, old in zip(model.trainable_weights, before) if np.array_equal(np.array(w), old)]
        out[name] = [float(np.abs(y - held["y"]).max()), loss, moved, list(y.shape), str(y.dtype)]
    except Exception as error:
        out[name] = f"{type(error).__name__}: {error}"
print("RESULT" + json.dumps(out))
"""


def _models():
    for name, (make, x, _) in test_layers_modern.CASES.items():
        yield name, test_layers_modern.model_of(make, x), x
    rows = test_layers_modern.numbers
    older = {
        "LocallyConnected1D": (lambda: layers.LocallyConnected1D(3, 2), rows(2, 6, 2)),
        "LocallyConnected2D": (lambda: layers.LocallyConnected2D(3, 2), rows(2, 5, 4, 2)),
        "ThresholdedReLU": (lambda: layers.ThresholdedReLU(0.5), rows(4, 3)),
        "RandomHeight": (lambda: layers.RandomHeight(0.2), rows(2, 6, 4, 1)),
        "RandomWidth": (lambda: layers.RandomWidth(0.2), rows(2, 6, 4, 1)),
    }
    for name, (make, x) in older.items():
        yield name, test_layers_modern.model_of(make, x), x


def test_every_shipped_layer_is_among_the_cases():
    named = {type(model.layers[-1]).__name__ for _, model, _ in _models()}
    shipped = {name for name in layers.__all__ if name[0].isupper()}
    shipped = {n for n in shipped if issubclass(getattr(layers, n), keras.layers.Layer)}
    assert shipped <= named


def test_files_of_shipped_layers_work_on_another_backend(tmp_path, run_python):
    if importlib.util.find_spec(OTHER) is None:
        pytest.skip(f"the package {OTHER} is not installed")
    names = []
    for number, (title, model, x) in enumerate(_models()):
        name = f"m{number}"
        names.append(name)
        parts = test_layers_modern.arrays(x)
        model.save(tmp_path / f"{name}.keras")
        y = keras.ops.convert_to_numpy(model(x))
        held = {f"x{i}": part for i, part in enumerate(parts)}
        np.savez(tmp_path / f"{name}.npz", inputs=len(parts), y=y, title=title, **held)
    (tmp_path / "names.json").write_text(json.dumps(names))
    script = f"import sys\nsys.argv = ['', {OTHER!r}, {str(tmp_path)!r}]\n" + CHILD
    done = run_python(script, timeout=300, KERAS_BACKEND=OTHER)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.split("RESULT")[1])
    assert list(found) == names
    for name in names:
        held = np.load(tmp_path / f"{name}.npz")
        title = str(held["title"])
        assert not isinstance(found[name], str), f"{title}: {found[name]}"
        difference, loss, still, shape, dtype = found[name]
        assert (shape, dtype) == (list(held["y"].shape), "float32"), title
        assert np.isfinite(loss), title
        if title != "MonteCarloDropout":
            assert difference < 1e-5, title
        assert [path for path in still if "key/bias" not in path] == [], title
