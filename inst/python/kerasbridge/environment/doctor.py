"""A table of checks: what is there, what is wrong with it, and the command that mends it.

Everything is looked at from outside (files, a child process with a time limit); nothing is changed and
the network is not touched. `examine()` gives the rows, `as_text()` prints them, `redacted()` takes a
person's name and home folder out of a text that will be shown to others.
"""

from __future__ import annotations

import getpass
import os
import platform
import re
import shlex
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional

from . import graphics, machine, probe, versions
from .imports import Trial, try_imports
from .messages import explain
from .settings import KerasSettings, read_settings
from .wishes import parse, text

OK, WARNING, PROBLEM, SKIPPED = "ok", "warning", "problem", "skipped"
REINSTALL = "install_kerasbridge()"


@dataclass
class Check:
    """One row: what was looked at, `status`, what was found; where not ok, the cause and the fix."""

    check: str
    status: str
    found: str
    cause: str = ""
    fix: str = ""


def examine(
    python: Optional[str] = None,
    *,
    why: str = "it runs this command",
    reticulate: Optional[str] = None,
    deep: bool = True,
    environ: Optional[Mapping[str, str]] = None,
    timeout: float = 14.0,
) -> List[Check]:
    """Look at everything.

    Args:
        python: interpreter or folder of the environment in question; this one's where None.
        why: why that one, as a sentence part.
        reticulate: version of the R package that will load it, if R asks.
        deep: also import the packages, in a child process.
        environ: the environment variables of the program that asks (R's own, say).
        timeout: seconds the imports may take.
    """
    environ = dict(os.environ if environ is None else environ)
    python = probe.interpreter(python or sys.executable) or str(python)
    prefix = os.path.dirname(os.path.dirname(python))
    place = prefix if probe.is_virtual(prefix) else python
    found = probe.versions(place)
    settings = read_settings(environ)
    rows = [_python(place, why, reticulate), *_environments(place, environ)]
    rows += [_paths(environ), *_versions(place, found, settings, reticulate)]
    rows.append(_settings(settings))
    if deep:
        rows.append(_imports(python, settings.backend, environ, timeout, reticulate))
    rows += _machine(prefix, environ)
    rows += _graphics(place, settings.backend, environ)
    if reticulate is None:  # nobody asks from R
        for row in rows:
            row.fix = _command(row.fix, place)
    return rows


def _command(fix: str, place: str) -> str:
    """A fix in the words of a shell in place of R's; only what was made here is made again in place."""
    ours = probe.record(place) is not None or not probe.describe(place).complete
    place = place if ours else os.path.join("~", ".virtualenvs", "r-kerasbridge")
    install = f"python -m kerasbridge.environment install --path {place if place[0] == '~' else shlex.quote(place)}"
    fix = fix.replace("install_kerasbridge(gpu = TRUE)", f"{install} --gpu")
    fix = fix.replace(REINSTALL, install)
    return re.sub(r'Sys\.unsetenv\("(\w+)"\)', r"unset \1", fix)


def _python(place: str, why: str, reticulate: Optional[str]) -> Check:
    described = probe.describe(place)
    name = f"Python {described.python_version or '?'} at {described.python or place}, because {why}"
    if described.python is None:
        return Check(
            "Python",
            PROBLEM,
            f"none at {place}",
            "The interpreter that is named is gone.",
            REINSTALL,
        )
    if not described.complete:
        return Check(
            "Python",
            PROBLEM,
            name,
            "The installation of this environment was cut short.",
            REINSTALL,
        )
    minor = tuple(int(n) for n in re.findall(r"\d+", described.python_version or "")[:2])
    too_new = reticulate and minor >= (3, 12)
    if too_new and parse(reticulate, "reticulate", "") < versions.RETICULATE_PYTHON312:
        return Check(
            "Python",
            PROBLEM,
            name,
            f"reticulate {reticulate} can't use Python 3.12 or newer.",
            'install.packages("reticulate"), or use Python 3.10 or 3.11.',
        )
    return Check("Python", OK, name)


