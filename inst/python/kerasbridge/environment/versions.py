"""Which versions go together: the one table, and `resolve()`, which turns wishes into requirements.

Each row of `TENSORFLOW` was tried (train, save, load, export) with Keras from its `keras_min` to
`KERAS_NEWEST`. The limits on numpy and the CUDA versions are those that the wheels declare in their
own metadata (`Requires-Dist`); reticulate's limits were measured, see `RETICULATE_*`.

Standard library only, nothing is imported from the environment that is being made.
"""

from __future__ import annotations

import platform as _platform
import re
import shutil
import sys
from dataclasses import dataclass, field
from typing import Optional, Sequence, Tuple

from ..errors import InstallError
from .wishes import ACCEPTED_FORMS, Version, matches, parse, read_wish, show, text


@dataclass(frozen=True)
class Release:
    """One TensorFlow release and what it works with (versions as tuples; ends are inclusive).

    `cuda` and `cudnn` are half-open ranges [low, high) of what the `and-cuda` extra installs;
    `size_gb` is the disk space of a finished CPU environment in gigabytes.
    """

    version: Version
    python: Tuple[Version, Version]
    keras_min: Version
    numpy_min: Version
    numpy_below: Version
    cuda: Tuple[Version, Version]
    cudnn: Tuple[Version, Version]
    size_gb: float
    macos_intel: bool = False


_CUDA_123 = ((12, 3), (12, 4))
_CUDA_125 = ((12, 5), (12, 6))
_CUDA_125_UP = ((12, 5), (13,))
_CUDNN_89 = ((8, 9), (8, 10))
_CUDNN_93 = ((9, 3), (9, 4))
_CUDNN_93_UP = ((9, 3), (10,))
_PY_39_312 = ((3, 9), (3, 12))

# fmt: off
TENSORFLOW: Tuple[Release, ...] = (
    #       version     Python            Keras    numpy from, below     CUDA          cuDNN
    Release((2, 16, 1), _PY_39_312,       (3, 0),  (1, 23, 5), (2,),    _CUDA_123,    _CUDNN_89,
            size_gb=1.15, macos_intel=True),
    Release((2, 16, 2), _PY_39_312,       (3, 0),  (1, 23, 5), (2,),    _CUDA_123,    _CUDNN_89,
            size_gb=1.15, macos_intel=True),
    Release((2, 17, 0), _PY_39_312,       (3, 2),  (1, 23, 5), (2,),    _CUDA_123,    _CUDNN_89,
            size_gb=1.18),
    Release((2, 17, 1), _PY_39_312,       (3, 2),  (1, 23, 5), (2,),    _CUDA_123,    _CUDNN_89,
            size_gb=1.18),
    Release((2, 18, 0), _PY_39_312,       (3, 5),  (1, 26),    (2, 1),  _CUDA_125,    _CUDNN_93,
            size_gb=1.2),
    Release((2, 18, 1), _PY_39_312,       (3, 5),  (1, 26),    (2, 1),  _CUDA_125,    _CUDNN_93,
            size_gb=1.2),
    Release((2, 19, 0), _PY_39_312,       (3, 5),  (1, 26),    (2, 2),  _CUDA_125,    _CUDNN_93,
            size_gb=1.3),
    Release((2, 19, 1), _PY_39_312,       (3, 5),  (1, 26),    (2, 2),  _CUDA_125,    _CUDNN_93,
            size_gb=1.3),
    Release((2, 20, 0), ((3, 9), (3, 13)),  (3, 10), (1, 26),  (2, 5),  _CUDA_125_UP, _CUDNN_93_UP,
            size_gb=1.38),
    Release((2, 21, 0), ((3, 10), (3, 13)), (3, 12), (1, 26),  (2, 6),  _CUDA_125_UP, _CUDNN_93_UP,
            size_gb=1.43),
)
# fmt: on

# Keras needs: its newest release for each oldest Python it still supports.
KERAS_NEWEST: Version = (3, 15, 1)
_KERAS_NEWEST_BY_PYTHON: Tuple[Tuple[Version, Version], ...] = (
    ((3, 11), KERAS_NEWEST),
    ((3, 10), (3, 12, 4)),
    ((3, 9), (3, 10, 0)),
)

