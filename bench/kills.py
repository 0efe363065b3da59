"""Kill -9 at random moments while a good file is saved over: is the file whole, is there rubbish?

`python bench/kills.py` kills 200 times for each format and prints a table; `python bench/kills.py .keras .h5
--kills 20` runs single rows; `--plain` lets plain Keras write instead (where it can).

Each round: a child process saves versions 1, 2, 3, ... of a model over one path (in version n every
weight is n; of a SavedModel version 1 is a copy), and is killed at a random moment after it has begun.
Then the file must load, and all its weights must be of one version, not older than the last one that the
child had finished. Then a save must leave nothing in the folder but the file. Children are forks of
a process that has imported Keras but not used it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "inst" / "python"))

import keras  # noqa: E402
import numpy as np  # noqa: E402
from kerasbridge import saving, training  # noqa: E402
from kerasbridge.data.text import Tokenizer, load_tokenizer, save_tokenizer  # noqa: E402
from kerasbridge.saving import architecture, checkpoints, saved_model, writers  # noqa: E402


def model(units=300):
    made = keras.Sequential([keras.Input((units,)), *(keras.layers.Dense(units) for _ in range(3))])
    made.compile("adam", "mse")
    return made


def small():
    return model(4)


def set_version(made, number):
    made.set_weights([np.full(w.shape, number, w.dtype) for w in made.get_weights()])


def version_of(made):
    """The version of a model; an error if its weights are of several."""
    found = {float(v) for w in made.get_weights() for v in (w.min(), w.max())}
    if len(found) != 1:
        raise AssertionError(f"weights of several versions: {sorted(found)[:4]}")
    return int(found.pop())


class Format:
    """How a kind of file is written and read; `name` is that of the file."""

    make = staticmethod(model)
    beside: tuple = ()
    copied = False  # whether version 1 is a copy, made once: where a save takes long

    def __init__(self, name):
        self.name = name

    def save(self, made, path, number):
        set_version(made, number)
        saving.save_model(made, path, overwrite=True)

    def plain(self, made, path, number):
        set_version(made, number)
        made.save(path)

    def load(self, path):
        return version_of(saving.load_model(path))


class Weights(Format):
    def save(self, made, path, number):
        set_version(made, number)
        saving.save_weights(made, path, overwrite=True)

    def plain(self, made, path, number):
        set_version(made, number)
        made.save_weights(path, overwrite=True)

    def load(self, path):
        made = self.make()
        saving.load_weights(made, path)
        return version_of(made)


class Sharded(Weights):
    size = 400_000 / 2**30

    def save(self, made, path, number):
        set_version(made, number)
        saving.save_weights(made, path, overwrite=True, max_shard_size=self.size)

    def plain(self, made, path, number):
        set_version(made, number)
        made.save_weights(path, overwrite=True, max_shard_size=self.size)

    def rubbish(self, folder, path):
        from kerasbridge.saving.sharded import shards_of

        allowed = {self.name, "w_00000.weights.h5", *shards_of(path)}
        return sorted(set(os.listdir(folder)) - allowed)


class SavedModel(Format):
    make = staticmethod(small)
    copied = True

    def save(self, made, path, number):
        set_version(made, number)
        saved_model.export_saved_model(made, path, overwrite=True)

    def plain(self, made, path, number):
        set_version(made, number)
        made.export(path, format="tf_saved_model", verbose=False)

    def load(self, path):
        import tensorflow as tf

        loaded = tf.saved_model.load(path)
        found = {float(v) for w in loaded.variables for v in np.ravel(w.numpy())}
        if len(found) != 1:
            raise AssertionError(f"weights of several versions: {sorted(found)[:4]}")
        return int(found.pop())


class TensorFlowCheckpoint(Weights):
    def save(self, made, path, number):
        set_version(made, number)
        checkpoints.save_weights_tf(made, path)

    def plain(self, made, path, number):
        import tensorflow as tf

        set_version(made, number)
        tf.train.Checkpoint(model=made).write(path)

    def load(self, path):
        made = self.make()
        checkpoints.load_weights_tf(made, path)
        return version_of(made)

    def rubbish(self, folder, path):
        return sorted(n for n in os.listdir(folder) if not n.startswith(self.name + "."))


class Checkpoint(Format):
    def _run(self, module, made, path, number):
        set_version(made, number)
        callback = module.ModelCheckpoint(path, monitor="loss")
        callback.set_model(made)
        callback.on_epoch_begin(0)
        callback.on_epoch_end(0, {"loss": 1.0})

    def save(self, made, path, number):
        self._run(training, made, path, number)

    def plain(self, made, path, number):
        self._run(keras.callbacks, made, path, number)


class Backup(Format):
    def _run(self, module, made, path, number):
        set_version(made, number)
        callback = module.BackupAndRestore(path)
        callback.set_model(made)
        callback.on_epoch_begin(number - 1)
        callback.on_epoch_end(number - 1, {})

    def save(self, made, path, number):
        self._run(training, made, path, number)

    def plain(self, made, path, number):
        self._run(keras.callbacks, made, path, number)

    def load(self, path):
        made = self.make()
        callback = training.BackupAndRestore(path)
        callback.set_model(made)
        callback.on_train_begin()
        number = version_of(made)
        if made._initial_epoch != number:
            raise AssertionError(f"weights of epoch {number}, epoch {made._initial_epoch}")
        return number


class CSV(Format):
    make = staticmethod(small)

    def _run(self, module, made, path, number):
        if number == 1:
            made.log = module.CSVLogger(path)
            made.log.set_model(made)
            made.log.on_train_begin()
        made.log.on_epoch_end(number, {"loss": 1.0 / number, "accuracy": float(number)})

    def save(self, made, path, number):
        self._run(training, made, path, number)

    def plain(self, made, path, number):
        self._run(keras.callbacks, made, path, number)

    def load(self, path):
        lines = Path(path).read_bytes().splitlines(keepends=True)
        if not lines or not all(line.endswith(b"\n") and line.count(b",") == 4 for line in lines):
            raise AssertionError("a line is missing or cut short")
        return int(lines[-1].split(b",")[0])


class Architecture(Format):
    make = staticmethod(small)

    @staticmethod
    def described(number):
        return keras.Sequential([keras.Input((number,)), keras.layers.Dense(1)])

    def save(self, made, path, number):
        architecture.save_config(self.described(number), path, overwrite=True)

    def plain(self, made, path, number):
        with open(path, "w") as file:
            file.write(self.described(number).to_json())

    def load(self, path):
        return architecture.load_config(path).input_shape[1]


class Picture(Format):
    make = staticmethod(small)

    def save(self, made, path, number):
        writers.save_img(path, np.full((200, 200, 3), number % 256), scale=False)

    def plain(self, made, path, number):
        keras.utils.save_img(path, np.full((200, 200, 3), number % 256), scale=False)

    def load(self, path):
        found = set(np.unique(keras.utils.img_to_array(keras.utils.load_img(path))))
        if len(found) != 1:
            raise AssertionError(f"pixels of several versions: {sorted(found)[:4]}")
        return int(found.pop())


class Words(Format):
    make = staticmethod(small)

    def save(self, made, path, number):
        tokenizer = Tokenizer()
        tokenizer.fit_on_texts([" ".join(f"w{i}" for i in range(20000)), *["again"] * number])
        save_tokenizer(tokenizer, path)

    plain = None

    def load(self, path):
        return load_tokenizer(path).word_counts["again"]


FORMATS = {
    ".keras": Format("m.keras"),
    ".h5": Format("m.h5"),
    ".weights.h5": Weights("w.weights.h5"),
    "older weights .h5": Weights("w.h5"),
    "sharded weights": Sharded("w.weights.json"),
    ".safetensors": Weights("w.safetensors"),
    "SavedModel": SavedModel("folder"),
    "TensorFlow checkpoint": TensorFlowCheckpoint("ck"),
    "ModelCheckpoint": Checkpoint("c.keras"),
    "BackupAndRestore": Backup("backup"),
    "CSVLogger": CSV("log.csv"),
    "architecture .json": Architecture("a.json"),
    "architecture .yaml": Architecture("a.yaml"),
    "image .png": Picture("p.png"),
    "tokenizer": Words("t.json"),
}


def save_on(name: str, path: str, plain: bool, pipe) -> None:
    """In the child: save version after version; tell when each is begun."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    form = FORMATS[name]
    write = form.plain if plain else form.save
    starter = os.getppid()
    try:
        made = form.make()
        number = 2 if form.copied else 1
        while os.getppid() == starter:  # an orphan would write on for ever
            pipe.send(number)
            write(made, path, number)
            number += 1
    except BaseException:
        traceback.print_exc()
        os._exit(3)


