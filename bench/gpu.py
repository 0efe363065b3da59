"""Parts of the engine on a graphics card against the processor: are the numbers right, and how fast.

    python bench/gpu.py [--json FILE]     KERAS_BACKEND=tensorflow, jax or torch

Without a card it says so and ends with status 0. A row is a part: `equal` whether the card's numbers are the
processor's (to 1e-3, in float32 without TF32), and the time on the processor over that on the card.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ENGINE = Path(__file__).resolve().parents[1] / "inst" / "python"
sys.path.insert(0, str(ENGINE))

EPOCHS = 3


def parts() -> dict:
    """Name -> numbers of what it computed and seconds, on whatever device this process sees."""
    import keras
    import numpy as np
    from kerasbridge import training
    from kerasbridge.runtime import memory

    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)
    rng = np.random.default_rng(0)
    layers = keras.layers
    tables = rng.normal(size=(20000, 64)).astype("float32")
    pictures = rng.normal(size=(2048, 32, 32, 3)).astype("float32")
    words = rng.integers(0, 1000, size=(2048, 64)).astype("int32")
    models = {
        "dense": (tables, [layers.Dense(512, "relu"), layers.Dense(512, "relu"), layers.Dense(1)]),
        "convolution": (
            pictures,
            [layers.Conv2D(64, 3, activation="relu"), layers.Conv2D(64, 3, activation="relu"),
             layers.GlobalAveragePooling2D(), layers.Dense(1)],
        ),
        "recurrent": (words, [layers.Embedding(1000, 64), layers.LSTM(128), layers.Dense(1)]),
    }  # fmt: skip
    out = {}
    for name, (x, stack) in models.items():
        y = rng.normal(size=(len(x), 1)).astype("float32")
        keras.utils.set_random_seed(1)
        made = keras.Sequential([layers.Input(x.shape[1:], dtype=str(x.dtype)), *stack])
        training.compile(made, optimizer=keras.optimizers.SGD(0.01), loss="mse")
        training.fit(made, x[:256], y[:256], batch_size=256, verbose=0)  # compiled, not timed
        started = time.perf_counter()
        history = training.fit(made, x, y, batch_size=256, epochs=EPOCHS, shuffle=False, verbose=0)
        fitted = time.perf_counter() - started
        started = time.perf_counter()
        predicted = training.predict(made, x, verbose=0)
        out[name] = {
            "loss": history.metrics["loss"], "sum": float(np.abs(predicted).mean()),
            "fit": fitted, "predict": time.perf_counter() - started, "engine": history.engine,
        }  # fmt: skip
    out["memory"] = memory.usage()
    return out


def child(card: bool) -> dict:
    """`parts()` in a process of its own, with the cards or without."""
    environ = {**os.environ, "PYTHONPATH": str(ENGINE), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if not card:
        environ.update(CUDA_VISIBLE_DEVICES="-1", JAX_PLATFORMS="cpu")
    done = subprocess.run(
        [sys.executable, __file__, "--child"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=550,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def rows(card: dict, processor: dict) -> list[dict]:
    """One row for each part."""
    found = []
    for name in ("dense", "convolution", "recurrent"):
        one, other = card[name], processor[name]
        pairs = [*zip(one["loss"], other["loss"]), (one["sum"], other["sum"])]
        found.append(
            {
                "part": name,
                "equal": all(abs(a - b) <= 1e-3 * max(1.0, abs(b)) for a, b in pairs),
                "fit": other["fit"] / one["fit"],
                "predict": other["predict"] / one["predict"],
                "engine": one["engine"],
            }
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="file for the rows")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(parts()))
        return 0
    from kerasbridge.environment import graphics

    status = graphics.status()
    if not status["found"]:
        print(f"No graphics card can be used: {status['message']}")
        return 0
    card = child(True)
    found = rows(card, child(False))
    print(f"{status['message']}  backend {status['backend']} {status['version']}")
    for row in found:
        print(
            f"{row['part']:12} {'equal' if row['equal'] else 'DIFFERS':8} "
            f"fit x{row['fit']:.1f}  predict x{row['predict']:.1f}  (engine {row['engine']})"
        )
    for row in card["memory"]:
        print(f"{row['device']}: peak {(row['peak'] or 0) / 1e6:.0f} MB")
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0 if all(row["equal"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
