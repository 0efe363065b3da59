"""Start Keras once, without its backend's start-up chatter."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import tempfile
from typing import Any, Callable, Optional

from kerasbridge.errors import ArgumentError, InstallError, UnsupportedError
from kerasbridge.runtime import certificates, device_settings, libraries, nvidia, scopes
from kerasbridge.runtime.patience import Word

BACKENDS = ("tensorflow", "jax", "torch", "openvino")
ENDED = {
    "theano": "Theano ended in 2017",
    "cntk": "CNTK ended in 2019",
    "plaidml": "PlaidML ended in 2020",
}


@contextlib.contextmanager
def quiet_stderr():
    """Send what C code writes to the process's stderr to a temporary file.

    Yields a function that returns what was caught so far. Backends print notices from C before any
    Python setting can silence them; nothing is lost: the caller can show it when an import fails.
    """
    try:
        saved = os.dup(2)
    except OSError:  # no stderr at all (a windowed process)
        yield lambda: ""
        return
    sink = tempfile.TemporaryFile()
    sys.stderr.flush()
    os.dup2(sink.fileno(), 2)

    def caught() -> str:
        sink.seek(0)
        return sink.read().decode("utf-8", "replace")

    try:
        yield caught
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        sink.close()


def check_backend(name: str) -> str:
    """Return `name` in lower case if it is a backend of today's Keras.

    Raises:
        UnsupportedError: for Theano, CNTK and PlaidML, saying that they ended.
        ArgumentError: for any other name.
    """
    low = str(name).lower()
    if low in ENDED:
        raise UnsupportedError(
            f"{ENDED[low]}; Keras 3 runs on TensorFlow, JAX or PyTorch.",
            hint='Use backend "tensorflow", "jax" or "torch".',
            argument="backend",
        )
    if low not in BACKENDS:
        raise ArgumentError(
            f"'{name}' is not a backend of Keras.",
            hint="Backends: " + ", ".join(f'"{b}"' for b in BACKENDS) + ".",
            argument="backend",
        )
    return low


_NAMES = {"torch": "PyTorch", "jax": "JAX", "tensorflow": "TensorFlow", "openvino": "OpenVINO"}
SILENCE = 2.0  # seconds of a start after which a person is told what is going on


def start(
    backend: Optional[str] = None,
    say: Optional[Callable[[str], Any]] = None,
    after: float = SILENCE,
    by: str = "",
    likely: Optional[str] = None,
):
    """Import Keras on the backend that was asked for and return the module.

    Args:
        backend: name of a backend; None leaves the choice to KERAS_BACKEND, keras.json and Keras.
        say: called with a line of text, on the main thread, if it takes more than `after` seconds.
        by: what starts it, such as "fit()": named where a setting comes too late.
        likely: the backend that Keras will choose, where that is known.

    Raises:
        InstallError: Keras or its backend can't be imported; the message says what failed.
    """
    if "keras" in sys.modules:
        keras = sys.modules["keras"]
        if backend is not None and keras.config.backend() != check_backend(backend):
            raise UnsupportedError(
                f"Keras already runs on {keras.config.backend()}; it can't change to {backend}.",
                hint="Choose the backend in a new session, before anything else uses Keras.",
                argument="backend",
            )
        if device_settings.started_by() is None:
            outside = "an import of Keras outside of this package"
            device_settings.after_import(keras.config.backend(), outside, outside=True)
        return keras
    chosen = backend or os.environ.get("KERAS_BACKEND")
    if chosen:
        os.environ["KERAS_BACKEND"] = check_backend(chosen)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # one name for an organisation's certificates is enough: Keras' downloads read SSL_CERT_FILE
    os.environ.update(certificates.shared(os.environ))
    with quiet_stderr() as caught, _note(say, after):
        try:
            nvidia.make_ready()
            device_settings.before_import()
            if (chosen or likely) == "torch":
                libraries.load_torch()
            keras = importlib.import_module("keras")
            device_settings.after_import(keras.config.backend(), by or "kerasbridge")
            # JAX must not compute before `distribution.initialize()`
            if keras.config.backend() != "jax":
                keras.ops.convert_to_numpy(keras.ops.zeros((1,)))
        except ImportError as err:
            raise InstallError(
                f"Keras can't be imported: {err}",
                hint=_other_backend(err.name)
                or "Install it with kerasbridge::install_kerasbridge() in R, or "
                "`python -m kerasbridge.environment install`.",
                details={"stderr": caught()[-2000:], "python": sys.executable},
            ) from err
    if int(keras.__version__.split(".")[0]) < 3:
        raise InstallError(
            f"Keras {keras.__version__} is installed; kerasbridge needs Keras 3.",
            hint="Install a newer one with kerasbridge::install_kerasbridge().",
        )
    scopes.permit_any_name(keras)
    return keras


def _other_backend(missing: Optional[str]) -> Optional[str]:
    """What to do where the backend `missing` is not installed, but another one is."""
    found = [b for b in ("tensorflow", "jax", "torch") if importlib.util.find_spec(b)]
    if missing not in _NAMES or missing in found or not found:
        return None
    return (
        f"{_NAMES[missing]} is the backend that was chosen; this environment has "
        f'{_NAMES[found[0]]}. Say so first: use_backend("{found[0]}") in R, the variable '
        f"KERAS_BACKEND={found[0]} in Python. Or install {_NAMES[missing]}."
    )


def tensorflow(what: str) -> Any:
    """The module tensorflow, which `what` needs on any backend.

    Raises:
        InstallError: it is not installed; `what` begins the sentence.
    """
    try:
        return importlib.import_module("tensorflow")
    except ImportError as error:
        raise InstallError(
            f"{what} needs TensorFlow, which is not installed here.",
            hint="Install the package tensorflow beside the backend; the backend stays what it is.",
        ) from error


def check_tensorflow(what: str) -> None:
    """An error where TensorFlow, which `what` needs, is not there; see `tensorflow`."""
    tensorflow(what)


@contextlib.contextmanager
def _note(say: Optional[Callable[[str], Any]], after: float):
    """Within the block, a line about the start if it takes long."""

    def speak() -> None:
        found = [name for module, name in _NAMES.items() if module in sys.modules]
        say(f"Starting {found[0] if found else 'Keras'} ...\n")

    word = None if say is None else Word(after, speak)
    try:
        yield
    finally:
        if word is not None:
            word.take_back()


def backend_name() -> Optional[str]:
    """The running backend, or None while Keras hasn't started."""
    keras = sys.modules.get("keras")
    return keras.config.backend() if keras is not None and hasattr(keras, "config") else None
