"""The classic data sets, read from small files in a data folder of the test."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
from kerasbridge.data import datasets
from kerasbridge.errors import ArgumentError, FileError, UnsafeFileError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    return tmp_path / "datasets"


def texts(*lists):
    out = np.empty(len(lists), dtype=object)
    out[:] = [list(x) for x in lists]
    return out


def test_digits_are_read_as_they_are(home):
    x = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)
    np.savez(home / "mnist.npz", x_train=x, y_train=[1, 2, 3], x_test=x[:1], y_test=[4])
    (a, b), (c, d) = datasets.mnist()
    np.testing.assert_array_equal(a, x)
    assert (b.tolist(), c.shape, d.tolist()) == ([1, 2, 3], (1, 28, 28), [4])
    np.savez(home.parent / "own.npz", x_train=x, y_train=[9, 9, 9], x_test=x, y_test=[0] * 3)
    assert datasets.mnist(str(home.parent / "own.npz"))[0][1].tolist() == [9, 9, 9]


def test_clothes_are_read_from_idx_files(home):
    (home / "fashion-mnist").mkdir()
    for part, n in (("train", 2), ("t10k", 1)):
        pixels = bytes(range(256)) * (n * 784 // 256 + 1)
        files = {"labels-idx1": bytes(8) + bytes(range(n)), "images-idx3": bytes(16) + pixels}
        for name, content in files.items():
            if name == "images-idx3":
                content = content[: 16 + n * 784]
            with gzip.open(home / "fashion-mnist" / f"{part}-{name}-ubyte.gz", "wb") as file:
                file.write(content)
    (x, y), (x_test, y_test) = datasets.fashion_mnist()
    assert x.shape == (2, 28, 28) and x_test.shape == (1, 28, 28)
    assert x[0, 0, 5] == 5 and y.tolist() == [0, 1] and y_test.tolist() == [0]


def cifar_archive(path, names, labels):
    with tarfile.open(path, "w:gz") as archive:
        for i, name in enumerate(names):
            pixels = np.full((2, 3072), i, dtype=np.uint8)
            pixels[:, :1024] = 100  # the red plane
            content = pickle.dumps({b"data": pixels, **{k: [i, i + 1] for k in labels}}, protocol=2)
            member = tarfile.TarInfo(f"folder/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_colour_pictures_are_read_from_the_archive(home):
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    cifar_archive(home / "cifar-10-batches-py.tar.gz", names, [b"labels"])
    (x, y), (x_test, y_test) = datasets.cifar10()
    assert x.shape == (10, 32, 32, 3) and x.dtype == np.uint8 and y.shape == (10, 1)
    assert x[2, 0, 0].tolist() == [100, 1, 1] and y[:4, 0].tolist() == [0, 1, 1, 2]
    assert x_test.shape == (2, 32, 32, 3) and y_test[:, 0].tolist() == [5, 6]
    cifar_archive(
        home / "cifar-100-python.tar.gz", ["train", "test"], [b"fine_labels", b"coarse_labels"]
    )
    assert datasets.cifar100("coarse")[0][0].shape == (2, 32, 32, 3)
    with pytest.raises(ArgumentError, match="label_mode"):
        datasets.cifar100("rough")


def test_prices_are_mixed_by_seed_and_split(home):
    x = np.arange(20.0).reshape(10, 2)
    np.savez(home / "boston_housing.npz", x=x, y=np.arange(10.0))
    (a, b), (c, d) = datasets.boston_housing(test_split=0.3, seed=5)
    order = np.arange(10)
    np.random.RandomState(5).shuffle(order)
    np.testing.assert_array_equal(b, order[:7])
    np.testing.assert_array_equal(d, order[7:])
    np.testing.assert_array_equal(a, x[order[:7]])
    assert c.shape == (3, 2)
    np.savez(home / "california_housing.npz", x=np.zeros((700, 8)), y=np.arange(700.0))
    assert len(datasets.california_housing()[0][1]) == 560
    small = datasets.california_housing("small")
    assert max(small[0][1].max(), small[1][1].max()) == 599
    with pytest.raises(ArgumentError, match="test_split"):
        datasets.boston_housing(test_split=1.0)


def test_words_are_shifted_limited_and_marked(home):
    reviews = texts([1, 5, 9], [2], [3, 4, 5, 6, 7, 8], [1, 2])
    y = np.arange(4)
    np.savez(home / "imdb.npz", x_train=reviews, y_train=y, x_test=reviews, y_test=y)
    (x, labels), (x_test, _) = datasets.imdb(num_words=9, seed=1)
    found = {int(label): text.tolist() for label, text in zip(labels, x)}
    # word w is stored as w + 3; numbers from 9 on become 2; 1 marks the start
    assert found == {0: [1, 4, 8, 2], 1: [1, 5], 2: [1, 6, 7, 8, 2, 2, 2], 3: [1, 4, 5]}
    assert x[0].dtype == np.int32 and len(x_test) == 4
    plain = datasets.imdb(start_char=None, index_from=None, oov_char=None, skip_top=3, seed=1)
    texts_by_label = {int(n): t.tolist() for n, t in zip(plain[0][1], plain[0][0])}
    # without a limit the largest number is the limit, so 9 itself is left out
    assert texts_by_label[0] == [5] and texts_by_label[1] == []
    short = datasets.imdb(maxlen=4, seed=1)
    assert sorted(short[0][1].tolist()) == [1, 3]
    with pytest.raises(ArgumentError, match="maxlen"):
        datasets.imdb(maxlen=1)


def test_the_order_of_texts_is_that_of_keras(home):
    reviews = texts(*[[i + 1, i + 2] for i in range(20)])
    np.savez(home / "reuters.npz", x=reviews, y=np.arange(20))
    (x, y), (x_test, y_test) = datasets.reuters()
    order = np.arange(20)
    np.random.RandomState(113).shuffle(order)
    assert y.tolist() == order[:16].tolist() and y_test.tolist() == order[16:].tolist()
    assert x[0].tolist()[:2] == [1, order[0] + 4]


class Harm:
    def __reduce__(self):
        return (print, ("harm",))


def test_files_that_would_run_code_are_refused(home, capsys):
    bad = np.empty(1, dtype=object)
    bad[0] = Harm()
    np.savez(home / "imdb.npz", x_train=bad, y_train=[1], x_test=bad, y_test=[1])
    with pytest.raises(UnsafeFileError, match="print"):
        datasets.imdb()
    assert capsys.readouterr().out == ""


def test_damaged_files_are_named(home):
    (home / "mnist.npz").write_bytes(b"PK not a zip")
    with pytest.raises(FileError, match="mnist.npz' is damaged"):
        datasets.mnist()
    np.savez(home / "boston_housing.npz", x=np.zeros(3))
    with pytest.raises(FileError, match="damaged"):
        datasets.boston_housing()


def test_without_a_network_the_error_says_what_to_fetch(home, monkeypatch):
    monkeypatch.setitem(datasets.FILES, "mnist.npz", ("http://127.0.0.1:9/mnist.npz", "0" * 64))
    with pytest.raises(FileError, match="can't be downloaded") as caught:
        datasets.mnist()
    assert caught.value.details == {
        "file": "mnist.npz",
        "url": "http://127.0.0.1:9/mnist.npz",
        "folder": str(home),
        "sha256": "0" * 64,
    }
    assert str(home / "mnist.npz") in caught.value.hint
    assert f"SHA-256 sum is {'0' * 64}" in caught.value.hint
    assert list(home.iterdir()) == []


def test_every_file_has_a_sum():
    assert all(len(digest) == 64 and int(digest, 16) > 0 for _, digest in datasets.FILES.values())


def test_a_download_with_another_sum_is_refused(home, monkeypatch, tmp_path):
    served = tmp_path / "served.npz"
    np.savez(served, x_train=np.zeros(1), y_train=[0], x_test=np.zeros(1), y_test=[0])
    monkeypatch.setitem(datasets.FILES, "mnist.npz", (served.as_uri(), "0" * 64))
    with pytest.raises(FileError, match="can't be downloaded"):
        datasets.mnist()
    assert list(home.iterdir()) == []
    digest = hashlib.sha256(served.read_bytes()).hexdigest()
    monkeypatch.setitem(datasets.FILES, "mnist.npz", (served.as_uri(), digest))
    assert datasets.mnist()[0][0].tolist() == [0.0]
    assert [file.name for file in home.iterdir()] == ["mnist.npz"]


def test_files_that_lie_elsewhere_are_read_there(home, tmp_path, monkeypatch):
    monkeypatch.setitem(
        datasets.FILES, "cifar-10-batches-py.tar.gz", ("http://127.0.0.1:9/c.tar.gz", "0" * 64)
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in datasets._FASHION:
        images = "images" in name
        body = bytes(16 if images else 8) + bytes(2 * 784 if images else 2)
        (elsewhere / name).write_bytes(gzip.compress(body))
    (x, y), _ = datasets.fashion_mnist(str(elsewhere))
    assert x.shape == (2, 28, 28) and y.shape == (2,)
    with pytest.raises(FileError, match="'own.tar.gz' is not in .*elsewhere"):
        datasets.cifar10(str(elsewhere / "own.tar.gz"))
