"""Source of custom classes and functions written in Python, on its way through files.

Only the statements of the module that the class or function needs are taken: it itself, the imports,
functions, classes and values that it names, and what those name. A training script is not run again. The
source runs on loading only with `allow = "python_code"`.
"""

from __future__ import annotations

import ast
import inspect
import symtable
import sys
import sysconfig
import types
from typing import Any, Optional

from kerasbridge.errors import FileError

MAX_SOURCE = 100_000  # characters


def source_of(target: Any) -> Optional[str]:
    """Python code that makes a class or function anew; None where it can't be had or need not.

    Installed packages are left out: there the class is imported.
    """
    module = sys.modules.get(getattr(target, "__module__", None) or "")
    name = getattr(target, "__qualname__", "")
    if not name.isidentifier() or not _is_a_persons(module):
        return None
    try:
        text = inspect.getsource(module)
        tree = ast.parse(text)
    except (OSError, TypeError, SyntaxError):
        return None
    taken = _needed(text, tree, name)
    if not taken:
        return None
    out = "\n\n".join(_text(text, node) for node in taken)
    return out if len(out) <= MAX_SOURCE else None


def _is_a_persons(module: Any) -> bool:
    """Whether a module is neither installed nor part of Python or of this package."""
    path = getattr(module, "__file__", None)
    if path is None or module.__name__.startswith("kerasbridge."):
        return False
    installed = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")]
    return not any(path.startswith(folder) for folder in installed)


def imported_function(origin: Any) -> Any:
    """The function that "Python: module.name" is, if a person imported it from a module of theirs; else None.

    Nothing is imported because a file names it, and no function of Python or of an installed package is
    taken because of that.
    """
    module, _, name = str(origin).removeprefix("Python: ").rpartition(".")
    loaded = sys.modules.get(module)
    value = vars(loaded).get(name) if loaded is not None and _is_a_persons(loaded) else None
    own = isinstance(value, types.FunctionType) and value.__module__ == module
    return value if own and str(origin).startswith("Python: ") else None


def _text(text: str, node: Any) -> str:
    """The source of a statement alone, whatever else stands in its lines; with its decorators."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    if first < node.lineno:
        return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    return ast.get_source_segment(text, node) or ""


def _names(text: str) -> set:
    """The names that a statement takes from its module: those of arguments and locals are none."""
    top = symtable.symtable(text, "<source>", "exec")
    found = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    pending = list(top.get_children())
    while pending:
        scope = pending.pop()
        pending += scope.get_children()
        found.update(s.get_name() for s in scope.get_symbols() if s.is_global())
    return found


def _needed(text: str, tree: ast.Module, name: str) -> list:
    """The statements of a module that `name` needs, in their order."""
    places: dict = {}
    for node in tree.body:
        for made in _makes(node):
            places.setdefault(made, []).append(node)
    taken, pending = set(), [name]
    while pending:
        for node in places.pop(pending.pop(), []):
            if id(node) not in taken:
                taken.add(id(node))
                pending += _names(_text(text, node))
    future = [
        node
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    return [node for node in tree.body if id(node) in taken or taken and node in future]


def _makes(node: ast.AST) -> list:
    """Names that a statement at the top of a module defines."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return []


def run_source(item: dict, source: str) -> Any:
    """Run the Python code of an entry of a manifest; returns the class or function.

    Raises:
        FileError: it fails, or doesn't define what it should.
    """
    name = str(item.get("name"))
    space = types.ModuleType("kerasbridge_file_code")
    # its own name in `sys.modules` while it runs: decorators and data classes look there
    sys.modules[space.__name__] = space
    try:
        exec(compile(item["python"], f"<Python code of '{name}'>", "exec"), vars(space))  # noqa: S102
        return vars(space)[name]
    except Exception as err:  # noqa: B902 - whatever the code raises
        raise FileError(
            f"The Python code of '{name}' in {source} fails: {type(err).__name__}: {err}",
            hint="Give the class instead: `custom_objects`.",
            argument="allow",
        ) from err
    finally:
        del sys.modules[space.__name__]
