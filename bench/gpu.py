"""Parts of the engine on a graphics card: are the numbers right, and how fast.

    python bench/gpu.py [--json FILE]     KERAS_BACKEND=tensorflow, jax or torch

Without a card it says so and ends with status 0. A row is a part: `equal` whether the card's numbers are the
processor's (to 1e-3, in float32 without TF32), the time on the processor over that on the card, and the time of
plain Keras on the card over ours there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ENGINE = Path(__file__).resolve().parents[1] / "inst" / "python"
sys.path.insert(0, str(ENGINE))

EPOCHS = 3
REPEATS = 3


def whole_products(backend: str) -> None:
    """Products in all bits of float32, as the processor makes them: cards may leave out 13 of them."""
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)
    elif backend == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
    elif backend == "torch":
        import torch

        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False


def timed(function, *arguments, **named) -> tuple:
    """What it gives, and seconds."""
    started = time.perf_counter()
    result = function(*arguments, **named)
    return result, time.perf_counter() - started


def parts() -> dict:
    """Name -> numbers of what it computed and seconds, on whatever device this process sees."""
    import keras
    import numpy as np
    from kerasbridge import training
    from kerasbridge.runtime import memory

    whole_products(keras.config.backend())
    rng = np.random.default_rng(0)
    layers = keras.layers
    share = (
        4 if keras.config.backend() == "torch" else 1
    )  # Keras' steps there take long on a processor
    tables = rng.normal(size=(8192 // share, 64)).astype("float32")
    pictures = rng.normal(size=(512 // share, 32, 32, 3)).astype("float32")
    words = rng.integers(0, 1000, size=(512 // share, 32)).astype("int32")
    models = {
        "table": (tables[:, :10], 32, [layers.Dense(32, "relu"), layers.Dense(1)]),
        "dense": (tables, 256, [layers.Dense(512, "relu"), layers.Dense(512, "relu"), layers.Dense(1)]),
        "convolution": (
            pictures, 128,
            [layers.Conv2D(64, 3, activation="relu"), layers.Conv2D(64, 3, activation="relu"),
             layers.GlobalAveragePooling2D(), layers.Dense(1)],
        ),
        "recurrent": (words, 128, [layers.Embedding(1000, 64), layers.LSTM(128), layers.Dense(1)]),
    }  # fmt: skip
    out = {}
    for name, (x, size, stack) in models.items():
        y = rng.normal(size=(len(x), 1)).astype("float32")
        made = keras.Sequential([layers.Input(x.shape[1:], dtype=str(x.dtype)), *stack])
        made.set_weights(  # drawn here: backends draw other numbers on a card
            [
                rng.normal(scale=1 / np.sqrt(max(np.prod(w.shape[:-1]), 8)), size=w.shape)
                for w in made.get_weights()
            ]
        )
        same = keras.models.clone_model(made)
        same.set_weights(made.get_weights())
        for one in (made, same):
            training.compile(one, optimizer=keras.optimizers.SGD(0.01), loss="mse")
        how = {"batch_size": size, "shuffle": False, "verbose": 0}
        training.fit(made, x[:size], y[:size], **how)  # compiled, not timed
        same.fit(x[:size], y[:size], **how)
        history, _ = timed(training.fit, made, x, y, epochs=EPOCHS, **how)
        theirs, _ = timed(same.fit, x, y, epochs=EPOCHS, **how)
        told, _ = timed(training.predict, made, x, verbose=0)
        same.predict(x, verbose=0)
        taken: dict = {key: [] for key in ("fit", "keras_fit", "predict", "keras_predict")}
        for _ in range(REPEATS):  # in turns, everything compiled
            taken["fit"].append(timed(training.fit, made, x, y, **how)[1])
            taken["keras_fit"].append(timed(same.fit, x, y, **how)[1])
            taken["predict"].append(timed(training.predict, made, x, verbose=0)[1])
            taken["keras_predict"].append(timed(same.predict, x, verbose=0)[1])
        out[name] = {
            "loss": history.metrics["loss"], "keras_loss": theirs.history["loss"],
            "sum": float(np.abs(told).mean()), "engine": history.engine,
            **{key: statistics.median(values) for key, values in taken.items()},
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


def near(pairs) -> bool:
    return all(abs(a - b) <= 1e-3 * max(1.0, abs(b)) for a, b in pairs)


def rows(card: dict, processor: dict) -> list[dict]:
    """One row for each part."""
    found = []
    for name in (name for name in card if name != "memory"):
        one, other = card[name], processor[name]
        pairs = [*zip(one["loss"], other["loss"]), (one["sum"], other["sum"])]
        found.append(
            {
                "part": name,
                "equal": near(pairs) and near(zip(one["loss"], one["keras_loss"])),
                "fit": other["fit"] / one["fit"],
                "predict": other["predict"] / one["predict"],
                "keras_fit": one["keras_fit"] / one["fit"],
                "keras_predict": one["keras_predict"] / one["predict"],
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
    card, processor = child(True), child(False)
    found = rows(card, processor)
    print(f"{status['message']}  backend {status['backend']} {status['version']}")
    for row in found:
        if not row["equal"]:
            name = row["part"]
            print(
                f"{name}: card {card[name]['loss']}, Keras there {card[name]['keras_loss']}, ",
                end="",
            )
            print(
                f"processor {processor[name]['loss']}, sums {card[name]['sum']} {processor[name]['sum']}"
            )
        print(
            f"{row['part']:12} {'equal' if row['equal'] else 'DIFFERS':8} "
            f"against the processor: fit {row['fit']:.1f}x predict {row['predict']:.1f}x  "
            f"against Keras on the card: fit {row['keras_fit']:.2f}x predict {row['keras_predict']:.2f}x  "
            f"(engine {row['engine']})"
        )
    for row in card["memory"]:
        print(f"{row['device']}: peak {(row['peak'] or 0) / 1e6:.0f} MB")
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0 if all(row["equal"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
