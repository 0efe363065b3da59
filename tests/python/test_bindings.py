"""The binding generator: its tables are complete, its output is current, it refuses gaps."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import keras
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools" / "bindings"))

import facts  # noqa: E402
import generate  # noqa: E402
import render  # noqa: E402
import tables  # noqa: E402

complete = pytest.mark.skipif(
    keras.__version__ != generate.COMPLETE_FOR or keras.config.backend() == "torch",
    reason=f"the tables are complete for Keras {generate.COMPLETE_FOR}; on PyTorch some differ",
)


@pytest.fixture(scope="module")
def live():
    return facts.public_callables()


@pytest.fixture(scope="module")
def rows():
    return tables.read_symbols()


@complete
def test_generated_files_are_current():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "bindings" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@complete
def test_every_public_callable_has_a_row(live, rows):
    _, missing = tables.join(live, rows)
    assert missing == []
    assert len({id(s) for s in live.values()}) == 980


@complete
def test_nearly_all_are_wrapped(rows):
    skipped = [r for r in rows if r["kind"] == "skip"]
    assert 980 - len(skipped) >= 970, [r["symbol"] for r in skipped]
    assert all(len(r["skip"]) > 15 for r in skipped)


@complete
def test_every_argument_has_a_type_and_a_meaning(live, rows):
    arguments = tables.Arguments()
    joined, _ = tables.join(live, rows)
    for row, fact in joined:
        if row["kind"] in ("skip", "hand"):
            continue
        for parameter in fact.named:
            argument = arguments.get(parameter.name, row["symbol"])
            assert argument.meaning and argument.type in tables.TYPES


def test_a_gap_is_refused_with_the_line_to_add(tmp_path):
    (tmp_path / "a.csv").write_text("argument,scope,type,meaning\nunits,*,int,Width\n")
    arguments = tables.Arguments(tmp_path)
    assert arguments.get("units", "keras.layers.Dense").type == "int"
    with pytest.raises(tables.TableError, match=r"nope,keras\.layers\.Dense,<type>,<meaning>"):
        arguments.get("nope", "keras.layers.Dense")
    (tmp_path / "a.csv").write_text("argument,scope,type,meaning\nunits,*,integer,Width\n")
    with pytest.raises(tables.TableError, match="unknown type 'integer'"):
        tables.Arguments(tmp_path)


def test_the_most_specific_row_wins(tmp_path):
    (tmp_path / "a.csv").write_text(
        "argument,scope,type,meaning\naxis,*,axis,A\naxis,keras.ops.argmax,axes,B\n"
        "axis,keras.layers.*,int,C\n"
    )
    arguments = tables.Arguments(tmp_path)
    assert arguments.get("axis", "keras.ops.argmax").meaning == "B"
    assert arguments.get("axis", "keras.layers.Dense").meaning == "C"
    assert arguments.get("axis", "keras.ops.sum").meaning == "A"


def test_a_page_of_several_titles_has_one_of_its_own(rows):
    assert tables.page_title("p", ["A", "A"], {}) == "A"
    assert tables.page_title("p", ["A", "B"], {"p": "Both"}) == "Both"
    with pytest.raises(tables.TableError, match=r"add to tables/pages\.csv: p,<title>"):
        tables.page_title("p", ["A", "B"], {})
    known = {r["page"] or r["r_name"] for r in rows}
    assert set(tables.read_pages()) <= known


def test_pages_of_a_group_link_to_one_another(rows):
    with pytest.raises(tables.TableError, match=r"add to tables/groups\.csv: new,<family>"):
        tables.family("new", tables.read_groups())
    made = {r["group"] for r in rows if r["kind"] not in ("skip", "hand", "merged")}
    assert set(tables.read_groups()) == made
    page = (ROOT / "man" / "layer_dense.Rd").read_text(encoding="utf-8")
    assert "Other core layers:" in page and r"\link{layer_einsum_dense}" in page


@pytest.mark.parametrize(
    "value, kind, code",
    [
        (None, "any", "NULL"),
        (True, "bool", "TRUE"),
        (0, "axis", "1L"),
        (-1, "axis", "-1L"),
        (2, "int", "2L"),
        (0.001, "num", "0.001"),
        ((1, 1), "ints", "c(1L, 1L)"),
        ('a"b', "string", '"a\\"b"'),
        (float("inf"), "num", "Inf"),
        ({}, "dict", "list()"),
        (object(), "any", "NULL"),
    ],
)
def test_defaults_become_r_code(value, kind, code):
    assert render.r_default(value, kind) == code


def test_generated_files_carry_the_notice():
    files = sorted((ROOT / "R").glob("gen-*.R"))
    assert len(files) > 30
    for path in files:
        assert path.read_text(encoding="utf-8").startswith(render.NOTICE), path.name


def _words(text):
    return re.findall(r"[a-z0-9_']+", text.lower())


def _runs(words, n=8):
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


@complete
def test_no_sentence_is_taken_from_keras(live, rows):
    """No eight words in a row of our tables and help pages stand in a docstring of Keras.

    Docstrings are those of its public callables and of the public methods of its classes.
    """
    texts = set()
    for path in {s.paths[0] for s in live.values()}:
        value = keras
        for part in path.split(".")[1:]:
            value = getattr(value, part)
        texts |= {inspect.getdoc(value), inspect.getdoc(getattr(value, "__init__", None))}
        if inspect.isclass(value):
            methods = (getattr(value, n, None) for n in dir(value) if not n.startswith("_"))
            texts |= {m.__doc__ for m in methods if callable(m)}
    theirs = {run for text in texts if isinstance(text, str) for run in _runs(_words(text))}
    assert len(theirs) > 50_000
    ours = [(r["symbol"], r[c]) for r in rows for c in ("title", "description", "value")]
    ours += [("pages.csv", title) for title in tables.read_pages().values()]
    ours += [("groups.csv", words) for words in tables.read_groups().values()]
    arguments = tables.Arguments()
    ours += [(a.argument, a.meaning) for group in arguments.by_name.values() for a in group]
    for path in sorted((ROOT / "R").glob("*.R")):
        if not path.name.startswith("gen-"):
            lines = path.read_text(encoding="utf-8").splitlines()
            ours.append((path.name, " ".join(li[2:] for li in lines if li.startswith("#'"))))
    for path in (ROOT / "README.md", *sorted((ROOT / "vignettes").glob("*.Rmd"))):
        prose = re.sub(r"```.*?```", " ", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        ours.append((path.name, prose))
    shared = [(name, " ".join(run)) for name, text in ours for run in _runs(_words(text)) & theirs]
    assert not shared, shared[:10]
