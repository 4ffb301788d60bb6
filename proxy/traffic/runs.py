"""All pipeline runs of one client request: what they share, what they came to, what is told."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Self

import orjson

from pipelines.context import Context, Phase
from pipelines.errors import DroppedError, PipelineError, RejectedError, StageError
from pipelines.execution.executor import Executor, Run
from pipelines.execution.plan import CompiledPipeline
from pipelines.payload import Payload
from proxy.http.errors import ErrorResponse
from proxy.http.warnings import Warnings
from proxy.server.errors import item_status
from proxy.server.exchange import Exchange
from proxy.server.request_id import REQUEST_ID, new_id
from proxy.traffic.failed_shards import FailedShards
from proxy.traffic.limits import LABELS_MAX
from proxy.traffic.request_body import UnreadableError, visible_headers


class RunFailedError(ErrorResponse):
    """A run that did not let its request go on because a stage failed."""

    def __init__(self, response: ErrorResponse, run: Run) -> None:
        super().__init__(response.status, response.type, response.reason, extra=response.extra)
        self.run = run

    @property
    def item_status(self) -> int:
        """The status where this is the error of an item of a bulk."""
        error = self.run.error
        return item_status(error) if isinstance(error, StageError) else self.status


class Runs:
    """The runs of one request, in order. State and metadata pass from one to the next."""

    def __init__(
        self,
        executor: Executor,
        *,
        index: str,
        headers: dict[str, str],
        request_id: str,
        warnings: Iterable[str] = (),
        trace: bool = False,
    ) -> None:
        self.id = new_id()
        self.request_id = request_id
        self.warnings = Warnings(warnings)
        self.state: Mapping[str, Any] = {}
        self.metadata: Mapping[str, Any] = {}
        # By the pipeline's label; runs themselves hold the documents of all items.
        self._took_ms: dict[str, float] = {}
        # Query runs that changed the request, which the backend has yet to take, and what state and
        # metadata were before them; those whose request it refused.
        self._held: list[Run] = []
        self._before: tuple[Mapping[str, Any], Mapping[str, Any]] = {}, {}
        self._taken_back: list[Run] = []
        self._executor = executor
        self._index = index
        self._headers = headers
        self._trace = trace

    @classmethod
    def of(
        cls,
        exchange: Exchange,
        executor: Executor,
        *,
        index: str,
        visible: frozenset[str],
        warnings: Iterable[str] = (),
    ) -> Self:
        """The runs of one request, or of one item of it. Its response tells its id from now on."""
        exchange.reports_id = True
        return cls(
            executor,
            index=index,
            headers=visible_headers(exchange, visible),
            request_id=exchange.request_id,
            warnings=warnings,
        )

    def run(
        self,
        pipelines: Iterable[CompiledPipeline],
        phase: Phase,
        payload: Payload,
        *,
        request: str | None = None,
        document_id: str | None = None,
    ) -> Awaitable[Payload]:
        """Run pipelines of one phase one after the other.

        Query runs that changed the request are counted once `Attempt.respond` or `accepted` has
        been called. Raises `ErrorResponse` where one failed or rejected, `DroppedError` where one
        dropped.
        """
        context = self._context(phase, request, document_id)
        hold = phase == "query"
        # Nothing of this stands between who waits and the executor.
        return self._executor.run(pipelines, payload, context, self, trace=self._trace, hold=hold)

    def ended(self, run: Run) -> None:
        """The journal's part: what the executor tells of each run."""
        if run.held:
            if not self._held:
                self._before = self.state, self.metadata
            self._held.append(run)
        self.add(run.pipeline, run.took_ms)
        if run.outcome == "degraded":
            self.warnings.add(_degraded(run))
        elif run.outcome != "done":
            assert run.error is not None
            error = response_of(run.error, self.id)
            if run.outcome == "failed" and isinstance(error, ErrorResponse):
                raise RunFailedError(error, run)
            raise error
        self.state, self.metadata = run.state, run.metadata

    def _context(self, phase: Phase, request: str | None, document_id: str | None) -> Context:
        return Context(
            id=self.id,
            request_id=self.request_id,
            phase=phase,
            index=self._index,
            headers=self._headers,
            request=request,
            document_id=document_id,
        )

    # What the backend says to a request that query pipelines changed

    @property
    def changed(self) -> bool:
        """Whether query pipelines changed the request, and the backend has not taken it yet."""
        return bool(self._held)

    def accepted(self) -> None:
        """Count what was held back: its request was taken, or nobody will ever know."""
        for run in (*self._held, *self._taken_back):
            self._executor.settle(run)
        self._held, self._taken_back = [], []

    def take_back(self) -> list[Run]:
        """Undo the runs that changed the request, state and metadata included."""
        held, self._held = self._held, []
        self._taken_back += held
        self.state, self.metadata = self._before
        return held

    def failed_in_part(self, failed: FailedShards) -> None:
        """Tell which pipelines changed a request that was taken, and then failed on some shards."""
        labels = ", ".join(f"[{run.pipeline.label}]" for run in self._held)
        self.warnings.add(f"pipeline {labels} changed the request, and {failed}")

    def leave_out(self, runs: Sequence[Run], type: str, words: str) -> None:
        """Count and tell that the request went on without `runs`, as the backend refused it.

        `type` is that of its error, `words` are for the log.
        """
        for run in runs:
            self._refuse(run, type, words, left_out=True)
            self.warnings.add(_degraded(run))

    def refused(self, runs: Sequence[Run], type: str, words: str) -> ErrorResponse:
        """Count what is to blame for a request that the backend refused; gives the error."""
        errors = [self._refuse(run, type, words, left_out=False) for run in runs]
        response = response_of(errors[0], self.id)
        assert isinstance(response, ErrorResponse)
        return response

    def _refuse(self, run: Run, type: str, words: str, *, left_out: bool) -> StageError:
        reason = f"the backend refuses what it made of the request ({type})"
        error = StageError("refused", reason, detail=words)
        context = self._context("query", None, None)
        self._executor.refuse(run, error, context, left_out=left_out)
        return error

    def skipped(self, pipelines: Sequence[CompiledPipeline], reason: str) -> None:
        """Note that pipelines could not run on what came back.

        Raises `ErrorResponse` where a final one is among them.
        """
        for pipeline in pipelines:
            if pipeline.final:
                error = StageError("input_type", f"it could not run: {reason}")
                error.pipeline = pipeline.name
                raise response_of(error, self.id)
            self.warnings.add(f"pipeline [{pipeline.label}] did not run: {reason}")

    def unread(self, pipelines: Sequence[CompiledPipeline], error: UnreadableError) -> None:
        """Note that pipelines could not run on what a client sent, which goes on as it came.

        Raises `ErrorResponse` where a final one is among them.
        """
        for pipeline in pipelines:
            if pipeline.final:
                reason = f"{error.reason}; pipeline [{pipeline.name}] always runs here"
                extra = {"pipeline": pipeline.name}
                raise error.refused or ErrorResponse(error.status, error.type, reason, extra=extra)
        self.skipped(pipelines, error.reason)

    def with_metadata(self, text: str) -> str:
        """A response's text with ``_pipeline_metadata`` at its top, if there is any."""
        if not self.metadata:
            return text
        metadata = orjson.dumps(self.metadata).decode()
        rest = text.lstrip()[1:].lstrip()
        comma = "" if rest.startswith("}") else ","
        return f'{{"_pipeline_metadata":{metadata}{comma}{rest}'

    def take(self, other: Runs) -> None:
        """Add what the runs of one item of a request came to."""
        for label, took_ms in other._took_ms.items():
            self._took_ms[label] = self._took_ms.get(label, 0.0) + took_ms
        self.warnings.take(other.warnings)

    def add(self, pipeline: CompiledPipeline, took_ms: float) -> None:
        """Add what a run took, or a batch of runs that did not fail."""
        label = pipeline.label
        self._took_ms[label] = self._took_ms.get(label, 0.0) + took_ms

    def response_headers(self) -> list[tuple[str, str]]:
        """``Querymill-Pipelines``, ``Server-Timing``, and a few ``Warning`` fields."""
        headers: list[tuple[str, str]] = []
        if self._took_ms or self.warnings:
            headers.append((REQUEST_ID, self.request_id))
        if self._took_ms:
            shown, left = _shown(self._took_ms)
            more = f", and {len(left)} more" if left else ""
            headers.append(("Querymill-Pipelines", ", ".join(shown) + more))
            headers.append(("Server-Timing", self._timing(shown, left)))
        headers += self.warnings.fields()
        return headers

    def _timing(self, shown: Sequence[str], left: Sequence[str]) -> str:
        totals: dict[str, float] = {}
        for label in shown:
            name = label.partition("@")[0]
            totals[name] = totals.get(name, 0.0) + self._took_ms[label]
        parts = [f"{name};dur={total:.3f}" for name, total in totals.items()]
        if left:
            rest = sum(self._took_ms[label] for label in left)
            parts.append(f'others;desc="{len(left)} more";dur={rest:.3f}')
        return ", ".join(parts)


