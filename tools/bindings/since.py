"""Write tables/since.csv: in which Keras a name, or an argument of it, first appeared.

    python tools/bindings/since.py FOLDER            write the table
    python tools/bindings/since.py FOLDER --check    exit 1 if it would change

FOLDER holds one subfolder per Keras version, each made by

    pip install --no-deps --target FOLDER/3.5.0 keras==3.5.0

(Keras 3.0 needs `dm-tree` in its subfolder too.) Each is imported in a process of its own by the
Python that runs this script, which must have TensorFlow and what else Keras imports; newer
TensorFlow imports older Keras well enough to look at it.

The names looked up are the `symbol` column of tables/symbols/*.csv. Only what came after the
oldest version in FOLDER is listed; `argument` is empty where the name itself is new. A patch
release counts as its minor release: what 3.4.1 has is said to be there since 3.4. What came, went
and came again counts from its return.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLE = HERE / "tables" / "since.csv"
LIMIT_S = 300  # for one version

# Runs in the child: paths on stdin; on stdout path -> the arguments it names, and those it takes.
LOOK = r"""
import importlib, inspect, json, sys
import keras

def find(path):
    value, here = keras, "keras"
    for part in path.split(".")[1:]:
        here += "." + part
        try:
            value = getattr(value, part)
        except AttributeError:
            value = importlib.import_module(here)
    return value

def own(target):
    try:
        return list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return []

def arguments(value):
    names, declared = [], None
    # what a class does not name itself it may hand on to its parent
    targets = [c.__dict__["__init__"] for c in value.__mro__ if "__init__" in c.__dict__] \
        if inspect.isclass(value) else [value]
    for target in targets:
        found = own(target)
        names += [p.name for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        if declared is None:
            declared = sorted(set(names) - {"self"})
        if not any(p.kind == p.VAR_KEYWORD for p in found):
            break
    return [declared or [], sorted(set(names) - {"self"})]

out = {}
for path in json.load(sys.stdin):
    try:
        value = find(path)
    except (AttributeError, ImportError):
        continue
    if callable(value):
        out[path] = arguments(value)
print("FACTS" + json.dumps({"file": keras.__file__, "version": keras.__version__, "names": out}))
"""


def key(version: str) -> tuple:
    """Version as numbers, for sorting."""
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


def look(folder: Path, paths: list) -> tuple:
    """Version found in `folder` and its facts: path -> arguments named, arguments taken."""
    env = dict(os.environ, PYTHONPATH=str(folder.resolve()), TF_CPP_MIN_LOG_LEVEL="3")
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        input=json.dumps(paths), capture_output=True, text=True, timeout=LIMIT_S, env=env,
    )  # fmt: skip
    lines = [line[5:] for line in done.stdout.splitlines() if line.startswith("FACTS")]
    if done.returncode or not lines:
        raise SystemExit(f"{folder.name}: Keras does not import:\n{done.stderr[-2000:]}")
    facts = json.loads(lines[-1])
    if folder.resolve() not in Path(facts["file"]).resolve().parents:
        raise SystemExit(f"{folder.name}: holds no Keras; another one was imported")
    return facts["version"], facts["names"]


def first_of(present: list, versions: list) -> str:
    """Minor version from which on `present` stays true; "" if it always was."""
    absent = [i for i, there in enumerate(present) if not there]
    return ".".join(versions[absent[-1] + 1].split(".")[:2]) if absent else ""


def rows(facts: list) -> list:
    """Table rows from (version, path -> arguments), oldest version first."""
    versions = [version for version, _ in facts]
    newest = facts[-1][1]
    found = []
    for path in sorted(newest):
        since = first_of([path in names for _, names in facts], versions)
        if since:
            found.append((path, "", since))
        # versions without the name say nothing about its arguments
        having = [(version, names[path][1]) for version, names in facts if path in names]
        for argument in newest[path][0]:
            later = first_of([argument in taken for _, taken in having], [v for v, _ in having])
            if later and later != since:
                found.append((path, argument, later))
    return found


def read_paths(folder: Path) -> list:
    paths = set()
    for file in sorted(folder.glob("*.csv")):
        with open(file, newline="", encoding="utf-8") as handle:
            paths.update(row["symbol"] for row in csv.DictReader(handle))
    if not paths:
        raise SystemExit(f"{folder}: no table with a column `symbol`")
    return sorted(paths)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="one subfolder per unpacked Keras version")
    parser.add_argument("--symbols", type=Path, default=HERE / "tables" / "symbols")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if stale")
    options = parser.parse_args()
    paths = read_paths(options.symbols)
    facts = []
    for folder in sorted(p for p in options.folder.iterdir() if (p / "keras").is_dir()):
        version, names = look(folder, paths)
        print(f"Keras {version}: {len(names)} of {len(paths)} names", file=sys.stderr)
        facts.append((version, names))
    if len(facts) < 2:
        raise SystemExit(f"{options.folder}: needs two or more unpacked versions of Keras")
    facts.sort(key=lambda pair: key(pair[0]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["symbol", "argument", "since"])
    writer.writerows(rows(facts))
    stale = not TABLE.exists() or TABLE.read_text(encoding="utf-8") != out.getvalue()
    if stale and not options.check:
        TABLE.write_text(out.getvalue(), encoding="utf-8")
    print(f"{TABLE.name}: {'stale' if stale and options.check else 'up to date'}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
