"""Looking at environments from the outside: files only, no child process, nothing imported.

What is installed is read from the names of the metadata folders (`keras-3.15.1.dist-info`) that
every installer leaves beside a package.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Union

PathLike = Union[str, "os.PathLike[str]"]

# Written into an environment when it is complete, and while it is being made.
RECORD = "kerasbridge-environment.json"
INCOMPLETE = ".kerasbridge-incomplete"

# TensorFlow is distributed under several names.
TENSORFLOW_NAMES = (
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-intel",
    "tensorflow-macos",
    "tensorflow-gpu",
    "tensorflow-rocm",
    "tensorflow-cpu-aws",
    "tf-nightly",
    "tf-nightly-cpu",
)
_WATCHED = ("keras", "tensorflow", "jax", "torch", "numpy", "h5py", "pandas", "pyarrow", "protobuf")


@dataclass
class Environment:
    """One environment: where it is and what is in it.

    `versions` maps a package to its version ("tensorflow" whatever its wheel is called; the wheel's
    name stands in `tensorflow_wheel`); `complete` is False where an installation was cut short.
    """

    path: str
    python: Optional[str]
    python_version: Optional[str]
    versions: Dict[str, str] = field(default_factory=dict)
    tensorflow_wheel: Optional[str] = None
    complete: bool = True
    source: str = ""


def interpreter(path: PathLike) -> Optional[str]:
    """The Python of an environment's folder (or `path` itself if it is one), None if it is gone."""
    path = Path(path).expanduser()
    if path.is_file():
        return str(path)
    names = (
        ("Scripts/python.exe", "python.exe") if os.name == "nt" else ("bin/python", "bin/python3")
    )
    for name in names:
        if (path / name).exists():
            return str(path / name)
    return None


def site_folders(path: PathLike) -> List[str]:
    """The folders in which an environment or an interpreter keeps its packages, first one first.

    A virtual environment has one; a system's Python has several (Debian's own and the local one).
    """
    path = Path(path).expanduser()
    prefix = path.parent.parent if path.is_file() else path
    if not (prefix / "pyvenv.cfg").exists() and path.is_file():
        prefix = path.resolve().parent.parent
    if os.name == "nt":
        found = [prefix / "Lib" / "site-packages"]
    else:
        found = _newest_first(prefix.glob("lib/python3*/site-packages"))
        if not (prefix / "pyvenv.cfg").exists():
            # Debian: /usr/bin/python3 reads these three
            found += _newest_first(prefix.glob("local/lib/python3*/dist-packages"))
            found += _newest_first(prefix.glob("lib/python3/dist-packages"))
        elif _sees_system(prefix):
            home = _config(prefix).get("home")
            if home:
                found += [Path(p) for p in site_folders(Path(home) / "python3")]
    return [str(folder) for folder in found if folder.is_dir()]


def versions(path: PathLike) -> Dict[str, str]:
    """Versions of Keras, TensorFlow (whatever its wheel is called), numpy and a few more.

    Args:
        path: an environment's folder or an interpreter.

    Returns:
        name -> version, only what is installed. Where the same package lies in several folders the
        first counts, as it does for Python.
    """
    found = distributions(path)
    out = {name: found[name] for name in _WATCHED if name in found}
    wheel = _tensorflow_wheel(found)
    if wheel:
        out["tensorflow"] = found[wheel]
    return out


def tensorflow_wheel(path: PathLike) -> Optional[str]:
    """Under which name TensorFlow is installed ("tensorflow-cpu", ...), or None."""
    return _tensorflow_wheel(distributions(path))


def available(path: PathLike, backend: Optional[str] = None) -> bool:
    """Whether Keras 3 with a backend is installed there, answered from files in milliseconds.

    Args:
        path: an environment's folder or an interpreter.
        backend: "tensorflow", "jax" or "torch"; any of them where None.
    """
    if interpreter(path) is None or (Path(path).expanduser() / INCOMPLETE).exists():
        return False
    found = versions(path)
    backends = (backend,) if backend else ("tensorflow", "jax", "torch")
    keras = found.get("keras", "0")
    return int(keras.split(".")[0]) >= 3 and any(name in found for name in backends)


def describe(path: PathLike, source: str = "") -> Environment:
    """All that the files say about one environment or interpreter."""
    folder = Path(path).expanduser()
    config = _config(folder)
    found = versions(folder)
    return Environment(
        path=str(folder),
        python=interpreter(folder),
        python_version=config.get("version") or config.get("version_info") or _from_lib(folder),
        versions=found,
        tensorflow_wheel=tensorflow_wheel(folder),
        complete=not (folder / INCOMPLETE).exists(),
        source=source,
    )


