"""One pass over the bytes of a file: checksums, and weights that are not numbers."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterable, Optional

from kerasbridge.saving.safety.hdf5 import BFLOAT16

BLOCK = 2**20  # bytes at a time
# floats, and the type as which numpy reads them: bfloat16 is not its own
_FLOATS = {"float32": "float32", "float64": "float64", "float16": "float16", "bfloat16": "uint16"}


class Sweep:
    """Reads stretches of an open file, a block at a time.

    Plain reads, not a memory map: a file that is cut meanwhile ends the stretch, not the process.

    Attributes:
        not_numbers: paths of the datasets that hold NaN.
    """

    def __init__(self, file: Any):
        self._file = file
        self._buffer = bytearray(BLOCK)
        self.not_numbers: list = []

    def checksum(self, start: int, size: int, value: int = 0, stored: Optional[Any] = None) -> int:
        """CRC-32 of `size` bytes from `start` on, going on from `value`.

        `stored`: the dataset whose values these bytes are; floats are looked at for NaN.
        """
        import numpy as np

        kind = np.dtype(_FLOATS[stored.dtype]) if stored and stored.dtype in _FLOATS else None
        bad = False
        self._file.seek(start)
        view = memoryview(self._buffer)
        while size > 0:
            got = self._file.readinto(view[: min(size, BLOCK)])
            if not got:
                break
            value = zlib.crc32(view[:got], value)
            if kind is not None and not bad:
                values = np.frombuffer(view[: got - got % kind.itemsize], kind)
                bad = (_bits_of_nan if stored.dtype == BFLOAT16 else has_not_numbers)(values)
            size -= got
        if bad:
            self.not_numbers.append(stored.path)
        return value & 0xFFFFFFFF

    def stretch(self, start: int, size: int, datasets: Iterable) -> int:
        """CRC-32 of a stretch in which datasets lie at `offset` bytes from its start."""
        value, at = 0, 0
        inside = sorted(
            (s for s in datasets if s.offset is not None and s.nbytes), key=lambda s: s.offset
        )
        for stored in inside:
            if stored.offset < at:
                continue
            value = self.checksum(start + at, stored.offset - at, value)
            value = self.checksum(start + stored.offset, stored.nbytes, value, stored)
            at = stored.offset + stored.nbytes
        return self.checksum(start + at, size - at, value)


def has_not_numbers(values: Any) -> bool:
    """Whether an array of floats holds NaN."""
    import numpy as np

    if str(values.dtype) not in _FLOATS or not values.size:
        return False
    if str(values.dtype) == BFLOAT16:
        return _bits_of_nan(values.view("uint16"))
    return bool(np.isnan(values.min()))  # the least value is NaN if any is


def _bits_of_nan(bits: Any) -> bool:
    """Whether two-byte patterns of bfloat16 have a NaN: all bits of the exponent, and more."""
    return bool(bits.size and ((bits & 0x7FFF) > 0x7F80).any())


def dataset_checksums(contents: Any, sweep: Sweep, threads: int = 1) -> dict:
    """Path -> CRC-32 of the values of each dataset of an HDF5 file, straight from its bytes.

    `sweep` goes over the same file; further threads open it for themselves.
    """
    near, later = [], []
    for stored in contents.datasets:
        (later if stored.offset is None and stored.nbytes else near).append(stored)
    out = {}
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            shares = pool.map(lambda share: _apart(contents.path, share), _shares(near, threads))
            for found, not_numbers in shares:
                out.update(found)
                sweep.not_numbers.extend(not_numbers)
    else:
        out.update(_checksums(near, sweep))
    if later:
        import h5py
        import numpy as np

        with h5py.File(contents.path, "r") as opened:
            for stored in later:
                values = np.ascontiguousarray(opened[stored.path][()])
                out[f"/{stored.path}"] = zlib.crc32(values.tobytes()) & 0xFFFFFFFF
                bits = stored.dtype == BFLOAT16
                if _bits_of_nan(values.view("uint16")) if bits else has_not_numbers(values):
                    sweep.not_numbers.append(stored.path)
    return out


def _checksums(datasets: Iterable, sweep: Sweep) -> dict:
    return {f"/{s.path}": sweep.checksum(s.offset or 0, s.nbytes, 0, s) for s in datasets}


def _apart(path: str, datasets: Iterable) -> tuple:
    with open(path, "rb") as file:
        sweep = Sweep(file)
        return _checksums(datasets, sweep), sweep.not_numbers


def _shares(datasets: list, number: int) -> list:
    """The datasets in `number` lists of about as many bytes each."""
    out: list = [[] for _ in range(number)]
    sizes = [0] * number
    for stored in sorted(datasets, key=lambda s: -s.nbytes):
        least = sizes.index(min(sizes))
        out[least].append(stored)
        sizes[least] += stored.nbytes
    return out
