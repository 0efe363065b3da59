"""What runs before Keras: backend choice, quiet start, seeds. Imports no backend until asked."""

from __future__ import annotations

from kerasbridge.runtime.seeds import set_random_seed
from kerasbridge.runtime.starting import backend_name, start

__all__ = ["backend_name", "set_random_seed", "start"]
