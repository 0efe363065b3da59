"""What is checked before an environment is made, so that nothing is downloaded in vain.

Each check raises `InstallError` with the cause and what to do. Standard library only.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import sys
import sysconfig
from pathlib import Path
from typing import Dict, List, Optional

from ..errors import InstallError
from . import graphics, machine, probe, versions


def shared_library() -> Optional[str]:
    """Path of this interpreter's libpython, None where it was built without one.

    R can only load a Python that has one.
    """
    if os.name == "nt":
        return sys.executable
    folder = sysconfig.get_config_var("LIBDIR") or ""
    names = [sysconfig.get_config_var("INSTSONAME"), sysconfig.get_config_var("LDLIBRARY")]
    folders = [folder, os.path.join(folder, sysconfig.get_config_var("MULTIARCH") or "")]
    framework = sysconfig.get_config_var("PYTHONFRAMEWORKPREFIX")
    if framework:
        folders.append(framework)
    for where in folders:
        for name in names:
            if name and ".a" != name[-2:] and os.path.exists(os.path.join(where, name)):
                return os.path.join(where, name)
    return None


def missing_parts() -> List[str]:
    """Parts of Python needed for making a virtual environment that this one lacks."""
    return [name for name in ("venv", "ensurepip", "ssl") if not _has(name)]


def _has(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def check_python(reticulate: object, uv: bool = False) -> None:
    """Raises `InstallError` where this interpreter can't make an environment or R can't load it."""
    missing = [part for part in missing_parts() if not (uv and part == "ensurepip")]
    if "ssl" in missing:
        raise InstallError(
            f"{sys.executable} was built without its ssl module, so nothing can be downloaded.",
            hint="Use another Python (the system's own has it).",
            argument="python",
        )
    if missing:
        short = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise InstallError(
            f"{sys.executable} can't make virtual environments: its part {missing[0]} is missing.",
            hint=f"On Debian or Ubuntu, as root: apt-get install python{short}-venv",
            argument="python",
        )
    if reticulate is not None and shared_library() is None:
        raise InstallError(
            f"{sys.executable} was built without a shared library, so R can't load it.",
            hint="Use the system's Python, or rebuild this one with --enable-shared.",
            argument="python",
        )


def wheels_folder(wheels: Optional[str]) -> Optional[Path]:
    if wheels is None:
        return None
    folder = Path(wheels).expanduser().absolute()
    if not folder.is_dir():
        state = "is a file, not a folder" if folder.exists() else "is not there"
        raise InstallError(
            f"The folder of wheels {folder} {state}.",
            hint="Name a folder that holds .whl files.",
            argument="from",
        )
    if not any(folder.glob("*.whl")):
        raise InstallError(
            f"The folder {folder} holds no .whl file.",
            hint='Fill it where there is a network: bundle_wheels("FOLDER") in R, or '
            "python -m kerasbridge.environment bundle --to FOLDER.",
            argument="from",
        )
    return folder


def find_uv(method: str) -> Optional[str]:
    if method in ("pip", "conda"):
        return None
    found = shutil.which("uv")
    if found is None and method == "uv":
        raise InstallError(
            "uv is not on PATH.",
            hint='Install it (pip install uv), or use method "pip".',
            argument="method",
        )
    return found


def find_conda() -> str:
    usual = [
        os.path.join(os.path.expanduser("~"), folder, "bin", "conda")
        for folder in ("miniforge3", "miniconda3", "anaconda3", "mambaforge")
    ]
    named = os.environ.get("CONDA_EXE") or shutil.which("conda") or shutil.which("mamba")
    found = named or next((place for place in usual if os.path.exists(place)), None)
    if found is None:
        raise InstallError(
            "conda was asked for and is not on this machine.",
            hint="Leave method out: an environment needs only Python. (Or install Miniforge.)",
            argument="method",
        )
    return found


def check_processor(backend: str, cpu: Optional[Dict[str, object]] = None) -> None:
    """Raises `InstallError` where the wheels would not run on this processor."""
    cpu = cpu or machine.processor()
    if cpu["translated"]:
        raise InstallError(
            "This is a Python (or an R) for Intel on an Apple processor; the wheels don't run there.",
            hint="Install the arm64 build of R, and a Python for Apple processors.",
            argument="python",
        )
    if backend == "tensorflow" and cpu["avx"] is False:
        raise InstallError(
            "This processor (or virtual machine) has no AVX, which TensorFlow's wheels need.",
            hint='Use another machine, or backend = "torch".',
            argument="backend",
        )


def check_driver(found: versions.Resolution) -> Optional[str]:
    """A note where a graphics card is wanted and there is no driver for one (an image may be made here).

    Raises:
        InstallError: the driver is too old for the libraries that would be downloaded.
    """
    if not found.gpu or sys.platform != "linux":
        return None
    driver = graphics.driver()
    if driver is None:
        return (
            "No NVIDIA driver was found here: a card can be used where there is one of "
            f"{found.min_driver} or newer."
        )
    if graphics.is_too_old(driver):
        raise InstallError(
            f"NVIDIA's driver {driver} is too old: CUDA 12 needs {found.min_driver} or newer.",
            hint="Install a newer driver and restart, or leave gpu out.",
            argument="gpu",
        )
    return None


def check_place(place: Path) -> None:
    if place.exists() and not place.is_dir():
        raise InstallError(
            f"{place} is a file.", hint="Choose another place, or move it.", argument="path"
        )
    parent = _existing_parent(place)
    if not os.access(parent, os.W_OK) or not parent.is_dir():
        raise InstallError(
            f"{parent} can't be written to, so {place} can't be made.",
            hint="Choose another place (envname = in R, --path on the command line).",
            argument="path",
        )
    if not place.exists():
        return
    owner = _running_install(place)
    if owner:
        raise InstallError(
            f"Another installation is making {place} now (process {owner}).",
            hint="Wait until it has finished.",
            argument="path",
        )
    ours = (place / probe.INCOMPLETE).exists() or probe.record(place) is not None
    if not ours and any(place.iterdir()):
        what = "an environment" if probe.is_virtual(place) else "a folder"
        raise InstallError(
            f"{place} is {what} that was not made by this package; it is left as it is.",
            hint="Choose another place (envname = in R, --path on the command line), "
            "or remove the folder.",
            argument="path",
        )


def _running_install(place: Path) -> Optional[int]:
    """The process that is making this environment, if one on this machine still is."""
    try:
        marker = json.loads((place / probe.INCOMPLETE).read_text(encoding="utf-8"))
        pid, host = int(marker["pid"]), marker["host"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if os.name == "nt" or host != socket.gethostname() or pid == os.getpid():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return pid


def check_disk(place: Path, size_gb: float) -> None:
    free = shutil.disk_usage(_existing_parent(place)).free / 1e9
    if free < size_gb * 1.3:
        raise InstallError(
            f"Not enough disk space at {_existing_parent(place)}: {free:.1f} GB are free, "
            f"about {size_gb * 1.3:.1f} GB are needed.",
            hint="Free some, or choose another place (envname = in R, --path here).",
            argument="path",
        )


def _existing_parent(place: Path) -> Path:
    for folder in (place, *place.parents):
        if folder.exists():
            return folder
    return Path(place.anchor or ".")


def is_present(place: Path, found: versions.Resolution) -> bool:
    kept = probe.record(place)
    return (
        kept is not None
        and probe.available(place, found.backend)
        and "tensorflow-metal" not in probe.distributions(place)  # added since; it spoils results
        and kept.get("requirements") == found.requirements
        and kept.get("python_minor") == versions.text(found.python)
    )
