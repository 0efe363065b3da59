"""The choice among single steps, the graph loop and the XLA loop, by measuring real steps.

Every measured step is a step of the training itself, so nothing is wasted and nothing differs in
the result. What is weighed against the work that remains is compilation:

* the graph loop comes first; its time per step is known after a few dozen milliseconds;
* XLA is tried when the step is mostly overhead (many small operations, so XLA is expected to more
  than halve it) and the compilation is paid back within this run even if it takes three times what is
  estimated from the time the trace took (up to that was measured on a busy machine); or when there is
  so much left that the trial costs less than 3 percent of it whatever comes out, and no step of it can
  keep Ctrl-C waiting: nothing interrupts a step, and one with convolutions may take 20 times as long;
* someone who runs many short fits gets XLA too, in a fit that stays faster than Keras' single steps
  even while it pays for the compilation;
* single steps are tried where a step is long and the trial is below 3 percent as well;
* a run of so few steps that compiling the loop around the step can't be paid back goes in single
  steps from the first on, until the runs of a model add up to more.
"""

from __future__ import annotations

import time
from typing import Optional

CHUNK = 0.25  # seconds that one call may take, so that progress moves and Ctrl-C is answered
MEASURE = 0.03  # seconds of steps that make a measurement
_OVERHEAD = 5e-6  # seconds per operation below which a step is mostly overhead
_TRIAL = 0.03  # share of the remaining time that an open-ended trial may cost
_WORST = 3.0  # times its estimate that a compilation may take without a loss
_SLOW_XLA = 25.0  # how many times slower than the graph an XLA step may turn out on this device
_LONGEST = 1.0  # seconds that a step may take in a trial: Ctrl-C waits for it
_SINGLE = 3e-4  # seconds that a step of Keras costs beside its operations, a low estimate
_MANY = 1 << 20
_FEW = 32  # steps below which compiling the loop costs more than single steps do


