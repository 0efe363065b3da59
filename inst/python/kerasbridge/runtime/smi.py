"""What NVIDIA's `nvidia-smi` says of driver and cards. Standard library only."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Dict, List, Mapping, Optional, Tuple


def ask(environ: Mapping[str, str]) -> Tuple[Optional[str], Optional[str], List[Dict[str, str]]]:
    """nvidia-smi's path, the driver's version, the devices; (None, None, []) where it isn't there."""
    program = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if program is None:
        return None, None, []
    fields = "driver_version,name,memory.total,memory.free,compute_cap"
    try:
        done = subprocess.run(
            [program, f"--query-gpu={fields}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=5,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return program, None, []
    driver, devices = None, []
    for line in done.stdout.splitlines() if done.returncode == 0 else []:
        parts = [part.strip() for part in line.split(",")]
        if len(parts) >= 4 and re.fullmatch(r"\d+(\.\d+)+", parts[0]):
            driver = parts[0]
            names = ("name", "memory_total", "memory_free", "compute_capability")
            devices.append(dict(zip(names, parts[1:])))
    return program, driver, devices


def size(card: Mapping[str, str]) -> Optional[int]:
    """Memory of a card of `ask` in bytes; None where it isn't said."""
    match = re.match(r"(\d+) MiB", card.get("memory_total", ""))
    return int(match.group(1)) * 2**20 if match else None
