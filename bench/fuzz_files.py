"""Mutate good model files at random and load them: no crash, no hang, one error class or a right load.

    python bench/fuzz_files.py --count 2000 --seed 1
    python bench/fuzz_files.py --formats .keras .h5 --plain

Bytes, JSON values, the structure of the zip and of HDF5 are changed, one to three changes a file. Each
file is loaded in a child process with a limit on memory; one that takes over the time limit is a hang.
`--plain` takes files that plain Keras wrote, which hold no checksums. The outcomes are

* refused: `FileError` or its child `UnsafeFileError` (an architecture's text: or `ArgumentError`);
* same: loaded, with the predictions of the good file; of an architecture: built;
* different: loaded, with other predictions (a fault, unless the file holds no checksums);
* other: another class of error (a fault);
* crash, hang (faults).
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Callable, Optional

ENGINE = Path(__file__).resolve().parents[1] / "inst" / "python"
sys.path.insert(0, str(ENGINE))
FORMATS = (".keras", ".h5", ".weights.h5", ".older.h5", ".safetensors", ".json", ".yaml")
WEIGHTS = (".weights.h5", ".older.h5", ".safetensors")
FAULTS = ("different", "other", "crash", "hang")
MEMORY = 12 * 2**30  # bytes of address space of a child: TensorFlow alone maps several


# ---- good files -------------------------------------------------------------------------------------------


def build() -> Any:
    """The model whose files are mutated: small, and of several kinds of layers."""
    import keras

    keras.utils.set_random_seed(3)
    layers = keras.layers
    inputs = keras.Input((6,), name="in")
    x = layers.Dense(5, activation="relu", name="first")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Reshape((5, 1), name="steps")(x)
    x = layers.LSTM(3, name="lstm")(x)
    model = keras.Model(inputs, layers.Dense(2, name="last")(x))
    model.compile("adam", "mse", metrics=["mae"])
    return model


def write_good(folder: str, ending: str, plain: bool) -> str:
    """Write the good file of a format; `plain`: as plain Keras does."""
    import keras
    import numpy as np
    from kerasbridge.saving import save_config, save_model, save_weights

    model = build()
    model.fit(np.ones((4, 6)), np.ones((4, 2)), verbose=0)
    path = os.path.join(folder, f"good{ending}")
    if ending in (".json", ".yaml"):
        save_config(model, path, overwrite=True)
    elif ending == ".weights.h5":
        model.save_weights(path) if plain else save_weights(model, path, overwrite=True)
    elif ending in WEIGHTS:
        save_weights(model, path, overwrite=True)
    elif plain:
        keras.saving.save_model(model, path)
    else:
        save_model(model, path, overwrite=True)
    return path


# ---- mutations --------------------------------------------------------------------------------------------


def mutate(good: str, target: str, dice: random.Random) -> str:
    """Write a mutated copy; returns what was done."""
    kinds: list[Callable] = [_bytes, _bytes]
    if good.endswith(".keras"):
        kinds += [_zip_json, _zip_json, _zip_structure, _zip_hdf5]
    elif good.endswith(".h5"):
        kinds += [_hdf5_structure, _hdf5_structure]
        kinds += [] if good.endswith(WEIGHTS) else [_hdf5_json, _hdf5_json]
    elif good.endswith(".safetensors"):
        kinds += [_tensors_header, _tensors_header, _tensors_bytes]
    elif good.endswith(".json"):
        kinds += [_text_json, _text_json]
    elif good.endswith(".yaml"):
        kinds += [_text_yaml, _text_yaml]
    kind = dice.choice(kinds)
    shutil.copyfile(good, target)
    return f"{kind.__name__[1:]}: {kind(target, dice)}"


def _bytes(path: str, dice: random.Random) -> str:
    with open(path, "rb") as file:
        data = bytearray(file.read())
    done = []
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(max(1, len(data)))
        # the first and last kilobytes hold most of the structure
        if dice.random() < 0.4:
            at = (
                dice.randrange(min(2048, len(data)))
                if dice.random() < 0.5
                else len(data) - 1 - dice.randrange(min(2048, len(data)))
            )
        how = dice.randrange(6)
        if how <= 1:
            data[at] ^= 1 << dice.randrange(8)
        elif how == 2:
            data[at : at + 4] = dice.choice([b"\xff" * 4, b"\0" * 4, dice.randbytes(4)])
        elif how == 3:
            data[at:at] = dice.randbytes(dice.randint(1, 40))
        elif how == 4:
            del data[at : at + dice.randint(1, 400)]
        else:
            del data[at:]
        done.append(f"{how}@{at}")
        if not data:
            break
    with open(path, "wb") as file:
        file.write(data)
    return " ".join(done)


_ODD = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    1e308,
    float("nan"),
    "",
    "x",
    "../..",
    [],
    {},
    [[]],
    {"a": 1},
    "relu",
    "Dense",
    7,
]


def _mutate_json(tree: Any, dice: random.Random) -> str:
    """Change one to three places of a tree."""
    done = []
    for _ in range(dice.randint(1, 3)):
        node, key, path = tree, None, []
        while True:
            keys = list(node) if isinstance(node, dict) else range(len(node))
            if not keys:
                break
            key = dice.choice(list(keys))
            path.append(str(key))
            if isinstance(node[key], (dict, list)) and node[key] and dice.random() < 0.85:
                node = node[key]
            else:
                break
        if key is None or key not in (node if isinstance(node, dict) else range(len(node))):
            continue
        how = dice.randrange(5)
        value = node[key]
        if how == 0:
            del node[key]
        elif how == 1 and isinstance(value, (int, float)) and not isinstance(value, bool):
            node[key] = dice.choice([value + 1, -value, value * 1000, value + 0.5])
        elif how == 2 and isinstance(value, str):
            node[key] = value[:-1] if dice.random() < 0.5 else value + dice.choice("x.>/0")
        elif how == 3 and isinstance(node, list):
            node.insert(dice.randrange(len(node) + 1), json.loads(json.dumps(value)))
        else:
            node[key] = json.loads(json.dumps(dice.choice(_ODD)))
        done.append(".".join(path[-4:]))
    return " ".join(done)


def _rezip(path: str, change: Callable[[list], list]) -> None:
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info.filename)) for info in archive.infolist()]
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # a name twice is what is wanted
        for name, data in change(members):
            archive.writestr(name, data)


def _zip_json(path: str, dice: random.Random) -> str:
    said = []

    def change(members: list) -> list:
        names = [name for name, _ in members if name.endswith(".json")]
        chosen = dice.choice([*names, "config.json"])
        out = []
        for name, data in members:
            if name == chosen:
                tree = json.loads(data)
                said.append(f"{name} {_mutate_json(tree, dice)}")
                data = json.dumps(tree).encode()
            out.append((name, data))
        return out

    _rezip(path, change)
    return " ".join(said)


def _zip_structure(path: str, dice: random.Random) -> str:
    how = dice.randrange(6)

    def change(members: list) -> list:
        at = dice.randrange(len(members))
        name, data = members[at]
        if how == 0:
            del members[at]
        elif how == 1:
            members.insert(at, (name, data))
        elif how == 2:
            members[at] = (name + dice.choice(["x", "/", "/../x"]), data)
        elif how == 3:
            members[at] = (name, data[: dice.randrange(len(data) + 1)])
        elif how == 4:
            members.append((dice.choice(["assets/x", "../x", "model.weights.npz", "/x"]), b"x"))
        else:
            dice.shuffle(members)
        return members

    _rezip(path, change)
    return f"kind {how}"


def _zip_hdf5(path: str, dice: random.Random) -> str:
    said = []

    def change(members: list) -> list:
        with tempfile.TemporaryDirectory() as folder:
            inner = os.path.join(folder, "w.h5")
            out = []
            for name, data in members:
                if name == "model.weights.h5":
                    with open(inner, "wb") as file:
                        file.write(data)
                    said.append(dice.choice([_hdf5_structure, _bytes])(inner, dice))
                    with open(inner, "rb") as file:
                        data = file.read()
                out.append((name, data))
        return out

    _rezip(path, change)
    return " ".join(said)


def _hdf5_json(path: str, dice: random.Random) -> str:
    import h5py

    with h5py.File(path, "r+") as file:
        names = [n for n in file.attrs if n in ("model_config", "training_config", "kerasbridge")]
        name = dice.choice(names)
        tree = json.loads(file.attrs[name])
        said = _mutate_json(tree, dice)
        file.attrs[name] = json.dumps(tree)
    return f"{name} {said}"


def _hdf5_structure(path: str, dice: random.Random) -> str:
    import h5py
    import numpy as np

    with h5py.File(path, "r+") as file:
        items: list = []
        file.visititems(lambda name, item: items.append(name))
        name = dice.choice(items)
        other = dice.choice(items)
        how = dice.randrange(9)
        item = file[name]
        data = item if isinstance(item, h5py.Dataset) else None
        if how == 0:
            del file[name]
        elif how == 1:
            file.move(name, name + "x")
        elif how == 2:
            file[name + "_new"] = np.ones(3, "float32")
        elif how == 3 and data is not None and data.size:
            values = data[()]
            flat = np.atleast_1d(values).ravel()
            flat[dice.randrange(flat.size)] = (
                dice.choice([0, 1, np.nan, 1e30]) if flat.dtype.kind == "f" else 1
            )
            data[...] = flat.reshape(values.shape)
        elif how == 4 and data is not None:
            del file[name]
            shape = dice.choice([(0,), (2, 2), (1000, 1000), ()])
            kind = dice.choice(["float32", "float64", "int8", "complex64", "S3"])
            file.create_dataset(name, shape, kind, chunks=True if shape == (1000, 1000) else None)
        elif how == 5:
            del file[name]
            file[name] = dice.choice(
                [h5py.SoftLink("/" + other), h5py.ExternalLink("x.h5", "/"), h5py.SoftLink("/none")]
            )
        elif how == 6:
            if not (other + "/").startswith(name + "/") and not (name + "/").startswith(
                other + "/"
            ):
                del file[other]
                file[other] = file[name]  # one object in two places
        elif how == 7 and item.attrs:
            attribute = dice.choice(list(item.attrs))
            item.attrs[attribute] = dice.choice(
                [b"x", 3, np.array([b"first", b"x"]), "", [1.5, 2.5]]
            )
        else:
            attribute = dice.choice(["layer_names", "weight_names", "name", "vars"])
            file.attrs[attribute] = dice.choice([b"x", 3, np.array([b"first", b"last"])])
    return f"kind {how} {name}"


def _tensors(path: str, change: Callable[[dict, bytes], tuple]) -> None:
    """Take a file of safetensors apart, change header and bytes, and put it together."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header, body = json.loads(file.read(length)), file.read()
    header, body = change(header, body)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + body)


