"""Importing the packages one at a time in a child process, to see which one fails, and how."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from typing import Dict, List, Mapping, Optional, Sequence

from .settings import read_settings


def modules_for(backend: str) -> Sequence[str]:
    """What is imported, in this order, for Keras on a backend."""
    protobuf = ("google.protobuf",) if backend == "tensorflow" else ()
    return ("numpy", "h5py", *protobuf, backend, "keras")


_MARK = "kerasbridge-import:"

_PROGRAM = """
import importlib, sys, sysconfig
print("MARK python", sys.version.split()[0], flush=True)
print("MARK shared", int(bool(sysconfig.get_config_var("Py_ENABLE_SHARED"))), flush=True)
for name in sys.argv[1:]:
    print("MARK", name, flush=True)
    module = importlib.import_module(name)
    print("MARK", name, getattr(module, "__version__", "?"), flush=True)
print("MARK done", flush=True)
"""


@dataclass
class Trial:
    """How far the imports came: `versions` of what was imported (and of Python), `failed` the
    module that was not; `shared`: whether this Python has a shared library.

    `how` says what happened to it: "error", "signal", "timeout" or "missing"; `detail` is the last
    line of the error's text, or the signal's name.
    """

    versions: Dict[str, str] = field(default_factory=dict)
    failed: Optional[str] = None
    how: str = ""
    detail: str = ""
    output: str = ""
    shared: Optional[bool] = None

    @property
    def ok(self) -> bool:
        return self.failed is None


def try_imports(
    python: str,
    backend: str = "tensorflow",
    environ: Optional[Mapping[str, str]] = None,
    timeout: float = 15.0,
) -> Trial:
    """Import what Keras needs, one after the other, in a new process of `python`.

    Args:
        backend: Keras' backend.
        environ: the environment variables of that process; this one's where None.
        timeout: seconds after which it is ended.
    """
    modules = modules_for(backend)
    settings = dict(os.environ if environ is None else environ)
    settings.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    settings.update(
        KERAS_BACKEND=backend,
        CUDA_VISIBLE_DEVICES="-1",
        PYTHONIOENCODING="utf-8",
        PYTHONDONTWRITEBYTECODE="1",
    )
    command = [python, "-c", _PROGRAM.replace("MARK", _MARK), *modules]
    with tempfile.TemporaryDirectory(prefix="kerasbridge-") as home:
        # Keras writes its settings file where it finds none: looking must change nothing
        _copy_settings(settings, home)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env={**settings, "KERAS_HOME": home},
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as late:
            trial = _read(_text(late.stdout), _text(late.stderr))
            trial.failed = trial.failed or modules[-1]
            trial.how, trial.detail = "timeout", f"no answer within {timeout:.3g} seconds"
            return trial
        except OSError as error:
            return Trial(failed="python", how="error", detail=str(error))
    trial = _read(_text(done.stdout), _text(done.stderr))
    if done.returncode == 0 and trial.failed is None:
        return trial
    trial.failed = trial.failed or ("python" if not trial.versions else modules[0])
    number = -done.returncode if done.returncode < 0 else done.returncode - 128
    if number > 0 and number in {s.value for s in signal.Signals}:
        trial.how, trial.detail = "signal", signal.Signals(number).name
    elif "No module named" in trial.output:
        trial.how, trial.detail = "missing", _last_line(trial.output)
    else:
        trial.how = "error"
        trial.detail = _last_line(trial.output) or f"exit status {done.returncode}"
    return trial


def _copy_settings(environ: Mapping[str, str], home: str) -> None:
    source = read_settings(environ).file
    if os.path.isfile(source):
        shutil.copyfile(source, os.path.join(home, "keras.json"))


def _read(stdout: str, stderr: str) -> Trial:
    trial = Trial(output="\n".join(stderr.strip().splitlines()[-30:]))
    begun: List[str] = []
    for line in stdout.splitlines():
        if not line.startswith(_MARK):
            continue
        words = line[len(_MARK) :].split()
        if words == ["done"]:
            return trial
        if words[0] == "shared":
            trial.shared = words[1] == "1"
        elif len(words) == 1:
            begun.append(words[0])
        else:
            trial.versions[words[0]] = words[1]
    trial.failed = next((name for name in begun if name not in trial.versions), None)
    return trial


def _text(data: Optional[bytes]) -> str:
    return (data or b"").decode("utf-8", "replace")


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")[:300]
