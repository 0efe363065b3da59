"""Making an environment: checked first, built so that a failure leaves nothing half-made behind.

The order is: resolve the versions, check the place, the disk and Python's own parts; write the
marker `.kerasbridge-incomplete`; make the virtual environment; install; try it in a new process;
write `kerasbridge-environment.json`; remove the marker. Where anything fails, or the user stops it,
the folder is removed again, and an older environment that stood there is put back.

Standard library only.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Callable, Dict, Optional, Sequence

from ..errors import InstallError
from . import checks, installers, probe, versions
from .smoke import smoke_test

METHODS = ("auto", "uv", "pip", "conda")


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
    folder = checks.wheels_folder(wheels)
    uv = checks.find_uv(method)
    conda = checks.find_conda() if method == "conda" else None
    checks.check_processor(found.backend)
    checks.check_place(place)
    if checks.is_present(place, found):
        echo(f"Already installed: {_summary(found)} at {place}")
        kept = probe.record(place) or {}
        return _answer("present", place, found, kept.get("versions", {}))
    note = checks.check_driver(found)
    checks.check_python(None if conda else reticulate, uv is not None or conda is not None)
    if not dry_run:
        checks.check_disk(place, found.size_gb)

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
    if note:
        echo(note)
    if dry_run:
        echo("Nothing was changed (dry run).")
        return _answer("planned", place, found, {})

    with _transaction(place):
        if conda:
            minor = versions.text(found.python)
            installers.make_conda(place, conda, minor, folder is not None, echo)
        else:
            installers.make_venv(place, uv, echo)
        installers.install_requirements(place, found.requirements, uv, folder, echo)
        echo("Trying it: import, build, fit one step, save, load ...")
        seen = smoke_test(
            installers.python_of(place),
            found.backend,
            installers.child_environment(),
            gpu=found.gpu,
        )
        _write_record(place, found, seen, installer)
    echo(f"Installed: {_summary(found)} at {place}")
    return _answer("installed", place, found, seen)


# ---- the work ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _transaction(place: Path):
    """The folder is new inside; on any failure it is as it was before."""
    old = place.with_name(place.name + ".kerasbridge-old")
    had_old = False
    if (place / probe.INCOMPLETE).exists():
        shutil.rmtree(place)
    if old.exists() and not place.exists():
        old.rename(place)  # a process that was killed had put it aside
    if place.exists():
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
