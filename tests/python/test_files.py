"""Writes that are whole or not at all: kills, full disks, links, rights, leftovers."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading

import pytest
from conftest import ENGINE
from kerasbridge.errors import FileError
from kerasbridge.files import (
    check_room,
    folders,
    leftovers,
    recover,
    replacing,
    replacing_files,
    replacing_folder,
    write_text,
)


def names(folder):
    return sorted(entry.name for entry in os.scandir(folder))


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "kerasbridge-test", str(place)]
    try:
        done = subprocess.run(command, capture_output=True)
    except OSError:
        pytest.skip("there is no command `mount`")
    if done.returncode != 0:
        pytest.skip("mounting a small disk needs more rights than this process has")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stop"):
        with replacing(path) as temporary:
            with open(temporary, "w") as file:
                file.write("half")
            raise RuntimeError("stop")
    assert path.read_text() == "old"
    with pytest.raises(KeyboardInterrupt):
        with replacing(path):
            raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_temporary_file_stands_beside_the_target_with_its_ending(tmp_path):
    with replacing(tmp_path / "m.weights.h5") as temporary:
        assert os.path.dirname(temporary) == str(tmp_path)
        assert temporary.endswith(".weights.h5") and not leftovers.is_left(temporary)


def test_a_link_keeps_pointing_and_permissions_stay(tmp_path):
    real = tmp_path / "real.txt"
    real.write_text("old")
    real.chmod(0o640)
    link = tmp_path / "link.txt"
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink() and real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640
    (tmp_path / "dangling.txt").symlink_to(tmp_path / "not yet.txt")
    write_text(tmp_path / "dangling.txt", "made")
    assert (tmp_path / "not yet.txt").read_text() == "made"
    (tmp_path / "round.txt").symlink_to(tmp_path / "round.txt")
    with pytest.raises(FileError, match="leads nowhere"):
        write_text(tmp_path / "round.txt", "never")
    assert names(tmp_path) == ["dangling.txt", "link.txt", "not yet.txt", "real.txt", "round.txt"]


def test_targets_that_are_no_files_are_refused(tmp_path):
    with pytest.raises(FileError, match="folder '.*none' does not exist") as caught:
        write_text(tmp_path / "none" / "a.txt", "x", argument="filename")
    assert caught.value.argument == "filename"
    with pytest.raises(FileError, match="is a folder"):
        write_text(tmp_path, "x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="is a device"):
        write_text(tmp_path / "pipe", "x")
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    with pytest.raises(FileError, match="too long"):
        write_text(tmp_path / ("n" * 300), "x")
    assert names(tmp_path) == ["pipe"]


def test_an_existing_file_needs_leave(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "one", overwrite=False)
    with pytest.raises(FileError, match="exists already"):
        write_text(path, "two", overwrite=False)
    # made by another process while this one wrote
    with pytest.raises(FileError, match="exists already"):
        with replacing(tmp_path / "b.txt", overwrite=False):
            (tmp_path / "b.txt").write_text("other")
    assert path.read_text() == "one" and (tmp_path / "b.txt").read_text() == "other"
    assert names(tmp_path) == ["a.txt", "b.txt"]


def test_home_spaces_and_other_letters(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_text("~/größe 1 模型.txt", "text")
    assert (tmp_path / "größe 1 模型.txt").read_text(encoding="utf-8") == "text"


def test_two_writers_of_one_path_leave_a_whole_file(tmp_path):
    path = tmp_path / "a.txt"
    texts = [letter * 200_000 for letter in "ab"]

    def write(text):
        for _ in range(30):
            write_text(path, text)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert path.read_text() in texts and names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_said_and_nothing_changes(small_disk):
    path = small_disk / "a.bin"
    path.write_bytes(b"old" * 1000)
    with pytest.raises(FileError, match="disk of .* is full; nothing was changed"):
        with replacing(path) as temporary, open(temporary, "wb") as file:
            file.write(b"x" * 4_000_000)
    assert path.read_bytes() == b"old" * 1000 and names(small_disk) == ["a.bin"]
    with pytest.raises(FileError, match="is full: 9,000,000 bytes are needed"):
        check_room(small_disk, 9_000_000)
    check_room(small_disk, 10_000)
    with pytest.raises(FileError, match="is full"):
        with replacing_folder(small_disk / "m") as fresh:
            os.mkdir(fresh)
            with open(os.path.join(fresh, "a"), "wb") as file:
                file.write(b"x" * 4_000_000)
    assert names(small_disk) == ["a.bin"]


def test_a_library_that_loses_the_reason_is_seen_through(small_disk):
    import h5py
    import numpy as np

    with pytest.raises(FileError, match="is full"):
        with replacing(small_disk / "a.h5") as temporary, h5py.File(temporary, "w") as file:
            file["x"] = np.zeros(2_000_000)
    assert names(small_disk) == []
    # what the library may still hold open takes no room
    write_text(small_disk / "b.txt", "x" * 1_000_000)


def test_a_read_only_disk_or_folder_is_said(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(FileError, match="can't be written to") as caught:
        write_text(small_disk / "a.txt", "x")
    assert caught.value.argument == "filepath"


def test_a_protected_file_is_kept(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o444)
    if os.access(path, os.W_OK):
        pytest.skip("this user may write to everything")
    with pytest.raises(FileError, match="write-protected"):
        write_text(path, "new")
    assert path.read_text() == "old"


_LEAVER = """
import os, signal, sys
from kerasbridge.files import replacing, replacing_folder, replacing_files
path, what = sys.argv[1:]
if what == "file":
    with replacing(path) as temporary:
        open(temporary, "w").write("half")
        os.kill(os.getpid(), signal.SIGKILL)
