"""CSV and Parquet sources: values, levels, orders, splits, and rows that can't be used."""

from __future__ import annotations

import gzip
import importlib.util
import threading

import numpy as np
import pytest
from kerasbridge.data.sources import CsvSource, ParquetSource, records
from kerasbridge.errors import ArgumentError, DataError, FileError

pa = pytest.importorskip("pyarrow")


def rows_of(source, shuffle=False):
    batches = list(source.batches(shuffle=shuffle))
    return [np.concatenate([batch[i] for batch in batches]) for i in range(len(batches[0]))]


def write(path, text):
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "wt", encoding="utf-8") as file:
        file.write(text)
    return str(path)


@pytest.fixture
def folder(tmp_path):
    """Three files of rows 0 .. 8999 with row names, quotes within quotes and ends of lines."""
    head = '"","number","cut","note","price"\n'
    cuts = ['"Fair"', '"Go,od"', '"Be""st"']

    def lines(first, last):
        return "".join(
            f'"{i}",{i},{cuts[i % 3]},"one\nand ""two""",{i % 7}.5\n' for i in range(first, last)
        )

    write(tmp_path / "part-1.csv", head + lines(0, 4000))
    write(tmp_path / "part-2.csv", head.replace('"cut"', "cut") + lines(4000, 6000).rstrip())
    write(tmp_path / "part-3.csv.gz", head + lines(6000, 9000))
    return tmp_path


def test_rows_of_many_files_come_in_order(folder):
    source = CsvSource(folder / "part-*", y="price", x=["number", "cut"], batch_size=100)
    assert source.samples == 9000 and len(source) == 90
    assert source.levels == {"cut": ['Be"st', "Fair", "Go,od"]}
    assert source.x_names == ["number", 'cut=Be"st', "cut=Fair", "cut=Go,od"]
    x, y = rows_of(source)
    assert x.dtype == y.dtype == np.float32
    np.testing.assert_array_equal(x[:, 0], np.arange(9000))
    np.testing.assert_array_equal(y, np.arange(9000) % 7 + 0.5)
    np.testing.assert_array_equal(x[:, 1:], np.eye(3)[[1, 2, 0] * 3000])


def test_folders_and_given_levels_and_codes(folder):
    levels = {"cut": ["Go,od", 'Be"st', "Fair"]}
    source = CsvSource(folder, y="cut", x="number", levels=levels)
    assert source.y_levels == levels["cut"]
    assert rows_of(source)[1].tolist()[:3] == [2, 0, 1] and rows_of(source)[1].dtype == np.int32
    columns = CsvSource(folder, x=["cut", "number"], encode="columns", levels=levels)
    x = next(columns.batches())[0]
    assert x["cut"].shape == (32, 1) and x["cut"].dtype == np.int32
    coded = CsvSource(folder, x=["cut", "number"], encode="codes", levels=levels, shuffle=False)
    np.testing.assert_array_equal(coded[1][0][:2], [[1, 32], [2, 33]])
    with pytest.raises(DataError, match=r"part-1.csv', row 1: column 'cut' .* none of its levels"):
        rows_of(CsvSource(folder, x="cut", levels={"cut": ["Go,od", 'Be"st']}))


def test_orders_follow_the_seed_and_every_row_comes_once(folder):
    make = lambda seed: CsvSource(folder, x="number", seed=seed, buffer_size=1000)  # noqa: E731
    one, two, other = make(1), make(1), make(2)
    first = rows_of(one, shuffle=True)[0][:, 0]
    assert sorted(first) == list(range(9000)) and first.tolist() != list(range(9000))
    np.testing.assert_array_equal(first, rows_of(two, shuffle=True)[0][:, 0])
    assert first.tolist() != rows_of(other, shuffle=True)[0][:, 0].tolist()
    one.on_epoch_end()
    assert rows_of(one, shuffle=True)[0][:, 0].tolist() != first.tolist()


