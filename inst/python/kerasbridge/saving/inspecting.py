"""What a model file says about itself: read without building the model and without Keras.

python -m kerasbridge.saving inspect FILE
"""

from __future__ import annotations

import math
import os
import re
from typing import Any, Optional

from kerasbridge.errors import ArgumentError, FileError, UnsafeFileError
from kerasbridge.saving.contents import (
    Contents,
    PathLike,
    check_source,
    of_optimizer,
    of_training,
    read_contents,
)
from kerasbridge.saving.safety.config import ALLOW, audit_config
from kerasbridge.saving.safety.graphs import audit_graph
from kerasbridge.saving.safety.texts import MAX_TEXT, read_json

_FIELDS = (
    "path", "what", "size", "verdict", "safe", "keras_version", "backend", "written_by", "saved", "model",
    "layers", "parameters", "weights", "compiled", "optimizer", "optimizer_state", "loss", "metrics",
    "custom", "findings", "details", "parts",
)  # fmt: skip


class Inspection(dict):
    """What was found, by name; prints as a table.

    Keys: `path`, `what` (kind of file), `size` (bytes), `verdict` (a sentence), `safe` (True, or False
    if something must be allowed or the file is refused), `keras_version`, `backend`, `written_by`
    (versions), `saved`, `model` (class and name), `layers` (dicts of `name`, `class`, `shape`,
    `parameters`), `parameters` (number of stored values, without the optimizer's), `weights` (number of
    arrays), `compiled`, `optimizer`, `optimizer_state`, `loss`, `metrics`, `custom` (dicts of `name`,
    `kind`, `origin`, `source` in R, `python` source), `findings`, `details` (schema, history ...), `parts` (number with
    a checksum).
    """

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    __repr__ = __str__


def inspect_model(filepath: PathLike, max_size: Optional[int] = None) -> Inspection:
    """Look into a file of a model, of weights, or of an architecture, or a SavedModel folder.

    Only headers and descriptions are read, no weights: checksums are not compared.

    Args:
        filepath: a `.keras`, `.h5`, `.weights.h5`, `.safetensors`, `.weights.json`, `.json` or `.yaml`
            file, or the folder of a SavedModel.
        max_size: bytes that the content may have; see `read_contents`.

    Raises:
        FileError: missing, empty, damaged, or not a model.
    """
    name = check_source(filepath)
    if os.path.isdir(name):
        return _folder(name)
    if name.endswith(".weights.json"):
        return _shards(name)
    if os.path.splitext(name)[1].lower() in (".json", ".yaml", ".yml"):
        return _architecture(name)
    try:
        contents = read_contents(name, max_size)
    except UnsafeFileError as err:
        out = _empty(name, "not read further")
        out.update(verdict=str(err.message), safe=False, findings=[err.message])
        return out
    return _described(contents)


def _empty(name: str, what: str) -> Inspection:
    out = Inspection((key, None) for key in _FIELDS)
    size = os.path.getsize(name) if os.path.isfile(name) else 0
    out.update(
        path=name,
        what=what,
        size=size,
        layers=[],
        custom=[],
        findings=[],
        details={},
        metrics=[],
        parts=0,
    )
    return out


def _folder(name: str) -> Inspection:
    if not os.path.isfile(os.path.join(name, "saved_model.pb")):
        raise FileError(
            f"'{name}' is a folder without a saved_model.pb: not a model.", argument="filepath"
        )
    out = _empty(name, "a SavedModel folder")
    files = [os.path.join(at, file) for at, _, found in os.walk(name) for file in found]
    out["size"] = sum(os.path.getsize(file) for file in files)
    out["compiled"] = os.path.isfile(os.path.join(name, "assets.extra", "model.keras"))
    trained = "holds the whole model too" if out["compiled"] else "predicts, can't be trained"
    try:
        findings = audit_graph(name)
    except UnsafeFileError as err:
        out.update(verdict=str(err.message), safe=False, findings=[err.message])
        return out
    out["findings"] = list(dict.fromkeys(map(str, findings)))
    out["safe"] = not findings
    words = {found.kind: f'"{found.word}"' for found in findings}
    verdict = f"refused unless you allow {', '.join(words.values())}" if words else "safe"
    out["verdict"] = f"{verdict}; {trained}"
    return out


