"""Random changes of one image: where it is moved to, in one interpolation, and its colours.

Images are float32 arrays (height, width, channels); positions are (row, column).
"""

from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np

from kerasbridge.data.decode import pillow as _pillow
from kerasbridge.data.decode import pixels
from kerasbridge.errors import ArgumentError

_COARSE = 1.3  # pixels of an image of bytes for one of the result, from which they are averaged
_NUMBERS = 10  # random ones that an image takes
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
    cos, sin, lean, up = math.cos(angle), math.sin(angle), math.sin(slant), math.cos(slant)
    # rotation, then shift, then shear, then zoom
    a, b = cos * zx, -(cos * lean + sin * up) * zy
    d, e = sin * zx, (cos * up - sin * lean) * zy
    c, f = cos * tx - sin * ty, sin * tx + cos * ty
    row, column = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    return np.array(
        [
            [a, b, c + row - a * row - b * column],
            [d, e, f + column - d * row - e * column],
            [0.0, 0.0, 1.0],
        ]
    )


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
    """The image seen through `matrix` (see `affine_matrix`), bilinear, float32.

    Args:
        fill_mode: what lies beyond the border: "nearest" its last pixel, "reflect" a mirror,
            "wrap" the other side, "constant" the value `cval`.
    """
    size = image.shape[:2]
    pillow = _pillow()
    out = np.empty((*size, image.shape[2]), dtype=np.float32)
    for channel in range(image.shape[2]):
        band = pillow.fromarray(np.ascontiguousarray(image[..., channel], dtype=np.float32))
        out[..., channel] = np.asarray(through(band, size, matrix, fill_mode, cval))
    return out


def through(
    image: Any,
    size: tuple,
    matrix: np.ndarray,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    flips: tuple = (False, False),
) -> Any:
    """A Pillow image brought to `size` (height, width) and seen through `matrix`, in one step.

    Args:
        matrix: places in the image of that size, as `affine_matrix` gives.
        cval: a whole number from 0 to 255 for images of bytes.
        flips: whether the result is mirrored horizontally, vertically.
    """
    pillow = _pillow()
    place, before, after = _seen((image.size[1], image.size[0]), size, matrix, fill_mode)
    if flips[0]:  # in the same step: a mirrored array is slow to copy
        a, b, c, d, e, f = place
        place = (-a, b, c + a * size[1], -d, e, f + d * size[1])
    if flips[1]:
        a, b, c, d, e, f = place
        place = (a, -b, c + b * size[0], d, -e, f + e * size[0])
    fill: Any = None
    if fill_mode == "constant":
        fill = cval if image.mode == "F" else (int(cval),) * len(image.getbands())
        fill = fill[0] if isinstance(fill, tuple) and len(fill) == 1 else fill
    elif any(before) or any(after):
        image = extended(image, before, after, fill_mode)

    def seen(place: tuple, way: Any) -> Any:
        return image.transform(size[::-1], pillow.Transform.AFFINE, place, way, fillcolor=fill)

    if image.mode != "F" and abs(place[0] * place[4] - place[1] * place[3]) > _COARSE:
        # several pixels for each of the result: two of them, side by side, are averaged, which is
        # several times sooner than a blend of four and truer than one
        a, b, c, d, e, f = place
        left = seen((a, b, c - a / 4, d, e, f - d / 4), pillow.Resampling.NEAREST)
        right = seen((a, b, c + a / 4, d, e, f + d / 4), pillow.Resampling.NEAREST)
        return pillow.blend(left, right, 0.5)
    return seen(place, pillow.Resampling.BILINEAR)


def extended(image: Any, before: tuple, after: tuple, fill_mode: str) -> Any:
    """A Pillow image with rows and columns (counts) added before and after its own.

    Args:
        fill_mode: "nearest", "reflect" or "wrap", see `apply_affine`.
    """
    pillow = _pillow()
    (top, left), (bottom, right) = before, after
    width, height = image.size
    if fill_mode != "nearest" and (max(top, bottom) > height or max(left, right) > width):
        array = np.asarray(image)  # the image comes more than once
        rows = _index(np.arange(-top, height + bottom), height, fill_mode)
        columns = _index(np.arange(-left, width + right), width, fill_mode)
        return pillow.fromarray(np.ascontiguousarray(array[rows][:, columns]))
    wide, high = left + width + right, top + height + bottom
    out = image.crop((-left, -top, width + right, height + bottom))
    flips = pillow.Transpose

    def strip(first: int, last: int, count: int, across: bool, end: bool) -> Any:
        """What goes beside the pixels first .. last - 1 of `out`, along columns or rows."""

        def box(a: int, b: int) -> tuple:
            return (a, top, b, top + height) if across else (0, a, wide, b)

        def cut(a: int, b: int) -> Any:
            return out.crop(box(a, b))

        if fill_mode == "nearest":
            edge = box(last - 1, last) if end else box(first, first + 1)
            shape = (count, height) if across else (wide, count)
            return out.resize(shape, pillow.Resampling.NEAREST, edge)
        if fill_mode == "wrap":
            return cut(first, first + count) if end else cut(last - count, last)
        near = cut(last - count, last) if end else cut(first, first + count)
        return near.transpose(flips.FLIP_LEFT_RIGHT if across else flips.FLIP_TOP_BOTTOM)

    if left:
        out.paste(strip(left, left + width, left, True, False), (0, top))
    if right:
        out.paste(strip(left, left + width, right, True, True), (left + width, top))
    if top:
        out.paste(strip(top, top + height, top, False, False), (0, 0))
    if bottom:
        out.paste(strip(top, top + height, bottom, False, True), (0, high - bottom))
    return out


