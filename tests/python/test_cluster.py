"""Training on several workers of this machine: the result of one device, and workers that die."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import threading
import time

import numpy as np
import pytest
from kerasbridge import training
from kerasbridge.cluster import train_on_cluster
from kerasbridge.cluster.folder import Folder
from kerasbridge.errors import ArgumentError, ClusterError, InstallError

X = np.random.default_rng(0).normal(size=(96, 3)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]])).astype("float32")
has_jax = importlib.util.find_spec("jax") is not None
needs_jax = pytest.mark.skipif(not has_jax, reason="the package jax is not installed")


def model():
    import keras

    keras.utils.set_random_seed(3)
    made = keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)]
    )
    training.compile(made, optimizer="adam", loss="mse", metrics=["mae"])
    return made


def close(one, other):
    np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-5, atol=1e-5)


def processes_of(folder):
    """Process ids of the workers of a folder, by their number."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().decode("utf-8", "replace").split("\0")
            except OSError:
                continue
            if words[1:4] == ["-m", "kerasbridge.cluster", str(folder.resolve())]:
                found[int(words[4])] = int(entry)
    return found


def same_as_alone(found, *data, **options):
    """History and weights are those of one device here."""
    alone = model()
    expected = training.fit(alone, *data, shuffle=False, verbose=0, **options)
    history = found["history"]
    assert history.epoch == expected.epoch and history.engine == "cluster"
    assert sorted(history.metrics) == sorted(expected.metrics)
    for name, values in expected.metrics.items():
        close(history.metrics[name], values)
    for one, other in zip(found["model"].get_weights(), alone.get_weights()):
        close(one, other)


