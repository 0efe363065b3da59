"""Saving, loading and inspecting a model of 500 MB, beside plain Keras.

    python bench/saving.py
    python bench/saving.py --megabytes 100 --repeats 5
    python bench/saving.py --formats --weights .weights.h5 .keras .h5

Ours and plain Keras' run by turns and in both orders in one process; medians. Ours also flushes the file
to disk and writes and compares checksums. Plain Keras leaves the flushing to the system, so a row "flushed"
gives plain Keras with the same `fsync` of the file, which is what the disk costs and not what is done to the
model. Before each run memory is taken and given back (`warm()`): in a virtual machine free memory
goes back to the host within seconds and is slow to come again, which costs more than a save does; whoever
runs after a load would pay for it.
Rows of weights that are loaded into the model also have what the process grows by meanwhile, at its peak.
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

import numpy as np

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


def warm(folder: str, size: int = 1_200_000_000) -> None:
    """Take and give back memory, for data (`folder` is "") or for files, which is another pool of the system's."""
    if folder:
        path = os.path.join(folder, "warm")
        with open(path, "wb") as file:
            for _ in range(size // 4_000_000):
                file.write(bytes(4_000_000))
        os.unlink(path)
        return
    np.ones(size, np.uint8)


def measured(runs: dict, repeats: int, folder: str = "") -> dict:
    """Median seconds of each of `runs`, by turns and in both orders; a first turn isn't counted."""
    times: dict = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in list(runs.items())[:: -1 if turn % 2 else 1]:
            warm(folder)
            taken = timed(run)
            if turn:
                times[name].append(taken)
    return {name: statistics.median(found) for name, found in times.items()}


def flush(path: str) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def rise(function: Callable) -> float:
    """MB by which resident memory grows at its peak (0 where Linux doesn't tell)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts anew
    except OSError:
        function()
        return 0.0

    def status(key: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(key))

    before = status("VmRSS")
    function()
    return status("VmHWM") - before


def weights(model, ending: str, folder: str, repeats: int) -> int:
    """Rows of one format of weights; how many bars were missed."""
    from kerasbridge.saving import load_weights, save_model, save_weights

    path = os.path.join(folder, f"weights{ending}")
    (save_model if ending == ".keras" else save_weights)(model, path)
    runs = {
        "plain": lambda: model.load_weights(path),
        "ours": lambda: load_weights(model, path),
    }
    middle, grown = measured(runs, repeats), {}
    for name, run in runs.items():
        grown[name] = rise(run)
        print(
            f"{ending:12} weights, {name:6} {middle[name]:7.3f} s {grown[name]:7.0f} MB", flush=True
        )
    os.unlink(path)
    ratio = middle["ours"] / middle["plain"]
    print(f"{ending:12} weights         {ratio:7.2f} x  (bar {BAR})", flush=True)
    return int(ratio > BAR or grown["ours"] > BAR * grown["plain"] + 20)


def main() -> int:
    import keras
    from kerasbridge.saving import inspect_model, load_model, save_model

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--formats", nargs="*", default=[".keras", ".h5"])
    parser.add_argument("--weights", nargs="*", default=[".weights.h5", ".keras", ".h5"])
    options = parser.parse_args()
    model = build(options.megabytes)
    missed = 0
    with tempfile.TemporaryDirectory(prefix="kerasbridge-bench-") as folder:
        for ending in options.formats:
            plain, ours = (os.path.join(folder, f"{who}{ending}") for who in ("plain", "ours"))

            def flushed(plain=plain):
                keras.saving.save_model(model, plain)
                flush(plain)

            saves: dict = {
                "save, plain": lambda p=plain: keras.saving.save_model(model, p),
                "save, plain, flushed": flushed,
                "save, ours": lambda p=ours: save_model(model, p, overwrite=True),
            }
            loads: dict = {
                "load, plain": lambda p=ours: keras.saving.load_model(p, compile=False),
                "load, ours": lambda p=ours: load_model(p, compile=False),
                "inspect": lambda p=ours: inspect_model(p),
            }
            middle = measured(saves, options.repeats, folder) | measured(loads, options.repeats)
            for name, value in middle.items():
                print(f"{ending:7} {name:22} {value:7.3f} s", flush=True)
            ratios = {
                "save": middle["save, ours"] / middle["save, plain"],
                "save against flushed": middle["save, ours"] / middle["save, plain, flushed"],
                "load": middle["load, ours"] / middle["load, plain"],
            }
            for name, ratio in ratios.items():
                print(f"{ending:7} {name:22} {ratio:7.2f} x  (bar {BAR})", flush=True)
                missed += ratio > BAR and name != "save against flushed"
            missed += middle["inspect"] > INSPECT_BAR
            for path in (plain, ours):
                os.unlink(path)
        for ending in options.weights:
            missed += weights(model, ending, folder, options.repeats)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
