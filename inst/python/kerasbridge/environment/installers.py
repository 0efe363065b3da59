"""The programs that make an environment and fill it: venv, uv, conda, pip, each as a child process.

Their own configuration (index, proxy, certificates) is respected: nothing here overrides it.
Standard library only.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

from ..errors import InstallError
from ..runtime import certificates
from . import probe
from .failures import explain


def child_environment(extra: Optional[Dict[str, str]] = None) -> Dict[str, str]:
    """The environment variables for a child Python.

    R on Debian sets LD_LIBRARY_PATH, with which a child may load another libpython; PYTHONPATH and
    PYTHONHOME would lead it to this interpreter's packages. All are removed. A certificate file that
    one variable names is named to all that download, see `certificates.shared`.
    """
    out = dict(os.environ)
    out.update(certificates.shared(out))
    drop = ("LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__")
    for name in (*drop, "VIRTUAL_ENV", "CONDA_PREFIX"):
        out.pop(name, None)
    out.setdefault("PYTHONIOENCODING", "utf-8")
    out.update(extra or {})
    return out


def make_venv(place: Path, uv: Optional[str], echo: Callable[[str], None]) -> None:
    echo("Making the virtual environment ...")
    if uv:
        command = [
            uv,
            "venv",
            "--quiet",
            "--allow-existing",
            "--python",
            sys.executable,
            str(place),
        ]
    else:
        command = [sys.executable, "-I", "-m", "venv", str(place)]
    code, output = _run(command, lambda line: None)
    if code != 0:
        raise explain(output, code, "making the virtual environment")


def make_conda(
    place: Path, conda: str, python: str, offline: bool, echo: Callable[[str], None]
) -> None:
    """conda wants to make the folder itself: the marker is put back when it has."""
    echo(f"Making the conda environment (Python {python}) ...")
    marker = (place / probe.INCOMPLETE).read_text(encoding="utf-8")
    shutil.rmtree(place)
    command = [
        conda,
        "create",
        "--yes",
        "--quiet",
        "--prefix",
        str(place),
        f"python={python}",
        "pip",
    ]
    if offline:
        command.insert(2, "--offline")
    code, output = _run(command, lambda line: None)
    if code != 0:
        raise explain(output, code, "making the conda environment")
    (place / probe.INCOMPLETE).write_text(marker, encoding="utf-8")


def download(
    folder: str, requirements: Sequence[str], echo: Callable[[str], None] = print
) -> List[str]:
    """Downloads the wheels of `requirements`, and of all they need, into `folder`.

    Returns:
        The names of the wheels there, sorted.

    Raises:
        InstallError: with the cause and what to do.
    """
    place = Path(folder).expanduser().absolute()
    if place.exists() and not place.is_dir():
        raise InstallError(f"{place} is a file.", hint="Name a folder.", argument="to")
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InstallError(
            f"The folder {place} can't be made: {error.strerror}.",
            hint="Name a folder that is yours.",
            argument="to",
        ) from error
    with tempfile.TemporaryDirectory(prefix="kerasbridge-") as temporary:
        command = [_python_with_pip(Path(temporary) / "pip"), "-I", "-m", "pip", "download"]
        command += ["--no-input", "--progress-bar", "off", "--disable-pip-version-check"]
        command += ["--only-binary", ":all:", "--dest", str(place), *requirements]
        code, output = _run(command, lambda line: _progress(line, echo))
    if code != 0:
        raise explain(output, code, "downloading the wheels")
    return sorted(file.name for file in place.glob("*.whl"))


def _python_with_pip(spare: Path) -> str:
    """This interpreter, or, where it comes without pip (Debian's does), an environment made of it."""
    if importlib.util.find_spec("pip") is not None:
        return sys.executable
    code, output = _run([sys.executable, "-I", "-m", "venv", str(spare)], lambda line: None)
    if code != 0:
        raise explain(output, code, "making an environment for pip")
    return python_of(spare)


def install_requirements(
    place: Path,
    requirements: Sequence[str],
    uv: Optional[str],
    wheels: Optional[Path],
    echo: Callable[[str], None],
) -> None:
    offline = ["--no-index", "--find-links", str(wheels)] if wheels else []
    python = python_of(place)
    if uv:
        command = [uv, "pip", "install", "--python", python, *offline, *requirements]
    else:
        command = [python, "-I", "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
        command += ["--disable-pip-version-check", *offline, *requirements]
    code, output = _run(command, lambda line: _progress(line, echo))
    if code != 0:
        raise explain(output, code, "installing the packages", offline=bool(wheels))


def _progress(line: str, echo: Callable[[str], None]) -> None:
    """Passes on what tells a person that work goes on, and drops the rest."""
    line = line.strip()
    words = line.split()
    if line.startswith("Downloading ") and len(words) > 1:
        size = line[line.rfind("(") :] if line.endswith(")") else ""
        echo(f"  downloading {words[1].rsplit('/', 1)[-1]} {size}".rstrip())
    elif line.startswith("Installing collected packages:"):
        echo(f"  unpacking {line.count(',') + 1} packages ...")
    elif line.startswith(("Resolved ", "Prepared ", "Installed ")):
        echo(f"  {line}")
    elif "Retrying" in line:
        echo("  no answer from the package index, trying again ...")


def _run(command: Sequence[str], line: Callable[[str], None]) -> tuple:
    """Runs a child, hands on its lines as they come; gives (exit status, all output)."""
    settings = {"PYTHONUNBUFFERED": "1"}
    if "PIP_RETRIES" not in os.environ:
        settings["PIP_RETRIES"] = "2"
    try:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=child_environment(settings),
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise InstallError(f"{command[0]} can't be started: {error}") from error
    output: List[str] = []
    try:
        assert child.stdout is not None
        for text in child.stdout:
            output.append(text)
            line(text)
        return child.wait(), "".join(output)
    except BaseException:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        raise
    finally:
        if child.stdout is not None:
            child.stdout.close()


def python_of(place: Path) -> str:
    found = probe.interpreter(place)
    if found is None:
        raise InstallError(f"The virtual environment at {place} has no Python in it.")
    return found
