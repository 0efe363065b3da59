"""Image files to pixels with Pillow, which lets other threads run while it works."""

from __future__ import annotations

import io
import os
import warnings
from typing import Any, Optional, Sequence

import numpy as np

from kerasbridge.errors import ArgumentError, FileError, InstallError

MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}
CHANNELS = {"rgb": 3, "rgba": 4, "grayscale": 1}
_WAYS = ("NEAREST", "BILINEAR", "BICUBIC", "LANCZOS", "BOX", "HAMMING")
_DEEP = ("I", "I;16", "I;16B", "I;16L", "F")  # more than 8 bits a value
_BLOCKS = 8  # pieces of memory that Pillow keeps for the next image instead of giving them back
_READ = 1 << 18  # bytes of a file that are read at a time
_WHOLE = 1 << 26  # bytes of a file read as a whole at most; Pillow reads larger ones in parts
_FRAMES = (0xC0, 0xC1, 0xC2)  # markers of a JPEG whose part has the size
# markers after which no part with a length comes, or the pixels do
_NO_PART = (0x00, 0x01, *range(0xD0, 0xDB), 0xFF)
_quiet = False


def pillow() -> Any:
    """The module PIL.Image; its warnings are kept back, for they would come from other threads."""
    global _quiet
    try:
        from PIL import Image
    except ImportError:
        raise InstallError("Reading images needs Pillow.", hint="pip install pillow") from None
    if not _quiet:
        warnings.filterwarnings("ignore", module=r"PIL\..*")
        core = getattr(Image, "core", None)
        if "PILLOW_BLOCKS_MAX" not in os.environ and hasattr(core, "set_blocks_max"):
            core.set_blocks_max(_BLOCKS)
        _quiet = True
    return Image


def resampling(interpolation: str) -> Any:
    """Pillow's constant for "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming"."""
    ways = {name.lower(): name for name in _WAYS}
    if interpolation not in ways:
        raise ArgumentError(
            f"`interpolation` must be one of {', '.join(ways)}, not {interpolation!r}.",
            argument="interpolation",
        )
    return getattr(pillow().Resampling, ways[interpolation])


def decode(path: Any, color_mode: str, size: Optional[tuple] = None) -> Any:
    """An image file as a decoded Pillow image in the mode of `color_mode`.

    Args:
        size: (height, width) that is wanted in the end; a JPEG of twice that or more is made
            smaller while it is decoded, to a half, a quarter or an eighth.

    Raises:
        FileError: the file is missing, damaged, or no image.
    """
    try:
        data = _in_memory(path)
        if isinstance(data, bytes):
            plain = _plain_jpeg(data, color_mode, size)
            if plain is not None:
                return plain
            data = io.BytesIO(data)
        with pillow().open(data) as image:
            if size is not None and image.format == "JPEG":
                image.draft(MODES[color_mode], (int(size[1]), int(size[0])))
            image.load()
            if color_mode == "grayscale" and image.mode in _DEEP:
                return image if image.mode == "F" else image.convert("I").convert("F")
            mode = MODES[color_mode]
            return image if image.mode == mode else image.convert(mode)
    except Exception as exc:  # a damaged file makes Pillow raise errors of many kinds
        reason = "is missing" if isinstance(exc, FileNotFoundError) else "can't be read as an image"
        raise FileError(
            f"'{path}' {reason}.", argument="path", details={"file": str(path)}
        ) from exc


def _in_memory(path: Any) -> Any:
    """The bytes of a file; what is no path, or large, is handed on.

    Each call on a file lets other threads of Python go first, and Pillow makes a dozen for an image.
    """
    if not isinstance(path, (str, os.PathLike)):
        return path
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        if os.fstat(file).st_size > _WHOLE:
            return path
        parts = []
        while part := os.read(file, _READ):
            parts.append(part)
            if len(part) < _READ:  # a file ends where a read ends early
                break
        return b"".join(parts)
    finally:
        os.close(file)


def _plain_jpeg(data: bytes, color_mode: str, size: Optional[tuple]) -> Any:
    """A JPEG of three colours decoded at once; None for all else, and for what Pillow would complain of.

    Pillow looks through all that a file says of itself first, in Python, while no other thread can run.
    """
    found = jpeg_size(data) if color_mode == "rgb" else None
    image = pillow()
    limit = image.MAX_IMAGE_PIXELS
    if found is None or (limit is not None and found[0] * found[1] > limit):
        return None
    height, width = found
    scale = 1
    while size is not None and scale < 8 and min(height // size[0], width // size[1]) >= 2 * scale:
        scale *= 2
    part = (-(-width // scale), -(-height // scale))
    try:
        return image.frombytes("RGB", part, data, "jpeg", "RGB", "", scale, 0)
    except (ValueError, OSError):
        return None


def jpeg_size(data: bytes) -> Optional[tuple[int, int]]:
    """(height, width) of a JPEG of three colours of 8 bits; None for anything else."""
    if data[:2] != b"\xff\xd8":
        return None
    at, end = 2, len(data) - 10
    while at < end and data[at] == 0xFF:
        kind, length = data[at + 1], data[at + 2] << 8 | data[at + 3]
        if kind in _FRAMES:
            height, width = data[at + 5] << 8 | data[at + 6], data[at + 7] << 8 | data[at + 8]
            usual = data[at + 4] == 8 and data[at + 9] == 3 and height and width
            return (height, width) if usual else None
        if kind in _NO_PART or length < 2:
            return None
        at += 2 + length
    return None


def pixels(image: Any) -> np.ndarray:
    """(height, width, channels) of a Pillow image, in its own type."""
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


def read_image(
    path: Any, size: Optional[Sequence[int]], color_mode: str, interpolation: str = "nearest"
) -> np.ndarray:
    """An image file as float32 (height, width, channels), resized to `size` (height, width).

    Raises:
        FileError: the file is missing or no image.
    """
    way = resampling(interpolation)
    wanted = None if size is None else (int(size[0]), int(size[1]))
    image = decode(path, color_mode, wanted)
    if wanted is not None and image.size != wanted[::-1]:
        image = image.resize(wanted[::-1], way)
    return pixels(image).astype(np.float32)