def _shards(name: str) -> Inspection:
    """A list of several files of weights, with what those hold together."""
    from kerasbridge.saving.sharded import shards_of

    out = _empty(name, "weights alone in several files")
    folder, datasets, sizes, names = os.path.dirname(os.path.abspath(name)), [], 0, {}
    try:
        for shard in sorted(shards_of(name)):
            contents = read_contents(os.path.join(folder, shard))
            datasets += contents.datasets
            names.update(contents.names)
            sizes += contents.size
            out["parts"] += len((contents.manifest or {}).get("parts", {}))
    except UnsafeFileError as err:
        out.update(verdict=str(err.message), safe=False, findings=[err.message])
        return out
    size = out["size"] + sizes
    whole = _described(Contents(name, "weights", size, datasets=datasets, names=names))
    whole.update(what=out["what"], parts=out["parts"], size=size)
    return whole


def _architecture(name: str) -> Inspection:
    size = os.path.getsize(name)
    if size > MAX_TEXT:
        raise UnsafeFileError(f"'{name}' is too large for an architecture.", argument="filepath")
    with open(name, "rb") as file:
        content = file.read()
    if name.lower().endswith(".json"):
        tree = read_json(content, "", f"'{name}'")
    else:
        from kerasbridge.saving.architecture import read_yaml

        tree = read_yaml(content.decode("utf-8", "replace"))
    if not isinstance(tree, dict) or "class_name" not in tree:
        raise FileError(f"'{name}' does not describe a model.", argument="filepath")
    contents = Contents(name, "keras", size, config=tree)
    version = tree.get("keras_version")
    contents.versions = {"keras_version": version} if isinstance(version, str) else {}
    if isinstance(tree.get("backend"), str):
        contents.versions["backend"] = tree["backend"]
    out = _described(contents)
    out.update(what="an architecture without weights", weights=0, parameters=None)
    for layer in out["layers"]:
        layer["parameters"] = None
    return out


def _described(contents: Contents) -> Inspection:
    out = _empty(contents.path, contents.what)
    told = contents.manifest or {}
    versions = told.get("versions", {})
    out["keras_version"] = contents.versions.get("keras_version") or versions.get("keras")
    out["backend"] = contents.versions.get("backend") or versions.get("backend")
    out["written_by"] = {key: str(value) for key, value in versions.items()}
    out["saved"] = told.get("saved") or contents.versions.get("date_saved")
    out["details"] = told.get("details", {})
    out["parts"] = len(told.get("parts", {}))
    weights = [s for s in contents.datasets if not of_training(s.path)]
    out["weights"] = len(weights)
    out["parameters"] = sum(math.prod(s.shape) for s in weights)
    out["optimizer_state"] = any(of_optimizer(s.path) for s in contents.datasets)
    _describe_model(out, contents, weights)
    _describe_training(out, contents)
    audits = [audit_config(c) for c in (contents.config, contents.training) if c is not None]
    _judge(out, audits, told)
    return out


# ---- layers -----------------------------------------------------------------------------------------------


def _describe_model(out: Inspection, contents: Contents, weights: list) -> None:
    config = contents.config
    if config is None:
        out["layers"] = _layers_of_weights(contents, weights)
        return
    inner = config.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    out["model"] = f"{config.get('class_name')}" + (f" '{name}'" if isinstance(name, str) else "")
    found = inner.get("layers") if isinstance(inner, dict) else inner
    used: dict = {}
    for layer in found if isinstance(found, list) else []:
        if not isinstance(layer, dict):
            continue
        own = layer.get("config") if isinstance(layer.get("config"), dict) else {}
        title = own.get("name") or layer.get("name")
        kind = str(layer.get("class_name"))
        place = _snake(kind.split(">")[-1])
        used[place] = used.get(place, -1) + 1
        number = f"_{used[place]}" if used[place] else ""
        places = (f"layers/{place}{number}/", f"_layer_checkpoint_dependencies/{place}{number}/")
        if contents.kind == "h5":
            places = (f"model_weights/{title}/",)
        out["layers"].append(
            {
                "name": str(title),
                "class": kind,
                "shape": _shape(layer, own),
                "parameters": sum(math.prod(s.shape) for s in weights if s.path.startswith(places)),
            }
        )


