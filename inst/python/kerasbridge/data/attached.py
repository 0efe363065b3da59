"""Where a model keeps the schema of the table it was trained on: among the details that are saved with it."""

from __future__ import annotations

import json
from typing import Any, Optional

from kerasbridge.data.schema import Learnt, Schema, as_schema
from kerasbridge.runtime.attached import attach, details


def schema_of(model: Any) -> Optional[Schema]:
    """The schema of a model, or None."""
    return as_schema(details(model).get("schema"))


def attach_schema(model: Any, schema: Learnt) -> None:
    """Let a model keep `schema` (a `Schema`, its plain data or its JSON); None takes it away."""
    found = as_schema(schema)
    attach(model, "schema", None if found is None else json.loads(found.to_json()))
