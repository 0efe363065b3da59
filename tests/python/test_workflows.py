"""The workflow files of the outside world: they parse, and name what this project has."""

from __future__ import annotations

import configparser
import itertools
import re
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*ROOT.glob(".github/workflows/*.yaml"), *ROOT.glob("inst/github-actions/*.yaml")])


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def expanded(matrix: dict) -> list:
    """The combinations of a job's matrix as GitHub makes them."""
    axes = {k: v for k, v in matrix.items() if k not in ("include", "exclude")}
    rows = [dict(zip(axes, values)) for values in itertools.product(*axes.values())] if axes else []
    left_out = matrix.get("exclude", [])
    rows = [row for row in rows if not any(wrong.items() <= row.items() for wrong in left_out)]
    return rows + matrix.get("include", [])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name + "/" + path.name)
def test_a_workflow_has_jobs_with_few_rights_whose_steps_are_pinned(path):
    workflow = read(path)
    assert True in workflow  # the key `on`
    assert workflow["permissions"] in ("read-all", {"contents": "read"})
    for job in workflow["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        known = {key for row in expanded(matrix) for key in row}
        assert set(re.findall(r"matrix\.(\w+)", str(job))) == known
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert "uses" not in step or re.search(r"@v\d+$", step["uses"])
            # what a pull request can write stands in no command
            assert "${{" not in step.get("run", "")


def test_r_is_checked_on_three_systems_and_three_versions_and_without_python():
    jobs = read(ROOT / ".github/workflows/R-CMD-check.yaml")["jobs"]
    rows = expanded(jobs["check"]["strategy"]["matrix"])
    assert {row["r"] for row in rows} == {"release", "devel", "oldrel"}
    systems = {row["os"].split("-")[0] for row in rows if row["r"] == "release"}
    assert systems == {"ubuntu", "macos", "windows"}
    assert jobs["check"]["env"]["KERASBRIDGE_CHECK"] == "true"
    assert "env" not in jobs["no-python"]
    assert "setup-python" not in str(jobs["no-python"])


def test_the_engines_tests_run_all_pairs_of_tox():
    config = configparser.ConfigParser()
    config.read(ROOT / "tox.ini")
    pairs = {name.strip() for name in config["tox"]["env_list"].split(",")}
    job = read(ROOT / ".github/workflows/python-tests.yaml")["jobs"]["tox"]
    rows = expanded(job["strategy"]["matrix"])
    assert {f"py{row['python'].replace('.', '')}-{row['pair']}" for row in rows} == pairs
    assert all(isinstance(row["python"], str) for row in rows)  # 3.10 is not 3.1
