"""Exact requirements and Dockerfiles, written from an environment's files."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from conftest import ENGINE
from kerasbridge import __version__
from kerasbridge.environment import deploy
from kerasbridge.errors import FileError, InstallError


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


def test_files_are_written_once(environment, tmp_path):
    place = tmp_path / "app"
    place.mkdir()
    (place / "model.keras").write_bytes(b"PK")
    files = deploy.write_environment(place, python=environment, model=place / "model.keras")
    assert [f.rsplit("/", 1)[1] for f in files] == ["requirements.txt", "Dockerfile"]
    text = (place / "requirements.txt").read_text().splitlines()
    assert text == [
        "# Versions that were used together (Python 3.11).",
        "keras==3.15.1",
        "numpy==1.26.4",
        "tensorflow-cpu==2.21.0",
    ]
    docker = (place / "Dockerfile").read_text()
    assert "FROM python:3.11-slim\n" in docker and "COPY model.keras .\n" in docker
    assert f"kerasbridge-{__version__}-py3-none-any.whl" in docker
    assert re.search(r'^CMD \["python", "-m", "kerasbridge.serving", "model.keras"', docker, re.M)
    with pytest.raises(FileError):
        deploy.write_environment(place, python=environment)
    deploy.write_environment(place, python=environment, r_version="4.4.1", overwrite=True)
    docker = (place / "Dockerfile").read_text()
    assert "FROM rocker/r-ver:4.4.1\n" in docker
    assert "\nRUN R CMD INSTALL kerasbridge_" in docker


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
