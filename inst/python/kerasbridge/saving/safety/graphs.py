"""The operations of a SavedModel, looked at before TensorFlow reads the folder.

`saved_model.pb` is a protocol buffer: repeated field 2 holds a MetaGraphDef each, with its graph in field
2, signatures in 5 and assets in 6. A graph has nodes (1) and a library (2) of functions (1); a function
has a signature (1) and nodes (3); a node has a name, an operation, inputs (1 to 3) and attributes (5).
Source: tensorflow/core/protobuf and tensorflow/core/framework of TensorFlow 2.21.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Iterator

from kerasbridge.errors import UnsafeFileError
from kerasbridge.saving.safety.archives import leads_out
from kerasbridge.saving.safety.config import Finding
from kerasbridge.saving.safety.texts import damaged
from kerasbridge.saving.safety.wire import fields

FILE = "saved_model.pb"
MAX_BYTES = 2**31  # the limit of a protocol buffer

# operations that read or write files or memory of the host, reach the network, or run Python
_OUTSIDE = re.compile(
    r"""(?x)^_*(
      ReadFile | WriteFile | ImmutableConst | GenerateVocabRemapping | LoadAndRemapMatrix | RecordInput
    | (Experimental)?MatchingFiles.* | FileSystemSetConfiguration | LoadLibrary.*
    | .*Reader(V\d)? | Reader(Read|Restore|Serialize|Reset|Num).* | LMDB.* | Sql.* | Bigtable.*
    | (Experimental)?(TextLine|TFRecord|FixedLengthRecord|CSV|LMDB|Sql)Dataset.*
    | (Save|Load|Snapshot|SnapshotChunk|SnapshotNested|ListSnapshotChunks|Cache)Dataset.*
    | (Experimental)?DatasetToTFRecord | DistributedSave | .*DataService.* | RegisterDataset.*
    | .*PyFunc.* | Rpc.* | TryRpc | RemoteCall | ConfigureDistributedTPU.*
    | .*Summary(File|Db)?Writer.* | Write.*Summary | ImportEvent
    | Debug(Identity|NanCount|NumericSummary).* | PrintV2
    | Save | SaveSlices | SaveV2 | Restore | RestoreSlice | RestoreV2 | MergeV2Checkpoints
    )$"""
)
# what reads and writes the values of the SavedModel itself, and is called by nothing in it
_OF_THE_FORMAT = {"SaveV2", "RestoreV2", "MergeV2Checkpoints"}
_SAVERS = re.compile(r"^__inference__traced_(save|restore)(_\d+)?$")
_TABLES = ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2")


@dataclass
class _Node:
    name: str
    operation: str
    inputs: list  # names of nodes or arguments, those that only come first included
    calls: set  # names of functions


@dataclass
class _Function:
    arguments: set
    nodes: list


def audit_graph(folder: str) -> list:
    """What a SavedModel would do beside computing, as findings; reads `saved_model.pb` alone.

    Raises:
        UnsafeFileError: an asset outside of the folder.
        FileError: damaged.
    """
    source = f"'{folder}'"
    path = os.path.join(folder, FILE)
    if os.path.getsize(path) > MAX_BYTES:
        raise damaged(source, FILE, "no protocol buffer is that large", os.path.getsize(path))
    with open(path, "rb") as file:
        data = file.read()
    try:
        graphs = [value for number, value in fields(data) if number == 2]
        if not graphs:
            raise ValueError("it holds no graph")
        return [found for graph in graphs for found in _of_meta_graph(graph, source)]
    except (IndexError, ValueError, TypeError) as err:
        raise damaged(source, FILE, str(err), len(data)) from err


def _of_meta_graph(graph: Any, source: str) -> list:
    nodes, functions, ends = [], {}, set()
    for number, value in fields(graph):
        if number == 2:
            for part, held in fields(value):
                if part == 1:
                    nodes.append(_node(held))
                elif part == 2:
                    functions.update(_function(f) for n, f in fields(held) if n == 1)
        elif number == 5:  # signatures: name -> what to give and what to take
            ends |= _outputs(value)
        elif number == 6:
            _check_asset(value, source)
    return _of_graph(nodes, ends) + _of_functions(functions)


def _check_asset(asset: Any, source: str) -> None:
    name = _text(dict(fields(asset)).get(2, b""))
    if leads_out(name):
        raise UnsafeFileError(
            f"{source} is refused. The asset '{name[:80]}' leads out of its folder.",
            hint="No SavedModel is made so.",
            argument="filepath",
        )


def _of_graph(nodes: list, ends: set) -> list:
    """Nodes outside of functions, which the reader of TensorFlow 1 runs as far as `ends` need them."""
    known = {node.name: node for node in nodes}
    needed, left = set(), list(ends)
    while left:
        name = left.pop()
        if name in known and name not in needed:
            needed.add(name)
            left += known[name].inputs
    out = []
    for node in nodes:
        if node.operation in _OF_THE_FORMAT and node.name not in needed:
            continue
        out += _judged(node, "graph", node.operation not in _TABLES)
    return out


def _of_functions(functions: dict) -> list:
    called = {
        name: [
            (at, node)
            for at, held in functions.items()
            for node in held.nodes
            if name in node.calls
        ]
        for name in functions
        if _SAVERS.match(name) or any(n.operation in _TABLES for n in functions[name].nodes)
    }
    out = []
    for name, function in functions.items():
        saver = bool(_SAVERS.match(name)) and not called[name]
        for node in function.nodes:
            if saver and node.operation in _OF_THE_FORMAT:
                continue
            # the path of an asset comes from outside; any other is one that the file chose
            inputs = node.inputs[1:2]
            outside = not called.get(name) and bool(inputs) and inputs[0] in function.arguments
            out += _judged(node, f"function '{name}'", outside)
    return out


def _judged(node: _Node, place: str, outside: bool) -> list:
    if node.operation in _TABLES:
        kind = None if outside else "vocabulary"
    else:
        kind = "operation" if _OUTSIDE.match(node.operation) else None
    return [Finding(kind, place, f"the operation {node.operation}")] if kind else []


# ---- messages ---------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8", "replace")


def _node(message: Any) -> _Node:
    out = _Node("", "", [], set())
    for number, value in fields(message):
        if number == 1:
            out.name = _text(value)
        elif number == 2:
            out.operation = _text(value)
        elif number == 3:
            out.inputs.append(_text(value).lstrip("^").split(":")[0])
        elif number == 5:  # one entry of a map: key (1) and value (2)
            for part, attribute in fields(value):
                if part == 2:
                    out.calls.update(_functions_of(attribute))
    return out


def _functions_of(attribute: Any) -> Iterator[str]:
    for number, value in fields(attribute):
        if number == 10:  # one function
            yield from (_text(v) for n, v in fields(value) if n == 1)
        elif number == 1:  # a list, functions in its field 9
            for part, held in fields(value):
                if part == 9:
                    yield from (_text(v) for n, v in fields(held) if n == 1)


def _function(message: Any) -> tuple:
    name, out = "", _Function(set(), [])
    for number, value in fields(message):
        if number == 1:
            for part, held in fields(value):
                if part == 1:
                    name = _text(held)
                elif part == 2:
                    out.arguments |= {_text(v) for n, v in fields(held) if n == 1}
        elif number == 3:
            out.nodes.append(_node(value))
    return name, out


def _outputs(entry: Any) -> set:
    """Names of the nodes that an entry of the map of signatures takes its outputs from."""
    found = set()
    for number, signature in fields(entry):
        for part, output in fields(signature) if number == 2 else ():
            if part == 2:  # an entry of the map of outputs
                for key, tensor in fields(output):
                    if key == 2:
                        found |= {_text(v).split(":")[0] for n, v in fields(tensor) if n == 1}
    return found