def _environments(place: str, environ: Mapping[str, str]) -> List[Check]:
    rows = []
    for number, other in enumerate(probe.environments(dict(environ)), start=1):
        inside = ", ".join(
            f"{name} {other.versions[name]}"
            for name in ("keras", "tensorflow", "jax", "torch", "numpy")
            if name in other.versions
        )
        mark = "in use" if _same(other.path, place) else f"found by {other.source}"
        state = (
            Check("", OK, "")
            if other.complete
            else Check("", WARNING, "", "Its installation was cut short.", REINSTALL)
        )
        shown = (
            f"{other.path} (Python {other.python_version or '?'}): {inside or 'no Keras'}; {mark}"
        )
        rows.append(Check(f"environment {number}", state.status, shown, state.cause, state.fix))
    return rows


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _paths(environ: Mapping[str, str]) -> Check:
    names = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME")
    shown = "; ".join(f"{name}={environ[name]}" for name in names if environ.get(name))
    if environ.get("PYTHONHOME"):
        return Check(
            "library paths",
            PROBLEM,
            shown,
            "PYTHONHOME makes Python read another installation's files.",
            'Sys.unsetenv("PYTHONHOME"); look in .Renviron and the shell\'s start-up files.',
        )
    own = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    others = [p for p in environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if any(not _same(place, own) for place in others):
        return Check(
            "library paths",
            WARNING,
            shown,
            "Packages on PYTHONPATH come before those of the environment.",
            'Sys.unsetenv("PYTHONPATH") if a package is found in the wrong version.',
        )
    return Check("library paths", OK, shown or "none set")


def _versions(
    place: str, found: Dict[str, str], settings: KerasSettings, reticulate: Optional[str]
) -> List[Check]:
    rows = [
        _present("numpy", found, _numpy_problem(found, reticulate)),
        _present(settings.backend, found, _tensorflow_problem(place, found), wheel=place),
        _present("keras", found, _keras_problem(found)),
        _present("h5py", found, None),
    ]
    if settings.backend == "tensorflow" and "tensorflow" in found:
        rows.append(_present("protobuf", found, None))
    if "tensorflow-metal" in probe.distributions(place):
        rows.append(
            Check(
                "tensorflow-metal",
                PROBLEM,
                probe.distributions(place)["tensorflow-metal"],
                "With current versions of TensorFlow it gives wrong results or fails.",
                "pip uninstall tensorflow-metal",
            )
        )
    return rows


def _present(
    name: str, found: Dict[str, str], trouble: Optional[tuple], wheel: Optional[str] = None
) -> Check:
    if name == "openvino":
        return Check(name, OK, "for prediction only")
    if name not in found:
        return Check(name, PROBLEM, "not installed", f"{name} is missing there.", REINSTALL)
    shown = found[name]
    other = probe.tensorflow_wheel(wheel) if wheel and name == "tensorflow" else None
    if other and other != "tensorflow":
        shown += f" (the wheel {other})"
    if trouble:
        return Check(name, PROBLEM, shown, *trouble)
    return Check(name, OK, shown)


def _numpy_problem(found: Dict[str, str], reticulate: Optional[str]) -> Optional[tuple]:
    numpy = found.get("numpy", "")
    if reticulate and numpy.split(".")[0].isdigit() and int(numpy.split(".")[0]) >= 2:
        if parse(reticulate, "reticulate", "") < versions.RETICULATE_NUMPY2:
            return (
                f"numpy {numpy} needs reticulate 1.38 or newer; this is {reticulate}.",
                'install.packages("reticulate"), or numpy below 2 in the environment: '
                'pip install "numpy<2"',
            )
    return None


def _tensorflow_problem(place: str, found: Dict[str, str]) -> Optional[tuple]:
    row = _release(found.get("tensorflow"))
    if row is None:
        return None
    numpy, python = _version(found.get("numpy")), _version(probe.describe(place).python_version)
    if numpy and not row.numpy_min <= numpy < row.numpy_below:
        return (
            f"TensorFlow {text(row.version)} needs numpy from {text(row.numpy_min)} to below "
            f"{text(row.numpy_below)}; {found['numpy']} is installed.",
            REINSTALL,
        )
    if python and not row.python[0] <= python[:2] <= row.python[1]:
        return (
            f"TensorFlow {text(row.version)} supports Python {text(row.python[0])} to "
            f"{text(row.python[1])}.",
            REINSTALL,
        )
    return None


def _keras_problem(found: Dict[str, str]) -> Optional[tuple]:
    keras = _version(found.get("keras"))
    if keras and keras[0] < 3:
        return (f"Keras {found['keras']} is too old: Keras 3 is needed.", REINSTALL)
    row = _release(found.get("tensorflow"))
    if keras and row and keras[:2] < row.keras_min:
        return (
            f"Keras {found['keras']} doesn't go with TensorFlow {text(row.version)}, which needs "
            f"Keras {text(row.keras_min)} or newer.",
            REINSTALL,
        )
    return None


def _release(version: Optional[str]) -> Optional[versions.Release]:
    wanted = _version(version)
    return next((row for row in versions.TENSORFLOW if row.version == wanted), None)


def _version(version: Optional[str]) -> Optional[tuple]:
    match = re.match(r"\d+(\.\d+)*", version or "")
    return tuple(int(n) for n in match.group().split(".")) if match else None


def _settings(settings: KerasSettings) -> Check:
    shown = f"{settings.backend}, from {settings.source}"
    if settings.problem:
        return Check(
            "backend",
            PROBLEM,
            shown,
            settings.problem,
            f'Write {{"backend": "tensorflow"}} into {settings.file}, or unset KERAS_BACKEND.',
        )
    return Check("backend", OK, shown)


def _imports(
    python: str,
    backend: str,
    environ: Mapping[str, str],
    timeout: float,
    reticulate: Optional[str] = None,
) -> Check:
    if backend == "openvino":
        return Check("imports", SKIPPED, "openvino")
    end = time.monotonic() + timeout
    trial = try_imports(python, backend, environ, timeout)
    if trial.ok:
        shown = ", ".join(f"{k} {v}" for k, v in trial.versions.items() if k != "python")
        if reticulate and trial.shared is False and platform.system() == "Linux":
            return Check(
                "imports",
                PROBLEM,
                shown,
                "This Python was built without its shared library, so R can't load it.",
                "Use the system's Python or uv's; with pyenv build it with --enable-shared.",
            )
        return Check("imports", OK, shown)
    cause, fix = _why_not(trial)
    # R on Debian sets the first one: another library than Python's own may have been taken
    for name in ("LD_LIBRARY_PATH", "PYTHONPATH"):
        left = end - time.monotonic()
        if trial.how == "timeout" or left < 1 or not environ.get(name):
            continue
        plain = {k: v for k, v in environ.items() if k != name}
        if try_imports(python, backend, plain, left).ok:
            cause = (
                f"With {name} as it is set the import of {trial.failed} fails; without it it works."
            )
            fix = f'Sys.unsetenv("{name}") in .Rprofile, or start R without that variable.'
            break
    status = WARNING if trial.how == "timeout" else PROBLEM
    return Check("imports", status, f"{trial.failed}: {trial.detail}", cause, fix)


_SIGNALS = {
    "SIGILL": (
        "The processor lacks an instruction that the package uses (AVX, as a rule).",
        "Use a machine with AVX; on an Apple processor install the arm64 build of R.",
    ),
    "SIGKILL": ("The system ended it: most likely memory ran out.", "Close other programs."),
}


def _why_not(trial: Trial) -> tuple:
    if trial.how == "timeout":
        return (
            f"The import of {trial.failed} took longer than the doctor waits.",
            "A slow disk or a busy machine can be the cause: try again.",
        )
    if trial.how == "signal":
        return _SIGNALS.get(
            trial.detail,
            (
                f"The import of {trial.failed} ended the process ({trial.detail}): libraries that "
                "don't fit, as a rule.",
                REINSTALL,
            ),
        )
    known = explain(trial.output)
    if known is not None and known.kind != "noise":
        return known.cause, known.fix
    return f"{trial.failed} can't be imported.", REINSTALL


def _machine(prefix: str, environ: Mapping[str, str]) -> List[Check]:
    rows = []
    cpu = machine.processor()
    shown = f"{cpu['machine']}, {os.cpu_count()} cores"
    if cpu["translated"]:
        cause = "R for Intel runs on an Apple processor, through a translator without AVX."
        rows.append(Check("processor", PROBLEM, shown, cause, "Install the arm64 build of R."))
    elif cpu["avx"] is False:
        cause = "The processor (or the virtual machine) has no AVX, which TensorFlow's wheels need."
        rows.append(Check("processor", PROBLEM, shown, cause, "Use another machine, or JAX."))
    else:
        rows.append(Check("processor", OK, shown + (", AVX" if cpu["avx"] else "")))
    size = machine.memory()
    if size:
        low = size[1] < 2
        rows.append(
            Check(
                "memory",
                WARNING if low else OK,
                f"{size[0]:.1f} GB, {size[1]:.1f} GB of it free",
                "Less than 2 GB are free; TensorFlow alone takes about 0.5 GB." if low else "",
                "Close other programs." if low else "",
            )
        )
    rows.append(_disk(prefix))
    if platform.system() == "Linux":
        rows += _cpp_library(prefix, environ.get("LD_LIBRARY_PATH", ""))
    if platform.system() == "Windows":
        system = environ.get("SystemRoot", "C:\\Windows")
        rows.append(_visual_cpp(os.path.join(system, "System32")))
    return rows


def _disk(prefix: str) -> Check:
    places = {"environment": prefix, "temporary files": tempfile.gettempdir()}
    free = {name: machine.disk(place) for name, place in places.items()}
    shown = "; ".join(
        f"{name}: {size:.1f} GB free" for name, size in free.items() if size is not None
    )
    if any(size is not None and size < 3 for size in free.values()):
        cause = "Making an environment takes 1.5 to 2 GB, and as much again for a moment."
        return Check(
            "disk", WARNING, shown, cause, "Free some space, or set TMPDIR to another place."
        )
    return Check("disk", OK, shown)


def _cpp_library(prefix: str, library_path: str) -> List[Check]:
    found = machine.cpp_libraries(prefix, library_path)
    if len(found) < 2:
        return []
    first, newest = found[0], max(found, key=lambda row: row[1])
    shown = "; ".join(f"{file} (GLIBCXX_3.4.{number})" for file, number in found)
    if first[1] < newest[1]:
        cause = f"{first[0]} is loaded first and is older than {newest[0]}."
        return [Check("C++ library", WARNING, shown, cause, f"LD_PRELOAD={newest[0]} R")]
    return [Check("C++ library", OK, shown)]


# of Microsoft's Visual C++ runtime, which the wheels for Windows need
_DLLS = ("msvcp140.dll", "vcruntime140.dll", "vcruntime140_1.dll")


def _visual_cpp(folder: str) -> Check:
    missing = [name for name in _DLLS if not os.path.exists(os.path.join(folder, name))]
    if missing:
        return Check(
            "Visual C++ runtime",
            PROBLEM,
            f"missing: {', '.join(missing)}",
            "TensorFlow can't be loaded without it.",
            "Install the Microsoft Visual C++ Redistributable (x64): aka.ms/vs/17/release/vc_redist.x64.exe",
        )
    return Check("Visual C++ runtime", OK, "there")


def _graphics(place: str, backend: str, environ: Mapping[str, str]) -> List[Check]:
    facts = graphics.gather(place, backend, environ)
    verdict = graphics.judge(facts)
    if verdict.found:
        rows = [Check("graphics card", OK, verdict.message)]
    else:
        # no card at all is no fault; a card that can't be used is one
        usual = verdict.reason in (
            "no_driver", "no_macos_gpu", "windows_native", "no_backend", "no_nvidia",
        )  # fmt: skip
        shown = f"not used ({verdict.reason})"
        status = OK if usual else WARNING
        rows = [Check("graphics card", status, shown, verdict.message, verdict.fix)]
    if facts.wheel == "tensorflow" and facts.system == "Linux":
        rows += [_part(*part) for part in graphics.parts(place)]
    return rows


def _part(name: str, version: Optional[str], package: str) -> Check:
    if version is None:
        cause = f"{name} is not in the environment; XLA and training on a card need it."
        return Check(name, SKIPPED, "not there", cause, f"pip install {package}")
    return Check(name, OK, version)


def as_text(rows: List[Check], width: int = 100) -> str:
    """The rows for a person: one line each, and below what is wrong the cause and the fix."""
    signs = {OK: "ok      ", WARNING: "warning ", PROBLEM: "PROBLEM ", SKIPPED: "skipped "}
    wide = max(len(row.check) for row in rows)
    lines = []
    for row in rows:
        lines.append(f"{signs[row.status]} {row.check.ljust(wide)}  {row.found}")
        if row.status in (WARNING, PROBLEM):
            lines += [f"{' ' * (wide + 11)}{label}: {part}" for label, part in _parts(row)]
    bad = sum(row.status == PROBLEM for row in rows)
    odd = sum(row.status == WARNING for row in rows)
    lines.append("")
    lines.append(
        "Nothing is wrong." if not bad + odd else f"{bad} problem(s), {odd} warning(s): see above."
    )
    return "\n".join(lines)


def _parts(row: Check) -> List[tuple]:
    return [(label, part) for label, part in (("cause", row.cause), ("fix", row.fix)) if part]


def redacted(text: str, environ: Optional[Mapping[str, str]] = None) -> str:
    """The text with the home folder as `~` and the user's name as `user`."""
    environ = os.environ if environ is None else environ
    home = environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~")
    if home and home != os.sep:
        text = text.replace(home, "~")
    try:
        name = environ.get("USER") or environ.get("USERNAME") or getpass.getuser()
    except (KeyError, OSError, ImportError):
        name = ""
    if len(name) > 2 and name != "root":
        text = re.sub(rf"\b{re.escape(name)}\b", "user", text)
    return text
