"""The package as a whole: versions, lazy import, levels, house rules."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from conftest import ENGINE, ROOT

LEVELS = {
    "errors": 0,
    "files": 1,
    "runtime": 1,
    "environment": 2,
    "data": 2,
    "layers": 2,
    "saving": 3,
    "training": 4,
    "serving": 5,
    "cluster": 5,
    "bridge": 6,
}


def test_one_version_number():
    description = re.search(r"^Version: (.+)$", (ROOT / "DESCRIPTION").read_text(), re.M).group(1)
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M).group(1)
    init = re.search(
        r'^__version__ = "(.+)"$', (ENGINE / "kerasbridge" / "__init__.py").read_text(), re.M
    ).group(1)
    assert description == project == init


@pytest.mark.parametrize(
    "module", ["kerasbridge", *(f"kerasbridge.{m}" for m in LEVELS if m != "bridge")]
)
def test_importing_starts_nothing_heavy(module, run_python):
    heavy = "('keras', 'tensorflow', 'jax', 'torch', 'h5py', 'pyarrow')"
    done = run_python(
        f"import sys, {module}; print(sorted(m for m in {heavy} if m in sys.modules))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_public_names_are_there(run_python):
    import kerasbridge

    for name in kerasbridge.__all__:
        if name != "bridge":
            assert getattr(kerasbridge, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        kerasbridge.nonsense  # noqa: B018


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # relative: counted from the module's own package
                package = path.relative_to(ENGINE).parts[: -node.level]
                base = ".".join([*package, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def test_nothing_imports_upward():
    wrong = []
    for path in sorted((ENGINE / "kerasbridge").rglob("*.py")):
        parts = path.relative_to(ENGINE / "kerasbridge").parts
        room = parts[0].removesuffix(".py")
        if room not in LEVELS:
            continue
        for name in _imports(path):
            target = name.split(".")
            if target[0] == "kerasbridge" and len(target) > 1 and target[1] in LEVELS:
                if target[1] != room and LEVELS[target[1]] >= LEVELS[room]:
                    wrong.append(f"{path.relative_to(ENGINE)} imports {name}")
    assert not wrong, "\n".join(wrong)


def _tracked():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def test_only_public_keras():
    private = "keras" + ".src"
    wrong = [
        str(p.relative_to(ROOT))
        for p in _tracked()
        if p.suffix in (".py", ".R", ".Rmd", ".Rd") and private in p.read_text(encoding="utf-8")
    ]
    assert not wrong


def test_r_touches_python_at_the_border_only():
    allowed = re.compile(r"^(bridge-.*|zzz|kerasbridge-package)\.R$")
    wrong = []
    for path in sorted((ROOT / "R").glob("*.R")):
        if allowed.match(path.name):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if "reticulate::" in line and not line.lstrip().startswith("#"):
                wrong.append(f"{path.name}:{number}")
    assert not wrong


def test_no_absolute_paths_of_a_machine():
    pattern = re.compile(r"/(root|work|opt/kb|home/[a-z]+)/")
    wrong = []
    for path in _tracked():
        if path.suffix not in (".py", ".R", ".Rmd", ".md", ".sh", ".toml", ".ini", ".yml", ".Rd"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line) and path.name != "test_package.py":
                wrong.append(f"{path.relative_to(ROOT)}:{number}")
    assert not wrong


def test_hand_written_files_stay_readable():
    long = []
    for path in _tracked():
        if path.suffix in (".py", ".R") and not path.name.startswith("gen-"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > 700:
                long.append(f"{path.relative_to(ROOT)}: {lines}")
    assert not long, "long files, would two rooms be clearer? " + ", ".join(long)


def test_the_wheel_has_every_file_of_the_engine(tmp_path):
    """Data files (the table of versions that names came with, what R declares) are easily forgotten."""
    try:
        setuptools = int(importlib.metadata.version("setuptools").split(".")[0])
    except importlib.metadata.PackageNotFoundError:
        setuptools = 0
    if setuptools < 61 or setuptools < 71 and importlib.util.find_spec("wheel") is None:
        pytest.skip("needs setuptools 71, or 61 and the package wheel")
    tree = tmp_path / "tree"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ENGINE, tree / "inst" / "python", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    done = subprocess.run(
        [sys.executable, "-c", "from setuptools import build_meta; build_meta.build_wheel('out')"],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (tree / "out").glob("kerasbridge-*.whl")
    packed = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    engine = tree / "inst" / "python"
    written = {
        p.relative_to(engine).as_posix()
        for p in (engine / "kerasbridge").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert packed == written
    assert "kerasbridge/bridge/since.json" in packed
