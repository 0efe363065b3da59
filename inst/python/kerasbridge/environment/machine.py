"""What the machine is: processor, memory, disk, C++ library. Read from files, nothing is changed."""

from __future__ import annotations

import glob
import os
import platform
import re
import shutil
import subprocess
from typing import Dict, List, Optional, Tuple

# the newest symbol that TensorFlow's manylinux wheels ask of the C++ library
_GLIBCXX = re.compile(rb"GLIBCXX_3\.4\.(\d+)")


def processor(cpuinfo: str = "/proc/cpuinfo") -> Dict[str, object]:
    """`machine` (x86_64, arm64, ...), `avx` (None: can't be told), `translated` (Rosetta)."""
    machine = platform.machine()
    avx: Optional[bool] = None
    translated = False
    if platform.system() == "Darwin":
        translated = _sysctl("sysctl.proc_translated") == "1"
    elif machine.lower() in ("x86_64", "amd64"):
        try:
            with open(cpuinfo, encoding="utf-8", errors="replace") as file:
                flags = re.search(r"^flags\s*:(.*)$", file.read(), re.MULTILINE)
            avx = "avx" in flags.group(1).split() if flags else None
        except OSError:
            avx = None
    return {"machine": machine, "avx": avx, "translated": translated}


def memory(meminfo: str = "/proc/meminfo") -> Optional[Tuple[float, float]]:
    """(total, available) in GiB, None where it can't be told."""
    try:
        with open(meminfo, encoding="utf-8") as file:
            found = dict(re.findall(r"^(\w+):\s+(\d+) kB", file.read(), re.MULTILINE))
        return int(found["MemTotal"]) / 2**20, int(found["MemAvailable"]) / 2**20
    except (OSError, KeyError):
        return None


def disk(path: str) -> Optional[float]:
    """Free GiB at the nearest folder above `path` that exists."""
    path = os.path.abspath(os.path.expanduser(path))
    while not os.path.isdir(path):
        above = os.path.dirname(path)
        if above == path:
            return None
        path = above
    try:
        return shutil.disk_usage(path).free / 2**30
    except OSError:
        return None


def newest_glibcxx(library: str) -> Optional[int]:
    """31 for a C++ library that has GLIBCXX_3.4.31 as its newest version of symbols."""
    try:
        with open(library, "rb") as file:
            found = [int(number) for number in _GLIBCXX.findall(file.read())]
    except OSError:
        return None
    return max(found, default=None)


def cpp_libraries(prefix: str, library_path: str = "") -> List[Tuple[str, int]]:
    """(file, newest GLIBCXX number) of the C++ libraries that R and the environment would load."""
    folders = [folder for folder in library_path.split(os.pathsep) if folder]
    folders += ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib/aarch64-linux-gnu"]
    folders.append(os.path.join(prefix, "lib"))
    out: List[Tuple[str, int]] = []
    for folder in folders:
        for file in glob.glob(os.path.join(glob.escape(folder), "libstdc++.so.6")):
            number = newest_glibcxx(os.path.realpath(file))
            if number is not None and file not in [known for known, _ in out]:
                out.append((file, number))
    return out


def _sysctl(name: str) -> str:
    try:
        done = subprocess.run(
            ["sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
