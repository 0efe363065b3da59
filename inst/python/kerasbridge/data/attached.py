"""Where a model keeps the schema of the table it was trained on."""

from __future__ import annotations

from typing import Any, Optional

from kerasbridge.data.schema import Learnt, Schema, as_schema

_ATTRIBUTE = "kerasbridge_schema"


def schema_of(model: Any) -> Optional[Schema]:
    """The schema of a model, or None."""
    return as_schema(getattr(model, _ATTRIBUTE, None))


def attach_schema(model: Any, schema: Learnt) -> None:
    """Let a model keep `schema` (a `Schema`, its plain data or its JSON); None takes it away."""
    found = as_schema(schema)
    # as text: Keras follows dicts and lists that are set on a model
    setattr(model, _ATTRIBUTE, None if found is None else found.to_json())
