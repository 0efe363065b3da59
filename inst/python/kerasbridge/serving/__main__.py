"""`python -m kerasbridge.serving model.keras`: serve a model file."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import List, Optional

from kerasbridge.errors import KerasBridgeError


def main(arguments: Optional[List[str]] = None) -> int:
    """Serves until it is stopped; gives the exit status: 0, or 1 where it could not start."""
    parser = argparse.ArgumentParser(
        prog="python -m kerasbridge.serving",
        description="Serve a model: POST rows of JSON to /predict.",
    )
    parser.add_argument("model", help="a .keras or .h5 file, or a SavedModel folder")
    parser.add_argument("--host", default="127.0.0.1", help="address (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--max-body", type=int, default=1_000_000, metavar="BYTES")
    parser.add_argument("--max-rows", type=int, default=10_000)
    options = parser.parse_args(arguments)
    try:
        from kerasbridge.runtime import starting

        starting.start()
        from kerasbridge.saving import load_model
        from kerasbridge.serving.server import ModelServer

        model = load_model(options.model)
        server = ModelServer(
            model,
            options.host,
            options.port,
            max_body=options.max_body,
            max_rows=options.max_rows,
        )
    except KerasBridgeError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # how a container is stopped
    print(f"Serving {options.model} at {server.url} (Ctrl-C stops).", flush=True)
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
