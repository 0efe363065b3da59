"""Images in files: a folder for each class, or paths with labels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np

from kerasbridge.data import images as pictures
from kerasbridge.data.image_batches import FileImages, ImageBatches, check_size
from kerasbridge.data.schema import Column, Schema
from kerasbridge.errors import ArgumentError, FileError


class ImageSource(ImageBatches):
    """Images with the numbers of their classes, read by several threads.

    Args:
        path: a folder with a folder for each class, or a list of paths.
        labels: for a list of paths: class names, or an array of numbers with a row for each.
        directory: folder to which a list of paths is relative.
        target_size: height and width to which images are brought.
        color_mode: "rgb", "rgba" or "grayscale".
        classes: class names in the order of their numbers from 0; sorted if None.
        class_mode: "sparse" (class numbers), "categorical" (a column for each class) or None.
        interpolation: how sizes are changed, see `decode.resampling`.
        rescale: factor for all values, which are 0 to 255.
        generator: an `ImageGenerator` with random changes, instead of `rescale`.
        reading: arguments of `Source`.

    Attributes:
        class_names: names of the classes, None where labels are numbers.
    """

    def __init__(
        self,
        path: Any,
        labels: Any = None,
        directory: Optional[str] = None,
        target_size: Sequence[int] = (224, 224),
        color_mode: str = "rgb",
        classes: Optional[Sequence[str]] = None,
        class_mode: Optional[str] = "sparse",
        interpolation: str = "bilinear",
        rescale: Optional[float] = None,
        generator: Any = None,
        **reading: Any,
    ):
        pictures.check_reading(color_mode, class_mode)
        check_size(target_size)
        if generator is not None and rescale is not None:
            raise ArgumentError(
                "`rescale` and `generator` can't be given together.",
                hint="Give `rescale` to the generator.",
                argument="rescale",
            )
        if class_mode not in ("sparse", "categorical", None):
            raise ArgumentError(
                f"`class_mode` must be 'sparse', 'categorical' or None, not {class_mode!r}.",
                argument="class_mode",
            )
        names: list[str] = []
        codes: Optional[np.ndarray] = None
        targets: Any = None
        if isinstance(path, (str, os.PathLike)):
            base = Path(path).expanduser()
            files, codes, names = pictures.class_folders(base, classes)
        else:
            base = Path(directory or ".").expanduser()
            files = [base / file for file in path]
            missing = [i for i, file in enumerate(files) if not file.is_file()]
            if missing and reading.get("on_error") != "skip":
                raise FileError(
                    f"{len(missing)} of {len(files)} image files are missing, the first in row "
                    f"{missing[0] + 1}: '{files[missing[0]]}'.",
                    argument="path",
                    details={"rows": [i + 1 for i in missing[:100]]},
                )
            if labels is not None and len(labels) != len(files):
                raise ArgumentError(
                    f"There are {len(files)} paths and {len(labels)} labels.", argument="labels"
                )
            if labels is not None and np.asarray(labels).dtype.kind in "biuf":
                targets = np.asarray(labels)
                if targets.dtype == np.float64:
                    targets = targets.astype(np.float32)
            elif labels is not None:
                given = [str(label) for label in labels]
                names = [str(name) for name in classes] if classes else sorted(set(given))
                unknown = sorted(set(given) - set(names))
                if unknown:
                    raise ArgumentError(f"`classes` lacks '{unknown[0]}'.", argument="classes")
                codes = np.array([names.index(label) for label in given], dtype=np.int32)
        if codes is not None and class_mode is not None:
            targets = (
                codes if class_mode == "sparse" else np.eye(len(names), dtype="float32")[codes]
            )
        if generator is None:
            generator = pictures.ImageGenerator(rescale=rescale)
        reader = FileImages(files, target_size, color_mode, interpolation)
        super().__init__(
            reader,
            generator,
            targets if class_mode is not None else None,
            classes=codes,
            class_names=names or None,
            class_indices={name: i for i, name in enumerate(names)},
            num_classes=len(names),
            filepaths=reader.files,
            image_shape=reader.shape,
            **reading,
        )

    def learnt(self) -> Schema:
        """The classes in their order, for the model that is trained on them."""
        names = self.class_names
        return Schema(target=Column("class", "factor", names) if names else None)
