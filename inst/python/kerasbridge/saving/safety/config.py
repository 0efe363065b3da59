"""May this configuration be built? Every class and function that it names is looked at before any is.

`check_config` raises, `audit_config` lists. Both take the configuration of a whole model, of a layer,
an optimizer, a loss ... or the training configuration of an `.h5` file, as written by Keras 2 or 3.
Nothing is imported because a file names it.
"""

from __future__ import annotations

import builtins
import re
import sys
from dataclasses import dataclass, field
from typing import Any, Iterable, Optional

from kerasbridge.errors import ArgumentError, UnsafeFileError
from kerasbridge.saving.safety import names

ALLOW = ("lambda", "pickle", "saved_model", "vocabulary", "changed", "python_code")

MAX_DEPTH = 200  # levels of lists and dicts
MAX_VALUES = 20_000_000  # values in one configuration
MAX_LAYERS = 10_000

_MODULE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")
_FAMILIES = ("keras", "keras_hub", "keras_nlp", "keras_cv", "tf_keras", "keras_core")
_VOCABULARIES = ("StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup", "Hashing")
_STDLIB = frozenset(getattr(sys, "stdlib_module_names", sys.builtin_module_names)) | {
    "builtins",
    "numpy",
    "os",
    "posix",
    "pickle",
    "shutil",
    "subprocess",
    "scipy",
    "tensorflow",
    "torch",
    "jax",
}

_WHAT = {
    "lambda": ("holds Python byte code, which would run", 'If you trust its maker: `allow = "lambda"`.'),
    "pickle": ("holds a Python pickle, which runs code when read", 'If you trust its maker: `allow = "pickle"`.'),
    "saved_model": (
        "loads a SavedModel from elsewhere, whose operations may read and write files",
        'If you trust both: `allow = "saved_model"`. A SavedModel folder alone: `load_model()` on the folder.',
    ),
    "operation": (
        "reaches files, the network or Python",
        'If you trust its maker: `allow = "saved_model"`.',
    ),
    "vocabulary": (
        "reads its vocabulary from a file of this computer",
        'If that is meant: `allow = "vocabulary"`.',
    ),
    "callable": (
        "is not a part of a model: nothing is imported or called because a file names it",
        "If it is yours, give it: `custom_objects = list(name = function)`.",
    ),
    "keras_function": (
        "is a function of Keras that does not belong into a model",
        "If it is meant, give it: `custom_objects = list(name = function)`.",
    ),
    "name": ("is a name that leads out of its folder", "No argument permits that: rename the layer where the file was made."),
    "form": ("is not how Keras describes a part of a model", "The file is damaged, or was changed by hand."),
    "size": ("is larger than any model", "If it is honest: `max_layers =`."),
}  # fmt: skip


@dataclass
class Finding:
    """One thing that is refused: its `kind`, the `layer` it stands in, and what it `says`."""

    kind: str
    layer: str
    says: str

    @property
    def permit(self) -> str:
        """The one argument that permits it, or why none does."""
        return _WHAT[self.kind][1]

    @property
    def word(self) -> str:
        """The word of `allow` that permits it, where there is one; else its kind."""
        return "saved_model" if self.kind == "operation" else self.kind

    def __str__(self) -> str:
        where = f"In the {self.layer}: " if self.layer else ""
        return f"{where}{self.says} {_WHAT[self.kind][0]}."


@dataclass
class Missing:
    """A class or function that is not part of Keras and that the session does not have."""

    name: str
    module: Optional[str]
    registered: Optional[str]
    kind: str  # "class" or "function"
    layer: str

    @property
    def origin(self) -> str:
        """Where it was defined, in words."""
        package = (self.registered or "").split(">")[0] if ">" in (self.registered or "") else ""
        if package == "R" or self.module == "kerasbridge.R":
            return "written in R"
        if self.module and self.module not in ("builtins", "__main__") and "." in self.module:
            return f"the Python module '{self.module}'"
        if package and package != "Custom":
            return f"the package '{package}'"
        if self.module == "__main__":
            return "a Python script"
        return f"the Python module '{self.module}'" if self.module else "not said"


