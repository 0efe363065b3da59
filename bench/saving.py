"""Saving, loading and inspecting a model of 500 MB, beside plain Keras.

    python bench/saving.py
    python bench/saving.py --megabytes 100 --repeats 5

Ours and plain Keras' run by turns in one process; medians. Ours also flushes the file to disk and writes
and compares checksums. Plain Keras leaves the flushing to the system, so a row "flushed" gives plain
Keras with the same `fsync` of the file, which is what the disk costs and not what is done to the model.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "inst" / "python"))
BAR, INSPECT_BAR = 1.15, 0.2


def build(megabytes: int):
    """Five dense layers that hold `megabytes` of weights together."""
    import keras

    width = int((megabytes * 1e6 / 4 / 5) ** 0.5)
    return keras.Sequential([keras.Input((width,)), *[keras.layers.Dense(width) for _ in range(5)]])


def timed(function: Callable) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def flush(path: str) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def main() -> int:
    import keras
    from kerasbridge.saving import inspect_model, load_model, save_model

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--formats", nargs="+", default=[".keras", ".h5"])
    options = parser.parse_args()
    model = build(options.megabytes)
    missed = 0
    with tempfile.TemporaryDirectory(prefix="kerasbridge-bench-") as folder:
        for ending in options.formats:
            plain, ours = (os.path.join(folder, f"{who}{ending}") for who in ("plain", "ours"))

            def flushed(plain=plain):
                keras.saving.save_model(model, plain)
                flush(plain)

            runs: dict = {
                "save, plain": lambda p=plain: keras.saving.save_model(model, p),
                "save, plain, flushed": flushed,
                "save, ours": lambda p=ours: save_model(model, p, overwrite=True),
                "load, plain": lambda p=ours: keras.saving.load_model(p, compile=False),
                "load, ours": lambda p=ours: load_model(p, compile=False),
                "inspect": lambda p=ours: inspect_model(p),
            }
            times: dict = {name: [] for name in runs}
            for turn in range(options.repeats + 1):
                for name, run in runs.items():
                    taken = timed(run)
                    if turn:  # the first turn warms up
                        times[name].append(taken)
            middle = {name: statistics.median(found) for name, found in times.items()}
            for name, value in middle.items():
                print(f"{ending:7} {name:22} {value:7.3f} s", flush=True)
            ratios = {
                "save": middle["save, ours"] / middle["save, plain"],
                "save against flushed": middle["save, ours"] / middle["save, plain, flushed"],
                "load": middle["load, ours"] / middle["load, plain"],
            }
            for name, ratio in ratios.items():
                print(f"{ending:7} {name:22} {ratio:7.2f} x  (bar {BAR})", flush=True)
                missed += ratio > BAR and name != "save"
            missed += middle["inspect"] > INSPECT_BAR
            for path in (plain, ours):
                os.unlink(path)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
