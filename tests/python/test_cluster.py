"""Training on several workers of this machine: the result of one device, and workers that die."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
import time

import numpy as np
import pytest
from kerasbridge import training
from kerasbridge.cluster import train_on_cluster
from kerasbridge.cluster.folder import Folder
from kerasbridge.errors import ArgumentError, ClusterError, InstallError

X = np.random.default_rng(0).normal(size=(96, 3)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]])).astype("float32")
has_jax = importlib.util.find_spec("jax") is not None
needs_jax = pytest.mark.skipif(not has_jax, reason="the package jax is not installed")


def model():
    import keras

    keras.utils.set_random_seed(3)
    made = keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)]
    )
    training.compile(made, optimizer="adam", loss="mse", metrics=["mae"])
    return made


def close(one, other):
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-5, atol=1e-5)


@needs_jax
def test_two_workers_are_one_device_and_a_killed_one_is_replaced(tmp_path, capsys):
    """A worker is killed after the first checkpoint; the outcome is as if nothing had happened."""
    shared = Folder(tmp_path)

    def kill():
        limit = time.monotonic() + 120
        while not shared.epochs() and time.monotonic() < limit:
            time.sleep(0.01)
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/cmdline", "rb") as file:
                        words = file.read().decode("utf-8", "replace").split("\0")
                except OSError:
                    continue
                if words[1:5] == ["-m", "kerasbridge.cluster", str(tmp_path.resolve()), "1"]:
                    os.kill(int(entry), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    found = train_on_cluster(
        model, (X, Y), workers=2, epochs=4, batch_size=32, shuffle=False, folder=str(tmp_path),
        validation_data=(X[:40], Y[:40]), timeout=120,
    )  # fmt: skip
    killer.join()
    alone = model()
    expected = training.fit(
        alone,
        X,
        Y,
        epochs=4,
        batch_size=32,
        shuffle=False,
        verbose=0,
        validation_data=(X[:40], Y[:40]),
    )
    history = found["history"]
    assert history.epoch == [0, 1, 2, 3] and history.engine == "cluster"
    assert sorted(history.metrics) == sorted(expected.metrics)
    for name, values in expected.metrics.items():
        close(history.metrics[name], values)
    for one, other in zip(found["model"].get_weights(), alone.get_weights()):
        close(one, other)
    assert "ended by signal 9. Started again after epoch" in history.notes[0]
    assert "Epoch 4/4" in capsys.readouterr().out


@needs_jax
def test_sources_are_read_by_the_workers(tmp_path):
    from kerasbridge.data.sources import CsvSource

    table = np.concatenate([X, Y], axis=1)[:75]
    np.savetxt(tmp_path / "rows.csv", table, delimiter=",", header="a,b,c,y", comments="")
    source = CsvSource(str(tmp_path / "rows.csv"), y="y", batch_size=25, shuffle=False)
    found = train_on_cluster(model, source, workers=2, epochs=1, timeout=120)
    assert found["history"].notes == []  # 25 rows of 3 whole batches
    assert np.isfinite(found["history"].metrics["loss"]).all()


@needs_jax
def test_an_error_in_a_worker_is_told_and_nothing_goes_on(tmp_path):
    wrong = np.ones((96, 7), "float32")
    with pytest.raises(ClusterError, match="Worker [12] failed: ") as caught:
        train_on_cluster(model, (wrong, Y), workers=1, restarts=0, folder=str(tmp_path), timeout=60)
    assert "failed 1 times" in caught.value.message


def test_each_worker_has_cards_of_its_own(monkeypatch):
    from kerasbridge.cluster import driver

    monkeypatch.setattr(driver.graphics, "status", lambda: {"devices": [{}, {}, {}, {}]})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert driver.own_cards(1, 2) == ["CUDA_VISIBLE_DEVICES=2,3"]
    assert driver.own_cards(4, 5) == ["JAX_PLATFORMS=cpu"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    assert driver.own_cards(1, 2) == ["CUDA_VISIBLE_DEVICES=3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert driver.own_cards(0, 1) == ["JAX_PLATFORMS=cpu"]


def test_what_can_not_be_trained_is_refused_before_a_start(tmp_path, monkeypatch):
    if not has_jax:
        with pytest.raises(InstallError, match="needs JAX"):
            train_on_cluster(model, (X, Y))
        # an interpreter of its own would have it
    given = {"python": "python-that-has-jax", "folder": str(tmp_path)}
    with pytest.raises(ArgumentError, match="whole number from 1 to 256"):
        train_on_cluster(model, (X, Y), workers=0, **given)
    with pytest.raises(ArgumentError, match="must name machines"):
        train_on_cluster(model, (X, Y), workers=[], **given)
    with pytest.raises(ArgumentError, match=r"`data` must be \(x, y\) or a source"):
        train_on_cluster(model, X, **given)
    with pytest.raises(ArgumentError, match="not compiled"):
        import keras

        train_on_cluster(keras.Sequential([keras.layers.Input((3,))]), (X, Y), **given)


@pytest.mark.parametrize("code", ["raise SystemExit(7)", "import time; time.sleep(99)"])
def test_workers_that_end_or_hang_are_given_up(tmp_path, code):
    fake = tmp_path / "python"
    import sys

    fake.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}'\n")
    fake.chmod(0o755)
    with pytest.raises(ClusterError) as caught:
        train_on_cluster(
            model, (X, Y), workers=2, python=str(fake), restarts=1, timeout=1.0,
            folder=str(tmp_path / "shared"),
        )  # fmt: skip
    said = "ended with status 7" if "SystemExit" in code else "No epoch was finished in 1 seconds"
    assert said in caught.value.message and "failed 2 times" in caught.value.message
    assert caught.value.details["epochs_done"] == 0