# reticulate below 1.38 speaks only numpy 1's binary interface: every array fails with numpy 2.
RETICULATE_NUMPY2: Version = (1, 38)
# reticulate below 1.33 reads Python's configuration through `imp`, which Python 3.12 removed.
RETICULATE_PYTHON312: Version = (1, 33)
# The oldest the R package accepts.
RETICULATE_MIN: Version = (1, 28)

# NVIDIA driver on Linux that every CUDA 12 release accepts (minor version compatibility).
CUDA12_MIN_DRIVER = "525.60.13"

BACKENDS = ("tensorflow", "jax", "torch")

# Optional sets, by name, as --extra takes them; both bring JAX beside the backend, see `_jax()`.
EXTRAS = {
    "cluster": (),
    "dev": ("pytest>=7", "pytest-xdist", "ruff", "pyyaml", "hypothesis", "pandas"),
}

# JAX 0.7 and newer need numpy 2. The newest tried with each numpy: 0.6.2 and 0.10.2. 0.4.38 needs Python
# 3.10, and a newer ml_dtypes than TensorFlow 2.16 takes.
_JAX = "jax>=0.4.38"
_JAX_NUMPY1 = "jax>=0.4.38,<0.7"
_JAX_PYTHON: Version = (3, 10)
_JAX_TENSORFLOW: Version = (2, 17)

# What data sources and pictures need beside Keras.
_COMPANIONS = ("h5py>=3.10", "scipy", "pillow", "safetensors")
# TensorFlow up to 2.20 brings it; callbacks write its logs, `tensorboard()` shows them
_TENSORBOARD = "tensorboard"
# pyarrow 26 refuses numpy 1 when it is imported; its metadata doesn't say so, so pip can't know.
_PYARROW = "pyarrow"
_PYARROW_NUMPY1 = "pyarrow<26"


@dataclass
class Resolution:
    """What to install and why.

    `requirements` is what pip is given, in order; `reasons` says in plain sentences why a version
    was chosen where a newer one exists; `size_gb` is the disk space needed.
    """

    backend: str
    gpu: bool
    python: Version
    keras: str
    tensorflow: Optional[str]
    numpy: str
    requirements: list
    reasons: list = field(default_factory=list)
    size_gb: float = 1.4
    cuda: Optional[str] = None
    cudnn: Optional[str] = None
    min_driver: Optional[str] = None

    def as_dict(self) -> dict:
        """Plain values, for JSON."""
        out = dict(self.__dict__)
        out["python"] = text(self.python)
        return out