def test_the_validation_part_is_the_last_rows(folder):
    source = CsvSource(folder, x="number", validation_split=0.1, seed=1)
    assert source.samples == 8100 and source.validation.samples == 900
    assert sorted(rows_of(source, True)[0][:, 0]) == list(range(8100))
    np.testing.assert_array_equal(rows_of(source.validation)[0][:, 0], np.arange(8100, 9000))
    training, rest = source.split(0.5)
    assert rows_of(rest)[0][:, 0].tolist() == list(range(4050, 8100)) and training.samples == 4050
    with pytest.raises(ArgumentError, match="leaves no rows for training"):
        CsvSource(folder, x="number", validation_split=0.99999)


def test_keras_asks_by_number(folder):
    source = CsvSource(folder, x="number", shuffle=False, batch_size=64)
    assert source[100][0][0, 0] == 6400 and source[3][0][0, 0] == 192 and source[4][0][0, 0] == 256
    with pytest.raises(IndexError):
        source[len(source)]
    mixed = CsvSource(folder, x="number", seed=1, batch_size=64)
    order = [0, 1, *np.random.default_rng(0).permutation(len(mixed))]
    seen = {i: mixed[int(i)][0][:, 0] for i in order}
    assert sorted(np.concatenate(list(seen.values()))) == list(range(9000))
    values = [source[i][0] for i in range(len(source))]
    if importlib.util.find_spec("tensorflow") is not None:
        values = [batch[0].numpy() for batch in source.dataset()]
    np.testing.assert_array_equal(np.concatenate(values)[:, 0], np.arange(9000))
    source.on_epoch_end()
    mixed.on_epoch_end()
    assert not [t for t in threading.enumerate() if t.name == "kerasbridge-prefetch"]


BAD = "a,b,y\n1,2,3\n4,word,6\n\n7,8\n9,NA,1\n1,1,1\n2,inf,2\n3,3,3"


@pytest.mark.parametrize(
    ("text", "row", "match"),
    [
        ("a,y\n1,2\n3,4\n5\n", 3, "row 3: it has 1 fields, not 2"),
        ("a,y\n1,2\n3,4\n5,\n", 3, "row 3: column 'y' has no value"),
        ("a,y\n1,2\n3,inf\n", 2, "row 2: column 'y' .*not finite"),
    ],
)
def test_bad_rows_are_named(tmp_path, text, row, match):
    path = write(tmp_path / "bad.csv", text)
    with pytest.raises(DataError, match=match) as caught:
        rows_of(CsvSource(path, y="y"))
    assert caught.value.details == {"file": path, "row": row}


def test_words_among_numbers_are_named(tmp_path):
    good = "".join(f"{i},{i}\n" for i in range(600_000))  # beyond what types are guessed from
    path = write(tmp_path / "late.csv", "a,y\n" + good + "5,word\n" + "1,1\n" * 1000)
    source = CsvSource(path, y="y")
    with pytest.raises(DataError, match="row 600001, column 'y': the value is not a number"):
        rows_of(source)
    kept = CsvSource(path, y="y", on_error="skip")
    assert kept.skipped == 1 and kept.samples == source.samples - 1 == 601_000
    assert len(rows_of(kept)[0]) == kept.samples


def test_bad_rows_are_skipped_and_counted(tmp_path):
    write(tmp_path / "a.csv", BAD)
    write(tmp_path / "b.csv.gz", BAD.replace("1,2,3", "5,5,5"))
    source = CsvSource(
        tmp_path, y="y", types={"b": "number"}, on_error="skip", batch_size=2, shuffle=False
    )
    assert source.skipped == 8 and source.samples == 6
    x, y = rows_of(source)
    assert x.tolist() == [[1, 2], [1, 1], [3, 3], [5, 5], [1, 1], [3, 3]]
    assert y.tolist() == [3, 1, 3, 5, 1, 3]
    np.testing.assert_array_equal(np.concatenate([source[i][1] for i in range(3)]), y)
    np.testing.assert_array_equal(rows_of(source.split(0.5)[1])[1], y[3:])
    assert any("row 3" in sentence for sentence in source.problems)
    words = write(tmp_path / "words.csv", "kind,y\na,1\nb\na,3\n")
    assert (
        CsvSource(words, y="y", on_error="skip").skipped == 1
    )  # levels are learnt in another pass