@dataclass
class Audit:
    """What a configuration names beside plain values."""

    findings: list = field(default_factory=list)
    missing: list = field(default_factory=list)
    layers: int = 0
    classes: set = field(default_factory=set)
    imported: dict = field(default_factory=dict)  # classes of modules that the session has imported


class _Objects:
    """Names that the session knows: those given with the call, those registered, those of Keras."""

    def __init__(self, custom_objects: Optional[dict], live: bool):
        self.given = dict(custom_objects or {})
        self.keras = sys.modules.get("keras") if live else None

    def known(self, name: Any) -> bool:
        if not isinstance(name, str):
            return False
        if name in self.given:
            return True
        if self.keras is None:
            return name.startswith("kerasbridge>")
        return self.keras.saving.get_registered_object(name, custom_objects=self.given) is not None

    def supplied(self, name: str) -> bool:
        """Whether the call itself brought the class, under its short or its full name."""
        return name in self.given or name.split(">")[-1] in self.given

    def find(self, module: str, name: str) -> Any:
        """The object of a public module of Keras, or of an inner one that is loaded; else None."""
        loaded = sys.modules.get(module)
        value = getattr(loaded, name, None)
        if value is not None or self.keras is None or not module.startswith("keras."):
            return value
        value = self.keras
        for part in [*module.split(".")[1:], name]:
            value = getattr(value, part, None)
        return value

    def buildable(self, value: Any) -> bool:
        keras = self.keras
        bases = [keras.Operation, keras.Layer, keras.Loss, keras.Metric, keras.Optimizer]
        bases += [keras.Initializer, keras.Regularizer, keras.constraints.Constraint]
        bases += [keras.optimizers.schedules.LearningRateSchedule, keras.DTypePolicy]
        bases += [getattr(keras, n) for n in ("Quantizer",) if hasattr(keras, n)]
        bases += [keras.random.SeedGenerator]
        for extra in ("DTypePolicyMap", "QuantizedDTypePolicy"):
            bases += (
                [getattr(keras.dtype_policies, extra)]
                if hasattr(keras.dtype_policies, extra)
                else []
            )
        return isinstance(value, type) and (
            issubclass(value, tuple(bases)) or value.__name__ in names.PARTS | names.LAYERS
        )


def audit_config(
    config: Any,
    custom_objects: Optional[dict] = None,
    live: bool = False,
    max_layers: int = MAX_LAYERS,
) -> Audit:
    """Everything in a configuration that is refused, or missing; raises nothing on account of it.

    Args:
        config: plain values, as read from JSON.
        custom_objects: name -> class or function that the session supplies.
        live: also ask the running Keras. Without it the lists of `names.py` decide, and no class of a
            custom kind is known.
        max_layers: number of layers from which on a model is refused.
    """
    audit = Audit()
    objects = _Objects(custom_objects, live)
    stack: list = [(config, "", 0)]
    values = 0
    while stack:
        node, layer, depth = stack.pop()
        values += 1
        if depth > MAX_DEPTH or values > MAX_VALUES:
            much = (
                f"nested over {MAX_DEPTH} levels deep" if depth > MAX_DEPTH else "too many values"
            )
            audit.findings.append(Finding("form", "", f"The configuration ({much})"))
            return audit
        if isinstance(node, dict):
            layer = _look(node, layer, audit, objects)
            if audit.layers > max_layers:
                audit.findings.append(Finding("size", "", f"A model of over {max_layers:,} layers"))
                return audit
            stack.extend((value, layer, depth + 1) for value in node.values() if _deep(value))
        elif isinstance(node, (list, tuple)):
            stack.extend((value, layer, depth + 1) for value in node if _deep(value))
    audit.findings.reverse()
    audit.missing.reverse()
    return audit


