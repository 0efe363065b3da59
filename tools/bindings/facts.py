"""Facts about the installed Keras: names, kinds, parameters, defaults. No prose."""

from __future__ import annotations

import inspect
import os
import types
from dataclasses import dataclass, field
from typing import Any, Optional

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@dataclass
class Parameter:
    name: str
    default: Any = inspect.Parameter.empty
    kind: str = "keyword"  # "positional", "keyword", "variadic", "extra"

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty and self.kind in ("positional", "keyword")


@dataclass
class Symbol:
    path: str
    is_class: bool
    parameters: list = field(default_factory=list)
    paths: list = field(default_factory=list)

    @property
    def takes_extra(self) -> bool:
        return any(p.kind == "extra" for p in self.parameters)

    @property
    def variadic(self) -> Optional[str]:
        return next((p.name for p in self.parameters if p.kind == "variadic"), None)

    @property
    def named(self) -> list:
        return [p for p in self.parameters if p.kind in ("positional", "keyword")]


_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "keyword",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_POSITIONAL: "variadic",
    inspect.Parameter.VAR_KEYWORD: "extra",
}


def _parameters(value: Any) -> list:
    target = value.__init__ if inspect.isclass(value) else value
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return []
    found = [Parameter(p.name, p.default, _KINDS[p.kind]) for p in signature.parameters.values()]
    if inspect.isclass(value) and found and found[0].name == "self":
        found = found[1:]
    return found


def public_callables() -> dict:
    """Every public callable of the installed Keras: any of its public paths -> Symbol.

    Several paths can lead to one object; they share a Symbol, whose `paths` lists them all.
    """
    import keras

    by_id: dict = {}
    by_path: dict = {}
    seen = set()

    def walk(module, path):
        if id(module) in seen:
            return
        seen.add(id(module))
        for name in sorted(dir(module)):
            if name.startswith("_"):
                continue
            value = getattr(module, name)
            here = f"{path}.{name}"
            if isinstance(value, types.ModuleType):
                # the public modules; the implementation lives below a module called "src"
                if value.__name__.startswith("keras") and "src" not in value.__name__.split("."):
                    walk(value, here)
            elif callable(value):
                symbol = by_id.get(id(value))
                if symbol is None:
                    symbol = Symbol(here, inspect.isclass(value), _parameters(value))
                    by_id[id(value)] = symbol
                symbol.paths.append(here)
                by_path[here] = symbol

    walk(keras, "keras")
    return by_path


def keras_version() -> str:
    import keras

    return keras.__version__