def test_other_ways_of_writing(tmp_path):
    text = "Größe;flag;y\n1,5;TRUE;2\n2,5;false;3\n"
    path = tmp_path / "latin.csv"
    path.write_bytes(text.encode("latin1"))
    source = CsvSource(
        path, y="y", delimiter=";", decimal_point=",", encoding="latin1", shuffle=False
    )
    assert source.x_names == ["Größe", "flag"]
    np.testing.assert_array_equal(source[0][0], [[1.5, 1], [2.5, 0]])
    bare = write(tmp_path / "bare.csv", '\ufeff1,5" disk\n2,7" disk\n')
    named = CsvSource(bare, column_names=["n", "what"], quote="", shuffle=False, encode="codes")
    assert named.levels == {"what": ['5" disk', '7" disk']}
    np.testing.assert_array_equal(named[0][0], [[1, 0], [2, 1]])


def test_what_is_asked_for_must_be_there(tmp_path):
    path = write(tmp_path / "x.csv", "a,b,when,y\n1,2,2020-01-01,3\n")
    with pytest.raises(ArgumentError, match="no column 'z'"):
        CsvSource(path, y="z")
    with pytest.raises(DataError, match="'when' holds .* no meaning as numbers"):
        CsvSource(path, y="y")
    with pytest.raises(FileError, match="no file"):
        CsvSource(tmp_path / "none-*.csv")
    with pytest.raises(ArgumentError, match="`encode`"):
        CsvSource(path, x="a", encode="binary")
    with pytest.raises(ArgumentError, match="'a' is in `x` and in `y`"):
        CsvSource(path, x="a", y="a")
    with pytest.raises(ArgumentError, match="'c', which is no column"):
        CsvSource(path, x="a", types={"c": "number"})
    with pytest.raises(DataError, match="has no column 'b', which other files have"):
        other = write(tmp_path / "z.csv", "a,y\n1,2\n")
        CsvSource([path, other], x=["a", "b"])
    with pytest.raises(DataError, match="quoted field has no end"):
        CsvSource(write(tmp_path / "open.csv", 'a,y\n1,2\n"3,4\n5,6\n'))
    with pytest.raises(ArgumentError, match="on_error"):
        CsvSource(path, x="a", on_error="ignore")


def test_a_cut_gz_file_is_named(tmp_path):
    path = write(tmp_path / "cut.csv.gz", "a,y\n" + "".join(f"{i},{i}\n" for i in range(50_000)))
    data = open(path, "rb").read()
    open(path, "wb").write(data[: len(data) // 2])
    with pytest.raises(FileError, match="cut.csv.gz' is damaged"):
        CsvSource(path, y="y")


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("quote", [b'"', b""])
def test_cuts_lie_between_records(size, quote):
    import csv
    import io

    text = b'1,"a\nb"\r\n\n2,c\n3,"""\n"\n\r\n4,"d""e"\n5,f' if quote else b"1,a\n\n2,b\r\n3,c"
    runs = list(records.cut(io.BytesIO(text), size, quote, 0, "text"))
    assert b"".join(run.data for run in runs) == text
    assert [run.start for run in runs] == np.cumsum([0] + [len(r.data) for r in runs])[:-1].tolist()
    for run in runs:
        parsed = [row for row in csv.reader(io.StringIO(run.data.decode(), newline="")) if row]
        assert run.rows == len(parsed)


@pytest.fixture
def parquet(tmp_path):
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "number": np.arange(10_000),
            "half": pa.array(np.arange(10_000) / 2, pa.float64()),
            "kind": pa.array(["b", "a"] * 5000).dictionary_encode(),
            "flag": pa.array(rng.random(10_000) < 0.5),
            "y": pa.array(np.arange(10_000) % 5, pa.int8()),
        }
    )
    pq.write_table(table.slice(0, 7000), tmp_path / "one.parquet", row_group_size=1500)
    pq.write_table(table.slice(7000), tmp_path / "two.parquet", row_group_size=1500)
    return tmp_path


