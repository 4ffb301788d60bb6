"""``/_pipeline/_execute``: try pipelines on examples, or on what the backend really holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from pipelines.compiler import Compiler
from pipelines.context import Context, Phase
from pipelines.definitions.pipeline import PipelineDefinition
from pipelines.errors import DefinitionError
from pipelines.execution.executor import Executor, Run
from pipelines.execution.plan import CompiledPipeline
from pipelines.execution.run_logs import NoLogs
from pipelines.execution.stats import Stats
from pipelines.payload import Payload
from pipelines.trial import Trial
from pipelines.wasm.pool import SandboxPool
from proxy.admin import AdminCall
from proxy.admin.trial_body import TrialBody, read_trial
from proxy.admin.trial_shown import nested, outcome_of, shown_error, shown_run, text_of
from proxy.admin.validation import validation
from proxy.backend.client import Backend
from proxy.config.execute_settings import ExecuteSettings
from proxy.control.definitions import Definitions
from proxy.control.inspection import check_package
from proxy.http.errors import ErrorResponse
from proxy.protocol.reserved import INDEX
from proxy.protocol.store_guard import check_body, check_names
from proxy.server.request_id import new_id
from proxy.traffic.request_body import parse_response
from proxy.traffic.selection import Selector

_ENDED: Final = ("failed", "rejected", "dropped")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What runs, in the order of a request. `begins` is what the inputs are for.

    `alone`: one pipeline, shown as such.
    """

    body: TrialBody
    begins: Phase
    query: tuple[CompiledPipeline, ...] = ()
    result: tuple[CompiledPipeline, ...] = ()
    document: tuple[CompiledPipeline, ...] = ()
    alone: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def pipelines(self) -> tuple[CompiledPipeline, ...]:
        return (*self.query, *self.document, *self.result)


class _EndedError(Exception):
    """A run did not let the request that is tried go on."""


@dataclass(slots=True)
class _Attempt:
    """The runs on one input, with what passes from one to the next."""

    executor: Executor
    plan: _Plan
    trace: bool
    deadline: float
    id: str = field(default_factory=new_id)
    runs: list[tuple[Run, Mapping[str, Any]]] = field(default_factory=list)
    state: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    async def through(
        self,
        pipelines: Iterable[CompiledPipeline],
        phase: Phase,
        payload: Payload,
        request: str | None = None,
    ) -> Payload | None:
        """The payload after these; None where one of them ended the request."""
        context = Context(
            id=self.id,
            phase=phase,
            index=self.plan.body.index,
            document_id=self.plan.body.id if phase == "document" else None,
            request=request,
            deadline=self.deadline,
        )
        try:
            return await self.executor.run(pipelines, payload, context, self, trace=self.trace)
        except _EndedError:
            return None

    def ended(self, run: Run) -> None:
        """The journal's part: keep the run, and stop behind one that ended the request."""
        self.state, self.metadata = run.state, run.metadata
        self.runs.append((run, run.metadata))
        if run.outcome in _ENDED:
            raise _EndedError


