"""Turns a pipeline off whose runs keep passing their deadline, and tries it again after a rest.

Such a run holds a thread until its deadline, and gets nothing done. So after some of them in a row
the pipeline's runs end before they reach a sandbox, until a single one that is let through shows
that it works again (the circuit breaker of Nygard, "Release It!", 2007).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from pipelines.errors import StageError
from pipelines.execution.scope import StageReport

_log = structlog.get_logger("pipelines.execution.breaker")

State = Literal["closed", "half_open", "open"]
Ending = Literal["sound", "overran", "unknown"]

STATES: Final[tuple[State, ...]] = ("closed", "half_open", "open")
"""From best to worst."""

LONGEST_REST: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """After `timeouts` overruns in a row a pipeline rests for `rest` seconds; 0: never.

    Each probe that overruns doubles the rest, up to `LONGEST_REST`. `clock` gives seconds.
    """

    timeouts: int = 5
    rest: float = 10.0
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class BreakerFigure:
    """A breaker as others see it: `retry_seconds` until it lets a probe through."""

    state: State
    retry_seconds: float = 0.0


class Breaker:
    """One pipeline's breaker in one worker; lives as long as nothing of the pipeline changes.

    Closed, every run may `enter`. Open, none. Half-open, one at a time. Each that entered says with
    `leave` how it ended. Used from one event loop.
    """

    def __init__(self, pipeline: str, rules: BreakerRules) -> None:
        self._pipeline = pipeline
        self._rules = rules
        self._overruns = 0
        self._rest = 0.0
        self._probe_at = 0.0
        self._probing = False
        self._probed = False
        # Counts changes of state: a run that began before the last one says nothing any more.
        self._era = 0

    @property
    def figure(self) -> BreakerFigure:
        """The state now."""
        if not self._rest:
            return BreakerFigure("closed")
        left = self._probe_at - self._rules.clock()
        return BreakerFigure("open", left) if left > 0 else BreakerFigure("half_open")

    def enter(self) -> int:
        """Let a run begin; gives what `leave` wants back. Raises `StageError` of kind "breaker"."""
        if self._rest:
            if self._probing or self._rules.clock() < self._probe_at:
                raise StageError(
                    "breaker",
                    f"pipeline [{self._pipeline}] is turned off, as {self._rules.timeouts} runs in "
                    "a row passed their deadline; make its UDFs do less or raise their timeout_ms",
                )
            self._probing = True
            if not self._probed:
                self._probed = True
                _log.info("breaker half-open", pipeline=self._pipeline)
        return self._era

    def leave(self, era: int, ending: Ending) -> None:
        """A run that entered in `era` is over; one that was cancelled ends as "unknown"."""
        if era != self._era:
            return
        self._probing = False
        if ending == "overran":
            self._overruns += 1
            if self._rest or self._overruns >= self._rules.timeouts:
                self._open()
        elif ending == "sound":
            self._overruns = 0
            if self._rest:
                self._close()

    def _open(self) -> None:
        reason = "a probe passed its deadline"
        if not self._rest:
            reason = f"{self._overruns} runs in a row passed their deadline"
        self._rest = min(self._rest * 2 or self._rules.rest, LONGEST_REST)
        self._probe_at = self._rules.clock() + self._rest
        self._probed = False
        self._era += 1
        _log.warning(
            "breaker open", pipeline=self._pipeline, rest_seconds=self._rest, reason=reason
        )

    def _close(self) -> None:
        self._rest = 0.0
        self._era += 1
        _log.info("breaker closed", pipeline=self._pipeline)


def ending_of(reports: Iterable[StageReport], error: Exception | None) -> Ending:
    """How a run ended, for its breaker: `error` is what it raised.

    It overran if the deadline stopped a sandbox, in a run or while the UDF was loaded. A run whose
    time was over while it waited for a sandbox is no fault of its own, and proves nothing.
    """
    errors = [report.error for report in reports if report.error is not None]
    if isinstance(error, StageError) and error not in errors:
        errors.append(error)
    if not errors:
        return "sound"
    if any(each.overran for each in errors):
        return "overran"
    if any(each.kind in ("timeout", "unavailable") for each in errors):
        return "unknown"
    return "sound"
