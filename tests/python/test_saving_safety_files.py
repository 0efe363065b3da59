"""Hostile and damaged files: every class of them is made, loaded in a child process, and refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import hostile_files
import keras
import numpy as np
import pytest
from conftest import ENGINE
from kerasbridge.errors import ArgumentError, FileError, UnsafeFileError
from kerasbridge.saving import (
    load_model,
    load_weights,
    model_from_json,
    model_from_yaml,
    model_to_json,
    save_model,
)
from kerasbridge.saving.downloads import get_file
from kerasbridge.saving.safety.archives import check_archive


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """case -> (words, unsafe, what the child process says)."""
    folder = tmp_path_factory.mktemp("hostile")
    mark = folder / "MARK"
    cases = hostile_files.make(folder, mark)
    before = sorted(os.listdir(folder.parent))
    listed = folder / "list.json"
    listed.write_text(json.dumps([path for path, _, _ in cases.values()]))
    done = subprocess.run(
        [sys.executable, hostile_files.__file__, str(listed)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(ENGINE), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(done.stdout.split("RESULT")[1])
    assert not mark.exists()
    assert sorted(os.listdir(folder.parent)) == before
    assert rows[-1][0] == "float32"
    return {
        name: (words, unsafe, row) for (name, (_, words, unsafe)), row in zip(cases.items(), rows)
    }


def test_every_hostile_file_is_refused_by_name(outcomes):
    wrong = []
    for name, (words, unsafe, (kind, _, text, _, _)) in outcomes.items():
        allowed = ("UnsafeFileError",) if unsafe else ("FileError", "UnsafeFileError")
        if kind not in allowed or not re.search(words, text, re.S):
            wrong.append(f"{name}: {kind}: {text[:300]}")
    assert not wrong, "\n".join(wrong)
    assert len(outcomes) > 90


def test_no_hostile_file_takes_long_or_much(outcomes):
    slow = {name: row[3] for name, (_, _, row) in outcomes.items() if row[3] > 10}
    large = {name: row[4] for name, (_, _, row) in outcomes.items() if row[4] > 400 * 2**20}
    assert not slow and not large


@pytest.fixture
def model():
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, name="d"), keras.layers.Dense(1)]
    )


def test_limits_have_arguments(model, tmp_path):
    path = tmp_path / "m.keras"
    save_model(model, path)
    with pytest.raises(UnsafeFileError, match="max_size") as caught:
        load_model(path, max_size=50)
    assert caught.value.argument == "max_size"
    with pytest.raises(UnsafeFileError, match="max_layers"):
        load_model(path, max_layers=2)
    assert load_model(path, max_size=10**6, max_layers=10).count_params() == 21


def test_lambda_loads_when_allowed(tmp_path):
    path = tmp_path / "m.keras"
    m = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2, name="twice")])
    for ending in (".keras", ".h5"):
        path = tmp_path / f"m{ending}"
        save_model(m, path)
        with pytest.raises(UnsafeFileError, match=r"layer 'twice' \(Lambda\)"):
            load_model(path)
        for how in ({"allow": "lambda"}, {"safe_mode": False}):
            np.testing.assert_array_equal(load_model(path, **how)(np.ones((1, 3))), [[2, 2, 2]])
        with pytest.raises(UnsafeFileError):  # the permission does not stay on
            load_model(path)
    with pytest.raises(ArgumentError, match="nothing that can be allowed"):
        load_model(path, allow="all")


def test_weights_that_are_no_numbers_warn(model, tmp_path):
    model.layers[0].kernel.assign(np.full((3, 4), np.nan))
    path = tmp_path / "m.keras"
    save_model(model, path)
    with pytest.warns(UserWarning, match=r"not numbers \(NaN\): layers/dense/vars/0\."):
        load_model(path)


def test_a_part_that_was_changed_on_purpose_loads_when_allowed(model, tmp_path):
    path, other = tmp_path / "m.keras", tmp_path / "n.keras"
    save_model(model, path)
    hostile_files.rezip(
        path, other, change={"config.json": lambda d: d.replace(b'"linear"', b'"relu"')}
    )
    with pytest.raises(FileError, match=r"config\.json.*not what was written"):
        load_model(other)
    assert load_model(other, allow="changed").layers[0].activation.__name__ == "relu"
    assert not isinstance(pytest.raises(FileError, load_model, other).value, UnsafeFileError)


def test_weights_of_another_model_are_an_error_of_the_file(model, tmp_path):
    path = tmp_path / "m.weights.h5"
    model.save_weights(path)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
    with pytest.raises(FileError, match="can't be loaded"):
        load_weights(other, path)


def test_archives_of_downloads(tmp_path):
    outside = tmp_path / "target"

    def tar(name, *members):
        with tarfile.open(tmp_path / name, "w:gz") as archive:
            for info in members:
                archive.addfile(info)
        return str(tmp_path / name)

    def member(name, kind=tarfile.REGTYPE, target=""):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        return info

    good = tar("good.tgz", member("a", tarfile.DIRTYPE), member("a/b.txt"))
    assert check_archive(good, str(outside)) is None
    bad = {
        "leads out": member("../x"),
        "leads out ": member("/etc/x"),
        "is a link": member("x", tarfile.SYMTYPE, "/etc/passwd"),
        "is a link ": member("x", tarfile.LNKTYPE, "../x"),
        "neither file": member("x", tarfile.FIFOTYPE),
        "too long a path": member("a" * 300),
    }
    for words, info in bad.items():
        with pytest.raises(UnsafeFileError, match=words.strip()):
            check_archive(tar("bad.tgz", info), str(outside))
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../x", "x")
    with pytest.raises(UnsafeFileError, match="leads out"):
        check_archive(str(tmp_path / "bad.zip"), str(outside))
    (tmp_path / "text.tgz").write_text("hello")
    with pytest.raises(FileError, match="damaged"):
        check_archive(str(tmp_path / "text.tgz"), str(outside))


def test_architectures_are_looked_at_too(model, tmp_path):
    function = {
        "module": "keras.utils",
        "class_name": "function",
        "config": "get_file",
        "registered_name": "x",
    }
    tree = json.loads(model_to_json(model))
    assert model_from_json(json.dumps(tree)).count_params() == 21
    tree["config"]["layers"][1]["config"]["activation"] = function
    for load, text in ((model_from_json, json.dumps(tree)), (model_from_yaml, json.dumps(tree))):
        with pytest.raises(UnsafeFileError, match=r"layer 'd' \(Dense\).*keras\.utils\.get_file"):
            load(text)
    twice = keras.Sequential(
        [keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2, name="twice")]
    )
    with pytest.raises(UnsafeFileError, match="layer 'twice'"):
        model_from_json(twice.to_json())
    back = model_from_json(twice.to_json(), allow="lambda")
    assert float(back(np.ones((1, 2)))[0, 0]) == 2


def test_an_archive_is_looked_at_before_it_is_unpacked(tmp_path):
    for name, member, words in (("good", "a.txt", None), ("bad", "../../a.txt", "leads out")):
        path = tmp_path / f"{name}.tar.gz"
        (tmp_path / "a.txt").write_text("hello")
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tmp_path / "a.txt", arcname=member)
        arguments = {"origin": path.as_uri(), "extract": True, "cache_dir": str(tmp_path / "cache")}
        if words is None:
            folder = get_file(**arguments)
            assert [file.name for file in Path(folder).rglob("*.txt")] == ["a.txt"]
        else:
            with pytest.raises(UnsafeFileError, match=words):
                get_file(**arguments)
    assert not list((tmp_path / "cache").rglob("*bad*/*"))
