"""Starting the workers of a training, watching them, and starting them again from the last checkpoint."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Optional, Sequence, Union

from kerasbridge.cluster.folder import Folder
from kerasbridge.environment import graphics
from kerasbridge.errors import ArgumentError, ClusterError, InstallError, UnsupportedError

STEP = 0.2  # seconds between two looks
INSTALL = (
    "Install JAX beside the backend in use: `pip install jax` in that environment, or "
    'install_kerasbridge(backend = "jax") for one of its own.'
)


def train_on_cluster(
    model: Any,
    data: Any,
    *,
    workers: Union[int, Sequence[str]] = 2,
    epochs: int = 1,
    batch_size: Optional[int] = None,
    validation_data: Any = None,
    shuffle: bool = True,
    seed: int = 0,
    folder: Optional[str] = None,
    restarts: int = 3,
    timeout: float = 600.0,
    python: Optional[str] = None,
    allow: Optional[str] = None,
    output: Any = None,
    verbose: Any = "auto",
    stop: Any = None,
) -> dict:
    """Train a compiled model on several machines, or several processes of this one.

    Every worker has all weights and computes its part of each batch; the result is that of one device with
    the same batches. Where the last batch of an epoch can't be given to all devices alike, up to
    (number of devices - 1) rows are left out; a note says so.

    Args:
        model: a compiled model, or a function without arguments that makes one here.
        data: (x, y) or (x, y, sample_weight) of arrays, which are written into the folder, or a source, which
            every worker reads from its files itself.
        workers: number of processes on this machine, or names of machines that `ssh` reaches without a
            password; there the folder and `python` lie at the same place as here.
        epochs, batch_size, validation_data, shuffle: as in `fit`; the batch is that of all workers together.
        seed: of the shuffling and of layers that draw.
        folder: where task, checkpoint and logs are written; None for a temporary one that is removed. One
            that has a checkpoint of the same task goes on from there.
        restarts: how often workers are started again after one has died.
        timeout: seconds without a finished epoch after which the training is given up.
        python: interpreter of the workers; None for this one.

    Returns:
        `history` (a `History`), `model` (trained, of this process' backend).

    Raises:
        ClusterError: workers kept failing, or made no progress; with what the last one said.
        InstallError: JAX isn't installed.
        UnsupportedError: this is Windows.
    """
    from kerasbridge.training import guards
    from kerasbridge.training.progress import Progress, check_verbose

    if os.name != "posix":
        raise UnsupportedError("Training on several machines needs a Unix system, such as WSL2.")
    hosts, count = _hosts(workers)
    if importlib.util.find_spec("jax") is None and python is None:
        raise InstallError(
            "Training on several machines needs JAX, which is not installed.", hint=INSTALL
        )
    if callable(model) and not hasattr(model, "fit"):
        model = model()
    for name, value, least in (("epochs", epochs, 1), ("restarts", restarts, 0)):
        guards.check_whole(value, name, least=least, none=False)
    progress = Progress(output, check_verbose(verbose))
    shared = Folder(folder or tempfile.mkdtemp(prefix="kerasbridge-cluster-"))
    shared.path.mkdir(parents=True, exist_ok=True)
    task = {
        "workers": count, "epochs": int(epochs), "batch_size": batch_size, "shuffle": bool(shuffle),
        "seed": int(seed), "allow": allow, "attempt": 0,
    }  # fmt: skip
    try:
        _prepare(shared, model, data, validation_data, task)
        run = _Run(shared, task, hosts, python or sys.executable, timeout, progress, stop)
        run.to_the_end(restarts)
        return _outcome(shared, task, run)
    finally:
        if folder is None:
            shutil.rmtree(shared.path, ignore_errors=True)


def _hosts(workers: Any) -> tuple[Optional[list], int]:
    if isinstance(workers, (list, tuple)):
        if not workers or not all(isinstance(host, str) and host for host in workers):
            raise ArgumentError("`workers` must name machines.", argument="workers")
        return list(workers), len(workers)
    if type(workers) not in (int, float) or workers % 1 or not 1 <= workers <= 256:
        raise ArgumentError(
            "`workers` must be a whole number from 1 to 256, or names of machines.",
            argument="workers",
        )
    return None, int(workers)


def _prepare(shared: Folder, model: Any, data: Any, validation: Any, task: dict) -> None:
    """Write the task; a checkpoint that is there is kept."""
    from kerasbridge import saving
    from kerasbridge.training import guards

    guards.check_compiled(model, "fit")
    for value, argument in ((data, "data"), (validation, "validation_data")):
        if value is None and argument == "validation_data":
            continue
        if not hasattr(value, "batches") and not isinstance(value, (tuple, list)):
            raise ArgumentError(
                f"`{argument}` must be (x, y) or a source.",
                hint="In R: list(x, y), or one of the source_*() functions.",
                argument=argument,
            )
    saving.save_model(model, str(shared.model), overwrite=True)
    try:
        for name, value in (("data.pickle", data), ("validation.pickle", validation)):
            shared.write_object(name, value.copy() if hasattr(value, "batches") else value)
    except Exception as error:
        raise ArgumentError(
            f"`data` can't be sent to other processes ({type(error).__name__}).",
            hint="A source that reads files can; one that calls a function of R can't.",
            argument="data",
        ) from error
    if len(shared.epochs()) and not shared.checkpoint.exists():
        shared.write("epochs.json", [])


class _Run:
    """The workers of one attempt after another."""

    def __init__(
        self, shared: Folder, task: dict, hosts: Optional[list], python: str, timeout: float,
        progress: Any, stop: Any,
    ):  # fmt: skip
        self.shared, self.task, self.hosts, self.python = shared, task, hosts, python
        self.timeout, self.progress, self.stop = timeout, progress, stop
        self.processes: list = []
        self.shown = len(shared.epochs())
        self.notes: list[str] = []

    def to_the_end(self, restarts: int) -> None:
        for attempt in range(restarts + 1):
            self.task["attempt"] = attempt
            for marker in self.shared.path.glob("done-*"):
                marker.unlink()
            self._start()
            try:
                reason = self._watch()
            finally:
                self._end()
            if reason is None:
                return
            done = len(self.shared.epochs())
            note = f"{reason} Started again after epoch {done}."
            if attempt < restarts:
                self.notes.append(note)
                self.progress.note(note)
        raise ClusterError(
            f"{reason} The workers failed {restarts + 1} times.",
            hint=f"The last lines of the log: {self._said()}",
            details={"epochs_done": done, "folder": str(self.shared.path)},
        )

    def _start(self) -> None:
        host = self.hosts[0] if self.hosts else "127.0.0.1"
        self.task["coordinator"] = f"{host}:{_free_port()}"
        self.shared.write("task.json", self.task)
        self.shared.beat()
        engine = str(Path(__file__).resolve().parents[2])
        guard = shutil.which("setpriv")
        for number in range(self.task["workers"]):
            log = open(self.shared.log(number, self.task["attempt"]), "wb")  # noqa: SIM115
            command = [
                "env", f"PYTHONPATH={engine}", "KERAS_BACKEND=jax", "TF_CPP_MIN_LOG_LEVEL=3",
                "PYTHONUNBUFFERED=1", *(() if self.hosts else own_cards(number, self.task["workers"])),
                self.python, "-m", "kerasbridge.cluster",
                str(self.shared.path.resolve()), str(number),
            ]  # fmt: skip
            if self.hosts:
                command = ["ssh", "-o", "BatchMode=yes", self.hosts[number], *command]
            elif guard:  # the system ends them with this process, also when it is killed
                command = [guard, "--pdeathsig", "KILL", *command]
            environ = {
                k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "XLA_FLAGS")
            }
            self.processes.append(
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ,
                    start_new_session=True,
                )
            )  # fmt: skip
            log.close()

    def _watch(self) -> Optional[str]:
        """Wait for the end; None if all is done, else why the attempt failed."""
        count, attempt = self.task["workers"], self.task["attempt"]
        last, beat = time.monotonic(), 0.0
        while True:
            if time.monotonic() - beat > 1:
                self.shared.beat()
                beat = time.monotonic()
            if self._show():
                last = time.monotonic()
            if self.stop is not None and self.stop.is_set():
                raise KeyboardInterrupt
            done = [(self.shared.path / f"done-{attempt}-{n}").exists() for n in range(count)]
            if all(done):
                return None
            for number, process in enumerate(self.processes):
                if done[number] or process.poll() is None:
                    continue
                return self._death(number, process.returncode)
            if time.monotonic() - last > self.timeout:
                return f"No epoch was finished in {self.timeout:g} seconds."
            time.sleep(STEP)

    def _death(self, number: int, code: int) -> str:
        failed = self.shared.read(f"failed-{self.task['attempt']}-{number}")
        if failed is not None:
            first = failed["message"].strip().splitlines()
            return f"Worker {number + 1} failed: {first[0][:300] if first else 'no message'}."
        how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        return f"Worker {number + 1} of {self.task['workers']} {how}."

    def _show(self) -> bool:
        """Show epochs that are new; whether there are any."""
        rows = self.shared.epochs()
        new = rows[self.shown :]
        for row in new:
            values = "  ".join(f"{name} {value:.4g}" for name, value in row["logs"].items())
            self.progress.note(
                f"Epoch {row['epoch'] + 1}/{self.task['epochs']}  {row['seconds']:.1f}s  {values}"
            )
        self.shown = max(self.shown, len(rows))
        return bool(new)

    def _end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    process.kill()
        for process in self.processes:
            process.wait()
        self.processes.clear()

    def _said(self) -> str:
        said = []
        for number in range(self.task["workers"]):
            log = self.shared.log(number, self.task["attempt"])
            text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
            said += text.strip().splitlines()[-3:]
        return " | ".join(said)[-1500:] or "nothing"


def own_cards(number: int, count: int) -> list[str]:
    """The variable that gives worker `number` of `count` on this machine cards of its own, if there are any.

    Two processes can't compute together on one card: with too few cards, all use the processor.
    """
    cards = [str(index) for index in range(len(graphics.status()["devices"]))]
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if cards and shown is not None:
        cards = [part.strip() for part in shown.split(",") if part.strip() not in ("", "-1")]
    share = len(cards) // count
    if not share:
        return ["JAX_PLATFORMS=cpu"]
    return ["CUDA_VISIBLE_DEVICES=" + ",".join(cards[number * share : (number + 1) * share])]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _outcome(shared: Folder, task: dict, run: _Run) -> dict:
    from kerasbridge import saving
    from kerasbridge.runtime.facts import facts
    from kerasbridge.training.history import History

    rows = shared.epochs()
    history = History({"epochs": task["epochs"], "batch_size": task["batch_size"]})
    history.params["workers"] = task["workers"]
    for row in rows:
        history.add(row["epoch"], row["logs"])
    history.engine, history.engine_reason = "cluster", f"{task['workers']} workers on JAX"
    history.seconds = sum(row["seconds"] for row in rows)
    history.notes = list(run.notes)
    left_out = max((row["left_out"] for row in rows), default=0)
    if left_out:
        note = f"{left_out} row{'' if left_out == 1 else 's'} of the last batch of each epoch were left out."
        history.notes.append(note)
        run.progress.note(note)
    history.environment = {**facts(), "seed": task["seed"]}
    model = saving.load_model(str(shared.final), allow=task["allow"] or ())
    return {"history": history.keep_with(model), "model": model}
