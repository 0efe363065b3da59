"""Is there a graphics card that Keras can use, and if not, why not: answered without importing it.

`gather()` looks (files, `nvidia-smi`, environment variables), `judge()` decides from what was seen.
They are apart so that every case can be decided, and tested, on a machine without a card. Standard
library only.
"""

from __future__ import annotations

import glob
import os
import platform
import re
import sys
from dataclasses import dataclass, field
from typing import Dict, List, Mapping, Optional, Tuple

from kerasbridge.errors import NoDeviceError
from kerasbridge.runtime import smi

from . import probe, versions

# What TensorFlow opens when it starts on a card: name -> the pip package that brings it.
_LIBRARIES = {
    "libcudart.so.12": "nvidia-cuda-runtime-cu12",
    "libcublas.so.12": "nvidia-cublas-cu12",
    "libcublasLt.so.12": "nvidia-cublas-cu12",
    "libcufft.so.11": "nvidia-cufft-cu12",
    "libcusolver.so.11": "nvidia-cusolver-cu12",
    "libcusparse.so.12": "nvidia-cusparse-cu12",
    "libnvJitLink.so.12": "nvidia-nvjitlink-cu12",
}
_CUDNN = {8: "libcudnn.so.8", 9: "libcudnn.so.9"}

INSTALL = "install_kerasbridge(gpu = TRUE)"

# how a newer driver is installed, by the ID or ID_LIKE of /etc/os-release
_DRIVER_COMMANDS = {
    "ubuntu": "sudo ubuntu-drivers install",
    "debian": "sudo apt-get update && sudo apt-get install nvidia-driver",
    "fedora": "sudo dnf upgrade --refresh akmod-nvidia",
    "rhel": "sudo dnf module install nvidia-driver:latest-dkms",
    "suse": "sudo zypper install nvidia-open-driver-G06-signed-kmp-default",
    "arch": "sudo pacman -Syu nvidia",
}


@dataclass
class Facts:
    """What was seen. `libraries` maps each library wanted to where it is (None: nowhere)."""

    system: str = "Linux"
    machine: str = "x86_64"
    backend: str = "tensorflow"
    wheel: Optional[str] = None
    version: Optional[str] = None
    visible: Optional[str] = None
    driver: Optional[str] = None
    devices: List[Dict[str, str]] = field(default_factory=list)
    libraries: Dict[str, Optional[str]] = field(default_factory=dict)
    searched: List[str] = field(default_factory=list)
    metal: bool = False
    wsl: bool = False
    smi: Optional[str] = None
    distribution: str = ""


@dataclass
class Verdict:
    """Whether a card can be used; `reason` is a short code, `fix` what mends it.

    Codes: "found", "no_backend", "no_nvidia" (a backend for other cards), "cpu_wheel", "hidden",
    "driver", "library", "no_driver", "no_device", "windows_native", "no_macos_gpu",
    "not_seen" (the backend runs and lists no card).
    """

    found: bool
    reason: str
    message: str
    fix: str = ""
    details: Dict[str, object] = field(default_factory=dict)


def gather(
    path: Optional[str], backend: str = "tensorflow", environ: Optional[Mapping[str, str]] = None
) -> Facts:
    """Look at this machine and at the environment at `path` (a folder or an interpreter).

    Takes at most a few seconds (`nvidia-smi` has a time limit) and imports nothing.
    """
    environ = os.environ if environ is None else environ
    found = probe.versions(path) if path else {}
    wheel = probe.tensorflow_wheel(path) if path else None
    facts = Facts(
        system=platform.system(),
        machine=platform.machine(),
        backend=backend,
        wheel=wheel if backend == "tensorflow" else (backend if backend in found else None),
        version=found.get(backend),
        visible=environ.get("CUDA_VISIBLE_DEVICES"),
        wsl="microsoft" in platform.release().lower(),
        distribution=_distribution(),
    )
    if path:
        names = _distribution_names(path)
        facts.metal = "tensorflow-metal" in names
        if backend == "jax" and not any(n.startswith("jax-cuda") for n in names):
            facts.wheel = "jax-cpu" if facts.wheel else None
        if backend == "torch" and "+cpu" in (facts.version or ""):
            facts.wheel = "torch-cpu"
    facts.smi, facts.driver, facts.devices = smi.ask(environ)
    facts.driver = facts.driver or _driver_from_kernel()
    if facts.system == "Linux" and backend == "tensorflow" and facts.version:
        facts.searched = library_folders(path, environ)
        facts.libraries = {
            name: _locate(name, facts.searched) for name in wanted_libraries(facts.version)
        }
    return facts


