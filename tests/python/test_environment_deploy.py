"""Exact requirements and Dockerfiles, written from an environment's files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from conftest import ENGINE
from kerasbridge import __version__
from kerasbridge.environment import deploy
from kerasbridge.errors import FileError, InstallError
from tiny_wheels import borrowed_site, tiny_wheel


@pytest.fixture
def environment(tmp_path):
    folder = tmp_path / "env"
    site = folder / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").write_text("")
    (folder / "pyvenv.cfg").write_text("version = 3.11.2\n")
    packages = {"keras": "3.15.1", "tensorflow_cpu": "2.21.0", "numpy": "1.26.4"}
    for name, version in {**packages, "pytest": "9.0.0", "pip": "24.0"}.items():
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\n")
    return folder


def test_requirements_are_exact_and_leave_the_tools_out(environment):
    assert deploy.requirements(environment) == {
        "keras": "3.15.1",
        "numpy": "1.26.4",
        "tensorflow-cpu": "2.21.0",
    }


def test_files_are_written_once(environment, tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    place = tmp_path / "app"
    place.mkdir()
    (place / "model.keras").write_bytes(b"PK")
    files = deploy.write_environment(place, python=environment, model=place / "model.keras")
    wheel = f"kerasbridge-{__version__}-py3-none-any.whl"
    assert [f.rsplit("/", 1)[1] for f in files] == ["requirements.txt", "Dockerfile", wheel]
    text = (place / "requirements.txt").read_text().splitlines()
    assert text == [
        "# Versions that were used together (Python 3.11).",
        "keras==3.15.1",
        "numpy==1.26.4",
        "tensorflow-cpu==2.21.0",
    ]
    docker = (place / "Dockerfile").read_text()
    assert (
        "FROM python:3.11-slim\n" in docker
        and '\nCOPY ["model.keras", "./model.keras"]\n' in docker
    )
    assert f"kerasbridge-{__version__}-py3-none-any.whl" in docker
    # Keras takes TensorFlow where nobody says another backend
    assert "\nENV KERAS_BACKEND=tensorflow " in docker
    assert re.search(r'^CMD \["python", "-m", "kerasbridge.serving", "model.keras"', docker, re.M)
    with pytest.raises(FileError):
        deploy.write_environment(place, python=environment)
    # one that is in the way is enough for none to be written
    (place / "requirements.txt").unlink()
    with pytest.raises(FileError, match="Dockerfile' exists"):
        deploy.write_environment(place, python=environment, r_version="4.4.1")
    assert not (place / "requirements.txt").exists()
    deploy.write_environment(place, python=environment, r_version="4.4.1", overwrite=True)
    docker = (place / "Dockerfile").read_text()
    assert "FROM rocker/r-ver:4.4.1\n" in docker
    # Python is the one that the versions were used with, not the image's own
    assert "uv venv --python 3.11 /opt/keras" in docker
    assert "\nRUN R CMD INSTALL kerasbridge_" in docker


def test_the_backend_travels_with_the_versions(environment, tmp_path, monkeypatch):
    site = environment / "lib" / "python3.11" / "site-packages"
    (site / "jax-0.6.2.dist-info").mkdir()
    (site / "jax-0.6.2.dist-info" / "METADATA").write_text("Name: jax\n")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    for r_version in (None, "4.4.1"):
        deploy.write_environment(
            tmp_path, python=environment, r_version=r_version, overwrite=r_version is not None
        )
        assert "KERAS_BACKEND=jax TF_CPP" in (tmp_path / "Dockerfile").read_text()
    first = (tmp_path / "requirements.txt").read_text().splitlines()[0]
    assert first == "# Versions that were used together (Python 3.11, KERAS_BACKEND=jax)."


def test_what_cannot_be_written_down_is_refused(environment, tmp_path):
    with pytest.raises(InstallError, match="no folder"):
        deploy.write_environment(tmp_path / "gone", python=environment)
    with pytest.raises(InstallError, match="holds no Keras 3"):
        deploy.write_environment(tmp_path, python=tmp_path)
    (tmp_path / "app").mkdir()
    with pytest.raises(InstallError, match="is not a file inside") as caught:
        deploy.write_environment(tmp_path / "app", python=environment, model=tmp_path / "m.keras")
    assert caught.value.argument == "model"


def test_it_works_on_the_command_line(environment, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "kerasbridge.environment", "write"),
            *("--to", str(tmp_path), "--python", str(environment)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(ENGINE)},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "Dockerfile").exists()


def test_names_with_spaces_and_folders_of_models(environment, tmp_path):
    place = tmp_path / "app"
    (place / "my models" / "saved").mkdir(parents=True)
    deploy.write_environment(place, python=environment, model=place / "my models" / "saved")
    docker = (place / "Dockerfile").read_text()
    assert 'COPY ["my models/saved", "./saved"]\n' in docker
    command = json.loads(re.search(r"^CMD (.*)$", docker, re.M)[1])
    assert command[:4] == ["python", "-m", "kerasbridge.serving", "saved"]


def test_builds_of_other_indexes_are_pinned_without_their_label(environment):
    assert deploy._pinned({"torch": "2.5.0+cpu", "keras": "3.15.1"}) == [
        "torch==2.5.0  # was the build cpu, from an index of its own",
        "keras==3.15.1",
    ]


PREDICT = """
import sys, numpy, keras
model = keras.saving.load_model(sys.argv[1])
print(model.predict(numpy.linspace(-1, 1, 12, dtype="float32").reshape(4, 3), verbose=0).tobytes().hex())
"""


@pytest.mark.skipif(os.name == "nt", reason="lays out a Unix environment")
def test_an_environment_from_the_file_gives_the_same_numbers(tmp_path):
    """pip installs the very file into a new environment (from tiny wheels, or from the package index
    with KERASBRIDGE_NETWORK=true), and a saved model predicts there what it predicts here."""
    keras = pytest.importorskip("keras")
    place = tmp_path / "app"
    place.mkdir()
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)]
    )
    model.save(place / "model.keras")
    deploy.write_environment(place)
    lines = (place / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("  #")[0].split("==") for line in lines if not line.startswith("#"))
    assert pins["keras"] == keras.__version__
    network = os.environ.get("KERASBRIDGE_NETWORK", "").lower() == "true"
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    settings = {}
    if not network:
        for name, version in pins.items():
            tiny_wheel(wheels, name, version, {f"{name}.pth": borrowed_site()})
        settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    env = tmp_path / "env"
    (wheel,) = place.glob("*.whl")
    limit = 900 if network else 120

    def run(*command, **more):
        kept = {name: os.environ[name] for name in ("PATH", "KERAS_BACKEND") if name in os.environ}
        environ = {**kept, "HOME": str(tmp_path), **more}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, env=environ, cwd=place
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "venv", str(env))
    python = str(env / "bin" / "python")
    run(python, "-m", "pip", "install", "-r", "requirements.txt", **settings)
    run(python, "-m", "pip", "install", "--no-deps", wheel.name, **settings)
    there = run(python, "-c", PREDICT, "model.keras", TF_CPP_MIN_LOG_LEVEL="3")
    x = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
    here = model.predict(x, verbose=0)
    assert here.shape == (4, 2) and there.strip() == here.tobytes().hex()
    # the wheel of this package is whole: it looks at the file, and pip knows what belongs to it
    assert "model.keras" in run(python, "-m", "kerasbridge.saving", "inspect", "model.keras")
    run(python, "-m", "pip", "uninstall", "-y", "kerasbridge", **settings)
    assert not list(env.glob("lib/python*/site-packages/kerasbridge/**/*.py"))
    assert "kerasbridge/environment/messages.tsv" in zipfile.ZipFile(wheel).namelist()
