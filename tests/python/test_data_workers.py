"""Worker processes: order, ends, deaths, and that none is left. The workers here are small scripts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from kerasbridge.data import workers
from kerasbridge.errors import GeneratorError

_SCRIPT = """
import io, json, os, sys, time
import numpy as np
task, number, folder, out = sys.argv[1:5]
number, out = int(number), int(out)
def reply(text):
    os.write(out, (text + "\\n").encode())
def give(k, *arrays):
    path = os.path.join(folder, f"{number}-{k}")
    with open(path, "wb") as file:
        file.write(json.dumps({"parts": list(range(len(arrays))), "texts": [None] * len(arrays)}).encode() + b"\\n")
        for array in arrays:
            np.lib.format.write_array(file, np.asfortranarray(array), version=(1, 0))
    reply(f"ok {path}")
for made, line in enumerate(sys.stdin):
    k = int(line)
"""


def command(tmp_path, body):
    script = tmp_path / "worker.py"
    script.write_text(_SCRIPT + textwrap.indent(textwrap.dedent(body), "    "))
    return [sys.executable, str(script)]


@pytest.fixture
def start(tmp_path):
    made = []

    def starts(body, count=2, total=6, **more):
        made.append(workers.Workers(command(tmp_path, body), "task", count, total, **more))
        return made[-1]

    yield starts
    for one in made:
        pids = one.pids
        folder = one._folder
        one.close()
        assert not folder.exists()
        assert not any(workers._lives(pid) for pid in pids)


GIVE = "give(k, np.array([[k, number], [made, 0.5]]), np.arange(2, dtype='int32'))"


def test_batches_come_in_order_whichever_worker_is_slow(start):
    source = start("if number == 1: time.sleep(0.05)\n" + GIVE, count=3, total=7)
    got = [source() for _ in range(7)]
    assert [int(x[0, 0]) for x, _ in got] == list(range(7))
    assert [int(x[0, 1]) for x, _ in got] == [1, 2, 3, 1, 2, 3, 1]
    x, y = got[0]
    assert x.dtype == np.float32 and x.flags.c_contiguous and x[1, 1] == 0.5
    assert y.dtype == np.int32 and y.tolist() == [0, 1]
    assert list(source._folder.glob("*-*.batch")) == [] and not list(source._folder.glob("?-?"))
    assert source() is None  # no more was ever asked for


def test_workers_that_end_leave_their_share_to_the_others(start):
    source = start("if made >= number: reply('end')\nelse: " + GIVE, count=3, total=100)
    got = []
    while (batch := source()) is not None:
        got.append(int(batch[0][0, 1]))
    assert got == [1, 2, 3, 2, 3, 3]


def test_a_failure_names_the_batch_and_the_worker(start):
    source = start(
        "if k == 3: reply('error ' + 'no \\u00e9ther'.encode().hex())\nelse: " + GIVE, total=9
    )
    for _ in range(3):
        source()
    with pytest.raises(GeneratorError, match=r"batch 4 \(worker 2\): no éther") as caught:
        source()
    assert caught.value.details == {"batch": 4, "worker": 2}


def test_a_death_is_told_with_its_cause(start):
    source = start("if k == 1: print('last words', flush=True); os.kill(os.getpid(), 9)\n" + GIVE)
    source()
    with pytest.raises(GeneratorError, match=r"Worker 2 of 2 .*signal 9 \(SIGKILL\).*last words"):
        source()
    quits = start("sys.exit(4)")
    with pytest.raises(
        GeneratorError, match="Worker 1 of 2 .* ended with status 4 while it made batch 1"
    ):
        quits()


def test_no_worker_outlives_a_killed_parent(tmp_path):
    code = f"""
    import sys, time
    from kerasbridge.data import workers
    source = workers.Workers({command(tmp_path, GIVE + "; time.sleep(0.2)")!r}, "task", 2, 1000)
    source()
    print(source._folder, *source.pids, flush=True)
    time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    folder, *pids = parent.stdout.readline().split()
    assert all(workers._lives(int(pid)) for pid in pids)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        if not any(_runs(int(pid)) for pid in pids):
            break
        time.sleep(0.1)
    assert not any(_runs(int(pid)) for pid in pids)
    assert Path(folder).exists()
    os.rmdir(workers.shared_folder())  # the next set removes what the killed one left
    assert not Path(folder).exists()


def _runs(pid):
    """Whether a process runs; one that only waits to be reaped doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
