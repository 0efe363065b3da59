"""`python -m kerasbridge.environment`: install, look, list the versions that go together.

Works with a bare Python: nothing but the standard library is imported.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from typing import List, Optional

from ..errors import InstallError, KerasBridgeError
from . import checks, doctor, installers, messages, probe, versions
from . import install as _install


def main(arguments: Optional[List[str]] = None) -> int:
    """Runs one command; gives the exit status: 0 done, 1 refused or failed, 2 wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except KerasBridgeError as error:
        _report(options, status="failed", error=error)
        shown = error.details.get("output")
        if shown:
            print(shown, file=sys.stderr)
        _complain(options, error)
        return 1
    except OSError as problem:
        error = InstallError(f"{type(problem).__name__}: {problem}")
        _report(options, status="failed", error=error)
        _complain(options, error)
        return 1
    except KeyboardInterrupt:
        error = InstallError("The installation was stopped; nothing was left behind.")
        _report(options, status="stopped", error=error)
        _complain(options, error)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kerasbridge.environment",
        description="Environments with Keras in them: make one, look at one, which versions fit.",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    make = commands.add_parser("install", help="make a virtual environment with Keras in it")
    make.add_argument("--path", required=True, help="folder of the environment")
    _add_wishes(make)
    make.add_argument("--method", default="auto", metavar="|".join(_install.METHODS))
    make.add_argument(
        "--from", dest="wheels", metavar="DIR", help="install from a folder of wheels"
    )
    make.add_argument("--dry-run", action="store_true", help="say what would be done")
    make.add_argument("--report", help=argparse.SUPPRESS)
    make.set_defaults(run=_run_install)

    wheels = commands.add_parser(
        "bundle", help="download the wheels, for a machine without network"
    )
    wheels.add_argument("--to", required=True, metavar="DIR", help="folder to put them into")
    _add_wishes(wheels)
    wheels.add_argument("--report", help=argparse.SUPPRESS)
    wheels.set_defaults(run=_run_bundle)

    pins = commands.add_parser("write", help="write requirements.txt and a Dockerfile")
    pins.add_argument("--to", required=True, metavar="DIR", help="folder to write into")
    pins.add_argument("--python", help="environment to take the versions from (default: this one)")
    pins.add_argument("--model", metavar="FILE", help="a model file that the image serves")
    pins.add_argument("--r-version", metavar="X.Y.Z", help="version of R in the image")
    pins.add_argument("--overwrite", action="store_true")
    pins.add_argument("--report", help=argparse.SUPPRESS)
    pins.set_defaults(run=_run_write)

    check = commands.add_parser("interpreter", help="say whether this Python can be used")
    _add_wishes(check)
    check.add_argument("--report", help=argparse.SUPPRESS)
    check.set_defaults(run=_run_interpreter)

    look = commands.add_parser("list", help="list the environments that can be found")
    look.add_argument("--json", action="store_true")
    look.set_defaults(run=_run_list)

    table = commands.add_parser("versions", help="print which versions go together")
    table.add_argument("--json", action="store_true")
    table.set_defaults(run=_run_versions)

    ill = commands.add_parser("doctor", help="look at everything and say what to mend")
    ill.add_argument("--python", help="interpreter or folder in question (default: this one)")
    ill.add_argument("--why", default="it runs this command", help=argparse.SUPPRESS)
    ill.add_argument("--reticulate", metavar="X.Y", help="version of the R package reticulate")
    ill.add_argument("--library-path", help=argparse.SUPPRESS)
    ill.add_argument("--python-path", help=argparse.SUPPRESS)
    ill.add_argument("--seconds", type=float, default=14.0, help="what the imports may take")
    ill.add_argument("--shallow", action="store_true", help="import nothing, only look at files")
    ill.add_argument("--public", action="store_true", help="leave out your name and home folder")
    ill.add_argument("--json", action="store_true")
    ill.add_argument("--report", help=argparse.SUPPRESS)
    ill.set_defaults(run=_run_doctor)

    said = commands.add_parser("explain", help="say what an error message means")
    said.add_argument("text", nargs="?", default="-", help="the message; from standard input if -")
    said.set_defaults(run=_run_explain)

    needs = commands.add_parser("needs", help="print the requirements as ranges")
    needs.set_defaults(run=_run_needs)
    return parser


def _add_wishes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", metavar="V", help="TensorFlow's version (default: the newest)")
    parser.add_argument("--gpu", action="store_true", help="with the libraries for a graphics card")
    parser.add_argument("--backend", default="tensorflow", metavar="|".join(versions.BACKENDS))
    parser.add_argument("--keras", metavar="V", help="Keras' version (default: the newest)")
    parser.add_argument("--cuda", metavar="V", help="CUDA's version, checked against the table")
    parser.add_argument("--cudnn", metavar="V", help="cuDNN's version, checked against the table")
    parser.add_argument(
        "--reticulate", metavar="X.Y", help="version of the R package that will load it"
    )
    parser.add_argument("--extra", action="append", default=[], help="an optional set: dev")


def _run_install(options: argparse.Namespace) -> int:
    answer = _install.install(
        options.path,
        version=options.version,
        gpu=options.gpu,
        backend=options.backend,
        keras=options.keras,
        cuda=options.cuda,
        cudnn=options.cudnn,
        reticulate=options.reticulate,
        method=options.method,
        wheels=options.wheels,
        extras=options.extra,
        dry_run=options.dry_run,
        echo=_say,
    )
    _report(options, **answer)
    return 0


