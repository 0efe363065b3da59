"""Hostile and damaged files: every class of them is made, loaded in a child process, and refused."""

from __future__ import annotations

import http.server
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
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
    with pytest.raises(FileError, match="don't fit"):
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


def _packed(path, kind, **members):
    """An archive with these texts."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in members.items():
                archive.writestr(name, text)
    else:
        with tarfile.open(path, "w:gz") as archive:
            for name, text in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
    return path.as_uri()


def test_an_archive_is_looked_at_before_it_is_unpacked(tmp_path):
    cache = tmp_path / "cache"  # made if it isn't there
    arguments = {"extract": True, "cache_dir": str(cache)}
    for kind, name in (("tar", "good.tar.gz"), ("zip", "good.zip")):
        origin = _packed(tmp_path / name, kind, **{"in/a.txt": kind, "b.txt": "b"})
        folder = Path(get_file(origin=origin, **arguments))
        assert folder == cache / "datasets" / name
        assert (folder / "in" / "a.txt").read_text() == kind
        (folder / "in" / "a.txt").unlink()  # what is missing comes back, the rest stays
        (folder / "own.txt").write_text("mine")
        assert get_file(origin=origin, **arguments) == str(folder)
        assert sorted(file.name for file in folder.rglob("*.txt")) == ["a.txt", "b.txt", "own.txt"]
        named = get_file("mine.gz", origin, **arguments, force_download=True)
        assert named == str(cache / "datasets" / "mine_extracted")
    origin = _packed(tmp_path / "bad.tar.gz", "tar", **{"a.txt": "a", "../../a.txt": "a"})
    with pytest.raises(UnsafeFileError, match="leads out"):
        get_file(origin=origin, **arguments)
    before = {"good.tar.gz", "good.zip", "mine_extracted"}
    kept = {"good.tar.gz_archive", "good.zip_archive", "mine.gz", "bad.tar.gz_archive"}
    assert set(os.listdir(cache / "datasets")) == before | kept
    assert os.listdir(cache) == ["datasets"]


def test_what_is_unpacked_is_what_was_looked_at(tmp_path):
    """A server may send something else the second time, and a file may be a tar and a zip at once."""
    sent = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            sent.append(self.path)
            name = "a.txt" if len(sent) == 1 else "../a.txt"
            _packed(tmp_path / "sent.tar.gz", "tar", **{name: "text"})
            self.send_response(200)
            self.end_headers()
            self.wfile.write((tmp_path / "sent.tar.gz").read_bytes())

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        origin = f"http://127.0.0.1:{server.server_port}/x.tar.gz"
        for extra in ({"extract": True}, {"untar": True}, {"untar": True}):
            folder = Path(get_file("x.tar.gz", origin, cache_dir=str(tmp_path / "c"), **extra))
            assert os.listdir(folder) == ["a.txt"]
    finally:
        server.shutdown()
    assert sent == ["/x.tar.gz"]
    _packed(tmp_path / "two.zip", "zip", **{"fine.txt": "text"})
    with tarfile.open(tmp_path / "one.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../evil.txt"))
    (tmp_path / "both").write_bytes(
        (tmp_path / "one.tar").read_bytes() + (tmp_path / "two.zip").read_bytes()
    )
    folder = get_file(
        "both", (tmp_path / "both").as_uri(), extract=True, cache_dir=str(tmp_path / "c")
    )
    assert os.listdir(folder) == ["fine.txt"]


def test_an_archive_of_another_format_is_not_unpacked(tmp_path):
    origin = _packed(tmp_path / "a.zip", "zip", **{"a.txt": "a"})
    for how in ({"extract": True, "archive_format": "tar"}, {"untar": True}):
        with pytest.raises(FileError, match="is a zip archive") as caught:
            get_file(origin=origin, cache_dir=str(tmp_path), **how)
        assert caught.value.argument == "archive_format"
    assert not (tmp_path / "datasets" / "a.zip").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="can't be made") as caught:
        get_file(origin=origin, cache_dir=str(tmp_path / "file" / "x"))
    assert caught.value.argument == "cache_dir"
