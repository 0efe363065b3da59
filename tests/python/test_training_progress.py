"""Progress text and the choice of an engine, with a clock and timings made up for the test."""

from __future__ import annotations

import pytest
from kerasbridge.training.choose import Chooser, by_rule
from kerasbridge.training.history import History
from kerasbridge.training.progress import Progress, format_seconds, format_value


class Page:
    def __init__(self, terminal, width=80):
        self.terminal, self.width, self.writes = terminal, width, []

    def write(self, text):
        self.writes.append(text)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_terminal_gets_one_line_four_times_a_second_at_most():
    page, clock = Page(True), Clock()
    progress = Progress(page, 1, clock)
    progress.begin("Epoch 1/2", 100)
    for step in range(1, 101):
        clock.now = step * 0.02
        progress.step(step, {"loss": 1 / step})
    assert 7 <= len(page.writes) <= 8
    assert all(text.startswith("\r") and "\n" not in text for text in page.writes)
    assert "Epoch 1/2 [=====" in page.writes[-1] and "ETA 0." in page.writes[-1]
    progress.end({"loss": 0.25})
    last = page.writes[-1]
    assert last.startswith("\rEpoch 1/2  2.0s  loss 0.25") and last.endswith("\n")
    assert len(last.rstrip("\n")) >= len(page.writes[-2].rstrip())  # covers what was there


def test_the_live_line_fits_the_window():
    page, clock = Page(True, width=30), Clock()
    progress = Progress(page, 1, clock)
    progress.begin("Epoch 1/2", None)
    clock.now = 5
    progress.step(3, {"a_metric_with_a_long_name": 1.0, "another": 2.0})
    assert len(page.writes[0].lstrip("\r")) == 29


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_log_gets_whole_lines_only(verbose):
    page, clock = Page(False), Clock()
    progress = Progress(page, verbose, clock)
    progress.begin("Epoch 1/1", 10)
    clock.now = 9
    progress.step(5)
    progress.end({"loss": 1.5})
    progress.close()
    assert page.writes == ["Epoch 1/1  9.0s  loss 1.5\n"]


def test_verbose_2_draws_no_bar_in_a_terminal():
    page, clock = Page(True), Clock()
    progress = Progress(page, 2, clock)
    progress.begin("Epoch 1/1", 10)
    clock.now = 9
    progress.step(5)
    assert page.writes == []


def test_an_interrupted_line_is_closed():
    page, clock = Page(True), Clock()
    progress = Progress(page, 1, clock)
    progress.begin("Epoch 1/1", 10)
    clock.now = 1
    progress.step(5)
    progress.close()
    progress.close()
    assert page.writes[-1] == "\n" and len(page.writes) == 2


def test_numbers_and_times_are_short():
    assert [format_seconds(s) for s in (0.04, 9.9, 42.4, 61, 3723)] == [
        "0.0s",
        "9.9s",
        "42s",
        "1:01",
        "1:02:03",
    ]
    assert [format_value(v) for v in (0.123456, 1e-7, 12345.6)] == ["0.1235", "1e-07", "1.235e+04"]


def test_history_columns_keep_values_at_their_epochs():
    history = History()
    for epoch in range(4):
        logs = {"loss": epoch}
        if epoch % 2:
            logs["val_loss"] = 10 + epoch
        history.add(epoch, logs)
    assert history.metrics == {"loss": [0, 1, 2, 3], "val_loss": [11, 13]}
    assert history.columns(None)["val_loss"] == [None, 11, None, 13]
    assert "4 epochs; loss 3, val_loss 13" in repr(history)


def drive(chooser, pace, left, compile_seconds=1.0, limit=200):
    """Let a chooser run against made-up paces (seconds per step); (steps run, calls)."""
    first, calls = set(), 0
    while left > 0 and not chooser.settled and calls < limit:
        mode, count = chooser.next(left)
        seconds = pace[mode] * count
        if mode not in first:
            first.add(mode)
            seconds += compile_seconds if mode == "xla" else 0.1
        left -= count
        calls += 1
        chooser.learn(mode, count, seconds, left)
    return left


def made(engine="auto", refusal=None, operations=300, estimate=0.7, timings=None, **more):
    timings = {} if timings is None else timings
    return Chooser(
        engine,
        xla_refusal=refusal,
        operations=operations,
        compile_estimate=estimate,
        timings=timings,
        key="k",
        **more,
    )


def test_a_step_of_overhead_goes_to_xla_if_enough_remains():
    chooser = made()
    drive(chooser, {"graph": 2e-4, "xla": 2e-5}, 100_000)
    assert chooser.mode == "xla" and chooser.reason.startswith("measured per step: graph 0.2 ms")
    chooser = made()
    drive(chooser, {"graph": 2e-4, "xla": 2e-5}, 3_000)
    assert chooser.mode == "graph" and chooser.steps_by_mode["xla"] == 0
    assert "too little work remains" in chooser.reason


def test_a_few_steps_run_singly_until_they_add_up():
    timings = {}
    first = made(timings=timings, few=20)
    assert first.settled and first.mode == "keras" and first.next(20) == ("keras", 1)
    assert first.reason == "single steps: only 20 steps"
    assert made(timings=timings, few=20).mode == "graph"  # 40 by now
    assert made(timings=timings, few=12).mode == "keras"
    assert made(few=1).reason == "single steps: only 1 step"
    assert made(few=33).mode == "graph" and not made(few=33).settled
    assert made(few=1, prefer_xla=True).mode == "xla"


