"""Hostile and damaged model files, made for the tests: harmless, they only leave a mark.

`make(folder, mark)` writes one file a case and returns case -> (path, words of the refusal, unsafe?).
`python hostile_files.py LIST` loads each file of a JSON list in this process, within limits of memory
and time, and prints what became of it.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import time
import zipfile


def _config(path) -> dict:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def rezip(source, target, change=None, drop=(), extra=None, method=zipfile.ZIP_STORED, config=None):
    """A copy of a zip with changed, dropped and added members."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", method) as new:
        for info in old.infolist():
            if info.filename in drop:
                continue
            data = old.read(info.filename)
            if change and info.filename in change:
                data = change[info.filename](data)
            if config is not None and info.filename == "config.json":
                data = json.dumps(config).encode()
            new.writestr(info.filename, data)
        for name, data in (extra or {}).items():
            new.writestr(name, data)


def _layer(config: dict, position: int = -1) -> dict:
    return config["config"]["layers"][position]


def _lambda_layer(function, **more) -> dict:
    inner = {"name": "twice", "trainable": True, "dtype": "float32", "function": function}
    return {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {**inner, "arguments": {}, **more},
        "registered_name": None,
    }


def _function(name, module="builtins"):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def make(folder, mark) -> dict:
    """Write all files; `mark` is a path that must not exist afterwards."""
    import h5py
    import keras
    import numpy as np
    from kerasbridge.saving import save_model, save_weights

    folder = str(folder)
    out: dict = {}

    def path(name):
        return os.path.join(folder, name)

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    good, plain = path("good.keras"), path("plain.keras")
    save_model(model, good)
    keras.saving.save_model(model, plain)
    save_model(model, path("good.h5"))
    save_weights(model, path("good.weights.h5"))
    keras.saving.save_model(model, path("plain.h5"))
    model.save_weights(path("plain.weights.h5"))

    def case(name, file, words, unsafe=True):
        out[name] = (path(file), words, unsafe)

    def with_config(name, words, change, base=plain, unsafe=True, compile_config=True):
        config = _config(base)
        change(config)
        if not compile_config:
            config.pop("compile_config", None)
        rezip(base, path(f"{name}.keras"), config=config)
        case(name, f"{name}.keras", words, unsafe)

    def in_h5(name, words, attribute, change, unsafe=True):
        target = path(f"{name}.h5")
        with open(path("plain.h5"), "rb") as a, open(target, "wb") as b:
            b.write(a.read())
        with h5py.File(target, "r+") as file:
            tree = json.loads(file.attrs[attribute])
            change(tree)
            file.attrs[attribute] = json.dumps(tree)
        case(name, f"{name}.h5", words, unsafe)

    # ---- code, callables, functions of Keras
    space: dict = {}
    exec(f"f = lambda x: (open({str(mark)!r}, 'w').close(), x)[1]", space)  # noqa: S102
    lambda_model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Lambda(lambda x: x, name="twice")]
    )
    layer = keras.layers.Lambda(space["f"], name="twice", output_shape=(3,))
    code = layer.get_config()["function"]
    assert code["class_name"] == "__lambda__"
    keras.saving.save_model(lambda_model, path("lambda.keras"))
    config = _with_layer(_config(path("lambda.keras")), _lambda_layer(code))
    rezip(path("lambda.keras"), path("lambda2.keras"), config=config)
    case("lambda in .keras", "lambda2.keras", r"layer 'twice' \(Lambda\).*byte code")
    keras.saving.save_model(lambda_model, path("lambda.h5"))
    case("lambda in .h5", "lambda.h5", r"layer 'twice' \(Lambda\).*byte code")
    with_config(
        "lambda as activation", "byte code", lambda c: _layer(c)["config"].update(activation=code)
    )
    with_config(
        "lambda as initializer", "byte code",
        lambda c: _layer(c)["config"].update(kernel_initializer=code),
    )  # fmt: skip
    with_config("lambda in compile", "byte code", lambda c: c["compile_config"].update(loss=code))
    in_h5(
        "lambda in training config", "byte code", "training_config", lambda c: c.update(loss=code)
    )
    calls = {
        "os.system": _function("system", "os"),
        "eval": _function("eval"),
        "get_file": _function("get_file", "keras.utils"),
        "load_model": _function("load_model", "keras.models"),
        "unsafe switch": _function("enable_unsafe_deserialization", "keras.config"),
        "set_floatx": _function("set_floatx", "keras.config"),
        "save_img": _function("save_img", "keras.utils"),
        "application": _function("ResNet50", "keras.applications"),
        "hidden TFSMLayer": _function("TFSMLayer", "keras.layers"),
    }
    words = {
        "os.system": "not a part of a model",
        "eval": "not a part of a model",
        "hidden TFSMLayer": "SavedModel",
    }
    for name, function in calls.items():
        with_config(
            f"{name} as function", words.get(name, "does not belong into a model"),
            lambda c, f=function: c["config"]["layers"].append(_lambda_layer(f)),
        )  # fmt: skip
        with_config(
            f"{name} as activation", words.get(name, "does not belong into a model"),
            lambda c, f=function: _layer(c)["config"].update(activation=f),
        )  # fmt: skip
    foreign = {
        "module": "keras.layers",
        "class_name": "TFSMLayer",
        "config": {"filepath": folder, "name": "f"},
    }
    with_config(
        "TFSMLayer", "layer 'f'.*SavedModel", lambda c: c["config"]["layers"].append(foreign)
    )
    torch = {
        "module": "keras.layers",
        "class_name": "TorchModuleWrapper",
        "config": {"module": "gASV", "name": "t"},
    }
    with_config("TorchModuleWrapper", "pickle", lambda c: c["config"]["layers"].append(torch))
    for name in ("StringLookup", "IntegerLookup", "TextVectorization"):
        lookup = {
            "module": "keras.layers",
            "class_name": name,
            "config": {"vocabulary": __file__, "name": "v"},
        }
        with_config(
            f"{name} path",
            "file of this computer",
            lambda c, x=lookup: c["config"]["layers"].append(x),
        )
    popen = {
        "module": "subprocess",
        "class_name": "Popen",
        "config": {"args": ["touch", str(mark)]},
    }
    with_config("any class", "subprocess.Popen", lambda c: c["config"]["layers"].append(popen))
    with_config(
        "name leads out", "leads out", lambda c: _layer(c)["config"].update(name="../../out")
    )
    archive = io.BytesIO()
    np.savez(archive, a=np.array({"x": 1}, dtype=object))
    rezip(
        plain,
        path("npz.keras"),
        drop=["model.weights.h5"],
        extra={"model.weights.npz": archive.getvalue()},
    )
    case("npz with objects", "npz.keras", "pickle")

    # ---- HDF5
    def tricked(name, trick, words, unsafe=True):
        for base, ending in (("plain.h5", ".h5"), ("plain.weights.h5", ".weights.h5")):
            target = path(name.replace(" ", "_") + ending)
            with open(path(base), "rb") as a, open(target, "wb") as b:
                b.write(a.read())
            with h5py.File(target, "r+") as file:
                trick(file, _matrix(file))
            case(f"{name} in {ending}", os.path.basename(target), words, unsafe)
        with open(path(name.replace(" ", "_") + ".weights.h5"), "rb") as file:
            data = file.read()
        rezip(plain, path(f"{name}.keras"), change={"model.weights.h5": lambda _: data})
        case(f"{name} in .keras", f"{name}.keras", words, unsafe)

    with h5py.File(path("other.h5"), "w") as file:
        file["secret"] = np.ones((3, 4), "float32")
    with open(path("raw.bin"), "wb") as file:
        file.write(b"\0" * 48)

    def external_link(file, name):
        del file[name]
        file[name] = h5py.ExternalLink(path("other.h5"), "/secret")

    def soft_link(file, name):
        del file[name]
        file["elsewhere"] = np.ones((3, 4), "float32")
        file[name] = h5py.SoftLink("/elsewhere")

    def group_link(file, name):
        file["more"] = h5py.ExternalLink(path("other.h5"), "/")

    def external_storage(file, name):
        del file[name]
        file.create_dataset(name, (3, 4), "float32", external=[(path("raw.bin"), 0, 48)])

    def virtual(file, name):
        del file[name]
        layout = h5py.VirtualLayout((3, 4), "float32")
        layout[:] = h5py.VirtualSource(path("other.h5"), "secret", (3, 4))
        file.create_virtual_dataset(name, layout)

    def hard_cycle(file, name):
        parent = file[name].parent
        parent["again"] = parent

    def declares(file, name):
        del file[name]
        file.create_dataset(name, (40_000, 32_000), "float32", chunks=(1000, 1000))

    def bomb(file, name):
        del file[name]
        file.create_dataset(name, (20_000, 8_000), "float32", chunks=(2000, 2000), compression="gzip",
                            data=np.zeros((20_000, 8_000), "float32"))  # fmt: skip

    def replaced(values):
        def trick(file, name):
            del file[name]
            file[name] = values

        return trick

    def removed(file, name):
        del file[name]

    tricked("external link", external_link, "link to another file")
    tricked("external group link", group_link, "link to another file")
    tricked("soft link", soft_link, "soft link")
    tricked("external storage", external_storage, "stored in another file")
    tricked("virtual dataset", virtual, "virtual dataset")
    tricked("hard link cycle", hard_cycle, "in two places")
    tricked("declares 5 GB", declares, "declares 5,120,000,000 bytes and stores 0")
    tricked("gzip bomb", bomb, "claim to hold|declares")
    tricked("string weights", replaced(np.array([[b"abc"] * 4] * 3)), "texts or objects")
    tricked("complex weights", replaced(np.ones((3, 4), "complex64")), "complex64")
    tricked(
        "misshapen weights", replaced(np.ones((3, 5), "float32")), "can't be loaded|shape", False
    )
    tricked("missing weights", removed, "can't be loaded|don't fit", False)

    # ---- zip
    def zipped(name, words, unsafe=True, **how):
        rezip(plain, path(f"{name}.keras"), **how)
        case(name, f"{name}.keras", words, unsafe)

    zipped("traversal", "leads out", extra={"../../out.txt": "x"})
    zipped("absolute member", "leads out", extra={"/etc/out.txt": "x"})
    zipped("backslashes", "leads out", extra={"..\\out.txt": "x"})
    link = zipfile.ZipInfo("assets/link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    rezip(plain, path("link.keras"))
    with zipfile.ZipFile(path("link.keras"), "a") as archive:
        archive.writestr(link, "/etc/hostname")
    case("link member", "link.keras", "is a link")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zipped("duplicate member", "there twice", extra={"config.json": "{}"})
    with open(plain, "rb") as file:
        data = bytearray(file.read())
    # the directory's entry of metadata.json gets the place of config.json
    at = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", at + 4)
    data[at + 42 : at + 46] = data[second + 42 : second + 46]
    with open(path("overlap.keras"), "wb") as file:
        file.write(data)
    case("overlapping members", "overlap.keras", "share bytes|headers differ", False)
    zipped("one large bomb", "claim to hold|lies about", method=zipfile.ZIP_DEFLATED,
           extra={"assets/zeros": b"\0" * (300 * 2**20)})  # fmt: skip
    zipped("many small bombs", "claim to hold|lies about", method=zipfile.ZIP_DEFLATED,
           extra={f"assets/{i}": b"\0" * 2**20 for i in range(260)})  # fmt: skip
    os.mkdir(path("folder.keras"))
    with zipfile.ZipFile(plain) as archive:
        archive.extractall(path("folder.keras"))
    case("folder instead of a file", "folder.keras", "is a folder")

    # ---- sizes
    with_config(
        "units = 2e9",
        "stores .* bytes of weights and describes",
        lambda c: _layer(c)["config"].update(units=2_000_000_000),
        compile_config=False,
    )

    def huge(config):
        for layer in config["config"]["layers"][1:]:
            layer["config"].update(units=17_000)
            layer.pop("build_config", None)

    with_config("3e8 parameters", "stores .* bytes of weights and describes", huge)

    def wide(config):
        one = json.dumps(_layer(config))
        config["config"]["layers"] += [
            json.loads(one.replace("dense_1", f"d{i}")) for i in range(20_000)
        ]

    with_config("20,000 layers", "10,000 layers", wide)
    zipped(
        "deep JSON", "200 levels", change={"config.json": lambda _: b"[" * 100_000 + b"]" * 100_000}
    )
    zipped(
        "large JSON",
        "bytes of text",
        change={"config.json": lambda d: d[:-1] + b" " * (70 * 2**20) + b"}"},
    )
    zipped(
        "many lists", "lists", change={"config.json": lambda _: b"[" + b"[]," * 3_000_000 + b"[]]"}
    )

    # ---- damage
    twice = {"config.json": lambda d: b'{"module": "x", ' + d.lstrip()[1:]}
    zipped("duplicate key", "stands twice", unsafe=False, change=twice)
    zipped("no config", "zip without a config.json", unsafe=False, drop=["config.json"])
    zipped("no weights", "missing", unsafe=False, drop=["model.weights.h5"])
    for file in ("good.keras", "good.h5", "good.weights.h5"):
        with open(path(file), "rb") as handle:
            data = handle.read()
        with open(path(f"cut-{file}"), "wb") as handle:
            handle.write(data[: len(data) * 2 // 3])
        case(f"cut {file}", f"cut-{file}", r"damaged or truncated \([\d,]+ bytes\)", False)
        place = data.index(struct.pack("<f", float(model.layers[0].kernel[1, 1])))
        flipped = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with open(path(f"flip-{file}"), "wb") as handle:
            handle.write(flipped)
        case(f"one bit of {file}", f"flip-{file}", "damaged", False)
    with h5py.File(path("good.h5"), "r") as a, h5py.File(path("added.h5"), "w") as b:
        for key in a:
            a.copy(key, b)
        for key, value in a.attrs.items():
            b.attrs[key] = value
        b["model_weights/added"] = np.ones(3, "float32")
    case("added weights", "added.h5", "was not there", False)
    rezip(
        good,
        path("relabelled.keras"),
        change={"config.json": lambda d: d.replace(b'"linear"', b'"relu"')},
    )
    case("changed configuration", "relabelled.keras", "config.json.*not what was written", False)
    for name, text in (("text.keras", "hello"), ("text.h5", "hello")):
        with open(path(name), "w") as handle:
            handle.write(text)
        case(f"a text {name}", name, "not a model file", False)
    with open(path("empty.keras"), "w"):
        pass
    case("an empty file", "empty.keras", "empty", False)
    return out


def _matrix(file) -> str:
    """The path of the first matrix of an HDF5 file."""
    found: list = []
    file.visititems(
        lambda name, item: found.append(name) if len(getattr(item, "shape", ())) == 2 else None
    )
    return found[0]


def _with_layer(config: dict, layer: dict) -> dict:
    config["config"]["layers"][-1] = layer
    return config


def load_all(listed: str) -> None:
    """Load every file of a JSON list; prints a JSON list of [error class, kind, text, s, bytes]."""
    import resource

    import keras
    from kerasbridge.errors import KerasBridgeError
    from kerasbridge.saving import load_model, load_weights

    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # noqa: E731
    out = []
    with open(listed) as file:
        files = json.load(file)
    for path in files:
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
        before, worked, start = peak(), time.process_time(), time.perf_counter()
        try:
            if path.endswith(".weights.h5"):
                load_weights(model, path)
            else:
                load_model(path)
            row = ["", "", "loaded"]
        except KerasBridgeError as err:
            row = [type(err).__name__, err.kind, str(err)]
        except BaseException as err:  # noqa: B902 - what must not happen is reported
            row = [type(err).__name__, "", str(err)]
        # by the processor's time, which a busy machine doesn't stretch; a wait counts a quarter
        took = max(time.process_time() - worked, (time.perf_counter() - start) / 4)
        out.append([*row, took, peak() - before])
    out.append([keras.config.floatx(), keras.config.backend(), "", 0, 0])
    print("RESULT" + json.dumps(out))


if __name__ == "__main__":
    load_all(sys.argv[1])
