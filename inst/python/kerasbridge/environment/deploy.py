"""What another machine needs to run a model: exact requirements and a Dockerfile.

The versions are those of an environment that stands, read from its files; nothing is resolved anew.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sys
import zipfile
from pathlib import Path
from typing import Dict, List, Optional, Union

from .. import __version__
from ..errors import InstallError
from ..files import check_target, replacing, write_text
from . import probe
from .versions import BACKENDS

PathLike = Union[str, "os.PathLike[str]"]

# tools that make an environment or test it, and don't belong into one that only runs models
_LEAVE_OUT = re.compile(
    r"pip|setuptools|wheel|uv|pytest(-.*)?|iniconfig|pluggy|execnet|ruff|hypothesis|"
    r"sortedcontainers|kerasbridge|virtualenv|tox"
)

_WHEEL = f"kerasbridge-{__version__}-py3-none-any.whl"

_DOCKERFILE = """\
# Runs a model with the versions it was made with. Build and run, in this folder:
#   docker build -t my-model .
#   docker run --rm -p 8000:8000 my-model
FROM python:{python}-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
{install}
ENV KERAS_BACKEND={backend} TF_CPP_MIN_LOG_LEVEL=2
{model}
"""

_R_DOCKERFILE = """\
# R and Python with the versions they were used with. Build and run, in this folder:
#   docker build -t my-model .
#   docker run --rm -it my-model R
FROM rocker/r-ver:{r}
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv \\
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.txt .
# the image's own Python is another one than {python}: uv fetches it, with the library that R loads
ENV UV_PYTHON_INSTALL_DIR=/opt/python UV_NO_CACHE=1
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir uv \\
 && /opt/uv/bin/uv venv --python {python} /opt/keras \\
 && /opt/uv/bin/uv pip install --python /opt/keras/bin/python -r requirements.txt