def test_xla_that_turns_out_slow_is_left_at_once():
    chooser = made()
    drive(chooser, {"graph": 2e-4, "xla": 4e-3}, 1_000_000)
    assert chooser.mode == "graph" and 0 < chooser.steps_by_mode["xla"] < 20


def test_a_long_step_tries_no_xla_that_could_not_be_interrupted():
    chooser = made()
    drive(chooser, {"graph": 0.2, "xla": 4.0, "keras": 0.2}, 1_000_000)
    assert chooser.mode == "graph" and chooser.steps_by_mode["xla"] == 0
    assert chooser.reason.endswith("no XLA: a step of it might keep Ctrl-C waiting for long")
    assert chooser.next(1_000) == ("graph", 1)


def test_a_step_of_arithmetic_tries_xla_only_if_that_costs_little():
    pace = {"graph": 8e-3, "xla": 0.16, "keras": 9e-3}
    chooser = made()
    drive(chooser, pace, 2_000)
    assert chooser.mode == "graph" and chooser.steps_by_mode["xla"] == 0
    chooser = made()
    left = drive(chooser, pace, 100_000)
    assert chooser.mode == "graph" and chooser.steps_by_mode["xla"] > 0
    lost = chooser.steps_by_mode["xla"] * (pace["xla"] - pace["graph"]) + 1.0
    assert lost < 0.05 * (100_000 - left + left) * pace["graph"]


def test_single_steps_win_where_they_are_faster():
    chooser = made(refusal="no")
    drive(chooser, {"graph": 9e-3, "keras": 7e-3}, 50_000)
    assert chooser.mode == "keras"


def test_the_choice_is_remembered_and_a_habit_of_short_fits_counts():
    timings = {}
    chooser = made(timings=timings)
    drive(chooser, {"graph": 2e-4, "xla": 2e-5}, 100_000)
    assert made(timings=timings).mode == "xla"
    # fits of one epoch: no compilation that would make one of them slower than Keras' single steps
    assert after_short_fits(40, 3_000, estimate=0.3) == "xla"
    assert after_short_fits(40, 3_000, estimate=2.0) == "graph"


def after_short_fits(fits, steps, estimate):
    timings = {}
    for _ in range(fits):
        chooser = made(timings=timings, estimate=estimate)
        left = drive(chooser, {"graph": 2e-4, "xla": 2e-5}, steps)
        if chooser.mode == "xla":
            break
        chooser.learn("graph", left, left * 2e-4, 0)
    return chooser.mode


def seconds_of(pace, steps, compile_seconds, estimate, timings):
    """What a fit of so many steps takes in all, the graph's compilation aside (Keras has one too)."""
    chooser = made(operations=4000, estimate=estimate, timings=timings)
    first, total, left = {"graph"}, 0.0, steps
    while left > 0:
        mode, count = chooser.next(left)
        seconds = pace[mode] * count
        if mode not in first:
            first.add(mode)
            seconds += compile_seconds if mode == "xla" and "chosen:k" not in timings else 0.0
        left -= count
        total += seconds
        chooser.learn(mode, count, seconds, left)
    chooser.outcome()
    return total


@pytest.mark.parametrize("graph", [5e-5, 2e-4, 1e-3, 4e-3])
@pytest.mark.parametrize("gain, longer", [(2.0, 3.0), (4.0, 3.0), (1.5, 1.0)])
def test_no_fit_loses_more_than_a_twentieth_to_single_steps(graph, gain, longer):
    """Whatever its length and however often, if XLA's compilation takes up to three times its estimate."""
    pace = {"graph": graph, "xla": graph / gain, "keras": graph + 3e-4}
    for estimate in (0.2, 1.0, 5.0):
        for steps in (1, 10, 100, 1_000, 10_000, 50_000):
            timings = {}
            for _ in range(12):
                took = seconds_of(pace, steps, longer * estimate, estimate, timings)
                assert took <= 1.05 * steps * pace["keras"], (estimate, steps)


def test_wishes_and_refusals_are_told():
    assert made("graph").reason == "asked for"
    assert made("xla").mode == "xla"
    refused = made("xla", refusal="it draws")
    assert refused.mode == "graph" and refused.reason == "XLA was asked for, but it draws"
    failed = made()
    failed.failed("xla", "XLA can't compile")
    assert failed.mode == "graph" and failed.reason == "XLA can't compile"


def test_the_rule_for_seeded_runs_looks_at_the_work_alone():
    facts = {"operations": 300, "written": 300, "convolves": False, "work": 1e5}
    assert by_rule(None, steps=100_000, **facts)[0] == "xla"
    assert by_rule(None, steps=100, **facts)[0] == "graph"
    assert by_rule("no", steps=100_000, **facts)[0] == "graph"
    assert by_rule(None, steps=100_000, **{**facts, "convolves": True})[0] == "graph"
    assert by_rule(None, steps=100_000, **{**facts, "work": 1e9})[0] == "graph"
