"""The hand-written tables: read, join with the facts, refuse what is missing."""

from __future__ import annotations

import csv
import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

HERE = Path(__file__).resolve().parent
SYMBOL_COLUMNS = [
    "symbol", "r_name", "aliases", "kind", "function_symbol", "page", "group", "title",
    "description", "value", "example", "result", "kwargs", "skip",
]  # fmt: skip
KINDS = ("layer", "merge", "class", "function", "call_or_object", "merged", "skip", "hand")
TYPES = {
    "any": "any R value",
    "int": "whole number",
    "count": "whole number",
    "ints": "whole number or several",
    "num": "number",
    "nums": "number or several",
    "num_or_int": "number",
    "bool": "`TRUE` or `FALSE`",
    "string": "string",
    "strings": "string or several",
    "dtype": "string, a data type",
    "path": "path",
    "shape": "shape, `NA` for a free axis",
    "shape_nested": "shape or list of shapes",
    "axis": "axis, counted from 1, negative from the end",
    "axes": "axis or several, counted from 1, negative from the end",
    "axes_or_count": "number of axes, or list of two vectors of axes, counted from 1",
    "index": "positions, counted from 1",
    "indices": "positions, counted from 1, one for each axis",
    "interval": "two numbers",
    "tensor": "tensor, array or number",
    "tensor_typed": "tensor, array or number",
    "tensor_float": "tensor, array or number",
    "tensor_int": "tensor or whole numbers",
    "tensors": "list of tensors",
    "tensor_or_tensors": "tensor or list of tensors",
    "callable": "name, Keras object or R function",
    "function": "R function or formula",
    "hook": "R function or formula",
    "layer": "layer",
    "object": "Keras object",
    "objects": "list of Keras objects",
    "dict": "named list",
    "int_dict": "named list, named by whole numbers",
    "axis_dict": "list of whole numbers, named by axes counted from 1",
    "int_list": "whole numbers",
    "num_list": "numbers",
    "string_list": "strings",
    "seed": "whole number or seed generator",
    "object_spec": "name, configuration or Keras object",
}


class TableError(Exception):
    """A table lacks a row or holds a wrong one; the text says which line to add or mend."""


@dataclass
class Argument:
    argument: str
    scope: str
    type: str
    meaning: str
    file: str


def _rows(folder: Path) -> list:
    rows = []
    for path in sorted(folder.glob("*.csv")):
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                row["file"] = path.name
                rows.append(row)
    return rows


def read_symbols(folder: Path = HERE / "tables" / "symbols") -> list:
    rows = _rows(folder)
    seen: dict = {}
    for row in rows:
        for column in SYMBOL_COLUMNS:
            row[column] = (row.get(column) or "").strip()
        if row["kind"] not in KINDS:
            raise TableError(f"{row['file']}: {row['symbol']}: unknown kind '{row['kind']}'")
        if row["symbol"] in seen:
            raise TableError(
                f"{row['file']}: {row['symbol']} has a row in {seen[row['symbol']]} too"
            )
        if row["kind"] == "skip" and not row["skip"]:
            raise TableError(f"{row['file']}: {row['symbol']} is skipped without a reason")
        seen[row["symbol"]] = row["file"]
    return rows


def page_title(page: str, titles: list, given: dict) -> str:
    """Title of a help page: that of its functions if they share one, else its row in pages.csv."""
    if len(set(titles)) == 1:
        return titles[0]
    if page not in given:
        raise TableError(
            f"page {page} holds functions of several titles; add to tables/pages.csv: {page},<title>"
        )
    return given[page]


def _pairs(name: str) -> dict:
    with open(HERE / "tables" / name, newline="", encoding="utf-8") as file:
        return dict(list(csv.reader(file))[1:])


def read_pages() -> dict:
    """Help page -> title, for pages whose functions have different ones."""
    return _pairs("pages.csv")


def family(group: str, given: dict) -> str:
    """The words under which the pages of a group link to one another."""
    if group not in given:
        raise TableError(f"group {group} has no row; add to tables/groups.csv: {group},<family>")
    return given[group]


def read_groups() -> dict:
    return _pairs("groups.csv")


class Arguments:
    """Rows that say what an argument means, the most specific scope first."""

    def __init__(self, folder: Path = HERE / "tables" / "arguments"):
        self.by_name: dict = {}
        for row in _rows(folder):
            if row["type"] not in TYPES:
                raise TableError(
                    f"{row['file']}: argument {row['argument']}: unknown type '{row['type']}'"
                )
            for scope in row["scope"].split(";"):
                self.by_name.setdefault(row["argument"], []).append(
                    Argument(
                        row["argument"],
                        scope.strip(),
                        row["type"],
                        row["meaning"].strip(),
                        row["file"],
                    )
                )

    def find(self, name: str, symbol: str) -> Optional[Argument]:
        hits = [a for a in self.by_name.get(name, []) if fnmatch.fnmatchcase(symbol, a.scope)]
        return max(hits, key=lambda a: len(a.scope.replace("*", ""))) if hits else None

    def get(self, name: str, symbol: str) -> Argument:
        found = self.find(name, symbol)
        if found is None:
            raise TableError(
                f"argument '{name}' of {symbol} has no row; add to tables/arguments/*.csv: "
                f"{name},{symbol},<type>,<meaning>"
            )
        return found


def join(facts: dict, rows: list) -> tuple:
    """Rows with their facts, and the symbols of the installed Keras that no row covers."""
    covered = set()
    joined = []
    for row in rows:
        fact = facts.get(row["symbol"])
        if fact is None:
            continue  # a symbol of another Keras version
        covered.add(id(fact))
        joined.append((row, fact))
    missing = sorted({f.paths[0] for f in facts.values() if id(f) not in covered})
    return joined, missing
