"""One process of a training on several machines."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Iterator, Optional

from kerasbridge.cluster.folder import SILENT, Folder


def main(path: str, number: int) -> None:
    """Train as the folder says, as worker `number` (from 0); never returns."""
    folder = Folder(path)
    threading.Thread(target=_end_with_driver, args=(folder,), daemon=True).start()
    task = folder.read("task.json")
    try:
        _train(folder, task, number)
    except BaseException as error:
        import traceback

        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        folder.write(f"failed-{task['attempt']}-{number}", {"message": message[:2000]})
        os._exit(1)
    folder.write(f"done-{task['attempt']}-{number}", True)
    while True:  # the coordinator may not go before the others have ended: the driver ends all
        time.sleep(1)


def _end_with_driver(folder: Folder) -> None:
    """End this process when the driver has given no sign for a while, or has removed the folder."""
    seen, since = None, time.monotonic()
    while True:
        try:
            now = (folder.path / "driver").read_bytes()
        except OSError:
            now = None
        if now is not None and now != seen:
            seen, since = now, time.monotonic()
        if time.monotonic() - since > SILENT:
            os._exit(3)
        time.sleep(1)


def _train(folder: Folder, task: dict, number: int) -> None:
    import jax
    import keras

    from kerasbridge import saving

    count = task["workers"]
    if count > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        keras.distribution.initialize(task["coordinator"], count, number)
    devices = jax.devices()
    mesh = keras.distribution.DeviceMesh((len(devices),), ["batch"], [_name(d) for d in devices])
    everywhere = keras.distribution.DataParallel(device_mesh=mesh, auto_shard_dataset=False)
    keras.distribution.set_distribution(everywhere)
    begun = folder.checkpoint if folder.epochs() else folder.model
    keras.utils.set_random_seed(task["seed"])
    model = saving.load_model(str(begun), allow=task["allow"] or ())
    data = folder.read_object("data.pickle")
    validation = folder.read_object("validation.pickle")
    for epoch in range(len(folder.epochs()), task["epochs"]):
        started = time.perf_counter()
        keras.utils.set_random_seed((task["seed"] + 1 + epoch) % 2**32)
        share = Share(data, task, number, len(devices), epoch)
        logs = _epoch(model, share)
        left_out = share.left_out
        if validation is not None:
            share = Share(validation, {**task, "shuffle": False}, number, len(devices), 0)
            scores = model.evaluate(_dataset(share), verbose=0, return_dict=True)
            logs.update({f"val_{name}": float(value) for name, value in scores.items()})
        if number == 0:
            _save(model, folder.checkpoint, everywhere)
            row = {"epoch": epoch, "logs": logs, "seconds": time.perf_counter() - started}
            row["left_out"] = left_out
            folder.write("epochs.json", [*folder.epochs(), row])
    if number == 0:
        _save(model, folder.final, everywhere)


def _save(model: Any, path: Any, everywhere: Any) -> None:
    """Write the model from this worker alone.

    What is made meanwhile stays on this worker: a variable for all of them would wait for the others.
    """
    import keras

    from kerasbridge import saving

    keras.distribution.set_distribution(None)
    try:
        saving.save_model(model, str(path), overwrite=True)
    finally:
        keras.distribution.set_distribution(everywhere)


def _name(device: Any) -> str:
    return f"{'gpu' if device.platform in ('gpu', 'cuda', 'rocm') else 'cpu'}:{device.id}"


def _epoch(model: Any, share: Share) -> dict:
    history = model.fit(_dataset(share), epochs=1, verbose=0, shuffle=False).history
    return {name: float(values[-1]) for name, values in history.items()}


class Share:
    """The part of each batch of one epoch that belongs to one worker.

    Attributes:
        left_out: rows of the last batch that could not be given to all devices alike.
    """

    def __init__(self, data: Any, task: dict, number: int, devices: int, epoch: int):
        self._data, self._task, self._number, self._epoch = data, task, number, epoch
        self._devices = devices
        rows = data.samples if hasattr(data, "samples") else _rows(data)
        size = task["batch_size"] or getattr(data, "batch_size", None) or 32
        self._size, self._rows = size, rows
        self.left_out = (rows % size) % devices
        whole = rows % size - self.left_out
        self.steps = rows // size + (1 if whole else 0)

    def batches(self) -> Iterator[tuple]:
        """This worker's rows of one batch after the other."""
        for batch in self._whole():
            rows = _rows(batch)
            rows -= rows % self._devices
            if not rows:
                return
            part = rows // self._task["workers"]
            first = part * self._number
            yield _cut(batch, slice(first, first + part))

    def _whole(self) -> Iterator[tuple]:
        data, task = self._data, self._task
        if hasattr(data, "batches"):
            source = data.with_batch_size(self._size)
            source.epoch = self._epoch
            yield from source.batches(None if task["shuffle"] else False)
            return
        import numpy as np

        order = np.arange(self._rows)
        if task["shuffle"]:
            order = np.random.default_rng([task["seed"], self._epoch]).permutation(self._rows)
        for first in range(0, self._rows, self._size):
            yield _cut(data, order[first : first + self._size])


def _rows(data: Any) -> int:
    return next(len(leaf) for leaf in _leaves(data) if leaf is not None)


def _leaves(data: Any) -> Iterator[Any]:
    if isinstance(data, dict):
        data = list(data.values())
    if isinstance(data, (list, tuple)):
        for part in data:
            yield from _leaves(part)
    else:
        yield data


def _cut(data: Any, rows: Any) -> Any:
    if isinstance(data, dict):
        return {name: _cut(part, rows) for name, part in data.items()}
    if isinstance(data, (list, tuple)):
        return tuple(_cut(part, rows) for part in data)
    return None if data is None else data[rows]


def _dataset(share: Share) -> Any:
    import keras

    class Batches(keras.utils.PyDataset):
        """Batches in their order, one after the other."""

        def __init__(self) -> None:
            super().__init__()
            self._at = -1
            self._stream: Optional[Iterator] = None
            self._held: Any = None

        def __len__(self) -> int:
            return share.steps

        def __getitem__(self, index: int) -> tuple:
            if index == self._at:
                return self._held
            if self._stream is None or index != self._at + 1:
                self._stream, self._at = share.batches(), -1
            while self._at < index:
                self._held = next(self._stream)
                self._at += 1
            return self._held

    return Batches()
