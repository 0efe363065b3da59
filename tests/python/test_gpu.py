"""On a graphics card, where there is one: `pytest -m gpu`."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from conftest import ROOT
from kerasbridge.environment import graphics

STATUS = graphics.status()
on_card = pytest.mark.skipif(not STATUS["found"], reason=f"no card: {STATUS['message']}")


def bench():
    spec = importlib.util.spec_from_file_location("bench_gpu", ROOT / "bench" / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.gpu
@on_card
def test_the_numbers_of_a_card_are_those_of_the_processor(tmp_path):
    file = tmp_path / "rows.json"
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "gpu.py"), "--json", str(file)],
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(row["equal"] for row in json.loads(file.read_text()))


@pytest.mark.gpu
@on_card
@pytest.mark.parametrize("memory", ["grow", "2GB"])
def test_a_card_gives_no_more_memory_than_asked_for(memory, run_python):
    done = run_python(
        "from kerasbridge.runtime import device_settings, memory, start\n"
        f"device_settings.configure(memory={memory!r})\n"
        "keras = start()\n"
        "x = keras.ops.ones((1000, 1000)); x = keras.ops.matmul(x, x)\n"
        "import subprocess, os\n"
        "out = subprocess.run(['nvidia-smi', '--query-compute-apps=pid,used_memory', '--format=csv,noheader,nounits'],"
        " capture_output=True, text=True).stdout\n"
        "print(sum(int(l.split(',')[1]) for l in out.splitlines() if int(l.split(',')[0]) == os.getpid()))\n"
        "print([r['current'] for r in memory.usage() if r['device'].startswith('GPU')][0])",
    )
    taken, held = (int(line) for line in done.stdout.splitlines()[-2:])
    assert taken < (1000 if memory == "grow" else 2500), done.stderr
    assert held >= 4_000_000


@pytest.mark.gpu
@on_card
def test_no_card_is_seen_when_it_is_hidden(run_python):
    done = run_python(
        "from kerasbridge.runtime import device_settings, devices, start\n"
        "device_settings.configure(visible=[])\nstart()\nprint(devices.running('GPU'))"
    )
    assert done.stdout.strip() == "[]"


def test_rows_of_the_benchmark():
    part = {"loss": [1.0, 0.5], "sum": 2.0, "fit": 1.0, "predict": 1.0, "engine": "graph"}
    card = {name: dict(part) for name in ("dense", "convolution", "recurrent")}
    processor = {name: {**part, "fit": 4.0, "predict": 2.0} for name in card}
    processor["dense"]["loss"] = [1.0, 0.6]
    found = bench().rows(card, processor)
    assert [row["equal"] for row in found] == [False, True, True]
    assert (found[0]["fit"], found[0]["predict"]) == (4.0, 2.0)