class ExecuteCalls:
    """Runs pipelines without side effects: nothing is written, logged or counted.

    What is stored nowhere runs in the sandboxes of `pool`, which serves no traffic and keeps none.
    """

    def __init__(
        self,
        definitions: Definitions,
        backend: Backend,
        selector: Selector,
        pool: SandboxPool,
        limits: ExecuteSettings,
    ) -> None:
        self._definitions = definitions
        self._backend = backend
        self._selector = selector
        self._pool = pool
        self._limits = limits

    async def stored(self, call: AdminCall) -> web.StreamResponse:
        """``POST /_pipeline/{name}/_execute``."""
        await self._definitions.store.check_access(call.credentials)
        registry = self._definitions.registry
        pipeline = registry.get(call.name)
        body = await self._read(call, inline=False)
        trial = await self._trial(body)
        plan = _plan(body, await self._stored(trial, [pipeline]), alone=True)
        return await self._execute(call, plan, trial)

    async def inline(self, call: AdminCall) -> web.StreamResponse:
        """``POST /_pipeline/_execute``: given or named in the body, or what the index has."""
        await self._definitions.store.check_access(call.credentials)
        registry = self._definitions.registry
        body = await self._read(call, inline=True)
        trial = await self._trial(body)
        if body.pipelines is None:
            return await self._execute(call, await self._attached(body, trial), trial)
        compiled: list[CompiledPipeline] = []
        for path, value in body.pipelines:
            if isinstance(value, str):
                compiled += await self._stored(trial, [registry.get(value)])
            else:
                number = "" if path == "pipeline" else f"-{len(compiled) + 1}"
                definition = trial.read(value, path, f"inline{number}")
                compiled.append(await self._compiled(trial, definition))
        alone = body.pipelines[0][0] == "pipeline"
        return await self._execute(call, _plan(body, compiled, alone=alone), trial)

    async def _read(self, call: AdminCall, *, inline: bool) -> TrialBody:
        text = await call.json_text(self._limits.execute_max_bytes)
        return await asyncio.to_thread(read_trial, text, self._limits, inline=inline)

    async def _trial(self, body: TrialBody) -> Trial:
        """What compiles the pipelines of a call, its UDFs checked as at an upload."""
        for name, given in body.udfs.items():
            try:
                await check_package(self._pool, given.package)
            except DefinitionError as error:
                raise DefinitionError(f"udfs.{name}.{error.path}", error.reason) from error
        registry = self._definitions.registry
        compiler = Compiler(self._pool, registry.compiler.kinds)
        return Trial(registry.udfs, compiler, body.udfs)

    async def _stored(
        self, trial: Trial, pipelines: Iterable[CompiledPipeline]
    ) -> tuple[CompiledPipeline, ...]:
        """Stored pipelines as they are tried: with the UDFs that were given, without a breaker."""
        tried: list[CompiledPipeline] = []
        for pipeline in pipelines:
            again = pipeline
            if trial.uses_given(pipeline.definition):
                again = await self._compiled(trial, pipeline.definition, pipeline.revision)
            # It runs although the breaker is open, and tells it nothing.
            stages = replace(again.stages, breaker=None)
            tried.append(replace(again, final=pipeline.final, stages=stages))
        return tuple(tried)

    async def _compiled(
        self, trial: Trial, definition: PipelineDefinition, revision: int = 0
    ) -> CompiledPipeline:
        # Packages are known as long as somebody holds them.
        held = [await self._definitions.package(found) for found in trial.needed(definition)]
        compiled = trial.compile(definition, revision)
        del held
        return compiled

    async def _attached(self, body: TrialBody, trial: Trial) -> _Plan:
        """What a search, or a write of the document, would run on the index."""
        if not body.index:
            reason = "required, unless [pipelines] or [index] says what to run"
            raise DefinitionError("pipeline", reason)
        _check_index(body)
        if body.request is None:
            if body.inputs is None and body.id is None:
                reason = "required: the search to try on [index]; or a document, as [input] or [id]"
                raise DefinitionError("request", reason)
            warnings: list[str] = []
            chosen, _ = await self._selector.for_document(body.index, None, None, warnings)
            document = await self._stored(trial, chosen)
            return _Plan(body=body, begins="document", document=document, warnings=tuple(warnings))
        if body.inputs is not None:
            reason = "is for documents; give the search as [request], what was found as [response]"
            raise DefinitionError("inputs" if body.several else "input", reason)
        names = tuple(body.index.split(","))
        selection = await self._selector.for_search(names, None)
        return _Plan(
            body=body,
            begins="query",
            query=await self._stored(trial, selection.query),
            result=await self._stored(trial, selection.result),
            warnings=tuple(selection.warnings),
        )

    async def _execute(self, call: AdminCall, plan: _Plan, trial: Trial) -> web.StreamResponse:
        trial.check_used(plan.pipelines)
        body, validate = plan.body, call.flag("validate")
        if validate:
            _check_validate(plan)
        inputs = body.inputs
        if inputs is None:
            inputs = (await self._real(call, plan),)
        began = time.monotonic()
        results: list[dict[str, Any]] = []
        size = 0
        for given in inputs:
            stats = Stats()
            executor = Executor(stats, NoLogs(stats))
            attempt = _Attempt(
                executor, plan, call.flag("verbose"), began + self._limits.execute_timeout
            )
            shown = await self._run(call, attempt, given, validate=validate)
            size += sum(_size(run) for run, _ in attempt.runs)
            if size > self._limits.execute_max_answer:
                reason = (
                    f"the response is larger than {self._limits.execute_max_answer} characters "
                    "(execute_max_answer); give fewer [inputs], or call it without ?verbose"
                )
                raise ErrorResponse(413, "content_too_long_exception", reason)
            results.append(shown)
        if not body.several:
            return call.respond(results[0])
        took_ms = round((time.monotonic() - began) * 1000, 3)
        return call.respond({"took_ms": took_ms, "count": len(results), "results": results})

    async def _run(
        self, call: AdminCall, attempt: _Attempt, given: Payload, *, validate: bool
    ) -> dict[str, Any]:
        """The pipelines of the plan on one payload, as they are answered."""
        plan, body = attempt.plan, attempt.plan.body
        began = time.monotonic()
        output: Payload | None
        request: Payload | None = None
        valid: dict[str, Any] | None = None
        if plan.begins == "document":
            output = await attempt.through(plan.document, "document", given)
        elif plan.begins == "query":
            request = output = await attempt.through(plan.query, "query", given)
            if output is not None and validate:
                valid = await validation(self._backend, body.index, output, call.credentials)
            refused = valid is not None and not valid["valid"]
            if output is not None and plan.result and not refused:
                found = body.response or await self._search(call, body, output)
                output = await attempt.through(plan.result, "result", found, output.text)
        else:
            text = body.request.text if body.request is not None else "{}"
            output = await attempt.through(plan.result, "result", given, text)
        took_ms = round((time.monotonic() - began) * 1000, 3)
        shown = await asyncio.to_thread(_shown, attempt, output, request, took_ms)
        if valid is not None:
            shown["validation"] = valid
        return shown

    async def _real(self, call: AdminCall, plan: _Plan) -> Payload:
        """What the first pipeline is given where no input is: what is asked for, or there."""
        body = plan.body
        if plan.begins == "document":
            return await self._document(call, body)
        if plan.begins == "query":
            if body.request is None:
                raise DefinitionError("input", "required: the search request to run it on")
            return body.request
        if body.response is not None:
            return body.response
        if not body.index:
            raise DefinitionError("input", "required, unless [index] names where to read one")
        if body.request is None:
            raise DefinitionError("request", "required: the search to run on [index]")
        return await self._search(call, body, body.request)

    async def _document(self, call: AdminCall, body: TrialBody) -> Payload:
        if not body.index:
            raise DefinitionError("input", "required, unless [index] names where to read one")
        if body.id is None:
            raise DefinitionError("id", "required: the document to read from [index]")
        _check_index(body)
        path = f"{_path(body.index)}/_source/{quote(body.id, safe='')}"
        response = await self._backend.call("GET", path, headers=call.credentials)
        response.require(200)
        return await parse_response(response.body, "document")

    async def _search(self, call: AdminCall, body: TrialBody, request: Payload) -> Payload:
        """The backend's response to a search, before any pipeline."""
        if not body.index:
            raise DefinitionError("index", "required, unless [response] is what was found")
        _check_index(body)
        check_body(request.text.encode())
        response = await self._backend.call(
            "POST",
            f"{_path(body.index)}/_search",
            request.text.encode(),
            headers=call.credentials,
            retry=True,
        )
        response.require(200)
        return await parse_response(response.body, "search response")


