"""Sources of arrays, texts, windows, functions and image files."""

from __future__ import annotations

import importlib.util

import keras
import numpy as np
import pytest
from kerasbridge.data.sources import (
    FunctionSource,
    Hdf5Source,
    ImageSource,
    NpySource,
    TextSource,
    TimeseriesSource,
)
from kerasbridge.errors import ArgumentError, DataError, FileError
from PIL import Image


def rows_of(source, shuffle=False):
    batches = list(source.batches(shuffle=shuffle))
    return [np.concatenate([batch[i] for batch in batches]) for i in range(len(batches[0]))]


def saved(path, array):
    np.save(path, array)
    return str(path)


def test_npy_files_are_mapped(tmp_path):
    x = np.arange(600_000, dtype=np.float64).reshape(-1, 3)
    a, b = saved(tmp_path / "x.npy", np.asfortranarray(x)), saved(tmp_path / "y.npy", x[:, :1])
    source = NpySource(a, b, seed=1, batch_size=1000)
    assert source.samples == 200_000
    got, y = rows_of(source)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, x.astype("float32"))
    mixed, y = rows_of(source, shuffle=True)
    np.testing.assert_array_equal(mixed[:, :1], y)
    np.testing.assert_array_equal(np.sort(mixed[:, 0]), x[:, 0].astype("float32"))
    two = NpySource({"one": a, "two": b}, b)
    assert list(two.first_rows()[0]) == ["one", "two"]
    with pytest.raises(DataError, match="differ in rows: 200000, 5"):
        NpySource(a, saved(tmp_path / "z.npy", x[:5]))
    with pytest.raises(FileError, match="no whole .npy file"):
        (tmp_path / "cut.npy").write_bytes(open(a, "rb").read()[:1000])
        NpySource(tmp_path / "cut.npy")
    with pytest.raises(FileError, match="archive"):
        np.savez(tmp_path / "all.npz", x=x)
        NpySource(tmp_path / "all.npz")


def test_holes_in_arrays_are_named_or_skipped(tmp_path):
    x = np.arange(3_000_000, dtype="float32").reshape(-1, 2)
    x[1_000_000, 1] = np.nan
    path = saved(tmp_path / "x.npy", x)
    with pytest.raises(DataError, match="row 1000001: it has a value that is not finite"):
        rows_of(NpySource(path))
    kept = NpySource(path, on_error="skip", batch_size=4096)
    assert kept.skipped == 1 and kept.samples == len(x) - 1
    np.testing.assert_array_equal(rows_of(kept)[0], np.delete(x, 1_000_000, axis=0))


@pytest.mark.parametrize("chunks", [None, True])
def test_hdf5_in_both_orders_of_axes(tmp_path, chunks):
    h5py = pytest.importorskip("h5py")
    x = np.arange(5000 * 3 * 2, dtype="float64").reshape(5000, 3, 2)
    y = np.arange(5000, dtype="int32")
    for name, turned in (("python.h5", False), ("r.h5", True)):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("data/x", data=x.T if turned else x, chunks=chunks)
            file.create_dataset("data/y", data=y, chunks=chunks)
        source = Hdf5Source(tmp_path / name, x="data/x", y="data/y", seed=1)
        assert source.transposed == turned
        got, labels = rows_of(source)
        np.testing.assert_array_equal(got, x)
        np.testing.assert_array_equal(labels, y)
        got, labels = rows_of(source, shuffle=True)
        np.testing.assert_array_equal(got, x[labels])
    with pytest.raises(ArgumentError, match="no dataset 'y'.*\n.*data/x, data/y"):
        Hdf5Source(tmp_path / "r.h5", x="data/x", y="y")
    (tmp_path / "no.h5").write_text("nothing")
    with pytest.raises(FileError, match="no.h5' is not an HDF5 file"):
        Hdf5Source(tmp_path / "no.h5")


def test_windows_of_a_series_equal_those_of_keras():
    series = np.random.default_rng(0).normal(size=(100, 2)).astype("float32")
    targets = np.arange(100)
    options = dict(sequence_length=5, sampling_rate=2, sequence_stride=3)
    x, y = rows_of(TimeseriesSource(series, targets, **options))
    for row, first in enumerate(range(0, 92, 3)):
        np.testing.assert_array_equal(x[row], series[first : first + 10 : 2])
        assert y[row] == first
    assert len(x) == len(y) == 31
    if importlib.util.find_spec("tensorflow") is not None:  # with which Keras makes its batches
        theirs = keras.utils.timeseries_dataset_from_array(
            series, targets, batch_size=200, **options
        )
        for a, b in zip((x, y), list(theirs)[0]):
            np.testing.assert_array_equal(a, b.numpy())
    with pytest.raises(DataError, match="covers 200 steps"):
        TimeseriesSource(series, sequence_length=200)
    with pytest.raises(ArgumentError, match="101 to"):
        TimeseriesSource(series, start=100)
    series[50] = np.nan
    with pytest.raises(DataError, match="not finite in the window from step 43 on"):
        rows_of(TimeseriesSource(series, **options))
    some = TimeseriesSource(series, on_error="skip", **options)
    assert some.skipped == 2 and some.samples == 29