def _shown(labels: Iterable[str]) -> tuple[list[str], list[str]]:
    """The labels that fit into a header field, and those that do not."""
    every = list(labels)
    size = 0
    for place, label in enumerate(every):
        size += len(label) + 2
        if size > LABELS_MAX:
            return every[:place], every[place:]
    return every, []


def response_of(
    error: StageError | RejectedError | DroppedError, id: str
) -> PipelineError | ErrorResponse:
    """What the client gets for a run that did not let its request go on.

    The reason names the pipeline and the stage: typed clients show nothing beside it.
    """
    if isinstance(error, DroppedError):
        return error
    where: dict[str, object] = {"pipeline": error.pipeline, "stage": error.stage, "id": id}
    place = f"pipeline [{error.pipeline}]" + (f" stage [{error.stage}]" if error.stage else "")
    if isinstance(error, RejectedError):
        reason = f"{place}: {error.reason}"
        return ErrorResponse(error.status, "pipeline_rejected_exception", reason, extra=where)
    where["kind"] = error.kind
    reason = f"{place} failed ({error.kind}): {error.reason}"
    return ErrorResponse(500, "pipeline_execution_exception", reason, extra=where)


def _degraded(run: Run) -> str:
    error = run.error
    label = run.pipeline.label
    if isinstance(error, StageError):
        where = f"stage [{error.stage}] failed ({error.kind})" if error.stage else error.kind
        return f"pipeline [{label}] degraded: {where}: {error.reason}"
    return f"pipeline [{label}] degraded"
