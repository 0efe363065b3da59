"""A press of Ctrl-C in a run waits for the end of a step, where nothing can drop it."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
import time

import pytest
from kerasbridge.runtime import presses

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture(autouse=True)
def usual():
    """Python's own handler of interrupts, which must be back at the end."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    hook = sys.unraisablehook
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
    assert sys.unraisablehook is hook


def press():
    signal.raise_signal(signal.SIGINT)


class Asked:
    @property
    def attribute(self):
        press()


def dropped_by_c(asked=None):
    has = ctypes.pythonapi.PyObject_HasAttrString
    has.argtypes = [ctypes.py_object, ctypes.c_char_p]
    has(asked or Asked(), b"attribute")


class Slow:
    """Its code is called by C, and is reminded there of a press."""

    @property
    def attribute(self):
        try:
            self.rest()
        finally:
            self.over = True

    def rest(self):
        press()
        time.sleep(0.2)

    def __del__(self):
        time.sleep(0.2)


def dropped_by_c_when_late():
    dropped_by_c(Slow())


def dropped_by_a_finalizer():
    press()
    Slow()


@pytest.mark.parametrize(
    "pressed", [press, dropped_by_c, dropped_by_c_when_late, dropped_by_a_finalizer]
)
def test_a_press_is_answered_between_two_steps_wherever_it_came(pressed, monkeypatch, capsys):
    late = pressed in (dropped_by_c_when_late, dropped_by_a_finalizer)
    monkeypatch.setattr(presses, "WAIT", 0.05 if late else 10)
    finished = []
    with pytest.raises(KeyboardInterrupt) as found:
        with presses.between_steps():
            for step in range(3):
                presses.check()
                if step == 1:
                    pressed()
                finished.append(step)
    assert finished == [0, 1]
    assert found.traceback[-1].name == "check"
    assert not presses.is_new() and capsys.readouterr().err == ""


def test_what_ends_a_run_beside_a_press_is_that_press():
    reached = []

    def run(error=None):
        with presses.between_steps():
            press()
            reached.append(error)
            if error is not None:
                raise error

    with pytest.raises(KeyboardInterrupt) as found:
        try:
            raise ValueError  # an error that is being handled outside has nothing to do with it
        except ValueError:
            run()
    assert found.value.__cause__ is None
    error = OSError("no more data")
    with pytest.raises(KeyboardInterrupt) as found:
        run(error)
    assert found.value.__cause__ is error and reached == [None, error]
    with pytest.raises(OSError, match="no press"):
        with presses.between_steps():
            raise OSError("no press")


def catches_in_place():
    with pytest.raises(KeyboardInterrupt):
        press()
        press()  # the same one
        time.sleep(10)


def catches_and_returns():
    try:
        press()
        time.sleep(10)
    except KeyboardInterrupt:
        return "none of yours"


def catches_and_yields(made=[]):  # noqa: B006
    def batches():
        try:
            press()
            time.sleep(10)
        except KeyboardInterrupt:
            yield "none of yours"

    made.append(batches())
    next(made[-1])


@pytest.mark.parametrize("catch", [catches_in_place, catches_and_returns, catches_and_yields])
def test_a_press_that_waits_long_is_raised_there_and_who_catches_it_goes_on(catch, monkeypatch):
    monkeypatch.setattr(presses, "WAIT", 0.05)
    with presses.between_steps(), presses.between_steps():  # a run within a run adds nothing
        before = time.monotonic()
        catch()
        assert 0.04 < time.monotonic() - before < 5
        time.sleep(0.15)
        presses.check()
        catch()
        presses.check()
        catch()
    # none is left for what comes after the run
    with pytest.raises(KeyboardInterrupt):
        with presses.between_steps():
            press()
    time.sleep(0.15)


def test_a_press_that_is_dropped_is_raised_again(monkeypatch):
    monkeypatch.setattr(presses, "WAIT", 0.05)
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        with presses.between_steps():
            press()
            for _ in range(3):
                dropped_by_c(Slow())
            time.sleep(10)
    assert 0.19 < time.monotonic() - before < 5


def test_a_reminder_that_comes_as_the_run_ends_goes_nowhere(monkeypatch):
    monkeypatch.setattr(presses, "WAIT", 0.02)
    for late in range(40):
        with pytest.raises(KeyboardInterrupt):
            with presses.between_steps():
                press()
                until = time.perf_counter() + 0.018 + late * 1e-4
                while time.perf_counter() < until:
                    pass
                presses.check()
        for _ in range(1000):
            pass


def test_a_press_that_another_handler_takes_does_not_wait():
    taken = []
    signal.signal(signal.SIGINT, lambda number, frame: taken.append(number))
    with presses.between_steps():
        press()
        presses.check()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert taken == [signal.SIGINT]
    # one that a person sets in the block stays
    mine = lambda number, frame: taken.append("mine")  # noqa: E731
    with presses.between_steps():
        signal.signal(signal.SIGINT, mine)
    assert signal.getsignal(signal.SIGINT) is mine
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_other_threads_neither_wait_nor_answer():
    seen = []

    def run():
        with presses.between_steps():
            presses.check()
            seen.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    def run_beside():
        presses.check()
        seen.append("went on")

    def start(function):
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()

    start(run)
    with pytest.raises(KeyboardInterrupt):
        with presses.between_steps():
            press()
            start(run_beside)
    assert seen == [True, "went on"]
