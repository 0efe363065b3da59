"""Start and stop the program TensorBoard."""

from __future__ import annotations

import atexit
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from typing import Optional

from kerasbridge.errors import ArgumentError, InstallError

_running: dict = {}
_PATIENCE = 60  # seconds for the program to answer


def tensorboard_start(
    log_dir: str,
    host: str = "127.0.0.1",
    port: Optional[int] = None,
    reload_interval: int = 5,
    purge: bool = True,
) -> str:
    """Serve the logs under `log_dir`; returns the address once it answers.

    Raises:
        InstallError: the package tensorboard is not installed, or the program ended at once.
        ArgumentError: the port is taken.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise InstallError(
            "TensorBoard is not installed (TensorFlow 2.21 no longer brings it).",
            hint="Install it in the environment of Keras: `pip install tensorboard`.",
        )
    tensorboard_stop(log_dir)
    if port is None:
        with socket.socket() as probe:
            probe.bind((host, 0))
            port = probe.getsockname()[1]
    else:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                raise ArgumentError(f"The port {port} is in use.", argument="port")
    kind = (
        "--logdir_spec" if ":" in os.path.splitdrive(log_dir)[1] or "," in log_dir else "--logdir"
    )
    command = [sys.executable, "-m", "tensorboard.main", kind, log_dir, "--host", host]
    command += ["--port", str(port), "--reload_interval", str(reload_interval)]
    command += ["--purge_orphaned_data", "true" if purge else "false"]
    said = tempfile.TemporaryFile()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said.seek(0)
            words = said.read().decode("utf-8", "replace").strip().splitlines()
            raise InstallError(f"TensorBoard ended at once: {words[-1] if words else 'no reason'}")
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                _running[log_dir] = process
                return f"http://{host}:{port}"
        time.sleep(0.2)
    process.terminate()
    raise InstallError(f"TensorBoard did not answer within {_PATIENCE} seconds.")


def tensorboard_stop(log_dir: Optional[str] = None) -> None:
    """Stop the one that serves `log_dir`, or all that were started here."""
    for key in list(_running) if log_dir is None else [log_dir]:
        process = _running.pop(key, None)
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


atexit.register(tensorboard_stop)
