"""Messages of Python, TensorFlow, Keras, pip and reticulate that people meet, and what each means.

One table, `messages.tsv`, serves the errors that reach R, the doctor and whoever pastes a message
into `python -m kerasbridge.environment explain`. R reads the same file where there is no Python.

A row: `id`; `kind` (of condition, see `kerasbridge.errors`; "noise" is nothing to act on); `pattern`, a
regular expression of the dialect that Python and PCRE share; `cause` and `fix`, in which `{name}`
stands for the group `name` of the pattern (`name2`, `name3` are the same thing in another branch
of it). The first row that matches counts, so that particular ones stand before general ones.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Optional, Tuple

_TABLE = Path(__file__).with_name("messages.tsv")
_PLACE = re.compile(r"\{([a-z]+)\}")
_UNKNOWN = "(not said)"


@dataclass(frozen=True)
class Explanation:
    """What a message means: `cause` and `fix` are one or two sentences each."""

    id: str
    kind: str
    cause: str
    fix: str
    found: Dict[str, str] = field(default_factory=dict)


@functools.lru_cache(maxsize=1)
def table() -> Tuple[Tuple[str, str, re.Pattern, str, str], ...]:
    """The rows: id, kind, compiled pattern, cause, fix."""
    lines = _TABLE.read_text(encoding="utf-8").splitlines()[1:]
    rows = (line.split("\t") for line in lines if line)
    return tuple((i, kind, re.compile(p, re.DOTALL), cause, fix) for i, kind, p, cause, fix in rows)


def explain(text: str) -> Optional[Explanation]:
    """What the message `text` (an error, a log, a pasted traceback) means; None if unknown."""
    text = str(text)
    for row, kind, pattern, cause, fix in table():
        match = pattern.search(text)
        if match:
            found = _groups(match)
            return Explanation(row, kind, _fill(cause, found), _fill(fix, found), found)
    return None


def _groups(match: re.Match) -> Dict[str, str]:
    """Named groups that matched, under their names without the number of the branch."""
    found: Dict[str, str] = {}
    for name, value in match.groupdict().items():
        if value:
            found.setdefault(name.rstrip("0123456789"), value.strip("\"'`,;"))
    return found


def _fill(sentence: str, found: Dict[str, str]) -> str:
    return _PLACE.sub(lambda place: found.get(place.group(1), _UNKNOWN), sentence)
