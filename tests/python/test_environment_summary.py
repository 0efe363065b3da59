"""The scripts that judge test runs and R CMD check: they must not miss a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools" / "setup"

pytestmark = pytest.mark.skipif(not TOOLS.is_dir(), reason="runs in the project's folder only")

PYTEST = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="a" name="good"/>
<testcase classname="a" name="better"/>
<testcase classname="a" name="left out"><skipped message="no GPU"/></testcase>
{more}</testsuite></testsuites>"""


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, str(TOOLS / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


@pytest.fixture
def results(tmp_path):
    def write(more="", lines="passed\tmodel: fits\nskipped\tmodel: GPU\n"):
        (tmp_path / "pytest.xml").write_text(PYTEST.format(more=more))
        (tmp_path / "testthat.tsv").write_text(lines)
        return tmp_path / "pytest.xml", tmp_path / "testthat.tsv"

    return write


def test_the_sum_is_the_last_line(results):
    assert run("summary.py", *results()) == (0, ["3 passed, 0 failed, 2 skipped"])


def test_failures_and_errors_count_and_are_named(results):
    status, lines = run(
        "summary.py",
        *results(
            '<testcase classname="b" name="bad"><failure/></testcase>'
            '<testcase classname="b" name="worse"><error/></testcase>',
            "passed\tmodel: fits\nfailed\tmodel: predicts\n",
        ),
    )
    assert status == 1
    assert lines == ["Failed:", "  b: bad", "  b: worse", "  model: predicts"] + [
        "3 passed, 3 failed, 1 skipped"
    ]


@pytest.mark.parametrize("content", [None, "", "passed\tx\nodd line\n", "perhaps\tx\n"])
def test_a_runner_that_broke_off_is_a_failure(results, content):
    xml, tsv = results()
    if content is None:
        tsv.unlink()
    else:
        tsv.write_text(content)
    status, lines = run("summary.py", xml, tsv)
    assert status == 1
    assert lines[0] == "Failed:" and "not written to its end" in lines[1]
    assert lines[-1] == "2 passed, 1 failed, 1 skipped"


def test_a_cut_off_xml_is_a_failure(results):
    xml, tsv = results()
    xml.write_text(xml.read_text()[:150])
    status, lines = run("summary.py", xml, tsv)
    assert (status, lines[-1]) == (1, "1 passed, 1 failed, 1 skipped")


def test_all_skipped_is_no_success(results, tmp_path):
    only = tmp_path / "skipped.tsv"
    only.write_text("skipped\tx\n")
    assert run("summary.py", only) == (1, ["0 passed, 0 failed, 1 skipped"])


CONTRIBUTING = """# Contributing

| `checking x` | `elsewhere` | not in the right section |

## Accepted notes of R CMD check

| check | text | why |
|---|---|---|
| `checking CRAN incoming feasibility` | `^New submission` | it is new |
| `checking CRAN incoming feasibility` | `^Maintainer:` | says who |

## More

| `checking y` | `.*` | another section |
"""

GOOD = """* using R version 4.2.2
* checking for file 'kerasbridge/DESCRIPTION' ... OK
* checking CRAN incoming feasibility ... NOTE
Maintainer: 'The kerasbridge authors <maintainers@kerasbridge.example>'

New submission
* checking tests ... [12s/13s]
  Running 'testthat.R' [12s/12s]
 OK
* DONE
Status: 1 NOTE
"""


@pytest.fixture
def judge(tmp_path):
    def run_on(log):
        (tmp_path / "00check.log").write_text(log)
        (tmp_path / "CONTRIBUTING.md").write_text(CONTRIBUTING)
        return run("check_log.py", tmp_path / "00check.log", tmp_path / "CONTRIBUTING.md")

    return run_on


def test_a_good_check_is_accepted(judge):
    assert judge(GOOD) == (0, ["R CMD check: accepted"])


@pytest.mark.parametrize(
    "line, says",
    [
        ("* checking R code ... NOTE\nno visible binding for 'x'", "doesn't explain: checking R"),
        ("* checking x ... NOTE\nelsewhere", "doesn't explain: checking x"),
        ("* checking y ... NOTE\nanything", "doesn't explain: checking y"),
        ("* checking Rd files ... WARNING\nbad", "WARNING: checking Rd files"),
        ("* checking examples ... [3s/3s] ERROR\nRunning failed", "ERROR: checking examples"),
        ("* checking tests ... [1s/1s]\n  Running 'testthat.R'\n ERROR\nRan 1", "ERROR: checking"),
    ],
)
def test_anything_else_is_not(judge, line, says):
    status, lines = judge(GOOD.replace("* DONE", line + "\n* DONE"))
    assert status == 1
    assert says in "\n".join(lines)
    assert lines[-1] == "R CMD check: 1 problems"


def test_an_accepted_note_with_something_new_in_it_is_not_accepted(judge):
    status, lines = judge(GOOD.replace("New submission", "New submission\n\nMisspelled: Kears"))
    assert status == 1
    assert "Misspelled: Kears" in "\n".join(lines)


def test_a_check_that_broke_off_is_not_accepted(judge):
    assert judge(GOOD.replace("Status: 1 NOTE\n", ""))[0] == 1
    assert run("check_log.py", ROOT / "nowhere.log")[0] == 1


def test_the_shell_scripts_parse():
    for script in [*TOOLS.glob("*.sh"), ROOT / ".ci" / "run"]:
        shell = "bash" if script.name == "run" else "sh"
        done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