def resolve(
    version: object = None,
    gpu: bool = False,
    backend: str = "tensorflow",
    python: Sequence[int] = (3, 11),
    reticulate: object = None,
    *,
    keras: object = None,
    cuda: object = None,
    cudnn: object = None,
    extras: Sequence[str] = (),
    system: Optional[str] = None,
    machine: Optional[str] = None,
) -> Resolution:
    """Turns wishes into an exact list of requirements.

    Args:
        version: TensorFlow's version in any of the accepted forms (see `ACCEPTED_FORMS`), or None.
        gpu: whether the libraries for a graphics card are wanted.
        backend: "tensorflow", "jax" or "torch".
        python: version of the interpreter, at least two numbers.
        reticulate: version of the R package that will load it, or None for Python alone.
        keras: a Keras version (whole or as a prefix), or None for the newest that fits.
        cuda, cudnn: versions that the extra `and-cuda` must bring, or None.
        extras: names of `EXTRAS`.
        system, machine: as `platform.system()` and `platform.machine()` give them; this machine's
            where None.

    Raises:
        InstallError: the combination doesn't exist; the message says why, the hint what does.
    """
    system = _platform.system() if system is None else system
    machine = _platform.machine() if machine is None else machine
    python = tuple(python)[:2]
    reasons: list = []

    if backend not in BACKENDS:
        raise InstallError(
            f"backend = {show(backend)} is not known.",
            hint=f"Use one of: {', '.join(BACKENDS)}.",
            argument="backend",
        )
    version, gpu = read_wish(version, bool(gpu), reasons)
    if backend != "tensorflow" and version is not None:
        raise InstallError(
            f"version = {show(version)} names a TensorFlow version, but the backend is {backend}.",
            hint="Leave version out, or use the tensorflow backend.",
            argument="version",
        )
    if (cuda is not None or cudnn is not None) and not (gpu and backend == "tensorflow"):
        raise InstallError(
            "CUDA and cuDNN versions go only with gpu and the tensorflow backend.",
            hint="Ask for a graphics card too (gpu = TRUE in R, --gpu on the command line).",
            argument="cuda_version" if cuda is not None else "cudnn_version",
        )
    if gpu:
        _check_gpu_platform(backend, system)
    old_numpy = _check_reticulate(reticulate, python, reasons)

    if backend == "tensorflow":
        release = _choose_release(version, python, old_numpy, cuda, cudnn, system, machine, reasons)
        keras_version = _choose_keras(keras, python, release.keras_min, release, reasons)
        numpy = _numpy_requirement(release.numpy_min, release.numpy_below, old_numpy)
        requirements = [_tensorflow_requirement(release, gpu, system, machine, reasons)]
        requirements += _cuda_requirements(cuda, cudnn)
        requirements += [_TENSORBOARD] if release.version >= (2, 21) else []
        tensorflow: Optional[str] = text(release.version)
        size = release.size_gb + (4.5 if gpu else 0.0)
    else:
        release = None
        keras_version = _choose_keras(keras, python, (3, 0), None, reasons)
        numpy = _numpy_requirement((1, 26), (3,), old_numpy)
        requirements = [_other_backend(backend, gpu, old_numpy, reasons)]
        tensorflow = None
        size = 5.5 if gpu or (backend == "torch" and system == "Linux") else 1.0
    requirements += [f"keras=={text(keras_version)}", numpy, *_COMPANIONS]
    requirements.append(_PYARROW_NUMPY1 if _below_2(numpy) else _PYARROW)
    requirements += _extra_requirements(extras)
    if extras and backend != "jax":
        requirements += _jax(release, python, _below_2(numpy), "cluster" in extras)

    out = Resolution(
        backend=backend,
        gpu=gpu,
        python=python,
        keras=text(keras_version),
        tensorflow=tensorflow,
        numpy=numpy,
        requirements=requirements,
        reasons=reasons,
        size_gb=round(size, 2),
    )
    if gpu and release is not None:
        out.cuda = text(parse(cuda, "cuda_version", "")) if cuda else _range(release.cuda)
        out.cudnn = text(parse(cudnn, "cudnn_version", "")) if cudnn else _range(release.cudnn)
    if gpu:
        out.min_driver = CUDA12_MIN_DRIVER
    return out


def needs() -> list:
    """Ranges, for an installer that chooses by itself and a reticulate that knows numpy 2.

    The file `needs.txt` beside this module holds them for R, which reads it without a Python.
    """
    oldest, newest = TENSORFLOW[0].version, TENSORFLOW[-1].version
    return [
        f"tensorflow-cpu>={text(oldest)},<{newest[0]}.{newest[1] + 1}",
        f"keras>={text(TENSORFLOW[0].keras_min)},<={text(KERAS_NEWEST)}",
        "numpy",
        *_COMPANIONS,
        _TENSORBOARD,
        _PYARROW,
    ]


def supported() -> list:
    """The table as plain rows: what `python -m kerasbridge.environment versions` prints."""
    return [
        {
            "tensorflow": text(r.version),
            "python": f"{text(r.python[0])} to {text(r.python[1])}",
            "keras": f"{text(r.keras_min)} to {text(KERAS_NEWEST)}",
            "numpy": f">={text(r.numpy_min)},<{text(r.numpy_below)}",
            "cuda": _range(r.cuda),
            "cudnn": _range(r.cudnn),
        }
        for r in TENSORFLOW
    ]


# ---- choosing ----------------------------------------------------------------------------------


