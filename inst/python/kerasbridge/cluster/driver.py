"""Starting the workers of a training, watching them, and starting them again from the last checkpoint."""

from __future__ import annotations

import importlib.util
import os
import random
import shlex
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
from kerasbridge.cluster.worker import batch_size_of, check_size
from kerasbridge.errors import ArgumentError, ClusterError, InstallError, UnsupportedError
from kerasbridge.runtime import presses

STEP = 0.2  # seconds between two looks
SETTLE = 1.5  # seconds in which the others end when one worker has: the first cause is told
PORTS = (20000, 32000)  # of the coordinator on another machine: below those that systems give away
SSH = [  # asks for nothing, and sees within a minute that a machine doesn't answer any more
    "-o", "BatchMode=yes", "-o", "ConnectTimeout=30",
    "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3",
]  # fmt: skip
PAUSES = (5, 15, 45)  # seconds before workers are started again on a machine that was lost
FOLLOWS = "another task died"  # JAX's word of a worker that ends because another one has
INSTALL = (
    'Install JAX beside the backend in use: `install_kerasbridge(extra = "cluster")` in R or '
    '`pip install jax` in that environment; or install_kerasbridge(backend = "jax") for one of its own.'
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
    the same batches. `batch_size` has to be a multiple of the number of devices; a shorter last batch that
    can't be given to all alike is computed whole on each.

    Args:
        model: a compiled model, or a function without arguments that makes one here.
        data: (x, y) or (x, y, sample_weight) of arrays, which are written into the folder, or a source, which
            every worker reads from its files itself.
        workers: number of processes on this machine, or names of machines that `ssh` reaches without a
            password; there the folder, `python` and this engine lie at the same place as here. A machine
            that is named twice has two workers, which share its cards. The first one coordinates: the
            others reach it by that name, and without cards all reach each other at ports of the system's
            choice.
        epochs, batch_size, validation_data, shuffle: as in `fit`; the batch is that of all workers together.
        seed: of the shuffling and of layers that draw.
        folder: where task, checkpoint and logs are written; None for a temporary one that is removed, which
            other machines can't read. In one that has a checkpoint the training goes on from there.
        restarts: how often workers are started again after one has died; a machine that was lost is waited
            for, 5, 15, then 45 seconds.
        timeout: seconds without a step or an epoch after which the workers are taken to hang.
        python: interpreter of the workers; None for this one.

    Returns:
        `history` (a `History`), `model` (trained, of this process' backend).

    Raises:
        ArgumentError: `batch_size` can't be given to all devices alike, `folder` is missing for other
            machines or holds the training of another model.
        ClusterError: workers kept failing, or made no progress; with what the last one said.
        InstallError: JAX isn't installed.
        UnsupportedError: this is Windows.
    """
    from kerasbridge.training import guards
    from kerasbridge.training.progress import Progress, check_verbose

    if os.name != "posix":
        raise UnsupportedError("Training on several machines needs a Unix system, such as WSL2.")
    hosts, count = _hosts(workers)
    if hosts and folder is None:
        raise ArgumentError(
            "`folder` must name a folder that all machines share.", argument="folder"
        )
    if hosts and shutil.which("ssh") is None:
        raise UnsupportedError(
            "There is no program ssh, which starts workers on other machines.",
            hint="Install it (Debian: openssh-client).",
            argument="workers",
        )
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
        "hosts": [_address_of(host) for host in hosts or ()],
        "places": [[hosts[:i].count(h), hosts.count(h)] for i, h in enumerate(hosts)]
        if hosts else [[i, count] for i in range(count)],
    }  # fmt: skip
    try:
        _prepare(shared, model, data, validation_data, task, progress)
        run = _Run(shared, task, hosts, python or sys.executable, timeout, progress, stop)
        with presses.between_steps():
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


def _address_of(host: str) -> str:
    """user@node1 is node1 to the others."""
    return host.rpartition("@")[2]


def _prepare(
    shared: Folder, model: Any, data: Any, validation: Any, task: dict, progress: Any
) -> None:
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
    for value in (data, validation):
        if value is not None:
            check_size(batch_size_of(value, task["batch_size"]), task["workers"])
    made = _form(model)
    done, held = len(shared.epochs()), shared.read("form.json")
    if not shared.checkpoint(done).exists():
        shared.write("epochs.json", [])
    elif held != made:
        raise ArgumentError(
            f"`folder` ({shared.path}) holds {done} epochs of another model.",
            hint="Take another folder, or remove that one.",
            argument="folder",
        )
    else:
        progress.note(f"The training in {shared.path} goes on after epoch {done}.")
    shared.write("form.json", made)
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


def _form(model: Any) -> list:
    """Layers and shapes of weights: what makes a checkpoint one of this model."""
    return [
        [type(layer).__name__, [list(weight.shape) for weight in layer.weights]]
        for layer in model.layers
    ]


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
        self.begun = self.lost = False  # steps were done; ssh had no answer from a machine

    def to_the_end(self, restarts: int) -> None:
        before: Any = None
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
            failure = (reason.partition(" failed: ")[2], done)
            if attempt == restarts or (failure[0] and failure == before):
                break  # the same error at the same place would come again
            before = failure
            note = f"{reason} Started again after epoch {done}."
            self.notes.append(note)
            self.progress.note(note)
            if self.begun and self.lost:  # it may come back; one that never answered won't
                self._pause(PAUSES[min(attempt, len(PAUSES) - 1)])
        times = "once" if not attempt else f"{attempt + 1} times"
        raise ClusterError(
            f"{reason} The workers failed {times}.",
            hint=f"The last lines of the log: {self._said()}",
            details={"epochs_done": done, "folder": str(self.shared.path)},
        )

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._check_stop()
            time.sleep(STEP)

    def _check_stop(self) -> None:
        presses.check()
        if self.stop is not None and self.stop.is_set():
            raise KeyboardInterrupt

    def _start(self) -> None:
        self.lost = False
        if self.hosts:
            host, port = self.task["hosts"][0], random.randint(*PORTS)
        else:
            host, port = "127.0.0.1", _free_port()
        self.task["coordinator"] = f"{host}:{port}"
        self.shared.write("task.json", self.task)
        self.shared.beat(self.task["attempt"])
        engine = str(Path(__file__).resolve().parents[2])
        guard = shutil.which("setpriv")
        for number in range(self.task["workers"]):
            log = open(self.shared.log(number, self.task["attempt"]), "wb")  # noqa: SIM115
            command = [
                "env", f"PYTHONPATH={engine}", "KERAS_BACKEND=jax", "TF_CPP_MIN_LOG_LEVEL=3",
                "PYTHONUNBUFFERED=1", self.python, "-m", "kerasbridge.cluster",
                str(self.shared.path.resolve()), str(number), str(self.task["attempt"]),
            ]  # fmt: skip
            if self.hosts:  # a shell reads the words there
                there = shlex.join(
                    ["sh", "-c", f"{shlex.join(command)}; exit $?"]
                )  # a signal's number
                command = ["ssh", *SSH, self.hosts[number], there]
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
        last, beat, steps = time.monotonic(), 0.0, None
        while True:
            if time.monotonic() - beat > 1:
                self.shared.beat(attempt)
                beat, before = time.monotonic(), steps
                steps = self.shared.read("steps")
                if steps != before:
                    last, self.begun = beat, True
            if self._show():
                last, self.begun = time.monotonic(), True
            self._check_stop()
            done = [(self.shared.path / f"done-{attempt}-{n}").exists() for n in range(count)]
            if all(done):
                return None
            if any(p.poll() is not None and not d for p, d in zip(self.processes, done)):
                time.sleep(SETTLE)
                return self._death(done)
            if time.monotonic() - last > self.timeout:
                return f"No step was finished in {self.timeout:g} seconds."
            time.sleep(STEP)

    def _death(self, done: list) -> str:
        """Why a worker ended: one that was killed or found no Python, else the first that failed.

        The others fail, too, when they wait for it, or JAX ends them: that is not the cause.

        Raises:
            ArgumentError, ClusterError: what failed would fail again.
        """
        failed, followed, attempt = [], [], self.task["attempt"]
        for number, process in enumerate(self.processes):
            if done[number] or process.poll() is None:
                continue
            file = self.shared.failure(number, attempt)
            if file.exists():
                failed.append((file.stat().st_mtime_ns, number, self.shared.read(file.name)))
            elif FOLLOWS in self._log(number):
                followed.append(number)
            else:
                return self._ended(number, process.returncode)
        if not failed:
            return self._ended(followed[0], self.processes[followed[0]].returncode)
        _, number, said = min(failed, key=lambda one: one[:2])
        if said["wrong"]:
            details = {"worker": number + 1, "epochs_done": len(self.shared.epochs())}
            kind = ArgumentError if said["argument"] else ClusterError
            raise kind(
                said["message"], hint=said["hint"], argument=said["argument"], details=details
            )
        first = said["message"].strip().splitlines()
        return f"Worker {number + 1} failed: {first[0][:300] if first else 'no message'}."

    def _ended(self, number: int, code: int) -> str:
        who, where = f"Worker {number + 1} of {self.task['workers']}", ""
        if self.hosts:
            host, line = self.hosts[number], self._said([number], 1)
            if code == 255:  # ssh's own
                self.lost = True
                return f"{who}: ssh can't reach {host}, or lost it ({line})."
            where = f" on {host} ({line})"
            code = 128 - code if code > 128 else code  # a shell's word for a signal
        how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        return f"{who} {how}{where}."

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
        self.shared.over()  # for workers on other machines, which no signal reaches
        for process in self.processes:
            if process.poll() is None:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    process.kill()
        for process in self.processes:
            process.wait()
        self.processes.clear()

    def _said(self, workers: Optional[Sequence[int]] = None, lines: int = 3) -> str:
        said = []
        for number in range(self.task["workers"]) if workers is None else workers:
            said += self._log(number).strip().splitlines()[-lines:]
        return " | ".join(said)[-1500:] or "nothing was said"

    def _log(self, number: int) -> str:
        log = self.shared.log(number, self.task["attempt"])
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


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
    history.environment = {**facts(), "seed": task["seed"]}
    model = saving.load_model(str(shared.final), allow=task["allow"] or ())
    return {"history": history.keep_with(model), "model": model}
