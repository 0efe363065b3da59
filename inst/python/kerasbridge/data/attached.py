"""The schema of the table that a model was trained on: kept with the model, and in its file."""

from __future__ import annotations

from typing import Any, Optional

from kerasbridge.data.schema import Learnt, Schema, as_schema
from kerasbridge.runtime.attached import attach, details

_KEY = "schema"


def schema_of(model: Any) -> Optional[Schema]:
    """The schema of a model, or None."""
    return as_schema(details(model).get(_KEY))


def attach_schema(model: Any, schema: Learnt) -> None:
    """Let a model keep `schema` (a `Schema`, its plain data or its JSON); None takes it away."""
    found = as_schema(schema)
    attach(model, _KEY, None if found is None else found.get_config())
