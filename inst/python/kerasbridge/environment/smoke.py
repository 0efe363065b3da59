"""Trying an environment in a new process: import, build, fit one step, save, load."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from typing import Dict

from ..errors import InstallError

_MARK = "kerasbridge-smoke:"

_PROGRAM = """
import importlib, json, os, sys, tempfile
versions = {"python": sys.version.split()[0]}
import numpy, h5py, scipy, PIL, pyarrow, safetensors
import keras
backend = importlib.import_module(os.environ["KERAS_BACKEND"])
for module in (keras, numpy, h5py, scipy, PIL, pyarrow, safetensors, backend):
    name = {"PIL": "pillow"}.get(module.__name__, module.__name__)
    versions[name] = str(module.__version__)
x = numpy.linspace(0.0, 1.0, 32, dtype="float32").reshape(8, 4)
y = x.sum(axis=1)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
model.compile(optimizer="sgd", loss="mse")
model.fit(x, y, epochs=1, batch_size=8, verbose=0)
first = model.predict(x, verbose=0)
assert first.shape == (8, 1) and numpy.isfinite(first).all(), "predictions are not finite"
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model.keras")
    model.save(path)
    again = keras.saving.load_model(path).predict(x, verbose=0)
assert numpy.allclose(first, again, atol=1e-6), "the saved model predicts something else"
print("MARK" + json.dumps(versions))
"""


def smoke_test(
    python: str,
    backend: str,
    environ: Dict[str, str],
    gpu: bool = False,
    timeout: float = 300.0,
) -> Dict[str, str]:
    """Runs the trial; gives the versions that were really imported.

    Args:
        python: the environment's interpreter.
        backend: "tensorflow", "jax" or "torch".
        environ: environment variables of the new process.
        gpu: whether the graphics card may be used; hidden otherwise.
        timeout: seconds after which it counts as hanging.

    Raises:
        InstallError: it failed, was ended by the system, or hung.
    """
    with tempfile.TemporaryDirectory() as home:
        settings = dict(environ)
        # Keras writes keras.json where KERAS_HOME points: not into the user's own folder here
        settings.update(KERAS_BACKEND=backend, KERAS_HOME=home, TF_CPP_MIN_LOG_LEVEL="3")
        if not gpu:
            settings["CUDA_VISIBLE_DEVICES"] = "-1"
        try:
            done = subprocess.run(
                [python, "-I", "-c", _PROGRAM.replace("MARK", _MARK)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=settings,
                timeout=timeout,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except subprocess.TimeoutExpired as error:
            raise InstallError(
                f"The new environment was tried and did not answer within {timeout:g} seconds.",
                hint="Try again when the machine is less busy.",
            ) from error
    for line in done.stdout.splitlines():
        if done.returncode == 0 and line.startswith(_MARK):
            return json.loads(line[len(_MARK) :])
    raise _failed(done.returncode, done.stdout)


def _failed(code: int, output: str) -> InstallError:
    details = {"output": "\n".join(output.strip().splitlines()[-12:]), "status": code}
    if code in (-4, 132):
        return InstallError(
            "The new environment was tried and stopped at an instruction that this processor "
            "lacks.",
            hint="TensorFlow's wheels need a processor with AVX.",
            details=details,
        )
    if code in (-9, 137):
        return InstallError(
            "The new environment was tried and the system ended it: most likely memory ran out.",
            hint="Close other programs and try again.",
            details=details,
        )
    return InstallError(
        f"The new environment was tried and failed (exit status {code}): {_telling(output)[:300]}",
        hint="It was removed again; try another version.",
        details=details,
    )


# lines of a crash report that say where, not why
_TRACE = re.compile(
    r"\s*(@ +0x|\*\*\* Check failure stack|\[symbolize|Fatal Python error: Aborted)"
)
# a fatal line of TensorFlow's log, such as "F0000 00:00:1 7 env.cc:410] Check failed: ..."
_FATAL = re.compile(r"F\d{4} .*?\] (.+)")


def _telling(output: str) -> str:
    """The line of a failed program's output that says most: a fatal log line, or the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in lines:
        fatal = _FATAL.match(line)
        if fatal:
            return fatal[1]
    return next((line for line in reversed(lines) if not _TRACE.match(line)), "no output")
