"""A model's architecture as text: JSON or YAML, without weights.

JSON is Keras' own `to_json`. YAML holds the same tree in the same order, for people to edit; it is read
by PyYAML's safe loader, which makes plain values only, and within limits on size, depth and aliases.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import Any, Iterator, Optional, Union

from kerasbridge.errors import (
    ArgumentError,
    FileError,
    InstallError,
    KerasBridgeError,
    UnsafeFileError,
)
from kerasbridge.files import write_text
from kerasbridge.saving.arguments import arguments_kept
from kerasbridge.saving.door import check_older_config, first_words, own_error
from kerasbridge.saving.modules import with_modules
from kerasbridge.saving.nested import built_once
from kerasbridge.saving.safety.config import check_allow, check_config
from kerasbridge.saving.safety.memory import limited_variables, memory_of_computer
from kerasbridge.saving.safety.texts import Twice, once

PathLike = Union[str, "os.PathLike[str]"]

MAX_TEXT = 64 * 2**20  # bytes of text
MAX_NODES = 2_000_000  # values after every alias is expanded
MAX_DEPTH = 200


def model_to_json(model: Any, indent: Optional[int] = None) -> str:
    """The architecture as JSON; `indent` is the number of spaces a level, None for one line."""
    with arguments_kept(model):
        return model.to_json() if indent is None else model.to_json(indent=int(indent))


def model_from_json(text: str, custom_objects: Optional[dict] = None, allow: Any = ()) -> Any:
    """A model, with new weights, from the JSON of `model_to_json` or Keras' `to_json`.

    Raises:
        ArgumentError: the text is not the JSON of a model, or Keras can't make the model.
        UnsafeFileError: it is larger or deeper than any model, or names what no model has.
    """
    _check_text(text, "json_string")
    try:
        tree = json.loads(text, object_pairs_hook=once)
    except Twice as err:
        raise ArgumentError(
            f"`json_string` has the key '{err.args[0][:60]}' twice in one place.",
            argument="json_string",
        ) from err
    except (json.JSONDecodeError, RecursionError) as err:
        raise ArgumentError(
            f"`json_string` is not valid JSON: {err}.",
            hint="It must be the text that model_to_json() gives; load_model_config() reads a file.",
            argument="json_string",
        ) from err
    return _from_tree(tree, custom_objects, "json_string", check_allow(allow))


def model_to_yaml(model: Any) -> str:
    """The architecture as YAML, keys in Keras' order.

    Raises:
        InstallError: PyYAML is not installed.
    """
    return _yaml().safe_dump(
        _editable(json.loads(model_to_json(model))),
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
    )


def _editable(tree: dict) -> dict:
    """Without what repeats the shapes of each layer: a changed `units` must not contradict it.

    The layers are built anew from the input of the model, whose own `build_config` stays.
    """

    def bare(value: Any) -> Any:
        if isinstance(value, list):
            return [bare(item) for item in value]
        if isinstance(value, dict):
            return {k: bare(v) for k, v in value.items() if k != "build_config"}
        return value

    out = {key: bare(value) for key, value in tree.items() if key != "compile_config"}
    if "build_config" in tree:
        out["build_config"] = tree["build_config"]
    return out


def model_from_yaml(text: str, custom_objects: Optional[dict] = None, allow: Any = ()) -> Any:
    """A model, with new weights, from the YAML of `model_to_yaml`.

    Raises:
        InstallError: PyYAML is not installed.
        ArgumentError: the text is not the YAML of a model, or Keras can't make the model.
        UnsafeFileError: it asks for objects instead of values, or is too large, deep or repeated.
    """
    _check_text(text, "yaml")
    return _from_tree(read_yaml(text), custom_objects, "yaml", check_allow(allow))


def save_config(model: Any, filepath: PathLike, overwrite: bool = False) -> str:
    """Write the architecture to a file ending in `.json`, `.yaml` or `.yml`; returns the path."""
    name = os.path.expanduser(os.fspath(filepath))
    ending = os.path.splitext(name)[1].lower()
    if ending not in (".json", ".yaml", ".yml"):
        raise FileError(
            f"'{os.path.basename(name)}' does not end in .json, .yaml or .yml.",
            hint="The ending chooses the format.",
            argument="filepath",
        )
    text = model_to_json(model, indent=2) if ending == ".json" else model_to_yaml(model)
    return write_text(name, text + "\n", overwrite)


def load_config(filepath: PathLike, custom_objects: Optional[dict] = None, allow: Any = ()) -> Any:
    """The model, with new weights, whose architecture a file holds; `allow` as for `load_model`."""
    name = os.path.expanduser(os.fspath(filepath))
    if not os.path.isfile(name):
        raise FileError(
            f"There is no file '{name}'.",
            hint=f"The current folder is '{os.getcwd()}'.",
            argument="filepath",
        )
    if os.path.getsize(name) > MAX_TEXT:
        raise UnsafeFileError(
            f"'{name}' is too large for an architecture ({os.path.getsize(name):,} bytes).",
            argument="filepath",
        )
    try:
        with open(name, encoding="utf-8") as file:
            text = file.read()
    except UnicodeDecodeError as err:
        raise FileError(
            f"'{name}' is not a text file.",
            hint="For a whole model use load_model().",
            argument="filepath",
        ) from err
    yaml = os.path.splitext(name)[1].lower() in (".yaml", ".yml")
    try:
        return (model_from_yaml if yaml else model_from_json)(text, custom_objects, allow)
    except (ArgumentError, FileError) as err:
        # what is said of the text is true of the file
        word = "yaml" if yaml else "json_string"
        if f"`{word}`" not in err.message:
            raise
        kind = type(err) if isinstance(err, FileError) else FileError
        raise kind(
            err.message.replace(f"`{word}`", f"'{name}'"),
            hint=err.hint,
            argument="filepath" if err.argument == word else err.argument,
            details=err.details,
        ) from err


def _check_text(text: Any, argument: str) -> None:
    if not isinstance(text, str) or not text.strip():
        raise ArgumentError(f"`{argument}` must be a text that is not empty.", argument=argument)
    if len(text) > MAX_TEXT:
        raise UnsafeFileError(
            f"`{argument}` is too large for an architecture ({len(text):,} characters).",
            argument=argument,
        )
    depth = deepest = 0
    if argument == "json_string":
        for sign in re.findall(r"[\[{\]}]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)):
            depth += 1 if sign in "[{" else -1
            deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise UnsafeFileError(f"`{argument}` is nested {deepest} levels deep.", argument=argument)


def _from_tree(tree: Any, custom_objects: Optional[dict], argument: str, allow: Any = ()) -> Any:
    import keras

    if not isinstance(tree, dict) or "class_name" not in tree or "config" not in tree:
        raise ArgumentError(
            f"`{argument}` does not describe a model: it has no `class_name` and `config`.",
            hint="For the configuration of a layer or an optimizer use from_config().",
            argument=argument,
        )
    from kerasbridge.saving import legacy

    source = f"`{argument}`"
    if legacy.is_older_tree(tree):
        from kerasbridge import layers

        layers.register()
        check_older_config(tree, custom_objects, allow, source)
        with _building(source, argument):
            return legacy.model_from_tree(tree, custom_objects, allow)
    audit = check_config(tree, custom_objects=custom_objects, allow=allow, live=True, source=source)
    custom_objects = {**audit.imported, **(custom_objects or {})}
    with _building(source, argument):
        return keras.saving.deserialize_keras_object(
            built_once(with_modules(tree)), custom_objects=custom_objects, safe_mode=not allow
        )


@contextlib.contextmanager
def _building(source: str, argument: str) -> Iterator[None]:
    """Around the call of Keras: no more memory than there is, and one class for what goes wrong."""
    try:
        with limited_variables(memory_of_computer(), None, source):
            yield
    except KerasBridgeError:
        raise
    except Exception as err:  # noqa: B902 - a dozen classes come from Keras and the backend
        ours = own_error(err)
        if ours is not None:
            raise ours from err
        raise ArgumentError(
            f"{source} describes no model that Keras can make: {first_words(err)}",
            hint="It was changed by hand, or written by a later Keras.",
            argument=argument,
            details={"type": type(err).__name__},
        ) from err


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as err:
        raise InstallError(
            "YAML needs the Python package PyYAML, which is not installed.",
            hint="Install it in the environment of Keras: `pip install pyyaml`, or, where py_require() makes that, "
            '`py_require("pyyaml")` at the start of a session. Or use JSON: model_to_json().',
        ) from err
    return yaml


def _loader(yaml: Any) -> type:
    """PyYAML's safe loader; `1e-3` is a number, and a date stays text, as in JSON."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if not tag.endswith(":timestamp")]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    number = re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return Loader