WAIT = 120  # seconds that a child has for its first good version


class Gone(RuntimeError):
    """The process that starts the children ended, or doesn't answer."""


def ask(factory, requests, answers, *what):
    """What the process that starts the children answers to a request, waited for in bounds.

    Raises:
        Gone: says how that process ended, or that it doesn't answer.
    """
    try:
        requests.send(what)
        limit = time.monotonic() + WAIT + 60
        while not answers.poll(1):
            if not factory.is_alive() and not answers.poll(0):
                break
            if time.monotonic() > limit:
                raise Gone(
                    f"the process that starts the writers gave no answer to '{what[0]}' in {WAIT + 60} s"
                )
        else:
            return answers.recv()
    except (BrokenPipeError, EOFError):
        pass
    factory.join(5)
    code = factory.exitcode
    how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
    raise Gone(f"the process that starts the writers ended ({how}) before it answered '{what[0]}'")


def child_factory(requests, answers) -> None:
    """In the process that only imports: start children on request, and bury them."""
    children = {}
    while True:
        what, *more = requests.recv()
        if what == "stop":
            return
        if what == "start":
            mine, theirs = multiprocessing.Pipe(duplex=False)
            child = multiprocessing.get_context("fork").Process(
                target=save_on, args=(*more, theirs), daemon=True
            )
            child.start()
            theirs.close()
            children[child.pid] = child, mine
            seen = []
            with contextlib.suppress(EOFError):  # the child ended
                while mine.poll(WAIT):
                    seen.append(mine.recv())
                    if seen[-1] >= 2:  # one good version is there
                        break
            answers.send((child.pid, seen[-1] if seen else 0))
        if what == "kill":
            child, mine = children.pop(more[0])
            time.sleep(more[1])
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            begun = 2
            while mine.poll(0):
                try:
                    begun = mine.recv()
                except EOFError:
                    break
            answers.send(begun)


