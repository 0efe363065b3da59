"""The numeric cases of the ops: the table, what is made of it, and the fixture that R reads."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def make_cases():
    path = ROOT / "tools" / "bindings" / "make_cases.py"
    spec = importlib.util.spec_from_file_location("make_cases", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(path):
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_fixture_is_made_of_the_table(make_cases):
    table, fixture = rows(make_cases.TABLE), rows(make_cases.FIXTURE)
    columns = ("symbol", "r_call", "dtype")
    assert [[r[c] for c in columns] for r in table] == [[r[c] for c in columns] for r in fixture]
    checked = 0
    for written, made in zip(table, fixture):
        if "scipy" in written["numpy"] and make_cases.scipy is None:
            continue
        fresh, stored = make_cases.expected(written["numpy"]), json.loads(made["expected"])
        assert flat(fresh, "shape") == flat(stored, "shape"), written["r_call"]
        # another numpy may differ in the last digits
        assert numbers(fresh) == pytest.approx(numbers(stored), rel=1e-6, nan_ok=True)
        checked += 1
    assert checked > 500


def flat(form, key):
    return [flat(f, key) for f in form["list"]] if "list" in form else form.get(key)


def numbers(form):
    if "list" in form:
        return [n for f in form["list"] for n in numbers(f)]
    return [float(v) for v in form.get("data", [])]


def test_every_case_calls_the_function_it_stands_for(make_cases):
    names = {}
    for path in (make_cases.HERE / "tables" / "symbols").glob("ops-*.csv"):
        names.update({r["symbol"]: r["r_name"] for r in rows(path)})
    assert len(names) > 350
    for case in rows(make_cases.TABLE):
        assert f"{names[case['symbol']]}(" in case["r_call"], case["r_call"]
    assert set(names) == {case["symbol"] for case in rows(make_cases.TABLE)}


def test_forms(make_cases):
    assert make_cases.expected("np.array([[1., np.nan], [np.inf, -np.inf]])") == {
        "shape": [2, 2],
        "data": [1.0, "NaN", "Inf", "-Inf"],
    }
    assert make_cases.expected("[np.array([1]), np.array(True)]") == {
        "list": [{"shape": [1], "data": [1]}, {"shape": [], "data": [True]}]
    }
    assert make_cases.expected("[2, 3]") == {"shape": [2], "data": [2, 3]}
    assert make_cases.expected("'float32'") == {"string": "float32"}
    assert make_cases.expected("shape:(2, 3) range:(0, inf)") == {
        "shape": [2, 3],
        "range": [0.0, "Inf"],
    }
    assert make_cases.expected("shape:[(2,), (3, 4)]") == {
        "list": [{"shape": [2]}, {"shape": [3, 4]}]
    }
    with pytest.raises(TypeError, match="real parts"):
        make_cases.encode(np.array([1j]))
