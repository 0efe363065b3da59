"""Sums test outcomes: `summary.py RESULT...` ends with the line "N passed, N failed, N skipped".

A result is a JUnit file (`*.xml`, from pytest) or lines of "outcome<TAB>test" (`*.tsv`). A result
that is missing, unreadable or empty counts as one failure: its runner didn't reach its end. The
exit status is 1 where anything failed, or where nothing passed.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def outcomes(path: Path) -> list:
    """(outcome, test) pairs of one result; outcome is "passed", "failed" or "skipped"."""
    if path.suffix == ".xml":
        found = []
        for case in ElementTree.parse(path).iter("testcase"):
            tags = {child.tag for child in case}
            if tags & {"failure", "error"}:
                outcome = "failed"
            else:
                outcome = "skipped" if "skipped" in tags else "passed"
            found.append((outcome, f"{case.get('classname')}: {case.get('name')}"))
    else:
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [tuple(line.split("\t", 1)) for line in lines if line.strip()]
    wrong = [pair for pair in found if len(pair) != 2 or pair[0] not in COUNTED]
    if wrong or not found:
        raise ValueError("no outcome in it" if not found else f"odd line {wrong[0]}")
    return found


COUNTED = ("passed", "failed", "skipped")


def main(arguments: list) -> int:
    """Prints what failed and the sum; gives the exit status."""
    total = dict.fromkeys(COUNTED, 0)
    failed = []
    for name in arguments:
        try:
            found = outcomes(Path(name))
        except (OSError, ValueError, ElementTree.ParseError) as error:
            found = [("failed", f"{Path(name).name} was not written to its end ({error})")]
        for outcome, test in found:
            total[outcome] += 1
            if outcome == "failed":
                failed.append(test)
    if failed:
        print("Failed:")
        for test in failed:
            print(f"  {test}")
    print(", ".join(f"{total[name]} {name}" for name in COUNTED))
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
