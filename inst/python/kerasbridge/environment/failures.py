"""What an installer's output means: one table from what it printed to a cause and what to do."""

from __future__ import annotations

import os
import re
from typing import Optional, Tuple

from ..errors import InstallError
from ..runtime import certificates

# (what the output holds, the cause, what to do); the first match counts.
_TABLE: Tuple[Tuple[str, str, str], ...] = (
    (
        r"No space left on device|Errno 28|Disk quota exceeded",
        "The disk is full.",
        "Free some space (an environment needs 1.5 to 2 GB, and as much again for a moment in the "
        "temporary folder), or choose another place.",
    ),
    (
        r"SSL module is not available|Can't connect to HTTPS URL",
        "This Python has no working ssl module.",
        "Use another Python (the system's own has it).",
    ),
    (
        r"407 Proxy Authentication|ProxyError|Cannot connect to proxy|Tunnel connection failed",
        "The proxy refused the connection.",
        "Check HTTPS_PROXY and the name and password in it.",
    ),
    (
        r"40[13] (?:Client Error|Forbidden|Unauthorized)|status code 40[13]|HTTP error 40[13]",
        "The package index refused access.",
        "Check the index that pip is set to (pip config list) and its name and password.",
    ),
    (
        r"NewConnectionError|Failed to establish a new connection|Temporary failure in name "
        r"resolution|Name or service not known|Network is unreachable|Connection refused|"
        r"getaddrinfo failed|ConnectTimeoutError|ReadTimeoutError|Read timed out|"
        r"dns error|tcp connect error|error sending request|Connection reset|"
        r"Connection aborted|nodename nor servname|network was disabled|CondaHTTPError|"
        r"HTTP 000 CONNECTION FAILED",
        "The package index can't be reached: there is no network, or a firewall is in the way.",
        "Connect, set HTTPS_PROXY if you have a proxy, or install from a folder of wheels "
        '(from = "wheels/" in R, --from wheels/ on the command line).',
    ),
    (
        r"THESE PACKAGES DO NOT MATCH THE HASHES|Hash mismatch",
        "A file that was downloaded is not the one the index names.",
        "Try again with an emptied cache: pip cache purge.",
    ),
    (
        r"BadZipFile|File is not a zip file|zipfile\.BadZip|Invalid zip|incorrect header check|"
        r"IncompleteRead|invalid (?:wheel|zip)|is an invalid wheel|"
        r"Wheel .* is invalid",
        "A wheel is damaged{file}: its download or copy was cut short.",
        "Try again with an emptied cache (pip cache purge), or copy the folder of wheels again.",
    ),
    (
        r"ResolutionImpossible|conflicting dependencies|No solution found",
        "The versions can't be installed together.",
        "Leave version and keras out, so that the tested combination is taken.",
    ),
    (
        r"Permission denied|Errno 13|Read-only file system",
        "A folder can't be written to.",
        "Choose a place that is yours, or set TMPDIR to a folder that is.",
    ),
    (
        r"MemoryError|Cannot allocate memory|Errno 12",
        "The machine ran out of memory.",
        "Close other programs and try again.",
    ),
    (
        r"ensurepip is not available|No module named ensurepip|returned non-zero exit status.*"
        r"ensurepip|ensurepip.*returned non-zero",
        "This Python can't put pip into a virtual environment.",
        "On Debian or Ubuntu, as root: apt-get install python3-venv",
    ),
    (
        r"\(from versions: none\)",
        "The package index offers no {missing} at all: it can't be reached (no network, or a "
        "firewall is in the way), or has nothing for this Python and machine.",
        "Connect, or check which index pip is set to (pip config list); without a network install "
        'from a folder of wheels (from = "wheels/" in R, --from wheels/ on the command line).',
    ),
    (
        r"No matching distribution found|Could not find a version that satisfies|no wheels? with a "
        r"matching|has no wheels",
        "{missing} can't be had for this Python and machine from where pip looks.",
        "Check which index pip is set to (pip config list), and that this is a 64-bit Python that "
        "TensorFlow supports.",
    ),
    (
        r"error: command '?\S*(?:gcc|cc|cl\.exe)|Microsoft Visual C\+\+ .* is required|"
        r"Failed building wheel|Could not build wheels",
        "A package had no ready-made wheel for this machine, and building it failed.",
        "Use one of Python 3.10 to 3.13 on a 64-bit system, for which wheels exist.",
    ),
)


def explain(output: str, code: Optional[int], doing: str, offline: bool = False) -> InstallError:
    """The error for a child that failed: cause, what to do, and the end of what it printed.

    Args:
        output: all that it printed.
        code: its exit status; negative where a signal ended it.
        doing: what it was at, "installing the packages".
        offline: whether it was told to use a folder of wheels only.
    """
    tail = "\n".join(output.strip().splitlines()[-12:])
    details = {"output": tail, "status": code}
    if code is not None and code in (-9, 137):
        return InstallError(
            f"The system ended the installer while {doing}: most likely memory ran out.",
            hint="Close other programs and try again.",
            details=details,
        )
    missing = _missing_requirement(output)
    if missing and offline:
        return InstallError(
            f"The folder of wheels has no {missing} that fits this Python and machine.",
            hint="Fill it on a machine with the same system and Python version.",
            argument="from",
            details=details,
        )
    if missing and os.environ.get("PIP_NO_INDEX", "0").lower() not in ("", "0", "false", "no"):
        return InstallError(
            "The package index can't be asked: PIP_NO_INDEX is set.",
            hint='Unset it, or install from a folder of wheels (from = "wheels/" in R, '
            "--from wheels/ on the command line).",
            details=details,
        )
    refused = certificates.refused(output)
    if refused:
        return InstallError(refused, hint=certificates.HINT, details=details)
    for pattern, cause, hint in _TABLE:
        if re.search(pattern, output, re.IGNORECASE):
            return InstallError(
                cause.format(missing=missing or "A package", file=_file(output)),
                hint=hint,
                details=details,
            )
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "no output")
    return InstallError(
        f"{doing[:1].upper()}{doing[1:]} failed (exit status {code}): {last.strip()[:300]}",
        hint="The lines above say more; after mending the cause, run the same command again.",
        details=details,
    )


def _file(output: str) -> str:
    """ " (name)" of the wheel that the output speaks of last, "" where it names none."""
    named = re.findall(r"([^\s/\\'\"]+\.whl)", output)
    return f" ({named[-1]})" if named else ""


def _missing_requirement(output: str) -> Optional[str]:
    match = re.search(
        r"(?:satisfies the requirement|No matching distribution found for) ([^\s;(]+)", output
    )
    if match:
        return match.group(1)
    match = re.search(r"Because (\S+) was not found", output)
    return match.group(1) if match else None
