"""``/_pipeline/_execute``: try a pipeline on an example, or on what the backend really holds."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import jsonpatch
import orjson
from aiohttp import web

from pipelines.context import Context
from pipelines.errors import DefinitionError, DroppedError, RejectedError, StageError
from pipelines.executor import CompiledPipeline, Executor, Run
from pipelines.fields import Fields
from pipelines.observe import StageReport
from pipelines.payload import Payload
from pipelines.stats import Stats
from proxy.admin import UPLOAD_MAX, AdminCall
from proxy.backend import Backend
from proxy.definitions import Definitions
from proxy.store import INDEX

_KEYS = ("input", "request", "index", "id")


class ExecuteCalls:
    """Runs a stored or inline pipeline without side effects: nothing is written or counted."""

    def __init__(self, definitions: Definitions, backend: Backend) -> None:
        self._definitions = definitions
        self._backend = backend

    async def stored(self, call: AdminCall) -> web.StreamResponse:
        """``POST /_pipeline/{name}/_execute``."""
        await self._definitions.store.check_access(call.credentials)
        fields = Fields(await call.json(UPLOAD_MAX), "", _KEYS)
        return await self._execute(call, self._definitions.registry.get(call.name), fields)

    async def inline(self, call: AdminCall) -> web.StreamResponse:
        """``POST /_pipeline/_execute`` with the definition under ``pipeline``."""
        await self._definitions.store.check_access(call.credentials)
        fields = Fields(await call.json(UPLOAD_MAX), "", (*_KEYS, "pipeline"))
        value = fields.object("pipeline")
        try:
            definition = self._definitions.registry.read({"name": "inline", **value})
        except DefinitionError as error:
            raise DefinitionError(f"pipeline.{error.path}", error.reason) from error
        pipeline = await self._definitions.compile(definition)
        return await self._execute(call, pipeline, fields)

    async def _execute(
        self, call: AdminCall, pipeline: CompiledPipeline, fields: Fields
    ) -> web.StreamResponse:
        source = fields.object("input", default=None)
        request = fields.object("request", default=None)
        index = fields.string("index", default="")
        doc_id = fields.string("id", default=None, longest=512)
        phase = pipeline.definition.type
        if source is None:
            source = await self._real(call, phase, index, doc_id, request)
        context = Context(
            id=secrets.token_hex(8),
            phase=phase,
            index=index,
            document_id=doc_id,
            request=orjson.dumps(request or {}).decode() if phase == "result" else None,
        )
        verbose = call.flag("verbose")
        # A trial runs although the breaker is open, and tells it nothing.
        tried = replace(pipeline, breaker=None)
        run = await Executor(Stats()).run(tried, Payload.of(source), context, trace=verbose)
        return call.answer(_shown_run(run, context, verbose))

    async def _real(
        self, call: AdminCall, phase: str, index: str, doc_id: str | None, request: Any
    ) -> dict[str, Any]:
        """What the backend holds: a document, or (for result pipelines) a search's response."""
        if not index:
            raise DefinitionError("input", "required, unless [index] names where to read one")
        if INDEX in index:
            raise DefinitionError("index", f"[{INDEX}] is the proxy's own")
        path = f"/{quote(index, safe=',*')}"
        if phase == "document":
            if doc_id is None:
                raise DefinitionError("id", "required: the document to read from [index]")
            answer = await self._backend.call(
                "GET", f"{path}/_source/{quote(doc_id, safe='')}", headers=call.credentials
            )
            return dict(answer.require(200))
        if request is None:
            raise DefinitionError("request", "required: the search to run on [index]")
        if phase == "query":
            return dict(request)
        answer = await self._backend.call(
            "POST", f"{path}/_search", request, headers=call.credentials, retry=True
        )
        return dict(answer.require(200))


def _shown_run(run: Run, context: Context, verbose: bool) -> dict[str, Any]:
    definition = run.pipeline.definition
    shown: dict[str, Any] = {
        "pipeline": definition.name,
        "version": definition.version,
        "type": definition.type,
        "outcome": run.outcome,
        "took_ms": round(run.took_ms, 3),
        "output": orjson.Fragment(run.payload.text.encode()),
        "metadata": context.metadata,
    }
    if run.error is not None:
        shown["error"] = _shown_error(run.error)
    if run.outcome in ("failed", "rejected", "dropped"):
        del shown["output"]
    shown["stages"] = [_shown_stage(report, verbose) for report in run.stages]
    return shown


def _shown_error(error: StageError | RejectedError | DroppedError) -> dict[str, Any]:
    shown: dict[str, Any] = {"stage": error.stage, "reason": str(error)}
    if isinstance(error, RejectedError):
        shown |= {"kind": "rejected", "status": error.status}
    elif isinstance(error, StageError):
        shown |= {"kind": error.kind, "detail": error.detail}
    return shown


def _shown_stage(report: StageReport, verbose: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": report.name,
        "outcome": report.outcome,
        "took_ms": round(report.took_ms, 3),
        "tries": report.tries,
        **({"udf": report.udf} if report.udf else {}),
        "log": report.log,
    }
    if report.error is not None:
        shown["error"] = _shown_error(report.error)
    if verbose and report.before is not None:
        shown["input"], shown["output"] = report.before, report.after
        shown["diff"] = jsonpatch.make_patch(report.before, report.after).patch
    return shown
