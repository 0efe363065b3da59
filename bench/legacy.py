"""What files of older versions of Keras give today: a table case x format x version.

python bench/legacy.py FOLDER [WORD]: FOLDER holds files `VERSION__CASE.h5`, `.keras`, `.json` with `.w.h5` (weights), `.sm`
(SavedModel), and `VERSION__CASE.npz` with inputs x0, x1, ... and the outputs y0, y1, ... of that Keras. A cell is the largest
difference from those outputs, or why the file is refused. WORD keeps the cases whose name has it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path[:0] = [
    str(Path(__file__).resolve().parents[1] / p) for p in ("inst/python", "tests/python")
]

import keras  # noqa: E402
import numpy as np  # noqa: E402
from kerasbridge.errors import KerasBridgeError  # noqa: E402
from kerasbridge.saving import load_model, load_weights, model_from_json  # noqa: E402
from legacy_files import M, Scale  # noqa: E402

FORMATS = (".h5", ".keras", ".json", ".w.h5", ".sm")
BAR = 1e-6


OBJECTS = {"Scale": Scale, "M": M}


def inputs_of(model, arrays: dict):
    x = [arrays[f"x{i}"] for i in range(sum(key.startswith("x") for key in arrays))]
    config = model.get_config() if isinstance(model, keras.Model) else {}
    if isinstance(config.get("input_layers"), dict):
        return dict(zip(sorted(config["input_layers"]), x))
    return x if len(x) > 1 else x[0]


def difference(model, arrays: dict) -> float:
    x = inputs_of(model, arrays)
    # called as it is: `predict` would compile each of the many models
    found = model(x, training=False) if isinstance(model, keras.Model) else model.predict(x, 1024)
    if isinstance(found, dict):
        keys = model.outputs if isinstance(getattr(model, "inputs", None), dict) else sorted(found)
        found = [found[key] for key in keys]
    found = found if isinstance(found, list) else [found]
    wanted = [arrays[f"y{i}"] for i in range(len(found))]
    return max(float(np.abs(np.asarray(a, "float64") - b).max()) for a, b in zip(found, wanted))


def opened(base: Path, ending: str, arrays: dict):
    """The model of one cell; `.json` is opened with fresh weights, `.w.h5` with those of the file."""
    path = f"{base}{ending}"
    if ending not in (".json", ".w.h5"):
        return load_model(path, custom_objects=OBJECTS)
    model = model_from_json(Path(f"{base}.json").read_text(), OBJECTS)
    if not model.built and arrays:
        model(inputs_of(model, arrays))
    if ending == ".w.h5":
        load_weights(model, path)
    return model


def cell(base: Path, ending: str, arrays: dict) -> tuple:
    """(text, whether it counts as read)"""
    keras.backend.clear_session()
    try:
        model = opened(base, ending, arrays)
        if ending == ".json" or not arrays:
            return "built", True
        worst = difference(model, arrays)
        return f"{worst:.0e}", worst <= BAR
    except KerasBridgeError as err:
        return f"{type(err).__name__}: {err.message[:110]}", False


def main(folder: Path, word: str = "") -> None:
    keras.utils.disable_interactive_logging()
    bases = sorted({path.name.split(".")[0] for path in folder.glob("*__*")})
    rows, good, bad = [], 0, []
    for name in bases:
        if word not in name:
            continue
        version, case = name.split("__")
        record = folder / f"{name}.npz"
        arrays = dict(np.load(record)) if record.exists() else {}
        row = [case, version]
        for ending in FORMATS:
            if not (folder / f"{name}{ending}").exists():
                row.append("")
                continue
            text, read = cell(folder / name, ending, arrays)
            good += read
            if not read:
                bad.append(f"{name}{ending}: {text}")
                text = text if text[0].isdigit() else "refused"
            row.append(text)
        rows.append(row)
        print("| " + " | ".join(row) + " |", flush=True)
    print(f"\n{good} files read with a difference of at most {BAR:g}; not so:")
    print("\n".join(f"* {line}" for line in bad) or "none")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print("| case | version | " + " | ".join(FORMATS) + " |\n|---|---|" + "---|" * len(FORMATS))
    main(Path(sys.argv[1]), *sys.argv[2:3])
