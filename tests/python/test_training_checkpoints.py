"""Callbacks that write files: whole or not at all, resumable, under the paths people give."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ENGINE
from kerasbridge.errors import ArgumentError, FileError
from kerasbridge.saving import load_model, load_weights
from kerasbridge.training import (
    BackupAndRestore,
    BestWeights,
    CSVLogger,
    ModelCheckpoint,
    best_weights,
    fit,
    latest_checkpoint,
)

X = np.random.default_rng(0).random((24, 3), "float32")
Y = X.sum(1)


def small(rate=0.01):
    keras.utils.set_random_seed(1)
    m = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    m.compile(keras.optimizers.Adam(rate), "mse")
    return m


def names(folder):
    return sorted(entry.name for entry in os.scandir(folder))


class Die(keras.callbacks.Callback):
    """Stands for a process that ends in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise SystemError("died")


def test_templates_get_the_right_ending(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    m = small()
    fit(
        m,
        X,
        Y,
        epochs=2,
        verbose=0,
        callbacks=ModelCheckpoint("~/new folder/{epoch:02d}-{loss:.2f}"),
    )
    made = names(tmp_path / "new folder")
    assert len(made) == 2 and made[0].startswith("01-") and made[1].endswith(".keras")
    assert load_model(tmp_path / "new folder" / made[1]).optimizer.iterations == 2
    assert ModelCheckpoint("w", save_weights_only=True).filepath == "w.weights.h5"
    assert ModelCheckpoint("w.hdf5", save_weights_only=True).filepath == "w.hdf5"
    for path, only in (("m.txt", False), ("m.weights.h5", False), ("m.keras", True)):
        with pytest.raises(ArgumentError, match=os.path.basename(path)):
            ModelCheckpoint(path, save_weights_only=only)


def test_a_name_that_is_not_reported_is_said(tmp_path):
    with pytest.raises(ArgumentError, match="names 'val_loss'.*doesn't report") as caught:
        fit(small(), X, Y, verbose=0, callbacks=ModelCheckpoint(tmp_path / "{val_loss:.2f}.keras"))
    assert "epoch, loss" in caught.value.hint


def test_an_older_layout_of_weights_can_be_written(tmp_path):
    m = small()
    fit(m, X, Y, verbose=0, callbacks=ModelCheckpoint(tmp_path / "w.h5", save_weights_only=True))
    other = load_weights(small(), tmp_path / "w.h5", by_name=False)
    np.testing.assert_array_equal(other.predict(X, verbose=0), m.predict(X, verbose=0))


def test_the_best_only_is_kept(tmp_path):
    path = tmp_path / "best.keras"
    m = small(rate=2.0)
    logs = []
    watcher = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, log: logs.append((log["loss"], m.get_weights()))
    )
    best = BestWeights(monitor="loss")
    fit(
        m, X, Y, epochs=8, verbose=0,
        callbacks=[watcher, ModelCheckpoint(path, monitor="loss", save_best_only=True), best],
    )  # fmt: skip
    wanted = int(np.argmin([loss for loss, _ in logs]))
    assert wanted != 7, "the case must not be one where the last epoch is the best"
    for array, kept, stored in zip(
        logs[wanted][1], best_weights(best), load_model(path).get_weights()
    ):
        np.testing.assert_array_equal(array, kept)
        np.testing.assert_array_equal(array, stored)
    assert best.best_epoch == wanted + 1 and best.best == logs[wanted][0]
    with pytest.raises(ArgumentError, match="keeps no weights"):
        best_weights(watcher)
    with pytest.raises(ArgumentError, match="No weights are kept yet"):
        best_weights(BestWeights())
    assert names(tmp_path) == ["best.keras"]


def test_best_weights_go_back_on_request():
    m = small(rate=2.0)
    best = BestWeights(monitor="loss", restore=True)
    fit(m, X, Y, epochs=8, verbose=0, callbacks=best)
    for array, kept in zip(m.get_weights(), best_weights(best)):
        np.testing.assert_array_equal(array, kept)


