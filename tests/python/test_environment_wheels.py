"""Folders of wheels and machines without a network, with the real pip."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

import pytest
from environment_command import ENGINE, child, posix, quiet
from kerasbridge.environment import checks, installers, probe
from kerasbridge.errors import InstallError
from tiny_wheels import RETICULATE, VERSIONS, tiny_wheel, tiny_wheels

HAS_KERAS = importlib.util.find_spec("keras") is not None
HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None


def test_without_a_network_pip_says_one_clear_sentence(tmp_path):
    """The real pip, told to use no index, and then an index on a port where nobody listens."""
    if checks.missing_parts():
        pytest.skip("this Python can't make virtual environments")
    place = tmp_path / "env"
    arguments = ["-m", "kerasbridge.environment", "install", "--path", str(place)]
    arguments += ["--method", "pip"]
    done = child(arguments, PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull, PIP_FIND_LINKS="")
    assert done.returncode == 1
    assert "Error: The package index can't be asked: PIP_NO_INDEX is set." in done.stderr
    dead = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": "",
    }
    # without a second try pip doesn't say that it was the network
    for retries, says in (
        ("1", "there is no network, or a firewall is in the way"),
        ("0", "it can't be reached (no network"),
    ):
        done = child(arguments, PIP_RETRIES=retries, **dead)
        assert done.returncode == 1
        assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not place.exists()


def test_a_truncated_wheel_is_named_as_such(tmp_path):
    """The real pip and a folder with a wheel that was cut short."""
    if checks.missing_parts():
        pytest.skip("this Python can't make virtual environments")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("tensorflow_cpu", "tensorflow"):
        (wheels / f"{name}-2.20.0-py3-none-any.whl").write_bytes(b"PK\x03\x04 cut short")
    place = tmp_path / "env"
    arguments = ["-m", "kerasbridge.environment", "install", "--path", str(place)]
    arguments += ["--method", "pip", "--version", "2.20", "--from", str(wheels)]
    done = child(arguments, PIP_CONFIG_FILE=os.devnull, PIP_FIND_LINKS="")
    assert done.returncode == 1
    assert re.search(
        r"Error: A wheel is damaged \(tensorflow\S*-2\.20\.0-py3-none-any\.whl\): its", done.stderr
    )
    assert not place.exists()


def test_wheels_are_bundled_with_pips_own_settings(tmp_path, monkeypatch):
    index = tmp_path / "index"
    index.mkdir()
    names = [tiny_wheel(index, "keras", "3.15.1"), tiny_wheel(index, "h5py", "3.14.0")]
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    found = installers.download(str(tmp_path / "wheels"), ["keras==3.15.1", "h5py>=3.10"], quiet)
    assert found == sorted(names)
    assert sorted(p.name for p in (tmp_path / "wheels").iterdir()) == sorted(names)
    with pytest.raises(InstallError):
        installers.download(str(tmp_path / "wheels"), ["tensorflow-cpu==2.21.0"], quiet)
    (tmp_path / "file").write_text("")
    with pytest.raises(InstallError, match="is a file"):
        installers.download(str(tmp_path / "file"), ["keras"], quiet)


@posix
@pytest.mark.skipif(not (HAS_KERAS and HAS_TENSORFLOW), reason="needs Keras and TensorFlow")
def test_a_folder_of_wheels_is_enough_without_a_network(tmp_path):
    """The real pip, no index, a proxy on a port where nobody listens; the trial runs real Keras."""
    if checks.missing_parts():
        pytest.skip("this Python can't make virtual environments")
    place, wheels = tmp_path / "env", tiny_wheels(tmp_path / "wheels")
    dead = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY"), "http://127.0.0.1:9")
    arguments = ["-m", "kerasbridge.environment", "install", "--path", str(place)]
    arguments += ["--reticulate", RETICULATE, "--from", str(wheels), "--method", "pip"]
    done = child(arguments, **dead, PIP_CONFIG_FILE=os.devnull)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Installer: pip, from {wheels}" in done.stdout
    assert done.stdout.splitlines()[-1] == (
        f"Installed: TensorFlow 2.21.0, Keras {VERSIONS['keras']} at {place}"
    )
    assert probe.available(place)


@posix
def test_wheels_are_bundled_by_a_python_that_comes_without_pip(tmp_path):
    """Debian's Python has no pip of its own; a virtual environment without it, made for real."""
    if checks.missing_parts():
        pytest.skip("this Python can't make virtual environments")
    bare, index = tmp_path / "bare", tiny_wheels(tmp_path / "index")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    done = subprocess.run(
        [
            *(str(bare / "bin" / "python"), "-m", "kerasbridge.environment", "bundle"),
            *("--to", str(tmp_path / "wheels"), "--reticulate", RETICULATE),
        ],
        capture_output=True,
        text=True,
        timeout=180,
        env={
            **os.environ,
            "PYTHONPATH": str(ENGINE),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(index),
            "PIP_CONFIG_FILE": os.devnull,
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = sorted(file.name for file in (tmp_path / "wheels").iterdir())
    assert names == sorted(file.name for file in index.iterdir())
    assert f"{len(names)} wheels in" in done.stdout


def test_a_place_for_wheels_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InstallError, match="can't be made: Not a directory") as caught:
        installers.download(str(tmp_path / "file" / "wheels"), ["keras"], quiet)
    assert caught.value.argument == "to"
