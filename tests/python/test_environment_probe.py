"""Reading environments from files: made here for real, in temporary folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from kerasbridge.environment import probe

MINOR = f"python{sys.version_info[0]}.{sys.version_info[1]}"
posix = pytest.mark.skipif(os.name == "nt", reason="lays out a Unix environment")


@pytest.fixture
def make(tmp_path):
    """make(name, {"keras": "3.15.1"}) lays out an environment with those metadata folders."""

    def build(name="env", packages=None):
        folder = tmp_path / name
        venv.create(folder, with_pip=False, symlinks=True)
        for package, version in (packages or {}).items():
            info = folder / "lib" / MINOR / "site-packages" / f"{package}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Name: {package}\nVersion: {version}\n")
        return folder

    return build


@posix
def test_versions_are_read_whatever_the_wheel_is_called(make):
    folder = make(packages={"keras": "3.15.1", "tensorflow_cpu": "2.21.0", "numpy": "1.26.4"})
    assert probe.versions(folder) == {"keras": "3.15.1", "tensorflow": "2.21.0", "numpy": "1.26.4"}
    assert probe.tensorflow_wheel(folder) == "tensorflow-cpu"
    # an interpreter's path tells the same as its folder
    assert probe.versions(folder / "bin" / "python") == probe.versions(folder)
    other = make("nightly", {"tf_nightly": "2.22.0.dev20260101", "h5py": "3.14.0"})
    assert probe.versions(other) == {"tensorflow": "2.22.0.dev20260101", "h5py": "3.14.0"}


@posix
def test_available_wants_keras_3_a_backend_an_interpreter_and_no_mark(make):
    folder = make(packages={"keras": "3.15.1", "tensorflow_cpu": "2.21.0"})
    assert probe.available(folder)
    assert probe.available(folder, "tensorflow")
    assert not probe.available(folder, "jax")
    (folder / probe.INCOMPLETE).write_text("{}")
    assert not probe.available(folder)
    assert not probe.describe(folder).complete
    assert not probe.available(make("old", {"keras": "2.15.0", "tensorflow": "2.15.0"}))
    assert not probe.available(make("bare", {"keras": "3.15.1"}))
    gone = make("gone", {"keras": "3.15.1", "jax": "0.6.2"})
    assert probe.available(gone)
    for name in ("python", "python3", MINOR):
        (gone / "bin" / name).unlink(missing_ok=True)
    (gone / "bin" / "python").symlink_to("/nowhere/python3")
    assert not probe.available(gone)
    assert not probe.available(folder / "nowhere")


@posix
def test_a_package_cut_short_does_not_count(make):
    folder = make(packages={"tensorflow": "2.21.0"})
    (folder / "lib" / MINOR / "site-packages" / "keras-3.15.1.dist-info").mkdir()
    assert "keras" not in probe.versions(folder)


@posix
def test_describe_says_which_python(make):
    found = probe.describe(make(packages={"keras": "3.0.5"}), "a test")
    assert found.python_version.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert found.versions == {"keras": "3.0.5"}
    assert (found.complete, found.source, found.tensorflow_wheel) == (True, "a test", None)


@posix
def test_environments_are_found_in_the_order_of_choice(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "envs"
    root.mkdir()
    make("envs/r-kerasbridge", {"keras": "3.15.1"})
    make("envs/other", {"numpy": "2.0.0"})
    chosen = make("chosen", {"keras": "3.1.0"})
    environ = {
        "HOME": str(tmp_path / "nobody"),
        "WORKON_HOME": str(root),
        "RETICULATE_PYTHON": str(chosen / "bin" / "python"),
        "RETICULATE_PYTHON_ENV": "other",
        "PATH": str(chosen / "bin"),
    }
    found = probe.environments(environ)
    assert [(Path(e.path).name, e.source) for e in found] == [
        ("chosen", "RETICULATE_PYTHON"),
        ("other", "RETICULATE_PYTHON_ENV"),
        ("r-kerasbridge", "virtual environments"),
    ]
    assert probe.environments({"HOME": str(tmp_path / "nobody"), "PATH": ""}) == []


def test_this_interpreter_sees_what_metadata_sees():
    metadata = pytest.importorskip("importlib.metadata")
    try:
        numpy = metadata.version("numpy")
    except metadata.PackageNotFoundError:
        pytest.skip("no numpy here")
    if "site-packages" not in str(metadata.distribution("numpy").locate_file("")):
        pytest.skip("numpy lies outside of this interpreter's own folders")
    assert probe.versions(sys.executable)["numpy"] == numpy
    assert probe.current().versions["numpy"] == numpy


def test_a_damaged_record_is_no_record(tmp_path):
    assert probe.record(tmp_path) is None
    (tmp_path / probe.RECORD).write_text("{ not json")
    assert probe.record(tmp_path) is None
    (tmp_path / probe.RECORD).write_text(json.dumps({"format": 1}))
    assert probe.record(tmp_path) == {"format": 1}


def test_nothing_heavy_is_imported():
    code = (
        "import sys; import kerasbridge.environment.probe, kerasbridge.environment.__main__;"
        "print([m for m in ('numpy', 'keras', 'tensorflow', 'h5py') if m in sys.modules])"
    )
    folder = Path(probe.__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_names_compare_as_indexes_compare_them():
    assert probe.normal_name("Tensorflow_CPU") == "tensorflow-cpu"
    assert probe.normal_name("ruamel.yaml") == "ruamel-yaml"
