"""Parquet files, row group by row group, only the columns that are needed."""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple, Optional

from kerasbridge.data.sources import columns as cols
from kerasbridge.data.sources.base import PIECE_BYTES, Part
from kerasbridge.data.sources.paths import expand
from kerasbridge.data.sources.tables import TableSource
from kerasbridge.errors import DataError, FileError

ENDINGS = (".parquet", ".pq")


class _Where(NamedTuple):
    file: int
    group: int


class ParquetSource(TableSource):
    """Rows of Parquet files.

    Row groups are what is read in random order; within a large one rows come as they lie and are
    mixed within the buffer.

    Args:
        path: files, patterns such as "part-*.parquet", or folders.
        y, x, sample_weight, types, levels, encode, schema: as for `CsvSource`.
        reading: arguments of `Source`.

    Raises:
        FileError, DataError: with the file and, where there is one, the row (counted from 1) and
            the column.
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
        **reading: Any,
    ):
        super().__init__(**reading)
        cols.arrow()
        self.files = expand(path, ENDINGS)
        counted: list[Part] = []
        found: Optional[dict] = None
        for number, file in enumerate(self.files):
            try:
                with self._open(file) as opened:
                    fields = {field.name: field.type for field in opened.schema_arrow}
                    groups = [
                        opened.metadata.row_group(i).num_rows
                        for i in range(opened.metadata.num_row_groups)
                    ]
            except FileError as error:
                if self.on_error == "stop":
                    raise
                self._skip(0, f"A file was left out: {error.message}")
                continue
            if found is None:
                found = fields
                self._describe(
                    found, x, y, sample_weight, types or {}, levels or {}, encode, schema
                )
            for column in self.layout.columns:
                if column.name not in fields:
                    raise DataError(
                        f"'{file}' has no column '{column.name}', which other files have.",
                        argument="path",
                        details={"file": file, "column": column.name},
                    )
            first = 0
            for group, rows in enumerate(groups):
                if rows:
                    counted.append(Part(_Where(number, group), rows, first))
                first += rows
        if found is None:
            raise DataError("No file can be read.", hint=self.problems[0], argument="path")
        self._counted = counted
        self._learn_levels(counted)
        self._ready()

    def _open(self, file: str) -> Any:
        import pyarrow.parquet as parquet

        pa = cols.arrow()
        try:
            # read through a small buffer: a row group is never in memory as a whole
            return parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
        except (OSError, pa.ArrowException) as exc:
            raise FileError(
                f"'{file}' is not a Parquet file, or damaged: {exc}.",
                argument="path",
                details={"file": file},
            ) from exc

    def parts(self) -> list[Part]:
        return self._counted

    def file_of(self, part: Part) -> str:
        return self.files[part.where.file]

    def tables(self, part: Part, names: list[str]) -> Iterator[Any]:
        pa = cols.arrow()
        file = self.file_of(part)
        rows = max(1024, PIECE_BYTES // (4 * len(names)))
        done = 0
        with self._open(file) as opened:
            try:
                for batch in opened.iter_batches(
                    batch_size=rows, row_groups=[part.where.group], columns=names
                ):
                    yield self._plain(batch)
                    done += batch.num_rows
            except (OSError, pa.ArrowException) as exc:
                raise FileError(
                    f"'{file}' is damaged after row {part.first + done}: {exc}.",
                    argument="path",
                    details={"file": file, "row": part.first + done + 1},
                ) from exc

    def _plain(self, batch: Any) -> Any:
        """Numbers as Arrow's own number types; decimals have none in numpy."""
        pa = cols.arrow()
        kinds = {column.name: column.kind for column in self.layout.columns}
        arrays = []
        for field, array in zip(batch.schema, batch.columns):
            if pa.types.is_decimal(field.type) or pa.types.is_null(field.type):
                array = array.cast(pa.float64())
            elif kinds[field.name] == "number" and pa.types.is_dictionary(field.type):
                array = array.dictionary_decode().cast(pa.float64())
            arrays.append(array)
        return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
