"""The function of a Lambda layer: a name, or byte code that only runs when the caller says so.

The one place that decides on byte code in older files.
"""

from __future__ import annotations

from typing import Any

import keras

from kerasbridge.saving.legacy.context import Context

ALLOW = "lambda"


def rewrite(config: dict, ctx: Context) -> None:
    """Puts a callable in the place of `function` (and of `output_shape`, `mask`).

    A function the caller gave under the layer's name, or the function's own, comes first.

    Raises:
        UnsafeFileError: the function is byte code and `allow` doesn't hold "lambda".
        UnsupportedError: its name is not known, or the byte code is another Python's.
    """
    given = ctx.custom_objects.get(config.get("name"))
    kind = config.pop("function_type", None)
    config["function"] = given or _function(config.get("function"), kind, ctx)
    shape_kind = config.pop("output_shape_type", "raw")
    if given is not None or config.get("output_shape") is None:
        config.pop("output_shape", None)
    elif shape_kind != "raw":
        config["output_shape"] = _function(config["output_shape"], shape_kind, ctx)
    mask_kind = config.pop("mask_type", None)
    if config.get("mask") is not None:
        config["mask"] = _function(config["mask"], mask_kind, ctx)
    for key in ("module", "output_shape_module", "mask_module"):
        config.pop(key, None)
    if not config.get("arguments"):
        config.pop("arguments", None)


def is_code(value: Any) -> bool:
    """Whether a value of a configuration holds byte code (any style since Keras 1)."""
    if isinstance(value, dict):
        return value.get("class_name") == "__lambda__"
    return isinstance(value, (list, tuple)) and len(value) == 3 and isinstance(value[0], str)


def _function(value: Any, kind: Any, ctx: Context) -> Any:
    if is_code(value) or kind == "lambda":
        return _from_code(value, ctx)
    if isinstance(value, dict) and isinstance(value.get("config"), str):
        value = value["config"]
    found = ctx.custom(value)
    if found is not None:
        return found
    raise ctx.refusal(
        f"its function '{value}' is not in the file.",
        hint=f"Give it: `custom_objects = list({value} = <function>)`, "
        f"or under the layer's name: `custom_objects = list({ctx.layer} = <function>)`.",
    )


def _from_code(value: Any, ctx: Context) -> Any:
    replace = (
        f"or give the function itself under the layer's name: "
        f"`custom_objects = list({ctx.layer} = <function>)`."
    )
    if ALLOW not in ctx.allow:
        raise ctx.refusal(
            "it holds Python byte code, which would run as soon as the model is used.",
            hint=f'If you trust the maker of the file, say `allow = "lambda"`, {replace}',
            unsafe=True,
        )
    if isinstance(value, dict):
        parts = value["config"]
        code = {"code": parts.get("code", parts.get("value")), **_rest(parts)}
    else:
        code = {"code": value[0], "defaults": value[1], "closure": value[2]}
    try:
        function = keras.saving.deserialize_keras_object(
            {"class_name": "__lambda__", "config": {**code, "value": code["code"]}}, safe_mode=False
        )
    except Exception as err:  # another Python's byte code fails in many ways
        raise ctx.refusal(
            "its byte code was written by another version of Python and can't be read by this one.",
            hint=f"Convert the file with that Python: convert_model(), {replace}",
        ) from err
    return function


def _rest(parts: dict) -> dict:
    return {"defaults": parts.get("defaults"), "closure": parts.get("closure")}