with (replacing_folder if what == "folder" else replacing_files)(path) as fresh:
    os.makedirs(fresh, exist_ok=True)
    open(os.path.join(fresh, "part"), "w").write("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_is_cleared_by_the_next(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    cases = {"file": tmp_path / "a.txt", "folder": tmp_path / "m", "files": tmp_path}
    for what, path in cases.items():
        done = subprocess.run(
            [sys.executable, "-c", _LEAVER, str(path), what],
            env={**os.environ, "PYTHONPATH": str(ENGINE)},
            timeout=60,
        )
        assert done.returncode == -signal.SIGKILL
        assert len(names(tmp_path)) == 2 and (tmp_path / "a.txt").read_text() == "old"
        write_text(tmp_path / "a.txt", "old")
        assert names(tmp_path) == ["a.txt"]


def test_only_what_is_surely_left_is_cleared(tmp_path):
    mine = leftovers.new_name(tmp_path)
    elsewhere = str(tmp_path / ".kerasbridge-00000000-1-0-abcd.keras")
    foreign = str(tmp_path / ".kerasbridge-notes.txt")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait(30)
    gone = mine.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
    another_start = mine.replace(f"-{os.getpid()}-", f"-{os.getpid()}-9")
    for path in (mine, elsewhere, foreign, gone, another_start):
        open(path, "w").close()
    recover(tmp_path)
    assert names(tmp_path) == sorted(os.path.basename(p) for p in (mine, elsewhere, foreign))
    os.utime(elsewhere, (0, 0))
    recover(tmp_path)
    assert names(tmp_path) == sorted(os.path.basename(p) for p in (mine, foreign))


def _make(folder, text, overwrite=True):
    with replacing_folder(folder, overwrite) as fresh:
        os.mkdir(fresh)
        for name in ("saved_model.pb", "data"):
            with open(os.path.join(fresh, name), "w") as file:
                file.write(text)


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_folder_is_replaced_whole(tmp_path, monkeypatch, in_one_step):
    if not in_one_step:
        monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    target = tmp_path / "m"
    _make(target, "one", overwrite=False)
    _make(target, "two")
    assert (target / "data").read_text() == "two" and names(tmp_path) == ["m"]
    with pytest.raises(FileError, match="exists already"):
        _make(target, "three", overwrite=False)
    with pytest.raises(RuntimeError, match="stop"):
        with replacing_folder(target) as fresh:
            os.mkdir(fresh)
            raise RuntimeError("stop")
    assert (target / "data").read_text() == "two" and names(tmp_path) == ["m"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(FileError, match="something else"):
        _make(tmp_path / "mine", "four")
    with pytest.raises(FileError, match="is a file"):
        _make(target / "data", "five")


def test_a_folder_caught_between_two_steps_is_mended(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    target = tmp_path / "m"
    _make(target, "one")
    with monkeypatch.context() as m:
        m.setattr(folders, "_finish", lambda workplace: None)  # as if the process had been killed
        real, calls = os.rename, []

        def rename(a, b):
            calls.append(a)
            if len(calls) == 2:
                raise InterruptedError
            real(a, b)

        m.setattr(os, "rename", rename)
        with pytest.raises(InterruptedError):
            _make(target, "two")
    assert not target.exists()
    left = [name for name in names(tmp_path) if name.startswith(leftovers.PREFIX)]
    monkeypatch.setattr(leftovers, "_runs", lambda process, start: False)
    recover(tmp_path)
    assert len(left) == 1
    assert (target / "data").read_text() == "two" and names(tmp_path) == ["m"]


def test_a_move_that_fails_puts_the_old_folder_back(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    target = tmp_path / "m"
    _make(target, "one")
    real, real_replace = os.rename, os.replace

    def rename(a, b):
        if os.path.basename(a) == "new":
            raise PermissionError(13, "no")
        real(a, b)

    def replace(a, b):
        if os.path.basename(a) == "new":
            raise PermissionError(13, "no")
        real_replace(a, b)

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(FileError, match="can't be written to"):
        _make(target, "two")
    assert (target / "data").read_text() == "one" and names(tmp_path) == ["m"]


def test_files_that_belong_together_are_finished_by_the_next(tmp_path, monkeypatch):
    def write(text):
        with replacing_files(tmp_path, last=lambda name: name.endswith(".index")) as fresh:
            for ending in (".index", ".data"):
                with open(os.path.join(fresh, "w" + ending), "w") as file:
                    file.write(text)

    write("one")
    with monkeypatch.context() as m:
        m.setattr(folders, "_finish", lambda workplace: None)
        real = os.replace

        def replace(a, b):
            if str(a).endswith("w.index"):
                raise InterruptedError
            real(a, b)

        m.setattr(os, "replace", replace)
        with contextlib.suppress(InterruptedError):
            write("two")
    assert (tmp_path / "w.data").read_text() == "two"
    assert (tmp_path / "w.index").read_text() == "one"
    monkeypatch.setattr(leftovers, "_runs", lambda process, start: False)
    recover(tmp_path)
    assert (tmp_path / "w.index").read_text() == "two"
    assert names(tmp_path) == ["w.data", "w.index"]
