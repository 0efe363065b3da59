"""Parts of the engine on a graphics card: are the numbers right, and how fast.

    python bench/gpu.py [--json FILE] [--seconds 220] [--processor]     KERAS_BACKEND=tensorflow, jax or torch

Without a card it says so and ends with status 0. A row is a part: `equal` whether the card's numbers are the
processor's (to 1e-3, in float32 without TF32), the time on the processor over that on the card, and the time of
plain Keras on the card over ours there. `--processor` puts both sides on the processor: a trial of the comparison
itself. After `--seconds` it ends with the rows it has; a part that was not reached makes the status 1.
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
PARTS = 4
SECONDS = 220  # of both sides together; the card's may take two thirds of them


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


def settle(model) -> None:
    """Wait until the device has computed all that was asked of it: its queue isn't part of the next timing."""
    import keras

    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.test.experimental.sync_devices()
    elif backend == "jax":
        import jax

        jax.block_until_ready([variable.value for variable in model.variables])
    elif backend == "torch":
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()


def timed(model, function, *arguments, **named) -> tuple:
    """What it gives, and seconds, until the device is done."""
    settle(model)
    started = time.perf_counter()
    result = function(*arguments, **named)
    settle(model)
    return result, time.perf_counter() - started


def parts(until: float, plain: bool, small: bool):
    """Pairs of a name and what was computed and how fast, on whatever device this process sees.

    Args:
        until: when (`time.time()`) no further part is begun.
        plain: with plain Keras beside ours.
        small: a quarter of the rows.
    """
    import keras
    import numpy as np
    from kerasbridge import training
    from kerasbridge.runtime import memory

    whole_products(keras.config.backend())
    rng = np.random.default_rng(0)
    layers = keras.layers
    share = 4 if keras.config.backend() == "torch" else 1  # Keras' steps take long on a processor
    share *= 4 if small else 1
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
    for name, (x, size, stack) in models.items():
        y = rng.normal(size=(len(x), 1)).astype("float32")
        made = keras.Sequential([layers.Input(x.shape[1:], dtype=str(x.dtype)), *stack])
        made.set_weights(  # drawn here: backends draw other numbers on a card
            [
                rng.normal(scale=1 / np.sqrt(max(np.prod(w.shape[:-1]), 8)), size=w.shape)
                for w in made.get_weights()
            ]
        )
        if time.time() > until:
            return
        same = keras.models.clone_model(made)
        same.set_weights(made.get_weights())
        for one in (made, same):
            training.compile(one, optimizer=keras.optimizers.SGD(0.001), loss="mse")
        how = {"batch_size": size, "shuffle": False, "verbose": 0}
        calls = {
            "fit": lambda m=made, x=x, y=y, how=how, **more: training.fit(m, x, y, **how, **more),
            "predict": lambda m=made, x=x: training.predict(m, x, verbose=0),
            "keras_fit": lambda m=same, x=x, y=y, how=how, **more: m.fit(x, y, **how, **more),
            "keras_predict": lambda m=same, x=x: m.predict(x, verbose=0),
        }
        kinds = list(calls) if plain else ["fit", "predict"]
        training.fit(made, x[:size], y[:size], **how)  # compiled, not timed
        history, told = calls["fit"](epochs=EPOCHS), calls["predict"]()
        found = {
            "loss": history.metrics["loss"], "sum": float(np.abs(told).mean()), "engine": history.engine,
        }  # fmt: skip
        if plain:
            same.fit(x[:size], y[:size], **how)
            found["keras_loss"] = calls["keras_fit"](epochs=EPOCHS).history["loss"]
            found["keras_sum"] = float(np.abs(calls["keras_predict"]()).mean())
        taken: dict = {kind: [] for kind in kinds}
        for _ in range(REPEATS):  # in turns, everything compiled
            for kind in kinds:
                taken[kind].append(timed(same if "keras" in kind else made, calls[kind])[1])
        yield name, {**found, **{kind: statistics.median(taken[kind]) for kind in kinds}}
    yield "memory", memory.usage()


def child(card: bool, seconds: float, flags: list[str]) -> dict:
    """What `parts()` gave within the time, in a process of its own, with the cards or without."""
    environ = {**os.environ, "PYTHONPATH": str(ENGINE), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if not card:
        environ.update(CUDA_VISIBLE_DEVICES="-1", JAX_PLATFORMS="cpu")
    command = [sys.executable, __file__, "--child", str(time.time() + 0.8 * seconds)]
    try:
        done = subprocess.run(
            command + flags,
            env=environ,
            capture_output=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
    else:
        said = done.stdout
        if done.returncode:
            raise SystemExit(done.stderr.decode(errors="replace")[-3000:])
    return dict(json.loads(line) for line in said.decode().splitlines() if line.endswith("]"))


def near(pairs) -> bool:
    return all(abs(a - b) <= 1e-3 * max(1.0, abs(b)) for a, b in pairs)


def rows(card: dict, processor: dict) -> list[dict]:
    """One row for each part that both sides reached."""
    found = []
    for name in (name for name in card if name != "memory" and name in processor):
        one, other = card[name], processor[name]
        pairs = [
            *zip(one["loss"], other["loss"]), (one["sum"], other["sum"]),
            *zip(one["loss"], one["keras_loss"]), (one["sum"], one["keras_sum"]),
        ]  # fmt: skip
        found.append(
            {
                "part": name,
                "equal": near(pairs),
                "fit": other["fit"] / one["fit"],
                "predict": other["predict"] / one["predict"],
                "keras_fit": one["keras_fit"] / one["fit"],
                "keras_predict": one["keras_predict"] / one["predict"],
                "engine": one["engine"],
            }
        )
    return found


def told(row: dict, card: dict, processor: dict) -> str:
    """A row as text; the numbers themselves where they differ."""
    name, said = row["part"], ""
    if not row["equal"]:
        one, other = card[name], processor[name]
        said = (
            f"{name}: card {one['loss']}, Keras there {one['keras_loss']}, processor {other['loss']}, "
            f"sums {one['sum']} {one['keras_sum']} {other['sum']}\n"
        )
    return said + (
        f"{name:12} {'equal' if row['equal'] else 'DIFFERS':8} "
        f"against the processor: fit {row['fit']:.1f}x predict {row['predict']:.1f}x  "
        f"against Keras on the card: fit {row['keras_fit']:.2f}x predict {row['keras_predict']:.2f}x  "
        f"(engine {row['engine']})"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="file for the rows")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="limit for both sides")
    parser.add_argument("--processor", action="store_true", help="both sides on the processor")
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--small", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        for part in parts(options.child, options.plain, options.small):
            print(json.dumps(part), flush=True)
        return 0
    from kerasbridge.environment import graphics

    status = graphics.status()
    if not status["found"] and not options.processor:
        print(f"No graphics card can be used: {status['message']}")
        return 0
    started = time.time()
    small = ["--small"] * options.processor
    card = child(not options.processor, options.seconds * 2 / 3, [*small, "--plain"])
    processor = child(False, options.seconds - (time.time() - started), small)
    found = rows(card, processor)
    print(f"{status['message']}  backend {status['backend']} {status['version']}")
    for row in found:
        print(told(row, card, processor))
    for row in card.get("memory", ()):
        print(f"{row['device']}: peak {(row['peak'] or 0) / 1e6:.0f} MB")
    missing = PARTS - len(found)
    if missing:
        print(f"{missing} parts were not reached in {options.seconds:.0f} seconds")
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0 if not missing and all(row["equal"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
