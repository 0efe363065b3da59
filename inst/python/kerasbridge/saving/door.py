"""The door: parse, audit, then construct. Every load of a model or of weights goes through it."""

from __future__ import annotations

import contextlib
import re
import warnings
from typing import Any, Iterator, Optional

from kerasbridge.data.schema import as_schema
from kerasbridge.environment.messages import explain
from kerasbridge.errors import FileError, KerasBridgeError
from kerasbridge.runtime.attached import attach, details
from kerasbridge.saving import manifest
from kerasbridge.saving.contents import Contents, PathLike, read_contents
from kerasbridge.saving.python_source import imported_function, run_source
from kerasbridge.saving.report import ModelFileWarning
from kerasbridge.saving.safety.config import (
    MAX_LAYERS,
    audit_config,
    check_allow,
    check_config,
    is_known,
    raise_refused,
)
from kerasbridge.saving.safety.memory import limited_variables, variables_limit
from kerasbridge.saving.safety.names import public_module
from kerasbridge.saving.safety.texts import damaged
from kerasbridge.saving.unused import unused_weights
from kerasbridge.saving.verifying import Verification

NOT_NUMBERS = "holds weights that are not numbers (NaN)"


class Door:
    """One file on its way to becoming a model.

    Args:
        filepath: the file.
        custom_objects: name -> class or function that the session supplies.
        allow: what is permitted although it is not safe; see `load_model`.
        max_size: bytes that the content and the model may have.
        max_layers: number of layers from which on a model is refused.
        later: the values of a large HDF5 file are compared from `compare` on, not at once.

    Raises:
        FileError, UnsafeFileError: see `read_contents` and `Verification`.
    """

    def __init__(
        self,
        filepath: PathLike,
        custom_objects: Optional[dict] = None,
        allow: Any = (),
        max_size: Optional[int] = None,
        max_layers: Optional[int] = None,
        later: bool = False,
    ):
        self.allow = check_allow(allow)
        self.custom_objects = dict(custom_objects or {})
        self.stand_ins: dict = {}
        self.max_size = None if max_size is None else int(max_size)
        self._full_names: set = set()
        self._of_backend: set = set()
        self.max_layers = MAX_LAYERS if max_layers is None else int(max_layers)
        self.contents: Contents = read_contents(filepath, self.max_size)
        later = later and self.contents.kind == "h5"
        self._verification = Verification(self.contents, "changed" not in self.allow, later)

    @property
    def source(self) -> str:
        return self.contents.source

    @property
    def safe_mode(self) -> bool:
        """What Keras is told: its own checks stay on unless something was allowed."""
        return not {"lambda", "pickle", "saved_model", "vocabulary"} & set(self.allow)

    def check_whole_model(self, compile: bool = True) -> None:
        """Refuse weights alone, and configurations that name more than parts of models.

        Raises:
            FileError: not a whole model, or classes are missing.
            UnsafeFileError: see `check_config`.
        """
        self._check_whole()
        self._stand_in()
        self.check(self.contents.config, compile)
        if compile and self.contents.training is not None:
            self.check(self.contents.training, True)

    def _stand_in(self) -> None:
        """Take what the file holds of classes that the session lacks: programs, and code if allowed."""
        from kerasbridge.saving import stand_ins

        lacking = []
        for item in (self.contents.manifest or {}).get("custom_objects", []):
            if is_known(item, self.custom_objects):
                continue
            imported = imported_function(item.get("origin"))
            if item.get("kind") == "function" and imported is not None:
                self.custom_objects[item["name"]] = imported
                continue
            if "python_code" in self.allow and isinstance(item.get("python"), str):
                self.custom_objects[item["name"]] = run_source(item, self.source)
            if not item.get("programs"):
                continue
            made = stand_ins.stand_in(item, self.source)
            self.stand_ins[item["name"]] = made
            lacking.append(item)
        if lacking:
            self.custom_objects.update({**self.stand_ins, stand_ins.PART: stand_ins.Part})
        for item in lacking:
            for config in stand_ins.configurations(item):
                self.check(config)
        for made in self.stand_ins.values():
            if hasattr(made, "_program"):
                made._program.prepare()

    def objects(self) -> dict:
        """What the call supplied, also under the full names that the file has for it.

        Optimizers that PyTorch has a class of its own for are found on every backend.
        """
        import keras

        out = dict(self.custom_objects)
        for name in self._of_backend:
            out.setdefault(name, getattr(keras.optimizers, name))
        for name, registered in sorted(self._full_names):
            short = name.split(">")[-1]
            if short in out and short != registered:
                out.setdefault(registered, out[short])
        return out

    def check(self, config: Any, compile: bool = True, live: bool = True) -> None:
        """`check_config` with what this load allows and supplies."""
        import keras

        if not compile and isinstance(config, dict):
            config = {key: value for key, value in config.items() if key != "compile_config"}
        audit = check_config(
            config,
            custom_objects=self.custom_objects,
            allow=[word for word in self.allow if word not in ("changed", "python_code")],
            live=live,
            source=self.source,
            origins=manifest.origins(self.contents.manifest),
            max_layers=self.max_layers,
        )
        self.custom_objects = {**audit.imported, **self.custom_objects}
        self._full_names.update((name, full or name) for name, _, full in audit.classes)
        self._of_backend.update(
            name
            for name, module, _ in audit.classes
            if public_module(module) != module and hasattr(keras.optimizers, name)
        )

    def _check_whole(self) -> None:
        if self.contents.config is None:
            raise FileError(
                f"{self.source} holds {self.contents.what}, not a whole model.",
                hint="Make the model, then `load_model_weights()`.",
                argument="filepath",
            )

    @property
    def of_keras_2(self) -> bool:
        """Whether Keras 1 or 2 wrote the file; the reader in `legacy/` is the one for it."""
        from kerasbridge.saving.legacy.reading import major

        written = major(self.contents.versions.get("keras_version"))
        if self.contents.kind in ("h5", "older_weights"):
            return (written or 0) < 3
        return self.contents.kind == "keras" and written is not None and written < 3

    def check_older_model(self, compile: bool = True) -> None:
        """As `check_whole_model`, for a file of Keras 1 or 2.

        Its reader imports nothing by name and says itself what is missing.

        Raises:
            FileError: not a whole model.
            UnsafeFileError: see `check_older_config`.
        """
        self._check_whole()
        for part in (self.contents.config, self.contents.training if compile else None):
            check_older_config(part, self.custom_objects, self.allow, self.source, self.max_layers)

    @contextlib.contextmanager
    def building(self, way_on: str = "") -> Iterator[None]:
        """Around the call of Keras: a limit on memory, and one class for what goes wrong.

        Args:
            way_on: what else a person may do, for the error's hint.

        Raises:
            FileError: Keras can't make the model; its own words come along.
        """
        stored = self.contents.declared
        try:
            with limited_variables(variables_limit(stored, self.max_size), stored, self.source):
                yield
        except KerasBridgeError:
            raise
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as err:  # noqa: B902 - a dozen classes come from Keras and the backend
            ours = own_error(err)
            if ours is not None:
                raise ours from err
            self._verification.finish()
            version = self.contents.versions.get("keras_version")
            raise not_loaded(self.source, err, version, way_on) from err

    def compare(self) -> None:
        """Begin to compare the values of an HDF5 file with their checksums, where that is to come `later`."""
        self._verification.begin()

    def verified(self) -> None:
        """Wait until all values are compared with their checksums.

        Raises:
            FileError: names the part that is damaged.
        """
        self._verification.finish()

    def finish_weights(self, model: Any) -> list:
        """The last looks at weights that were loaded; warns of values that are no numbers.

        Returns:
            What was warned of, in sentences.

        Raises:
            FileError: names the part that is damaged.
        """
        bad = self._verification.finish()
        if not bad:
            return []
        return [warn_of(model, f"{self.source} {NOT_NUMBERS}: {few(bad)}.")]

    def finish(self, model: Any) -> Any:
        """The model with the details that travelled in its file."""
        self.finish_weights(model)
        unused = unused_weights(model, self.contents)
        if unused:
            names = few([f"'{layer}' ({reason})" for layer, reason, _ in unused])
            warn_of(model, f"{self.source} holds weights that are not used: {names}.")
        held = (self.contents.manifest or {}).get("details", {})
        try:
            as_schema(held.get("schema"))
        except (KerasBridgeError, TypeError, ValueError, KeyError, AttributeError) as err:
            raise damaged(
                self.source, "kerasbridge.json", f"the data schema: {str(err)[:150]}"
            ) from err
        for key, value in held.items():
            if key != "notes":
                attach(model, key, value)
        if self.stand_ins:
            attach(model, "stand_ins", sorted(self.stand_ins))
        return model