def _choose_release(
    wish: Optional[str],
    python: Version,
    old_numpy: bool,
    cuda: object,
    cudnn: object,
    system: str,
    machine: str,
    reasons: list,
) -> Release:
    rows = [r for r in TENSORFLOW if wish is None or matches(r.version, wish)]
    if not rows:
        raise _no_such_release(wish or "")
    if system == "Darwin" and machine == "x86_64":
        rows = [r for r in rows if r.macos_intel]
        if not rows:
            raise InstallError(
                f"TensorFlow {wish} has no wheels for Macs with an Intel processor.",
                hint='Use version = "2.16" there, the last one that has.',
                argument="version",
            )
        reasons.append("TensorFlow 2.16: because it is the last with wheels for Intel Macs.")
    fitting = [r for r in rows if r.python[0] <= python <= r.python[1]]
    if not fitting:
        low = min(r.python[0] for r in rows)
        high = max(r.python[1] for r in rows)
        what = f"TensorFlow {text(rows[-1].version)}" if wish else "Every supported TensorFlow"
        raise _python_error(what, low, high, python)
    if old_numpy and python >= (3, 13):
        raise InstallError(
            f"Python {text(python)} has no numpy 1, which this reticulate needs.",
            hint=f"Use reticulate 1.38 or newer. {_how_to_get((3, 10), (3, 11))}",
            argument="python",
        )
    if not any(r in rows[-2:] for r in fitting) and wish is None:
        reasons.append(
            f"TensorFlow {text(fitting[-1].version)}: "
            f"because it is the newest that runs on Python {text(python)}."
        )
    return _fit_cuda(fitting, cuda, cudnn)


def _fit_cuda(rows: list, cuda: object, cudnn: object) -> Release:
    """The newest of `rows` whose CUDA and cuDNN are the wanted ones."""
    hint = f"CUDA and cuDNN by version: {_cuda_list()}."
    want_cuda = None if cuda is None else parse(cuda, "cuda_version", hint)
    want_cudnn = None if cudnn is None else parse(cudnn, "cudnn_version", hint)
    fitting = [r for r in rows if _in_range(want_cuda, r.cuda) and _in_range(want_cudnn, r.cudnn)]
    if fitting:
        return fitting[-1]
    asked = " and ".join(
        part
        for part in (
            f"CUDA {text(want_cuda)}" if want_cuda else "",
            f"cuDNN {text(want_cudnn)}" if want_cudnn else "",
        )
        if part
    )
    near = min(TENSORFLOW[::-1], key=lambda r: _distance(r, want_cuda, want_cudnn, rows))
    raise InstallError(
        f"TensorFlow {text(rows[-1].version)} can't be had with {asked}: its and-cuda extra brings "
        f"CUDA {_range(rows[-1].cuda)} and cuDNN {_range(rows[-1].cudnn)}.",
        hint=f"Nearest: TensorFlow {text(near.version)} with CUDA {_range(near.cuda)} "
        f"and cuDNN {_range(near.cudnn)}. They come from pip, whatever the machine has installed.",
        argument="cuda_version" if not _any(rows, want_cuda, "cuda") else "cudnn_version",
    )


def _any(rows: list, wanted: Optional[Version], name: str) -> bool:
    return any(_in_range(wanted, getattr(r, name)) for r in rows)


def _distance(row: Release, cuda: Optional[Version], cudnn: Optional[Version], rows: list) -> float:
    """How far a row is from the wish: misses first, then how far the numbers are apart."""
    total = 0.0
    for wanted, bounds in ((cuda, row.cuda), (cudnn, row.cudnn)):
        if wanted is not None and not _in_range(wanted, bounds):
            low = bounds[0][0] + bounds[0][1] / 100
            high = bounds[1][0] + (bounds[1][1] / 100 if len(bounds[1]) > 1 else 0)
            want = wanted[0] + (wanted[1] / 100 if len(wanted) > 1 else 0)
            total += 1 + max(low - want, want - high, 0)
    return total + (0 if row in rows else 0.001)


def _in_range(wanted: Optional[Version], bounds: Tuple[Version, Version]) -> bool:
    if wanted is None:
        return True
    low, high = bounds
    return wanted == low[: len(wanted)] or low <= wanted[:2] < high


def _choose_keras(
    keras: object, python: Version, low: Version, release: Optional[Release], reasons: list
) -> Version:
    newest = next((k for p, k in _KERAS_NEWEST_BY_PYTHON if python >= p), None)
    if newest is None:
        raise _python_error("Keras 3", (3, 9), (3, 13), python)
    if keras is None:
        if newest != KERAS_NEWEST:
            reasons.append(
                f"Keras {text(newest)}: because it is the newest that runs on "
                f"Python {text(python)} (Keras {text(KERAS_NEWEST)} needs 3.11)."
            )
        return newest
    hint = f'Use nothing for the newest, or {text(low)} to {text(newest)}, as in "3.15.1".'
    if isinstance(keras, str) and keras.strip().lower() in ("default", "latest", "release"):
        return _choose_keras(None, python, low, release, reasons)
    wanted = parse(keras, "keras", hint)
    if wanted < (3,):
        raise InstallError(
            f"Keras {text(wanted)} is not supported: this package works with Keras 3.",
            hint=hint,
            argument="keras",
        )
    if len(wanted) < 3 and newest[: len(wanted)] == wanted:
        return newest
    if wanted > newest or wanted < low:
        what = f"TensorFlow {text(release.version)}" if release else "this package"
        raise InstallError(
            f"Keras {text(wanted)} doesn't go with {what} on Python {text(python)}.",
            hint=hint,
            argument="keras",
        )
    return wanted if len(wanted) >= 3 else wanted + (0,) * (3 - len(wanted))


