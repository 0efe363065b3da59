"""JSON of a file as plain values: within limits, no key twice, no matter how deep it claims to be."""

from __future__ import annotations

import json
import re
from typing import Any, Union

from kerasbridge.errors import FileError, UnsafeFileError
from kerasbridge.saving.safety.config import MAX_DEPTH

MAX_TEXT = 64 * 2**20  # bytes
MAX_CONTAINERS = 2_000_000  # lists and dicts

_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.S)


def read_json(content: Union[bytes, str], part: str, source: str) -> Any:
    """The values of a JSON text.

    Args:
        content: the text.
        part: its name inside the file, for messages.
        source: the file, for messages.

    Raises:
        UnsafeFileError: it is larger or deeper than the description of any model.
        FileError: it is no JSON, or has a key twice.
    """
    data = (
        content.encode("utf-8", "surrogateescape") if isinstance(content, str) else bytes(content)
    )
    check_text_size(len(data), part, source)
    if data.count(b"{") + data.count(b"[") > MAX_CONTAINERS:
        raise UnsafeFileError(
            f"{source} is refused. The part '{part}' holds over {MAX_CONTAINERS:,} lists.",
            hint="No model needs that many.",
            argument="filepath",
        )
    if _depth(data) > MAX_DEPTH:
        raise UnsafeFileError(
            f"{source} is refused. The part '{part}' is nested over {MAX_DEPTH} levels deep.",
            hint="No model needs that.",
            argument="filepath",
        )
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=once)
    except Twice as err:
        raise damaged(source, part, f"the key '{err.args[0][:60]}' stands twice") from err
    except (ValueError, RecursionError) as err:
        raise damaged(source, part, f"no JSON: {str(err)[:200]}") from err


def check_text_size(size: int, part: str, source: str) -> None:
    """Refuse a text that is larger than the description of any model."""
    if size > MAX_TEXT:
        raise UnsafeFileError(
            f"{source} is refused. The part '{part}' has {size:,} bytes of text; the limit is {MAX_TEXT:,}.",
            hint="No model needs that much to describe it.",
            argument="filepath",
        )


def damaged(source: str, part: str, how: str, size: Any = None) -> FileError:
    """The error for a file that is not what was once written."""
    length = f" ({size:,} bytes)" if size is not None else ""
    where = f" in the part '{part}'" if part else ""
    return FileError(
        f"{source} is damaged or truncated{length}{where}: {how}.",
        hint="Save or copy it again.",
        argument="filepath",
        details={"part": part},
    )


class Twice(ValueError):
    """A key that stands twice in one dict."""


def once(pairs: list) -> dict:
    """The dict of these pairs.

    Raises:
        Twice: a key comes again.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        seen = set()
        for key, _ in pairs:
            if key in seen:
                raise Twice(key)
            seen.add(key)
    return found


def _depth(data: bytes) -> int:
    """How deep lists and dicts are nested; stops a little past the limit."""
    depth = deepest = 0
    for sign in re.finditer(rb"[\[{\]}]", _TEXTS.sub(b"", data)):
        depth += 1 if sign.group() in b"[{" else -1
        if depth > deepest:
            deepest = depth
            if deepest > MAX_DEPTH:
                break
    return deepest
