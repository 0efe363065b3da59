"""A word to a person who waits: on the main thread, once, and only while there is nothing to see."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from kerasbridge.runtime.patience import Word
from kerasbridge.training.progress import PREPARING, Progress


class Page:
    width = 80

    def __init__(self, terminal=True):
        self.terminal, self.text, self.threads = terminal, "", []

    def write(self, text):
        self.text += text
        self.threads.append(threading.current_thread())


def work(seconds, until=lambda: False):
    """Python code that keeps its thread busy."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and not until():
        sum(range(100))


def test_it_is_said_on_the_main_thread_while_that_works():
    said = []
    Word(0.02, lambda: said.append(threading.current_thread()))
    work(10, until=lambda: said)
    assert said == [threading.main_thread()]


def test_taken_back_it_is_never_said():
    said = []
    words = [Word(0.05, lambda: said.append(1)) for _ in range(3)]
    for word in words:
        word.take_back()
    work(0.3)
    assert said == []


def test_an_error_in_it_does_not_reach_the_work(capfd):
    said = []

    def fails():
        said.append(1)
        raise ValueError("no console")

    Word(0.02, fails)
    work(10, until=lambda: said)
    work(0.05)
    assert said == [1] and capfd.readouterr().err == ""


@pytest.fixture
def interruptible():
    """A process that was started in the background ignores interrupts; not here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_in_it_interrupts_the_work(interruptible):
    def pressed():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Word(0.02, pressed)
        work(10)


def test_progress_says_what_goes_on_until_there_are_steps():
    page = Page()
    progress = Progress(page, 1)
    progress.expect(seconds=0.02)
    work(10, until=lambda: page.text)
    assert page.text == PREPARING + "\n" and page.threads == [threading.main_thread()]
    progress.begin("Epoch 1/1", 10)
    progress.expect(seconds=0.05)
    assert not progress.due()  # a step: nothing to wait for any more
    work(0.2)
    assert page.text == PREPARING + "\n"


@pytest.mark.parametrize("verbose, terminal", [(0, True), (2, True), (1, False)])
def test_nothing_is_said_where_no_one_looks_on(verbose, terminal):
    page = Page(terminal)
    progress = Progress(page, verbose)
    progress.expect(seconds=0.02)
    progress.aside("Compiling ...")
    work(0.1)
    progress.close()
    assert page.text == ""


def test_a_start_that_takes_long_is_announced(run_python, tmp_path):
    # a Keras that takes its time and then fails, so that the test is quick
    (tmp_path / "keras.py").write_text(
        "import sys, time\n"
        "limit = time.monotonic() + 20\n"
        "while time.monotonic() < limit and not sys.said: pass\n"
        "raise ImportError('enough')\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.said = []\n"
        "from kerasbridge.runtime.starting import start\n"
        "sys.modules['torch'] = sys\n"
        "for after in (0.05, 30):\n"
        "    sys.modules.pop('keras', None)\n"
        "    if after == 30: sys.said.append('nothing more')\n"
        "    try: start(say=sys.said.append, after=after)\n"
        "    except RuntimeError as error: print(type(error).__name__)\n"
        "print(sys.said)\n"
    )
    done = run_python(code)
    assert done.stdout.splitlines() == [
        "InstallError",
        "InstallError",
        "['Starting PyTorch ...\\n', 'nothing more']",
    ], done.stderr
