"""Bidirectional layers as Keras 3.0 to 3.2 can read them back.

Those versions build the layer within one twice when it is made from its configuration: from the shape that
is noted with it, and with the layer around it. Its cell then has its weights twice, and those of the
file fit neither. Without that note it is built once.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import zipfile
from typing import Any, Iterator

from kerasbridge.runtime.keras_version import keras_before

_CONFIG = "config.json"


def built_once(config: Any) -> Any:
    """A configuration without that note, where the installed Keras needs it so."""
    return _without_note(config) if keras_before(3, 3) else config


def _without_note(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_note(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: _without_note(item) for key, item in value.items()}
    if value.get("class_name") == "Bidirectional" and isinstance(value.get("config"), dict):
        for part in ("layer", "backward_layer"):
            if isinstance(value["config"].get(part), dict):
                value["config"][part].pop("build_config", None)
    return value


@contextlib.contextmanager
def with_built_once(path: str) -> Iterator[str]:
    """A path to the `.keras` file at `path` with such a configuration: itself, or a copy for the time."""
    config = None
    if keras_before(3, 3):
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read(_CONFIG))
    changed = built_once(config)
    if changed == config:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="kerasbridge-") as folder:
        other = os.path.join(folder, "content.keras")
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
            for name in old.namelist():
                with old.open(name) as source, new.open(name, "w", force_zip64=True) as target:
                    if name == _CONFIG:
                        target.write(json.dumps(changed).encode())
                    else:
                        shutil.copyfileobj(source, target, 2**20)
        yield other
