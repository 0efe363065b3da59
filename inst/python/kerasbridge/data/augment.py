"""Random changes of one image: where it is moved to, in one interpolation, and its colours.

Images are float32 arrays (height, width, channels); positions are (row, column).
"""

from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np

from kerasbridge.errors import ArgumentError

FILL_MODES = ("nearest", "constant", "reflect", "wrap")


def affine_matrix(
    shape: tuple,
    theta: float = 0.0,
    tx: float = 0.0,
    ty: float = 0.0,
    shear: float = 0.0,
    zx: float = 1.0,
    zy: float = 1.0,
) -> np.ndarray:
    """The 3 x 3 matrix that leads from a place in the result to the place in the image.

    Args:
        shape: (height, width): rotation, shear and zoom are about the middle.
        theta, shear: degrees.
        tx, ty: shift of the place by rows and columns.
        zx, zy: zoom of rows and columns; below 1 shows less of the image, larger.
    """
    angle, slant = math.radians(theta), math.radians(shear)
    rotation = np.array(
        [
            [math.cos(angle), -math.sin(angle), 0],
            [math.sin(angle), math.cos(angle), 0],
            [0, 0, 1],
        ]
    )
    shift = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]], dtype=float)
    shearing = np.array([[1, -math.sin(slant), 0], [0, math.cos(slant), 0], [0, 0, 1]])
    zoom = np.diag([zx, zy, 1.0])
    middle = np.array([[1, 0, (shape[0] - 1) / 2], [0, 1, (shape[1] - 1) / 2], [0, 0, 1]])
    return middle @ rotation @ shift @ shearing @ zoom @ np.linalg.inv(middle)


def _index(position: np.ndarray, size: int, mode: str) -> np.ndarray:
    if mode == "wrap":
        return position % size
    if mode == "reflect":  # d c b a | a b c d | d c b a
        position = position % (2 * size)
        return np.where(position < size, position, 2 * size - 1 - position)
    return np.clip(position, 0, size - 1)


def apply_affine(
    image: np.ndarray, matrix: np.ndarray, fill_mode: str = "nearest", cval: float = 0.0
) -> np.ndarray:
    """The image seen through `matrix` (see `affine_matrix`), bilinear.

    Args:
        fill_mode: what lies beyond the border: "nearest" its last pixel, "reflect" a mirror,
            "wrap" the other side, "constant" the value `cval`.
    """
    height, width = image.shape[:2]
    rows = np.arange(height, dtype=np.float64)[:, None]
    columns = np.arange(width, dtype=np.float64)[None, :]
    r = matrix[0, 0] * rows + matrix[0, 1] * columns + matrix[0, 2]
    c = matrix[1, 0] * rows + matrix[1, 1] * columns + matrix[1, 2]
    # what floating point leaves of a whole number is no fraction
    r, c = np.round(r, 9), np.round(c, 9)
    r0, c0 = np.floor(r).astype(np.int64), np.floor(c).astype(np.int64)
    fr = (r - r0).astype(np.float32)[..., None]
    fc = (c - c0).astype(np.float32)[..., None]
    top, bottom = _index(r0, height, fill_mode), _index(r0 + 1, height, fill_mode)
    left, right = _index(c0, width, fill_mode), _index(c0 + 1, width, fill_mode)
    upper = image[top, left] * (1 - fc) + image[top, right] * fc
    lower = image[bottom, left] * (1 - fc) + image[bottom, right] * fc
    out = upper * (1 - fr) + lower * fr
    if fill_mode == "constant":
        outside = (r < 0) | (r > height - 1) | (c < 0) | (c > width - 1)
        out[outside] = cval
    return out.astype(np.float32)


def _pair(value: Any, name: str, around_one: bool) -> Optional[tuple[float, float]]:
    """A number z as (1 - z, 1 + z) or (-z, z), a pair as it is."""
    if value is None:
        return None
    if np.ndim(value) == 0:
        z = float(value)
        return (1 - z, 1 + z) if around_one else (-z, z)
    pair = tuple(float(v) for v in value)
    if len(pair) != 2 or pair[0] > pair[1]:
        raise ArgumentError(
            f"`{name}` must be one number or two, the smaller one first.", argument=name
        )
    return pair


class Augmentation:
    """Random changes; every call of `draw` takes all its numbers from the generator it is given.

    Args:
        rotation_range: degrees to either side.
        width_shift_range, height_shift_range: part of the size below 1, else pixels.
        brightness_range: two factors.
        shear_range: degrees to either side.
        zoom_range: a number z for 1 - z to 1 + z, or two factors.
        channel_shift_range: largest amount added to all values of an image.
        fill_mode, cval: see `apply_affine`.
        horizontal_flip, vertical_flip: mirror every second image or so.
    """

    def __init__(
        self,
        rotation_range: float = 0.0,
        width_shift_range: float = 0.0,
        height_shift_range: float = 0.0,
        brightness_range: Any = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
    ):
        if fill_mode not in FILL_MODES:
            raise ArgumentError(
                f"`fill_mode` must be one of {', '.join(FILL_MODES)}, not {fill_mode!r}.",
                argument="fill_mode",
            )
        self.rotation_range = float(rotation_range)
        self.width_shift_range = float(width_shift_range)
        self.height_shift_range = float(height_shift_range)
        self.brightness_range = _pair(brightness_range, "brightness_range", False)
        self.shear_range = float(shear_range)
        self.zoom_range = _pair(zoom_range, "zoom_range", True)
        self.channel_shift_range = float(channel_shift_range)
        self.fill_mode, self.cval = fill_mode, float(cval)
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip

    def draw(self, shape: tuple, rng: np.random.Generator) -> dict[str, Any]:
        """The changes of one image of this shape, as plain numbers."""

        def either_side(size: float) -> float:
            return float(rng.uniform(-size, size)) if size else 0.0

        def shift(size: float, axis: int) -> float:
            return either_side(size) * (shape[axis] if abs(size) < 1 else 1)

        low, high = self.zoom_range
        zoom = (1.0, 1.0) if low == high == 1 else tuple(rng.uniform(low, high, size=2))
        brightness = self.brightness_range
        return {
            "theta": either_side(self.rotation_range),
            "tx": shift(self.height_shift_range, 0),
            "ty": shift(self.width_shift_range, 1),
            "shear": either_side(self.shear_range),
            "zx": float(zoom[0]),
            "zy": float(zoom[1]),
            "flip_horizontal": bool(self.horizontal_flip and rng.random() < 0.5),
            "flip_vertical": bool(self.vertical_flip and rng.random() < 0.5),
            "channel_shift": either_side(self.channel_shift_range),
            "brightness": None if brightness is None else float(rng.uniform(*brightness)),
        }

    def apply(self, image: np.ndarray, change: dict[str, Any]) -> np.ndarray:
        """The image with the changes that `draw` chose."""
        place = {name: change[name] for name in ("theta", "tx", "ty", "shear", "zx", "zy")}
        if any(place[name] for name in ("theta", "tx", "ty", "shear")) or not (
            place["zx"] == place["zy"] == 1
        ):
            matrix = affine_matrix(image.shape[:2], **place)
            image = apply_affine(image, matrix, self.fill_mode, self.cval)
        if change["channel_shift"]:
            low, high = image.min(), image.max()
            image = np.clip(image + np.float32(change["channel_shift"]), low, high)
        if change["flip_horizontal"]:
            image = image[:, ::-1]
        if change["flip_vertical"]:
            image = image[::-1]
        if change["brightness"] is not None:
            image = np.clip(image * np.float32(change["brightness"]), 0, 255)
        return np.ascontiguousarray(image, dtype=np.float32)
