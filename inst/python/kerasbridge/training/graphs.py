"""Reading a traced step: what is in it, and how much memory a row of it takes."""

from __future__ import annotations

from typing import Any

import numpy as np

_CALLS_OUT = {"PyFunc", "EagerPyFunc", "PyFuncStateless"}
_NO_XLA_PREFIXES = ("LookupTable", "String", "Regex", "AsString", "Ragged", "Sparse", "MutableHash")
_RANDOM_PREFIXES = (
    "Random",
    "StatelessRandom",
    "StatelessParameterized",
    "StatelessTruncated",
    "StatelessMultinomial",
    "StatelessShuffle",
    "StatelessSample",
    "StatefulUniform",
    "StatefulStandard",
    "StatefulTruncated",
    "StatefulRandom",
    "Multinomial",
    "ParameterizedTruncated",
    "TruncatedNormal",
    "RngReadAndSkip",
)
_WRITES = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp", "ResourceScatter")
_CONVOLUTIONS = ("Conv2D", "Conv3D", "DepthwiseConv2d", "FusedConv", "_FusedConv")


class Graph:
    """Facts about one concrete function, functions within it included.

    Attributes:
        calls_out: it calls back into Python (or R) while it runs.
        random: it draws random numbers; XLA draws others from the same seed.
        writes: it changes variables.
        loops: it holds loops of its own (recurrent layers).
        convolves: it holds convolutions.
        no_xla: it holds operations that XLA does not have (text, tables).
        written: how many operations it has as written.
        operations: the same with the bodies of inner loops counted `steps` times.
        timesteps: `steps` where it has inner loops, 1 elsewhere.
    """

    def __init__(self, function: Any, steps: int = 1):
        definition = function.graph.as_graph_def()
        outer = [node.op for node in definition.node]
        inner = [node.op for part in definition.library.function for node in part.node_def]
        names = set(outer) | set(inner)
        self.calls_out = bool(names & _CALLS_OUT)
        self.random = any(name.startswith(_RANDOM_PREFIXES) for name in names)
        self.writes = any(name.startswith(_WRITES) for name in names)
        self.loops = bool(names & {"While", "StatelessWhile"})
        self.convolves = any(name.startswith(_CONVOLUTIONS) for name in names)
        self.no_xla = any(
            name.startswith(_NO_XLA_PREFIXES) and not name.startswith("SparseSoftmax")
            for name in names
        )
        self.timesteps = max(1, steps) if self.loops else 1
        self.written = len(outer) + len(inner)
        self.operations = len(outer) + len(inner) * self.timesteps


def writes_weights(function: Any, model: Any) -> bool:
    """Whether a call changes weights of the model (its metrics' state doesn't count)."""
    handles = {id(getattr(weight.value, "handle", None)) for weight in model.weights}
    inside = {
        id(internal) for external, internal in function.graph.captures if id(external) in handles
    }
    for operation in function.graph.get_operations():
        if operation.type.startswith(_WRITES) and id(operation.inputs[0]) in inside:
            return True
    return False


def row_bytes(function: Any) -> int:
    """Bytes per row of all intermediate results of a function traced for any number of rows.

    The sum over every operation is an upper bound of what is alive at once; inner axes whose size
    only the data tell count once.
    """
    total = 0
    for operation in function.graph.get_operations():
        if operation.type in ("ReadVariableOp", "Const", "Placeholder"):
            continue
        for tensor in operation.outputs:
            shape = tensor.shape
            if shape.rank is None or shape.rank == 0 or shape[0] is not None:
                continue
            inner = [size or 1 for size in shape[1:]]
            total += int(np.prod(inner, dtype=np.int64)) * max(1, tensor.dtype.size)
    return max(1, total)
