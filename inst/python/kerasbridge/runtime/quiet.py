"""Notices of a backend that speak of this package's own doing and that no user can act on."""

from __future__ import annotations

import logging

# functions of the training engine and of Keras' own training that TensorFlow traces once for each
# model and shape
_OURS = ("StepLoop", "kerasbridge", "TensorFlowTrainer")


class _Ours(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return not ("triggered tf.function retracing" in text and any(n in text for n in _OURS))


_filter = _Ours()


def hush_retracing() -> None:
    """Keep TensorFlow's advice against retracing to the user's own functions."""
    logger = logging.getLogger("tensorflow")
    if _filter not in logger.filters:
        logger.addFilter(_filter)
