"""Looking at the manifest of a saved model, and changing it."""

from __future__ import annotations

import json
import zipfile


def manifest_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("kerasbridge.json"))


def with_manifest(path, change):
    manifest = manifest_of(path)
    change(manifest)
    with zipfile.ZipFile(path) as archive:
        parts = {i.filename: archive.read(i.filename) for i in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, json.dumps(manifest) if name == "kerasbridge.json" else content)
