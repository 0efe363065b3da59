"""Padding, skip-grams, sampling tables, windows."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from kerasbridge.data import sequences as seq
from kerasbridge.errors import ArgumentError, DataError


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("maxlen", [None, 1, 3, 9])
def test_padding_equals_keras(padding, truncating, maxlen):
    rng = np.random.default_rng(0)
    ragged = [rng.integers(1, 9, size=n).tolist() for n in (0, 1, 3, 6, 2)]
    arguments = dict(maxlen=maxlen, padding=padding, truncating=truncating, value=7)
    ours = seq.pad_sequences(ragged, **arguments)
    theirs = keras.utils.pad_sequences(ragged, **arguments)
    assert ours.dtype == theirs.dtype == np.int32
    np.testing.assert_array_equal(ours, theirs)


def test_padding_keeps_the_shape_of_a_step():
    out = seq.pad_sequences([np.ones((2, 3)), np.ones((1, 3))], dtype="float32")
    assert out.shape == (2, 2, 3) and out.dtype == np.float32
    assert out[1, 0].tolist() == [0, 0, 0]
    with pytest.raises(DataError, match="sequence 2"):
        seq.pad_sequences([np.ones((2, 3)), np.ones((1, 2))])


def test_padding_of_text_and_of_nothing():
    out = seq.pad_sequences([["a"], ["b", "c"]], dtype="str", value="")
    assert out.tolist() == [["", "a"], ["b", "c"]]
    assert seq.pad_sequences([]).shape == (0, 0)
    assert seq.pad_sequences([], maxlen=3).shape == (0, 3)


def test_padding_refuses_what_would_be_cut_off():
    with pytest.raises(ArgumentError, match="fractions"):
        seq.pad_sequences([[1], [1.5]])
    assert seq.pad_sequences([[1.0, 2.0]]).tolist() == [[1, 2]]
    with pytest.raises(ArgumentError, match="padding"):
        seq.pad_sequences([[1]], padding="left")
    with pytest.raises(ArgumentError, match="value"):
        seq.pad_sequences([[1]], value="a")
    with pytest.raises(ArgumentError, match="maxlen"):
        seq.pad_sequences([[1]], maxlen=0)


def test_true_pairs_are_all_pairs_in_the_window():
    couples, labels = seq.skipgrams(
        [1, 0, 2, 3], 5, window_size=2, negative_samples=0, shuffle=False
    )
    # 0 is no word: it is no centre and no neighbour
    assert couples.tolist() == [[1, 2], [2, 1], [2, 3], [3, 2]]
    assert labels.tolist() == [1, 1, 1, 1]


def test_random_pairs_have_a_centre_of_the_text_and_any_word():
    words = list(range(1, 20))
    couples, labels = seq.skipgrams(words, 50, window_size=3, negative_samples=0.5, seed=3)
    true, false = couples[labels == 1], couples[labels == 0]
    assert len(false) == len(true) // 2
    assert (abs(true[:, 0] - true[:, 1]) <= 3).all() and (true[:, 0] != true[:, 1]).all()
    assert set(false[:, 0]) <= set(words)
    assert false[:, 1].min() >= 1 and false[:, 1].max() < 50
    again = seq.skipgrams(words, 50, window_size=3, negative_samples=0.5, seed=3)
    np.testing.assert_array_equal(again[0], couples)
    two = seq.skipgrams(words, 50, 3, 0.5, categorical=True, seed=3)[1]
    np.testing.assert_array_equal(two, np.stack([1 - labels, labels], axis=1))


def test_the_sampling_table_thins_frequent_words():
    table = seq.make_sampling_table(1000, 1e-3)
    r = 500
    inverse = r * (np.log(r) + 0.577) + 0.5 - 1 / (12 * r)
    assert table[r] == pytest.approx(min(1, np.sqrt(1e-3 * inverse)))
    assert table[0] == table[1] and (np.diff(table) >= 0).all() and table.max() <= 1
    none = seq.skipgrams([1, 2, 3], 5, sampling_table=np.zeros(5), seed=1)
    assert none[0].shape == (0, 2)
    with pytest.raises(DataError, match="entries"):
        seq.skipgrams([1, 4], 5, sampling_table=np.ones(2))
    with pytest.raises(DataError, match="0 to 4"):
        seq.skipgrams([1, 5], 5)


def test_windows_equal_those_of_keras():
    data = np.arange(40.0).reshape(20, 2)
    targets = np.arange(20)
    windows = seq.Windows(data, targets, length=6, sampling_rate=2, stride=3, batch_size=2)
    ours = [windows[i] for i in range(len(windows))]
    pytest.importorskip("tensorflow", reason="Keras makes these batches by TensorFlow")
    theirs = list(
        keras.utils.timeseries_dataset_from_array(
            data[:-1], targets[6:], 3, sequence_stride=3, sampling_rate=2, batch_size=2
        )
    )
    x = np.concatenate([b[0] for b in ours])
    np.testing.assert_array_equal(x, np.concatenate([b[0] for b in theirs]))
    y = np.concatenate([b[1] for b in ours])
    assert y.tolist() == [6, 9, 12, 15, 18]
    assert [len(b[1]) for b in ours] == [2, 2, 1]


def test_windows_may_be_reversed_cut_and_drawn():
    series = np.arange(10)
    plain = seq.Windows(series, series, 3, start_index=2, end_index=6, batch_size=8)
    x, y = plain[0]
    assert len(plain) == 1
    assert x.tolist() == [[2, 3, 4], [3, 4, 5]] and y.tolist() == [5, 6]
    x, _ = seq.Windows(series, series, 3, reverse=True)[0]
    assert x[0].tolist() == [2, 1, 0]
    draw = seq.Windows(series, series, 3, shuffle=True, batch_size=4, seed=1)
    x, y = draw[0]
    assert (x[:, -1] + 1 == y).all()
    with pytest.raises(IndexError):
        plain[1]


def test_windows_that_do_not_fit_are_refused():
    series = np.arange(10)
    with pytest.raises(ArgumentError, match="No window fits"):
        seq.Windows(series, series, 10)
    with pytest.raises(DataError, match="10 rows, `targets` 9"):
        seq.Windows(series, series[:9], 3)
    with pytest.raises(ArgumentError, match="stride"):
        seq.Windows(series, series, 3, stride=0)
    with pytest.raises(ArgumentError, match="end_index"):
        seq.Windows(series, series, 3, end_index=10)


def test_a_model_trains_on_indexed_batches():
    from kerasbridge.data.indexed import IndexedBatches

    series = np.arange(50.0).reshape(-1, 1) / 50
    batches = IndexedBatches(seq.Windows(series, series, 4, batch_size=8))
    assert len(batches) == 6
    model = keras.Sequential([keras.Input((4, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(batches, epochs=2, verbose=0)
    assert history.history["loss"][1] < history.history["loss"][0]
    assert model.predict(batches, verbose=0).shape == (46, 1)
    first = batches.next_batch()
    for _ in range(5):
        batches.next_batch()
    np.testing.assert_array_equal(batches.next_batch()[0], first[0])
