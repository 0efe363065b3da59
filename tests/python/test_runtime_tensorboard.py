"""TensorBoard as a program: it answers, it stops, and what is wrong is said."""

import importlib.util
import json
import socket
import urllib.error
import urllib.request

import pytest
from kerasbridge.errors import ArgumentError, InstallError
from kerasbridge.runtime import tensorboard

installed = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed"
)


@installed
def test_it_shows_what_the_callback_wrote_and_stops(tmp_path):
    import keras
    import numpy as np

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    logs = tmp_path / "logs"
    callback = keras.callbacks.TensorBoard(str(logs / "first"))
    model.fit(np.ones((4, 2)), np.ones(4), epochs=2, verbose=0, callbacks=[callback])
    address = tensorboard.tensorboard_start(str(logs))
    try:
        with urllib.request.urlopen(f"{address}/data/runs", timeout=30) as answer:
            assert "first/train" in json.load(answer)
        taken = int(address.rsplit(":", 1)[1])
        with pytest.raises(ArgumentError, match=f"port {taken} is in use") as caught:
            tensorboard.tensorboard_start(str(tmp_path / "other"), port=taken)
        assert caught.value.argument == "port"
    finally:
        tensorboard.tensorboard_stop(str(logs))
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(f"{address}/data/runs", timeout=5)


@installed
def test_a_program_that_ends_says_why(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]  # bound, but nobody listens
        with pytest.raises(InstallError, match=f"ended at once.*{port}"):
            tensorboard.tensorboard_start(str(tmp_path), port=port)


def test_without_the_package_the_way_to_get_it_is_said(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find(name)
    )
    with pytest.raises(InstallError, match="not installed") as caught:
        tensorboard.tensorboard_start(str(tmp_path))
    assert "pip install tensorboard" in caught.value.hint
