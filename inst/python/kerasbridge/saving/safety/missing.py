"""Classes and functions that a file needs and the session lacks: one error that lists all of them."""

from __future__ import annotations

import re
from typing import Any, Optional

from kerasbridge.errors import FileError
from kerasbridge.runtime import attached

_MODULE = re.compile(r"^(?:Python: ([\w.]+)\.\w+|the Python module '([\w.]+)')$")
_R_PACKAGE = re.compile(r"^the R (?:package '|function )([A-Za-z0-9._]+)(?:'|::)")


def raise_missing(missing: list, source: str, origins: Optional[dict] = None) -> None:
    """Raise one error that lists every missing class and function and the ways to supply them.

    In a process without R, code written in R is named first, as what it needs.

    Args:
        missing: `Missing` objects of `config.py`.
        source: the file, for the message.
        origins: what the manifest says of the custom objects, by registered name and name.
    """
    origins = origins or {}
    in_r = "r" in attached.session
    lines, from_r, why, seen, packages, modules = [], [], [], set(), {}, {}
    training, has_code, has_python, r_here = True, False, False, False
    for item in missing:
        if (item.kind, item.name) in seen:
            continue
        seen.add((item.kind, item.name))
        told = origins.get(item.registered or "") or origins.get(item.name) or {}
        origin = str(told.get("origin") or item.origin)
        has_code = has_code or bool(told.get("source"))
        has_python = has_python or bool(told.get("python"))
        packages.update(dict.fromkeys(_R_PACKAGE.findall(origin)))
        modules.update(dict.fromkeys("".join(found) for found in _MODULE.findall(origin)))
        written_in_r = origin.startswith("written in R") or bool(_R_PACKAGE.findall(origin))
        role = told.get("role")
        training = training and role in ("loss", "metric", "optimizer", "schedule")
        if written_in_r and not in_r:
            title = _title(item, told)
            from_r.append(f"{title} is written in R: needs R")
            if told.get("why"):
                why.append(f" The {title} can't be written down for Python: {told['why']}.")
            continue
        r_here = r_here or written_in_r
        where = f", used by the {item.layer}" if item.layer and not training else ""
        lines.append(f"{item.kind} '{item.name}' ({origin}{where})")
    names = list(dict.fromkeys(item.name for item in missing))
    listed = (
        f"{source} needs {len(lines)} thing{'s' if len(lines) > 1 else ''} that Keras and this session "
        f"don't have: {'; '.join(lines)}."
    )
    if from_r:
        needs_r = "; ".join(from_r) + "."
        message = f"{needs_r} {listed}" if lines else needs_r
        given = ", ".join(f"{name!r}: ..." for name in names)
        hint = f"Load it in R, or give Python code of the same name: `custom_objects={{{given}}}`."
        if training and not lines:
            hint = f"`compile=False` loads the model without it, to predict. {hint}"
        hint += "".join(why)
    else:
        message, hint = listed, _ways(names, has_code, has_python, r_here, packages, modules)
    raise FileError(
        message,
        hint=hint,
        argument="custom_objects",
        details={"missing": [vars(item) for item in missing[:100]]},
    )


def _title(item: Any, told: dict) -> str:
    role = told.get("role") or item.kind
    if role in ("layer", "model", "class") and item.layer.startswith("layer '"):
        title = item.layer.rsplit(" (", 1)[0]
        return title.replace("layer", "model", 1) if role == "model" else title
    return f"{role} '{item.name}'"


def _ways(
    names: list, has_code: bool, has_python: bool, from_r: bool, packages: dict, modules: dict
) -> str:
    """The three ways to supply what is missing, in the words of the language that asks."""
    in_r = "r" in attached.session
    given = ", ".join(f"{name} = ..." if in_r else f"{name!r}: ..." for name in names)
    hints = [
        f"Supply them: `custom_objects = list({given})`"
        if in_r
        else f"Supply them: `custom_objects={{{given}}}`"
    ]
    modules.pop("__main__", None)
    if packages:
        load = ", ".join(f"`library({package})`" for package in packages)
        hints.append(f"or load the R package that defines them first: {load}")
    if modules:
        load = ", ".join(f"`import {module}`" for module in modules)
        load = ", ".join(f'`import("{module}")`' for module in modules) if in_r else load
        hints.append(f"or import what defines them before loading: {load}")
    if from_r and not packages:
        hints.append("or run the R code that defines them first")
    if not (packages or modules or from_r):
        hints.append("or import or run what defines and registers them before loading")
    if has_python:
        allow = '`allow = "python_code"`' if in_r else '`allow="python_code"`'
        hints.append(f"or let the Python code run that the file holds: {allow}")
    if has_code:
        hints.append("or, in R, let the code run that the file holds: `r_code = TRUE`")
    looking = (
        "; `inspect_model()` shows it"
        if has_python or has_code
        else " (the file holds no code of them)"
    )
    return ", ".join(hints) + looking + "."
