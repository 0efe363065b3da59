"""Turn the numpy column of ``tables/cases/ops.csv`` into numbers that R can compare with.

Each row of the table holds an R call and a Python expression over ``np`` (numpy) and ``scipy`` that
says what the call must give. The expression is evaluated here, and written as JSON to
``tests/testthat/fixtures/ops-cases.csv``, so that the tests in R need neither numpy nor scipy::

    python tools/bindings/make_cases.py            # write the fixture
    python tools/bindings/make_cases.py --check    # exit status 1 when it is stale

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

try:
    import scipy
    import scipy.linalg
    import scipy.spatial
    import scipy.special
except ImportError:  # a few rows need it; the tests of the others do without
    scipy = None

HERE = Path(__file__).resolve().parent
TABLE = HERE / "tables" / "cases" / "ops.csv"
FIXTURE = HERE.parents[1] / "tests" / "testthat" / "fixtures" / "ops-cases.csv"
DIGITS = 9


def number(value: object) -> object:
    """One element as JSON can hold it: a bool, an int, a rounded float, a non-number's name."""
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


def render() -> str:
    """The text of the fixture."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["symbol", "r_call", "dtype", "expected"])
    with TABLE.open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            try:
                form = expected(row["numpy"])
            except Exception as error:
                raise SystemExit(f"{row['symbol']}: {row['numpy']}: {error!r}") from error
            writer.writerow([row["symbol"], row["r_call"], row["dtype"], json.dumps(form)])
    return out.getvalue()


def main(argv: list[str] | None = None) -> int:
    """Write the fixture, or with ``--check`` compare it; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only tell whether it is stale")
    options = parser.parse_args(argv)
    text = render()
    if options.check:
        if not FIXTURE.exists() or FIXTURE.read_text(encoding="utf-8") != text:
            print(f"{FIXTURE.name} is stale: run make_cases.py", file=sys.stderr)
            return 1
        return 0
    FIXTURE.parent.mkdir(parents=True, exist_ok=True)
    FIXTURE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
