"""How the backend is asked for one search, and how its client gets what was found."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from aiohttp import web

from pipelines.jsontext.slices import with_member
from pipelines.payload import Payload
from proxy.http.headers import Headers, request_headers
from proxy.http.query_string import QueryString
from proxy.protocol.resume_id import Memory
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.continuation import Continuation
from proxy.traffic.failed_shards import failed_shards_of
from proxy.traffic.refusals import Attempt
from proxy.traffic.relay import Relay
from proxy.traffic.request_body import UnreadableError, new_body_headers, parse_response
from proxy.traffic.response_format import ResponseForm
from proxy.traffic.runs import Runs
from proxy.traffic.search_payload import read_up_to, unreadable
from proxy.traffic.search_run import Found, SearchRun
from proxy.upstream.response import UpstreamResponse


class _Sent(NamedTuple):
    """The request that goes to the backend; without `headers` with those of the client."""

    path: str
    query: QueryString
    headers: Headers | None
    body: bytes | None

    def in_form(self, form: ResponseForm, exchange: Exchange) -> _Sent:
        if form.is_asked_for:
            return self
        headers = self.headers or request_headers(exchange.raw_headers)
        query, headers = form.ask(self.query, headers)
        return self._replace(query=query, headers=headers)


@dataclass(slots=True, kw_only=True)
class Reply(Found):
    """What the backend returned: `form` is what the client wants, where the body was to be read.

    `raw` is the body as far as it was read, and `whole` says whether that is all of it.
    """

    response: UpstreamResponse
    form: ResponseForm | None = None
    raw: bytes = b""
    whole: bool = False

    def release(self) -> None:
        self.response.release()


class Asking:
    """One `_search` of a client, from the request that query pipelines left to its response.

    `search` is what runs around it. `sent` is the client's body, `opened` that body where its id
    was replaced. `remaining` are the URL's parameters that are not in the request; `is_read` says
    that the body could be read and is not empty, `unread` that no pipeline can be given it, so that
    it goes on as it came. The response's ids have to remember something where it `carries`.
    """

    __slots__ = (
        "_continuation",
        "_max_bytes",
        "_relay",
        "carries",
        "exchange",
        "is_read",
        "memory",
        "names",
        "opened",
        "query",
        "remaining",
        "runs",
        "search",
        "sent",
        "target",
        "templated",
        "unread",
    )

    def __init__(
        self,
        relay: Relay,
        continuation: Continuation,
        max_bytes: int,
        exchange: Exchange,
        target: Target,
        query: QueryString,
        names: tuple[str, ...],
        runs: Runs,
        *,
        templated: bool,
    ) -> None:
        self._relay = relay
        self._continuation = continuation
        self._max_bytes = max_bytes
        self.exchange = exchange
        self.target = target
        self.query = self.remaining = query
        self.names = names
        self.runs = runs
        self.templated = templated
        self.sent: bytes | None = None
        self.opened: bytes | None = None
        self.memory: Memory | None = None
        self.carries = False
        self.is_read = self.unread = False
        self.search = SearchRun((), (), Payload("{}", {}))

    async def ask(self, rewritten: Payload) -> Reply:
        """Put a search to the backend; the response is read where somebody has to see it."""
        runs, exchange = self.runs, self.exchange
        seen = bool(self.search.result or self.carries)
        if not (seen or runs.metadata or self.templated):
            response, request = await self._attempt(rewritten, None).respond(runs)
            return Reply(request, response=response)
        form = await ResponseForm.of(exchange, self._asked(rewritten).query, self._relay)
        if form.format == "smile" and not seen:
            runs.warnings.add("_pipeline_metadata was left out: the response is SMILE")
            response, request = await self._attempt(rewritten, None).respond(runs)
            return Reply(request, response=response)
        form.check()
        response, request = await self._attempt(rewritten, form).send_and_judge(runs)
        reply = Reply(request, response=response, form=form)
        try:
            await self._read(reply)
        except BaseException:
            reply.release()
            raise
        return reply

    async def respond(self, reply: Reply) -> web.StreamResponse:
        """The response of the client, after all pipelines."""
        form, response, exchange = reply.form, reply.response, self.exchange
        if form is None or (response.status != 200 and form.is_plain):
            return await self._pass(response)
        if reply.whole:
            body = reply.raw if response.status != 200 else self._body(reply)
            if reply.payload is not None or response.status != 200 or form.is_plain:
                return await form.respond(exchange, response, body, self.runs.response_headers())
        elif form.is_plain:
            return await self._pass(response, begun=reply.raw)
        # The form is the backend's to give, then.
        with await self._send(self._asked(reply.request)) as response:
            return await self._pass(response)

    async def _read(self, reply: Reply) -> None:
        """Read the body, if pipelines can be given it; what they cannot is noted."""
        response, runs = reply.response, self.runs
        assert reply.form is not None
        if response.status != 200 and reply.form.is_plain:
            return
        reason = unreadable(response)
        if reason is None:
            reply.raw, reply.whole = await read_up_to(response, self._max_bytes)
        if not reply.whole:
            reason = reason or f"the response is larger than {self._max_bytes} bytes"
            runs.skipped(self.search.result, reason)
            return
        if response.status != 200:
            return
        try:
            reply.payload = await parse_response(reply.raw, "search response")
        except UnreadableError as error:
            runs.skipped(self.search.result, error.reason)
            return
        if runs.changed and (failed := failed_shards_of(reply.payload.data)) is not None:
            runs.failed_in_part(failed)

    def _body(self, reply: Reply) -> str | bytes:
        """The body after its pipelines; the very bytes where nothing changed."""
        runs, payload = self.runs, reply.payload
        text = payload.text if payload else reply.raw.decode(errors="surrogateescape")
        changed = payload is not None and payload.changed
        if not (changed or runs.metadata or self.carries or self.templated):
            return reply.raw
        text = runs.with_metadata(text)
        with suppress(ValueError):
            # Where its parts cannot be told apart, it goes on without them.
            if self.templated:
                text = with_member(text, "status", "200")
            if self.carries:
                memory = self.memory or self._continuation.memory(
                    self.names, self.search.result, runs, reply.request.text
                )
                text = self._continuation.rewrap(text, memory)
        return text if payload else text.encode(errors="surrogateescape")

    def _attempt(self, rewritten: Payload, form: ResponseForm | None) -> Attempt:
        return Attempt(
            self.search.query,
            self.search.request,
            rewritten,
            lambda request: self._send(self._asked(request, form)),
            lambda text: self._send(self._of(text, self.remaining.without({"scroll"}))),
        )

    def _asked(self, request: Payload, form: ResponseForm | None = None) -> _Sent:
        """A request, as the client's own bytes where nothing in it was changed."""
        opened, headers = self.opened, None
        if self.unread:
            if opened is not None:
                headers = new_body_headers(self.exchange)
            sent = _Sent(self._path, self.query, headers, opened or self.sent)
        elif not (request.changed or self.templated or opened is not None):
            sent = _Sent(self._path, self.query, None, self.sent)
        else:
            sent = self._of(request.text, self.remaining)
        return sent if form is None else sent.in_form(form, self.exchange)

    def _of(self, text: str, query: QueryString) -> _Sent:
        headers: Headers | None = None
        if not (self.is_read and self.exchange.facts.is_plain_json):
            headers = new_body_headers(self.exchange, "" if self.is_read else "application/json")
        return _Sent(self._path, query, headers, text.encode())

    @property
    def _path(self) -> str:
        path = self.target.path
        rendered = self.templated and not self.unread
        return path.removesuffix("/template") if rendered else path

    async def _send(self, sent: _Sent) -> UpstreamResponse:
        return await self._relay.send(
            self.exchange,
            target=sent.query.after(sent.path),
            headers=sent.headers,
            body=sent.body,
            retry=True,
        )

    async def _pass(self, response: UpstreamResponse, *, begun: bytes = b"") -> web.StreamResponse:
        for name, value in self.runs.response_headers():
            response.add(name, value)
        return await self._relay.respond(self.exchange, response, begun=begun)
