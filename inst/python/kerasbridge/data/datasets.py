"""The classic data sets: read from Keras' data folder, downloaded into it when they are not there.

A file that lies in the folder is read as it is, so a machine without a network works with files put
there by hand. Downloads are checked against the SHA-256 sums below. Files with pickled parts (lists
of words, image batches) are read by an unpickler that builds NumPy arrays and plain values, nothing
else.
"""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Optional

import numpy as np

from kerasbridge.errors import ArgumentError, FileError, UnsafeFileError
from kerasbridge.runtime import certificates

_BASE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_CIFAR = "https://www.cs.toronto.edu/~kriz/"
# the four files as their makers publish them, in whatever place
_FASHION = {
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
}
# file name -> (address, SHA-256)
FILES: dict[str, tuple[str, str]] = {
    "mnist.npz": (
        _BASE + "mnist.npz",
        "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    ),
    "boston_housing.npz": (
        _BASE + "boston_housing.npz",
        "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5",
    ),
    "california_housing.npz": (
        _BASE + "california_housing.npz",
        "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
    ),
    "imdb.npz": (
        _BASE + "imdb.npz",
        "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    ),
    "reuters.npz": (
        _BASE + "reuters.npz",
        "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
    ),
    "cifar-10-batches-py.tar.gz": (
        _CIFAR + "cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "cifar-100-python.tar.gz": (
        _CIFAR + "cifar-100-python.tar.gz",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
    **{f"fashion-mnist/{name}": (_BASE + name, digest) for name, digest in _FASHION.items()},
}

# (x, y) for training and for testing
Split = tuple[tuple[Any, Any], tuple[Any, Any]]


def folder() -> Path:
    """Where Keras keeps data sets: `datasets` in KERAS_HOME, or in ~/.keras."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return Path(home).expanduser() / "datasets"


def locate(name: str, path: Optional[str] = None) -> Path:
    """The file of a data set: in the folder, or downloaded into it.

    Args:
        name: key of `FILES`.
        path: another file name in the folder, or a full path.

    Raises:
        FileError: it is not there and can't be downloaded; `details` has file, url, folder and the
            SHA-256 sum that the file should have.
    """
    target = folder() / Path(path or name).expanduser()  # a full path wins over the folder
    if target.is_file():
        return target
    if path is None and name.startswith(
        "cifar"
    ):  # Keras leaves such an archive under further names
        for other in (name.replace(".tar.gz", "-target"), name.replace(".tar.gz", "")):
            if (folder() / other).is_dir():
                return folder() / other
    url, digest = FILES[name]
    import keras

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        keras.utils.get_file(
            fname=target.name, origin=url, file_hash=digest, cache_dir=str(target.parent.parent),
            cache_subdir=target.parent.name,
        )  # fmt: skip
    except Exception as exc:
        target.unlink(missing_ok=True)
        missing = f"'{target.name}' is not in {target.parent} and can't be downloaded from {url}."
        elsewhere = f"fetch that address elsewhere and put the file at {target}."
        refused = certificates.refused(str(exc))
        raise FileError(
            f"{missing} {refused}" if refused else missing,
            hint=(f"{certificates.HINT} Or " if refused else "Without a network, ")
            + f"{elsewhere} Its SHA-256 sum is {digest}.",
            argument="path",
            details={
                "file": target.name,
                "url": url,
                "folder": str(target.parent),
                "sha256": digest,
            },
        ) from exc
    return target


# ---- reading without running what a file says --------------------------------------------------


class _PlainUnpickler(pickle.Unpickler):
    """Builds NumPy arrays and plain values; anything else in the stream is refused."""

    allowed = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
        *(
            (f"numpy.{core}.multiarray", name)
            for core in ("core", "_core")
            for name in ("_reconstruct", "scalar")
        ),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise UnsafeFileError(
                f"The data file asks for {module}.{name}, which data never needs.",
                hint="Delete the file and let it be downloaded again.",
                argument="path",
            )
        return super().find_class(module, name)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an .npz file by name, object arrays included."""
    out = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                stream = io.BytesIO(archive.read(member))
                version = np.lib.format.read_magic(stream)
                read = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, fortran, dtype = read(stream)
                if dtype.hasobject:
                    array = _PlainUnpickler(stream, encoding="latin1").load()
                    array = np.asarray(array, dtype=object).reshape(shape)
                else:
                    stream.seek(0)
                    array = np.lib.format.read_array(stream, allow_pickle=False)
                out[member[:-4] if member.endswith(".npy") else member] = array
    except UnsafeFileError:
        raise
    except Exception as exc:
        raise _damaged(path) from exc
    return out


def _damaged(path: Path) -> FileError:
    return FileError(
        f"'{path}' is damaged or is another file.",
        hint="Delete it and let it be downloaded again.",
        argument="path",
    )


def _arrays(path: Path, *names: str) -> list[np.ndarray]:
    found = read_npz(path)
    if not set(names) <= set(found):
        raise _damaged(path)
    return [found[name] for name in names]


# ---- the data sets ------------------------------------------------------------------------------


def mnist(path: str = "mnist.npz") -> Split:
    """Handwritten digits: x (n, 28, 28) uint8, y (n,) 0 to 9."""
    parts = _arrays(locate("mnist.npz", path), "x_train", "y_train", "x_test", "y_test")
    return (parts[0], parts[1]), (parts[2], parts[3])


def fashion_mnist(path: str = "fashion-mnist") -> Split:
    """Pictures of clothes: x (n, 28, 28) uint8, y (n,) 0 to 9 (IDX files, in the folder `path`)."""
    import gzip

    parts = []
    for name, offset in zip(_FASHION, (8, 16, 8, 16)):
        file = locate(f"fashion-mnist/{name}", os.path.join(path, name))
        try:
            with gzip.open(file, "rb") as stream:
                values = np.frombuffer(stream.read(), np.uint8, offset=offset)
        except (OSError, EOFError, ValueError) as exc:
            raise _damaged(file) from exc
        parts.append(values if offset == 8 else values.reshape(-1, 28, 28))
    return (parts[1], parts[0]), (parts[3], parts[2])


def _cifar_batches(path: Path, names: list[str], label: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = [], []
    for name in names:
        try:
            if path.is_dir():
                stream: Any = io.BytesIO(next(path.rglob(name)).read_bytes())
            else:
                with tarfile.open(path) as archive:
                    member = next(m for m in archive.getmembers() if Path(m.name).name == name)
                    stream = io.BytesIO(archive.extractfile(member).read())
            batch = _PlainUnpickler(stream, encoding="bytes").load()
            x.append(np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32))
            y.append(np.asarray(batch[label.encode()], dtype=np.uint8))
        except UnsafeFileError:
            raise
        except Exception as exc:
            raise _damaged(path) from exc
    return np.concatenate(x).transpose(0, 2, 3, 1), np.concatenate(y).reshape(-1, 1)


def cifar10(path: Optional[str] = None) -> Split:
    """Colour pictures: x (n, 32, 32, 3) uint8, y (n, 1) 0 to 9; `path`: the archive."""
    file = locate("cifar-10-batches-py.tar.gz", path)
    train = _cifar_batches(file, [f"data_batch_{i}" for i in range(1, 6)], "labels")
    return train, _cifar_batches(file, ["test_batch"], "labels")


def cifar100(label_mode: str = "fine", path: Optional[str] = None) -> Split:
    """As `cifar10`, 100 classes ("fine") or 20 groups of them ("coarse")."""
    if label_mode not in ("fine", "coarse"):
        raise ArgumentError(
            f"`label_mode` must be 'fine' or 'coarse', not {label_mode!r}.", argument="label_mode"
        )
    file = locate("cifar-100-python.tar.gz", path)
    label = f"{label_mode}_labels"
    return _cifar_batches(file, ["train"], label), _cifar_batches(file, ["test"], label)


def _check_share(share: float) -> float:
    if not 0 <= share < 1:
        raise ArgumentError(
            "`test_split` must be from 0 up to, not including, 1.", argument="test_split"
        )
    return share


def boston_housing(
    path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> Split:
    """House prices, 13 columns: x (n, 13), y (n,) in 1000 dollars; rows mixed by `seed`."""
    x, y = _arrays(locate("boston_housing.npz", path), "x", "y")
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    x, y = x[order], y[order]
    kept = int(len(x) * (1 - _check_share(test_split)))
    return (x[:kept], y[:kept]), (x[kept:], y[kept:])


def california_housing(
    version: str = "large",
    path: str = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> Split:
    """House prices by district, 8 columns; "small" is the first 600 rows."""
    if version not in ("large", "small"):
        raise ArgumentError(
            f"`version` must be 'large' or 'small', not {version!r}.", argument="version"
        )
    x, y = _arrays(locate("california_housing.npz", path), "x", "y")
    if version == "small":
        x, y = x[:600], y[:600]
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    x, y = x[order], y[order]
    kept = int(len(x) * (1 - _check_share(test_split)))
    return (x[:kept], y[:kept]), (x[kept:], y[kept:])


def _words(xs: list, start_char: Optional[int], index_from: Optional[int]) -> list[list[int]]:
    shift = index_from or 0
    start = [] if start_char is None else [start_char]
    return [start + [int(w) + shift for w in x] for x in xs]


def _texts(xs: list, limit: int, skip_top: int, oov_char: Optional[int]) -> list[np.ndarray]:
    out = []
    for x in xs:
        numbers = np.asarray(x, dtype=np.int32)
        known = (numbers >= skip_top) & (numbers < limit)
        numbers = numbers[known] if oov_char is None else np.where(known, numbers, oov_char)
        out.append(numbers.astype(np.int32))
    return out


def _drop_long(xs: list, y: np.ndarray, maxlen: Optional[int]) -> tuple[list, np.ndarray]:
    if not maxlen:
        return xs, y
    short = [i for i, x in enumerate(xs) if len(x) < maxlen]
    if not short:
        raise ArgumentError(f"No text is shorter than `maxlen` = {maxlen}.", argument="maxlen")
    return [xs[i] for i in short], y[short]


def imdb(
    path: str = "imdb.npz",
    num_words: Optional[int] = None,
    skip_top: int = 0,
    maxlen: Optional[int] = None,
    seed: int = 113,
    start_char: Optional[int] = 1,
    oov_char: Optional[int] = 2,
    index_from: Optional[int] = 3,
) -> Split:
    """Film reviews: x lists of int32 word numbers, y (n,) 0 or 1."""
    parts = _arrays(locate("imdb.npz", path), "x_train", "y_train", "x_test", "y_test")
    rng = np.random.RandomState(seed)
    splits, limit = [], 0
    for x, y in ((parts[0], parts[1]), (parts[2], parts[3])):
        order = np.arange(len(x))
        rng.shuffle(order)
        xs = _words(list(x[order]), start_char, index_from)
        splits.append(_drop_long(xs, y[order], maxlen))
        limit = max(limit, max((max(t) for t in splits[-1][0] if t), default=0))
    limit = num_words or limit
    train, test = ((_texts(x, limit, skip_top, oov_char), y) for x, y in splits)
    return train, test


def reuters(
    path: str = "reuters.npz",
    num_words: Optional[int] = None,
    skip_top: int = 0,
    maxlen: Optional[int] = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: Optional[int] = 1,
    oov_char: Optional[int] = 2,
    index_from: Optional[int] = 3,
) -> Split:
    """Newswires: x lists of int32 word numbers, y (n,) topics 0 to 45."""
    x, y = _arrays(locate("reuters.npz", path), "x", "y")
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    xs = _words(list(x[order]), start_char, index_from)
    xs, y = _drop_long(xs, y[order], maxlen)
    limit = num_words or max((max(t) for t in xs if t), default=0)
    xs = _texts(xs, limit, skip_top, oov_char)
    kept = int(len(xs) * (1 - _check_share(test_split)))
    return (xs[:kept], y[:kept]), (xs[kept:], y[kept:])
