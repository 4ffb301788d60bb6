"""The two sides of a comparison, and what of their responses is allowed to differ."""

from __future__ import annotations

import asyncio
import gzip
import re
from dataclasses import dataclass, field
from typing import Final

from tests.differential.calls import Call
from tests.proxy.wire import Client, Message, read_message

# Hop-by-hop fields, and Date, which no two responses share.
_OWN_FIELDS: Final = frozenset({b"date", b"connection", b"keep-alive", b"transfer-encoding"})
# Times, made-up ids and what tells of them, in JSON and YAML.
_VOLATILE: Final = re.compile(
    rb'"?(?:took|batches|[a-z_]*millis|creation_(?:time|date)(?:_string)?|index_uuid|uuid|_na_|task)"?'
    rb'\s*:\s*(?:"[^"]*"|[\d.]+)'
    # An index with its id, ids of scrolls and points in time, and the number in such an id.
    rb"|TWIN[\w-]*/[\w-]{22}|[\w+/-]{40,}={0,2}|(?<=found for id )[\w\[\]-]+"
    # The same number where YAML has broken the line before it.
    rb"|\[\[[\w-]{22}\]\[\d+\]"
    # What a parser says of the buffer a body came in, which depends on the network.
    rb"|\[Source: .*?(?=line: |byte )|(?:offset: #|column: |byte #|\[-1:)\d+",
    re.DOTALL,
)
# The same in CBOR and SMILE, where any long word may be an id.
_BINARY: Final = re.compile(
    rb"dtook(?:[\x00-\x17]|\x18.|\x19..|\x1a....)|\x83took(?:[\xc0-\xdf]|\x24[\x00-\x7f]*[\x80-\xff])"
    rb"|(?:(?!dtook)[\w+/-]){20,}={0,2}|creation_time.*"
    rb"|(?<=found for id )[\w\[\]-]+|(?:offset: #|byte #|\[-1:)\d+"
    # How long the text is that such a number ends.
    rb"|(?<=x).(?=No search context found for id )",
    re.DOTALL,
)
# Ids the backend makes for documents without one.
_MADE_ID: Final = re.compile(
    rb"""("_id"\s*:\s*"|_id: "|/_doc/|with id ')[\w-]{20}(?=["']|$)""",
)
# The number a document got when `_update_by_query` wrote it among others, which it does in the
# order of segments, as merges in the background left them. Only what changes nothing tells it.
_OLD_NUMBER: Final = re.compile(
    rb"""("?result"?\s*:\s*"noop".{0,200}?"?_seq_no"?\s*:\s*)\d+""", re.DOTALL
)
_IDS: Final = {
    "SCROLL": re.compile(rb'"_scroll_id"\s*:\s*"([^"]+)"'),
    "PIT": re.compile(rb'"(?:pit_id|id)"\s*:\s*"([\w.=+/-]{40,})"'),
}
# Seconds; a response that takes longer counts as none.
PATIENCE: Final = 5
_CLOSED: Final = Message(b"HTTP/1.1 0 closed without an answer", [])
_WORDS: Final = re.compile(rb"([\w.:+/=@-]+)")


@dataclass(frozen=True, slots=True)
class Seen:
    """A response with what may differ taken out. `fields` keep their order, case and duplicates.

    `whole` is the body with the side's own index named as TWIN, and nothing taken out.
    """

    first_line: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    whole: bytes = field(compare=False)

    @property
    def status(self) -> int:
        """The status; 0 where the server hung up instead of answering."""
        return int(self.first_line.split()[1])

    def matches(self, first: Seen, again: Seen) -> bool:
        """Whether this differs from `first` only where that and `again` differ, too."""
        bodies = [_WORDS.split(seen.body) for seen in (self, first, again)]
        if len({len(words) for words in bodies}) != 1:
            return False
        same = all(a == b for a, b, c in zip(*bodies, strict=True) if b == c)
        return same and (self.first_line, self.fields) == (first.first_line, first.fields)


@dataclass
class Side:
    """One client of one server, with an index of its own and the ids it was given."""

    port: int
    index: str
    names: dict[str, str] = field(default_factory=dict)
    client: Client | None = None

    async def ask(self, call: Call) -> Message:
        """Make a call, over a new connection where the server closed the last one."""
        self.names = {"TWIN": self.index, "SCROLL": "none", "PIT": "none", **self.names}
        if self.client is None or self.client.reader.at_eof():
            self.close()
            self.client = await Client.connect(self.port)
        try:
            async with asyncio.timeout(PATIENCE):
                await self.client.send(call.bytes_for(self.names))
                message = await read_message(self.client.reader, response_to=call.method)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            message = None
        if message is None or (message.get("connection") or b"").lower() == b"close":
            self.close()
        return message or _CLOSED

    async def see(self, call: Call) -> Seen:
        """Make a call and return what of its response has to be the same on every side."""
        message = await self.ask(call)
        body = message.body
        if message.get("content-encoding") == b"gzip" and body:
            body = gzip.decompress(body)
        for word, pattern in _IDS.items():
            if found := pattern.search(body):
                self.names[word] = found[1].decode()
        fields = [pair for pair in message.fields if pair[0].lower() not in _OWN_FIELDS]
        binary = (message.get("content-type") or b"").endswith((b"cbor", b"smile"))
        # In a binary format the length of a name stands before it.
        own = b"TWIN".ljust(len(self.index), b"-") if binary else b"TWIN"
        whole = body.replace(self.index.encode(), own)
        plain = _plain(whole, binary=binary)
        if "error_trace" in call.target:
            # Where a trace begins depends on the pieces in which the request came.
            plain = plain.partition(b"stack_trace")[0]
        # What is said another way is of another length, or compresses to one.
        changed = whole != plain or (body is not message.body and body != whole)
        return Seen(
            message.first_line,
            tuple((name, self._field(name, value, changed)) for name, value in fields),
            plain,
            whole,
        )

    def close(self) -> None:
        if self.client is not None:
            self.client.close()
        self.client = None

    def _field(self, name: bytes, value: bytes, changed: bool) -> bytes:
        lowered = name.lower()
        if lowered == b"content-length" and changed:
            # That the length is right was seen in reading.
            return b""
        if lowered == b"task_resource_usage":
            return b""
        return _MADE_ID.sub(rb"\1ID", value.replace(self.index.encode(), b"TWIN"))


def _plain(body: bytes, *, binary: bool) -> bytes:
    if binary:
        return _BINARY.sub(b"", body)
    plain = _OLD_NUMBER.sub(rb"\1", _VOLATILE.sub(b"", body))
    return _MADE_ID.sub(rb"\1ID", plain)
