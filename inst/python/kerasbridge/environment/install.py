"""Making an environment: checked first, built so that a failure leaves nothing half-made behind.

The order is: resolve the versions, check the place, the disk and Python's own parts; write the
marker `.kerasbridge-incomplete`; make the virtual environment; install; try it in a new process;
write `kerasbridge-environment.json`; remove the marker. Where anything fails, or the user stops it,
the folder is removed again, and an older environment that stood there is put back.

pip's (or uv's) own configuration (index, proxy, certificates) is respected: nothing here overrides
it. Standard library only.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.util
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

from ..errors import InstallError, KerasBridgeError
from . import machine, probe, versions
from .failures import explain
from .smoke import smoke_test

METHODS = ("auto", "uv", "pip", "conda")


def child_environment(extra: Optional[Dict[str, str]] = None) -> Dict[str, str]:
    """The environment variables for a child Python.

    R on Debian sets LD_LIBRARY_PATH, with which a child may load another libpython; PYTHONPATH and
    PYTHONHOME would lead it to this interpreter's packages. All are removed.
    """
    out = dict(os.environ)
    drop = ("LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__")
    for name in (*drop, "VIRTUAL_ENV", "CONDA_PREFIX"):
        out.pop(name, None)
    out.setdefault("PYTHONIOENCODING", "utf-8")
    out.update(extra or {})
    return out


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


def install(
    path: str,
    *,
    version: object = None,
    gpu: bool = False,
    backend: str = "tensorflow",
    keras: object = None,
    cuda: object = None,
    cudnn: object = None,
    reticulate: object = None,
    method: str = "auto",
    wheels: Optional[str] = None,
    extras: Sequence[str] = (),
    dry_run: bool = False,
    echo: Callable[[str], None] = print,
) -> dict:
    """Makes the environment at `path`, or says that it stands already.

    Args:
        path: folder of the virtual environment.
        version, gpu, backend, keras, cuda, cudnn, reticulate, extras: see `versions.resolve`.
        method: "uv", "pip", "conda" (for the interpreter; the packages still come from pip), or
            "auto": uv where it is on PATH, else pip.
        wheels: a folder of wheels to install from, without the network.
        dry_run: say what would be done, and do nothing.
        echo: called with each line of progress.

    Returns:
        status ("installed", "present" or "planned"), path, python, requirements, versions.

    Raises:
        InstallError: with the cause and what to do; the folder is then as it was before.
    """
    if method not in METHODS:
        raise InstallError(
            f'method = "{method}" is not known.',
            hint=f"Use one of: {', '.join(METHODS)}.",
            argument="method",
        )
    place = Path(path).expanduser().absolute()
    found = versions.resolve(
        version,
        gpu,
        backend,
        sys.version_info[:2],
        reticulate,
        keras=keras,
        cuda=cuda,
        cudnn=cudnn,
        extras=extras,
    )
    folder = _wheels_folder(wheels)
    uv = _find_uv(method)
    conda = _find_conda() if method == "conda" else None
    check_processor(found.backend)
    _check_place(place)
    if _is_present(place, found):
        echo(f"Already installed: {_summary(found)} at {place}")
        kept = probe.record(place) or {}
        return _answer("present", place, found, kept.get("versions", {}))
    check_python(None if conda else reticulate, uv is not None or conda is not None)
    if not dry_run:
        _check_disk(place, found.size_gb)

    echo(f"Python {platform.python_version()}: {sys.executable}")
    echo(f"Place: {place}")
    installer = "uv" if uv else "conda and pip" if conda else "pip"
    echo(f"Installer: {installer}" + (f", from {folder}" if folder else ""))
    echo(f"Disk space: about {found.size_gb:g} GB")
    echo("Requirements:")
    for requirement in found.requirements:
        echo(f"  {requirement}")
    for reason in found.reasons:
        echo(f"Why {reason}")
    if found.cuda:
        echo(f"CUDA {found.cuda}, cuDNN {found.cudnn}; NVIDIA driver {found.min_driver} or newer")
    if dry_run:
        echo("Nothing was changed (dry run).")
        return _answer("planned", place, found, {})

    with _transaction(place):
        if conda:
            _make_conda(place, conda, versions.text(found.python), echo)
        else:
            _make_venv(place, uv, echo)
        _install_requirements(place, found.requirements, uv, folder, echo)
        echo("Trying it: import, build, fit one step, save, load ...")
        seen = smoke_test(_python_of(place), found.backend, child_environment(), gpu=found.gpu)
        _write_record(place, found, seen, installer)
    echo(f"Installed: {_summary(found)} at {place}")
    return _answer("installed", place, found, seen)


# ---- checks before anything is changed ---------------------------------------------------------


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


def _wheels_folder(wheels: Optional[str]) -> Optional[Path]:
    if wheels is None:
        return None
    folder = Path(wheels).expanduser().absolute()
    if not folder.is_dir():
        raise InstallError(
            f"The folder of wheels {folder} is not there.",
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


def _find_uv(method: str) -> Optional[str]:
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


def _find_conda() -> str:
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


def _check_place(place: Path) -> None:
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


def _check_disk(place: Path, size_gb: float) -> None:
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


def _is_present(place: Path, found: versions.Resolution) -> bool:
    kept = probe.record(place)
    return (
        kept is not None
        and probe.available(place, found.backend)
        and kept.get("requirements") == found.requirements
        and kept.get("python_minor") == versions.text(found.python)
    )


# ---- the work ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _transaction(place: Path):
    """The folder is new inside; on any failure it is as it was before."""
    old = place.with_name(place.name + ".kerasbridge-old")
    had_old = False
    if place.exists():
        if (place / probe.INCOMPLETE).exists():
            shutil.rmtree(place)
        else:
            shutil.rmtree(old, ignore_errors=True)
            place.rename(old)
            had_old = True
    before = _stop_on_signal()
    try:
        place.mkdir(parents=True, exist_ok=True)
        marker = {"pid": os.getpid(), "host": socket.gethostname(), "started": _now()}
        (place / probe.INCOMPLETE).write_text(json.dumps(marker), encoding="utf-8")
        yield
        (place / probe.INCOMPLETE).unlink()
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        if had_old and not place.exists():
            old.rename(place)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if had_old:
        shutil.rmtree(old, ignore_errors=True)


def _stop_on_signal() -> dict:
    """Lets a polite end (SIGTERM, SIGHUP) unwind like Ctrl-C does; gives the former handlers."""

    def stop(number, frame):
        raise KeyboardInterrupt

    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None:
            try:
                before[number] = signal.signal(number, stop)
            except ValueError:  # not the main thread
                pass
    return before


def _make_venv(place: Path, uv: Optional[str], echo: Callable[[str], None]) -> None:
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


def _make_conda(place: Path, conda: str, python: str, echo: Callable[[str], None]) -> None:
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
    place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-I", "-m", "pip", "download", "--no-input", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", str(place)]
    code, output = _run([*command, *requirements], lambda line: _progress(line, echo))
    if code != 0:
        raise explain(output, code, "downloading the wheels")
    return sorted(file.name for file in place.glob("*.whl"))


def _install_requirements(
    place: Path,
    requirements: Sequence[str],
    uv: Optional[str],
    wheels: Optional[Path],
    echo: Callable[[str], None],
) -> None:
    offline = ["--no-index", "--find-links", str(wheels)] if wheels else []
    python = _python_of(place)
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


def _python_of(place: Path) -> str:
    found = probe.interpreter(place)
    if found is None:
        raise InstallError(f"The virtual environment at {place} has no Python in it.")
    return found


def _write_record(
    place: Path, found: versions.Resolution, seen: Dict[str, str], installer: str
) -> None:
    content = {
        "format": 1,
        "made": _now(),
        "backend": found.backend,
        "gpu": found.gpu,
        "python": platform.python_version(),
        "python_minor": versions.text(found.python),
        "installer": installer,
        "requirements": found.requirements,
        "reasons": found.reasons,
        "versions": seen,
    }
    beside = place / (probe.RECORD + ".part")
    beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(beside, place / probe.RECORD)


def _answer(status: str, place: Path, found: versions.Resolution, seen: dict) -> dict:
    return {
        "status": status,
        "path": str(place),
        "python": probe.interpreter(place) or "",
        "interpreter": sys.executable,
        "requirements": list(found.requirements),
        "reasons": list(found.reasons),
        "size_gb": found.size_gb,
        "versions": dict(seen),
    }


def _summary(found: versions.Resolution) -> str:
    parts = [f"TensorFlow {found.tensorflow}"] if found.tensorflow else [found.backend]
    return ", ".join([*parts, f"Keras {found.keras}"])


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


__all__ = [
    "KerasBridgeError",
    "check_processor",
    "check_python",
    "child_environment",
    "download",
    "install",
    "missing_parts",
    "shared_library",
]
