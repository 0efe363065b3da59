"""Turn the numpy column of ``tables/cases/*.csv`` into numbers that R can compare with.

Each row of a table holds an R call and a Python expression over ``np`` (numpy) and ``scipy`` that
says what the call must give. The expression is evaluated here, and written as JSON to
``tests/testthat/fixtures/<table>-cases.csv``, so that the tests in R need neither numpy nor scipy::

    python tools/bindings/make_cases.py            # write the fixtures
    python tools/bindings/make_cases.py --check    # exit status 1 when one is stale

JSON forms: ``{"shape": [2, 3], "data": [...]}`` (row by row; NaN, Inf and -Inf as strings),
``{"list": [...]}`` for several results, ``{"string": "..."}``. Random results are described instead
of computed: ``shape:(2, 3)`` or ``shape:(2, 3) range:(0, 1)`` (ends included), and
``shape:[(2,), (2,)]`` for several.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import scipy
import scipy.linalg
import scipy.spatial
import scipy.special

HERE = Path(__file__).resolve().parent
TABLES = HERE / "tables" / "cases"
FIXTURES = HERE.parents[1] / "tests" / "testthat" / "fixtures"
DIGITS = 9


def number(value: object) -> object:
    """One element as JSON can hold it: a bool, an int, a rounded float or a non-number's name."""
    if isinstance(value, (bool, int)):
        return value
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return float(f"{value:.{DIGITS}g}")


def encode(value: object) -> dict:
    """The JSON form of one expected value (array, scalar, string, or a list or tuple of arrays)."""
    if isinstance(value, str):
        return {"string": value}
    if isinstance(value, (list, tuple)) and any(np.ndim(v) for v in value):
        return {"list": [encode(v) for v in value]}
    if isinstance(value, list) and any(isinstance(v, (np.ndarray, np.generic)) for v in value):
        return {"list": [encode(v) for v in value]}
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"cannot write values of type {array.dtype}; compare real parts")
    return {"shape": list(array.shape), "data": [number(v) for v in array.ravel().tolist()]}


def expected(expression: str) -> dict:
    """Evaluate one cell of the numpy column, or read the description of a random result."""
    described = re.fullmatch(r"shape:(\[.*\]|\(.*?\))(?: range:(\(.*\)))?", expression)
    names = {"np": np, "scipy": scipy, "inf": math.inf}
    if described is None:
        return encode(eval(expression, names))  # our own table, never a user's text
    shape = eval(described[1], names)
    if isinstance(shape, list):
        return {"list": [{"shape": list(s)} for s in shape]}
    form: dict = {"shape": list(shape)}
    if described[2]:
        form["range"] = [number(float(v)) for v in eval(described[2], names)]
    return form


def render(table: Path) -> str:
    """The text of the fixture of one table; a table without types (dtype) leaves them open."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["symbol", "r_call", "dtype", "expected"])
    with table.open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            try:
                form = expected(row["numpy"])
            except Exception as error:
                raise SystemExit(f"{row['symbol']}: {row['numpy']}: {error!r}") from error
            writer.writerow([row["symbol"], row["r_call"], row.get("dtype", ""), json.dumps(form)])
    return out.getvalue()


def main(argv: list[str] | None = None) -> int:
    """Write the fixtures, or with ``--check`` compare them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only tell whether one is stale")
    options = parser.parse_args(argv)
    stale = 0
    for table in sorted(TABLES.glob("*.csv")):
        fixture = FIXTURES / f"{table.stem}-cases.csv"
        text = render(table)
        if fixture.exists() and fixture.read_text(encoding="utf-8") == text:
            continue
        if options.check:
            print(f"{fixture.name} is stale: run make_cases.py", file=sys.stderr)
            stale = 1
            continue
        FIXTURES.mkdir(parents=True, exist_ok=True)
        fixture.write_text(text, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