ENV RETICULATE_PYTHON=/opt/keras/bin/python KERAS_BACKEND={backend} TF_CPP_MIN_LOG_LEVEL=2
# R packages: with renv, COPY renv.lock here and run renv::restore() in its place
RUN R -q -e 'install.packages(c("cli", "generics", "magrittr", "R6", "reticulate", "rlang"))'
# the package itself: `R CMD build` makes the file
COPY kerasbridge_{version}.tar.gz .
RUN R CMD INSTALL kerasbridge_{version}.tar.gz
{model}
"""


def _own() -> str:
    """The environment that runs this, or the interpreter where it belongs to none."""
    return sys.prefix if probe.is_virtual(sys.prefix) else sys.executable


def requirements(path: Optional[PathLike] = None) -> Dict[str, str]:
    """name -> exact version of every package in an environment but pip, test tools and the like.

    Args:
        path: an environment's folder or an interpreter; the one that runs this where None.

    Raises:
        InstallError: there is no Keras 3 with a backend.
    """
    path = path or _own()
    if not probe.available(path):
        raise InstallError(
            f"{path} holds no Keras 3 with a backend, so there are no versions to write down.",
            hint="Name an environment that has them, or make one: install_kerasbridge().",
            argument="python",
        )
    found = probe.distributions(path)
    return {name: found[name] for name in sorted(found) if not _LEAVE_OUT.fullmatch(name)}


def write_environment(
    folder: PathLike,
    *,
    python: Optional[PathLike] = None,
    model: Optional[PathLike] = None,
    r_version: Optional[str] = None,
    overwrite: bool = False,
) -> List[str]:
    """Write `requirements.txt` and a `Dockerfile` into `folder`; without R also a wheel of this package.

    Args:
        folder: an existing folder.
        python: the environment to take the versions from; the one that runs this where None.
        model: a model file inside `folder`, which the image then serves (`kerasbridge.serving`).
        r_version: version of R in the image; an image without R where None.
        overwrite: replace the files if they exist.

    Returns:
        The paths of the files.

    Raises:
        InstallError: no environment, no such folder, or the model lies elsewhere.
        FileError: a file exists and `overwrite` is False; nothing is written then.
    """
    place = Path(folder).expanduser().absolute()
    if not place.is_dir():
        raise InstallError(f"There is no folder {place}.", hint="Make it first.", argument="path")
    pins = requirements(python)
    name = None
    if model is not None:
        file = Path(model).expanduser().absolute()
        if not file.exists() or place not in file.parents:
            raise InstallError(
                f"{file} is not a file inside {place}.",
                hint="Docker copies only what lies in the folder of the Dockerfile.",
                argument="model",
            )
        name = file.relative_to(place).as_posix()
    described = probe.describe(python or sys.prefix)
    minor = ".".join((described.python_version or "3.11").split(".")[:2])
    backend = _backend(python)
    said = "" if backend == "tensorflow" else f", KERAS_BACKEND={backend}"
    lines = [f"# Versions that were used together (Python {minor}{said}).", *_pinned(pins)]
    written = {
        "requirements.txt": "\n".join(lines) + "\n",
        "Dockerfile": _dockerfile(minor, backend, r_version, name),
    }
    targets = [place / file_name for file_name in written]
    wheel = None if r_version else place / _WHEEL
    for target in [*targets, *([wheel] if wheel else [])]:
        check_target(target, overwrite, "path")
    for target, text in zip(targets, written.values()):
        write_text(target, text, overwrite=overwrite)
    if wheel:
        with replacing(wheel, overwrite, "path") as temporary:
            write_wheel(temporary)
        targets.append(wheel)
    return [str(target) for target in targets]


def write_wheel(path: PathLike) -> None:
    """Write this package, as it runs here, as a wheel that pip installs (without requirements).

    The format is that of the Python packaging specification "Binary distribution format".
    """
    info = f"kerasbridge-{__version__}.dist-info"
    top = Path(__file__).resolve().parents[1]
    content = {
        f"kerasbridge/{file.relative_to(top).as_posix()}": file.read_bytes()
        for file in sorted(top.rglob("*"))
        if file.is_file() and file.suffix != ".pyc"
    }
    content[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: kerasbridge\nVersion: {__version__}\nLicense: MIT\n"
    ).encode()
    content[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: kerasbridge\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    rows = [f"{name},{_digest(data)},{len(data)}" for name, data in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in content.items():
            out.writestr(name, data)


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def _pinned(pins: Dict[str, str]) -> List[str]:
    """Lines for pip; a build of its own index, "2.5.0+cpu", is asked for as 2.5.0, which it satisfies."""
    lines = []
    for name, version in pins.items():
        plain, _, build = version.partition("+")
        note = f"  # was the build {build}, from an index of its own" if build else ""
        lines.append(f"{name}=={plain}{note}")
    return lines


def _backend(python: Optional[PathLike]) -> str:
    """The backend that the image computes with: the one in use where it is there, or the only one."""
    place = python or _own()
    chosen = os.environ.get("KERAS_BACKEND")
    order = [chosen] if chosen in BACKENDS else []
    return next(b for b in [*order, *BACKENDS] if probe.available(place, b))


def _dockerfile(python: str, backend: str, r_version: Optional[str], model: Optional[str]) -> str:
    # in brackets, so that a name may hold spaces; to a name, so that a folder stays one
    name = Path(model).name if model else "model.keras"
    copied = f"{'' if model else '# '}COPY {json.dumps([model or name, f'./{name}'])}"
    if r_version:
        run = f'{copied}\n# CMD ["Rscript", "run.R"]'
        return _R_DOCKERFILE.format(
            r=r_version, python=python, backend=backend, version=__version__, model=run
        )
    options = ["--host", "0.0.0.0", "--port", "8000"]
    serve = json.dumps(["python", "-m", "kerasbridge.serving", name, *options])
    run = f"{copied}\nEXPOSE 8000\n{'' if model else '# '}CMD {serve}"
    install = f"COPY {_WHEEL} .\nRUN pip install --no-cache-dir --no-deps {_WHEEL}"
    return _DOCKERFILE.format(python=python, backend=backend, install=install, model=run)