def _seen(shape: tuple, size: tuple, matrix: np.ndarray, fill_mode: str) -> tuple:
    """(Pillow's coefficients, rows and columns that are seen before the image, and after it).

    Pillow's places are those of corners: the middle of the first pixel is 0.5, not 0. The
    coefficients count from the first row and column that is seen.
    """
    (a, b, c), (d, e, f) = matrix[0].tolist(), matrix[1].tolist()
    high, wide = shape[0] / size[0], shape[1] / size[1]
    # places of middles to places of corners, then from the size wanted to that of the image;
    # what floating point leaves of a whole number is no fraction
    c, f = c + 0.5 - 0.5 * (a + b), f + 0.5 - 0.5 * (d + e)
    a, b, c = round(a * high, 9), round(b * high, 9), round(c * high, 9)
    d, e, f = round(d * wide, 9), round(e * wide, 9), round(f * wide, 9)
    before = after = (0, 0)
    if fill_mode != "constant":
        rows = (c, c + a * size[0], c + b * size[1], c + a * size[0] + b * size[1])
        columns = (f, f + d * size[0], f + e * size[1], f + d * size[0] + e * size[1])
        before = (max(0, math.ceil(-min(rows))), max(0, math.ceil(-min(columns))))
        after = (
            max(0, math.ceil(max(rows) - shape[0])),
            max(0, math.ceil(max(columns) - shape[1])),
        )
    return (e, d, f + before[1], b, a, c + before[0]), before, after


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
        """The changes of one image of this shape, as plain numbers.

        Every image takes the same count of numbers from `rng`, in one call, whatever may change.
        """
        numbers = iter(rng.random(_NUMBERS).tolist())

        def between(low: float, high: float) -> float:
            return low + (high - low) * next(numbers)

        def shift(size: float, axis: int) -> float:
            return between(-size, size) * (shape[axis] if abs(size) < 1 else 1)

        brightness = between(*(self.brightness_range or (1.0, 1.0)))
        return {
            "theta": between(-self.rotation_range, self.rotation_range),
            "tx": shift(self.height_shift_range, 0),
            "ty": shift(self.width_shift_range, 1),
            "shear": between(-self.shear_range, self.shear_range),
            "zx": between(*self.zoom_range),
            "zy": between(*self.zoom_range),
            "flip_horizontal": next(numbers) < 0.5 and self.horizontal_flip,
            "flip_vertical": next(numbers) < 0.5 and self.vertical_flip,
            "channel_shift": between(-self.channel_shift_range, self.channel_shift_range),
            "brightness": None if self.brightness_range is None else brightness,
        }

    def matrix(self, shape: tuple, change: dict[str, Any]) -> Optional[np.ndarray]:
        """Where the pixels of an image of this shape are moved to, None if they stay."""
        place = {name: change[name] for name in ("theta", "tx", "ty", "shear", "zx", "zy")}
        still = place["zx"] == place["zy"] == 1
        if still and not any(place[name] for name in ("theta", "tx", "ty", "shear")):
            return None
        return affine_matrix(shape[:2], **place)

    def apply(self, image: np.ndarray, change: dict[str, Any]) -> np.ndarray:
        """The image with the changes that `draw` chose."""
        matrix = self.matrix(image.shape, change)
        if matrix is not None:
            image = apply_affine(image, matrix, self.fill_mode, self.cval)
        if change["flip_horizontal"]:
            image = image[:, ::-1]
        if change["flip_vertical"]:
            image = image[::-1]
        out = np.array(image, dtype=np.float32, order="C")
        self.colour(out, change)
        return out

    def apply_to(self, image: Any, size: tuple, change: dict[str, Any], way: Any) -> np.ndarray:
        """A Pillow image brought to `size` with the changes of place, those of colour left out.

        Returns:
            array (height, width, channels) of the image's own type.
        """
        matrix = self.matrix(size, change)
        whole = self.fill_mode != "constant" or (
            self.cval == int(self.cval) and 0 <= self.cval <= 255
        )
        if matrix is not None and (whole or image.mode == "F"):
            flips = (change["flip_horizontal"], change["flip_vertical"])
            return pixels(through(image, size, matrix, self.fill_mode, self.cval, flips))
        if image.size != size[::-1]:
            image = image.resize(size[::-1], way)
        image = pixels(image)
        if matrix is not None:
            image = apply_affine(image, matrix, self.fill_mode, self.cval)
        if change["flip_horizontal"]:
            image = image[:, ::-1]
        return image[::-1] if change["flip_vertical"] else image

    def colour(self, image: np.ndarray, change: dict[str, Any]) -> None:
        """Channel shift and brightness, in place."""
        if change["channel_shift"]:
            low, high = image.min(), image.max()
            image += np.float32(change["channel_shift"])
            np.clip(image, low, high, out=image)
        if change["brightness"] is not None:
            image *= np.float32(change["brightness"])
            np.clip(image, 0, 255, out=image)
