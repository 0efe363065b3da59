"""Weights in safetensors, in several files and in TensorFlow's formats: looked at, compared, reported."""

from __future__ import annotations

import json
import os
import struct

import h5py
import keras
import numpy as np
import pytest
from kerasbridge.errors import FileError, UnsafeFileError
from kerasbridge.saving import inspect_model, load_model, load_weights, save_model, save_weights
from kerasbridge.saving.door import ModelFileWarning

L = keras.layers
SHARD = 300 / 2**30


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [keras.Input((3,)), L.Dense(8, name="first"), L.Dense(8, name="second"), L.Dense(1, name="last")]
    )  # fmt: skip


def read_header(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write_header(path, header, body):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


# ---- safetensors ------------------------------------------------------------------------------------------


@pytest.fixture
def tensors(model, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(model, path)
    return path


def test_one_bit_of_a_value_is_found_and_named(model, tensors):
    header, body = read_header(tensors)
    at = header["second/kernel"]["data_offsets"][0]
    changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    write_header(tensors, header, changed)
    before = model.get_weights()
    with pytest.raises(FileError, match=r"'/second/kernel'.*values are not what was written"):
        load_weights(model, tensors)
    load_weights(model, tensors, allow="changed")
    assert not np.array_equal(before[2], model.get_weights()[2])


def rename(header):
    header["other/kernel"] = header.pop("second/kernel")


def swap_layers(header):
    told = header["__metadata__"]
    table = json.loads(told["layers"])
    told["layers"] = json.dumps(
        {"second": table["second"], "first": table["first"], "last": table["last"]}
    )


@pytest.mark.parametrize(
    "change, words",
    [
        (rename, "/other/kernel.*was not there"),
        (swap_layers, "structure"),
        (lambda h: h["second/kernel"].update(shape=[2**40, 8]), "'second/kernel'.*needs"),
        (lambda h: h["second/kernel"].update(data_offsets=[0, 256]), "not where those before it"),
        (lambda h: h["second/kernel"].update(data_offsets=[-4, 252]), "not that of an array"),
        (lambda h: h["second/kernel"].update(shape=[True, 64]), "not that of an array"),
        (lambda h: h["second/kernel"].update(dtype="C64"), "'C64' are not those of a model"),
        (lambda h: h["second/kernel"].pop("shape"), "not that of an array"),
        (lambda h: h.update({"second/kernel": 3}), "not that of an array"),
        (lambda h: h["__metadata__"].update(more={"a": 1}), "something else than texts"),
        (lambda h: h["__metadata__"].update(kerasbridge="{"), "no JSON"),
        (lambda h: h["__metadata__"].update(deep="x", layers="[" * 300), "structure"),
    ],
)  # fmt: skip
def test_headers_that_contradict_themselves_are_refused(model, tensors, change, words):
    header, body = read_header(tensors)
    change(header)
    write_header(tensors, header, body)
    before = model.get_weights()
    with pytest.raises(FileError, match=words):
        load_weights(model, tensors)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_a_header_that_is_no_header_is_refused(model, tensors):
    _, body = read_header(tensors)
    for content, words in (
        (struct.pack("<Q", 2**62) + b"{}", "not a model file"),
        (struct.pack("<Q", 2) + b"[]", "not a model file"),
        (struct.pack("<Q", 12) + b'{"a":1,"a":2', "stands twice|no JSON"),
        (struct.pack("<Q", 2) + b"{}" + body, "take 10 bytes"),
    ):
        tensors.write_bytes(content)
        with pytest.raises(FileError, match=words):
            load_weights(model, tensors)
    deep = b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}"
    tensors.write_bytes(struct.pack("<Q", len(deep)) + deep)
    with pytest.raises(UnsafeFileError, match="levels deep"):
        load_weights(model, tensors)
    with open(tensors, "wb") as file:
        file.write(struct.pack("<Q", 70 * 2**20) + b"{")
        file.truncate(71 * 2**20)
    with pytest.raises(UnsafeFileError, match="bytes of text"):
        load_weights(model, tensors)


def test_files_of_other_programs_hold_no_checksums_and_load(model, tmp_path):
    from safetensors.numpy import save_file

    theirs = {
        f"{layer.name}.{w.name}": np.full(w.shape, 2, "float32")
        for layer in model.layers
        for w in layer.weights
    }
    save_file(theirs, tmp_path / "t.safetensors")
    load_weights(model, tmp_path / "t.safetensors", by_name=True)
    assert all((w == 2).all() for w in model.get_weights())
    with pytest.raises(UnsafeFileError, match="claim to hold") as info:
        load_weights(model, tmp_path / "t.safetensors", max_size=100)
    assert info.value.argument == "max_size"


def test_safetensors_can_be_looked_into(model, tensors):
    found = inspect_model(tensors)
    assert found["what"] == "weights alone (safetensors)" and found["safe"] is True
    assert found["parameters"] == model.count_params() and found["weights"] == 6
    assert {row["name"]: row["parameters"] for row in found["layers"]} == {
        "first": 32, "second": 72, "last": 9,
    }  # fmt: skip
    assert found["keras_version"] == keras.__version__ and found["parts"] == 7
    with pytest.raises(FileError, match=r"weights alone \(safetensors\), not a whole model"):
        load_model(tensors)


# ---- several files ----------------------------------------------------------------------------------------


@pytest.fixture
def shards(model, tmp_path):
    path = tmp_path / "w.weights.json"
    save_weights(model, path, max_shard_size=SHARD)
    return path, sorted(p for p in tmp_path.iterdir() if "-" in p.name)


def test_a_shard_is_looked_at_as_any_file(model, shards, tmp_path):
    path, files = shards
    before = model.get_weights()
    assert len(files) > 1
    whole = [p.read_bytes() for p in files]

    def refused(words, kind=FileError):
        with pytest.raises(kind, match=words):
            load_weights(model, path)
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
        for file, content in zip(files, whole):
            file.write_bytes(content)

    with h5py.File(files[1], "r+") as file:
        names = []
        file.visititems(lambda n, i: names.append(n) if isinstance(i, h5py.Dataset) else None)
        file[names[0]][...] = 7
    refused("its values are not what was written")
    with h5py.File(files[1], "r+") as file:
        del file[names[0]]
        file[names[0]] = h5py.ExternalLink("elsewhere.h5", "/x")
    refused("link to another file", UnsafeFileError)
    files[0].write_bytes(whole[1])
    refused("is not the one that was written")
    files[1].write_bytes(whole[1][:-40])
    refused("damaged")
    first = tmp_path / "w_00000.weights.h5"
    with h5py.File(first, "w") as file:
        file["layers"] = h5py.SoftLink("/x")
    refused("soft link", UnsafeFileError)
    first.unlink()


def test_the_list_is_compared_too(model, shards):
    path, _ = shards
    table = json.loads(path.read_text())
    keys = list(table["weight_map"])
    table["weight_map"][keys[0]] = table["weight_map"][keys[-1]]
    path.write_text(json.dumps(table))
    with pytest.raises(FileError, match="weight_map.*not what was written"):
        load_weights(model, path)
    path.write_text('{"weight_map": {}, "weight_map": {}}')
    with pytest.raises(FileError, match="stands twice"):
        load_weights(model, path)


def test_several_files_can_be_looked_into(model, shards):
    found = inspect_model(shards[0])
    assert found["what"] == "weights alone in several files" and found["safe"] is True
    assert found["parameters"] == model.count_params()
    assert found["size"] > sum(os.path.getsize(p) for p in shards[1])
    assert sorted(row["name"] for row in found["layers"]) == ["first", "last", "second"]


# ---- what was loaded --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".weights.h5", ".h5", ".safetensors", ".weights.json"])
def test_weights_that_are_no_numbers_are_a_warning_and_in_the_report(model, tmp_path, ending):
    model.layers[1].bias.assign(np.full(8, np.nan, "float32"))
    save_weights(model, tmp_path / f"w{ending}")
    with pytest.warns(ModelFileWarning, match=r"not numbers \(NaN\): .*second|not numbers.*vars/1"):
        report = load_weights(model, tmp_path / f"w{ending}")
    assert len(report.notes) == 1 and report.as_dict()["notes"] == report.notes
    assert report.names("loaded") == ["first", "second", "last"]


def test_weights_of_no_layer_are_told_though_the_file_has_no_manifest(model, tmp_path):
    whole = tmp_path / "m.keras"
    for path in (tmp_path / "w.weights.h5", tmp_path / "o.h5", whole):
        if path.suffix == ".keras":
            keras.saving.save_model(model, path)
            continue
        save_weights(model, path)
        with h5py.File(path, "r+") as file:
            del file.attrs["kerasbridge"]
            if path.name == "w.weights.h5":
                file["layers/dense_7/vars/0"] = np.ones((2, 2), "float32")
            else:
                file["first/added"] = np.ones(3, "float32")
        report = load_weights(model, path)
        (name,) = report.names("unused")
        assert name == ("dense_7" if path.name == "w.weights.h5" else "first/added")
        assert report.names("loaded") == ["first", "second", "last"]
        assert repr(report).startswith("<3 of 3 loaded>")
    from hostile_files import rezip

    def more(content):
        inner = tmp_path / "inner.h5"
        inner.write_bytes(content)
        with h5py.File(inner, "r+") as file:
            file["layers/dense_9/vars/0"] = np.ones(3, "float32")
        return inner.read_bytes()

    rezip(whole, tmp_path / "n.keras", change={"model.weights.h5": more})
    with pytest.warns(ModelFileWarning, match="not used: 'dense_9'"):
        load_model(tmp_path / "n.keras")


@keras.saving.register_keras_serializable("unused")
class Own(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.noise, self.head = L.Dropout(0.5, seed=1), L.Dense(2)

    def call(self, x):
        return self.head(self.noise(x))


def test_nothing_is_said_of_models_with_state_of_their_own(tmp_path, recwarn):
    model = Own()
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    for name in ("a.keras", "b.keras"):
        keras.saving.save_model(model, tmp_path / name)
        model = load_model(tmp_path / name)
    assert not [w for w in recwarn if issubclass(w.category, ModelFileWarning)]
    assert model.predict(np.ones((1, 3)), verbose=0).shape == (1, 2)


@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
def test_nothing_is_said_of_files_in_order(model, tmp_path, ending, recwarn):
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((4, 3)), np.ones(4), verbose=0)
    path = tmp_path / f"m{ending}"
    if ending == ".weights.h5":
        model.save_weights(path)
        assert load_weights(model, path).notes == []
    else:
        keras.saving.save_model(model, path)
        load_model(path)
    assert not [w for w in recwarn if issubclass(w.category, ModelFileWarning)]
    save_model(model, tmp_path / "n.keras")


# ---- TensorFlow's formats ---------------------------------------------------------------------------------

tensorflow = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="SavedModels and checkpoints are TensorFlow's"
)