def status() -> Dict[str, object]:
    """Whether the backend of this interpreter can use a graphics card, as plain values.

    Returns:
        `found`, `reason`, `message` and `fix` as of a `Verdict`, and of what was seen: `backend`,
        `version`, `driver`, `visible` (CUDA_VISIBLE_DEVICES), `devices` (name and memory of each).
    """
    keras = sys.modules.get("keras")
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if keras is not None and hasattr(keras, "config"):
        backend = keras.config.backend()
    facts = gather(sys.prefix, backend)
    verdict = judge(facts)
    if verdict.found and not _seen_by(backend):
        verdict = _unseen(backend, facts)
    return {
        "found": verdict.found,
        "reason": verdict.reason,
        "message": verdict.message,
        "fix": verdict.fix,
        "backend": backend,
        "version": facts.version,
        "driver": facts.driver,
        "visible": facts.visible,
        "devices": facts.devices,
    }


def cards() -> List[Dict[str, object]]:
    """The cards that the backend of this interpreter will see: `device`, `name`, `memory` (bytes).

    Nothing is started for it; an empty list where `status()` says why none can be used.
    """
    found = status()
    if not found["found"]:
        return []
    rows = []
    for number, card in enumerate(_shown(found["devices"], found["visible"])):
        name = card.get("name", "")
        rows.append({"device": f"GPU:{number}", "name": name, "memory": smi.size(card)})
    return rows


def _shown(devices: List[Dict[str, str]], visible: Optional[str]) -> List[Dict[str, str]]:
    """The devices that CUDA_VISIBLE_DEVICES shows, in its order."""
    if visible is None:
        return devices
    out = []
    for part in visible.split(","):
        if part.strip().isdigit():
            if int(part) >= len(devices):
                break  # the driver reads up to the first that there is not
            out.append(devices[int(part)])
        else:  # a card named by its UUID: it can't be told which one
            return devices
    return out


def require() -> None:
    """Nothing where a card can be used.

    Raises:
        NoDeviceError: none can; with the reason and what mends it.
    """
    found = status()
    if not found["found"]:
        raise NoDeviceError(
            f"No graphics card can be used: {found['message']}",
            hint=str(found["fix"]),
            details={"reason": found["reason"]},
        )


def _seen_by(backend: str) -> bool:
    """Whether the running backend lists a card; True while it doesn't run."""
    module = sys.modules.get(backend)
    try:
        if backend == "tensorflow" and hasattr(module, "config"):
            return bool(module.config.get_visible_devices("GPU"))
        if backend == "torch" and hasattr(module, "cuda"):
            return bool(module.cuda.is_available())
        if backend == "jax" and "keras" in sys.modules and hasattr(module, "devices"):
            return any(device.platform != "cpu" for device in module.devices())
    except (AttributeError, RuntimeError):
        return False
    return True


def _unseen(backend: str, facts: Facts) -> Verdict:
    return Verdict(
        False,
        "not_seen",
        f"Driver {facts.driver} and the libraries are there, but the running {_spelt(backend)} uses no card.",
        "Start a new session; if use_gpu(FALSE) was not called there, Sys.setenv(TF_CPP_MIN_LOG_LEVEL = "
        '"0") before Keras starts shows what the backend says.',
        {"driver": facts.driver},
    )


def driver(environ: Optional[Mapping[str, str]] = None) -> Optional[str]:
    """Version of NVIDIA's driver on this machine, None where there is none."""
    return smi.ask(os.environ if environ is None else environ)[1] or _driver_from_kernel()