def _resolved(options: argparse.Namespace) -> versions.Resolution:
    return versions.resolve(
        options.version,
        options.gpu,
        options.backend,
        sys.version_info[:2],
        options.reticulate,
        keras=options.keras,
        cuda=options.cuda,
        cudnn=options.cudnn,
        extras=options.extra,
    )


def _run_bundle(options: argparse.Namespace) -> int:
    found = _resolved(options)
    _say(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    names = installers.download(options.to, found.requirements, _say)
    _say(
        f"{len(names)} wheels in {options.to}; they fit that Python and that kind of machine only."
    )
    _report(options, status="bundled", path=options.to, wheels=names)
    return 0


def _run_write(options: argparse.Namespace) -> int:
    from . import deploy  # the only command that needs more than the barest Python

    files = deploy.write_environment(
        options.to,
        python=options.python,
        model=options.model,
        r_version=options.r_version,
        overwrite=options.overwrite,
    )
    for file in files:
        _say(file)
    _report(options, status="written", files=files)
    return 0


def _run_interpreter(options: argparse.Namespace) -> int:
    """Whether this very interpreter can make such an environment, and R can load it."""
    _resolved(options)
    checks.check_python(options.reticulate)
    _report(options, status="usable", interpreter=sys.executable, version=platform.python_version())
    _say(f"{sys.executable} (Python {platform.python_version()}) can be used.")
    return 0


def _run_list(options: argparse.Namespace) -> int:
    found = probe.environments()
    if options.json:
        _say(json.dumps([environment.__dict__ for environment in found], indent=2))
        return 0
    if not found:
        _say("No environment found.")
    for environment in found:
        inside = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
        state = "" if environment.complete else " [incomplete]"
        _say(f"{environment.path} (Python {environment.python_version or '?'}){state}")
        _say(f"  {inside or 'no Keras'}; found by: {environment.source}")
    return 0


def _run_versions(options: argparse.Namespace) -> int:
    rows = versions.supported()
    if options.json:
        _say(json.dumps(rows, indent=2))
        return 0
    names = list(rows[0])
    widths = [max(len(name), *(len(row[name]) for row in rows)) for name in names]
    _say("  ".join(name.ljust(width) for name, width in zip(names, widths)).rstrip())
    for row in rows:
        _say("  ".join(row[name].ljust(width) for name, width in zip(names, widths)).rstrip())
    return 0


def _run_doctor(options: argparse.Namespace) -> int:
    """Exit status 0: no problem was found; 1: see the table."""
    environ = dict(os.environ)
    if options.library_path:
        environ["LD_LIBRARY_PATH"] = options.library_path
    if options.report:
        # R sets these for the process that looks, not for the one that is looked at
        for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
            environ.pop(name, None)
    if options.python_path:
        environ["PYTHONPATH"] = options.python_path
    rows = doctor.examine(
        options.python,
        why=options.why,
        reticulate=options.reticulate,
        deep=not options.shallow,
        environ=environ,
        timeout=options.seconds,
    )
    clean = doctor.redacted if options.public else str
    if options.report:
        with open(options.report, "w", encoding="utf-8") as file:
            for row in rows:
                for name, value in row.__dict__.items():
                    file.write(f"{name}: {' '.join(clean(value).split()) or '-'}\n")
                file.write("\n")
    elif options.json:
        _say(clean(json.dumps([row.__dict__ for row in rows], indent=2)))
    else:
        _say(clean(doctor.as_text(rows)))
    return int(any(row.status == doctor.PROBLEM for row in rows))


def _run_explain(options: argparse.Namespace) -> int:
    text = sys.stdin.read() if options.text == "-" else options.text
    known = messages.explain(text)
    if known is None:
        _say("This message is not in the table of known ones.")
        return 1
    _say(f"Cause: {known.cause}")
    _say(f"What to do: {known.fix}")
    return 0


def _run_needs(options: argparse.Namespace) -> int:
    _say(
        "# Written by `python -m kerasbridge.environment needs` from versions.py; a test compares."
    )
    for requirement in versions.needs():
        _say(requirement)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _complain(options: argparse.Namespace, error: KerasBridgeError) -> None:
    """Prints an error, except where it is handed on in a report."""
    if not getattr(options, "report", None):
        print(f"Error: {error}", file=sys.stderr)


def _report(options: argparse.Namespace, **fields: object) -> None:
    """Writes the outcome where R asked for it, as `name: value` lines for R's read.dcf()."""
    path = getattr(options, "report", None)
    if not path:
        return
    error = fields.pop("error", None)
    if isinstance(error, KerasBridgeError):
        fields.update(
            message=error.message, hint=error.hint, kind=error.kind, argument=error.argument
        )
    found = fields.pop("versions", None)
    if isinstance(found, dict):
        fields.update({f"version_{name}": version for name, version in found.items()})
    with open(path, "w", encoding="utf-8") as file:
        for name, value in fields.items():
            if value is None or value == "":
                continue
            shown = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
            file.write(f"{name}: {' '.join(shown.split())}\n")


if __name__ == "__main__":
    sys.exit(main())
