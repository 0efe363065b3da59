"""Arrays in files, rows first: `.npy` files mapped into memory, and datasets of HDF5 files."""

from __future__ import annotations

import os
from typing import Any, Iterator, NamedTuple, Optional

import numpy as np

from kerasbridge.data.sources import nests
from kerasbridge.data.sources.base import PIECE_BYTES, Part, Source
from kerasbridge.data.sources.paths import expand
from kerasbridge.errors import ArgumentError, DataError, FileError, InstallError


class _Where(NamedTuple):
    file: int
    start: int
    end: int


class _ArraySource(Source):
    """A source over arrays that lie in one or more files; a format defines `_opened`."""

    files: list[str]

    def _opened(self, file: int) -> Any:
        """The nest of arrays of one file: things with `shape`, `dtype` and slices of rows."""
        raise NotImplementedError

    def _release(self, nest: Any) -> None:
        """Close what `_opened` opened."""

    def _count(self) -> list[Part]:
        """Parts of all files, a few MiB each; every array of a file has the same rows."""
        found: list[Part] = []
        shapes: Optional[list] = None
        for number, file in enumerate(self.files):
            nest = self._opened(number)
            try:
                arrays = nests.flat(nest)
                rows = {len(array) for array in arrays}
                if len(rows) != 1:
                    sizes = ", ".join(str(len(array)) for array in arrays)
                    raise DataError(
                        f"The arrays of '{file}' differ in rows: {sizes}.", argument="y"
                    )
                inner = [tuple(array.shape[1:]) for array in arrays]
                if shapes is not None and inner != shapes:
                    raise DataError(
                        f"The rows of '{file}' have shape {inner}, those of the first file {shapes}.",
                        argument="path",
                    )
                shapes = inner
                step = self._piece_rows(nest)
            finally:
                self._release(nest)
            total = rows.pop()
            for start in range(0, total, step):
                end = min(start + step, total)
                found.append(Part(_Where(number, start, end), end - start, start))
        return found

    def _piece_rows(self, nest: Any) -> int:
        return max(1, PIECE_BYTES // nests.row_bytes(nest))

    def parts(self) -> list[Part]:
        return self._counted

    def read(self, part: Part, first: int, last: int) -> Iterator[Any]:
        nest = self._opened(part.where.file)
        start = part.where.start
        # rows that are left out shift the others: then the part is read as a whole and cut after
        whole = self.on_error == "skip"
        a, b = (start, part.where.end) if whole else (start + first, start + last)
        try:
            block = nests.mapped(lambda array: _rows(array, a, b), nest)
        except OSError as exc:
            file = self.files[part.where.file]
            raise FileError(
                f"'{file}' is damaged in rows {a + 1} to {b}: {exc}.",
                argument="path",
                details={"file": file, "row": a + 1},
            ) from exc
        finally:
            self._release(nest)
        block = self._finite(block, part, a)
        yield nests.mapped(lambda array: array[first:last], block) if whole else block

    def _finite(self, block: Any, part: Part, start: int) -> Any:
        bad: Optional[np.ndarray] = None
        for array in nests.flat(block):
            if array.dtype.kind == "f" and not np.isfinite(array.sum(dtype=np.float64)):
                wrong = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
                bad = wrong if bad is None else bad | wrong
        if bad is None or not bad.any():
            return block
        file = self.files[part.where.file]
        row = start + int(np.argmax(bad)) + 1
        sentence = f"'{file}', row {row}: it has a value that is not finite."
        if self.on_error == "stop":
            raise DataError(
                sentence,
                hint='Mend the data, or leave such rows out with on_error = "skip".',
                argument="path",
                details={"file": file, "row": row},
            )
        if self._counting:
            self._skip(int(bad.sum()), sentence)
        good = ~bad
        return nests.mapped(lambda array: array[good], block)


def _rows(array: Any, first: int, last: int) -> np.ndarray:
    """Rows as plain numbers in memory; doubles as float32."""
    block = array[first:last]
    if block.dtype.kind not in "biuf":
        raise DataError(
            f"An array holds {block.dtype} values; only numbers can be read.", argument="path"
        )
    dtype = np.float32 if block.dtype.kind == "f" else block.dtype
    return np.ascontiguousarray(block, dtype=dtype)


def _as_nest(value: Any) -> Any:
    """Paths as they were given: one, or a list or dict of them for several inputs."""
    if isinstance(value, dict):
        return {str(key): os.path.expanduser(os.fspath(one)) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(os.path.expanduser(os.fspath(one)) for one in value)
    return os.path.expanduser(os.fspath(value))


class NpySource(_ArraySource):
    """Rows of `.npy` files, mapped into memory.

    Args:
        x: path of the array of inputs; a list or dict of paths for several inputs.
        y, sample_weight: paths of the arrays of targets and weights.
        reading: arguments of `Source`.
    """

    def __init__(self, x: Any, y: Any = None, sample_weight: Any = None, **reading: Any):
        super().__init__(**reading)
        if sample_weight is not None and y is None:
            raise ArgumentError("`sample_weight` needs `y` beside it.", argument="sample_weight")
        parts = [_as_nest(part) for part in (x, y, sample_weight) if part is not None]
        self._nest = tuple(parts)
        self.files = [str(nests.flat(self._nest)[0])]
        self._counted = self._count()
        self._ready()

    def _opened(self, file: int) -> Any:
        # mapped anew each time: what was read of a map counts as this process's memory until it ends
        return nests.mapped(map_file, self._nest)


def map_file(path: str) -> np.ndarray:
    if not os.path.isfile(path):
        raise FileError(f"There is no file '{path}'.", argument="x")
    if path.lower().endswith(".npz"):
        raise FileError(
            f"'{path}' is an archive of arrays, which can't be mapped into memory.",
            hint="Save each array as a file of its own, with numpy.save().",
            argument="x",
        )
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as exc:
        raise FileError(
            f"'{path}' is no whole .npy file of numbers: {exc}.",
            argument="x",
            details={"file": path},
        ) from exc
    if array.ndim == 0:
        raise DataError(f"'{path}' holds a single value, no rows.", argument="x")
    return array


class Hdf5Source(_ArraySource):
    """Rows of datasets in HDF5 files.

    Args:
        path: files, patterns, or folders.
        x: path of the dataset of inputs within each file; a list or dict of them for several.
        y, sample_weight: paths of the datasets of targets and weights.
        transposed: whether axes lie in the opposite order, the rows last, as in files that R's
            hdf5r and rhdf5 write; None to tell from the numbers of rows of x and y.
        reading: arguments of `Source`.
    """

    def __init__(
        self,
        path: Any,
        x: Any = "x",
        y: Any = None,
        sample_weight: Any = None,
        transposed: Optional[bool] = None,
        **reading: Any,
    ):
        super().__init__(**reading)
        if sample_weight is not None and y is None:
            raise ArgumentError("`sample_weight` needs `y` beside it.", argument="sample_weight")
        self.files = expand(path, (".h5", ".hdf5", ".hdf"))
        self._nest = tuple(part for part in (x, y, sample_weight) if part is not None)
        self.transposed = False
        self.transposed = self._is_transposed() if transposed is None else bool(transposed)
        self._counted = self._count()
        self._ready()

    def _is_transposed(self) -> bool:
        nest = self._opened(0)
        try:
            arrays = nests.flat(nest)
            first = {array.shape[0] for array in arrays}
            last = {array.shape[-1] for array in arrays}
        finally:
            self._release(nest)
        return len(first) > 1 and len(last) == 1

    def _opened(self, file: int) -> Any:
        try:
            import h5py
        except ImportError:
            raise InstallError("Reading HDF5 needs h5py.", hint="pip install h5py") from None
        name = self.files[file]
        try:
            opened = h5py.File(name, "r")
        except OSError as exc:
            raise FileError(
                f"'{name}' is not an HDF5 file, or damaged.",
                argument="path",
                details={"file": name},
            ) from exc

        def dataset(where: str) -> Any:
            found = opened.get(where)
            if not isinstance(found, h5py.Dataset) or not found.shape:
                names: list[str] = []
                opened.visititems(
                    lambda n, v: names.append(n) if isinstance(v, h5py.Dataset) else None
                )
                opened.close()
                raise ArgumentError(
                    f"'{name}' has no dataset '{where}' with rows.",
                    hint=f"Its datasets: {', '.join(names[:10]) or 'none'}.",
                    argument="x",
                )
            return _Turned(found) if self.transposed else found

        return nests.mapped(dataset, self._nest)

    def _release(self, nest: Any) -> None:
        one = nests.flat(nest)[0]
        (one.dataset if isinstance(one, _Turned) else one).file.close()

    def _piece_rows(self, nest: Any) -> int:
        rows = super()._piece_rows(nest)
        sizes = []
        for array in nests.flat(nest):
            turned = isinstance(array, _Turned)
            chunks = (array.dataset if turned else array).chunks
            if chunks:
                sizes.append(chunks[-1] if turned else chunks[0])
        chunk = max(sizes, default=1)
        return max(1, rows // chunk) * chunk  # a compressed chunk is unpacked once only


class _Turned:
    """A dataset whose rows lie on its last axis, seen with rows first."""

    def __init__(self, dataset: Any):
        self.dataset = dataset
        self.shape = tuple(reversed(dataset.shape))
        self.dtype = dataset.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self.dataset[(..., rows)].T
