"""Judges a log of R CMD check: `check_log.py 00check.log [CONTRIBUTING.md]`.

Accepted: no ERROR, no WARNING, and only those NOTEs that a row of the table under the heading
"Accepted notes of R CMD check" in CONTRIBUTING.md explains. Such a row is
`| check | text | why |`; every paragraph of a note must match the text of a row (a regular
expression) that names its check. Exit status 0 where accepted, else 1.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HEADING = "Accepted notes of R CMD check"
_RESULT = re.compile(r"^\* (checking .*?) \.\.\.(?: \[[^\]]*\])?\s*(NOTE|WARNING|ERROR)?\s*$")


def findings(log: str) -> list:
    """(kind, check, text) of each NOTE, WARNING and ERROR in the log."""
    out: list = []
    current = None
    for line in log.splitlines():
        if line.startswith("* "):
            match = _RESULT.match(line)
            current = None
            if match:
                current = [match.group(2), match.group(1), []]
                out.append(current)
        elif current is not None:
            # "* checking tests ..." gives its outcome on a line of its own
            alone = re.fullmatch(r"\s*(?:\[[^\]]*\]\s*)?(NOTE|WARNING|ERROR|OK)\s*", line)
            if alone and current[0] is None:
                current[0] = alone.group(1)
            else:
                current[2].append(line)
    return [
        (kind, check, "\n".join(text).strip())
        for kind, check, text in out
        if kind in ("NOTE", "WARNING", "ERROR")
    ]


def accepted(document: str) -> list:
    """(check, pattern) rows of the table in CONTRIBUTING.md."""
    rows = []
    inside = False
    for line in document.splitlines():
        if line.startswith("#"):
            inside = line.lstrip("# ").strip() == HEADING
        elif inside and line.startswith("| `"):
            cells = [cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            rows.append((cells[0], cells[1]))
    return rows


def judge(log: str, document: str) -> list:
    """What is not accepted, as sentences; empty where the check is good."""
    if not re.search(r"^Status: ", log, re.MULTILINE):
        return ["The check didn't reach its end: its log has no status line."]
    rows = accepted(document)
    out = []
    for kind, check, text in findings(log):
        if kind != "NOTE":
            out.append(f"{kind}: {check}\n{text}")
            continue
        paragraphs = [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]
        patterns = [pattern for name, pattern in rows if name == check]
        for part in paragraphs or [""]:
            if not any(re.search(pattern, part) for pattern in patterns):
                out.append(f"NOTE that CONTRIBUTING.md doesn't explain: {check}\n{part}")
    return out


def main(arguments: list) -> int:
    """Prints the verdict; gives the exit status."""
    path = Path(arguments[0])
    document = Path(arguments[1] if len(arguments) > 1 else "CONTRIBUTING.md")
    try:
        log = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        print(f"R CMD check left no log: {error}")
        return 1
    problems = judge(log, document.read_text(encoding="utf-8"))
    for problem in problems:
        print(problem)
    print(f"R CMD check: {len(problems)} problems" if problems else "R CMD check: accepted")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
