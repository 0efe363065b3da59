"""Saving and loading whole models and weights; every write is beside the target, then renamed."""

from __future__ import annotations

import importlib

_LAZY = {
    "InferenceModel": "kerasbridge.saving.saved_model",
    "WeightsReport": "kerasbridge.saving.report",
    "export_saved_model": "kerasbridge.saving.saved_model",
    "from_config": "kerasbridge.saving.configs",
    "get_config": "kerasbridge.saving.configs",
    "inspect_model": "kerasbridge.saving.inspecting",
    "load_config": "kerasbridge.saving.architecture",
    "load_model_tf": "kerasbridge.saving.saved_model",
    "load_saved_model": "kerasbridge.saving.saved_model",
    "load_weights_tf": "kerasbridge.saving.checkpoints",
    "model_from_bytes": "kerasbridge.saving.models",
    "model_from_json": "kerasbridge.saving.architecture",
    "model_from_yaml": "kerasbridge.saving.architecture",
    "model_to_bytes": "kerasbridge.saving.models",
    "model_to_json": "kerasbridge.saving.architecture",
    "model_to_yaml": "kerasbridge.saving.architecture",
    "save_config": "kerasbridge.saving.architecture",
    "save_model_tf": "kerasbridge.saving.saved_model",
    "save_weights_tf": "kerasbridge.saving.checkpoints",
    "register_object": "kerasbridge.saving.registering",
    "set_custom_objects": "kerasbridge.saving.registering",
    "get_state_tree": "kerasbridge.saving.registering",
    "set_state_tree": "kerasbridge.saving.registering",
    "replacing_folder": "kerasbridge.saving.atomic",
    "load_model": "kerasbridge.saving.models",
    "load_weights": "kerasbridge.saving.weights",
    "save_model": "kerasbridge.saving.models",
    "save_weights": "kerasbridge.saving.weights",
    "replacing": "kerasbridge.saving.atomic",
}

__all__ = sorted(_LAZY)


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'kerasbridge.saving' has no attribute '{name}'")
