"""The version matrix: its cells go with the table of versions, its rows with the results of a cell."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kerasbridge.environment import versions

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "matrix"))
cells = pytest.importorskip("cells", reason="the tools lie in the repository")
import chroots  # noqa: E402
import matrix  # noqa: E402


def wishes(name: str) -> dict:
    return dict(wish.split("=") for wish in cells.find(name).wishes)


def test_the_cells_ask_for_versions_that_the_table_has():
    oldest = versions.resolve(**wishes("oldest"), python=(3, 11), reticulate="1.28")
    assert (oldest.tensorflow, oldest.keras) == ("2.16.2", "3.0.5")
    newest = versions.resolve(**wishes("newest"), python=(3, 11))
    assert newest.tensorflow == versions.text(versions.TENSORFLOW[-1].version)
    assert {versions.resolve(**wishes(n), python=(3, 11)).backend for n in ("jax", "torch")} == {
        "jax",
        "torch",
    }


def test_cells_differ_and_an_unknown_one_is_refused_with_the_list():
    names = [cell.name for cell in cells.CELLS]
    assert len(set(names)) == len(names) == 9
    assert {cell.way for cell in cells.CELLS} == {"project", "install", "engine", "require"}
    with pytest.raises(SystemExit, match="'bookworm': base, oldest, newest"):
        cells.find("bookworm")


def test_the_core_of_the_tests_is_there():
    for name in cells.QUICK_PYTHON.split():
        assert (ROOT / name).is_file()
    wanted = cells.QUICK_R.strip("^()$").split("|")
    assert [n for n in wanted if not (ROOT / f"tests/testthat/test-{n}.R").is_file()] == []


def test_a_row_has_versions_counts_and_what_went_wrong(tmp_path):
    cell = cells.find("oldest")
    assert matrix.row(cell, tmp_path, 1.0, "stopped")["note"] == "stopped"
    assert matrix.row(cell, tmp_path, 1.0, "")["note"].startswith("no result")
    (tmp_path / "versions.tsv").write_text(
        "r\t4.2.2\nreticulate\t1.28\npython\t3.11.2\nkeras\t3.0.5\nnumpy\t1.26.4\n"
        "backend\ttensorflow\nbackend_version\t2.16.2\n"
    )
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "summary.txt").write_text(
        "Failed:\n  x\n7 passed, 1 failed, 2 skipped\n"
    )
    row = matrix.row(cell, tmp_path, 2.25, "")
    assert row["backend"] == "tensorflow 2.16.2" and row["note"] == ""
    assert [row[name] for name in matrix.COUNTS] == ["7", "1", "2"]
    text = matrix.table([row, matrix.row(cell, tmp_path / "none", 0.0, "needs root")])
    assert "oldest  4.2.2  1.28" in text and text.endswith("oldest: needs root")
    assert (
        len({line.index("4.2.2" if "4.2.2" in line else "R") for line in text.splitlines()[:2]})
        == 1
    )


def test_a_cell_that_cant_start_says_so_and_the_status_is_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MATRIX_FOLDER", str(tmp_path))
    monkeypatch.setattr(chroots.os, "geteuid", lambda: 1000)
    assert matrix.main(["trixie"]) == 1
    assert "trixie: Another Debian in a folder needs root" in capsys.readouterr().out


def test_only_what_changed_is_copied_and_what_was_built_stays(tmp_path):
    project, root = tmp_path / "here", tmp_path / "root"
    for name in ("a.R", "b/c.R", "ignored.o"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    (project / ".gitignore").write_text("*.o\n")
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    root.mkdir()
    target = chroots.copy_project(project, root)
    found = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}
    assert found == {"a.R", "b/c.R", ".gitignore"}
    (target / ".build").mkdir()
    (target / ".build" / "installed").write_text("")
    for name in found:
        os.utime(target / name, (1, 1))
    (project / "b" / "c.R").write_text("changed")
    (project / "a.R").unlink()
    chroots.copy_project(project, root)
    assert (target / ".build" / "installed").is_file() and not (target / "a.R").exists()
    assert (target / "b" / "c.R").read_text() == "changed"
    assert (target / "b" / "c.R").stat().st_mtime > 1 == (target / ".gitignore").stat().st_mtime


def test_what_ended_before_its_tests_says_its_last_line(tmp_path, monkeypatch):
    project = tmp_path / "project"
    (project / "tools" / "matrix").mkdir(parents=True)
    script = project / "tools" / "matrix" / "cell.sh"
    monkeypatch.setattr(matrix, "PROJECT", project)
    options = argparse.Namespace(quick=False, filter=None, minutes=5)
    script.write_text("echo one; echo no space left; exit 1\n")
    log = tmp_path / "a.log"
    note = matrix._execute(cells.find("base"), tmp_path / "own", log, options)
    assert note == f"ended before its tests: no space left ({log})"
    options.minutes = 1 / 600
    script.write_text("sleep 30\n")
    assert "stopped after" in matrix._execute(cells.find("base"), tmp_path / "own", log, options)


def test_uv_is_asked_for_the_systems_interpreters():
    script = ROOT / "tools" / "matrix" / "uv.sh"
    asked = ["python", "list", "--python-preference=only-managed", "--only-downloads", "a b"]
    done = subprocess.run(
        ["sh", str(script), *asked, "--python-preference", "only-managed"],
        env={"UV_PROGRAM": "/bin/echo", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == (
        "python list --python-preference=only-system a b --python-preference only-system".split()
    )
