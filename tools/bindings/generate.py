"""Write R/gen-*.R from the tables and the installed Keras.

python tools/bindings/generate.py            write the files
python tools/bindings/generate.py --check    exit 1 if a file would change
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import facts as facts_module  # noqa: E402
import render  # noqa: E402
import tables  # noqa: E402

ROOT = tables.HERE.parents[1]
# the Keras that the tables are complete for; another version may have more or fewer names
COMPLETE_FOR = "3.15.1"


def build(complete: bool = True) -> dict:
    """File name (relative to the root) -> text."""
    facts = facts_module.public_callables()
    rows = tables.read_symbols()
    arguments = tables.Arguments()
    joined, missing = tables.join(facts, rows)
    problems = [
        f"{symbol} has no row; add to tables/symbols/*.csv: {symbol},<r_name>,,<kind>,..."
        for symbol in missing
    ]
    wrappers = []
    for row, fact in joined:
        if row["kind"] in ("skip", "hand", "merged"):
            continue
        function_fact = facts.get(row["function_symbol"]) if row["function_symbol"] else None
        try:
            wrappers.append(render.Wrapper(row, fact, arguments, function_fact))
        except tables.TableError as err:
            problems.append(str(err))
    if complete and problems:
        raise tables.TableError("\n".join(problems))
    names: dict = {}
    for w in wrappers:
        for name in [w.name, *filter(None, w.row["aliases"].split(";"))]:
            if name in names:
                raise tables.TableError(
                    f"R name {name} stands for {names[name]} and {w.row['symbol']}"
                )
            names[name] = w.row["symbol"]

    files: dict = {}
    pages: dict = {}
    for w in wrappers:
        pages.setdefault((w.row["group"], w.row["page"] or w.name), []).append(w)
    groups: dict = {}
    titles, families = tables.read_pages(), tables.read_groups()
    for (group, page), members in pages.items():
        title = tables.page_title(page, [w.row["title"] for w in members], titles)
        text = render.page(page, members, title, tables.family(group, families))
        groups.setdefault(group, []).append(text)
    for group, texts in groups.items():
        files[f"R/gen-{group}.R"] = render.NOTICE + "\n" + "\n".join(texts)
    files["R/gen-hand.R"] = by_hand(joined)
    files["tests/testthat/fixtures/bindings.csv"] = fixture(joined, wrappers)
    files["inst/python/kerasbridge/bridge/since.json"] = since()
    return files


def by_hand(joined: list) -> str:
    """Keras names of the functions that are written by hand, for `keras_help()`."""
    pairs = [
        f'  {name} = "{row["symbol"]}"'
        for row, _ in joined
        if row["kind"] == "hand"
        for name in [row["r_name"], *filter(None, row["aliases"].split(";"))]
    ]
    return f"{render.NOTICE}\nwritten_by_hand <- c(\n" + ",\n".join(sorted(pairs)) + "\n)\n"


def fixture(joined: list, wrappers: list) -> str:
    """What the contract test in R reads: name, symbol, arguments, example."""
    by_symbol = {w.row["symbol"]: w for w in wrappers}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["symbol", "r_name", "aliases", "kind", "arguments", "example", "skip"])
    for row, _ in sorted(joined, key=lambda pair: pair[0]["symbol"]):
        w = by_symbol.get(row["symbol"])
        names = " ".join(p.name for p, _ in w.parameters) if w else ""
        writer.writerow(
            [
                row["symbol"],
                row["r_name"],
                row["aliases"],
                row["kind"],
                names,
                row["example"],
                row["skip"],
            ]
        )
    return out.getvalue()


def since() -> str:
    """The version table that the engine reads, from tables/since.csv."""
    path = tables.HERE / "tables" / "since.csv"
    table = {}
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                key = f"{row['symbol']}:{row['argument']}" if row["argument"] else row["symbol"]
                table[key] = row["since"]
    return json.dumps(table, indent=0, sort_keys=True) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if anything is stale"
    )
    parser.add_argument(
        "--partial", action="store_true", help="leave out what has no rows yet instead of refusing"
    )
    options = parser.parse_args()
    version = facts_module.keras_version()
    if version != COMPLETE_FOR:
        print(
            f"The tables are complete for Keras {COMPLETE_FOR}; installed is {version}: nothing to do."
        )
        return 0
    try:
        files = build(complete=not options.partial)
    except tables.TableError as err:
        print(err, file=sys.stderr)
        return 1
    stale = []
    for name, text in sorted(files.items()):
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not options.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for path in sorted((ROOT / "R").glob("gen-*.R")):
        name = f"R/{path.name}"
        if name not in files:
            stale.append(name)
            if not options.check:
                path.unlink()
    print(f"{len(files)} files, {len(stale)} {'stale' if options.check else 'written'}")
    for name in stale:
        print(" ", name)
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
