"""Batches of images from arrays, folders and tables, changed at random and standardized."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Optional, Sequence

import numpy as np

from kerasbridge.data.augment import Augmentation
from kerasbridge.errors import ArgumentError, DataError, FileError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff", ".gif")
CLASS_MODES = ("categorical", "binary", "sparse", "input", "raw", "other", "multi_output", None)
_MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}


def _pillow():
    try:
        from PIL import Image
    except ImportError:
        from kerasbridge.errors import InstallError

        raise InstallError("Reading images needs Pillow.", hint="pip install pillow") from None
    return Image


def read_image(
    path: Any, size: Optional[Sequence[int]], color_mode: str, interpolation: str = "nearest"
) -> np.ndarray:
    """An image file as float32 (height, width, channels), resized to `size` (height, width).

    Raises:
        FileError: the file is missing or no image.
    """
    pillow = _pillow()
    ways = {
        name.lower(): getattr(pillow.Resampling, name)
        for name in ("NEAREST", "BILINEAR", "BICUBIC", "LANCZOS", "BOX", "HAMMING")
    }
    if interpolation not in ways:
        raise ArgumentError(
            f"`interpolation` must be one of {', '.join(ways)}, not {interpolation!r}.",
            argument="interpolation",
        )
    try:
        with pillow.open(path) as file:
            wanted = None if size is None else (int(size[1]), int(size[0]))
            if wanted and interpolation != "nearest":
                file.draft(_MODES[color_mode], wanted)  # a JPEG is made smaller while it is decoded
            image = file if file.mode == _MODES[color_mode] else file.convert(_MODES[color_mode])
            if wanted and image.size != wanted:
                image = image.resize(wanted, ways[interpolation])
            array = np.asarray(image, dtype=np.float32)
    except (OSError, ValueError, SyntaxError) as exc:
        raise FileError(
            f"'{path}' can't be read as an image.",
            argument="directory",
            details={"file": str(path)},
        ) from exc
    return array[..., None] if array.ndim == 2 else array


class ImageGenerator:
    """How images are changed and standardized.

    Args:
        featurewise_center, featurewise_std_normalization, zca_whitening, zca_epsilon: use what
            `fit` learns: mean and deviation of each channel, ZCA of the pixels.
        samplewise_center, samplewise_std_normalization: use those of each image itself.
        rescale: factor for all values.
        preprocessing_function: (height, width, channels) -> the same shape; runs before `rescale`,
            always on the thread that asks for a batch.
        data_format: "channels_last" or "channels_first", of what goes in and what comes out.
        validation_split: part of the images that the subset "validation" takes.
        changes: arguments of `Augmentation`.
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rescale: Optional[float] = None,
        preprocessing_function: Optional[Callable] = None,
        data_format: str = "channels_last",
        validation_split: float = 0.0,
        **changes: Any,
    ):
        if data_format not in ("channels_last", "channels_first"):
            raise ArgumentError(
                f"`data_format` must be 'channels_last' or 'channels_first', not {data_format!r}.",
                argument="data_format",
            )
        if not 0 <= validation_split < 1:
            raise ArgumentError(
                "`validation_split` must be from 0 up to, not including, 1.",
                argument="validation_split",
            )
        self.featurewise_center = featurewise_center or zca_whitening
        self.samplewise_center = samplewise_center or samplewise_std_normalization
        self.featurewise_std_normalization = featurewise_std_normalization
        self.featurewise_center |= featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rescale = rescale or None
        self.preprocessing_function = preprocessing_function
        self.data_format = data_format
        self.validation_split = float(validation_split)
        self.augmentation = Augmentation(**changes)
        self.mean: Optional[np.ndarray] = None
        self.std: Optional[np.ndarray] = None
        self.principal_components: Optional[np.ndarray] = None

    def __repr__(self) -> str:
        return "<ImageGenerator>"

    def last(self, x: Any) -> np.ndarray:
        """Images (n, height, width, channels) float32, whatever `data_format` they came in."""
        x = np.asarray(x, dtype=np.float32)
        if x.ndim != 4:
            raise DataError(
                f"Images must have 4 axes (image, height, width, channel), not {x.ndim}.",
                hint="Give grey images a last axis of length 1.",
                argument="x",
            )
        return x.transpose(0, 2, 3, 1) if self.data_format == "channels_first" else x

    def fit(
        self, x: Any, augment: bool = False, rounds: int = 1, seed: Optional[int] = None
    ) -> ImageGenerator:
        """Learn mean, deviation and whitening from images."""
        x = self.last(x)
        if augment:
            rng = np.random.default_rng(seed)
            x = np.stack([self.change(image, rng) for _ in range(rounds) for image in x])
        x = np.stack([self.prepare(image) for image in x])
        if self.featurewise_center:
            self.mean = x.mean(axis=(0, 1, 2))
            x = x - self.mean
        if self.featurewise_std_normalization:
            self.std = x.std(axis=(0, 1, 2))
            x = x / (self.std + 1e-6)
        if self.zca_whitening:
            flat = x.reshape(len(x), -1)
            u, s, _ = np.linalg.svd(flat.T @ flat / len(flat))
            self.principal_components = (u / np.sqrt(s + self.zca_epsilon)) @ u.T
        return self

    def change(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.augmentation.apply(image, self.augmentation.draw(image.shape, rng))

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """The part of standardizing that needs no statistics: own function, then `rescale`."""
        if self.preprocessing_function is not None:
            out = np.asarray(self.preprocessing_function(image), dtype=np.float32)
            if out.shape != image.shape:
                raise DataError(
                    f"`preprocessing_function` made shape {out.shape} of {image.shape}; it must "
                    "keep the shape.",
                    argument="preprocessing_function",
                )
            image = out
        return image if self.rescale is None else image * np.float32(self.rescale)

    def standardize(self, image: np.ndarray) -> np.ndarray:
        image = self.prepare(image)
        if self.samplewise_center:
            image = image - image.mean()
        if self.samplewise_std_normalization:
            image = image / (image.std() + np.float32(1e-6))
        if self.featurewise_center:
            self._need(self.mean)
            image = image - self.mean
        if self.featurewise_std_normalization:
            self._need(self.std)
            image = image / (self.std + np.float32(1e-6))
        if self.zca_whitening:
            self._need(self.principal_components)
            image = (image.reshape(1, -1) @ self.principal_components).reshape(image.shape)
        return image.astype(np.float32)

    def _need(self, value: Any) -> None:
        if value is None:
            raise DataError(
                "The generator has not seen the images whose statistics it is to use.",
                hint="Call fit_image_data_generator(generator, x) first.",
                argument="generator",
            )

    def bounds(self, n: int, subset: Optional[str]) -> tuple[int, int]:
        """First and one past the last of n images in a subset: validation comes first."""
        if subset is None:
            return 0, n
        if subset not in ("training", "validation"):
            raise ArgumentError(
                f"`subset` must be 'training' or 'validation', not {subset!r}.", argument="subset"
            )
        if not self.validation_split:
            raise ArgumentError(
                "`subset` needs a generator with a `validation_split`.", argument="subset"
            )
        cut = int(self.validation_split * n)
        return (0, cut) if subset == "validation" else (cut, n)


class ImageBatches:
    """Batches by number over `count` images that `load(i)` reads.

    The random changes of an image depend on `seed`, the epoch and its number only, so that they are
    the same however many threads read.

    Args:
        labels: None, an array with a row for each image, a list of such arrays, or "input" (the
            image itself).
        weights: None or an array with a weight for each image.
    """

    def __init__(
        self,
        load: Callable[[int], np.ndarray],
        count: int,
        generator: ImageGenerator,
        labels: Any = None,
        weights: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: Optional[int] = None,
        save_to_dir: Optional[str] = None,
        save_prefix: str = "",
        save_format: str = "png",
        **known: Any,
    ):
        if batch_size < 1:
            raise ArgumentError("`batch_size` must be at least 1.", argument="batch_size")
        if save_to_dir is not None and not os.path.isdir(save_to_dir):
            raise FileError(f"There is no folder '{save_to_dir}'.", argument="save_to_dir")
        self._load, self.samples, self.n = load, count, count
        self.image_data_generator = generator
        self.labels, self.weights = labels, weights
        self.batch_size, self.shuffle = batch_size, shuffle
        self.seed = int(np.random.SeedSequence().entropy % 2**32) if seed is None else int(seed)
        self.save_to_dir, self.save_prefix, self.save_format = save_to_dir, save_prefix, save_format
        self.epoch = 0
        self.__dict__.update(known)
        self._order = self._new_order()

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size)

    def _new_order(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self.samples)
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.samples)

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._order = self._new_order()

    def _one(self, i: int) -> np.ndarray:
        generator = self.image_data_generator
        rng = np.random.default_rng([self.seed, self.epoch, int(i)])
        image = generator.standardize(generator.change(self._load(int(i)), rng))
        if self.save_to_dir is not None:
            self._save(image, int(i))
        return image

    def _save(self, image: np.ndarray, i: int) -> None:
        low, high = float(image.min()), float(image.max())
        pixels = ((image - low) * (255.0 / (high - low) if high > low else 1.0)).astype(np.uint8)
        name = f"{self.save_prefix}_{i}_{self.epoch}.{self.save_format}"
        picture = _pillow().fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        picture.save(os.path.join(self.save_to_dir, name))

    def __getitem__(self, index: int) -> tuple:
        """Batch `index`: (images,), (images, labels) or (images, labels, weights)."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        if self.image_data_generator.preprocessing_function is None and len(rows) > 1:
            with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
                images = list(pool.map(self._one, rows))
        else:
            images = [self._one(i) for i in rows]
        x = np.stack(images)
        if self.image_data_generator.data_format == "channels_first":
            x = x.transpose(0, 3, 1, 2)
        if self.labels is None:
            return (x,)
        if isinstance(self.labels, str):
            y: Any = x.copy()
        elif isinstance(self.labels, list):
            y = tuple(part[rows] for part in self.labels)
        else:
            y = self.labels[rows]
        return (x, y) if self.weights is None else (x, y, self.weights[rows])


def flow(
    generator: ImageGenerator,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    subset: Optional[str] = None,
    **reading: Any,
) -> ImageBatches:
    """Batches of the images of an array."""
    x = generator.last(x)
    for name, part in (("y", y), ("sample_weight", sample_weight)):
        if part is not None and len(part) != len(x):
            raise DataError(f"`x` has {len(x)} images, `{name}` {len(part)} rows.", argument=name)
    first, end = generator.bounds(len(x), subset)
    _some(end - first, "x")
    x = x[first:end]
    y = None if y is None else np.asarray(y)[first:end]
    weights = None if sample_weight is None else np.asarray(sample_weight)[first:end]
    if weights is not None and y is None:
        raise ArgumentError("`sample_weight` needs `y` beside it.", argument="sample_weight")
    return ImageBatches(lambda i: x[i], len(x), generator, y, weights, **reading)


def _some(count: int, argument: str) -> None:
    if count < 1:
        raise DataError("There are no images to read.", argument=argument)


def _check_reading(color_mode: str, class_mode: Optional[str]) -> None:
    if color_mode not in _MODES:
        raise ArgumentError(
            f"`color_mode` must be one of {', '.join(_MODES)}, not {color_mode!r}.",
            argument="color_mode",
        )
    if class_mode not in CLASS_MODES:
        raise ArgumentError(
            "`class_mode` must be one of categorical, binary, sparse, input, raw, multi_output or "
            f"None, not {class_mode!r}.",
            argument="class_mode",
        )


def _class_labels(codes: np.ndarray, count: int, class_mode: Optional[str]) -> Any:
    if class_mode is None:
        return None
    if class_mode == "input":
        return "input"
    if class_mode == "categorical":
        return np.eye(count, dtype=np.float32)[codes]
    if class_mode == "binary" and count > 2:
        raise ArgumentError(
            f"`class_mode` = 'binary' is for two classes; there are {count}.",
            argument="class_mode",
        )
    return codes.astype(np.float32)


def _file_batches(
    generator: ImageGenerator, files: list, codes: np.ndarray, names: list, labels: Any,
    target_size: Sequence[int], color_mode: str, interpolation: str, base: Path, **reading: Any,
) -> ImageBatches:  # fmt: skip
    channels = {"rgb": 3, "rgba": 4, "grayscale": 1}[color_mode]
    return ImageBatches(
        lambda i: read_image(files[i], target_size, color_mode, interpolation),
        len(files),
        generator,
        labels,
        class_indices={name: i for i, name in enumerate(names)},
        classes=codes,
        num_classes=len(names),
        filenames=[os.path.relpath(file, base) for file in files],
        filepaths=[str(file) for file in files],
        image_shape=(int(target_size[0]), int(target_size[1]), channels),
        **reading,
    )


def flow_from_directory(
    generator: ImageGenerator,
    directory: str,
    target_size: Sequence[int] = (256, 256),
    color_mode: str = "rgb",
    classes: Optional[Sequence[str]] = None,
    class_mode: Optional[str] = "categorical",
    follow_links: bool = False,
    subset: Optional[str] = None,
    interpolation: str = "nearest",
    **reading: Any,
) -> ImageBatches:
    """Batches of the images in a folder with one subfolder per class, classes in sorted order."""
    _check_reading(color_mode, class_mode)
    if class_mode in ("raw", "other", "multi_output"):
        raise ArgumentError(
            f"`class_mode` = {class_mode!r} needs a table; folders only tell classes.",
            argument="class_mode",
        )
    base = Path(directory)
    if not base.is_dir():
        raise FileError(f"There is no folder '{directory}'.", argument="directory")
    names = list(classes) if classes else sorted(p.name for p in base.iterdir() if p.is_dir())
    files: list[Path] = []
    codes: list[int] = []
    for code, name in enumerate(names):
        if not (base / name).is_dir():
            raise ArgumentError(f"'{directory}' has no folder '{name}'.", argument="classes")
        found = sorted(
            Path(folder) / file
            for folder, _, inside in os.walk(base / name, followlinks=follow_links)
            for file in inside
            if file.lower().endswith(ENDINGS)
        )
        first, end = generator.bounds(len(found), subset)
        files += found[first:end]
        codes += [code] * (end - first)
    _some(len(files), "directory")
    numbers = np.array(codes, dtype=np.int32)
    labels = _class_labels(numbers, len(names), class_mode)
    return _file_batches(
        generator, files, numbers, names, labels, target_size, color_mode, interpolation, base,
        **reading,
    )  # fmt: skip


def flow_from_table(
    generator: ImageGenerator,
    files: Sequence[str],
    y: Any = None,
    directory: Optional[str] = None,
    target_size: Sequence[int] = (256, 256),
    color_mode: str = "rgb",
    classes: Optional[Sequence[str]] = None,
    class_mode: Optional[str] = "categorical",
    subset: Optional[str] = None,
    interpolation: str = "nearest",
    **reading: Any,
) -> ImageBatches:
    """Batches of images by path; `y` holds class names, or values (a list of columns) for "raw"."""
    _check_reading(color_mode, class_mode)
    base = Path(directory or ".")
    paths = [base / file for file in files]
    missing = [i for i, path in enumerate(paths) if not path.is_file()]
    if missing:
        raise FileError(
            f"{len(missing)} of {len(paths)} image files are missing, the first in row "
            f"{missing[0] + 1}: '{paths[missing[0]]}'.",
            argument="dataframe",
            details={"rows": [i + 1 for i in missing[:100]]},
        )
    rows = np.arange(len(paths))
    names: list[str] = []
    codes = np.zeros(len(paths), dtype=np.int32)
    if class_mode in ("categorical", "binary", "sparse"):
        given = [str(name) for name in y]
        names = [str(name) for name in classes] if classes else sorted(set(given))
        rows = np.array([i for i, name in enumerate(given) if name in names], dtype=np.int64)
        codes = np.array([names.index(given[i]) for i in rows], dtype=np.int32)
    first, end = generator.bounds(len(rows), subset)
    rows, codes = rows[first:end], codes[first:end]
    _some(len(rows), "dataframe")
    labels: Any
    if class_mode in ("raw", "other", "multi_output"):
        columns = [np.asarray(column)[rows] for column in y]
        if class_mode == "multi_output":
            labels = columns
        else:
            labels = columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
    else:
        labels = _class_labels(codes, len(names), class_mode)
    return _file_batches(
        generator, [paths[i] for i in rows], codes, names, labels, target_size, color_mode,
        interpolation, base, **reading,
    )  # fmt: skip
