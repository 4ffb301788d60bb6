"""A request that query pipelines changed and the backend refuses: the original goes in its place.

A pipeline that may be left out (`on_error: continue`) is, and the client is told. Where one that
must not be left out made what is refused, the request is an error that names it, unless the
client's own request is refused as well: then the fault is the client's, and the response is the
backend's.

A search that fails on some shards has a response, which stays: asking again would take twice as
long each time for a client whose own requests do so as well. The client is told which pipelines had
changed it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pipelines.execution.executor import Run
from pipelines.jsontext.slices import member, with_member
from pipelines.payload import Payload
from proxy.http.encoding import BodyError, inflate
from proxy.traffic.failed_shards import failed_shards
from proxy.traffic.limits import WORDS_MAX
from proxy.traffic.runs import Runs
from proxy.traffic.selection import Chosen
from proxy.upstream.client import UpstreamResponse


def is_refusal(response: Any) -> bool:
    """Whether a 400 refuses the request: any does."""
    return True


@dataclass(slots=True)
class Attempt:
    """A request to the backend that query pipelines made.

    They made `rewritten` of `original`. `send` sends a request; `probe` sends one, as text, whose
    response shows nobody anything but whether it is refused, and so must have no other effect.
    Responses with a status in `looked_at` are read, and refuse the request if `refuses` says so of
    their JSON.
    """

    pipelines: Chosen
    original: Payload
    rewritten: Payload
    send: Callable[[Payload], Awaitable[UpstreamResponse]]
    probe: Callable[[str], Awaitable[UpstreamResponse]]
    looked_at: frozenset[int] = frozenset({400})
    refuses: Callable[[Any], bool] = is_refusal

    async def respond(self, runs: Runs) -> tuple[UpstreamResponse, Payload]:
        """The backend's response, and the request that it is to.

        Raises `ErrorResponse` where a pipeline that must not be left out is to blame.
        """
        try:
            response, request = await self.send_and_judge(runs)
            if runs.changed and (failed := await failed_shards(response)) is not None:
                runs.failed_in_part(failed)
            return response, request
        finally:
            runs.accepted()

    async def send_and_judge(self, runs: Runs) -> tuple[UpstreamResponse, Payload]:
        """The same for who reads the response in any case: shards that failed are not looked for,
        and the runs are still to be counted.
        """
        response, request = await self.send(self.rewritten), self.rewritten
        refusal = await self._refusal(response) if runs.changed else None
        if refusal is None:
            return response, request
        strict = tuple(p for p in self.pipelines if not p.may_be_left_out)
        blamed = runs.take_back()
        lax = [run for run in blamed if run.pipeline not in strict]
        if lax:
            first = refusal
            request = await runs.run(strict, "query", self.original)
            response = await self.send(request)
            refusal = await self._refusal(response)
            if refusal is None:
                runs.leave_out(lax, *first)
                return response, request
            blamed = runs.take_back()
        if blamed:
            response = await self._judged(runs, blamed, response, refusal)
        return response, request

    async def _judged(
        self,
        runs: Runs,
        blamed: Sequence[Run],
        response: UpstreamResponse,
        refusal: tuple[str, str],
    ) -> UpstreamResponse:
        """The response to a client whose own request is refused too; else an error is raised.

        What a final pipeline keeps from the client, the client must not learn by this.
        """
        final = any(run.pipeline.final for run in blamed)
        text = _finding_nothing(self.original.text) if final else self.original.text
        probed = await self.probe(text)
        if await self._refusal(probed) is None:
            probed.release()
            raise runs.refused(blamed, *refusal)
        return response if final else probed

    async def _refusal(self, response: UpstreamResponse) -> tuple[str, str] | None:
        """The type of the error and the backend's words; None where it takes the request."""
        if response.status not in self.looked_at:
            return None
        with response:
            raw = await response.read()
        response.replace(response.status, raw)
        try:
            encoding = response.headers.get("Content-Encoding")
            plain = raw
            if encoding is not None:
                plain = await asyncio.to_thread(inflate, raw, encoding, response.largest)
            data = orjson.loads(plain)
        except (ValueError, BodyError):
            data = None
        if response.status != 400 and not self.refuses(data):
            return None
        return _words(data)


def _finding_nothing(request: str) -> str:
    """A search that is checked as `request` is, and reads no document."""
    part = member(request, "query")
    query = request[part.start : part.end] if part else '{"match_all":{}}'
    nothing = f'{{"bool":{{"must":[{query}],"filter":[{{"match_none":{{}}}}]}}}}'
    return with_member(request, "query", nothing)


def _words(response: Any) -> tuple[str, str]:
    """The type and the reason of an error, in a response of any endpoint."""
    try:
        if "responses" in response:
            response = response["responses"][0]
        error = response["error"]
        cause = (error.get("root_cause") or [error])[0]
        return str(cause["type"]), str(cause["reason"])[:WORDS_MAX]
    except (TypeError, KeyError, IndexError, AttributeError):
        return "refused", orjson.dumps(response).decode()[:WORDS_MAX]