def _tensors_header(path: str, dice: random.Random) -> str:
    said = []

    def change(header: dict, body: bytes) -> tuple:
        texts = header.get("__metadata__", {})
        if dice.random() < 0.3 and "layers" in texts:
            inner = json.loads(texts["layers"])
            said.append("layers " + _mutate_json(inner, dice))
            texts["layers"] = json.dumps(inner)
        elif dice.random() < 0.3 and "kerasbridge" in texts:
            inner = json.loads(texts["kerasbridge"])
            said.append("kerasbridge " + _mutate_json(inner, dice))
            texts["kerasbridge"] = json.dumps(inner)
        else:
            said.append(_mutate_json(header, dice))
        return header, body

    _tensors(path, change)
    return " ".join(said)


def _tensors_bytes(path: str, dice: random.Random) -> str:
    """Change the values alone: the header stays as it was."""
    at = []

    def change(header: dict, body: bytes) -> tuple:
        data = bytearray(body)
        for _ in range(dice.randint(1, 3)):
            at.append(dice.randrange(len(data)))
            data[at[-1]] ^= 1 << dice.randrange(8)
        return header, bytes(data)

    _tensors(path, change)
    return f"values {at}"


def _text_json(path: str, dice: random.Random) -> str:
    with open(path) as file:
        tree = json.load(file)
    said = _mutate_json(tree, dice)
    with open(path, "w") as file:
        json.dump(tree, file)
    return said


