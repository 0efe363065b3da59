"""`python -m kerasbridge.cluster FOLDER NUMBER ATTEMPT`: one worker of a training on several machines."""

from __future__ import annotations

import sys

from kerasbridge.cluster.worker import main

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
