"""CUDA's libraries from pip's `nvidia-*` packages, found without a path set by anybody.

A backend opens them by name. The loader looks in LD_LIBRARY_PATH and in the folders of the system, and
R on Linux sets the former for its own ends. A library that the process has loaded already is found by
its name wherever it lies, so those of the environment are loaded first.
"""

from __future__ import annotations

import ctypes
import glob
import os
import sys
from typing import Any, Callable, List, MutableMapping, Optional, Sequence

# in an order in which each finds what it needs among those before it
_ORDER = (
    "cuda_runtime", "cuda_nvrtc", "nvjitlink", "cublas", "cufft", "curand", "cusparse", "cusolver",
    "cudnn", "cuda_cupti", "nccl",
)  # fmt: skip
_DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg")


def site_folders() -> List[str]:
    """Folders of this interpreter in which packages lie."""
    return [path for path in sys.path if os.path.isdir(os.path.join(path, "nvidia"))]


def libraries(folders: Sequence[str]) -> List[str]:
    """Paths of the CUDA libraries in these folders of packages, in the order to load them."""
    found: List[str] = []
    for name in _ORDER:
        for folder in folders:
            pattern = os.path.join(glob.escape(folder), "nvidia", name, "lib", "lib*.so*")
            found += sorted(glob.glob(pattern))
    return found


def wanted(environ: MutableMapping[str, str], drivers: Sequence[str] = _DRIVERS) -> bool:
    """Whether there is a driver and no setting that hides its cards."""
    shown = environ.get("CUDA_VISIBLE_DEVICES")
    hidden = shown is not None and shown.split(",")[0].strip() in ("", "-1")
    return sys.platform == "linux" and not hidden and any(os.path.exists(d) for d in drivers)


def load(paths: Sequence[str], opening: Optional[Callable[[str], Any]] = None) -> List[str]:
    """Load each library for the whole process; returns those that were loaded.

    One that can't be loaded is left to the backend, which names what it misses.
    """
    opening = opening or (lambda path: ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL))
    done: List[str] = []
    left = list(paths)
    while left:  # again as long as it helps: libraries of one package may need one another
        failed = []
        for path in left:
            try:
                opening(path)
                done.append(path)
            except OSError:
                failed.append(path)
        if len(failed) == len(left):
            break
        left = failed
    return done


def compiler_variables(folders: Sequence[str], environ: MutableMapping[str, str]) -> dict:
    """PATH and XLA_FLAGS with which XLA finds ptxas and libdevice; only what has to change."""
    for folder in folders:
        home = os.path.join(folder, "nvidia", "cuda_nvcc")
        if not os.path.isdir(home):
            continue
        out = {}
        tools = os.path.join(home, "bin")
        path = environ.get("PATH", "")
        if os.path.isdir(tools) and tools not in path.split(os.pathsep):
            out["PATH"] = os.pathsep.join(filter(None, [path, tools]))
        flags = environ.get("XLA_FLAGS", "")
        there = os.path.isdir(os.path.join(home, "nvvm", "libdevice"))
        if there and "xla_gpu_cuda_data_dir" not in flags:
            out["XLA_FLAGS"] = f"{flags} --xla_gpu_cuda_data_dir={home}".strip()
        return out
    return {}


def make_ready(environ: Optional[MutableMapping[str, str]] = None) -> List[str]:
    """Called before a backend is imported: load the libraries if a card may be used."""
    environ = os.environ if environ is None else environ
    if not wanted(environ):
        return []
    folders = site_folders()
    environ.update(compiler_variables(folders, environ))
    return load(libraries(folders))