class Chooser:
    """Says how the next steps run and learns from how long they took.

    Args:
        engine: "auto", or "graph"/"xla" where a person insists.
        xla_refusal: why XLA can't be used, None if it can.
        operations: how many operations a step has (`Graph.operations`).
        compile_estimate: expected seconds of an XLA compilation.
        timings: seconds per step known from an earlier fit of the same loop: keys "graph", "xla",
            "keras"; "spent" seconds in all; "chosen:<key>" an earlier choice; "failed" why XLA could
            not compile it. Updated in place.
        key: tells data sizes apart for which XLA compiles anew.
        prefer_xla: the model was compiled with `jit_compile=True`.
        few: steps of the run where single steps may stand in for a loop that is still to be
            compiled; else None.
        rule: (mode, reason) where a fixed rule has to decide instead of a clock.
    """

    def __init__(
        self,
        engine: str,
        *,
        xla_refusal: Optional[str],
        operations: int,
        compile_estimate: float,
        timings: dict,
        key: str,
        prefer_xla: bool = False,
        few: Optional[int] = None,
        rule: Optional[tuple[str, str]] = None,
    ):
        self.timings = timings
        self.key = key
        self.operations = max(1, operations)
        self.compile_estimate = compile_estimate
        self.xla_refusal = xla_refusal
        self.mode = "graph"
        self.settled = False
        self.reason = ""
        self.steps_by_mode = {"graph": 0, "xla": 0, "keras": 0}
        self._chunk = 1
        self._warm: set[str] = set()
        self._seen: dict[str, list[float]] = {}
        self._best: dict[str, float] = {}
        self._tried: set[str] = set()
        self._warm_seconds: dict[str, float] = {}
        if few is not None and not prefer_xla and timings.get("singles", 0) + few <= _FEW:
            timings["singles"] = timings.get("singles", 0) + few
            self._settle("keras", f"single steps: only {few} step{'' if few == 1 else 's'}")
        elif engine == "graph":
            self._settle("graph", "asked for")
        elif engine == "xla" or (prefer_xla and xla_refusal is None):
            if xla_refusal is None:
                why = "asked for" if engine == "xla" else "the model was compiled with jit_compile"
                self._settle("xla", why)
            else:
                self._settle("graph", f"XLA was asked for, but {xla_refusal}")
        elif rule is not None:
            self._settle(*rule)
        elif timings.get(f"chosen:{key}"):
            self._settle(timings[f"chosen:{key}"], "measured in an earlier run")

    def next(self, left_here: int) -> tuple[str, int]:
        """(mode, number of steps) of the next call, at most `left_here` steps."""
        return self.mode, max(1, min(self._chunk, left_here))

    def learn(self, mode: str, count: int, seconds: float, left: int) -> None:
        """Take in that `count` steps took `seconds`; `left` steps remain in the whole run."""
        self.steps_by_mode[mode] += count
        self.timings["spent"] = self.timings.get("spent", 0.0) + seconds
        if mode not in self._warm:
            # the first call compiles; it says nothing about the pace
            self._warm.add(mode)
            self._warm_seconds[mode] = seconds
            known = self.timings.get(mode)
            if self.settled and known is not None:
                self._chunk = self._fit_chunk(mode)
            else:
                self._chunk = 1 if known is None else max(1, int(MEASURE / known))
            return
        pace = seconds / count
        if self.settled:
            known = self.timings.get(mode)
            self.timings[mode] = pace if known is None else 0.5 * (pace + known)
            self._chunk = self._fit_chunk(mode)
            return
        total = self._seen.setdefault(mode, [0.0, 0.0])
        total[0] += seconds
        total[1] += 1
        # other programs only ever slow a call down: the fastest of several calls counts
        self.timings[mode] = pace = min(pace, self._best.get(mode, pace))
        self._best[mode] = pace
        # a call costs something by itself, so only calls that are long enough tell the pace
        long = seconds >= MEASURE
        hopeless = long and mode != "graph" and pace > 2 * self.timings["graph"]
        if (total[1] < 3 or not long) and not hopeless and total[0] < 10 * MEASURE:
            self._chunk = max(1, min(8 * count, int(1.2 * MEASURE / max(pace, 1e-7)) + 1))
            return
        self._chunk = self._fit_chunk(mode)
        self._decide(left)

    def failed(self, mode: str, why: str) -> None:
        """`mode` can't be compiled; nothing was changed by trying."""
        if mode == "xla":
            self.xla_refusal = self.timings["failed"] = why  # not to be tried in every fit
        self._tried.add(mode)
        self._settle("graph", why)

    def _fit_chunk(self, mode: str) -> int:
        pace = self.timings.get(mode)
        return 1 if not pace else max(1, min(_MANY, int(CHUNK / pace)))

    def _settle(self, mode: str, reason: str) -> None:
        self.mode, self.reason, self.settled = mode, reason, True
        self._chunk = self._fit_chunk(mode)

    def _decide(self, left: int) -> None:
        graph = self.timings["graph"]
        remaining = left * graph
        if self.mode == "graph" and "xla" not in self._tried and self._xla_pays(left, graph):
            self._tried.add("xla")
            self.mode = "xla"
            self._chunk = 1
            return
        if (
            self.mode == "graph"
            and "keras" not in self._tried
            and "xla" not in self._tried
            and graph > 2e-3
            and self._warm_seconds.get("graph", 1.0) + 4 * graph < _TRIAL * remaining
        ):
            self._tried.add("keras")
            self.mode = "keras"
            self._chunk = 1
            return
        self._conclude()

    def _conclude(self) -> None:
        """Take the fastest of what was measured."""
        known = {m: self.timings[m] for m in ("graph", "xla", "keras") if m in self.timings}
        # leave the graph only for a gain worth having
        best = min(known, key=lambda m: known[m] * (1.0 if m == "graph" else 1.03))
        paces = ", ".join(f"{name} {value * 1e3:.3g} ms" for name, value in known.items())
        why = f"measured per step: {paces}"
        if "xla" not in known:
            why += f"; no XLA: {self.xla_refusal or self._why_not}"
        self._settle(best, why)
        if "xla" in known or self.xla_refusal is not None:
            self.timings[f"chosen:{self.key}"] = best

    _why_not = "too little work remains to pay for compiling"

    def _xla_pays(self, left: int, graph: float) -> bool:
        if self.xla_refusal is not None:
            return False
        cost, remaining = self.compile_estimate, left * graph
        if graph / self.operations < _OVERHEAD:
            worst = _WORST * cost
            pays = 0.5 * remaining > worst
            habit = self.timings.get("spent", 0.0) > worst
            return pays or habit and worst < 0.5 * remaining + _SINGLE * left
        if _SLOW_XLA * graph > _LONGEST:
            self._why_not = "a step of it might keep Ctrl-C waiting for long"
            return False
        return cost + 3 * _SLOW_XLA * graph < _TRIAL * remaining

    def outcome(self) -> tuple[str, str]:
        """What ran most of the steps, and why; called when the run is over."""
        if not self.settled and self._tried & self._best.keys():
            # the trial was the rest of the run: what it showed holds for the next one
            self._conclude()
        engine = max(self.steps_by_mode, key=lambda mode: self.steps_by_mode[mode])
        if self.settled and engine != self.mode:
            engine = engine if self.steps_by_mode[self.mode] == 0 else self.mode
        return engine, self.reason or "the run ended before there was anything to choose"


def by_rule(
    xla_refusal: Optional[str],
    *,
    operations: int,
    written: int,
    convolves: bool,
    work: float,
    steps: int,
) -> tuple[str, str]:
    """(mode, reason) from the graph and the amount of work alone, the same on every run.

    Args:
        operations: operations a step runs; written: operations it has as written.
        convolves: it holds convolutions, which XLA runs slowly on processors.
        work: floating point operations a step.
        steps: steps of the whole run.
    """
    seeded = "a seed is set, so a rule decides and not a clock"
    if xla_refusal is not None:
        return "graph", f"{seeded}; no XLA: {xla_refusal}"
    overhead = 0.8e-6 * operations
    if convolves or work / 2e10 > overhead:
        return "graph", f"{seeded}; the step is mostly arithmetic"
    if 0.5 * steps * overhead < 2.5e-3 * written:
        return "graph", f"{seeded}; {Chooser._why_not}"
    return "xla", f"{seeded}; the step is mostly overhead"


def timed(call) -> tuple:
    """(result, seconds) of `call()`."""
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started
