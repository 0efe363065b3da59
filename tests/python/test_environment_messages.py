"""The table of known messages: each literal message is recognised as itself, and explained."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from conftest import ENGINE, ROOT
from kerasbridge.environment import messages

CASES = [
    line.split("\t")
    for line in (ROOT / "tests/testthat/fixtures/messages.tsv").read_text("utf-8").splitlines()[1:]
]


@pytest.mark.parametrize(("row", "text"), CASES, ids=[row for row, _ in CASES])
def test_each_message_is_recognised_as_itself(row, text):
    known = messages.explain(text.replace("\\n", "\n").replace("\\\\", "\\"))
    assert known is not None and known.id == row


def test_the_table_is_whole():
    rows = messages.table()
    assert len({row[0] for row in rows}) == len(rows)
    assert {row[0] for row in rows} == {row for row, _ in CASES}  # one may have several wordings
    for row, kind, pattern, cause, fix in rows:
        assert cause.endswith(".") and fix.endswith("."), row
        assert len(cause) < 250 and len(fix) < 300, row
        # a place in a sentence is a group of the pattern
        places = set(re.findall(r"\{([a-z]+)\}", cause + fix))
        groups = {name.rstrip("0123456789") for name in pattern.groupindex}
        assert places <= groups, row
        assert kind.isidentifier(), row


def test_what_the_message_names_stands_in_the_explanation():
    known = messages.explain(
        "ValueError: Input 0 of layer 'dense_4' is incompatible with the layer: expected axis -1 "
        "of input shape to have value 4, but received input with shape (None, 5)"
    )
    assert known.cause == (
        "The input has the wrong size: 4 is expected, the data have the shape (None, 5)."
    )
    assert known.found == {"expected": "4", "found": "(None, 5)"}
    other = messages.explain('expected shape=(None, 28, 28, 1), found shape=(None, 28, 28)"')
    assert "(None, 28, 28, 1) is expected" in other.cause


def test_a_wrapped_error_is_known_by_its_cause_not_by_its_wrapping():
    text = (
        "Graph execution error:\n\nDetected at node embedding/Gather\n"
        "indices[0,1] = 10 is not in [0, 10)"
    )
    assert messages.explain(text).id == "token-range"
    assert messages.explain("Graph execution error:\n\nsomething else").id == "graph-error"


def test_an_unknown_message_is_not_guessed_at():
    assert messages.explain("the cat sat on the mat") is None
    assert messages.explain("") is None


def test_explain_works_on_the_command_line():
    def run(*arguments, text=""):
        return subprocess.run(
            [sys.executable, "-m", "kerasbridge.environment", "explain", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            env={"PYTHONPATH": str(ENGINE), "PATH": ""},
        )

    done = run("No module named 'tensorflow'")
    assert done.returncode == 0 and "no module 'tensorflow'" in done.stdout
    done = run(text="bad marshal data (unknown type code)\n")
    assert done.returncode == 0 and "another version of Python" in done.stdout
    assert run("nothing known").returncode == 1
