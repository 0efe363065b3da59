"""Reading versions as people type them: plain, with an operator, with "gpu" in them, or nonsense.

Whatever can't be read is refused with the forms that are accepted.
"""

from __future__ import annotations

import re
from typing import Optional, Sequence, Tuple

from ..errors import InstallError

Version = Tuple[int, ...]

ACCEPTED_FORMS = (
    'Accepted: nothing (the newest), "2.21" or "2.21.0", "2.18.*", ">=2.18", "latest"; '
    'a graphics card is asked for by gpu, not by the version ("2.18-gpu" is understood).'
)


def text(version: Sequence[int]) -> str:
    """(2, 16) -> '2.16'."""
    return ".".join(str(part) for part in version)


def parse(version: object, argument: str, hint: str) -> Version:
    """'2.16' -> (2, 16); anything else is an `InstallError` that names `argument`."""
    if isinstance(version, (tuple, list)) and version and all(_is_int(p) for p in version):
        return tuple(version)
    if isinstance(version, (int, float)) and not isinstance(version, bool):
        version = repr(version)
    if (
        not isinstance(version, str)
        or len(version) > 60
        or not re.fullmatch(r"\s*v?\d+(\.\d+){0,3}\s*", version)
    ):
        raise InstallError(
            f"{argument} = {show(version)} is no version number.", hint=hint, argument=argument
        )
    return tuple(int(part) for part in version.strip().lstrip("v").split("."))


def read_wish(version: object, gpu: bool, reasons: list) -> Tuple[Optional[str], bool]:
    """Gives (None for the newest | a plain version wish, gpu)."""
    if version is None:
        return None, gpu
    if isinstance(version, (tuple, list)) and version and all(_is_int(p) for p in version):
        return text(version), gpu
    if isinstance(version, bool) or not isinstance(version, (str, int, float)):
        raise refuse_version(version)
    if version != version:  # NaN
        raise refuse_version("NA", "A missing value (NA) is no version.")
    wish = repr(version) if isinstance(version, (int, float)) else version.strip().lower()
    wish = wish[1:] if re.match(r"v\d", wish) else wish
    if wish in ("na", "nan", "none", "null"):
        raise refuse_version(version, "A missing value (NA) is no version.")
    if wish == "":
        raise refuse_version(version, "An empty string is no version.")
    if len(wish) > 60:
        raise refuse_version(version)
    if "nightly" in wish:
        raise refuse_version(version, "Nightly builds are not among the tested versions.")
    match = re.fullmatch(r"(.*?)-?(gpu|cpu)", wish)
    if match:
        wish = match.group(1)
        if match.group(2) == "gpu" and not gpu:
            gpu = True
            reasons.append(f"gpu: because the version {show(version)} asks for it.")
        if match.group(2) == "cpu" and gpu:
            raise refuse_version(version, "The version says cpu, gpu says the opposite.")
    if wish in ("", "default", "latest", "newest", "release", "stable"):
        return None, gpu
    if re.search(r"\d(a|b|rc|dev|post|\.dev|\.post)\d*", wish):
        raise refuse_version(version, "Pre-releases are not among the tested versions.")
    if not re.fullmatch(r"(==|>=|<=|<|>|~=|!=)?\s*\d+(\.\d+)*(\.\*)?(\s*,.*)?", wish):
        raise refuse_version(version)
    return wish, gpu


def refuse_version(version: object, why: Optional[str] = None) -> InstallError:
    first = f"version = {show(version)} is not a TensorFlow version."
    return InstallError(f"{first} {why}" if why else first, hint=ACCEPTED_FORMS, argument="version")


def matches(version: Version, wish: str) -> bool:
    """Whether `version` satisfies a comma-separated wish such as '2.18', '>=2.17,<2.20'."""
    for clause in wish.split(","):
        match = re.fullmatch(r"\s*(==|>=|<=|<|>|~=|!=)?\s*(\d+(?:\.\d+)*)(\.\*)?\s*", clause)
        if match is None:
            raise refuse_version(wish)
        operator = match.group(1) or "=="
        wanted = tuple(int(part) for part in match.group(2).split("."))
        head = version[: len(wanted)]
        padded = wanted + (0,) * (3 - len(wanted))
        same = head == wanted
        ok = {
            "==": same,
            "!=": not same,
            ">=": version >= padded,
            "<=": version <= padded or same,
            ">": version > padded and not same,
            "<": version < padded,
            "~=": version >= padded and version[: max(1, len(wanted) - 1)] == wanted[:-1],
        }[operator]
        if not ok:
            return False
    return True


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def show(value: object) -> str:
    shown = f'"{value}"' if isinstance(value, str) else repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
