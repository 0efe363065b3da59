"""Runs testthat in two processes that share the files: `testthat.py RESULTS`.

Most of a test is the work of one thread, so a second core is free for a second process. The outcomes
go to RESULTS/testthat-N.tsv, and where a process breaks off, to testthat-N-status.tsv as a failure.
(A shell's own background processes would ignore Ctrl-C, which some tests press.)
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROCESSES = 2


def main(results: Path) -> int:
    claimed = results / "claimed"
    claimed.mkdir()
    running = [
        subprocess.Popen(
            ["Rscript", "tools/setup/testthat.R", results / f"testthat-{n}.tsv", "", claimed],
            stdin=subprocess.DEVNULL,
        )
        for n in range(1, PROCESSES + 1)
    ]
    for n, process in enumerate(running, 1):
        status = process.wait()
        if status:
            (results / f"testthat-{n}-status.tsv").write_text(
                f"failed\ttestthat, process {n}, ended with status {status}\n"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
