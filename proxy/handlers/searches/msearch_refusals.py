"""An msearch that the backend refuses, or searches of one: for which of them, and whose fault."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson

from pipelines.errors import PipelineError
from pipelines.jsontext.slices import elements, member
from pipelines.payload import Payload
from proxy.handlers.searches.msearch_work import Work, failure_of, is_refused, judged_items
from proxy.http.errors import ErrorResponse
from proxy.http.headers import Headers
from proxy.http.media_type import is_json
from proxy.protocol.bodies.msearch_body import MsearchItem, write_msearch
from proxy.server.exchange import Exchange
from proxy.tasks import for_each
from proxy.traffic.refusals import Attempt
from proxy.traffic.relay import Relay
from proxy.upstream.client import UpstreamResponse
from proxy.upstream.errors import UpstreamError


@dataclass(frozen=True, slots=True)
class MsearchRefusals:
    """Sends searches of one exchange again, each by itself, as `target` with `headers`.

    `at_once` are under way at a time.
    """

    relay: Relay
    exchange: Exchange
    target: str
    headers: Headers
    at_once: int

    async def fall_back(
        self, works: list[Work], response: UpstreamResponse, raw: bytes, *, templated: bool
    ) -> tuple[bool, bytes]:
        """Send again, each by itself, what query pipelines changed and the backend refuses.

        Gives whether the others have to be sent again too, as it refused them all for one, and its
        response to all of them. Where that refuses a search as the client wrote it, it stays.
        """
        changed = [work for work in works if work.runs.changed]
        if response.status == 200:
            refused = await asyncio.to_thread(judged_items, raw, works) if changed else []
            changed = [work for work in changed if work in refused]
        elif response.status != 400:
            return False, raw
        await for_each(changed, self._send_alone, at_once=self.at_once, name="msearch item")
        if response.status == 200:
            return False, raw
        responses = [work.refused for work in changed if work.refused]
        # Of templates the backend refuses only those it cannot read.
        return (False, responses[0]) if responses and not templated else (bool(changed), raw)

    async def _send_alone(self, work: Work) -> None:
        async def send(request: Payload) -> UpstreamResponse:
            item = work.item.with_body(request.text)
            return await self._send(item)

        try:
            response, work.sent = await Attempt(
                pipelines=work.selection.query,
                original=work.search.request,
                rewritten=work.sent,
                send=send,
                probe=lambda text: send(Payload(text, {})),
                looked_at=frozenset({200, 400}),
                refuses=is_refused,
            ).respond(work.runs)
            with response:
                text = (await response.read()).decode()
            whole = member(text, "responses") if response.status == 200 else None
            if whole is None:
                work.failure = orjson.loads(text)
                work.refused = text.encode() if response.status == 400 else b""
                return
            (only,) = elements(text, whole.start)
            work.alone = text[only.start : only.end]
        except (ErrorResponse, PipelineError, UpstreamError) as error:
            work.failure = failure_of(error, self.exchange.request_id)

    async def single_out(self, works: list[Work]) -> bool:
        """Note which searches the backend refuses; whether those are some, but not all.

        It refuses a whole `_msearch` for one search it cannot read, but of templates only that one.
        """
        left = [work for work in works if work.failure is None]
        refused: list[tuple[Work, dict[str, Any]]] = []
        for work in left:
            with await self._send(work.item) as response:
                raw = await response.read()
                if response.status == 400 and is_json(response.headers.get("Content-Type", "")):
                    refused.append((work, orjson.loads(raw)))
        if not refused or len(refused) == len(left):
            return False
        for work, failure in refused:
            work.failure = failure
        return True

    async def _send(self, item: MsearchItem) -> UpstreamResponse:
        return await self.relay.send(
            self.exchange,
            target=self.target,
            headers=self.headers,
            body=write_msearch([item]),
            retry=True,
        )
