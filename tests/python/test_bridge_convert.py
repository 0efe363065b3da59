"""Values on their way between R and Python."""

from __future__ import annotations

import time
from collections import namedtuple

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from kerasbridge.bridge import convert, lending  # noqa: E402


@pytest.mark.parametrize(
    ("value", "dtype", "want"),
    [
        (np.array([1.5, 2.5]), None, "float32"),
        (np.array([1, 2], "int32"), None, "int32"),
        (np.array([True, False]), None, "bool"),
        (np.array([1 + 2j]), None, "complex64"),
        (np.array([0.1]), "float64", "float64"),
        (np.array([1, 2], "int32"), "int64", "int64"),
    ],
)
def test_numbers_become_tensors_of_the_backend(value, dtype, want):
    tensor = convert.as_tensor(value, dtype)
    assert keras.ops.is_tensor(tensor)
    if keras.config.backend() == "jax":  # which keeps 32 bits
        want = want.replace("64", "32") if want != "complex64" else want
    assert keras.backend.standardize_dtype(tensor.dtype) == want
    np.testing.assert_allclose(keras.ops.convert_to_numpy(tensor), value, rtol=1e-6)


def test_a_single_number_keeps_no_axis():
    assert tuple(convert.as_tensor(3.5).shape) == ()
    assert tuple(convert.as_tensor(np.array([3.5])).shape) == (1,)


def test_column_ordered_arrays_keep_their_elements_in_place():
    value = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(convert.as_tensor(value)), value)


def test_strings_stay_an_array():
    array = convert.as_tensor(np.array(["a", "b"]))
    assert isinstance(array, np.ndarray)
    assert array.tolist() == ["a", "b"]


def test_tuples_with_names_become_dicts_and_others_stay():
    pair = namedtuple("pair", ["values", "indices"])
    assert convert.without_tuple_names(pair(1, 2)) == {"values": 1, "indices": 2}
    assert list(convert.without_tuple_names(pair(1, 2))) == ["values", "indices"]
    lengths = convert.without_tuple_names(time.gmtime(0))  # made as the results of PyTorch are
    assert lengths["tm_year"] == 1970 and len(lengths) == 9
    assert convert.without_tuple_names((1, 2)) == (1, 2)
    assert convert.without_tuple_names([1]) == [1]


def test_without_r_no_vector_is_lent():
    assert lending.lendable(["0x10"]) == [False]
    with pytest.raises(ValueError, match="can't be read"):
        lending.lent("0x10")
    values = np.arange(4.0)
    kept = lending.owned({"x": values[1:], "y": [np.ones(2)]}, [values])
    assert not np.may_share_memory(kept["x"], values) and kept["x"].tolist() == [1.0, 2.0, 3.0]
