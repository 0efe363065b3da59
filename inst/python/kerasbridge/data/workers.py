"""Batches made by other R processes, taken over through files in shared memory.

Each worker is an R process that reads one line a batch from its standard input and answers on a pipe.
The batch itself is a file: a line of JSON that says how the arrays are nested, then the arrays in
NumPy's own format. The files lie in /dev/shm where the system has it. Which worker makes which batch
depends on nothing but their number, so the order is the same every time.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import select
import shutil
import signal
import subprocess
import tempfile
import weakref
from collections import deque
from pathlib import Path
from typing import Any, Optional, Sequence

import numpy as np

from kerasbridge.data.blocks import row_block
from kerasbridge.errors import GeneratorError, UnsupportedError

SLICE = 0.05  # seconds of a wait in which an interrupt is answered and deaths are noticed


def shared_folder() -> Path:
    """A new folder for one set of workers, in shared memory if there is some.

    Its name has the number of this process: folders that killed processes left behind are removed.
    """
    shared = Path("/dev/shm")
    usable = shared.is_dir() and os.access(shared, os.W_OK)
    base = shared if usable else Path(tempfile.gettempdir())
    for old in base.glob("kerasbridge-*-*"):
        owner = old.name.split("-")[1]
        if owner.isdigit() and not _lives(int(owner)) and old.stat().st_uid == os.getuid():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"kerasbridge-{os.getpid()}-", dir=base))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def read_batch(path: Path) -> list:
    """The parts of a batch file, in memory of their own; doubles become float32, row by row."""
    with open(path, "rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            form = json.loads(memory.readline())
            arrays = [_read_array(memory, text) for text in form["texts"]]
    return _nest(form["parts"], arrays)


def _read_array(memory: mmap.mmap, text: Optional[list]) -> np.ndarray:
    if text is not None:
        values, shape = text
        return np.array(values, dtype=object).reshape(shape, order="F")
    np.lib.format.read_magic(memory)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(memory)
    view = np.ndarray(shape, dtype, memory, memory.tell(), order="F" if fortran else "C")
    memory.seek(memory.tell() + view.nbytes)
    # a copy either way: nothing may point into the file when it is closed
    return row_block(view) if dtype == np.float64 else np.array(view, order="C")


def _nest(form: Any, arrays: list) -> Any:
    if isinstance(form, dict):
        return {name: _nest(part, arrays) for name, part in form.items()}
    if isinstance(form, list):
        return [_nest(part, arrays) for part in form]
    return None if form is None else arrays[form]


class _Worker:
    """One process.

    Attributes:
        asked: numbers of the batches it was asked for and has not given yet.
        ended: it has said that there is nothing left.
    """

    def __init__(self, number: int, command: Sequence[str], task: str, folder: Path):
        self.number = number
        self.asked: deque = deque()
        self.ended = False
        self._log = open(folder / f"worker-{number}.log", "w+b")  # noqa: SIM115 - closed in `close`
        reading, writing = os.pipe()
        guard = shutil.which("setpriv")
        # the system ends it with this process, also when this one is killed
        prefix = [guard, "--pdeathsig", "KILL"] if guard else []
        self.process = subprocess.Popen(
            [*prefix, *command, task, str(number), str(folder), str(writing)],
            stdin=subprocess.PIPE, stdout=self._log, stderr=self._log, pass_fds=[writing],
            start_new_session=True,
        )  # fmt: skip
        os.close(writing)
        self._replies = reading
        self._rest = b""

    def ask(self, batch: int) -> None:
        self.asked.append(batch)
        try:
            self.process.stdin.write(f"{batch}\n".encode())
            self.process.stdin.flush()
        except (BrokenPipeError, OSError):
            pass  # it is dead: told where its answer is waited for

    def answer(self, of: int) -> str:
        """The next line it writes; waits for it in short slices."""
        while b"\n" not in self._rest:
            if select.select([self._replies], [], [], SLICE)[0]:
                text = os.read(self._replies, 1 << 16)
                if text:
                    self._rest += text
                    continue
            if self.process.poll() is not None:
                raise self._death(of)
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode()

    def _death(self, of: int) -> GeneratorError:
        code = self.process.returncode
        if code < 0:
            name = signal.Signals(-code).name
            how = f"was ended by signal {-code} ({name})"
            hint = "The system kills processes like that when memory runs out."
        else:
            how, hint = f"ended with status {code}", None
        self._log.seek(0)
        said = self._log.read()[-2000:].decode("utf-8", "replace").strip()
        return GeneratorError(
            f"Worker {self.number} of {of} (process {self.process.pid}) {how} while it made batch "
            f"{self.asked[0] + 1 if self.asked else '?'}." + (f" It said: {said}" if said else ""),
            hint=hint,
            details={"worker": self.number, "status": code},
        )

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self._log):
            try:
                stream.close()
            except OSError:
                pass
        os.close(self._replies)


def _close(workers: list, folder: Path) -> None:
    for worker in workers:
        worker.close()
    workers.clear()
    shutil.rmtree(folder, ignore_errors=True)


class Workers:
    """Calls give the next batch, made by the worker whose turn it is; None when all have ended.

    Args:
        command: what starts a worker; the task's file, the worker's number from 1, the folder and the
            number of the descriptor for answers are added.
        task: file that says what the workers do.
        count: how many.
        total: batches that will be taken in all; no more are ever asked for.
        ahead: batches made ahead at most.
    """

    def __init__(self, command: Sequence[str], task: str, count: int, total: int, ahead: int = 10):
        if os.name != "posix":
            raise UnsupportedError(
                "Workers need a Unix system.", hint="Use workers = 1.", argument="workers"
            )
        self._folder = shared_folder()
        self._workers: list = []
        self._close = weakref.finalize(self, _close, self._workers, self._folder)
        self._count, self._left = count, total
        self._depth = max(1, math.ceil(ahead / count))
        self._turn = 0
        self._given = 0
        for number in range(1, count + 1):
            self._workers.append(_Worker(number, command, task, self._folder))
        self._asked = [0] * count

    @property
    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self._workers]

    def _ask(self) -> None:
        """Ask, in turn, until each has enough to do."""
        for _ in range(self._depth):
            for i in range(self._count):
                at = (self._turn + i) % self._count
                worker = self._workers[at]
                if self._left > 0 and not worker.ended and len(worker.asked) < self._depth:
                    worker.ask(at + self._asked[at] * self._count)
                    self._asked[at] += 1
                    self._left -= 1

    def __call__(self) -> Optional[tuple]:
        """The parts of the next batch.

        Raises:
            GeneratorError: the function failed, or its process ended; says which and how.
        """
        while True:
            self._ask()
            worker = self._next()
            if worker is None:
                return None
            kind, _, text = worker.answer(self._count).partition(" ")
            worker.asked.popleft()
            if kind == "end":
                worker.ended = True
                # what it was asked for beyond its end is for the others to make
                self._left += 1 + len(worker.asked)
                for _ in range(len(worker.asked)):
                    worker.answer(self._count)
                worker.asked.clear()
                continue
            self._given += 1
            if kind == "error":
                raise GeneratorError(
                    f"The generator failed at batch {self._given} (worker {worker.number}): "
                    + bytes.fromhex(text).decode("utf-8", "replace"),
                    details={"batch": self._given, "worker": worker.number},
                )
            path = Path(text)
            try:
                return tuple(read_batch(path))
            finally:
                path.unlink(missing_ok=True)

    def _next(self) -> Optional[_Worker]:
        for _ in range(self._count):
            worker = self._workers[self._turn]
            self._turn = (self._turn + 1) % self._count
            if worker.asked:
                return worker
        return None

    def close(self) -> None:
        """End every worker and remove what they left."""
        self._close()