def record(path: PathLike) -> Optional[dict]:
    """What `kerasbridge.environment install` wrote about the environment it made, or None."""
    try:
        with open(Path(path).expanduser() / RECORD, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def environments(environ: Optional[Dict[str, str]] = None) -> List[Environment]:
    """Every environment that can be found without searching the disk.

    Looked at, in this order: what environment variables name, this package's own place, the usual
    folder of virtual environments, `.venv` here, conda's folders, the interpreters on PATH.
    """
    environ = dict(os.environ if environ is None else environ)
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path.home())
    places: List[tuple] = []
    for name in ("RETICULATE_PYTHON", "KERASBRIDGE_VENV", "VIRTUAL_ENV", "CONDA_PREFIX"):
        if environ.get(name):
            places.append((Path(environ[name]).expanduser(), name))
    root = Path(environ.get("WORKON_HOME") or home / ".virtualenvs").expanduser()
    named = environ.get("RETICULATE_PYTHON_ENV")
    if named:
        folder = Path(named).expanduser()
        folder = folder if os.sep in named or folder.is_dir() else root / named
        places.append((folder, "RETICULATE_PYTHON_ENV"))
    places += [(folder, "virtual environments") for folder in _subfolders(root)]
    places.append((Path(".venv").absolute(), "project folder"))
    for conda in ("miniconda3", "anaconda3", "miniforge3", "mambaforge", ".conda"):
        places += [(folder, "conda") for folder in _subfolders(home / conda / "envs")]
    for folder in environ.get("PATH", "").split(os.pathsep):
        program = Path(folder or ".") / ("python.exe" if os.name == "nt" else "python3")
        if program.is_file():
            places.append((program, "PATH"))
    out: List[Environment] = []
    seen = set()
    for place, source in places:
        python = interpreter(place)
        if python is None:
            continue
        # a virtual environment's python links to the system's: its folder tells them apart
        venv = Path(python).parent.parent
        is_venv = (venv / "pyvenv.cfg").exists()
        key = str(venv.resolve()) if is_venv else os.path.realpath(python)
        if key not in seen:
            seen.add(key)
            out.append(describe(venv if is_venv else place, source))
    return out


def is_virtual(path: PathLike) -> bool:
    """Whether the folder is a virtual environment."""
    return (Path(path).expanduser() / "pyvenv.cfg").is_file()


def normal_name(name: str) -> str:
    """A package's name as package indexes compare it: 'Tensorflow_CPU' -> 'tensorflow-cpu'."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(path: PathLike) -> Dict[str, str]:
    """name -> version of every package installed there, from the names of the metadata folders."""
    out: Dict[str, str] = {}
    for folder in site_folders(path):
        try:
            entries = os.listdir(folder)
        except OSError:
            continue
        for entry in sorted(entries):
            match = re.fullmatch(r"(.+?)-([0-9][^-]*)(?:-py[\d.]+)?\.(?:dist|egg)-info", entry)
            if match and _whole(os.path.join(folder, entry)):
                out.setdefault(normal_name(match.group(1)), match.group(2))
    return out


def _whole(folder: str) -> bool:
    """False for the metadata folder of a package whose installation was cut short."""
    if os.path.isfile(folder):
        return True
    return any(os.path.isfile(os.path.join(folder, name)) for name in ("METADATA", "PKG-INFO"))


def _tensorflow_wheel(found: Dict[str, str]) -> Optional[str]:
    return next((name for name in TENSORFLOW_NAMES if name in found), None)


def _config(folder: Path) -> Dict[str, str]:
    try:
        lines = (folder / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _sees_system(folder: Path) -> bool:
    return _config(folder).get("include-system-site-packages", "false").lower() == "true"


def _from_lib(path: Path) -> Optional[str]:
    """3.11 from .../lib/python3.11, or from the interpreter's own name."""
    if path.is_file():
        match = re.search(r"python(3\.\d+)", path.resolve().name)
        if match:
            return match.group(1)
        path = path.parent.parent
    for folder in _newest_first(path.glob("lib/python3.*")):
        return folder.name[len("python") :]
    return None


def _newest_first(folders) -> List[Path]:
    def key(folder: Path):
        match = re.search(r"python3\.(\d+)", str(folder))
        return -int(match.group(1)) if match else 0

    return sorted(folders, key=key)


def _subfolders(root: Path) -> List[Path]:
    try:
        return sorted(folder for folder in root.iterdir() if folder.is_dir())
    except OSError:
        return []


def current() -> Environment:
    """The environment that this Python runs in."""
    return describe(sys.prefix if is_virtual(sys.prefix) else sys.executable, "this interpreter")