def _deep(value: Any) -> bool:
    return isinstance(value, (dict, list, tuple))


def check_config(
    config: Any,
    *,
    custom_objects: Optional[dict] = None,
    allow: Iterable[str] = (),
    live: bool = False,
    source: str = "The model",
    origins: Optional[dict] = None,
    max_layers: int = MAX_LAYERS,
) -> Audit:
    """Refuse a configuration that names anything but parts of models.

    Args:
        config: plain values, as read from JSON.
        custom_objects: name -> class or function that the session supplies.
        allow: what is permitted all the same: "lambda" (byte code), "pickle" (TorchModuleWrapper),
            "saved_model" (TFSMLayer), "vocabulary" (a vocabulary read from a file of this computer).
        live: also ask the running Keras, and refuse what custom objects do not supply.
        source: the file, for messages.
        origins: what the manifest says of the custom objects, by registered name.
        max_layers: number of layers from which on a model is refused.

    Raises:
        UnsafeFileError: names the layer, what it holds, and the argument that permits it.
        FileError: classes or functions are missing (only when `live`); names all of them.
    """
    allowed = check_allow(allow)
    audit = audit_config(config, custom_objects, live, max_layers)
    refused = [found for found in audit.findings if found.kind not in allowed]
    if refused:
        raise_refused(refused, source)
    if live and audit.missing:
        from kerasbridge.saving.safety.missing import raise_missing

        raise_missing(audit.missing, source, origins)
    return audit


def check_allow(allow: Any) -> tuple:
    """The words of `allow`, each one known."""
    words = (allow,) if isinstance(allow, str) else tuple(allow or ())
    for word in words:
        if word not in ALLOW:
            raise ArgumentError(
                f"`allow` has '{word}', which is nothing that can be allowed.",
                hint=f"It may hold: {', '.join(ALLOW)}.",
                argument="allow",
            )
    return words


def raise_refused(refused: list, source: str) -> None:
    """Raise for the first of what is refused; the others are counted and go along as details."""
    first = refused[0]
    more = f" ({len(refused) - 1} more like it)" if len(refused) > 1 else ""
    raise UnsafeFileError(
        f"{source} is refused. {first}{more}",
        hint=first.permit,
        argument="allow" if first.word in ALLOW else "filepath",
        details={
            "findings": [{"kind": f.kind, "layer": f.layer, "what": str(f)} for f in refused[:100]]
        },
    )


def is_known(item: dict, custom_objects: dict) -> bool:
    """Whether the call or the session has the class of an entry of a manifest."""
    objects = _Objects(custom_objects, True)
    name, registered = str(item.get("name")), item.get("registered")
    return objects.supplied(name) or objects.known(registered)


# ---- one dict ---------------------------------------------------------------------------------------------


def _look(node: dict, layer: str, audit: Audit, objects: _Objects) -> str:
    """Look at one dict; returns the name of the layer that what is inside belongs to."""
    name = node.get("class_name")
    if "class_name" not in node:
        return layer
    if not isinstance(name, str):
        audit.findings.append(Finding("form", layer, f"A class name of type {type(name).__name__}"))
        return layer
    inner = node.get("config")
    label = layer
    if name.startswith("Custom>") and name[7:] in names.PARTS:  # how Keras 2 names its optimizers
        name = name[7:]
    if name not in names.PLAIN and name != "function" and isinstance(inner, (dict, list)):
        own = inner.get("name") if isinstance(inner, dict) else None
        is_layer = name in names.LAYERS or name not in names.PARTS
        if is_layer and (own is not None or not layer):
            label = f"layer '{own}' ({name})" if isinstance(own, str) else f"{name}"
            audit.layers += 1
        if isinstance(own, str) and _leads_out(own):
            audit.findings.append(Finding("name", "", f"The layer name '{own[:60]}'"))
    _look_at_class(node, name, label, audit, objects)
    if isinstance(inner, dict):
        _look_at_values(name, inner, label, audit, objects)
    return label