def _plan(body: TrialBody, pipelines: Sequence[CompiledPipeline], *, alone: bool) -> _Plan:
    """The pipelines by phase. Raises `DefinitionError` where no request has them all."""
    by_phase: dict[Phase, list[CompiledPipeline]] = {"query": [], "result": [], "document": []}
    for pipeline in pipelines:
        by_phase[pipeline.definition.type].append(pipeline)
    if by_phase["document"] and len(by_phase["document"]) < len(pipelines):
        reason = "holds document pipelines and others; no request runs both, so try them apart"
        raise DefinitionError("pipelines", reason)
    phases: tuple[Phase, ...] = ("document", "query", "result")
    return _Plan(
        body=body,
        begins=next(phase for phase in phases if by_phase[phase]),
        query=tuple(by_phase["query"]),
        result=tuple(by_phase["result"]),
        document=tuple(by_phase["document"]),
        alone=alone,
    )


def _check_validate(plan: _Plan) -> None:
    if plan.begins != "query":
        reason = "[validate] asks the backend about a search request; no query pipeline is run here"
        raise ErrorResponse(400, "illegal_argument_exception", reason)
    if not plan.body.index:
        raise DefinitionError("index", "required with [validate]: where the request would be sent")
    _check_index(plan.body)


def _check_index(body: TrialBody) -> None:
    """Refuse what reaches the store."""
    if INDEX in body.index:
        raise DefinitionError("index", f"[{INDEX}] is the proxy's own")
    check_names([body.index])


def _path(index: str) -> str:
    return f"/{quote(index, safe=',*')}"


def _size(run: Run) -> int:
    """About how much of a run is in the response."""
    traced = sum(len(run.payload.text) * 2 for stage in run.stages if stage.before is not None)
    return len(run.payload.text) + traced


def _shown(
    attempt: _Attempt, output: Payload | None, request: Payload | None, took_ms: float
) -> dict[str, Any]:
    plan = attempt.plan
    given = {each.package.digest for each in plan.body.udfs.values()}
    shown = [
        shown_run(run, metadata, verbose=attempt.trace, given=given)
        for run, metadata in attempt.runs
    ]
    if plan.alone:
        return shown[0]
    runs = [run for run, _ in attempt.runs]
    response: dict[str, Any] = {"outcome": outcome_of(runs), "took_ms": took_ms}
    if request is not None:
        response["request"] = text_of(request)
    if output is not None and output is not request:
        response["output"] = text_of(output)
    elif output is not None:
        response["output"] = response["request"]
    response["metadata"] = nested(attempt.metadata)
    if runs and runs[-1].error is not None and output is None:
        response["error"] = shown_error(runs[-1].error)
    response["warnings"] = list(plan.warnings)
    response["pipelines"] = shown
    return response