def is_too_old(version: str) -> bool:
    """Whether a driver is older than CUDA 12 takes."""
    return _numbers(version) < _numbers(versions.CUDA12_MIN_DRIVER)


def judge(facts: Facts) -> Verdict:
    """Decide from the facts; the first cause that would stop the card is the one named."""
    if facts.backend == "openvino":
        return Verdict(
            False,
            "no_nvidia",
            "The backend openvino uses no card of NVIDIA's.",
            'use_backend("tensorflow"), "jax" or "torch", first in a session, for such a card.',
        )
    if facts.backend not in ("tensorflow", "jax", "torch") or facts.wheel is None:
        return Verdict(
            False,
            "no_backend",
            f"{_spelt(facts.backend)} is not installed in the environment in use.",
            INSTALL,
        )
    if facts.system == "Darwin":
        return _judge_mac(facts)
    if facts.system == "Windows" and facts.backend == "tensorflow":
        return Verdict(
            False,
            "windows_native",
            "TensorFlow uses no graphics card on Windows itself (since 2.11), only inside WSL2.",
            "Run `wsl --install` as administrator, install R and this package in that Linux, then "
            f"{INSTALL} there; NVIDIA's driver for Windows serves both.",
        )
    # "" hides all; a list is read up to the first entry that is no device, so "-1" first hides all
    if facts.visible is not None and facts.visible.split(",")[0].strip() in ("", "-1"):
        return Verdict(
            False,
            "hidden",
            f'CUDA_VISIBLE_DEVICES is "{facts.visible}", which hides every graphics card.',
            'Sys.unsetenv("CUDA_VISIBLE_DEVICES") before Keras starts (look in .Renviron, too).',
            {"visible": facts.visible},
        )
    if facts.driver is None:
        return _no_driver(facts)
    if not facts.devices and facts.smi is not None:
        return Verdict(
            False,
            "no_device",
            f"NVIDIA's driver {facts.driver} is there, and it shows no device.",
            "Run nvidia-smi: after an update of the driver restart the machine; in a container or "
            "a cluster job ask for a card.",
            {"driver": facts.driver},
        )
    if facts.wheel in (
        "tensorflow-cpu",
        "tensorflow-intel",
        "tf-nightly-cpu",
        "jax-cpu",
        "torch-cpu",
    ):
        return Verdict(
            False,
            "cpu_wheel",
            f"The installed {facts.wheel} is the build without support for graphics cards.",
            INSTALL,
            {"wheel": facts.wheel},
        )
    needed = versions.CUDA12_MIN_DRIVER
    if is_too_old(facts.driver):
        return Verdict(
            False,
            "driver",
            f"NVIDIA's driver {facts.driver} is too old: CUDA 12 needs {needed} or newer.",
            f"{_driver_command(facts)}, then restart the machine.",
            {"driver": facts.driver, "needed": needed},
        )
    missing = [name for name, place in facts.libraries.items() if place is None]
    if missing:
        packages = sorted({package_of(name) for name in missing})
        return Verdict(
            False,
            "library",
            f"These CUDA libraries were not found: {', '.join(missing)}"
            + (f" (looked in {', '.join(facts.searched)})." if facts.searched else "."),
            f"{INSTALL}, or in that environment: pip install {' '.join(packages)}",
            {"missing": missing, "searched": facts.searched},
        )
    shown = ", ".join(device.get("name", "?") for device in facts.devices) or "yes"
    return Verdict(True, "found", f"{shown} (driver {facts.driver}).", "", {"driver": facts.driver})


def _judge_mac(facts: Facts) -> Verdict:
    if facts.metal:
        return Verdict(
            False,
            "no_macos_gpu",
            "tensorflow-metal is installed; with current versions it gives wrong results or fails.",
            "pip uninstall tensorflow-metal; TensorFlow then runs on the processor.",
            {"metal": True},
        )
    return Verdict(
        False,
        "no_macos_gpu",
        f"{_spelt(facts.backend)} uses no graphics card of a Mac through this package.",
        "Train on the processor, or on a Linux machine with an NVIDIA card.",
        {"metal": False},
    )


