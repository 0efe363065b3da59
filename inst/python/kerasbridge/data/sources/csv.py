"""CSV files: one or many, plain or compressed, read by Arrow in runs of whole records."""

from __future__ import annotations

import csv as python_csv
import io
from typing import Any, Iterator, NamedTuple, Optional, Sequence

import numpy as np

from kerasbridge.data.blocks import cores
from kerasbridge.data.sources import columns as cols
from kerasbridge.data.sources import records
from kerasbridge.data.sources.base import PIECE_BYTES, Part
from kerasbridge.data.sources.paths import expand
from kerasbridge.data.sources.tables import TableSource, with_row_numbers
from kerasbridge.errors import ArgumentError, DataError, FileError, KerasBridgeError

ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".csv.bz2", ".csv.zst")
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".br")
MISSING = ("", "NA", "N/A", "NULL", "null", "NaN", "nan", "#N/A")
_BOM = b"\xef\xbb\xbf"
_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
_LOGICAL = {"TRUE": "1", "True": "1", "true": "1", "FALSE": "0", "False": "0", "false": "0"}


class _Where(NamedTuple):
    file: int
    start: int
    end: Optional[int]  # None: a compressed file from `start` of its text to the end
    broken_lines: bool = False


class CsvSource(TableSource):
    """Rows of CSV files.

    Plain files are read in any order, from many places; a compressed file only from its start on,
    so that shuffling mixes its rows within the buffer, and files among each other.

    Args:
        path: files, patterns such as "part-*.csv.gz", or folders.
        y: name of the target column, or several names of numbers.
        x: names of the input columns, None for all others (a column without a name, as row names
            get, is left out).
        sample_weight: name of a column of weights.
        types: column -> "number" or "factor", where the first rows mislead.
        levels: column -> its levels in order, for factors; learnt in one pass, sorted, where they
            aren't given.
        encode: see `Layout`.
        schema: a `Schema` (or its JSON) that says types and levels, such as that of a table in
            memory or of a model.
        column_names: for files without a line of names.
        delimiter, quote, decimal_point, encoding: how the text is written; `quote` "" for none.
        missing: texts that mean a missing value.
        reading: arguments of `Source`.

    Raises:
        FileError, DataError: with the file and, where there is one, the row (counted from 1, the
            line of names not counted) and the column.
    """

    def __init__(
        self,
        path: Any,
        y: Any = None,
        x: Any = None,
        sample_weight: Optional[str] = None,
        types: Optional[dict] = None,
        levels: Optional[dict] = None,
        encode: str = "one_hot",
        schema: Any = None,
        column_names: Optional[Sequence[str]] = None,
        delimiter: str = ",",
        quote: str = '"',
        decimal_point: str = ".",
        encoding: str = "utf-8",
        missing: Sequence[str] = MISSING,
        **reading: Any,
    ):
        super().__init__(**reading)
        cols.arrow()
        for name, value in (("delimiter", delimiter), ("decimal_point", decimal_point)):
            if len(value) != 1:
                raise ArgumentError(f"`{name}` must be one character.", argument=name)
        if len(quote) > 1:
            raise ArgumentError("`quote` must be one character or none.", argument="quote")
        self.files = expand(path, ENDINGS)
        self.delimiter, self.quote, self.encoding = delimiter, quote, encoding
        self.decimal_point, self.missing = decimal_point, list(missing)
        self._names: list[list[str]] = []
        self._start: list[int] = []  # place of the first row in the text of each file
        for file in self.files:
            names, start = self._head(file, column_names)
            self._names.append(names)
            self._start.append(start)
        found = self._guess()
        self._describe(found, x, y, sample_weight, types or {}, levels or {}, encode, schema)
        needed = [column.name for column in self.layout.columns]
        for file, names in zip(self.files, self._names):
            for name in needed:
                if name not in names:
                    raise DataError(
                        f"'{file}' has no column '{name}', which other files have.",
                        argument="path",
                        details={"file": file, "column": name},
                    )
        counted = self._scan()
        self._learn_levels(counted)
        self._counted = counted
        self._ready()

    # ---- text ----

    def _open(self, file: str, start: int) -> Any:
        pa = cols.arrow()
        try:
            if file.lower().endswith(COMPRESSED):
                stream = pa.input_stream(file, compression="detect", buffer_size=1 << 20)
                while start > 0:
                    start -= len(stream.read(min(start, 1 << 20)))
                return stream
            stream = open(file, "rb")
            stream.seek(start)
            return stream
        except OSError as exc:
            raise FileError(
                f"'{file}' can't be read: {exc}.", argument="path", details={"file": file}
            ) from exc

    def _head(self, file: str, column_names: Optional[Sequence[str]]) -> tuple[list[str], int]:
        """(names, place of the first row) of a file."""
        with self._open(file, 0) as stream:
            data = self._bytes(stream, 1 << 20, file)
        bom = len(_BOM) if data.startswith(_BOM) else 0
        if column_names is not None:
            return [str(name) for name in column_names], bom
        end = bom
        quote = self.quote.encode()
        while True:
            line = data.find(b"\n", end)
            end = len(data) if line < 0 else line + 1
            if line < 0 or not quote or data.count(quote, bom, end) % 2 == 0:
                break
        text = data[bom:end].decode(self.encoding, errors="replace").rstrip("\r\n")
        if not text:
            raise DataError(f"'{file}' has no line of names.", argument="path")
        quoting = {"quotechar": self.quote} if self.quote else {"quoting": python_csv.QUOTE_NONE}
        reader = python_csv.reader(io.StringIO(text), delimiter=self.delimiter, **quoting)
        names = next(reader)
        twice = {name for name in names if names.count(name) > 1 and name}
        if twice:
            raise DataError(f"'{file}' has the column '{min(twice)}' twice.", argument="path")
        return names, end

    def _bytes(self, stream: Any, size: int, file: str) -> bytes:
        try:
            return stream.read(size)
        except (OSError, ValueError) as exc:
            raise FileError(
                f"'{file}' is damaged: {exc}.", argument="path", details={"file": file}
            ) from exc

    def _runs(self, file: int, start: int, name: str) -> Iterator[records.Records]:
        with self._open(self.files[file], start) as stream:
            try:
                yield from records.cut(
                    stream, PIECE_BYTES * 2, self.quote.encode(), start, self.files[file]
                )
            except KerasBridgeError:
                raise
            except (OSError, ValueError) as exc:
                raise FileError(
                    f"'{name}' is damaged: {exc}.", argument="path", details={"file": name}
                ) from exc

    def _scan(self) -> list[Part]:
        """Count the rows of all files and note where they can be cut."""
        found: list[Part] = []
        for number, file in enumerate(self.files):
            packed = file.lower().endswith(COMPRESSED)
            parts: list[Part] = []
            rows, broken = 0, False
            try:
                for run in self._runs(number, self._start[number], file):
                    broken |= run.broken_lines
                    if not packed and run.rows:
                        where = _Where(
                            number, run.start, run.start + len(run.data), run.broken_lines
                        )
                        parts.append(Part(where, run.rows, rows))
                    rows += run.rows
            except KerasBridgeError as error:
                if self.on_error == "stop":
                    raise
                self._skip(0, f"The rest of a file was left out: {error.message}")
            if packed and rows:
                parts = [Part(_Where(number, self._start[number], None, broken), rows)]
            found += parts
        return found

    # ---- tables ----

    def _guess(self) -> dict:
        """Types by column from the first rows of the first file that has any."""
        pa = cols.arrow()
        for number, file in enumerate(self.files):
            for run in self._runs(number, self._start[number], file):
                if not run.rows:
                    continue
                try:
                    table = self._parse(run.data, number, None, {}, run.broken_lines, None, True)
                except pa.ArrowInvalid as exc:
                    if self.on_error == "stop":
                        self._bad_length(run.data, number, 0, exc)
                    table = self._parse(run.data, number, None, {}, True, lambda row: "skip", False)
                schema = {field.name: field.type for field in table.schema}
                return {name: schema[name] for name in self._names[number]}
        raise DataError("The files have no rows.", argument="path")

    def _parse(
        self, data: bytes, file: int, names: Optional[list], types: dict, broken_lines: bool,
        handler: Any, threads: bool,
    ) -> Any:  # fmt: skip
        import pyarrow.csv as arrow_csv

        pa = cols.arrow()
        block = max(len(data) // cores() + 1, 1 << 16) if threads else len(data) + 1
        return arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(
                column_names=self._names[file],
                use_threads=threads,
                block_size=block,
                encoding=self.encoding,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self.delimiter,
                quote_char=self.quote or False,
                newlines_in_values=broken_lines,
                invalid_row_handler=handler,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types,
                include_columns=names,
                null_values=self.missing,
                strings_can_be_null=True,
                decimal_point=self.decimal_point,
            ),
        )

    def parts(self) -> list[Part]:
        return self._counted

    def file_of(self, part: Part) -> str:
        return self.files[part.where.file]

    def tables(self, part: Part, names: list[str]) -> Iterator[Any]:
        where, first = part.where, part.first
        if where.end is not None:
            with self._open(self.files[where.file], where.start) as stream:
                data = self._bytes(stream, where.end - where.start, self.files[where.file])
            yield from self._batches(data, where.file, names, where.broken_lines, first, 0)
            return
        before = 0
        for run in self._runs(where.file, where.start, self.files[where.file]):
            if run.rows:
                yield from self._batches(
                    run.data, where.file, names, run.broken_lines, first + before, before
                )
            before += run.rows

    def _types(self, names: list[str]) -> dict:
        pa = cols.arrow()
        kinds = {column.name: column.kind for column in self.layout.columns}
        text = pa.dictionary(pa.int32(), pa.string())
        return {n: pa.float32() if kinds[n] == "number" else text for n in names}

    def _batches(
        self, data: bytes, file: int, names: list[str], broken_lines: bool, first: int, before: int
    ) -> Iterator[Any]:
        """Record batches of the records in `data`; `before` of the part's rows come ahead of it."""
        pa = cols.arrow()
        try:
            table = self._parse(data, file, names, self._types(names), broken_lines, None, True)
        except pa.ArrowInvalid as exc:
            yield self._careful(data, file, names, first, before, exc)
            return
        yield from table.to_batches()

    def _bad_length(self, data: bytes, file: int, first: int, exc: Exception) -> None:
        """Say which record of `data` has too few or too many fields."""
        lines: list = []
        self._text_table(data, file, self._names[file], lines)
        if lines:
            row = lines[0].number + first
            raise DataError(
                f"'{self.files[file]}', row {row}: it has {lines[0].actual_columns} fields, not "
                f"{lines[0].expected_columns}.",
                hint='Mend the file, or leave such rows out with on_error = "skip".',
                argument="path",
                details={"file": self.files[file], "row": row},
            ) from exc

    def _text_table(self, data: bytes, file: int, names: list[str], lines: list) -> Any:
        """All as text; records of a wrong length go to `lines`."""
        pa = cols.arrow()

        def wrong_length(row: Any) -> str:
            lines.append(row)
            return "skip"

        types = {name: pa.string() for name in names}
        return self._parse(data, file, names, types, True, wrong_length, False)

    def _careful(
        self, data: bytes, file: int, names: list[str], first: int, before: int, exc: Exception
    ) -> Any:
        """The records that have all fields, as one batch; what is no number becomes missing.

        With `on_error` "stop" the first record of a wrong length, or value that is no number, is
        an error.
        """
        pa = cols.arrow()
        name = self.files[file]
        lines: list = []
        try:
            table = self._text_table(data, file, names, lines)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"'{name}', between rows {first + 1} and {first + records.count_rows(data, b'')[0]}"
                f": {error}.",
                hint='If the text is not UTF-8, say `encoding`, such as "latin1".',
                argument="path",
                details={"file": name, "row": first + 1},
            ) from error
        gone = np.array([row.number - 1 for row in lines], dtype=np.int64)
        numbers = np.delete(np.arange(table.num_rows + len(gone)), gone)
        if self.on_error == "stop":
            self._bad_length(data, file, first, exc)
        elif len(gone) and self._counting:
            self._skip(len(gone), f"'{name}', row {first + int(gone[0]) + 1}: wrong length.")
        table = table.combine_chunks()
        arrays = []
        for column in names:
            array = table.column(column).combine_chunks()
            array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
            if self._types([column])[column] == pa.float32():
                array, wrong = self._as_numbers(array)
                if wrong is not None and self.on_error == "stop":
                    row = first + int(numbers[wrong]) + 1
                    raise DataError(
                        f"'{name}', row {row}, column '{column}': the value is not a number.",
                        hint=f'Mend the file, say types = c({column} = "factor"), or leave such '
                        'rows out with on_error = "skip".',
                        argument="path",
                        details={"file": name, "row": row, "column": column},
                    ) from exc
            arrays.append(array)
        batch = pa.RecordBatch.from_arrays(arrays, names=names)
        return with_row_numbers(batch, numbers + before)

    def _as_numbers(self, array: Any) -> tuple[Any, Optional[int]]:
        """(float32 array, place of the first text that is no number); such texts become null."""
        pa = cols.arrow()
        compute = pa.compute
        if self.decimal_point != ".":
            array = compute.replace_substring(array, self.decimal_point, ".")
        for word, number in _LOGICAL.items():
            array = compute.if_else(compute.equal(array, word), number, array)
        good = compute.match_substring_regex(array, _NUMBER)
        wrong = compute.equal(good, False)
        found = compute.index(wrong, True).as_py()
        array = compute.if_else(
            good, compute.utf8_trim_whitespace(array), pa.scalar(None, pa.string())
        )
        return array.cast(pa.float32()), None if found < 0 else found
