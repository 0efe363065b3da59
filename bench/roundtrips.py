"""Round trips between processes: what one process saves, another reads, with and without this package.

`python bench/roundtrips.py` makes every model of tests/python/training_models.py and one model for every layer
class that Keras has, trains the former, saves all in every format, and has two fresh processes read them: one
with this package, one with plain Keras. Compared are predictions (bit by bit for `.keras`), the state of the
optimizer, the rate it has arrived at, and the loss of the next epoch. `--limit 5` takes the first few.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
ROOT = Path(__file__).resolve().parents[1]

WHOLE = (".keras", ".h5")
WEIGHTS = (".weights.h5", ".older.h5", ".safetensors")
# formats that plain Keras reads by itself, and those that it can't read into a model that it has built
PLAIN = (".keras", ".weights.h5")


def every_case() -> dict:
    """Name -> function that makes (model, x, y or None)."""
    sys.path.insert(0, str(ROOT / "tests" / "python"))
    import training_models

    def trained(make):
        def build():
            case = make()
            case.model.fit(case.x, case.y, epochs=1, verbose=0, shuffle=False)
            return case.model, case.x, case.y

        return build

    cases = {name: trained(make) for name, make in training_models.CASES.items()}
    cases.update({f"layer {name}": make for name, make in layer_cases().items()})
    return cases


def layer_cases() -> dict:
    """A model for every layer class, made with the fewest arguments that it takes."""
    import keras
    import numpy as np

    layers = keras.layers
    shapes = {"1D": (8, 3), "2D": (8, 8, 3), "3D": (4, 4, 4, 3)}
    given = {
        "Dense": {"units": 3}, "EinsumDense": {"equation": "abc,cd->abd", "output_shape": (None, 3)},
        "LSTM": {"units": 3}, "GRU": {"units": 3}, "SimpleRNN": {"units": 3},
        "Embedding": {"input_dim": 9, "output_dim": 3}, "ReversibleEmbedding": {"input_dim": 9, "output_dim": 3},
        "Dropout": {"rate": 0.2}, "GaussianDropout": {"rate": 0.2}, "AlphaDropout": {"rate": 0.2},
        "GaussianNoise": {"stddev": 0.2}, "SpatialDropout1D": {"rate": 0.2}, "SpatialDropout2D": {"rate": 0.2},
        "SpatialDropout3D": {"rate": 0.2}, "Reshape": {"target_shape": (-1,)}, "Permute": {"dims": (2, 1)},
        "RepeatVector": {"n": 2}, "Activation": {"activation": "relu"}, "Rescaling": {"scale": 2.0},
        "Resizing": {"height": 4, "width": 4}, "CenterCrop": {"height": 4, "width": 4},
        "RandomCrop": {"height": 4, "width": 4}, "CategoryEncoding": {"num_tokens": 9},
        "Discretization": {"bin_boundaries": [0.0, 0.5]}, "UnitNormalization": {}, "GroupNormalization": {"groups": 3},
        "Bidirectional": {"layer": layers.LSTM(2)}, "TimeDistributed": {"layer": layers.Dense(2)},
        "SpectralNormalization": {"layer": layers.Dense(2)}, "RNN": {"cell": layers.LSTMCell(2)},
        "ConvLSTM1D": {"filters": 2, "kernel_size": 2}, "ConvLSTM2D": {"filters": 2, "kernel_size": 2},
        "ConvLSTM3D": {"filters": 2, "kernel_size": 2}, "Normalization": {"mean": 0.5, "variance": 2.0},
        "IntegerLookup": {"vocabulary": list(range(8))}, "Hashing": {"num_bins": 4},
    }  # fmt: skip
    inputs = {
        "Embedding": (6,), "ReversibleEmbedding": (6,), "RepeatVector": (3,), "ConvLSTM1D": (4, 8, 3),
        "ConvLSTM2D": (4, 8, 8, 3), "ConvLSTM3D": (3, 4, 4, 4, 3), "CategoryEncoding": (1,),
        "IntegerLookup": (3,), "Hashing": (3,), "Rescaling": (8, 8, 3), "Resizing": (8, 8, 3), "CenterCrop": (8, 8, 3),
    }  # fmt: skip

    def maker(name, cls):
        options = dict(given.get(name, {}))
        rank = next((r for r in shapes if name.endswith(r) or f"{r}Transpose" in name), "1D")
        shape = inputs.get(name, shapes[rank])
        names = inspect.signature(cls.__init__).parameters
        for argument, value in (("filters", 2), ("kernel_size", 2)):
            if argument in names and names[argument].default is inspect.Parameter.empty:
                options.setdefault(argument, value)

        def build():
            keras.utils.set_random_seed(0)
            whole = name in (
                "Embedding", "ReversibleEmbedding", "CategoryEncoding", "IntegerLookup", "Hashing"
            )  # fmt: skip
            start = keras.Input(shape, dtype="int32" if whole else "float32")
            rng = np.random.default_rng(0)
            x = rng.integers(0, 8, (4, *shape)) if whole else rng.random((4, *shape), "float32")
            layer = cls(**options)
            merging = name in (
                "Add",
                "Average",
                "Concatenate",
                "Maximum",
                "Minimum",
                "Multiply",
                "Subtract",
            )
            if merging or name in ("Attention", "AdditiveAttention"):
                out = layer([start, layers.Dense(shape[-1])(start)])
            elif name in ("MultiHeadAttention", "GroupQueryAttention"):
                out = layer(start, start)
            elif name == "Dot":
                out = layer([start, start])
            else:
                out = layer(start)
            return keras.Model(start, out), x, None

        return build

    for name, options in (
        ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}), ("Dot", {"axes": 2}),
        ("GroupQueryAttention", {"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1}),
    ):  # fmt: skip
        given[name] = options
    found = {}
    for name in sorted(dir(layers)):
        cls = getattr(layers, name)
        if inspect.isclass(cls) and issubclass(cls, keras.Layer) and cls is not keras.Layer:
            found[name] = maker(name, cls)
    return found


def rate_of(model) -> float:
    """The learning rate that the optimizer would use next, of a schedule its present value."""
    import numpy as np

    optimizer = getattr(model, "optimizer", None)
    return float("nan") if optimizer is None else float(np.asarray(optimizer.learning_rate))


def facts(model, x, y) -> dict:
    """What a model answers: predictions, optimizer state, rate, loss of the next epoch."""
    import numpy as np

    out = model.predict(x, verbose=0)
    found = {"predict": [np.asarray(o) for o in _flat(out)], "weights": model.get_weights()}
    if y is not None and getattr(model, "optimizer", None) is not None:
        found["optimizer"] = [np.asarray(v) for v in model.optimizer.variables]
        found["rate"] = rate_of(model)
        found["loss"] = model.fit(x, y, epochs=1, verbose=0, shuffle=False).history["loss"][0]
    return found


def _flat(value):
    if isinstance(value, dict):
        value = list(value.values())
    return (
        [leaf for part in value for leaf in _flat(part)]
        if isinstance(value, (list, tuple))
        else [value]
    )


def write(folder: str, limit, wanted) -> dict:
    """Make, save and describe all cases; name -> None or why there is no file."""
    sys.path.insert(0, str(ROOT / "inst" / "python"))
    warnings.simplefilter("ignore")
    from kerasbridge import saving

    report, number = {}, 0
    for name, make in every_case().items():
        if wanted and name not in wanted:
            continue
        if limit is not None and number >= limit:
            break
        number += 1
        stem = os.path.join(folder, f"{number:03d}")
        try:
            model, x, y = make()
        except Exception as err:
            report[name] = f"not made: {type(err).__name__}: {str(err).splitlines()[0][:90]}"
            continue
        entry = {"stem": stem, "files": {}}
        for ending in (*WHOLE, *WEIGHTS):
            try:
                if ending in WHOLE:
                    saving.save_model(model, stem + ending)
                elif model.weights:
                    saving.save_weights(model, stem + ending)
                else:
                    continue
                entry["files"][ending] = stem + ending
            except Exception as err:
                entry["files"][ending] = None
                entry.setdefault("refused", {})[ending] = f"{type(err).__name__}: {err}"[:160]
        try:
            answers = facts(model, x, y)
        except Exception as err:
            report[name] = f"does not predict: {type(err).__name__}"
            continue
        with open(stem + ".pickle", "wb") as file:
            pickle.dump({"x": x, "y": y, **answers}, file)
        report[name] = entry
    return report


def read(index: str, plain: bool) -> dict:
    """Read every file of an index in this process; name -> format -> "same" or what differs."""
    import keras
    import numpy as np

    warnings.simplefilter("ignore")
    if not plain:
        sys.path.insert(0, str(ROOT / "inst" / "python"))
        from kerasbridge import saving
    sys.path.insert(0, str(ROOT / "tests" / "python"))
    import training_models  # the classes of its own that some models have

    own = {k: v for k, v in vars(training_models).items() if inspect.isclass(v)}
    table = {}
    for name, entry in json.loads(Path(index).read_text()).items():
        if isinstance(entry, str):
            continue
        with open(entry["stem"] + ".pickle", "rb") as file:
            wanted = pickle.load(file)  # noqa: S301 - written by this program just before
        row = table[name] = {}
        for ending, path in entry["files"].items():
            if path is None or plain and ending not in PLAIN:
                continue
            try:
                if ending in WEIGHTS:
                    base = entry["files"][".keras"]
                    model = keras.saving.load_model(base, custom_objects=own)
                    for weight in model.weights:
                        weight.assign(np.zeros(weight.shape, weight.dtype))
                    model.load_weights(path) if plain else saving.load_weights(model, path)
                elif plain:
                    model = keras.saving.load_model(path, custom_objects=own)
                else:
                    model = saving.load_model(path, custom_objects=own)
                row[ending] = compare(wanted, facts(model, wanted["x"], wanted["y"]), ending)
            except Exception as err:
                row[ending] = f"{type(err).__name__}: {str(err).splitlines()[0][:110]}"
    return table


def compare(wanted: dict, found: dict, ending: str) -> str:
    """ "same", or the first thing that isn't."""
    import numpy as np

    for key in ("weights", "predict"):
        for one, two in zip(wanted[key], found[key]):
            if not np.array_equal(one, two, equal_nan=one.dtype.kind == "f"):
                return f"{key} differ"
    if ending in (".older.h5", ".safetensors") or "loss" not in wanted:
        return "same"
    if "loss" not in found:
        return "not compiled"
    for one, two in zip(wanted["optimizer"], found["optimizer"]):
        if not np.array_equal(one, two):
            return "optimizer differs"
    if wanted["rate"] != found["rate"]:
        return "rate differs"
    if not np.isclose(wanted["loss"], found["loss"], rtol=1e-5, equal_nan=True):
        return f"next loss {found['loss']:.6g}, not {wanted['loss']:.6g}"
    return "same"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--json", help="also write the outcome to this file")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        print("OUTCOME" + json.dumps(read(args.read, args.plain)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        index = os.path.join(folder, "index.json")
        report = write(folder, args.limit, args.cases)
        Path(index).write_text(json.dumps(report))
        outcome = {"not made": {n: e for n, e in report.items() if isinstance(e, str)}}
        outcome["refused"] = {n: e["refused"] for n, e in report.items() if "refused" in e}
        for reader in ("kerasbridge", "plain Keras"):
            command = [sys.executable, __file__, "--read", index]
            command += ["--plain"] if reader == "plain Keras" else []
            environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
            done = subprocess.run(command, capture_output=True, text=True, env=environ)
            lines = [line for line in done.stdout.splitlines() if line.startswith("OUTCOME")]
            if not lines:
                print(done.stderr[-3000:])
                return 1
            outcome[reader] = json.loads(lines[-1][len("OUTCOME") :])
    bad = 0
    print("| reader | format | same | differs or fails |\n|---|---|---|---|")
    for reader in ("kerasbridge", "plain Keras"):
        for ending in (*WHOLE, *WEIGHTS):
            found = {n: row[ending] for n, row in outcome[reader].items() if ending in row}
            if found:
                other = {n: f for n, f in found.items() if f != "same"}
                bad += len(other)
                print(f"| {reader} | {ending} | {len(found) - len(other)} | {len(other)} |")
                for name, what in other.items():
                    print(f"  {name}: {what}", file=sys.stderr)
    for part in ("not made", "refused"):
        for name, what in outcome[part].items():
            print(f"  {part}: {name}: {what}", file=sys.stderr)
    if args.json:
        Path(args.json).write_text(json.dumps(outcome, indent=1))
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
