"""The Python side of the border: the only modules that R imports. Converts and delegates.

R calls four functions. `start` brings Keras up, `call` reaches a public Keras name, `method` a method
of an object R holds, `do` a verb of the engine. Each returns an `Outcome`, so that an error crosses
as plain values and R can turn it into a condition without reading printed text.
"""

from __future__ import annotations

from kerasbridge.bridge.calls import call, do, has, method, start, symbol, whole_number
from kerasbridge.bridge.classes_from_r import (
    class_kind,
    forgotten_keys,
    parameters_of,
    plain_class,
    private_key,
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
    puller,
    shape_of,
    to_r_array,
)
from kerasbridge.bridge.outcome import (
    Outcome,
    RCodeError,
    pending_r_key,
    raise_interrupt,
    raise_r_error,
)
from kerasbridge.bridge.output import Output
from kerasbridge.runtime.threads import main_only

__all__ = [
    "Outcome",
    "Output",
    "RCodeError",
    "as_array",
    "as_bytes",
    "as_dict",
    "as_list",
    "as_slice",
    "as_tensor",
    "as_tuple",
    "call",
    "data_array",
    "do",
    "dtype_of",
    "has",
    "main_only",
    "method",
    "puller",
    "raise_interrupt",
    "raise_r_error",
    "shape_of",
    "start",
    "symbol",
    "to_r_array",
    "whole_number",
    "class_kind",
    "forgotten_keys",
    "parameters_of",
    "pending_r_key",
    "plain_class",
    "private_key",
    "super_attribute",
]
