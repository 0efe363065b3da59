"""One process of a training on several machines."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any, Callable, Iterator, Optional

from kerasbridge.cluster import addresses
from kerasbridge.cluster.folder import SILENT, Folder
from kerasbridge.environment import graphics
from kerasbridge.errors import ArgumentError, KerasBridgeError

WORD = 1.0  # seconds between two signs of progress


def main(path: str, number: int, attempt: int) -> None:
    """Train as the folder says, as worker `number` (from 0) of an attempt; never returns."""
    folder = Folder(path)
    task = folder.read("task.json")
    if task is None:
        _leave(f"There is no task in {folder.path}: this machine doesn't share that folder.", 4)
    if task["attempt"] != attempt:
        _leave("This attempt is over.", 3)
    threading.Thread(target=_end_with_driver, args=(folder, attempt), daemon=True).start()
    os.environ.update(own_cards(*task["places"][number]))
    try:
        _train(folder, task, number)
    except BaseException as error:
        import traceback

        traceback.print_exc()
        said = {
            "message": f"{type(error).__name__}: {error}"[:2000],
            "wrong": isinstance(error, KerasBridgeError),
            "hint": getattr(error, "hint", None),
            "argument": getattr(error, "argument", None),
        }
        if said["wrong"]:
            said["message"] = error.message
        folder.write(folder.failure(number, attempt).name, said)
        os._exit(1)
    folder.write(f"done-{attempt}-{number}", True)
    while True:  # the coordinator may not go before the others have ended: the driver ends all
        time.sleep(1)


def _leave(word: str, status: int) -> None:
    print(word, file=sys.stderr, flush=True)
    os._exit(status)


def _end_with_driver(folder: Folder, attempt: int) -> None:
    """End this process when the driver is done with this attempt or has given no sign for a while."""
    seen, since = None, time.monotonic()
    while True:
        said = folder.driver()
        if said is not None and said[0] != attempt:
            os._exit(3)
        if said is not None and said != seen:
            seen, since = said, time.monotonic()
        if time.monotonic() - since > SILENT:
            os._exit(3)
        time.sleep(1)


def own_cards(rank: int, count: int) -> dict:
    """The variable that gives worker `rank` of `count` on one machine cards of its own, if there are any.

    Two processes can't compute together on one card: with too few cards, all use the processor.
    """
    cards = [str(index) for index in range(len(graphics.status()["devices"]))]
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if cards and shown is not None:
        cards = [part.strip() for part in shown.split(",") if part.strip() not in ("", "-1")]
    share = len(cards) // count
    if not share:
        return {"JAX_PLATFORMS": "cpu"}
    return {"CUDA_VISIBLE_DEVICES": ",".join(cards[rank * share : (rank + 1) * share])}


def _train(folder: Folder, task: dict, number: int) -> None:
    import jax
    import keras

    from kerasbridge import saving

    count = task["workers"]
    if count > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        addresses.tell(task["hosts"], number)
        keras.distribution.initialize(task["coordinator"], count, number)
    everywhere = _distribution(jax.devices())
    keras.distribution.set_distribution(everywhere)
    done = len(folder.epochs())
    begun = folder.checkpoint(done) if done else folder.model
    keras.utils.set_random_seed(task["seed"])
    model = saving.load_model(str(begun), allow=task["allow"] or ())
    told = _Told(folder) if number == 0 else None
    shares = [
        data if data is None else Share(data, {**task, **own}, number, len(jax.devices()), told)
        for data, own in (
            (folder.read_object("data.pickle"), {}),
            (folder.read_object("validation.pickle"), {"shuffle": False}),
        )
    ]
    for epoch in range(done, task["epochs"]):
        started = time.perf_counter()
        keras.utils.set_random_seed((task["seed"] + 1 + epoch) % 2**32)
        logs = _run(model, "train", shares[0], epoch, everywhere)
        if shares[1] is not None:
            scores = _run(model, "test", shares[1], 0, everywhere)
            logs.update({f"val_{name}": value for name, value in scores.items()})
        if number == 0:
            _save(model, folder.checkpoint(epoch + 1), everywhere)
            seconds = time.perf_counter() - started
            folder.add_epoch({"epoch": epoch, "logs": logs, "seconds": seconds})
    if number == 0:
        _save(model, folder.final, everywhere)


def _distribution(devices: list) -> Any:
    """Every device has all weights and a part of the batch, or with `whole` all of the batch."""
    import keras

    class Everywhere(keras.distribution.DataParallel):
        whole = False

        def get_data_layout(self, data_shape: Any) -> Any:
            if self.whole:
                return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
            return super().get_data_layout(data_shape)

    mesh = keras.distribution.DeviceMesh((len(devices),), ["batch"], [_name(d) for d in devices])
    return Everywhere(device_mesh=mesh, auto_shard_dataset=False)


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


def _run(model: Any, kind: str, share: Share, epoch: int, everywhere: Any) -> dict:
    """One epoch of training, or one evaluation; what the model reports of all of it.

    Batches whose rows go to all devices alike are Keras' to run. A remainder at the end is computed whole
    on every device: each has the gradients and losses of all of its rows, as one device alone would.
    """
    logs = {}
    share.begin(epoch)
    if share.steps:
        logs = _keras(model, kind, _dataset(share.take, share.steps, share.begin))
    else:
        model.reset_metrics()
    rest = share.rest()
    if rest is not None:
        everywhere.whole = True
        object.__setattr__(
            model, "reset_metrics", lambda: None
        )  # metrics go on from where they are
        try:
            logs = _keras(model, kind, _dataset(lambda: rest, 1))
        finally:
            object.__delattr__(model, "reset_metrics")
            everywhere.whole = False
    return {name: float(value) for name, value in logs.items()}


def _keras(model: Any, kind: str, batches: Any) -> dict:
    if kind == "test":
        return model.evaluate(batches, verbose=0, return_dict=True)
    history = model.fit(batches, epochs=1, verbose=0, shuffle=False).history
    return {name: values[-1] for name, values in history.items()}


class _Told:
    """A sign of progress for the driver, now and then."""

    def __init__(self, folder: Folder):
        self._folder, self._at, self._steps = folder, 0.0, 0

    def __call__(self) -> None:
        self._steps += 1
        if time.monotonic() - self._at > WORD:
            self._at = time.monotonic()
            self._folder.write("steps", self._steps)


class Share:
    """One worker's part of the batches of an epoch.

    Args:
        data: (x, y), (x, y, sample_weight) or a source.
        devices: how many there are on all workers together.
        told: called at each batch.

    Raises:
        ArgumentError: whole batches can't be given to all devices alike.

    Attributes:
        steps: batches that can; the last may be a short one.
    """

    def __init__(
        self, data: Any, task: dict, number: int, devices: int, told: Optional[Callable] = None
    ):
        self._data, self._task, self._number, self._told = data, task, number, told
        rows = data.samples if hasattr(data, "samples") else _rows(data)
        self._size = batch_size_of(data, task["batch_size"])
        self._rows, self._epoch = rows, 0
        if rows >= self._size:
            check_size(self._size, devices)
        last = rows % self._size
        self._uneven = bool(last % devices)
        self.steps = rows // self._size + (1 if last and not self._uneven else 0)
        self._stream: Iterator = iter(())

    def begin(self, epoch: Optional[int] = None) -> None:
        """The batches of an epoch, from the first one; of the same epoch again if None."""
        self._epoch = self._epoch if epoch is None else epoch
        self._stream = self._whole()

    def take(self) -> tuple:
        """This worker's rows of the next batch."""
        if self._told is not None:
            self._told()
        batch = next(self._stream)
        part = _rows(batch) // self._task["workers"]
        first = part * self._number
        return _cut(batch, slice(first, first + part))

    def rest(self) -> Optional[tuple]:
        """All rows of the short batch at the end where they can't be given to all devices alike."""
        return next(self._stream) if self._uneven else None

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


def batch_size_of(data: Any, batch_size: Optional[int]) -> int:
    """Rows a batch, of all workers together."""
    return batch_size or getattr(data, "batch_size", None) or 32


def check_size(size: int, devices: int) -> None:
    """A batch can be given to all devices alike.

    Raises:
        ArgumentError: it can't.
    """
    if size % devices:
        raise ArgumentError(
            f"`batch_size` is {size}, which can't be given to {devices} devices alike.",
            hint=f"Take a multiple of {devices}, such as {max(size - size % devices, devices)}.",
            argument="batch_size",
        )


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


def _dataset(take: Callable[[], tuple], steps: int, again: Optional[Callable] = None) -> Any:
    """What `take` gives, as Keras takes it; `again` goes back to the first batch."""
    import keras

    class Batches(keras.utils.PyDataset):
        """Batches in their order, one after the other."""

        def __init__(self) -> None:
            super().__init__()
            self._at, self._held = -1, None

        def __len__(self) -> int:
            return steps

        def __getitem__(self, index: int) -> tuple:
            if index < self._at:  # Keras looks at the first batch before it begins
                again()
                self._at = -1
            while self._at < index:
                self._held = take()
                self._at += 1
            return self._held

    return Batches()
