"""The Python side of the border: the only modules that R imports. Converts and delegates.

R calls four functions. `start` brings Keras up, `call` reaches a public Keras name, `method` a method
of an object R holds, `do` a verb of the engine. Each returns an `Outcome`, so that an error crosses
as plain values and R can turn it into a condition without reading printed text.
"""

from __future__ import annotations

from kerasbridge.bridge.calls import call, do, has, method, start, symbol, whole_number
from kerasbridge.bridge.classes_from_r import (
    class_kind,
    parameters_of,
    plain_class,
    super_attribute,
)
from kerasbridge.bridge.convert import (
    as_array,
    as_bytes,
    as_dict,
    as_list,
    as_slice,
    as_tensor,
    as_tuple,
    data_array,
    dtype_of,
    plain_dict,
    puller,
    shape_of,
    sparse_rows,
    to_r_array,
    with_parameters,
)
from kerasbridge.bridge.from_r import RCodeError, Signal, pending_r_key, r_function
from kerasbridge.bridge.holding import hold, release, take_interrupted
from kerasbridge.bridge.lending import lendable, lent
from kerasbridge.bridge.outcome import Outcome
from kerasbridge.bridge.output import Output
from kerasbridge.bridge.private_keys import forgotten_keys, private_key
from kerasbridge.runtime.r_functions import describe

__all__ = [
    "Outcome",
    "Output",
    "RCodeError",
    "Signal",
    "as_array",
    "as_bytes",
    "as_dict",
    "as_list",
    "as_slice",
    "as_tensor",
    "as_tuple",
    "call",
    "data_array",
    "describe",
    "do",
    "dtype_of",
    "has",
    "hold",
    "lendable",
    "lent",
    "method",
    "plain_dict",
    "puller",
    "r_function",
    "release",
    "shape_of",
    "sparse_rows",
    "start",
    "symbol",
    "take_interrupted",
    "to_r_array",
    "whole_number",
    "with_parameters",
    "class_kind",
    "forgotten_keys",
    "parameters_of",
    "pending_r_key",
    "plain_class",
    "private_key",
    "super_attribute",
]