def _text_yaml(path: str, dice: random.Random) -> str:
    import yaml

    with open(path) as file:
        tree = yaml.safe_load(file)
    said = _mutate_json(tree, dice)
    with open(path, "w") as file:
        yaml.safe_dump(tree, file, sort_keys=False)
    return said


# ---- loading in a child process ---------------------------------------------------------------------------


def child() -> None:
    """Load what comes by name on standard input; answer a line each."""
    import contextlib
    import resource
    import warnings

    import keras
    import numpy as np
    from kerasbridge.errors import ArgumentError, FileError
    from kerasbridge.saving import load_config, load_model, load_weights

    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    x = np.linspace(-1, 1, 24, dtype="float32").reshape(4, 6)

    built: dict = {}  # files of weights go into one model, emptied each time

    def outputs(path: str) -> Any:
        if path.endswith((".json", ".yaml")):
            model = load_config(path)
            return np.zeros(
                0
            )  # its weights are new ones: that it was built is what there is to see
        if path.endswith(WEIGHTS):
            if not built:
                built["model"] = build()
            model = built["model"]
            model.set_weights([np.zeros(w.shape, w.dtype) for w in model.get_weights()])
            load_weights(model, path)
        else:
            model = load_model(path)
        return keras.ops.convert_to_numpy(model(x))

    print("READY", flush=True)
    want = None
    for line in sys.stdin:
        path = line.strip()
        try:
            got = outputs(path)
            if want is None:
                want = got
            same = got.shape == want.shape and np.array_equal(got, want)
            row = ["same" if same else "different", ""]
        except (FileError, ArgumentError) as err:
            row = ["refused", str(err)]
        except BaseException as err:  # noqa: B902 - what it is is the outcome
            import traceback

            row = ["other", f"{type(err).__name__}: {err} {traceback.format_exc()[-1500:]}"]
        print("ROW" + json.dumps(row), flush=True)


