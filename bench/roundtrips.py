"""Round trips between processes and languages: what one process saves, another reads.

`python bench/roundtrips.py` makes every model of tests/python/training_models.py and one model for every layer
class that Keras or this package has (those that learn from data also adapted), trains the former, and saves all
in every format. Fresh processes read the files: one in R, one in Python with this package, one with plain
Keras. A fresh R process loads each model, saves it in every format itself, and those files are read by the
same three. Compared are predictions (bit by bit; but for their last bits where JAX runs in R), the
state of the optimizer, the rate it has arrived at, and the loss of the next epoch. `--skip 20 --limit 5`
takes a few, `--no-r` leaves R out (else its library of packages must hold this one: `R_LIBS`).
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
WORDS = ["red", "green", "blue"]
OWN = "own layer "  # of this package: plain Keras has none of them
# layers whose numbers depend on how the graph is compiled: compared as R predicts
PREDICTED = (
    "layer MelSpectrogram",
    f"{OWN}PeriodicEmbedding",
    f"{OWN}ReversibleInstanceNorm",
)
STATELESS = (".older.h5", ".safetensors")  # of weights, without the optimizer's state
# formats that plain Keras reads by itself, and those that it can't read into a model that it has built
PLAIN = (".keras", ".weights.h5")


def every_case() -> dict:
    """Name -> function that makes (model, x, y or None, rows of a batch or None)."""
    sys.path.insert(0, str(ROOT / "tests" / "python"))
    import training_models

    def trained(make):
        def build():
            case = make()
            # a stateful model takes batches of the size that it was made for
            fixed = any(t.shape[0] is not None for t in getattr(case.model, "inputs", None) or ())
            rows = case.arguments["batch_size"] if fixed else None
            case.model.fit(case.x, case.y, epochs=1, verbose=0, shuffle=False, batch_size=rows)
            return case.model, case.x, case.y, rows

        return build

    cases = {name: trained(make) for name, make in training_models.CASES.items()}
    cases.update({f"layer {name}": make for name, make in layer_cases().items()})
    cases.update({f"layer {name}": make for name, make in adapted_cases().items()})
    cases.update({f"{OWN}{name}": make for name, make in own_cases().items()})
    return cases


def one_layer(layer, shape, dtype="float32", calls=1):
    """A model of one layer, its input random numbers below 8; called on the input `calls` times over."""
    import keras
    import numpy as np

    rng = np.random.default_rng(0)
    whole = dtype != "float32"
    x = rng.integers(0, 8, (4, *shape)) if whole else rng.random((4, *shape), "float32") * 8
    start = keras.Input(shape, dtype=dtype)
    return keras.Model(start, layer(*[start] * calls)), x, None, None


def adapted_cases() -> dict:
    """Layers that have learnt from data what others are told."""
    import keras
    import numpy as np

    layers = keras.layers

    def adapted(make, data, shape, dtype="float32"):
        def build():
            layer = make()
            layer.adapt(data)
            return one_layer(layer, shape, dtype)

        return build

    def words(make):
        def build():
            layer = make()
            layer.adapt(np.array(["red green", "blue red"]))
            start = keras.Input((1,), dtype="string")
            x = np.array([["red"], ["green blue"], ["blue"], ["red red"]], dtype=object)
            return keras.Model(start, layer(start)), x, None, None

        return build

    numbers = np.linspace(0, 8, 40, dtype="float32").reshape(20, 2)
    whole = np.arange(8)
    return {
        "Normalization, adapted": adapted(layers.Normalization, numbers, (2,)),
        "Normalization, adapted, no axis": adapted(
            lambda: layers.Normalization(axis=None), numbers, (2,)
        ),
        "Discretization, adapted": adapted(
            lambda: layers.Discretization(num_bins=4), numbers, (2,)
        ),
        "IntegerLookup, adapted": adapted(layers.IntegerLookup, whole, (3,), "int64"),
        "IntegerLookup, adapted, tf_idf": adapted(
            lambda: layers.IntegerLookup(output_mode="tf_idf"), whole[:, None], (3,), "int64"
        ),
        "StringLookup, adapted": words(layers.StringLookup),
        "TextVectorization, adapted": words(
            lambda: layers.TextVectorization(output_sequence_length=3)
        ),
        "TextVectorization, adapted, tf_idf": words(
            lambda: layers.TextVectorization(output_mode="tf_idf")
        ),
    }


def own_cases() -> dict:
    """The layers that ship with this package."""
    sys.path.insert(0, str(ROOT / "inst" / "python"))
    import keras
    from kerasbridge import layers

    made = {
        "AttentionPooling": lambda: one_layer(layers.AttentionPooling(4), (6, 3)),
        "FeatureTokenizer": lambda: one_layer(layers.FeatureTokenizer(4), (3,)),
        "GradientReversal": lambda: one_layer(layers.GradientReversal(2.0), (3,)),
        "LocallyConnected1D": lambda: one_layer(layers.LocallyConnected1D(2, 2), (8, 3)),
        "LocallyConnected2D": lambda: one_layer(layers.LocallyConnected2D(2, 2), (6, 6, 3)),
        "MixtureDensity": lambda: one_layer(layers.MixtureDensity(2), (3,)),
        "MonteCarloDropout": lambda: one_layer(layers.MonteCarloDropout(0.0), (3,)),
        "PatchEmbedding": lambda: one_layer(layers.PatchEmbedding(2, 4), (6, 6, 3)),
        "PeriodicEmbedding": lambda: one_layer(layers.PeriodicEmbedding(4), (3,)),
        "PiecewiseLinearEmbedding": lambda: one_layer(
            layers.PiecewiseLinearEmbedding([[0.0, 0.5, 1.0]] * 2), (2,)
        ),
        "PositionEmbedding": lambda: one_layer(layers.PositionEmbedding(9), (6, 3)),
        "RandomHeight": lambda: one_layer(layers.RandomHeight(0.2), (8, 8, 3)),
        "RandomWidth": lambda: one_layer(layers.RandomWidth(0.2), (8, 8, 3)),
        "ReversibleInstanceNorm": lambda: one_layer(layers.ReversibleInstanceNorm(), (6, 3)),
        "SinusoidalEncoding": lambda: one_layer(layers.SinusoidalEncoding(), (6, 4)),
        "SqueezeExcite": lambda: one_layer(layers.SqueezeExcite(2), (6, 6, 4)),
        "TabularTransformer": lambda: one_layer(layers.TabularTransformer(8, 1, 2), (4,)),
        "TemporalBlock": lambda: one_layer(layers.TemporalBlock(4), (8, 3)),
        "ThresholdedReLU": lambda: one_layer(layers.ThresholdedReLU(0.5), (3,)),
        "TransformerDecoder": lambda: one_layer(layers.TransformerDecoder(2, 8), (6, 4), calls=2),
        "TransformerEncoder": lambda: one_layer(layers.TransformerEncoder(2, 8), (6, 4)),
    }
    classes = [name for name in dir(layers) if inspect.isclass(getattr(layers, name))]
    left = {n for n in classes if issubclass(getattr(layers, n), keras.Layer)} - made.keys()
    if left:
        raise SystemExit(f"no case for {sorted(left)}")
    return made


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
        "ConvLSTM3D": {"filters": 2, "kernel_size": 2}, "StringLookup": {"vocabulary": WORDS},
        "TextVectorization": {"vocabulary": WORDS, "output_sequence_length": 3},
        "MelSpectrogram": {"fft_length": 64, "num_mel_bins": 8, "sampling_rate": 400, "max_freq": 200},
        "Normalization": {"mean": 0.5, "variance": 2.0},
        "IntegerLookup": {"vocabulary": list(range(8))}, "Hashing": {"num_bins": 4},
        "HashedCrossing": {"num_bins": 4}, "Lambda": {"function": keras.activations.relu},
        "Pipeline": {"layers": [layers.Rescaling(2.0), layers.CenterCrop(4, 4)]},
        "RandomPosterization": {"factor": 4}, "RandomZoom": {"height_factor": 0.1},
        "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1}, "MaxNumBoundingBoxes": {"max_number": 2},
        "STFTSpectrogram": {"frame_length": 8, "frame_step": 4, "fft_length": 8},
        "GRUCell": {"units": 3}, "LSTMCell": {"units": 3}, "SimpleRNNCell": {"units": 3},
    }  # fmt: skip
    given["StackedRNNCells"] = {"cells": [layers.GRUCell(3), layers.LSTMCell(2)]}
    inputs = {
        "Embedding": (6,), "ReversibleEmbedding": (6,), "RepeatVector": (3,), "ConvLSTM1D": (4, 8, 3),
        "ConvLSTM2D": (4, 8, 8, 3), "ConvLSTM3D": (3, 4, 4, 4, 3), "CategoryEncoding": (1,),
        "IntegerLookup": (3,), "Hashing": (3,), "Rescaling": (8, 8, 3), "Resizing": (8, 8, 3), "CenterCrop": (8, 8, 3),
        "Pipeline": (8, 8, 3), "Equalization": (8, 8, 3), "STFTSpectrogram": (16, 1), "HashedCrossing": (1,),
        "RandomCrop": (8, 8, 3), "ContrastLimitedAdaptiveHistogramEqualization": (8, 8, 3), "MelSpectrogram": (400,),
        "StringLookup": (1,), "TextVectorization": (1,),
    }  # fmt: skip

    def maker(name, cls):
        options = dict(given.get(name, {}))
        rank = next((r for r in shapes if name.endswith(r) or f"{r}Transpose" in name), "1D")
        shape = inputs.get(name, shapes[rank])
        names = inspect.signature(cls.__init__).parameters
        defaults = {"filters": 2, "kernel_size": 2, "pool_size": 2, "output_size": 2, "factor": 0.2}
        for argument, value in defaults.items():
            if argument in names and names[argument].default is inspect.Parameter.empty:
                options.setdefault(argument, value)

        def build():
            keras.utils.set_random_seed(0)
            whole = name in (
                "Embedding", "ReversibleEmbedding", "CategoryEncoding", "IntegerLookup", "Hashing",
                "HashedCrossing",
            )  # fmt: skip
            words = name in ("StringLookup", "TextVectorization")
            start = keras.Input(shape, dtype="string" if words else "int32" if whole else "float32")
            rng = np.random.default_rng(0)
            x = rng.integers(0, 8, (4, *shape)) if whole else rng.random((4, *shape), "float32")
            if words:
                x = np.array([["red"], ["green blue"], ["blue"], ["red red"]], dtype=object)
            if name.endswith(("Cell", "Cells")):  # as users meet them: inside RNN
                layer = layers.RNN(cls(**options))
            else:
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
            elif name in ("Dot", "HashedCrossing"):
                out = layer([start, start])
            else:
                out = layer(start)
            return keras.Model(start, out), x, None, None

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
    import keras

    optimizer = getattr(model, "optimizer", None)
    return (
        float("nan")
        if optimizer is None
        else float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    )


def facts(model, given: dict, trains: bool = True) -> dict:
    """What a model answers: predictions, optimizer state, rate, loss of the next epoch (if it `trains`)."""
    import keras

    x, y, rows = given["x"], given["y"], given["rows"]
    # a layer alone is called as it is: `predict` would compile each of the many
    if y is not None or given["predicted"]:
        out = model.predict(x, verbose=0, batch_size=rows)
    else:
        out = model(x, training=False)
    found = {
        "predict": [keras.ops.convert_to_numpy(o) for o in _flat(out)],
        "weights": model.get_weights(),
    }
    if trains and y is not None and getattr(model, "optimizer", None) is not None:
        found["optimizer"] = [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables]
        found["rate"] = rate_of(model)
        done = model.fit(x, y, epochs=1, verbose=0, shuffle=False, batch_size=rows)
        found["loss"] = done.history["loss"][0]
    return found


def _flat(value):
    if isinstance(value, dict):
        value = list(value.values())
    return (
        [leaf for part in value for leaf in _flat(part)]
        if isinstance(value, (list, tuple))
        else [value]
    )


def write(folder: str, skip: int, limit, wanted) -> dict:
    """Make, save and describe all cases; name -> None or why there is no file."""
    sys.path.insert(0, str(ROOT / "inst" / "python"))
    warnings.simplefilter("ignore")
    from kerasbridge import saving

    report, number = {}, 0
    for name, make in every_case().items():
        if wanted and name not in wanted:
            continue
        number += 1
        if number <= skip:
            continue
        if limit is not None and number > skip + limit:
            break
        stem = os.path.join(folder, f"{number:03d}")
        try:
            model, x, y, rows = make()
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
            given = {"x": x, "y": y, "rows": rows, "predicted": name in PREDICTED}
            for layer in model.layers:  # what it remembers of its last batch is in no file
                if getattr(layer, "stateful", False):
                    layer.reset_state()
            answers = facts(model, given)
        except Exception as err:
            report[name] = f"does not predict: {type(err).__name__}"
            continue
        with open(stem + ".pickle", "wb") as file:
            pickle.dump({**given, **answers}, file)
        with open(stem + ".json", "w") as file:
            json.dump({"x": _described(x), "y": _described(y), "rows": rows}, file)
        report[name] = entry
    return report


def _described(value) -> dict:
    """Arrays in a form that R reads: row-major numbers and their dimensions."""
    import numpy as np

    def leaf(array):
        array = np.asarray(array)
        kind = {"O": "character", "f": "double"}.get(array.dtype.kind, "integer")
        return {"dim": list(array.shape), "type": kind, "data": array.ravel().tolist()}

    if value is None:
        return {"kind": "none"}
    if isinstance(value, dict):
        return {"kind": "dict", "names": list(value), "values": [leaf(v) for v in value.values()]}
    if isinstance(value, (list, tuple)):
        return {"kind": "list", "values": [leaf(v) for v in value]}
    return {"kind": "array", "values": [leaf(value)]}


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
            if path is None or plain and (ending not in PLAIN or name.startswith(OWN)):
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
                found = facts(model, wanted, ending not in STATELESS)
                row[ending] = compare(wanted, found, ending)
            except Exception as err:
                row[ending] = f"{type(err).__name__}: {str(err).splitlines()[0][:110]}"
    return table


def compare(wanted: dict, found: dict, ending: str, close: bool = False) -> str:
    """ "same", or the first thing that isn't; `close`: the last bits of predictions may differ."""
    import numpy as np

    for key in ("weights", "predict"):
        if len(wanted[key]) != len(found[key]):
            return f"{len(found[key])} {key}, not {len(wanted[key])}"
        for one, two in zip(wanted[key], found[key]):
            number = one.dtype.kind == "f"
            if close and number and key == "predict":
                same = np.allclose(one, two, rtol=1e-5, atol=1e-6, equal_nan=True)
            else:
                same = np.array_equal(one, two, equal_nan=number)
            if not same:
                return f"{key} differ"
    if ending in STATELESS or "loss" not in wanted:
        return "same"
    if "loss" not in found:
        return "not compiled"
    for one, two in zip(wanted["optimizer"], found["optimizer"]):
        if not np.array_equal(one, two):
            return "optimizer differs"
    if np.float32(wanted["rate"]) != np.float32(found["rate"]):
        return "rate differs"
    if not np.isclose(wanted["loss"], found["loss"], rtol=1e-5, equal_nan=True):
        return f"next loss {found['loss']:.6g}, not {wanted['loss']:.6g}"
    return "same"


