"""The version matrix: `make matrix`, or one cell with `make matrix CELL=name`; QUICK=1 for its core.

What is made (chroots, environments) lies in .build/matrix and is kept between runs; MATRIX_FOLDER names
another place, MATRIX_MIRROR a mirror of Debian's. Prints one row per cell and leaves the whole output of each
in FOLDER/logs. The exit status is 1 where a test failed or a cell couldn't run.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, Optional

import cells
import chroots

PROJECT = Path(__file__).resolve().parents[2]
COLUMNS = ("cell", "R", "reticulate", "Python", "backend", "Keras", "numpy")
COUNTS = ("passed", "failed", "skipped")
MINUTES = 90.0


def main(arguments: Optional[List[str]] = None) -> int:
    """Runs the cells that were asked for, prints the table; gives the exit status."""
    parser = argparse.ArgumentParser(prog="make matrix", description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", help="names of cells (default: all)")
    parser.add_argument("--quick", action="store_true", help="only the core of each cell's tests")
    parser.add_argument("--filter", metavar="REGEX", help="R test files, as testthat takes it")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help="the longest a cell may take"
    )
    parser.add_argument("--list", action="store_true", help="say which cells there are")
    options = parser.parse_args(arguments)
    if options.list:
        for cell in cells.CELLS:
            print(f"{cell.name:18}{cell.about}")
        return 0
    # started in the background this process ignores Ctrl-C, and so would the tests of it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wanted = [cells.find(name) for name in options.cells] or list(cells.CELLS)
    folder = Path(os.environ.get("MATRIX_FOLDER") or PROJECT / ".build" / "matrix").resolve()
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    rows = [run(cell, folder, options) for cell in wanted]
    print()
    print(table(rows))
    return 0 if all(row["note"] == "" and row["failed"] == "0" for row in rows) else 1


def run(cell: cells.Cell, folder: Path, options: argparse.Namespace) -> Dict[str, str]:
    """Runs one cell; its row of the table, with `note` where it didn't get to its end."""
    print(f"== {cell.name}: {cell.about} ==", flush=True)
    log = folder / "logs" / f"{cell.name}.log"
    began = time.monotonic()
    own = folder / "cells" / cell.name
    note = ""
    try:
        if cell.suite:
            lacking = chroots.lacks(folder)
            if lacking:
                return row(cell, own, 0.0, lacking)
            root = chroots.make(cell.suite, folder / "chroots", log.with_suffix(".setup.log"))
            own = chroots.copy_project(PROJECT, root) / ".build" / "cells" / cell.name
        note = _execute(cell, own, log, options)
    except (OSError, RuntimeError) as problem:
        note = str(problem)
    return row(cell, own, (time.monotonic() - began) / 60, note)


def _execute(cell: cells.Cell, own: Path, log: Path, options: argparse.Namespace) -> str:
    """Runs `cell.sh` where the cell lies; what kept it from its end, or ""."""
    python, r, bindings = "tests/python", "", ""
    if cell.way == "require":  # the environment that reticulate makes has no pytest
        python = "none"
    if cell.tests == "engine":
        r = "none"
    if cell.way != "project":  # the tables are those of the newest Keras
        bindings = "none"
    if options.quick or options.filter:
        python = cells.QUICK_PYTHON if python != "none" and not options.filter else "none"
        r = r or options.filter or cells.QUICK_R
    own.mkdir(parents=True, exist_ok=True)
    settings = {}
    if cell.pins:
        (own / "pins.txt").write_text("".join(f"{pin}\n" for pin in cell.pins))
        settings["PIP_CONSTRAINT"] = str(own / "pins.txt")
    inside, root = own, None
    if cell.suite:
        root = next(p for p in own.parents if (p / ".kerasbridge-chroot").exists())
        inside = Path("/") / own.relative_to(root)
    command = [
        "sh",
        "tools/matrix/cell.sh",
        str(inside),
        cell.way,
        python,
        r,
        bindings,
        *cell.wishes,
    ]
    if root is not None:
        command = chroots.entered(root, command, settings)
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(timeout=options.minutes * 60)
        except subprocess.TimeoutExpired:
            return f"stopped after {options.minutes:g} minutes, see {log}"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if not (own / "results" / "summary.txt").is_file():
        last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return f"ended before its tests: {last[-1] if last else 'no output'} ({log})"
    return ""


def row(cell: cells.Cell, own: Path, minutes: float, note: str) -> Dict[str, str]:
    """One row: versions, what `summary.py` summed, minutes."""
    out = dict.fromkeys((*COLUMNS, *COUNTS), "-")
    out.update(cell=cell.name, minutes=f"{minutes:.1f}", note=note)
    try:
        lines = (own / "versions.tsv").read_text(encoding="utf-8").splitlines()
        found = dict(line.split("\t", 1) for line in lines if "\t" in line)
        out.update(R=found.get("r", "-"), reticulate=found.get("reticulate", "-"))
        out.update(Python=found["python"], Keras=found["keras"], numpy=found["numpy"])
        out["backend"] = f"{found['backend']} {found['backend_version']}"
        last = (own / "results" / "summary.txt").read_text(encoding="utf-8").splitlines()[-1]
        numbers = dict(reversed(part.split(" ")) for part in last.split(", "))
        out.update({name: numbers[name] for name in COUNTS})
    except (OSError, KeyError, ValueError, IndexError) as problem:
        out["note"] = note or f"no result ({problem})"
    return out


def table(rows: List[Dict[str, str]]) -> str:
    """The rows as aligned text; notes below."""
    names = (*COLUMNS, *COUNTS, "minutes")
    lines = [names, *(tuple(row[name] for name in names) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    text = [
        "  ".join(part.ljust(width) for part, width in zip(line, widths)).rstrip() for line in lines
    ]
    return "\n".join([*text, *(f"{row['cell']}: {row['note']}" for row in rows if row["note"])])


if __name__ == "__main__":
    sys.exit(main())