def _no_driver(facts: Facts) -> Verdict:
    if facts.wsl:
        fix = "Install NVIDIA's driver for Windows (none inside WSL), then `wsl --update`."
    else:
        fix = (
            "Without an NVIDIA card nothing needs to be done. With one, install its driver: "
            f"{_driver_command(facts)}; start a container with --gpus all."
        )
    return Verdict(False, "no_driver", "No NVIDIA driver was found on this machine.", fix)


def _driver_command(facts: Facts) -> str:
    """What installs a driver on this system."""
    if facts.wsl or facts.system == "Windows":
        return "Install the newest driver for Windows from nvidia.com/drivers"
    for word in facts.distribution.split():
        if word in _DRIVER_COMMANDS:
            return _DRIVER_COMMANDS[word]
    return "Install the newest driver from nvidia.com/drivers"


def _distribution(file: str = "/etc/os-release") -> str:
    """ID and ID_LIKE of a Linux, such as "ubuntu debian"."""
    try:
        with open(file, encoding="utf-8", errors="replace") as handle:
            found = dict(re.findall(r'^(ID|ID_LIKE)="?([^"\n]*)"?$', handle.read(), re.MULTILINE))
    except OSError:
        return ""
    return f"{found.get('ID', '')} {found.get('ID_LIKE', '')}".strip()


def wanted_libraries(version: str) -> Tuple[str, ...]:
    """The CUDA libraries that a TensorFlow of this version opens."""
    cudnn = _CUDNN[8] if _numbers(version) < (2, 18) else _CUDNN[9]
    return (*_LIBRARIES, cudnn)


def parts(path: str) -> List[Tuple[str, Optional[str], str]]:
    """(name, version or place, pip package) of CUDA's parts in an environment."""
    found = probe.distributions(path)
    compiler = "nvidia-cuda-nvcc-cu12"
    out: List[Tuple[str, Optional[str], str]] = [
        ("CUDA", found.get("nvidia-cuda-runtime-cu12"), "nvidia-cuda-runtime-cu12"),
        ("cuDNN", found.get("nvidia-cudnn-cu12"), "nvidia-cudnn-cu12"),
    ]
    for name, file in (("ptxas", "bin/ptxas"), ("libdevice", "nvvm/libdevice/libdevice.10.bc")):
        places = [
            os.path.join(site, "nvidia", "cuda_nvcc", file) for site in probe.site_folders(path)
        ]
        there = next((place for place in places if os.path.exists(place)), None)
        out.append((name, there and found.get(compiler, there), compiler))
    return out


def package_of(library: str) -> str:
    """The pip package that brings a library."""
    return _LIBRARIES.get(library, "nvidia-cudnn-cu12")


def library_folders(path: Optional[str], environ: Mapping[str, str]) -> List[str]:
    """Where the loader and TensorFlow look: pip's nvidia-* packages, LD_LIBRARY_PATH, the usual."""
    folders: List[str] = []
    for site in probe.site_folders(path) if path else []:
        folders += sorted(glob.glob(os.path.join(glob.escape(site), "nvidia", "*", "lib")))
    folders += [f for f in environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if f]
    folders += ["/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"]
    return list(dict.fromkeys(folders))


def _locate(name: str, folders: List[str]) -> Optional[str]:
    for folder in folders:
        place = os.path.join(folder, name)
        if os.path.exists(place):
            return place
    return None


def _driver_from_kernel() -> Optional[str]:
    try:
        with open("/proc/driver/nvidia/version", encoding="utf-8") as file:
            match = re.search(r"Kernel Module\D*?\s(\d+\.\d+(?:\.\d+)?)", file.read())
    except OSError:
        return None
    return match.group(1) if match else None


def _distribution_names(path: str) -> set:
    names = set()
    for site in probe.site_folders(path):
        for entry in glob.glob(os.path.join(glob.escape(site), "*.dist-info")):
            names.add(probe.normal_name(os.path.basename(entry).rsplit("-", 1)[0]))
    return {re.sub(r"-\d.*$", "", name) for name in names}


def _numbers(version: Optional[str]) -> Tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version or "")[:3])


def _spelt(backend: str) -> str:
    return {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}.get(backend, backend)