def in_r(mode: str, index: str) -> dict:
    """What bench/roundtrips.R says of an index."""
    script, out = str(Path(__file__).with_suffix(".R")), index + f".{mode}"
    done = subprocess.run(["Rscript", script, mode, index, out], capture_output=True, text=True)
    if not os.path.exists(out):
        raise RuntimeError(done.stdout[-1000:] + done.stderr[-3000:])
    return json.loads(Path(out).read_text())


def read_in_r(index: str) -> dict:
    """As `read`, in an R process."""
    import keras
    import numpy as np

    # there JAX compiles a layer that is called as it is here, and adds up in another order
    close = keras.config.backend() == "jax"
    table: dict = {}
    entries = json.loads(Path(index).read_text())
    for name, row in in_r("read", index).items():
        with open(entries[name]["stem"] + ".pickle", "rb") as file:
            wanted = pickle.load(file)  # noqa: S301 - written by this program just before
        for ending, found in row.items():
            if "error" in found:
                table.setdefault(name, {})[ending] = found["error"]
                continue
            for key in ("loss", "rate"):  # JSON of R has NaN as a text
                if isinstance(found.get(key), str):
                    found[key] = float("nan")
            for key in ("predict", "weights", "optimizer"):
                kinds = [np.asarray(w) for w in wanted.get(key, [])]
                found[key] = [
                    np.asarray([float.fromhex(v) for v in one["data"]], "float64")
                    .reshape(one["dim"] if kind.ndim else ())
                    .astype(kind.dtype)
                    for one, kind in zip(found.get(key, []), kinds)
                ]
            table.setdefault(name, {})[ending] = compare(wanted, found, ending, close)
    return table


