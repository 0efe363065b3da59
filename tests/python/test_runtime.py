"""Starting Keras, and seeds."""

from __future__ import annotations

import numpy as np
import pytest
from kerasbridge.errors import ArgumentError, UnsupportedError
from kerasbridge.runtime import backend_name, set_random_seed, start
from kerasbridge.runtime.starting import check_backend


def test_start_gives_the_running_keras():
    import keras

    assert start() is keras
    assert backend_name() == keras.config.backend()
    other = "jax" if backend_name() != "jax" else "torch"
    with pytest.raises(UnsupportedError, match="already runs on"):
        start(other)


def test_backends_that_ended_are_refused_at_once():
    for name in ("theano", "CNTK", "plaidml"):
        with pytest.raises(UnsupportedError, match="ended"):
            check_backend(name)
    with pytest.raises(ArgumentError, match="not a backend"):
        check_backend("mxnet")
    assert check_backend("TensorFlow") == "tensorflow"


def test_start_is_silent(run_python):
    done = run_python("import kerasbridge; kerasbridge.runtime.start()", TF_CPP_MIN_LOG_LEVEL="2")
    assert done.returncode == 0
    assert (done.stdout, done.stderr) == ("", "")


def test_a_missing_keras_is_named(run_python, tmp_path):
    (tmp_path / "keras.py").write_text("raise ImportError('no such thing')")
    done = run_python(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from kerasbridge.runtime import start\nfrom kerasbridge.errors import InstallError\n"
        "try:\n    start()\nexcept InstallError as err:\n    print(err.message, '|', err.hint)"
    )
    assert "no such thing" in done.stdout and "install_kerasbridge()" in done.stdout


def test_one_seed_for_all():
    import random

    import keras

    def draw():
        set_random_seed(5)
        return random.random(), np.random.rand(), float(keras.random.uniform(()))

    assert draw() == draw()
    for bad in (-1, 2**32, 1.5, True):
        with pytest.raises(ArgumentError, match="whole number"):
            set_random_seed(bad)


def test_draws_of_r_repeat_themselves_with_every_keras(monkeypatch):
    import keras
    from kerasbridge.bridge.calls import call
    from kerasbridge.runtime import seeds

    def draw():
        set_random_seed(5)
        made = [call("keras.random.uniform", None, {"shape": (2,)}).value for _ in range(2)]
        return [keras.ops.convert_to_numpy(x).tolist() for x in made]

    first = draw()
    assert first == draw() and first[0] != first[1]
    # as a Keras that leaves its global generator alone
    if keras.config.backend() != "jax":
        monkeypatch.setattr(keras, "__version__", "3.12.4")
        first = draw()
        assert isinstance(seeds.of_draws(), keras.random.SeedGenerator)
        assert first == draw() and first[0] != first[1]
        monkeypatch.undo()
        set_random_seed(5)


def test_only_our_own_retracing_is_hushed(caplog):
    import logging

    from kerasbridge.runtime.quiet import hush_retracing

    hush_retracing()
    hush_retracing()
    logger = logging.getLogger("tensorflow")
    assert sum(type(f).__name__ == "_Ours" for f in logger.filters) == 1
    said = "5 out of the last 5 calls to <function %s> triggered tf.function retracing."
    keep, drop = said % "mine", said % "StepLoop._make"
    record = logging.LogRecord("tensorflow", logging.WARNING, "", 1, keep, None, None)
    assert logger.filter(record)
    record = logging.LogRecord("tensorflow", logging.WARNING, "", 1, drop, None, None)
    assert not logger.filter(record)


def test_starting_and_training_touch_no_network(run_python):
    done = run_python(
        "import sys\n"
        "def watch(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname'):\n"
        "        print('network:', event, arguments[:2], flush=True)\n"
        "sys.addaudithook(watch)\n"
        "import kerasbridge, numpy as np\n"
        "keras = kerasbridge.runtime.start()\n"
        "m = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])\n"
        "m.compile('sgd', 'mse')\n"
        "from kerasbridge.training import fit\n"
        "fit(m, np.ones((8, 2), 'float32'), np.ones(8), epochs=1, verbose=0)\n"
        "print('done')"
    )
    assert done.stdout == "done\n", done.stdout + done.stderr


def test_an_organisations_certificates_serve_downloads_too(run_python):
    done = run_python(
        "import os, kerasbridge; kerasbridge.runtime.start(); print(os.environ['SSL_CERT_FILE'])",
        REQUESTS_CA_BUNDLE="/etc/own.pem",
        SSL_CERT_FILE="",
    )
    assert done.stdout == "/etc/own.pem\n"


SEEDED = """
import sys, numpy as np
from kerasbridge.runtime import set_random_seed
set_random_seed(7)
import keras, hashlib
from kerasbridge import training
from kerasbridge.training.pulling import fit_pulled
x, y = np.random.rand(64, 8, 8, 1).astype("float32"), np.random.rand(64, 1).astype("float32")
m = keras.Sequential([
    keras.layers.Input((8, 8, 1)), keras.layers.RandomFlip(), keras.layers.RandomRotation(0.1),
    keras.layers.Conv2D(2, 3), keras.layers.Flatten(), keras.layers.Dropout(0.5), keras.layers.Dense(1),
])
training.compile(m, optimizer="adam", loss="mse")
h = training.fit(m, x, y, epochs=2, batch_size=16, shuffle=True, verbose=0)
g = np.random.default_rng(int(np.random.randint(1000)))
def pull():
    i = g.integers(0, 64, 16)
    return x[i], y[i]
fit_pulled(m, pull, 3, epochs=2, verbose=0)
print(h.environment["seed"], hashlib.sha256(b"".join(w.tobytes() for w in m.get_weights())).hexdigest())
"""


def test_one_seed_gives_the_same_weights_in_two_processes(run_python):
    """Dropout, augmentation, shuffling and a generator; bit for bit."""
    first, second = (run_python(SEEDED).stdout for _ in range(2))
    assert first.startswith("7 ") and len(first) > 60
    assert first == second


def test_a_backend_that_is_not_there_names_the_one_that_is(monkeypatch):
    from kerasbridge.runtime import starting

    monkeypatch.setattr(starting.importlib.util, "find_spec", lambda name: name == "jax" or None)
    hint = starting._other_backend("tensorflow")
    assert 'this environment has JAX. Say so first: use_backend("jax") in R' in hint
    assert starting._other_backend("jax") is None and starting._other_backend("numpy") is None


def test_one_class_for_the_variables_of_layers_and_of_users():
    import keras
    from kerasbridge.runtime.variables import variable_class

    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    assert isinstance(layer.kernel, variable_class())
    assert isinstance(keras.Variable(1.0), variable_class())
    assert isinstance(keras.optimizers.SGD().iterations, variable_class())
    assert not isinstance(keras.ops.ones((2,)), variable_class())
