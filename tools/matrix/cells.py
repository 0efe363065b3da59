"""The cells of the matrix: where each runs, with which versions, and what of the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple


@dataclass(frozen=True)
class Cell:
    """One row of the matrix.

    `suite` is a Debian suite, or "" for this machine. `way` says how Python comes about: "project" (the
    environment of `make test`), "install" (one of its own by `install_kerasbridge()`, which takes `wishes`),
    "engine" (one by `python -m kerasbridge.environment`, for Python alone), "require" (none: reticulate's
    `py_require()` makes it at the first call). `pins` are pip's constraints. `tests` are "all" or "engine".
    """

    name: str
    about: str
    suite: str = ""
    way: str = "install"
    wishes: Tuple[str, ...] = ()
    pins: Tuple[str, ...] = ()
    tests: str = "all"


CELLS = (
    Cell("base", "this machine as make test uses it", way="project"),
    Cell("oldest", "oldest supported pair", wishes=("version=2.16.2", "keras=3.0.5")),
    Cell(
        "newest",
        "newest TensorFlow with numpy 2, for Python alone",
        way="engine",
        wishes=("version=2.21.0",),
        pins=("numpy>=2",),
        tests="engine",
    ),
    Cell("jax", "JAX computes", wishes=("backend=jax",)),
    # the build for processors, where pip's settings know one: the index's own carries CUDA
    Cell("torch", "PyTorch computes", wishes=("backend=torch",), pins=("torch==2.13.0",)),
    Cell("trixie", "Debian 13, virtual environment, numpy 2", suite="trixie"),
    Cell("trixie-require", "Debian 13, py_require()", suite="trixie", way="require"),
    Cell("unstable", "Debian unstable, virtual environment, numpy 2", suite="sid"),
    Cell("unstable-require", "Debian unstable, py_require()", suite="sid", way="require"),
)

# What QUICK=1 runs: the border, the main job, a file that is saved and loaded.
QUICK_PYTHON = (
    "tests/python/test_bridge.py tests/python/test_package.py tests/python/test_runtime.py "
    "tests/python/test_saving_models.py tests/python/test_training_plain.py"
)
QUICK_R = "^(bridge-start|data-frame|model-fit|object-tensors|package|save-model|types|wrap)$"


def find(name: str) -> Cell:
    """The cell of that name.

    Raises:
        SystemExit: there is none; the message lists them.
    """
    for cell in CELLS:
        if cell.name == name:
            return cell
    raise SystemExit(f"There is no cell {name!r}: {', '.join(cell.name for cell in CELLS)}.")