def test_parquet_columns_and_row_groups(parquet):
    source = ParquetSource(
        parquet, y="y", x=["half", "kind", "number"], sample_weight="half", seed=3, batch_size=100
    )
    assert source.samples == 10_000 and source.x_names == ["half", "kind=a", "kind=b", "number"]
    x, y, weight = rows_of(source)
    np.testing.assert_array_equal(x[:, 3], np.arange(10_000))
    np.testing.assert_array_equal(x[:, 0], weight)
    np.testing.assert_array_equal(y, np.arange(10_000) % 5)
    mixed = rows_of(source, shuffle=True)
    assert sorted(mixed[0][:, 3]) == list(range(10_000))
    np.testing.assert_array_equal(mixed[1], mixed[0][:, 3] % 5)
    part = rows_of(source.split(0.25)[1])[0][:, 3]
    np.testing.assert_array_equal(part, np.arange(7500, 10_000))


def test_parquet_trouble_is_named(parquet, tmp_path):
    import pyarrow.parquet as pq

    path = str(tmp_path / "hole.parquet")
    pq.write_table(pa.table({"a": [1.0, None, 3.0], "y": [1, 2, 3]}), path)
    with pytest.raises(DataError, match=r"hole.parquet', row 2: column 'a' has no value"):
        rows_of(ParquetSource(path, y="y"))
    kept = ParquetSource(path, y="y", on_error="skip", shuffle=False)
    assert kept.skipped == 1 and kept[0][0].tolist() == [[1], [3]]
    broken = str(parquet / "two.parquet")
    open(broken, "wb").write(b"PAR1 nothing")
    with pytest.raises(FileError, match="two.parquet' is not a Parquet file"):
        ParquetSource(str(parquet / "[ot]*.parquet"), x="number")
    rest = ParquetSource([str(parquet / "one.parquet"), broken], x="number", on_error="skip")
    assert rest.samples == 7000 and "two.parquet" in rest.problems[0]


def test_a_damaged_row_group_is_skipped_whole(parquet):
    path = str(parquet / "one.parquet")
    import pyarrow.parquet as pq

    where = pq.ParquetFile(path).metadata.row_group(1).column(0)
    start = where.dictionary_page_offset or where.data_page_offset
    data = bytearray(open(path, "rb").read())
    data[start : start + 200] = b"\xff" * 200
    open(path, "wb").write(bytes(data))
    with pytest.raises(FileError, match="one.parquet' is damaged after row 1500"):
        rows_of(ParquetSource(path, x="number"))
    kept = ParquetSource(path, x="number", on_error="skip")
    assert kept.skipped == 1500 and kept.samples == 5500
    assert sorted(rows_of(kept, True)[0][:, 0]) == [*range(1500), *range(3000, 7000)]


def test_a_source_travels_to_another_process_and_reads_from_its_start(folder):
    import pickle

    source = CsvSource(folder / "part-*", y="price", x=["number"], seed=3, batch_size=1000)
    source[0]  # in the midst of an epoch
    other = pickle.loads(pickle.dumps(source))
    assert (other.samples, other.batch_size, len(other)) == (9000, 1000, 9)
    for one, two in zip(rows_of(source, True), rows_of(other, True)):
        np.testing.assert_array_equal(one, two)
    assert other[0][0].shape == (1000, 1)
