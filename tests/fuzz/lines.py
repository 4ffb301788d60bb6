"""Harnesses of bodies made of lines, and of the guard that reads any body."""

from __future__ import annotations

from typing import Any, Final

import orjson

from pipelines.payload import Payload
from proxy.protocol.bodies.bulk_body import BulkSyntaxError, merge_response, read_bulk, write_bulk
from proxy.protocol.bodies.msearch_body import MsearchSyntaxError, read_msearch, write_msearch
from proxy.protocol.reserved import INDEX
from proxy.protocol.store_guard import check_body, check_names, named_in
from tests.fuzz.harness import Harness, declared, refused

_NOT_JSON: Final = (ValueError, orjson.JSONDecodeError)


def run_bulk(data: bytes) -> None:
    """A bulk body: its items, and the body they make again."""
    items = declared((BulkSyntaxError,), read_bulk, data)
    if items is None:
        return
    written = write_bulk(items)
    again = read_bulk(written) if written else []
    assert [(item.header, item.source) for item in again] == [
        (item.header, item.source) for item in items
    ]
    lines = data.split(b"\n")[:-1]
    if all(line.strip() for line in lines):
        assert written == data or not items
    for item in items:
        source = item.source
        assert source is None or lines[item.line] == source
        assert lines[item.line - 1] == item.header
        name = item.id
        if name is not None:
            name.encode()
        read_bulk(write_bulk([item.without_pipeline("x")]))
        read_bulk(write_bulk([item.as_write("index", "{}", 1, 1)._replace(renamed=False)]))
        if source is not None:
            declared(_NOT_JSON, Payload.parse, source.rstrip(b"\r"))
    refused(check_names, (item.meta.get("_index") for item in items))
    local = [item.with_response({"status": 200}) if item.line % 3 else item for item in items]
    theirs: list[dict[str, Any]] = [{item.action: {}} for item in local if item.local is None]
    response = orjson.dumps({"errors": False, "items": theirs}).decode()
    merged = orjson.loads(merge_response(local, response))
    assert [next(iter(response)) for response in merged["items"]] == [item.action for item in items]


def run_msearch(data: bytes) -> None:
    """An msearch body: its items, and the body they make again."""
    items = declared((MsearchSyntaxError,), read_msearch, data)
    if items is None:
        return
    written = write_msearch(items)
    assert data.startswith((written, b"\n" + written))
    for item in items:
        for text in (*item.names, item.pipeline or "", item.expand or ""):
            text.encode()
        assert read_msearch(write_msearch([item.without_pipeline()]))[0].pipeline is None
        declared(_NOT_JSON, Payload.parse, item.body)
    refused(check_names, (name for item in items for name in item.names))


def run_guard(data: bytes) -> None:
    """Any body: one that names the store is refused, also in what only the backend can read."""
    named_in(data)
    if not refused(check_body, data):
        values = [_value(data)] if _value(data) is not None else map(_value, data.split(b"\n"))
        assert not any(_names_store(value) for value in values)
    else:
        assert refused(check_body, data + b"/**/")
    if (value := _value(data)) is not None and _names_store(value):
        for coding in ("utf-16-le", "utf-16-be", "utf-32-le"):
            assert refused(check_body, data.decode().encode(coding))


def _value(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _names_store(value: Any) -> bool:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            named = [each.get(name) for name in ("_index", "index", "indices")]
            if any(name == INDEX or (isinstance(name, list) and INDEX in name) for name in named):
                return True
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return False


_LINE_TOKENS: Final = tuple(
    b'{"index":{}}|{"create":{"_index":"a","_id":"1"}}|{"delete":{"_id":"1"}}|{"update":{}}|\n|'
    b'\n\n|\r\n|"_index":|"_id":|"index":|"indices":|"pipeline":"p"|"routing":1|"a"|["a","b"]|'
    b'".querymill"|".query*"|"\\u002equerymill"|<.querymill>|{"doc":{}}|"expand_wildcards":|'
    b'"if_seq_no":1|{"query":{"match_all":{}}}|"query":'.split(b"|")
)

HARNESSES: Final = (
    Harness("bulk", run_bulk, _LINE_TOKENS),
    Harness("msearch", run_msearch, _LINE_TOKENS),
    Harness("guard", run_guard, _LINE_TOKENS),
)
