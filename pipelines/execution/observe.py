"""One stage in one run, as it is seen from outside: timed, counted, reported, tried again.

Stages never do it themselves.
"""

from __future__ import annotations

import time

from pipelines.errors import DroppedError, RejectedError, StageError, StageTimeoutError
from pipelines.execution.plan import Step
from pipelines.execution.scope import Scope, StageReport
from pipelines.payload import Document, Payload

Ending = StageError | RejectedError | DroppedError


class Observed:
    """The tries of one stage, which share one budget of time. `own` is the stage's scope.

    A batch has one try at a stage, and what it comes to is counted at its end.
    """

    __slots__ = ("_began", "_budget_ms", "_ended", "_report", "_scope", "_step", "own")

    def __init__(self, step: Step, scope: Scope) -> None:
        """Raises `StageTimeoutError` where the time of `scope` is over."""
        now = time.monotonic()
        if now >= scope.deadline:
            late = StageTimeoutError(f"the pipeline passed its {scope.timeout_ms} ms")
            late.stage = step.name
            raise late
        self.own = scope.fork(step.name)
        self.own.budget_ms = min(step.timeout_ms, int((scope.deadline - now) * 1000))
        self._began = now
        self._step = step
        self._scope = scope
        self._report = StageReport(step.name, "failure", step.label)
        self._ended: RejectedError | DroppedError | None = None

    def begin(self) -> None:
        """Another try. Raises `StageTimeoutError` where no time is left for it."""
        self._report.tries += 1
        if self.own.budget_ms < 1:
            raise StageTimeoutError("no time was left to run this stage")

    def failed(self, error: Ending) -> bool:
        """A try ended with `error`; whether there is to be another."""
        step, scope, report = self._step, self._scope, self._report
        error.stage, error.pipeline = step.name, scope.pipeline
        # With its traceback, whose frames hold the run, each would be left to the collector.
        error.with_traceback(None)
        if not isinstance(error, StageError):
            report.outcome = "rejected" if isinstance(error, RejectedError) else "dropped"
            report.error, self._ended = None, error
            return False
        report.error = error
        scope.stats.stage(step.name).errors[error.kind] += 1
        if isinstance(error, StageTimeoutError) or report.tries >= step.tries:
            return False
        now = time.monotonic()
        left_ms = int(step.timeout_ms - (now - self._began - self.own.waited) * 1000)
        self.own.budget_ms = min(left_ms, int((scope.deadline - now) * 1000))
        # The next try begins with what this one began with.
        self.own.adopt(scope)
        return left_ms >= 1

    def close(self, before: Payload, after: Payload | None) -> Payload:
        """The payload to go on with; `after` is what the stage returned, None if it did not.

        Raises what ends the run.
        """
        scope, report = self._scope, self._report
        report.took_ms = (time.monotonic() - self._began) * 1000
        report.log = self.own.log
        if after is not None:
            report.outcome, report.error, report.changed = "success", None, after is not before
        stats = scope.stats.stage(report.name)
        stats.latency.add(report.took_ms)
        stats.outcomes[report.outcome] += 1
        stats.retries += report.tries - 1
        # Those of stages inside it go first: they have ended before it.
        scope.reports += self.own.reports
        scope.reports.append(report)
        if scope.trace:
            report.before, report.after = before.data, (after or before).data
        if report.error is not None:
            if scope.strict or not self._step.may_fail:
                raise report.error
            scope.degraded = report.error
            return before
        scope.adopt(self.own)
        scope.degraded = self.own.degraded or scope.degraded
        if self._ended is not None:
            raise self._ended
        return before if after is None else after

    def close_batch(self, documents: list[Document | None]) -> list[Document]:
        """The documents of a batch that go on."""
        assert self._scope.course is not None
        took_ms = (time.monotonic() - self._began) * 1000
        return self._scope.course.passed(self._step.name, self._step.label, took_ms, documents)


def skip(step: Step, scope: Scope) -> None:
    """Report a stage that is disabled."""
    if scope.course is not None:
        scope.course.skip(step.name)
        return
    scope.stats.stage(step.name).outcomes["skipped"] += 1
    scope.reports.append(StageReport(step.name, "skipped"))