@needs_jax
def test_two_workers_are_one_device_and_a_killed_one_is_replaced(tmp_path, capsys):
    """A worker is killed after the first checkpoint; the outcome is as if nothing had happened.

    31 rows of each epoch and 9 of the validation don't go to two workers alike.
    """
    shared = Folder(tmp_path)

    def kill():
        limit = time.monotonic() + 120
        while not shared.epochs() and time.monotonic() < limit:
            time.sleep(0.01)
        os.kill(processes_of(tmp_path)[1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    options = {"batch_size": 32, "validation_data": (X[:41], Y[:41])}
    found = train_on_cluster(
        model, (X[:95], Y[:95]), workers=2, epochs=4, shuffle=False, folder=str(tmp_path),
        timeout=120, **options,
    )  # fmt: skip
    killer.join()
    same_as_alone(found, X[:95], Y[:95], epochs=4, **options)
    notes = found["history"].notes
    assert len(notes) == 1
    assert notes[0].startswith("Worker 2 of 2 was ended by signal 9. Started again after epoch")
    assert "Epoch 4/4" in capsys.readouterr().out
    assert [file.name for file in tmp_path.glob("checkpoint*")] == ["checkpoint-4.keras"]


SSH = """#!/bin/sh
# as ssh: options, a machine, words that a shell reads there; what runs there is no child of what runs here
[ "$1 $2" = "-o BatchMode=yes" ] || exit 9
while [ "$1" = -o ]; do shift 2; done
echo "$1" >> "$SSH_LOG"
case $1 in gone) echo "ssh: connect to host gone port 22: No route to host" >&2; exit 255;; esac
shift
setsid sh -c "$*"
"""


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """A program `ssh` whose machines are all this one; gives the file with the machines' names."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "ssh"
    program.write_text(SSH)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_LOG", str(tmp_path / "machines"))
    return tmp_path / "machines"


@needs_jax
def test_workers_on_other_machines_read_a_source_themselves(tmp_path, ssh):
    from kerasbridge.data.sources import CsvSource

    table = np.concatenate([X, Y], axis=1)[:75]
    np.savetxt(tmp_path / "rows.csv", table, delimiter=",", header="a,b,c,y", comments="")
    folder = tmp_path / "it's shared; by $all"
    found = train_on_cluster(
        model, CsvSource(str(tmp_path / "rows.csv"), y="y", batch_size=24), shuffle=False,
        workers=["me@localhost", "127.0.0.1"], folder=str(folder), epochs=1, timeout=120,
    )  # fmt: skip
    source = CsvSource(str(tmp_path / "rows.csv"), y="y", batch_size=24, shuffle=False)
    same_as_alone(found, source, epochs=1)
    assert ssh.read_text().split() == ["me@localhost", "127.0.0.1"]
    limit = time.monotonic() + 10
    while processes_of(folder) and time.monotonic() < limit:
        time.sleep(0.1)
    assert processes_of(folder) == {}  # no signal reaches them there


def test_a_machine_that_is_not_there_is_named(tmp_path, ssh):
    given = {"python": "python-that-has-jax", "folder": str(tmp_path / "shared"), "restarts": 0}
    with pytest.raises(ClusterError, match=r"ssh can't reach gone, or lost it \(ssh: connect"):
        train_on_cluster(model, (X, Y), workers=["gone", "127.0.0.1"], **given)
    with pytest.raises(ClusterError, match="ended with status 127 on localhost") as caught:
        train_on_cluster(model, (X, Y), workers=["localhost", "localhost"], **given)
    assert "python-that-has-jax" in caught.value.message
    with pytest.raises(ArgumentError, match="`folder` must name a folder that all machines share"):
        train_on_cluster(model, (X, Y), workers=["localhost"])


def test_a_worker_that_finds_no_task_or_is_late_leaves(tmp_path, run_python):
    start = "from kerasbridge.cluster.worker import main; main({!r}, 0, 0)"
    done = run_python(start.format(str(tmp_path)))
    assert done.returncode == 4 and "doesn't share that folder" in done.stderr
    Folder(tmp_path).write("task.json", {"attempt": 1})
    assert run_python(start.format(str(tmp_path))).returncode == 3


@needs_jax
def test_an_error_in_a_worker_is_told_and_nothing_goes_on(tmp_path):
    wrong = np.ones((96, 7), "float32")
    with pytest.raises(ClusterError, match="Worker 1 failed: ") as caught:
        train_on_cluster(model, (wrong, Y), workers=1, restarts=0, folder=str(tmp_path), timeout=60)
    assert "failed once" in caught.value.message


def worker_that_says(tmp_path, **said):
    """A "python" that fails with these words."""
    program = tmp_path / "python"
    words = json.dumps({"hint": None, "argument": None, "wrong": False, **said})
    # -m kerasbridge.cluster FOLDER NUMBER ATTEMPT
    program.write_text(f"#!/bin/sh\ncat > \"$3/failed-$5-$4\" <<'END'\n{words}\nEND\nexit 1\n")
    program.chmod(0o755)
    return {"python": str(program), "folder": str(tmp_path / "shared"), "timeout": 60}


def test_the_same_error_twice_is_not_tried_again(tmp_path):
    given = worker_that_says(tmp_path, message="ValueError: shapes differ\nmore")
    with pytest.raises(
        ClusterError, match="Worker 1 failed: ValueError: shapes differ. The wor"
    ) as e:
        train_on_cluster(model, (X, Y), workers=1, restarts=5, **given)
    assert "failed 2 times" in e.value.message


def test_what_a_worker_refuses_is_refused_here(tmp_path):
    given = worker_that_says(
        tmp_path,
        message="`batch_size` is 32, ...",
        hint="Take 33.",
        argument="batch_size",
        wrong=True,
    )
    with pytest.raises(ArgumentError, match="`batch_size` is 32") as caught:
        train_on_cluster(model, (X, Y), workers=1, **given)
    assert caught.value.argument == "batch_size" and caught.value.hint == "Take 33."


def test_a_worker_tells_an_address_at_which_others_reach_it(monkeypatch):
    """Names and routes of a machine that, as a fresh Debian, calls itself 127.0.1.1."""
    import sys
    import types

    from kerasbridge.cluster import addresses

    known = {"node1": "127.0.1.1", "node2": "10.77.0.12", "self": "127.0.0.1"}
    way = {"127.0.1.1": "127.0.0.1", "10.77.0.12": "10.77.0.11", "127.0.0.1": "127.0.0.1"}
    monkeypatch.setattr(
        addresses, "_addresses", lambda name: iter([known[name]] if name in known else [])
    )
    monkeypatch.setattr(addresses, "_way", way.get)
    monkeypatch.setattr(addresses.socket, "gethostname", lambda: "node1")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert addresses.own_address(["node1", "node2"], 0) == "10.77.0.11"
    assert addresses.own_address(["node1", "node1", "node2"], 1) == "10.77.0.11"
    assert addresses.own_address(["node1", "self"], 0) == "127.0.0.1"
    assert addresses.own_address(["node1", "node1"], 1) == "127.0.0.1"
    assert addresses.own_address(["node1", "unknown"], 0) is None
    monkeypatch.setenv("SSH_CONNECTION", "10.77.0.1 40000 10.77.0.11 22")
    assert addresses.own_address(["node1", "unknown"], 0) == "10.77.0.11"
    given = []
    native = types.SimpleNamespace(make_gloo_tcp_collectives=lambda **named: given.append(named))
    monkeypatch.setattr(addresses, "NATIVE", ("missing_part_of_jax", "part_of_jax"))
    monkeypatch.setitem(sys.modules, "part_of_jax", native)
    addresses.tell(["node1", "node2"], 0)
    native.make_gloo_tcp_collectives(distributed_client=1)
    assert given == [{"distributed_client": 1, "hostname": "10.77.0.11"}]
    monkeypatch.setattr(addresses, "NATIVE", ())  # a JAX that takes none
    addresses.tell([], 0)
    with pytest.raises(ClusterError, match="can't reach the machine node1") as caught:
        addresses.tell(["node1", "node2"], 0)
    assert "give node1 the address 10.77.0.11 in place of 127.0.1.1" in caught.value.hint
    monkeypatch.undo()
    assert addresses._way("127.0.0.1") == "127.0.0.1" and list(addresses._addresses("localhost"))


@needs_jax
def test_jax_makes_its_connections_with_the_address(run_python):
    """What `addresses` hands it to is what this JAX calls."""
    code = (
        "import jax, jaxlib\n"
        "from kerasbridge.cluster import addresses\n"
        "addresses.tell([], 0)\n"
        "jax.config.update('jax_cpu_collectives_implementation', 'gloo')\n"
        "jax.distributed.initialize('127.0.0.1:{port}', 1, 0)\n"
        "import importlib\n"
        "for name in addresses.NATIVE:\n"
        "    try: native = importlib.import_module(name)\n"
        "    except ImportError: continue\n"
        "    made = native.make_gloo_tcp_collectives\n"
        "    native.make_gloo_tcp_collectives = lambda **named: print(made.keywords) or made(**named)\n"
        "    break\n"
        "jax.devices()\n"
    )
    from kerasbridge.cluster.driver import _free_port

    done = run_python(code.replace("{port}", str(_free_port())), timeout=60, JAX_PLATFORMS="cpu")
    assert "{'hostname': '127.0.0.1'}" in done.stdout, done.stderr[-2000:]


def test_the_first_cause_is_told_and_a_lost_machine_is_waited_for(tmp_path, monkeypatch):
    from kerasbridge.cluster import driver

    class Ended:
        def __init__(self, code):
            self.returncode = code

        def poll(self):
            return self.returncode

    shared = Folder(tmp_path)
    task = {"workers": 2, "attempt": 0, "epochs": 1}
    run = driver._Run(shared, task, ["node1", "node2"], "python", 1.0, None, threading.Event())
    said = {"message": "ValueError: shapes", "wrong": False, "hint": None, "argument": None}
    shared.write(shared.failure(1, 0).name, said)
    shared.log(0, 0).write_text("F client.h:88] This indicates that another task died;\n")
    run.processes = [Ended(134), Ended(1)]
    assert run._death([False, False]) == "Worker 2 failed: ValueError: shapes."
    shared.failure(1, 0).unlink()
    shared.log(1, 0).write_text("a word\n")
    run.processes = [Ended(134), Ended(137)]
    assert run._death([False, False]) == "Worker 2 of 2 was ended by signal 9 on node2 (a word)."
    assert not run.lost
    run.processes = [Ended(134), Ended(255)]
    assert run._death([False, False]).startswith("Worker 2 of 2: ssh can't reach node2, or lost it")
    assert run.lost

    waited = []
    run.progress, run.begun = type("Quiet", (), {"note": lambda self, text: None})(), True
    monkeypatch.setattr(run, "_start", lambda: None)
    monkeypatch.setattr(run, "_watch", lambda: "Worker 2 of 2: ssh can't reach node2.")
    monkeypatch.setattr(run, "_pause", waited.append)
    run.processes = []
    with pytest.raises(ClusterError, match="failed 3 times"):
        run.to_the_end(2)
    assert waited == [5, 15] and len(run.notes) == 2
    run.stop.set()
    with pytest.raises(KeyboardInterrupt):
        driver._Run._pause(run, 60)


def test_each_worker_has_cards_of_its_own(monkeypatch):
    from kerasbridge.cluster import worker

    monkeypatch.setattr(worker.graphics, "status", lambda: {"devices": [{}, {}, {}, {}]})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert worker.own_cards(1, 2) == {"CUDA_VISIBLE_DEVICES": "2,3"}
    assert worker.own_cards(4, 5) == {"JAX_PLATFORMS": "cpu"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    assert worker.own_cards(1, 2) == {"CUDA_VISIBLE_DEVICES": "3"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert worker.own_cards(0, 1) == {"JAX_PLATFORMS": "cpu"}


def test_what_can_not_be_trained_is_refused_before_a_start(tmp_path, monkeypatch):
    from kerasbridge.cluster import driver

    with monkeypatch.context() as absent:
        absent.setattr(driver.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(InstallError, match="needs JAX"):
            train_on_cluster(model, (X, Y))
    # an interpreter of its own would have it
    given = {"python": "python-that-has-jax", "folder": str(tmp_path)}
    with pytest.raises(ArgumentError, match="whole number from 1 to 256"):
        train_on_cluster(model, (X, Y), workers=0, **given)
    with pytest.raises(ArgumentError, match="must name machines"):
        train_on_cluster(model, (X, Y), workers=[], **given)
    with pytest.raises(ArgumentError, match=r"`data` must be \(x, y\) or a source"):
        train_on_cluster(model, X, **given)
    with pytest.raises(ArgumentError, match="`batch_size` is 33, .+ to 2 devices alike"):
        train_on_cluster(model, (X, Y), batch_size=33, **given)
    with pytest.raises(ArgumentError, match="not compiled"):
        import keras

        train_on_cluster(keras.Sequential([keras.layers.Input((3,))]), (X, Y), **given)


def test_a_folder_with_another_model_is_refused(tmp_path):
    from kerasbridge.cluster import driver
    from kerasbridge.training.progress import Progress

    class Output:
        terminal, width, said = False, 80, ""

        def write(self, text):
            self.said += text

    output, shared, made = Output(), Folder(tmp_path), model()
    task = {"batch_size": 32, "workers": 2}
    driver._prepare(shared, made, (X, Y), None, task, Progress(output, 2))
    assert output.said == "" and shared.epochs() == []
    made.save(shared.checkpoint(1))
    shared.add_epoch({"epoch": 0})
    driver._prepare(shared, model(), (X, Y), None, task, Progress(output, 2))
    assert "goes on after epoch 1" in output.said and len(shared.epochs()) == 1
    import keras

    other = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    training.compile(other, optimizer="adam", loss="mse")
    with pytest.raises(ArgumentError, match="holds 1 epochs of another model") as caught:
        driver._prepare(shared, other, (X, Y), None, task, Progress(output, 2))
    assert caught.value.argument == "folder"
    shared.checkpoint(1).unlink()  # nothing to go on from: from the start
    driver._prepare(shared, other, (X, Y), None, task, Progress(output, 2))
    assert shared.epochs() == []


@pytest.mark.parametrize("code", ["raise SystemExit(7)", "import time; time.sleep(99)"])
def test_workers_that_end_or_hang_are_given_up(tmp_path, code):
    fake = tmp_path / "python"
    import sys

    fake.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}'\n")
    fake.chmod(0o755)
    with pytest.raises(ClusterError) as caught:
        train_on_cluster(
            model, (X, Y), workers=2, python=str(fake), restarts=1, timeout=1.0,
            folder=str(tmp_path / "shared"),
        )  # fmt: skip
    said = "ended with status 7" if "SystemExit" in code else "No step was finished in 1 seconds"
    assert said in caught.value.message and "failed 2 times" in caught.value.message
    assert caught.value.details["epochs_done"] == 0
