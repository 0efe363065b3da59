"""Batches of images, decoded and changed by several threads at once."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterator, Optional, Sequence

import numpy as np

from kerasbridge.data.blocks import Blocks, cores
from kerasbridge.data.decode import CHANNELS, decode, pillow, resampling
from kerasbridge.data.sources.base import IndexSource
from kerasbridge.errors import ArgumentError, FileError, KerasBridgeError

_LIMIT = 8  # threads
_SAME_TIME = 8  # images a thread takes at once
_pool: Optional[ThreadPoolExecutor] = None
_pool_of = 0
_lock = threading.Lock()
_blocks = Blocks()


def _threads() -> ThreadPoolExecutor:
    """The threads that all batches share; a forked process makes its own."""
    global _pool, _pool_of
    with _lock:
        if _pool is None or _pool_of != os.getpid():
            _pool = ThreadPoolExecutor(min(_LIMIT, cores()), "kerasbridge-images")
            _pool_of = os.getpid()
        return _pool


class FileImages:
    """Images in files, brought to one size."""

    def __init__(
        self, files: Sequence, target_size: Sequence[int], color_mode: str, interpolation: str
    ):
        self.files = [str(file) for file in files]
        self.size = (int(target_size[0]), int(target_size[1]))
        self.color_mode = color_mode
        self.way = resampling(interpolation)
        self.shape = (*self.size, CHANNELS[color_mode])

    def __len__(self) -> int:
        return len(self.files)

    def put(self, i: int, out: np.ndarray, augmentation: Any, change: dict) -> None:
        """Image i with its changes into `out` (height, width, channels), float32."""
        image = decode(self.files[i], self.color_mode, self.size)
        out[...] = augmentation.apply_to(image, self.size, change, self.way)
        augmentation.colour(out, change)

    def check(self, i: int) -> None:
        decode(self.files[i], self.color_mode, self.size)


class ArrayImages:
    """Images of an array (n, height, width, channels), float32."""

    def __init__(self, x: np.ndarray):
        self.x = x
        self.shape = tuple(x.shape[1:])

    def __len__(self) -> int:
        return len(self.x)

    def put(self, i: int, out: np.ndarray, augmentation: Any, change: dict) -> None:
        out[...] = augmentation.apply(self.x[i], change)

    def check(self, i: int) -> None:
        """Every image of an array can be read."""


class ImageBatches(IndexSource):
    """Batches of images that `images` reads.

    The random changes of an image depend on `seed`, the epoch and its number only, so that they are
    the same however many threads read.

    Args:
        images: a `FileImages` or `ArrayImages`.
        generator: an `ImageGenerator`.
        labels: None, an array with a row for each image, a list of such arrays, or "input" (the
            image itself).
        weights: None or an array with a weight for each image.
        save_to_dir, save_prefix, save_format: where the changed images go as files, to look at.
        batch_size, shuffle, seed, validation_split, buffer_size, on_error: as for `Source`;
            `validation_split` takes the last part of each class.
        known: attributes of the result, such as `class_indices`.
    """

    def __init__(
        self,
        images: Any,
        generator: Any,
        labels: Any = None,
        weights: Any = None,
        save_to_dir: Optional[str] = None,
        save_prefix: str = "",
        save_format: str = "png",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: Optional[int] = None,
        validation_split: float = 0.0,
        buffer_size: Optional[int] = None,
        on_error: str = "stop",
        **known: Any,
    ):
        super().__init__(batch_size, shuffle, seed, validation_split, buffer_size, on_error)
        if save_to_dir is not None and not os.path.isdir(save_to_dir):
            raise FileError(f"There is no folder '{save_to_dir}'.", argument="save_to_dir")
        self.images, self.image_data_generator = images, generator
        self.labels, self.weights = labels, weights
        self.save_to_dir, self.save_prefix, self.save_format = save_to_dir, save_prefix, save_format
        self.__dict__.update(known)
        self._ready()

    @property
    def n(self) -> int:
        """The older name of `samples`."""
        return self.samples

    def count(self) -> int:
        return len(self.images)

    def split(self, share: float) -> tuple:
        from kerasbridge.data.sources.text import split_by_class

        return split_by_class(self, share, getattr(self, "classes", None))

    def _readable(self, rows: np.ndarray) -> np.ndarray:
        def trouble(row: int) -> Optional[str]:
            try:
                self.images.check(int(row))
            except KerasBridgeError as error:
                return str(error.message)
            return None

        found = list(_threads().map(trouble, rows))
        for sentence in filter(None, found):
            self._skip(1, sentence)
        return np.array([sentence is None for sentence in found])

    def load(self, rows: np.ndarray) -> tuple:
        """Images, labels and weights with these numbers, each changed as its turn says."""
        return self._begun(rows)()

    def windows(self, shuffle: Optional[bool] = None, start: int = 0) -> Iterator[Any]:
        # the threads begin with the next window before the last images of this one are done
        order = self._order(self.shuffle if shuffle is None else shuffle)
        size = self.window_rows(self.first_rows(1))
        begun = None
        for at in range(start, len(order), size):
            window, begun = begun, self._begun(order[at : at + size])
            if window is not None:
                yield window()
        if begun is not None:
            yield begun()

    def _begun(self, rows: np.ndarray) -> Callable[[], tuple]:
        """The threads begin with these images; what is returned waits for them."""
        generator, epoch = self.image_data_generator, self.epoch
        own = generator.preprocessing_function is not None
        x = _blocks.empty((len(rows), *self.images.shape))
        changes = self._changes(rows)

        def some(first: int) -> None:
            for at in range(first, min(first + _SAME_TIME, len(rows))):
                i = int(rows[at])
                self.images.put(i, x[at], generator.augmentation, changes[at])
                if not own:
                    self._finish(x, at, i, epoch)

        starts = range(0, len(rows), _SAME_TIME)
        parts = [_threads().submit(some, first) for first in starts] if len(starts) > 1 else []

        def done() -> tuple:
            if not parts:
                some(0)
            try:
                for part in parts:
                    part.result()
            finally:  # after an error, or when nobody waits any longer
                for part in parts:
                    part.cancel()
            if own:  # on the thread that asks: the function may be one of R
                for at, row in enumerate(rows):
                    self._finish(x, at, int(row), epoch)
            finished = x
            if generator.data_format == "channels_first":
                finished = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
            return self._with_labels(finished, rows)

        return done

    def _changes(self, rows: np.ndarray) -> list:
        """The random changes of each of these images, by seed, epoch and number of the image.

        A generator that is moved on to the place of an image is ready much sooner than one made for it.
        """
        bits = np.random.PCG64([self.seed, self.epoch])
        rng, start = np.random.Generator(bits), bits.state
        augmentation, shape, out = self.image_data_generator.augmentation, self.images.shape, []
        for row in rows:
            bits.state = start
            bits.advance(int(row) << 8)
            out.append(augmentation.draw(shape, rng))
        return out

    def _finish(self, x: np.ndarray, at: int, i: int, epoch: int) -> None:
        generator = self.image_data_generator
        image = generator.scaled(generator.prepare(x[at]))
        if image.base is not x:
            x[at] = image
        if self.save_to_dir is not None:
            self._save(x[at], i, epoch)

    def _with_labels(self, x: np.ndarray, rows: np.ndarray) -> tuple:
        if self.labels is None:
            return (x,)
        y: Any
        if isinstance(self.labels, str):
            y = x.copy()
        elif isinstance(self.labels, list):
            y = tuple(part[rows] for part in self.labels)
        else:
            y = self.labels[rows]
        return (x, y) if self.weights is None else (x, y, self.weights[rows])

    def first_rows(self, rows: int = 2) -> tuple:
        """Blank images with labels: what they are like is known without reading any."""
        rows = min(rows, self.samples)
        shape = self.images.shape
        if self.image_data_generator.data_format == "channels_first":
            shape = (shape[2], *shape[:2])
        return self._with_labels(np.zeros((rows, *shape), np.float32), self._rows[:rows])

    def _save(self, image: np.ndarray, i: int, epoch: int) -> None:
        low, high = float(image.min()), float(image.max())
        values = ((image - low) * (255.0 / (high - low) if high > low else 1.0)).astype(np.uint8)
        name = f"{self.save_prefix}_{i}_{epoch}.{self.save_format}"
        picture = pillow().fromarray(values[..., 0] if values.shape[-1] == 1 else values)
        picture.save(os.path.join(self.save_to_dir, name))


def check_size(size: Any) -> None:
    if len(size) != 2 or min(size) < 1:
        raise ArgumentError("`target_size` must be height and width.", argument="target_size")