def not_loaded(
    source: str, err: BaseException, version: Optional[str] = None, way_on: str = ""
) -> FileError:
    """The error for a file that was looked at and that Keras can't read; has its words."""
    written = f" (written by Keras {version})" if version else ""
    known = explain(str(err))
    if known is not None and known.kind == "install":  # the file is sound; a package isn't here
        said, why = known.cause, known.fix
    else:
        said = first_words(err)
        why = "It is damaged, was changed by hand, or does not belong to this model."
    return FileError(
        f"{source}{written} can't be loaded: {said}",
        hint=f"{why} {way_on}".strip(),
        argument="filepath",
        details={"type": type(err).__name__},
    )


def first_words(err: BaseException) -> str:
    """The line of a long message of Keras that says what is wrong, and the layer where it tells one."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    # a layer in a model in a model: each tells the error of what is inside it, the last one the cause
    causes = [line for line in lines if line.startswith(_CAUSE)]
    said = next(
        (line for line in lines if "Exception encountered" in line), lines[0] if lines else ""
    )
    if causes:
        named = [found[1] for found in map(_OF_LAYER.search, lines) if found]
        where = f"layer '{named[-1]}': " if named else ""
        said = where + causes[-1].removeprefix(_CAUSE).strip()
    elif said.endswith(":") and said in lines[:-1]:  # what is wrong stands in the line below
        said = f"{said} {lines[lines.index(said) + 1]}"
    said = re.sub(r"\bvalue=\[.*", "...", said)  # the numbers of a weight say nothing here
    return said[:400] or type(err).__name__


_CAUSE = "Exception encountered:"
# how Keras tells the configuration that it could not make something of
_OF_LAYER = re.compile(
    r"\bconfig=\{(?:'module': 'keras\.layers'.{0,80}?'config': \{)?'name': '([^']{1,100})'"
)


def warn_of(model: Any, text: str) -> str:
    """Say something of a model that was loaded, and keep it with the model; returns the text."""
    warnings.warn(text, ModelFileWarning, stacklevel=4)
    attach(model, "notes", [*details(model).get("notes", []), text])
    return text


def few(names: list) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def check_file(filepath: PathLike, argument: str = "filepath") -> None:
    """Look at a file that Keras itself is going to read, and compare its checksums.

    Raises:
        FileError, UnsafeFileError: see `Door`; names `argument`.
    """
    try:
        door = Door(filepath)
        door._verification.finish()
    except FileError as err:
        err.argument = argument
        raise


def check_older_config(
    config: Any,
    custom_objects: Optional[dict],
    allow: Any = (),
    source: str = "The model",
    max_layers: int = MAX_LAYERS,
) -> None:
    """Refuse a configuration of Keras 1 or 2 that names more than parts of models.

    The byte code of Lambda layers is left to `legacy/lambdas.py`, since the call may supply the function.

    Raises:
        UnsafeFileError: names the layer, what it holds, and the argument that permits it.
    """
    allowed = set(check_allow(allow))
    refused = [
        found
        for found in audit_config(config, custom_objects, True, max_layers).findings
        if found.kind not in allowed
        and not (found.kind == "lambda" and found.says.endswith("of a Lambda layer"))
    ]
    if refused:
        raise_refused(refused, source)


def own_error(err: BaseException) -> Optional[KerasBridgeError]:
    """An error of this package behind one of Keras'."""
    seen: set = set()
    node: Optional[BaseException] = err
    while node is not None and id(node) not in seen:
        if isinstance(node, KerasBridgeError):
            return node
        seen.add(id(node))
        node = node.__cause__ or node.__context__
    return None
