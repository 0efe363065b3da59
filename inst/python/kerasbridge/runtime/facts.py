"""What a result depends on besides data and model: seed, versions, devices, determinism."""

from __future__ import annotations

import platform
import sys
from typing import Any, Optional

from kerasbridge.runtime import determinism, seeds
from kerasbridge.runtime.devices import running


def known_seed() -> Optional[int]:
    """The seed last set, by `set_random_seed` here or by TensorFlow's global one; None if none was."""
    tf = sys.modules.get("tensorflow")
    found = tf.compat.v1.get_seed(None)[0] if tf is not None and hasattr(tf, "compat") else None
    return seeds.last() if found is None else int(found)


def devices() -> list[str]:
    """The devices of the running backend, such as "cpu:0"; empty where it doesn't say."""
    import keras

    try:
        return [str(name).lower() for name in keras.distribution.list_devices()]
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        # (Keras lists none on PyTorch)
        return [row["device"].lower() for row in running()]


def facts() -> dict[str, Any]:
    """Plain values: seed (None if none is set), deterministic, devices, versions by name."""
    import keras
    import numpy

    from kerasbridge import __version__

    backend = keras.config.backend()
    return {
        "seed": known_seed(),
        "deterministic": determinism.is_on(),
        "devices": devices(),
        "versions": {
            "kerasbridge": __version__,
            "keras": keras.__version__,
            backend: str(getattr(sys.modules.get(backend), "__version__", "")),
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
    }
