"""Runs testthat in two processes that share the files: `testthat.py RESULTS [FILTER]`.

Most of a test is the work of one thread, so a second core is free for a second process. The outcomes
go to RESULTS/testthat.tsv, unless a process breaks off: then the exit status is its own.
(A shell's own background processes would ignore Ctrl-C, which some tests press.)
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROCESSES = 2


def main(results: Path, names: str = "") -> int:
    claimed = results / "claimed"
    claimed.mkdir()
    parts = [results / f"testthat-{n}.part" for n in range(1, PROCESSES + 1)]
    running = [
        subprocess.Popen(
            ["Rscript", "tools/setup/testthat.R", part, names, claimed], stdin=subprocess.DEVNULL
        )
        for part in parts
    ]
    broken = [status for process in running if (status := process.wait())]
    if broken:
        return broken[0] if broken[0] > 0 else 128 - broken[0]
    outcomes = "".join(part.read_text(encoding="utf-8") for part in parts)
    (results / "testthat.tsv").write_text(outcomes, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
