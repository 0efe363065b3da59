"""The hard sigmoid of Keras 1 and 2, which recurrent layers used by default until 2.2."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerasbridge", name="keras2_hard_sigmoid")
def keras2_hard_sigmoid(x: Any) -> Any:
    """0 below -2.5, 1 above 2.5, `0.2 * x + 0.5` between.

    Keras 3's function of the same name is another: `x / 6 + 0.5` between -3 and 3.
    Input and output have the same, arbitrary shape.
    """
    x = ops.convert_to_tensor(x)
    return ops.clip(ops.add(ops.multiply(x, 0.2), 0.5), 0.0, 1.0)
