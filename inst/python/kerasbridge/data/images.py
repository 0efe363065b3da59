"""Batches of images from arrays, folders and tables, changed at random and standardized."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Optional, Sequence

import numpy as np

from kerasbridge.data.augment import Augmentation
from kerasbridge.data.decode import MODES
from kerasbridge.data.image_batches import ArrayImages, FileImages, ImageBatches
from kerasbridge.errors import ArgumentError, DataError, FileError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff", ".gif", ".webp")
CLASS_MODES = ("categorical", "binary", "sparse", "input", "raw", "other", "multi_output", None)


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
        x = np.stack([self.prepare(np.array(image)) for image in x])
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
        """The part of standardizing that needs no statistics: own function, then `rescale`.

        May write into `image`.
        """
        if self.preprocessing_function is not None:
            out = np.asarray(self.preprocessing_function(image), dtype=np.float32)
            if out.shape != image.shape:
                raise DataError(
                    f"`preprocessing_function` made shape {out.shape} of {image.shape}; it must "
                    "keep the shape.",
                    argument="preprocessing_function",
                )
            image = np.array(out)  # the function may have given back what it keeps
        if self.rescale is not None:
            image *= np.float32(self.rescale)
        return image

    def standardize(self, image: np.ndarray) -> np.ndarray:
        """A new image (height, width, channels), float32, brought to scale in all asked ways."""
        return self.scaled(self.prepare(np.array(image, dtype=np.float32)))

    def scaled(self, image: np.ndarray) -> np.ndarray:
        """What comes after `prepare`; may write into `image`."""
        if self.samplewise_center:
            image -= image.mean()
        if self.samplewise_std_normalization:
            image /= image.std() + np.float32(1e-6)
        if self.featurewise_center:
            self._need(self.mean)
            image -= self.mean
        if self.featurewise_std_normalization:
            self._need(self.std)
            image /= self.std + np.float32(1e-6)
        if self.zca_whitening:
            self._need(self.principal_components)
            image = (image.reshape(1, -1) @ self.principal_components).reshape(image.shape)
        return image

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
    return ImageBatches(ArrayImages(x), generator, y, weights, **reading)


def _some(count: int, argument: str) -> None:
    if count < 1:
        raise DataError("There are no images to read.", argument=argument)


def check_reading(color_mode: str, class_mode: Optional[str]) -> None:
    if color_mode not in MODES:
        raise ArgumentError(
            f"`color_mode` must be one of {', '.join(MODES)}, not {color_mode!r}.",
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
    reader = FileImages(files, target_size, color_mode, interpolation)
    return ImageBatches(
        reader,
        generator,
        labels,
        class_indices={name: i for i, name in enumerate(names)},
        classes=codes,
        num_classes=len(names),
        filenames=[os.path.relpath(file, base) for file in files],
        filepaths=[str(file) for file in files],
        image_shape=reader.shape,
        **reading,
    )


def class_folders(
    base: Path,
    classes: Optional[Sequence[str]] = None,
    follow_links: bool = False,
    bounds: Callable[[int], tuple[int, int]] = lambda count: (0, count),
) -> tuple[list[Path], np.ndarray, list[str]]:
    """(files, class numbers, class names) of a folder with a folder for each class.

    Args:
        bounds: number of files of a class -> first and one past the last that are taken.
    """
    if not base.is_dir():
        raise FileError(f"There is no folder '{base}'.", argument="directory")
    names = list(classes) if classes else sorted(p.name for p in base.iterdir() if p.is_dir())
    files: list[Path] = []
    codes: list[int] = []
    for code, name in enumerate(names):
        if not (base / name).is_dir():
            raise ArgumentError(f"'{base}' has no folder '{name}'.", argument="classes")
        found = sorted(
            Path(folder) / file
            for folder, _, inside in os.walk(base / name, followlinks=follow_links)
            for file in inside
            if file.lower().endswith(ENDINGS)
        )
        first, end = bounds(len(found))
        files += found[first:end]
        codes += [code] * (end - first)
    return files, np.array(codes, dtype=np.int32), names


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
    check_reading(color_mode, class_mode)
    if class_mode in ("raw", "other", "multi_output"):
        raise ArgumentError(
            f"`class_mode` = {class_mode!r} needs a table; folders only tell classes.",
            argument="class_mode",
        )
    base = Path(directory)
    files, numbers, names = class_folders(
        base, classes, follow_links, lambda count: generator.bounds(count, subset)
    )
    _some(len(files), "directory")
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
    drop_duplicates: bool = False,
    **reading: Any,
) -> ImageBatches:
    """Batches of images by path; `y` holds class names, or values (a list of columns) for "raw".

    `drop_duplicates` leaves out rows whose path came before.
    """
    check_reading(color_mode, class_mode)
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
    if drop_duplicates:
        first_of: dict = {}
        for at, row in enumerate(rows):
            first_of.setdefault(str(files[row]), at)
        kept = sorted(first_of.values())
        rows, codes = rows[kept], codes[kept]
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