def read_in_python(index: str, plain: bool) -> dict:
    """`read` in a fresh process."""
    command = [sys.executable, __file__, "--read", index, *(["--plain"] if plain else [])]
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    lines = [line for line in done.stdout.splitlines() if line.startswith("OUTCOME")]
    if not lines:
        raise RuntimeError(done.stderr[-3000:])
    return json.loads(lines[-1][len("OUTCOME") :])


READERS = {
    "R": read_in_r,
    "Python": lambda index: read_in_python(index, False),
    "plain Keras": lambda index: read_in_python(index, True),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*")
    parser.add_argument(
        "--skip", type=int, default=0, help="leave out so many cases at the beginning"
    )
    parser.add_argument("--limit", type=int)
    parser.add_argument("--no-r", action="store_true", help="leave R out")
    parser.add_argument("--json", help="also write the outcome to this file")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        print("OUTCOME" + json.dumps(read(args.read, args.plain)))
        return 0
    readers = {k: v for k, v in READERS.items() if k != "R" or not args.no_r}
    outcome: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        indexes = {"Python": os.path.join(folder, "index.json")}
        report = write(folder, args.skip, args.limit, args.cases)
        Path(indexes["Python"]).write_text(json.dumps(report))
        outcome["not made"] = {n: e for n, e in report.items() if isinstance(e, str)}
        outcome["refused"] = {n: e["refused"] for n, e in report.items() if "refused" in e}
        if not args.no_r:
            indexes["R"] = os.path.join(folder, "index-R.json")
            entries = {}
            for name, row in in_r("write", indexes["Python"]).items():
                if "error" in row:
                    outcome["refused"][f"{name} (R)"] = row["error"]
                else:
                    entries[name] = {"stem": report[name]["stem"], "files": row}
            Path(indexes["R"]).write_text(json.dumps(entries))
        for writer, index in indexes.items():
            for reader, run in readers.items():
                outcome[f"{writer} -> {reader}"] = run(index)
    bad = 0
    print("| written in, read in | format | same | differs or fails |\n|---|---|---|---|")
    for title in (f"{writer} -> {reader}" for writer in indexes for reader in readers):
        for ending in (*WHOLE, *WEIGHTS):
            found = {n: row[ending] for n, row in outcome[title].items() if ending in row}
            if found:
                other = {n: f for n, f in found.items() if f != "same"}
                bad += len(other)
                print(f"| {title} | {ending} | {len(found) - len(other)} | {len(other)} |")
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