def test_functions_give_samples():
    def sample(i):
        if i == 7:
            raise RuntimeError("no seven")
        return {"a": np.full(2, i, "float64"), "b": i}, i % 2

    source = FunctionSource(sample, 7, batch_size=3, seed=1)
    x, y = list(source.batches())[0]
    assert x["a"].dtype == np.float32 and x["a"].shape == (3, 2) and x["b"].shape == (3,)
    np.testing.assert_array_equal(x["b"] % 2, y)
    with pytest.raises(DataError, match="sample 8: RuntimeError: no seven"):
        list(FunctionSource(sample, 8).batches())
    skipped = FunctionSource(sample, 10, on_error="skip")
    assert skipped.samples == 9 and "Sample 8" in skipped.problems[0]
    with pytest.raises(DataError, match=r"shapes \[\(2,\)\] for sample 3 and \[\(1,\)\]"):
        list(FunctionSource(lambda i: np.zeros(1 + i // 2), 4, shuffle=False).batches())


def test_texts_by_folder_and_by_line(tmp_path):
    for name, texts in (("bad", ["awful", "poor\n"]), ("good", ["fine"])):
        (tmp_path / name).mkdir()
        for i, text in enumerate(texts):
            (tmp_path / name / f"{i}.txt").write_text(text, encoding="utf-8")
    source = TextSource(tmp_path, shuffle=False)
    assert source.class_names == ["bad", "good"]
    x, y = source[0]
    assert x.tolist() == ["awful", "poor\n", "fine"] and y.tolist() == [0, 0, 1]
    lines = tmp_path / "lines.txt"
    lines.write_bytes("first\n\n  zwölf\r\nlast".encode())
    by_line = TextSource(lines, unit="lines", shuffle=False)
    assert by_line[0][0].tolist() == ["first", "  zwölf", "last"]
    if importlib.util.find_spec("tensorflow") is not None:  # which the layer needs on any backend
        layer = keras.layers.TextVectorization(output_sequence_length=2)
        layer.adapt(["first last", "first"])
        numbers = TextSource(lines, unit="lines", vectorize=layer, shuffle=False)[0][0]
        assert numbers.tolist() == [[2, 0], [1, 0], [3, 0]]
    lines.write_bytes("zwölf".encode("latin1"))
    with pytest.raises(FileError, match="lines.txt' can't be read as text"):
        TextSource(lines, unit="lines")[0]
    assert TextSource(lines, unit="lines", encoding="latin1")[0][0].tolist() == ["zwölf"]
    with pytest.raises(ArgumentError, match="1 files and 2 labels"):
        TextSource([lines], labels=["a", "b"])


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for code, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for i in range(10):
            pixels = np.full((20, 30, 3), 100 * code + i, "uint8")
            pixels[0] = rng.integers(0, 2, (30, 3))
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_image_folders_and_lists(folder):
    source = ImageSource(folder, target_size=(10, 10), validation_split=0.3, seed=1)
    assert source.class_names == ["cat", "dog"]
    assert source.samples == 14 and source.validation.samples == 6
    x, y = rows_of(source.validation)
    assert y.tolist() == [0] * 3 + [1] * 3
    np.testing.assert_array_equal(x[:, 5, 5, 0], [7, 8, 9, 107, 108, 109])
    x, y = rows_of(source, shuffle=True)
    np.testing.assert_array_equal(x[:, 5, 5, 0] >= 100, y == 1)
    files = ["cat/3.png", "dog/4.png"]
    listed = ImageSource(
        files, [1.5, 2.5], directory=folder, target_size=(4, 4), rescale=0.5, shuffle=False
    )
    x, y = listed[0]
    assert x[:, 2, 2, 0].tolist() == [1.5, 52] and y.tolist() == [1.5, 2.5]
    named = ImageSource(files, ["b", "a"], directory=folder, class_mode="categorical")
    assert rows_of(named)[1].tolist() == [[0, 1], [1, 0]]
    with pytest.raises(FileError, match="row 2: .*none.png"):
        ImageSource(["cat/3.png", "none.png"], directory=folder)


def test_broken_images_are_named_or_skipped(folder):
    whole = (folder / "dog" / "0.png").read_bytes()
    (folder / "dog" / "0.png").write_bytes(whole[: len(whole) // 2])
    source = ImageSource(folder, shuffle=False, target_size=(8, 8))
    with pytest.raises(FileError, match="0.png' can't be read as an image"):
        rows_of(source)
    kept = ImageSource(folder, target_size=(8, 8), on_error="skip")
    assert kept.samples == 19 and kept.skipped == 1 and "0.png" in kept.problems[0]
    assert len(rows_of(kept, shuffle=True)[1]) == 19