def _check_reticulate(reticulate: object, python: Version, reasons: list) -> bool:
    """True where numpy must stay below 2; refuses a Python that this reticulate can't start."""
    if reticulate is None:
        return False
    version = parse(reticulate, "reticulate", 'Give it as "1.28" or "1.41.0".')
    shown = text(version)
    if version < RETICULATE_PYTHON312 and python >= (3, 12):
        raise InstallError(
            f"reticulate {shown} can't start Python {text(python)}: it can use 3.9 to 3.11.",
            hint=f"Install reticulate 1.38 or newer, or use Python 3.10 or 3.11. "
            f"{_how_to_get((3, 10), (3, 11))}",
            argument="python",
        )
    if version < RETICULATE_NUMPY2:
        reasons.append(
            f"numpy 1.26.4: because reticulate {shown} can't exchange arrays with numpy 2 "
            "(1.38 and newer can)."
        )
        return True
    return False


def _numpy_requirement(low: Version, below: Version, old: bool) -> str:
    return "numpy==1.26.4" if old else f"numpy>={text(low)},<{text(below)}"


def _below_2(numpy: str) -> bool:
    return numpy == "numpy==1.26.4" or numpy.endswith(",<2")


def _tensorflow_requirement(
    release: Release, gpu: bool, system: str, machine: str, reasons: list
) -> str:
    pin = text(release.version)
    if gpu:
        return f"tensorflow[and-cuda]=={pin}"
    if system in ("Linux", "Windows") and machine.lower() in ("x86_64", "amd64"):
        reasons.append("tensorflow-cpu: because no graphics card was asked for.")
        return f"tensorflow-cpu=={pin}"
    return f"tensorflow=={pin}"


def _cuda_requirements(cuda: object, cudnn: object) -> list:
    """Pins that make a CUDA or cuDNN version that was asked for the one that is installed."""
    out = []
    if cuda is not None:
        wanted = parse(cuda, "cuda_version", "")
        if len(wanted) > 1:
            out.append(f"nvidia-cuda-runtime-cu12=={text(wanted[:2])}.*")
    if cudnn is not None:
        wanted = parse(cudnn, "cudnn_version", "")
        if len(wanted) > 1:
            out.append(f"nvidia-cudnn-cu12=={text(wanted[:3])}.*")
    return out


def _other_backend(backend: str, gpu: bool, old_numpy: bool, reasons: list) -> str:
    if backend == "jax":
        name = "jax[cuda12]" if gpu else "jax"
        if old_numpy:
            reasons.append("jax below 0.7: because later ones need numpy 2.")
        return (_JAX_NUMPY1 if old_numpy else _JAX).replace("jax", name)
    if not gpu:
        reasons.append(
            "torch: on Linux the package index's own build carries CUDA (several GB); "
            "a smaller one is used where your pip is set to an index that has it."
        )
    return "torch>=2.4"


def _extra_requirements(extras: Sequence[str]) -> list:
    out: list = []
    for name in extras:
        if name not in EXTRAS:
            raise InstallError(
                f"extra = {show(name)} is not known.",
                hint=f"Use one of: {', '.join(sorted(EXTRAS))}.",
                argument="extra",
            )
        out += EXTRAS[name]
    return out