def _leads_out(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    return ".." in parts or name.startswith(("/", "\\")) or "\x00" in name


def _look_at_class(node: dict, name: str, label: str, audit: Audit, objects: _Objects) -> None:
    module, registered = node.get("module"), node.get("registered_name")
    if name in names.PLAIN or (name in names.OLDER_PLAIN and "config" not in node):
        return
    if name == "__lambda__":
        audit.findings.append(Finding("lambda", label, "A Python lambda"))
        return
    if name == "__typespec__":
        if node.get("spec_name") not in names.TYPE_SPECS:
            audit.findings.append(Finding("callable", label, f"'{node.get('spec_name')}'"))
        return
    if "config" not in node and "class_name" in node and not (module or registered):
        if name == "CompositeTensor":
            audit.findings.append(Finding("callable", label, "'CompositeTensor'"))
        return
    for word in (name, node.get("config") if name == "function" else None, registered):
        kind = names.FOREIGN.get(word.split(">")[-1]) if isinstance(word, str) else None
        if kind and word not in objects.given:
            audit.findings.append(Finding(kind, label, f"'{word}'"))
            return
    if not (module is None or isinstance(module, str)) or not (
        registered is None or isinstance(registered, str)
    ):
        audit.findings.append(Finding("form", label, "A module or registered name that is no text"))
        return
    if module is not None and not _MODULE.match(module):
        audit.findings.append(Finding("callable", label, f"The module '{module[:60]}'"))
        return
    if name == "function":
        _look_at_function(node.get("config"), module, registered, label, audit, objects)
        return
    audit.classes.add((name, module, registered))
    if module is None and name in names.OPERATIONS and names.is_operation(node):
        return
    module = names.public_module(module)
    if (
        objects.known(registered)
        or objects.supplied(name)
        or (not registered and objects.known(name))
    ):
        return
    family = module.split(".")[0] if module else None
    older = module is not None and module.startswith(
        ("tensorflow.keras", "tensorflow.python.keras")
    )
    if module is None or family in _FAMILIES or older or family == "builtins":
        verdict = _keras_class(name, module, objects)
        if verdict == "yes":
            return
        if verdict == "no" and family in _FAMILIES and registered in (None, name):
            audit.findings.append(Finding("keras_function", label, f"'{module}.{name}'"))
            return
    elif family in _STDLIB:
        audit.findings.append(Finding("callable", label, f"'{module}.{name}'"))
        return
    elif objects.keras is not None:
        imported = vars(sys.modules.get(module, names)).get(name)
        if objects.buildable(imported):
            audit.imported[name] = imported  # by a person, before
            return
    full = registered if registered and ">" in registered else name
    audit.missing.append(Missing(name.split(">")[-1], module, full, "class", label))


def _keras_class(name: str, module: Optional[str], objects: _Objects) -> str:
    """ "yes", "no", or "unknown": a class of another library of the family, or of no module."""
    if module is None or module == "builtins":
        if name in names.CLASSES:
            return "yes"
        if objects.keras is not None:
            for place in ("layers", "optimizers", "losses", "metrics", "initializers"):
                if objects.buildable(objects.find(f"keras.{place}", name)):
                    return "yes"
        return "unknown"
    parts = module.split(".")
    # keras.layers, keras.<inner>.layers..., tf_keras.<inner>.engine..., tensorflow.python.keras.layers
    inside = [
        part for part in parts if part not in ("src", "tensorflow", "python", "api", "_tf_keras")
    ]
    places = names.CLASS_MODULES | {
        "engine",
        "wrappers",
        "feature_column",
        "saving",
        "optimizer_v2",
        "legacy_tf_layers",
    }
    if (
        len(inside) > 1
        and inside[1] not in places
        and inside[0] not in ("keras_hub", "keras_nlp", "keras_cv")
    ):
        return "no"
    if name in names.CLASSES:
        return "yes"
    if not name.isidentifier():
        return "no"
    if objects.keras is None:
        return "yes" if parts[0] == "keras" and name[:1].isupper() else "unknown"
    found = objects.find(module, name)
    if found is None:
        return "unknown"
    return "yes" if objects.buildable(found) else "no"


def _look_at_function(
    name: Any,
    module: Optional[str],
    registered: Optional[str],
    label: str,
    audit: Audit,
    objects: _Objects,
) -> None:
    if not isinstance(name, str):
        audit.findings.append(Finding("form", label, "A function without a name"))
        return
    audit.classes.add((name, module, name))
    if objects.known(name) or objects.supplied(name):
        return
    if registered and ">" in registered and objects.known(registered):
        return
    family = module.split(".")[0] if module else "builtins"
    if family == "builtins":
        if name in names.FUNCTIONS or _builtin_function(name, objects):
            return
        if hasattr(builtins, name) or not name.replace(">", "_").isidentifier():
            audit.findings.append(Finding("callable", label, f"'{name[:60]}'"))
            return
    elif family == "keras":
        public = ".".join(p for p in module.split(".") if p not in ("src", "_tf_keras"))
        inner = public.split(".")[1:2]
        fits = (
            public in names.FUNCTION_MODULES
            or (public != module and f"keras.{inner[0] if inner else ''}" in names.FUNCTION_MODULES)
            or public.startswith(names.FUNCTIONS_ELSEWHERE.get(name, "\n"))
        )
        if fits and name.isidentifier() and name not in names.NOT_FUNCTIONS and name[0] != "_":
            return
        audit.findings.append(Finding("keras_function", label, f"'{module}.{name[:60]}'"))
        return
    elif family in _STDLIB:
        audit.findings.append(Finding("callable", label, f"'{module}.{name[:60]}'"))
        return
    full = registered if registered and ">" in registered else name
    audit.missing.append(Missing(name.split(">")[-1], module, full, "function", label))


def _builtin_function(name: str, objects: _Objects) -> bool:
    if objects.keras is None or name in names.NOT_FUNCTIONS:
        return False
    places = ("activations", "losses", "metrics", "initializers", "regularizers", "constraints")
    return any(callable(objects.find(f"keras.{place}", name)) for place in places)


def _look_at_values(name: str, inner: dict, label: str, audit: Audit, objects: _Objects) -> None:
    """Values that mean more than they seem: byte code of Keras 2, vocabularies, functions by name."""
    if name == "Lambda":
        for key in ("function", "output_shape", "mask"):
            value, kind = inner.get(key), inner.get(f"{key}_type")
            listed = isinstance(value, (list, tuple)) and value and isinstance(value[0], str)
            if kind == "lambda" or listed:
                audit.findings.append(Finding("lambda", label, f"The `{key}` of a Lambda layer"))
            elif isinstance(value, str) and not objects.known(value) and key != "mask":
                if value not in names.FUNCTIONS and not _builtin_function(value, objects):
                    audit.missing.append(
                        Missing(value, inner.get("module"), None, "function", label)
                    )
    if name.split(">")[-1] in _VOCABULARIES or name == "Feature":
        for key, value in inner.items():
            if key in ("vocabulary", "vocabulary_file", "idf_weights") and isinstance(value, str):
                audit.findings.append(Finding("vocabulary", label, f"The {key} '{value[:80]}'"))
    if name in names.LAYERS:
        for key in ("activation", "recurrent_activation"):
            value = inner.get(key)
            if (
                isinstance(value, str)
                and value not in names.ACTIVATIONS
                and not objects.known(value)
            ):
                if not _builtin_function(value, objects) and value not in names.LAYERS:
                    audit.missing.append(Missing(value, None, None, "function", label))