class Child:
    """A process that loads files, started anew when it dies or hangs."""

    def __init__(self, good: str, limit: float):
        self.good, self.limit = good, limit
        self.process: Optional[subprocess.Popen] = None

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ENGINE), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        if not self._line(600):
            raise SystemExit("The process that loads files does not start.")
        kind, said = self.load(self.good, 600)  # the first of a process
        if kind != "same":
            raise SystemExit(f"The good file does not load: {said}")

    def _line(self, limit: float) -> Optional[str]:
        """The next line of the child, None if it died, "" after `limit` seconds."""
        while True:
            if not select.select([self.process.stdout], [], [], limit)[0]:
                return ""
            line = self.process.stdout.readline().decode()
            if not line:
                return None
            if line.startswith(("READY", "ROW")):
                return line

    def load(self, path: str, limit: Optional[float] = None) -> tuple:
        if self.process is None:
            self.start()
        try:
            self.process.stdin.write((path + "\n").encode())
            self.process.stdin.flush()
            line = self._line(limit or self.limit)
        except BrokenPipeError:
            line = None
        if not line:
            code = self.process.poll()
            self.stop()
            return ("hang", "") if line == "" else ("crash", f"exit {code}")
        return tuple(json.loads(line[3:]))

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None


def fuzz(
    ending: str,
    count: int,
    seed: int,
    plain: bool = False,
    limit: float = 20.0,
    keep: Optional[str] = None,
) -> tuple:
    """Load `count` mutated files of a format.

    Returns:
        How often each outcome was, and a list of (outcome, number, what was done, what was said) of all
        that were neither refused nor the same.
    """
    tally: collections.Counter = collections.Counter()
    notable = []
    with tempfile.TemporaryDirectory(prefix="kerasbridge-fuzz-") as folder:
        good = write_good(folder, ending, plain)
        worker = Child(good, limit)
        try:
            for number in range(count):
                dice = random.Random(f"{seed}-{ending}-{number}")
                target = os.path.join(folder, f"mutated{ending}")
                done = mutate(good, target, dice)
                kind, said = worker.load(target)
                tally[kind] += 1
                if kind not in ("refused", "same"):
                    notable.append((kind, number, done, said))
                    if keep:
                        os.makedirs(keep, exist_ok=True)
                        shutil.copyfile(target, os.path.join(keep, f"{kind}-{number}{ending}"))
        finally:
            worker.stop()
    return tally, notable


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--formats", nargs="+", default=list(FORMATS))
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds that a load may take")
    parser.add_argument("--keep", help="folder for the files that are neither refused nor the same")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child()
        return 0
    faults = 0
    for ending in options.formats:
        tally, notable = fuzz(
            ending, options.count, options.seed, options.plain, options.limit, options.keep
        )
        shown = ", ".join(
            f"{kind} {tally[kind]}" for kind in ("refused", "same", *FAULTS) if tally[kind]
        )
        print(f"{ending:12} {options.count} files: {shown}", flush=True)
        for kind, number, done, said in notable:
            if kind in FAULTS and not (options.plain and kind == "different"):
                faults += 1
                print(f"  {kind} #{number} {done}\n    {said[:1500]}")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
