"""All pipeline runs of one client request: what they share, what they came to, what is told."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from pipelines.context import Context, Phase
from pipelines.errors import DroppedError, PipelineError, RejectedError, StageError
from pipelines.executor import CompiledPipeline, Executor, Run
from pipelines.payload import Payload
from proxy.errors import ErrorAnswer

_NONE = Payload("{}", {})


def new_id() -> str:
    """An id for runs. For finding them in the log, and no secret: a better generator costs more."""
    return f"{random.getrandbits(64):016x}"


class RunFailedError(ErrorAnswer):
    """A run that did not let its request go on because a stage failed."""

    def __init__(self, answer: ErrorAnswer, run: Run) -> None:
        super().__init__(answer.status, answer.type, answer.reason, extra=answer.extra)
        self.run = run


class Runs:
    """The runs of one request, in order. State and metadata pass from one to the next."""

    def __init__(
        self,
        executor: Executor,
        *,
        index: str,
        headers: dict[str, str],
        warnings: Iterable[str] = (),
        trace: bool = False,
    ) -> None:
        self.id = new_id()
        self.done: list[Run] = []
        self.state: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.warnings = list(warnings)
        self._executor = executor
        self._index = index
        self._headers = headers
        self._trace = trace

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
                phase=phase,
                index=self._index,
                headers=self._headers,
                request=request,
                document_id=document_id,
                state=self.state,
                metadata=self.metadata,
            )
            run = await self._executor.run(pipeline, payload, context, trace=self._trace)
            self.done.append(run)
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
        self.warnings += [
            f"pipeline [{p.definition.label}] did not run: {reason}" for p in pipelines
        ]

    def with_metadata(self, text: str) -> str:
        """A response's text with ``_pipeline_metadata`` at its top, if there is any."""
        if not self.metadata:
            return text
        metadata = orjson.dumps(self.metadata).decode()
        rest = text.lstrip()[1:].lstrip()
        comma = "" if rest.startswith("}") else ","
        return f'{{"_pipeline_metadata":{metadata}{comma}{rest}'

    def take(self, other: Runs) -> None:
        """Add what the runs of one item of a bulk came to; equal warnings are told once."""
        self.done += other.done
        self.warnings += [text for text in other.warnings if text not in self.warnings]

    def add(self, pipeline: CompiledPipeline, took_ms: float) -> None:
        """Add what a batch of runs took that did not fail."""
        run = Run(pipeline=pipeline, outcome="done", payload=_NONE, took_ms=took_ms)
        self.done.append(run)

    def answer_headers(self) -> list[tuple[str, str]]:
        """``Querymill-Pipelines``, ``Server-Timing`` and a ``Warning`` for all that degraded."""
        headers: list[tuple[str, str]] = []
        if self.done:
            labels = dict.fromkeys(run.pipeline.definition.label for run in self.done)
            headers.append(("Querymill-Pipelines", ", ".join(labels)))
            headers.append(("Server-Timing", self._timing()))
        degraded = (_degraded(run) for run in self.done if run.outcome == "degraded")
        headers.extend(
            ("Warning", f'299 querymill "{_quoted(text)}"')
            for text in dict.fromkeys([*self.warnings, *degraded])
        )
        return headers

    def _timing(self) -> str:
        totals: dict[str, float] = {}
        for run in self.done:
            totals[run.pipeline.name] = totals.get(run.pipeline.name, 0.0) + run.took_ms
        return ", ".join(f"{name};dur={total:.3f}" for name, total in totals.items())


def answer_of(
    error: StageError | RejectedError | DroppedError, id: str
) -> PipelineError | ErrorAnswer:
    """What the client gets for a run that did not let its request go on."""
    if isinstance(error, DroppedError):
        return error
    where: dict[str, object] = {"pipeline": error.pipeline, "stage": error.stage, "id": id}
    if isinstance(error, RejectedError):
        return ErrorAnswer(error.status, "pipeline_rejected_exception", error.reason, extra=where)
    place = f"stage [{error.stage}] of " if error.stage else ""
    reason = f"{place}pipeline [{error.pipeline}] failed: {error.reason}"
    where["kind"] = error.kind
    return ErrorAnswer(500, "pipeline_execution_exception", reason, extra=where)


def _degraded(run: Run) -> str:
    error = run.error
    label = run.pipeline.definition.label
    if isinstance(error, StageError):
        where = f"stage [{error.stage}] failed ({error.kind})" if error.stage else error.kind
        return f"pipeline [{label}] degraded: {where}: {error.reason}"
    return f"pipeline [{label}] degraded"


def _quoted(text: str) -> str:
    """A quoted-string's content (RFC 9110, 5.6.4) of printable ASCII, cut to 500 characters."""
    plain = "".join(c if 32 <= ord(c) < 127 else "?" for c in text[:500])
    return plain.replace("\\", "/").replace('"', "'")
