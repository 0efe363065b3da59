"""Wheels of a few hundred bytes, and environments that borrow their packages from the one that tests."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path


def tiny_wheel(folder, name, version, files=None):
    """Writes a wheel with its metadata and `files` (name -> text); gives the file's name."""
    name = name.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    file = Path(folder) / f"{name}-{version}-py3-none-any.whl"
    content = dict(files or {})
    content[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    content[f"{info}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    rows = [f"{each},," for each in content]
    content[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(file, "w") as out:
        for each, text in content.items():
            out.writestr(each, text)
    return file.name


def borrowed_site():
    """The folder with the packages of the interpreter that runs the tests, None without numpy."""
    spec = importlib.util.find_spec("numpy")
    return str(Path(spec.origin).parents[1]) if spec else None


# one that can start this Python; 1.28, which needs numpy 1, as long as it can
RETICULATE = "1.28" if sys.version_info < (3, 12) else "1.41"

# what install.install() asks for with it
VERSIONS = {
    "tensorflow-cpu": "2.21.0",
    "tensorboard": "2.21.0",
    "keras": "3.15.1" if sys.version_info >= (3, 11) else "3.12.4",
    "numpy": "1.26.4" if RETICULATE == "1.28" else "2.1.0",
    "h5py": "3.14.0",
    "scipy": "1.15.0",
    "pillow": "11.0.0",
    "safetensors": "0.5.0",
    "pyarrow": "19.0.0",
}


def tiny_wheels(folder, versions=None):
    """A folder of wheels that pip can install a whole environment from; its packages are borrowed."""
    Path(folder).mkdir(exist_ok=True)
    for name, version in (versions or VERSIONS).items():
        borrowed = {"borrowed.pth": borrowed_site() or ""} if name == "keras" else {}
        tiny_wheel(folder, name, version, borrowed)
    return folder
