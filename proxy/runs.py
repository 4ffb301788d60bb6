"""All pipeline runs of one client request: what they share, what they came to, what is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Self

import orjson

from pipelines.context import Context, Phase
from pipelines.errors import DroppedError, PipelineError, RejectedError, StageError
from pipelines.executor import CompiledPipeline, Executor, Run
from pipelines.payload import Payload
from proxy.errors import ErrorAnswer, item_status
from proxy.exchange import Exchange
from proxy.request_id import REQUEST_ID, new_id
from proxy.transform import visible_headers
from proxy.warnings import Warnings

LABELS_MAX: Final = 1024
"""Of the pipelines' labels in ``Querymill-Pipelines``."""


class RunFailedError(ErrorAnswer):
    """A run that did not let its request go on because a stage failed."""

    def __init__(self, answer: ErrorAnswer, run: Run) -> None:
        super().__init__(answer.status, answer.type, answer.reason, extra=answer.extra)
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
        self.state: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        # By the pipeline's label; runs themselves hold the documents of all items.
        self._took_ms: dict[str, float] = {}
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
        """The runs of one request, or of one item of it. Its answer tells its id from now on."""
        exchange.tells_id = True
        return cls(
            executor,
            index=index,
            headers=visible_headers(exchange, visible),
            request_id=exchange.request_id,
            warnings=warnings,
        )

    async def run(
        self,
        pipelines: Iterable[CompiledPipeline],
        phase: Phase,
        payload: Payload,
        *,
        request: str | None = None,
        document_id: str | None = None,
    ) -> Payload:
        """Run pipelines of one phase one after the other.

        Raises `ErrorAnswer` where one failed or rejected, `DroppedError` where one dropped.
        """
        for pipeline in pipelines:
            context = Context(
                id=self.id,
                request_id=self.request_id,
                phase=phase,
                index=self._index,
                headers=self._headers,
                request=request,
                document_id=document_id,
                state=self.state,
                metadata=self.metadata,
            )
            run = await self._executor.run(pipeline, payload, context, trace=self._trace)
            self.add(pipeline, run.took_ms)
            if run.outcome == "degraded":
                self.warnings.add(_degraded(run))
            if run.outcome in ("failed", "rejected", "dropped"):
                assert run.error is not None
                error = answer_of(run.error, self.id)
                if run.outcome == "failed" and isinstance(error, ErrorAnswer):
                    raise RunFailedError(error, run)
                raise error
            self.state, self.metadata = context.state, context.metadata
            payload = run.payload
        return payload

    def skipped(self, pipelines: Sequence[CompiledPipeline], reason: str) -> None:
        """Note that pipelines could not run on what came back.

        Raises `ErrorAnswer` where a final one is among them.
        """
        for pipeline in pipelines:
            if pipeline.final:
                error = StageError("input_type", f"it could not run: {reason}")
                error.pipeline = pipeline.name
                raise answer_of(error, self.id)
            self.warnings.add(f"pipeline [{pipeline.label}] did not run: {reason}")

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

    def answer_headers(self) -> list[tuple[str, str]]:
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


def answer_of(
    error: StageError | RejectedError | DroppedError, id: str
) -> PipelineError | ErrorAnswer:
    """What the client gets for a run that did not let its request go on.

    The reason names the pipeline and the stage: typed clients show nothing beside it.
    """
    if isinstance(error, DroppedError):
        return error
    where: dict[str, object] = {"pipeline": error.pipeline, "stage": error.stage, "id": id}
    place = f"pipeline [{error.pipeline}]" + (f" stage [{error.stage}]" if error.stage else "")
    if isinstance(error, RejectedError):
        reason = f"{place}: {error.reason}"
        return ErrorAnswer(error.status, "pipeline_rejected_exception", reason, extra=where)
    where["kind"] = error.kind
    reason = f"{place} failed ({error.kind}): {error.reason}"
    return ErrorAnswer(500, "pipeline_execution_exception", reason, extra=where)


def _degraded(run: Run) -> str:
    error = run.error
    label = run.pipeline.label
    if isinstance(error, StageError):
        where = f"stage [{error.stage}] failed ({error.kind})" if error.stage else error.kind
        return f"pipeline [{label}] degraded: {where}: {error.reason}"
    return f"pipeline [{label}] degraded"
