"""Converts a file that the rules can't read: Keras 2 itself reads it, in a process of its own.

What comes out is a SavedModel folder: the computation, which `load_model` opens for inference. Keras 2
comes as the package tf-keras, installed into a temporary folder that is laid over this environment
and removed afterwards, or from an environment the caller has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any, Iterable, Optional

from kerasbridge.environment.installers import child_environment
from kerasbridge.errors import ArgumentError, InstallError, UnsupportedError
from kerasbridge.files import replacing_folder
from kerasbridge.saving.contents import check_source

# Runs under Keras 2: arguments are a JSON text with source, target, code, trusted
_PROGRAM = r"""
import json, os, sys
wish = json.loads(sys.argv[1])
os.environ["TF_USE_LEGACY_KERAS"] = "1"
try:
    import tf_keras as keras
except ImportError:
    from tensorflow import keras
if int(keras.__version__.split(".")[0]) > 2:
    sys.exit("this environment has Keras " + keras.__version__ + ", not 2")
objects = {}
if wish["code"]:
    space = {"__name__": "__main__", "keras": keras}
    with open(wish["code"], encoding="utf-8") as file:
        exec(compile(file.read(), wish["code"], "exec"), space)
    objects = {name: value for name, value in space.items() if callable(value)}
options = {"compile": False, "custom_objects": objects}
if wish["trusted"]:
    options["safe_mode"] = False
try:
    model = keras.models.load_model(wish["source"], **options)
except TypeError as err:  # before 2.13 there was no safe mode
    if "safe_mode" not in str(err):
        raise
    del options["safe_mode"]
    model = keras.models.load_model(wish["source"], **options)
model.save(wish["target"], save_format="tf")
print("written by Keras " + keras.__version__)
"""


def convert_model(
    filepath: Any,
    output: Any,
    python: Optional[str] = None,
    code: Optional[str] = None,
    allow: Iterable[str] = (),
    overwrite: bool = False,
    timeout: float = 1800,
) -> str:
    """Let Keras 2 read a model's file and write it as a SavedModel folder.

    Args:
        filepath: `.h5` or `.keras` file of an older Keras.
        output: path of the folder to write.
        python: an interpreter that has Keras 2 (TensorFlow up to 2.15, or tf-keras); None installs
            tf-keras for this once, over this environment's TensorFlow.
        code: path of a Python file with the classes and functions that the model needs. It runs.
        allow: "lambda" lets byte code in the file run.
        overwrite: replace an existing SavedModel.
        timeout: seconds after which Keras 2 is stopped.

    Returns:
        The folder's path; `load_model` opens it for inference.

    Raises:
        FileError: no such file; the folder exists.
        InstallError: tf-keras can't be installed here.
        UnsupportedError: Keras 2 can't read it either; has its words.
    """
    source = os.path.abspath(check_source(filepath))
    if code is not None and not os.path.isfile(os.path.expanduser(code)):
        raise ArgumentError(f"There is no file '{code}'.", argument="code")
    target = os.path.expanduser(os.fspath(output))
    with tempfile.TemporaryDirectory(prefix="kerasbridge-") as folder:
        extra = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        if python is None:
            python, extra["PYTHONPATH"] = sys.executable, _tf_keras(folder, timeout)
        with replacing_folder(target, overwrite) as temporary:
            wish = {
                "source": source,
                "target": temporary,
                "code": None if code is None else os.path.abspath(os.path.expanduser(code)),
                "trusted": "lambda" in ([allow] if isinstance(allow, str) else list(allow or ())),
            }
            done = _run([python, "-c", _PROGRAM, json.dumps(wish)], extra, timeout)
            if done.returncode != 0:
                raise UnsupportedError(
                    f"Keras 2 can't read '{source}' either: {_last_line(done.stderr)}",
                    hint="Classes and functions of your own go into a Python file: `code =`. Byte code "
                    'needs `allow = "lambda"` and the Python version that wrote it: `python =`.',
                    argument="filepath",
                    details={"output": done.stderr[-4000:]},
                )
    return target


def _tf_keras(folder: str, timeout: float) -> str:
    """Installs tf-keras for this environment's TensorFlow into `folder`; returns the path to add."""
    import importlib.metadata

    try:
        version = importlib.metadata.version("tensorflow")
    except importlib.metadata.PackageNotFoundError:
        try:
            version = importlib.metadata.version("tensorflow-cpu")
        except importlib.metadata.PackageNotFoundError as err:
            raise InstallError(
                "Converting needs TensorFlow, which this environment lacks.",
                hint="Give an interpreter that has Keras 2: `python =`.",
                argument="python",
            ) from err
    minor = ".".join(version.split(".")[:2])
    place = os.path.join(folder, "packages")
    done = _run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", place, f"tf-keras=={minor}.*"],
        {},
        timeout,
    )  # fmt: skip
    if done.returncode != 0:
        raise InstallError(
            f"tf-keras {minor} can't be installed: {_last_line(done.stderr)}",
            hint="Give an interpreter that has Keras 2: `python =`.",
            argument="python",
        )
    return place


def _run(command: list, extra: dict, timeout: float) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=child_environment(extra),
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as err:
        raise UnsupportedError(
            f"Converting took over {timeout:g} seconds and was stopped.",
            hint="Give more: `timeout =`.",
            argument="timeout",
        ) from err
    except OSError as err:
        raise ArgumentError(
            f"'{command[0]}' can't be run: {err.strerror}.", argument="python"
        ) from err


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it says nothing"
