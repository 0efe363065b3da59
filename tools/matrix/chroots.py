"""Another Debian in a folder: made once by debootstrap, entered with mounts that end with the process."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
from pathlib import Path
from typing import List, Optional

# what runs between unshare and the command: the mounts are gone when it ends
_ENTER = """set -e
root=$1; shift
mount --bind /dev "$root/dev"
for inner in pts shm; do [ ! -d "/dev/$inner" ] || mount --bind "/dev/$inner" "$root/dev/$inner"; done
mount -t proc proc "$root/proc"
exec chroot "$root" "$@"
"""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


def lacks(folder: Path) -> Optional[str]:
    """One sentence about what is missing on this machine for a chroot, or None."""
    if os.geteuid() != 0:
        return "Another Debian in a folder needs root: run the same command with sudo."
    absent = [name for name in ("debootstrap", "unshare", "chroot", "mount") if not _has(name)]
    if absent:
        return f"These programs are missing: {', '.join(absent)} (apt-get install debootstrap)."
    mounts = subprocess.run(
        ["unshare", "--mount", "sh", "-c", "mount -t proc proc /proc"], capture_output=True
    )
    if mounts.returncode:
        return (
            "This root may not mount anything (a container without that right): use a real machine."
        )
    free = shutil.disk_usage(folder).free / 2**30
    if free < 6:
        return f"{folder} has {free:.1f} GB left; a Debian with its Python environment takes 6."
    return None


def _has(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_PATH}") is not None


def make(suite: str, folder: Path, log: Path) -> Path:
    """The root of a Debian of that suite, made if it isn't there.

    Raises:
        RuntimeError: debootstrap or apt failed; the message names the log.
    """
    root = folder / suite
    done = root / ".kerasbridge-chroot"
    if done.exists():
        return root
    if root.exists():  # a run that was cut short
        shutil.rmtree(root)
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        command = ["debootstrap", "--variant=minbase", "--include=ca-certificates"]
        mirror = os.environ.get("MATRIX_MIRROR")
        _run([*command, suite, str(root), *([mirror] if mirror else [])], out)
        # a mirror that stands still has lists whose date is over
        keep = root / "etc/apt/apt.conf.d/90kerasbridge"
        keep.write_text('Acquire::Check-Valid-Until "false";\n')
        for name in ("etc/resolv.conf", _CERTIFICATES):
            if Path("/", name).exists():
                shutil.copyfile(Path("/", name), root / name)
        install = "apt-get update && apt-get install -y --no-install-recommends make python3"
        _run(entered(root, ["sh", "-c", install]), out)
    done.touch()
    return root


def _run(command: List[str], log) -> None:
    log.flush()
    if subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL).returncode:
        raise RuntimeError(f"{command[0]} failed (the whole log: {log.name}).")


def entered(root: Path, command: List[str], settings: Optional[dict] = None) -> List[str]:
    """The command as one that runs within `root`, with nothing of this machine's environment but pip's."""
    # (a folder of wheels lies outside)
    kept = {n: v for n, v in os.environ.items() if n.startswith("PIP_") and n != "PIP_FIND_LINKS"}
    if "PIP_CERT" in kept:
        kept["PIP_CERT"] = kept["REQUESTS_CA_BUNDLE"] = f"/{_CERTIFICATES}"
    kept.update(PATH=_PATH, HOME="/root", LC_ALL="C.UTF-8", DEBIAN_FRONTEND="noninteractive")
    kept.update(settings or {})
    place = ["-C", "/project"] if (root / "project").exists() else []
    plain = ["env", "-i", *place, *(f"{name}={value}" for name, value in kept.items()), *command]
    return ["unshare", "--mount", "sh", "-c", _ENTER, "sh", str(root), *plain]


def copy_project(project: Path, root: Path) -> Path:
    """The project's files, as git knows them, in the chroot; what was built there stays.

    Returns the folder as it is called on this machine.
    """
    target = root / "project"
    target.mkdir(exist_ok=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=project,
        capture_output=True,
        check=True,
    )
    # a file that was deleted is still listed
    names = {n for n in os.fsdecode(listed.stdout).split("\0") if n and (project / n).is_file()}
    for old in target.rglob("*"):
        name = old.relative_to(target).as_posix()
        if old.is_file() and not name.startswith(".build/") and name not in names:
            old.unlink()
    for name in names:
        source, copy = project / name, target / name
        # one that has changed is as new as this copy: what was built of the old one is built again
        if not copy.is_file() or not filecmp.cmp(source, copy, shallow=False):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
            shutil.copymode(source, copy)
    return target