def _jax(release: Optional[Release], python: Version, old_numpy: bool, needed: bool) -> list:
    """JAX beside another backend; nothing where none goes with it, unless it is needed."""
    what = None
    if python < _JAX_PYTHON:
        what = f"Python {text(python)}"
    elif release is not None and release.version < _JAX_TENSORFLOW:
        what = f"TensorFlow {text(release.version)}"
    if what is None:
        return [_JAX_NUMPY1 if old_numpy else _JAX]
    if not needed:
        return []
    raise InstallError(
        f"extra = 'cluster' needs JAX {_JAX[5:]} or newer, which doesn't go with {what}.",
        hint=f"Use Python {text(_JAX_PYTHON)} and TensorFlow {text(_JAX_TENSORFLOW)}, or newer ones, "
        'or backend = "jax".',
        argument="extra",
    )


def _check_gpu_platform(backend: str, system: str) -> None:
    if system == "Darwin":
        raise InstallError(
            "There is no CUDA on macOS, so gpu can't be had there.",
            hint="Leave gpu out: the processor is used.",
            argument="gpu",
        )
    if system == "Windows" and backend != "torch":
        raise InstallError(
            f"{backend} uses no graphics card on Windows itself.",
            hint="Use it inside WSL2 (a Linux under Windows), or leave gpu out.",
            argument="gpu",
        )


# ---- messages ----------------------------------------------------------------------------------


def _no_such_release(wish: str) -> InstallError:
    newest = text(TENSORFLOW[-1].version)
    known = sorted({r.version[:2] for r in TENSORFLOW})
    match = re.fullmatch(r"(?:==)?\s*(\d+(?:\.\d+)*)(?:\.\*)?", wish)
    numbers = tuple(int(p) for p in match.group(1).split(".")) if match else ()
    said = f"TensorFlow {wish} is not among the supported versions ({_span(known)})."
    hint = ACCEPTED_FORMS
    if numbers[:1] == (3,):
        said = f"version = {show(wish)} looks like a Keras version; version is TensorFlow's."
        hint = "Give Keras' version as keras, or leave it out. " + ACCEPTED_FORMS
    elif numbers in ((2, 2), (2, 1)):
        hint = f'For 2.{numbers[1]}0 write "2.{numbers[1]}0" in quotes: a number loses its last 0.'
    elif numbers[:2] in known:
        same = [text(r.version) for r in TENSORFLOW if r.version[:2] == numbers[:2]]
        said = f"There is no tested TensorFlow {text(numbers)}."
        hint = f"Use {' or '.join(same)}."
    elif numbers and numbers[:2] < known[0]:
        said += " Keras 3 needs at least 2.16."
    elif numbers and numbers[:2] > known[-1]:
        hint = f"The newest tested is {newest}. " + ACCEPTED_FORMS
    return InstallError(said, hint=hint, argument="version")


def _python_error(what: str, low: Version, high: Version, python: Version) -> InstallError:
    verb = "run" if what.endswith("versions") else "runs"
    return InstallError(
        f"{what} {verb} on Python {text(low)} to {text(high)}; this is Python {text(python)} "
        f"({sys.executable}).",
        hint=_how_to_get(low, high),
        argument="python",
    )


def _how_to_get(low: Version, high: Version) -> str:
    """The command that fetches a Python between the two, with what this machine has."""
    wanted = text((3, 11) if low <= (3, 11) <= high else high)
    found = "; install_kerasbridge() finds it (or name it: python = in R, or run this with it)."
    if shutil.which("uv"):
        return f"Fetch one that fits: `uv python install {wanted}`{found}"
    if shutil.which("pyenv"):
        built = "PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install"
        return f"Fetch one that fits: `{built} {wanted}`{found}"
    return (
        f"Install one of Python {text(low)} to {text(high)}, from your system or by uv "
        f"(`pip install uv`, `uv python install {wanted}`){found}"
    )


def _span(known: list) -> str:
    return f"{text(known[0])} to {text(known[-1])}"


def _range(bounds: Tuple[Version, Version]) -> str:
    low, high = bounds
    last = (high[0], high[1] - 1) if len(high) > 1 else None
    if last == low:
        return text(low)
    return f"{text(low)} to {text(last)}" if last else f">={text(low)},<{text(high)}"


def _cuda_list() -> str:
    seen: dict = {}
    for release in TENSORFLOW:
        key = (release.cuda, release.cudnn)
        seen.setdefault(key, []).append(release.version[:2])
    return "; ".join(
        f"{_span(sorted(set(v)))}: CUDA {_range(k[0])}, cuDNN {_range(k[1])}"
        for k, v in seen.items()
    )
