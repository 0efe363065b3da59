"""Repeatable results."""

from __future__ import annotations

import os
import sys
from typing import MutableMapping

from kerasbridge.runtime import device_settings, devices
from kerasbridge.runtime.seeds import set_random_seed
from kerasbridge.runtime.starting import start

_on = False


# What TensorFlow reads as it starts; later settings come too late for it.
_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def _one_thread() -> bool:
    """Whether the environment already keeps TensorFlow to one thread."""
    return all(os.environ.get(name) == "1" for name in _THREADS)


def is_on() -> bool:
    """Whether `deterministic` has been called in this process."""
    return _on


def _deterministic_cards(environ: MutableMapping[str, str]) -> None:
    """What JAX and PyTorch read as they start, for operations on a card that repeat themselves."""
    environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    flags = environ.get("XLA_FLAGS", "")
    if "xla_gpu_deterministic_ops" not in flags:
        environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()


def deterministic(seed: int, disable_gpu: bool = True, disable_parallel_cpu: bool = True) -> list:
    """Seed everything and make operations deterministic.

    Returns:
        Sentences about what could not be done because the backend computes already.
    """
    global _on
    if "tensorflow" not in sys.modules:
        if disable_parallel_cpu:
            os.environ.update(dict.fromkeys(_THREADS, "1"))
        if disable_gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if not disable_gpu:
        _deterministic_cards(os.environ)
    started = device_settings.started_by() is not None
    keras = start()
    set_random_seed(seed)
    _on = True
    late: list[str] = []
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        if disable_gpu and tf.config.get_visible_devices("GPU"):
            try:
                tf.config.set_visible_devices([], "GPU")
            except RuntimeError:
                late.append("The graphics cards are in use already and stay so.")
        if disable_parallel_cpu and not _one_thread():
            try:
                tf.config.threading.set_intra_op_parallelism_threads(1)
                tf.config.threading.set_inter_op_parallelism_threads(1)
            except RuntimeError:
                late.append("The number of threads can't be changed any more.")
        tf.config.experimental.enable_op_determinism()
    elif keras.config.backend() == "torch":
        import torch

        torch.use_deterministic_algorithms(True, warn_only=True)
        if disable_parallel_cpu:
            torch.set_num_threads(1)
    backend = keras.config.backend()
    looked = started or disable_gpu and backend == "torch"  # JAX would begin to compute by it
    if backend != "tensorflow" and looked and devices.running("GPU"):
        if disable_gpu:
            late.append("The graphics cards are in use already and stay so.")
        else:
            late.append(
                "Operations on the graphics cards may give other numbers each time: the backend reads "
                "that setting only as it starts."
            )
    return late