def test_the_newest_is_found(tmp_path):
    template = tmp_path / "run-{epoch:d}.keras"
    assert latest_checkpoint(template) is None
    fit(small(), X, Y, epochs=2, verbose=0, callbacks=ModelCheckpoint(template))
    open(tmp_path / ".kerasbridge-00000000-1-0-ab.keras", "w").close()
    open(tmp_path / "run-best.keras", "w").close()
    os.utime(tmp_path / "run-1.keras", ns=(1, 5))
    os.utime(tmp_path / "run-2.keras", ns=(1, 5))
    os.utime(tmp_path / "run-best.keras", ns=(1, 4))
    found = latest_checkpoint(template)
    assert found == {"path": str(tmp_path / "run-2.keras"), "epoch": 2}
    assert latest_checkpoint(tmp_path / "run-{epoch}")["path"] == found["path"]
    os.utime(tmp_path / "run-best.keras", ns=(1, 9))
    assert latest_checkpoint(tmp_path) == {"path": str(tmp_path / "run-best.keras"), "epoch": None}
    with pytest.raises(FileError, match="does not exist"):
        latest_checkpoint(tmp_path / "none" / "{epoch}.keras")


@pytest.mark.parametrize("ours", [True, False])
def test_a_training_goes_on_where_it_stopped(tmp_path, ours):
    whole = small()
    fit(whole, X, Y, epochs=4, shuffle=False, verbose=0)
    make = BackupAndRestore if ours else keras.callbacks.BackupAndRestore
    folder = tmp_path / "backup"
    with pytest.raises(SystemError):
        fit(small(), X, Y, epochs=4, shuffle=False, verbose=0, callbacks=[make(folder), Die(2)])
    assert names(folder) == ["latest.weights.h5", "training_metadata.json"]
    assert json.loads((folder / "training_metadata.json").read_text())["epoch"] == 2
    (folder / "letter.txt").write_text("dear")
    again = small()
    history = fit(again, X, Y, epochs=4, shuffle=False, verbose=0, callbacks=make(folder))
    assert len(history.epoch) == 2
    np.testing.assert_allclose(again.predict(X, verbose=0), whole.predict(X, verbose=0), rtol=1e-5)
    # files of other people are left, and a second training begins at its own beginning
    assert names(folder) == ["letter.txt"]
    assert len(fit(again, X, Y, epochs=3, verbose=0).epoch) == 3


def test_a_damaged_backup_falls_back_or_is_said(tmp_path):
    folder = tmp_path / "backup"
    with pytest.raises(SystemError):
        fit(
            small(), X, Y, epochs=4, verbose=0,
            callbacks=[BackupAndRestore(folder, double_checkpoint=True), Die(3)],
        )  # fmt: skip
    assert len(names(folder)) == 4
    (folder / "latest.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\nbroken")
    back = BackupAndRestore(folder, double_checkpoint=True)
    assert len(fit(small(), X, Y, epochs=4, verbose=0, callbacks=back).epoch) == 2
    folder.mkdir()
    (folder / "latest.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\nbroken")
    with pytest.raises(FileError, match="backup in .* can't be used"):
        fit(small(), X, Y, verbose=0, callbacks=BackupAndRestore(folder))
    with pytest.raises(ArgumentError, match="no input shape yet"):
        back = BackupAndRestore(tmp_path / "b")
        back.set_model(keras.Sequential([keras.layers.Dense(1)]))
        back.on_train_begin()


