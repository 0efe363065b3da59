"""The worker thread, and the way from it to the main one."""

from __future__ import annotations

import gc
import sys
import threading

import pytest
from kerasbridge.errors import UnsupportedError
from kerasbridge.runtime import threads


def test_a_job_runs_elsewhere_and_gives_its_result_or_error():
    job = threads.start(threading.get_ident)
    assert threads.finish(job) not in (threading.get_ident(), None)
    assert gc.isenabled() and not threads.busy()

    def fails():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        threads.finish(threads.start(fails))
    assert gc.isenabled()


def test_functions_of_r_are_run_on_the_main_thread_while_it_waits():
    seen = []
    function = threads.main_only(lambda x: seen.append(threading.get_ident()) or 2 * x)
    assert threads.finish(threads.start(lambda: function(4))) == 8
    assert seen == [threading.main_thread().ident]

    def fails():
        raise KeyError("from the main thread")

    with pytest.raises(KeyError, match="from the main thread"):
        threads.finish(threads.start(threads.main_only(fails)))


def test_a_function_of_r_is_refused_where_waiting_for_it_would_never_end():
    errors = []

    def ask():
        try:
            threads.main_only(int)()
        except UnsupportedError as error:
            errors.append(str(error))

    other = threading.Thread(target=ask)
    other.start()
    other.join(5)
    assert not other.is_alive() and "`int` was called from a thread other than R's" in errors[0]


def test_text_of_other_threads_goes_through_the_main_one(monkeypatch):
    class Stream:
        def __init__(self):
            self.seen = []

        def write(self, text):
            self.seen.append((text, threading.get_ident()))

    stream = Stream()
    monkeypatch.setattr(sys, "stdout", stream)
    with threads.routed_output():
        threads.finish(threads.start(lambda: sys.stdout.write("hello")))
    assert stream.seen == [("hello", threading.main_thread().ident)]
    assert "write" not in vars(stream)


def test_settle_drains_a_job_that_waits_for_more():
    go = threading.Event()
    job = threads.start(lambda: go.wait(20), drain=go.set)
    assert threads.busy() and not gc.isenabled()
    threads.settle()
    assert job.done and not threads.busy() and gc.isenabled()
    assert threads.finish(job) is True