def version_one(form: Format) -> tuple:
    """A folder with version 1, the model, and twice the time of a save: after the fork of this process."""
    folder = tempfile.mkdtemp(prefix="kills-")
    good, made = os.path.join(folder, "good"), form.make()
    started = time.perf_counter()
    form.save(made, good, 1)
    return good, made, 2 * (time.perf_counter() - started)


def rounds(name: str, kills: int, plain: bool, seed: int = 0) -> dict:
    """Kill `kills` times; counts of what was found, the first errors, and the time of a save."""
    form = FORMATS[name]
    chance = random.Random(seed)
    found = {"whole": 0, "damaged": 0, "lost": 0, "rubbish": 0, "errors": []}
    here, there = multiprocessing.Pipe()
    back, forth = multiprocessing.Pipe(duplex=False)
    factory = multiprocessing.get_context("fork").Process(target=child_factory, args=(there, forth))
    factory.start()
    # in memory where there is a disk of that kind: what a kill leaves doesn't depend on the disk
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="kills-", dir=memory)
    path = os.path.join(folder, form.name)
    good = None
    try:
        made = None
        span = 0.0
        if form.copied:
            good, made, span = version_one(form)
        for _ in range(kills):
            for entry in os.listdir(folder):
                full = os.path.join(folder, entry)
                shutil.rmtree(full) if os.path.isdir(full) else os.unlink(full)
            if good is not None:
                shutil.copytree(good, path)
            child, begun = ask(factory, here, back, "start", name, path, plain)
            if begun < 2:
                raise RuntimeError(f"{name}: the child could not save")
            begun = ask(factory, here, back, "kill", child, chance.uniform(0, span or 0.05))
            if made is None:
                # the first use of Keras in this process is after its fork
                made = form.make()
                started = time.perf_counter()
                form.save(made, os.path.join(folder, "first" + form.name), 1)
                span = 2 * (time.perf_counter() - started)
                for entry in os.listdir(folder):
                    if entry.startswith("first"):
                        full = os.path.join(folder, entry)
                        shutil.rmtree(full) if os.path.isdir(full) else os.unlink(full)
            try:
                number = form.load(path)
            except Exception as err:
                key = "damaged" if os.path.exists(path) else "lost"
                found[key] += 1
                found["errors"].append(f"{type(err).__name__}: {str(err).splitlines()[0][:100]}")
                continue
            if number < begun - 1:
                found["lost"] += 1
                found["errors"].append(f"version {number} though {begun - 1} was finished")
                continue
            found["whole"] += 1
            if not plain:
                if hasattr(made, "log"):
                    del made.log
                form.save(made, path, 1)
                beside = form.rubbish(folder, path) if hasattr(form, "rubbish") else None
                if beside is None:
                    beside = sorted(set(os.listdir(folder)) - {form.name})
                if beside:
                    found["rubbish"] += 1
                    found["errors"].append(f"left: {beside[:3]}")
    finally:
        with contextlib.suppress(OSError):  # it is gone
            here.send(("stop",))
        factory.join(30)
        if factory.is_alive():
            factory.kill()
        shutil.rmtree(folder, ignore_errors=True)
        if good is not None:
            shutil.rmtree(os.path.dirname(good), ignore_errors=True)
    found["span"] = span
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("formats", nargs="*", help=f"of: {', '.join(FORMATS)}")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the moments; another for each slice"
    )
    parser.add_argument("--json", help="also write the counts to this file")
    args = parser.parse_args()
    table: dict = {}
    failed = 0
    print("| format | kills | whole | damaged | lost | rubbish after the next save |")
    print("|---|---|---|---|---|---|")
    context = multiprocessing.get_context("fork")
    for name in args.formats or FORMATS:
        if args.plain and FORMATS[name].plain is None:
            continue
        # a process for each row: TensorFlow must not have run where children are forked from
        mine, theirs = multiprocessing.Pipe(duplex=False)
        process = context.Process(
            target=lambda name, pipe: pipe.send(rounds(name, args.kills, args.plain, args.seed)),
            args=(name, theirs),
        )
        process.start()
        while not mine.poll(1) and process.is_alive():
            pass
        if not mine.poll(0):
            print(f"| {name} | failed |", flush=True)
            failed += 1
            continue
        row = table[name] = mine.recv()
        process.join()
        left = "-" if args.plain else row["rubbish"]
        print(
            f"| {name} | {args.kills} | {row['whole']} | {row['damaged']} | {row['lost']} | {left} |",
            flush=True,
        )
        for line in sorted(set(row["errors"]))[:3]:
            print(f"  {line}", file=sys.stderr, flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(table, indent=1))
    bad = sum(r["damaged"] + r["lost"] + r["rubbish"] for r in table.values())
    return int(failed > 0 or bool(bad) and not args.plain)


if __name__ == "__main__":
    sys.exit(main())