def test_batches_can_be_backed_up(tmp_path):
    folder = tmp_path / "backup"
    seen = []
    look = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(folder.exists())
    )
    back = BackupAndRestore(folder, save_freq=2)
    fit(small(), X, Y, batch_size=8, epochs=1, verbose=0, callbacks=[back, look])
    assert seen == [False, True, True]


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("separator", [",", ";"])
def test_the_log_is_that_of_keras(tmp_path, separator):
    for name, make in (("ours.csv", CSVLogger), ("keras.csv", keras.callbacks.CSVLogger)):
        m = small()
        call = m.fit if name == "keras.csv" else (lambda *a, **k: fit(m, *a, **k))  # noqa: B023
        for append in (False, True):
            call(
                X, Y, epochs=2, verbose=0, shuffle=False, validation_data=(X, Y),
                callbacks=[make(tmp_path / name, separator=separator, append=append)],
            )  # fmt: skip
    ours, theirs = ((tmp_path / n).read_text().splitlines() for n in ("ours.csv", "keras.csv"))
    assert len(ours) == 5
    assert [line.split(separator)[0] for line in ours] == ["epoch", "0", "1", "0", "1"]
    assert ours[0] == theirs[0]
    for one, two in zip(ours[1:], theirs[1:]):
        numbers = [[float(v) for v in line.split(separator)] for line in (one, two)]
        np.testing.assert_allclose(numbers[0], numbers[1], rtol=1e-4)


def test_an_older_log_stays_until_there_is_a_new_one(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n0,1.5\n1,1.2")
    with pytest.raises(SystemError):
        fit(small(), X, Y, verbose=0, callbacks=[CSVLogger(path), Die(0)])
    assert path.read_text().startswith("epoch,loss\n0,1.5")
    # the line that a killed process cut short goes when the log is continued
    fit(small(), X, Y, verbose=0, callbacks=CSVLogger(path, append=True))
    assert [row["epoch"] for row in rows(path)] == ["0", "0"]
    with pytest.raises(FileError, match="does not exist") as caught:
        fit(small(), X, Y, verbose=0, callbacks=CSVLogger(tmp_path / "none" / "log.csv"))
    assert caught.value.argument == "filename"


_TRAINER = """
import sys, numpy as np, keras
from kerasbridge.training import fit
folder = sys.argv[1] + "/"
x = np.random.default_rng(0).random((8, 3), "float32")
m = keras.Sequential([keras.Input((3,)), keras.layers.Dense(64), keras.layers.Dense(1)])
m.compile("adam", "mse")
class Started(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            print("ready", flush=True)
fit(m, x, x[:, 0], epochs=100000, verbose=0, callbacks=[
    keras.callbacks.ModelCheckpoint(folder + "m.keras"),
    keras.callbacks.ModelCheckpoint(folder + "w.weights.h5", save_weights_only=True),
    keras.callbacks.BackupAndRestore(folder + "backup"),
    keras.callbacks.CSVLogger(folder + "log.csv", append=True),
    Started(),
])
"""


def test_a_training_killed_at_any_moment_leaves_whole_files(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ENGINE)}
    child = subprocess.Popen(
        [sys.executable, "-c", _TRAINER, str(tmp_path)], stdout=subprocess.PIPE, env=env
    )
    try:
        assert child.stdout.readline().strip() == b"ready"
        for moment in range(12):
            # stopped, every file is in the state in which a kill would leave it
            try:
                child.wait(0.011 * (moment + 1))
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGSTOP)
            assert load_model(tmp_path / "m.keras").count_params() == 321
            load_weights(load_model(tmp_path / "m.keras"), tmp_path / "w.weights.h5")
            child.send_signal(signal.SIGCONT)
    finally:
        child.kill()
        child.wait(30)
    lines = (tmp_path / "log.csv").read_bytes()
    assert lines.endswith(b"\n") and all(len(line.split(b",")) == 3 for line in lines.splitlines())
    m = load_model(tmp_path / "m.keras")
    back = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(SystemError):
        fit(m, X, Y, epochs=10**6, verbose=0, callbacks=[back, Die(len(lines.splitlines()) + 1)])
    assert not [name for name in names(tmp_path / "backup") if name.startswith(".")]
    fit(m, X, Y, verbose=0, callbacks=ModelCheckpoint(tmp_path / "m.keras"))
    assert names(tmp_path) == ["backup", "log.csv", "m.keras", "w.weights.h5"]
