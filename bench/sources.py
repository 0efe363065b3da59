"""Sources: pace against Keras' and TensorFlow's own readers, and memory on files larger than wanted.

`python bench/sources.py` runs all rows, `python bench/sources.py csv mapped memory --gigabytes 2` some.

csv     batches of a CSV file: `source_csv` against `tf.data.experimental.make_csv_dataset`
mapped  one epoch from memory-mapped arrays against the same epoch from memory, both with this package
memory  resident memory while a model trains an epoch from a CSV and from a Parquet set of that size
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ENGINE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "inst", "python"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, ENGINE)

import numpy as np  # noqa: E402

COLUMNS = 50
CSV_BAR, MAPPED_BAR, MEMORY_BAR = 3.0, 0.8, 400


def block(rows, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, COLUMNS)).round(4)


def write_csv(path, rows, repeats=1):
    """`repeats` times the same `rows` rows: to make a large file is not what is measured."""
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    names = [f"c{i}" for i in range(COLUMNS)]
    body = path + ".body"
    arrow_csv.write_csv(
        pa.table(dict(zip(names, block(rows).T))),
        body,
        arrow_csv.WriteOptions(include_header=False),
    )
    with open(path, "wb") as out:
        out.write((",".join(names) + "\n").encode())
        for _ in range(repeats):
            with open(body, "rb") as part:
                shutil.copyfileobj(part, out, 1 << 22)
    os.remove(body)


def by_turns(runs, repeats):
    """Medians by name: seconds, and seconds of processor time, which a busy machine stretches less."""
    times = {name: [] for name in runs}
    work = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            started, before = time.perf_counter(), time.process_time()
            run()
            if turn:
                times[name].append(time.perf_counter() - started)
                work[name].append(time.process_time() - before)
    return [{name: statistics.median(v) for name, v in part.items()} for part in (times, work)]


def csv_pace(folder, repeats):
    import tensorflow as tf
    from kerasbridge.data.sources import CsvSource

    path, rows = os.path.join(folder, "pace.csv"), 100_000
    write_csv(path, rows)

    def ours():
        source = CsvSource(path, y="c0", batch_size=128, seed=1)
        assert sum(len(x) for x, _ in source) == rows

    def theirs():
        data = tf.data.experimental.make_csv_dataset(
            path, 128, label_name="c0", num_epochs=1, shuffle_seed=1
        )
        assert sum(int(y.shape[0]) for _, y in data) == rows

    found, work = by_turns({"ours": ours, "theirs": theirs}, repeats)
    ratio = found["theirs"] / found["ours"]
    print(
        f"csv     {rows} rows x {COLUMNS}: ours {found['ours']:.2f} s, make_csv_dataset "
        f"{found['theirs']:.2f} s: {ratio:.1f}x (bar {CSV_BAR}x); by processor time "
        f"{work['theirs'] / work['ours']:.1f}x",
        flush=True,
    )
    return ratio >= CSV_BAR


def network(columns):
    import keras

    model = keras.Sequential(
        [keras.Input((columns,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    return model


def mapped_pace(folder, repeats):
    from kerasbridge import training
    from kerasbridge.data.sources import NpySource

    x = block(400_000).astype("float32")
    y = x.sum(axis=1)
    a, b = os.path.join(folder, "x.npy"), os.path.join(folder, "y.npy")
    np.save(a, x)
    np.save(b, y)
    kept, mapped = network(COLUMNS), network(COLUMNS)
    options = dict(epochs=1, verbose=0, engine="xla")
    source = NpySource(a, b, seed=1)
    found, work = by_turns(
        {
            "memory": lambda: training.fit(kept, x, y, **options),
            "mapped": lambda: training.fit(mapped, source, **options),
        },
        repeats,
    )
    share = found["memory"] / found["mapped"]
    print(
        f"mapped  {len(x)} rows x {COLUMNS}, an epoch: from memory {found['memory']:.2f} s, mapped "
        f"{found['mapped']:.2f} s: {100 * share:.0f} % of the pace (bar {100 * MAPPED_BAR:.0f} %); by "
        f"processor time {100 * work['memory'] / work['mapped']:.0f} %",
        flush=True,
    )
    return share >= MAPPED_BAR


def resident():
    with open("/proc/self/status", encoding="ascii") as lines:
        found = dict(line.split(":", 1) for line in lines)
    return [int(found[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")]


def train_once(kind, path, small):
    """In a process of its own: MiB that an epoch adds to those after a first fit on little data."""
    from kerasbridge import training
    from kerasbridge.data.sources import CsvSource, ParquetSource

    make = {"csv": CsvSource, "parquet": ParquetSource}[kind]
    model = network(COLUMNS - 1)
    training.fit(model, make(small, y="c0"), epochs=1, verbose=0, batch_size=256)
    before = resident()[0]
    with open("/proc/self/clear_refs", "w", encoding="ascii") as peak:
        peak.write("5")  # the peak starts anew
    started = time.perf_counter()
    source = make(path, y="c0", batch_size=256, seed=1)
    counted = time.perf_counter() - started
    history = training.fit(model, source, epochs=1, verbose=0)
    print(
        f"{resident()[1] - before:.0f} {source.samples} {counted:.1f} {history.seconds:.1f} "
        f"{history.engine}"
    )


def memory(folder, gigabytes):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    met = True
    wanted = int(gigabytes * 1e9)
    for kind in ("csv", "parquet"):
        path, small = (os.path.join(folder, f"{name}.{kind}") for name in ("large", "small"))
        if kind == "csv":
            write_csv(small, 20_000)
            write_csv(path, 20_000, max(1, wanted // os.path.getsize(small)))
        else:
            table = pa.table({f"c{i}": column for i, column in enumerate(block(100_000).T)})
            parquet.write_table(table, small)
            with parquet.ParquetWriter(path, table.schema) as writer:
                while not os.path.exists(path) or os.path.getsize(path) < wanted:
                    writer.write_table(table)
        size = os.path.getsize(path) / 1e9
        out = subprocess.run(
            [sys.executable, os.path.abspath(__file__), "--one", kind, path, small],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        grown = float(out[0])
        print(
            f"memory  {kind}, {size:.2f} GB, {out[1]} rows: resident memory grows by {grown:.0f} MiB "
            f"(bar {MEMORY_BAR}); rows counted in {out[2]} s, an epoch in {out[3]} s ({out[4]})",
            flush=True,
        )
        met = met and grown <= MEMORY_BAR
        os.remove(path)
    return met


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", default=["csv", "mapped", "memory"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return train_once(*options.one)
    met = True
    with tempfile.TemporaryDirectory() as folder:
        for row in options.rows:
            if row == "csv":
                met &= csv_pace(folder, options.repeats)
            elif row == "mapped":
                met &= mapped_pace(folder, options.repeats)
            elif row == "memory":
                met &= memory(folder, options.gigabytes)
            else:
                parser.error(f"there is no row '{row}'")
    print("every bar is met" if met else "a bar is missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