def _snake(name: str) -> str:
    """The name of a layer's group in the weights of a `.keras` file, by its class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _shape(layer: dict, own: dict) -> Any:
    """The shape a layer takes, where the file tells; None for an axis of any length."""
    built = layer.get("build_config")
    shape = built.get("input_shape") if isinstance(built, dict) else None
    shape = shape or own.get("batch_shape") or own.get("batch_input_shape") or _shape_taken(layer)
    if isinstance(shape, dict) and isinstance(shape.get("items"), list):
        shape = shape["items"]
    fits = isinstance(shape, (list, tuple)) and all(a is None or isinstance(a, int) for a in shape)
    return list(shape) if fits else None


def _shape_taken(layer: dict) -> Any:
    """The shape of the one tensor that a layer is called on; the only place where `.h5` files have it."""
    try:
        taken = layer["inbound_nodes"][0]["args"][0]
        return taken["config"]["shape"] if taken["class_name"] == "__keras_tensor__" else None
    except (KeyError, IndexError, TypeError):
        return None


def _layers_of_weights(contents: Contents, weights: list) -> list:
    rows: dict = {}
    for stored in weights:
        parts = stored.path.split("/")
        flat = contents.kind in ("older_weights", "safetensors")
        place = parts[0] if flat else "/".join(parts[:2])
        name = contents.names.get(f"{place}/vars", place)
        row = rows.setdefault(name, {"name": name, "class": "", "shape": None, "parameters": 0})
        row["parameters"] += math.prod(stored.shape)
    return list(rows.values())


# ---- training ---------------------------------------------------------------------------------------------


def _describe_training(out: Inspection, contents: Contents) -> None:
    how = contents.compile_config
    out["compiled"] = how is not None and contents.config is not None
    if how is None:
        return
    optimizer = how.get("optimizer") or how.get("optimizer_config")
    if isinstance(optimizer, dict):
        rate = (optimizer.get("config") or {}) if isinstance(optimizer.get("config"), dict) else {}
        rate = rate.get("learning_rate", rate.get("lr"))
        kind = str(optimizer.get("class_name")).split(">")[-1]
        out["optimizer"] = f"{kind}, learning rate {rate:.6g}" if isinstance(rate, float) else kind
    else:
        out["optimizer"] = optimizer if isinstance(optimizer, str) else None
    out["loss"] = _words(how.get("loss"))
    metrics = how.get("metrics")
    out["metrics"] = [
        w for w in map(_words, metrics if isinstance(metrics, list) else [metrics]) if w
    ]


def _words(value: Any) -> Optional[str]:
    """A loss or a metric in a few words."""
    if isinstance(value, dict):
        if "class_name" in value:
            inner = value.get("config")
            name = inner.get("name") if isinstance(inner, dict) else inner
            return name if isinstance(name, str) else str(value["class_name"])
        parts = [f"{key}: {_words(part)}" for key, part in value.items() if part is not None]
        return ", ".join(parts) or None
    if isinstance(value, (list, tuple)):
        return ", ".join(filter(None, map(_words, value))) or None
    return value if isinstance(value, str) else None


# ---- verdict ----------------------------------------------------------------------------------------------


def _judge(out: Inspection, audits: list, manifest: dict) -> None:
    findings = [found for audit in audits for found in audit.findings]
    missing = [item for audit in audits for item in audit.missing]
    told = {}
    for item in manifest.get("custom_objects", []):
        told.setdefault(item.get("registered"), item)
        told.setdefault(item.get("name"), item)
    seen = set()
    for item in missing:
        if (item.kind, item.name) not in seen:
            seen.add((item.kind, item.name))
            known = told.get(item.registered) or told.get(item.name) or {}
            out["custom"].append(
                {
                    "name": item.name,
                    "kind": item.kind,
                    "origin": known.get("origin") or item.origin,
                    "source": known.get("source"),
                    "python": known.get("python"),
                }
            )
    out["findings"] = [str(found) for found in findings]
    kinds = list(dict.fromkeys(found.word for found in findings))
    out["safe"] = not findings
    if not findings:
        needs = f"; needs {len(out['custom'])} that Keras does not have" if out["custom"] else ""
        out["verdict"] = f"safe: parts of models only{needs}"
    elif all(kind in ALLOW for kind in kinds):
        words = ", ".join(f'"{kind}"' for kind in kinds)
        out["verdict"] = f"refused unless you allow {words}"
    else:
        out["verdict"] = "refused"


# ---- text -------------------------------------------------------------------------------------------------


def _lines(found: Inspection) -> list:
    def size(number: int) -> str:
        for unit in ("bytes", "kB", "MB", "GB"):
            if number < 1000 or unit == "GB":
                return f"{number:.3g} {unit}" if unit != "bytes" else f"{number} bytes"
            number /= 1000
        return ""

    rows = [("file", found["path"]), ("holds", f"{found['what']}, {size(found['size'])}")]
    keras = f"Keras {found['keras_version']}" if found["keras_version"] else None
    rows.append(("written by", ", ".join(filter(None, [keras, found["backend"], *_others(found)]))))
    rows.append(("saved", found["saved"]))
    rows.append(("model", found["model"]))
    if found["parameters"] is not None:
        rows.append(("weights", f"{found['parameters']:,} values in {found['weights']:,} arrays"))
    if found["model"]:
        state = "with" if found["optimizer_state"] else "without"
        how = [
            found["loss"] and f"loss {found['loss']}",
            found["optimizer"] and f"{found['optimizer']} ({state} state)",
        ]
        how.append(f"metrics {', '.join(found['metrics'])}" if found["metrics"] else None)
        rows.append(("compiled", "; ".join(filter(None, how)) if found["compiled"] else "no"))
    details = [key for key in found["details"] if key != "notes"]
    rows.append(("with it", ", ".join(details)))
    rows.append(("checksums", f"of {found['parts']} parts" if found["parts"] else "none"))
    rows.append(("verdict", found["verdict"]))
    width = max(len(label) for label, _ in rows)
    lines = [f"{label:{width}}  {text}" for label, text in rows if text]
    lines += [f"{'':{width}}  ! {text}" for text in found["findings"]]
    lines += _table("layer", "class", "input shape", "parameters", rows=found["layers"])
    for item in found["custom"]:
        lines.append(f"{item['kind']} '{item['name']}': {item['origin']}")
        lines += [f"    {line}" for line in (item["source"] or item["python"] or "").splitlines()]
    return lines


def _others(found: Inspection) -> list:
    names = {"kerasbridge": "kerasbridge", "r": "R", "python": "Python"}
    return [
        f"{word} {found['written_by'][key]}"
        for key, word in names.items()
        if key in (found["written_by"] or {})
    ]


def _table(*titles: str, rows: list) -> list:
    if not rows:
        return []
    cells = [list(titles)]
    for row in rows:
        shape = row["shape"]
        text = (
            ""
            if shape is None
            else "(" + ", ".join("any" if a is None else str(a) for a in shape) + ")"
        )
        number = "" if row["parameters"] is None else f"{row['parameters']:,}"
        cells.append([row["name"], row["class"], text, number])
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    if not any(row["class"] for row in rows):
        widths[1] = widths[2] = 0
        cells = [[line[0], "", "", line[3]] for line in cells]
    return [
        "",
        *(
            "  ".join(
                [*(f"{t:{w}}" for t, w in zip(line[:3], widths) if w), f"{line[3]:>{widths[3]}}"]
            )
            for line in cells
        ),
    ]


def main(arguments: Optional[list] = None) -> int:
    """`inspect FILE [--json]`: print what a file holds; 0 if it is safe, 1 if not, 2 if it is no model."""
    import argparse
    import json
    import sys

    parser = argparse.ArgumentParser(prog="python -m kerasbridge.saving")
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="what a model file holds, without loading it")
    inspect.add_argument("file")
    inspect.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(arguments)
    try:
        found = inspect_model(options.file)
    except (FileError, ArgumentError) as err:
        print(err, file=sys.stderr)
        return 2
    print(json.dumps(found, default=str) if options.json else found)
    return 0 if found["safe"] else 1