@tensorflow
def test_a_damaged_checkpoint_is_told(model, tmp_path):
    from kerasbridge.saving import load_weights_tf, save_weights_tf

    save_weights_tf(model, tmp_path / "ck")
    report = load_weights_tf(model, tmp_path / "ck")
    assert report.names("loaded") == ["first", "second", "last"] and report.notes == []
    data = next(p for p in tmp_path.iterdir() if ".data-" in p.name)
    content = data.read_bytes()
    for change in (content[:-100], content[:300] + bytes([content[300] ^ 1]) + content[301:], b""):
        data.write_bytes(change)
        with pytest.raises(FileError, match="damaged|does not hold"):
            load_weights_tf(model, tmp_path / "ck")
    data.write_bytes(content)
    index = tmp_path / "ck.index"
    index.write_bytes(index.read_bytes()[:-60])
    with pytest.raises(FileError, match="damaged"):
        load_weights_tf(model, tmp_path / "ck")
    model.layers[0].bias.assign(np.full(8, np.nan, "float32"))
    save_weights_tf(model, tmp_path / "ck")
    with pytest.warns(ModelFileWarning, match="not numbers"):
        load_weights_tf(model, tmp_path / "ck")


@tensorflow
def test_a_saved_model_that_reaches_files_is_refused(model, tmp_path):
    import tensorflow as tf
    from kerasbridge.saving import export_saved_model

    good = tmp_path / "good"
    export_saved_model(model, good)
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(load_model(good).predict(x), model.predict(x, verbose=0))
    assert inspect_model(good)["safe"] is True
    mark = tmp_path / "MARK"
    words = tmp_path / "words.txt"
    words.write_text("a\nb\n")

    def folder(name, body):
        module = tf.Module()
        module.serve = tf.function(body, input_signature=[tf.TensorSpec((None, 3), name="x")])
        tf.saved_model.save(
            module, str(tmp_path / name), signatures={"serving_default": module.serve}
        )
        return tmp_path / name

    def writes(x):
        tf.io.write_file(str(mark), "x")
        return {"y": x}

    def reads(x):
        return {"y": x + tf.cast(tf.strings.length(tf.io.read_file(str(words))), tf.float32)}

    def deep(x):
        return {"y": tf.cond(tf.reduce_sum(x) > 0, lambda: reads(x)["y"], lambda: x)}

    def restores(x):
        return {"y": x + tf.raw_ops.RestoreV2(
            prefix=str(words), tensor_names=["w"], shape_and_slices=[""], dtypes=[tf.float32])[0]}  # fmt: skip

    for number, (body, operation) in enumerate(
        ((writes, "WriteFile"), (reads, "ReadFile"), (deep, "ReadFile"), (restores, "RestoreV2"))
    ):
        place = folder(f"bad{number}", body)
        with pytest.raises(UnsafeFileError, match=f"operation {operation} reaches files") as info:
            load_model(place)
        assert 'allow = "saved_model"' in info.value.hint and info.value.argument == "allow"
        found = inspect_model(place)
        assert found["safe"] is False and 'allow "saved_model"' in found["verdict"]
    assert not mark.exists()
    load_model(tmp_path / "bad1", allow="saved_model").predict(x)

    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(words), tf.string, 0, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        ),
        1,
    )
    holder = tf.Module()
    holder.table = table
    holder.serve = tf.function(
        lambda w: {"y": table.lookup(w)}, input_signature=[tf.TensorSpec((None,), tf.string, "w")]
    )
    place = tmp_path / "table"
    tf.saved_model.save(holder, str(place), signatures={"serving_default": holder.serve})
    assert load_model(place).predict(np.array(["b", "c"])).tolist() == [
        1,
        2,
    ]  # an asset of the folder
    content = (place / "saved_model.pb").read_bytes()
    assert b"words.txt" in content
    (place / "saved_model.pb").write_bytes(content.replace(b"words.txt", b"../rds.tx"))
    with pytest.raises(UnsafeFileError, match="asset '../rds.tx' leads out"):
        load_model(place)
    (place / "saved_model.pb").write_bytes(content[:-30])
    with pytest.raises(FileError, match="damaged"):
        load_model(place)


def test_weights_for_an_application_are_looked_at_too(tmp_path):
    from kerasbridge import bridge

    path = tmp_path / "linked.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers"] = h5py.ExternalLink("elsewhere.h5", "/x")
    options = {"weights": str(path), "input_shape": (32, 32, 3)}
    for answer in (
        bridge.call("keras.applications.MobileNet", kwargs=options),
        bridge.do("densenet", {"blocks": [2, 2], **options}),
    ):
        assert (answer.error["kind"], answer.error["argument"]) == ("unsafe_file", "weights")
        assert "link to another file" in answer.error["message"]
