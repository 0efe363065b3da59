"""Shared by all tests of the engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "inst" / "python"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(ENGINE))


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Weights of a fresh layer are the same in each run, alone or after other tests."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(20)


@pytest.fixture
def run_python():
    """Run Python code in a process of its own, with a time limit."""

    def run(code: str, timeout: int = 120, **env: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "PYTHONPATH": str(ENGINE), "TF_CPP_MIN_LOG_LEVEL": "3", **env}
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
        )

    return run


# Faults of older Keras versions themselves, seen with Keras 3.0.5 on TensorFlow 2.16.2 on the day in
# the last column: part of a test's name, the first version that is free of it, why.
OLDER_KERAS = (
    ("complex64", (3, 9), "tensors of complex numbers came later", "2026-11-25"),
    ("takes_raw_columns", (3, 4), "predict() makes no tensors of text columns", "2026-11-25"),
    ("test_rnn_is_the_loop", (3, 4), "keras.ops.scan came with 3.4", "2026-11-25"),
    ("test_rnn_hands_constants_on", (3, 4), "keras.ops.scan came with 3.4", "2026-11-25"),
    (
        "test_one_seed_for_all",
        (3, 13),
        "set_random_seed() leaves the global generator",
        "2026-11-25",
    ),
    ("test_the_state_of_the_same", (3, 3), "checkpoints lack the optimizer", "2026-11-26"),
    ("test_of_another_optimizer_the", (3, 3), "checkpoints lack the optimizer", "2026-11-26"),
    ("scaled_loss_keeps_its_scale_and_state[.h5]", (3, 3), "no name apart in .h5", "2026-11-26"),
    ("predict_take_rows_as_they_lie", (3, 3), "evaluate() depends on batches", "2026-11-26"),
    ("runs_while_the_next_batch", (3, 7), "its loops wait for each step", "2026-11-26"),
    ("[.weights.json]", (3, 10), "weights in several files came with 3.10", "2026-11-26"),
    ("test_shards_are_small", (3, 10), "weights in several files came with 3.10", "2026-11-26"),
    ("test_a_shard_is_looked_at", (3, 10), "weights in several files came with 3.10", "2026-11-26"),
    (
        "test_the_list_is_compared_too",
        (3, 10),
        "weights in several files came with 3.10",
        "2026-11-26",
    ),
    ("test_several_files_can", (3, 10), "weights in several files came with 3.10", "2026-11-26"),
    ("test_a_full_disk_is_told", (3, 10), "weights in several files came with 3.10", "2026-11-26"),
    (
        "test_gradients_of_several_steps",
        (3, 5),
        "optimizers count each of several steps as an update",
        "2026-11-26",
    ),
    (
        "test_auto_keeps_the_batch",
        (3, 5),
        "optimizers count each of several steps as an update",
        "2026-11-26",
    ),
    (
        "test_the_command_starts_no_keras",
        (3, 10),
        "weights in several files came with 3.10",
        "2026-11-26",
    ),
    ("hands functions to op", (3, 4), "vectorized_map takes no symbolic tensors", "2026-11-26"),
    ("test_on_several_devices[tensorflow-", (3, 9), "it trains on one device", "2026-11-26"),
    ("test_a_model_learns_and_trains", (3, 2), "losses are means over batches", "2026-11-26"),
    (
        "test_a_model_loaded_from_an_old_file",
        (3, 1),
        "an index of several slices isn't read",
        "2026-11-26",
    ),
    ("inputs_that_are_no_names", (3, 4), "export() gives two inputs one name", "2026-11-26"),
    (
        "test_training_within_an_initializer",
        (3, 5),
        "gradients are taken there, so that training works",
        "2026-11-26",
    ),
    (
        "test_validation_by_a_function",
        (3, 2),
        "the loss is the mean over batches, not rows",
        "2026-11-26",
    ),
    ("keras[custom_train_step]", (3, 4), "fit() reports metrics alone", "2026-11-25"),
)


def pytest_collection_modifyitems(items):
    try:
        from importlib.metadata import version

        installed = tuple(int(part) for part in version("keras").split(".")[:2])
    except Exception:  # no Keras, or a version that is no row of numbers: nothing is skipped
        return
    for item in items:
        for part, free, why, day in OLDER_KERAS:
            if part in item.nodeid and installed < free:
                item.add_marker(pytest.mark.skip(reason=f"an older Keras: {why} ({day})"))
