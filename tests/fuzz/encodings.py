"""Harnesses of what is encoded: ids that remember, compressed bodies, YAML and CBOR."""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib
from typing import Final

import orjson

from pipelines.jsontext.json_text import parse, same
from proxy.formats.convert import Format, FormatError, from_json, to_json
from proxy.http.encoding import (
    BodyEncodingError,
    BodyError,
    BodyTooLargeError,
    deflate,
    inflate,
    joined,
    split_lines,
)
from proxy.protocol.resume_id import PREFIX, Cursors, Memory
from tests.fuzz.harness import Harness, declared, taken_or_refused

_KEY: Final = b"the key of the fuzzed ids"
_CURSORS: Final = Cursors(lambda: _KEY)
_LIMIT: Final = 64 * 1024


def run_cursors(data: bytes) -> None:
    """An id: as a client could send it, and with what it says signed as another version might."""
    text = data.decode("utf-8", "replace")
    unwrapped = taken_or_refused(_CURSORS.unwrap, text)
    if unwrapped is not None and unwrapped[1] is not None:
        assert text.startswith(PREFIX)
    _body, _, backend_id = text.removeprefix(PREFIX).partition(".")
    memory = Memory(names=(text,), state={"a": text}, request=text)
    assert _CURSORS.unwrap(_CURSORS.wrap(backend_id, memory)) == (backend_id, memory)
    taken_or_refused(_CURSORS.unwrap, _signed(data, "id"))
    packed = zlib.compress(data)
    taken_or_refused(_CURSORS.unwrap, _signed(packed, "id"))


def _signed(packed: bytes, backend_id: str) -> str:
    body = base64.urlsafe_b64encode(packed).decode().rstrip("=")
    digest = hmac.new(_KEY, f"{body}.{backend_id}".encode(), hashlib.sha256).digest()[:16]
    signature = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return f"{PREFIX}{body}.{signature}.{backend_id}"


def run_bodies(data: bytes) -> None:
    """A line with a Content-Encoding, and a body: never more than the limit, and back again."""
    coding, _, body = data.partition(b"\n")
    kinds = (BodyError, BodyEncodingError, BodyTooLargeError)
    for limit in (100, _LIMIT):
        for named in (coding.decode("utf-8", "surrogateescape"), "gzip"):
            inflated = declared(kinds, inflate, body, named, limit)
            assert inflated is None or len(inflated) <= limit
    assert inflate(deflate(body), "gzip", _LIMIT) == body
    lines = split_lines(body)
    assert lines == body.split(b"\n")
    assert joined(lines[:-1], b"\n") + lines[-1] == body


def run_formats(data: bytes) -> None:
    """A line that names a format, and a body: as JSON, and from that in both formats."""
    name, _, body = data.partition(b"\n")
    format: Format = "cbor" if name == b"cbor" else "yaml"
    written = declared((FormatError,), to_json, body, format)
    if written is None:
        return
    text = written.decode()
    # A number may be too large even for JSON; the next reader says so.
    fits = declared((orjson.JSONDecodeError,), orjson.loads, text)
    if isinstance(fits, dict):
        value = parse(text)
        for other in ("yaml", "cbor"):
            again = to_json(from_json(text, other), other)
            assert same(parse(again.decode()), value)


_CURSOR_TOKENS: Final = tuple(
    b'qm1.|.|..|eJyrVkpUslJQKi1OLVKyUqgFAB8sBGk|{"names":["a"],|"result":[["p","1"]],|"result":[[]]|'
    b'"final":["p"],|"state":{},|"request":"{}"}|null|FGluY2x1ZGVf==|-|_|=|\xc3\xa9'.split(b"|")
)
_BODY_TOKENS: Final = (
    *b"gzip\n|x-gzip\n|identity\n|br\n|GZIP |\n".split(b"|"),
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    b"\x1f\x8b\x08\x1f",
    deflate(b"{}"),
    deflate(b"0" * 5000),
    deflate(b"")[10:],
)
_FORMAT_TOKENS: Final = (
    *(
        b"yaml\n|cbor\n|a: |- |&a |*a|!!python/object |!!int |!!float |!!binary |!!set |!!bool |"
        b"!!timestamp |0x|0o|012|1_0|.inf|-.nan|~|? |: |: |\n  |--- |...|%YAML 1.1|<<: *a|>\n|"
        b"{a: [|]}|# |"
        b"\xa1\x61a|\xbf\xff|\x9f\xff|\x7f\x61a\xff|\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00|"
        b"\xf9\x7e\x00|\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00|\xc4\x82\x20\x01|"
        b"\xc5\x82\x20\x01|\xd8\x1c|\xd8\x1d\x00|\xd9\x01\x00|\xc0\x74|\xc1\x1a\xff\xff\xff\xff|"
        b"\xd8\x23\x61(|\xd8\x25\x41a|\xd8\x1e\x82\x01\x00|\xd9\xd9\xf7|\xd9\x01\x02\x80|"
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff|\x5b\x7f\xff\xff\xff\xff\xff\xff\xff|"
        b"\xd9\x01\x04\x44\x7f\x00\x00\x01"
    ).split(b"|"),
)

HARNESSES: Final = (
    Harness("cursors", run_cursors, _CURSOR_TOKENS),
    Harness("bodies", run_bodies, _BODY_TOKENS),
    Harness("formats", run_formats, _FORMAT_TOKENS),
)