def read_yaml(text: str) -> Any:
    """The plain values of a YAML text.

    Raises:
        InstallError: PyYAML is not installed.
        ArgumentError: the text is not YAML.
        UnsafeFileError: it asks for objects instead of values, or is too large, deep or repeated.
    """
    yaml = _yaml()
    loader_class = _loader(yaml)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=loader_class):
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                depth += 1
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                depth -= 1
            if depth > MAX_DEPTH:
                raise UnsafeFileError("`yaml` is nested too deep for a model.", argument="yaml")
        _count(yaml, yaml.compose(text, Loader=loader_class), {}, set())
        return yaml.load(text, Loader=loader_class)  # noqa: S506 - a subclass of the safe loader
    except yaml.constructor.ConstructorError as err:
        raise UnsafeFileError(
            f"`yaml` asks for something else than plain values: {err.problem}.",
            hint="The architecture of a model is text, numbers, lists and names only.",
            argument="yaml",
        ) from err
    except yaml.YAMLError as err:
        raise ArgumentError(
            f"`yaml` is not valid YAML: {' '.join(str(err).split())}.", argument="yaml"
        ) from err


def _count(yaml: Any, node: Any, known: dict, above: set) -> int:
    """Values under a node, each alias counted as a copy of what it stands for."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in above:
        raise UnsafeFileError("`yaml` has an alias that contains itself.", argument="yaml")
    if id(node) not in known:
        parts = (
            [part for pair in node.value for part in pair]
            if isinstance(node, yaml.MappingNode)
            else node.value
        )
        if isinstance(node, yaml.MappingNode):
            _check_keys([key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
        above.add(id(node))
        known[id(node)] = 1 + sum(_count(yaml, part, known, above) for part in parts)
        above.discard(id(node))
        if known[id(node)] > MAX_NODES:
            raise UnsafeFileError(
                f"`yaml` stands for more than {MAX_NODES:,} values once its aliases are expanded.",
                argument="yaml",
            )
    return known[id(node)]


def _check_keys(keys: list) -> None:
    if len(set(keys)) == len(keys):
        return
    for key in (k for i, k in enumerate(keys) if k in keys[:i]):
        raise ArgumentError(
            f"`yaml` has the key '{str(key)[:60]}' twice in one place.", argument="yaml"
        )
