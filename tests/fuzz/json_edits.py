"""Harnesses of JSON that is edited as text: what nobody touched has to stay as it was written."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from pipelines.jsontext.graft import graft, loses_nothing
from pipelines.jsontext.json_text import one_line, parse, same, write
from pipelines.jsontext.slices import Slice, elements, member, members, replaced
from pipelines.payload import Payload
from proxy.formats.filter_path import FilterPath
from proxy.formats.pretty import pretty
from proxy.http.query_string import QueryString
from proxy.protocol.search_params import merge_url, merged_text
from tests.fuzz.harness import Harness, declared

_NO_SPACE: Final = str.maketrans("", "", " \t\r\n")
_BAD_JSON: Final = (ValueError, json.JSONDecodeError)


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are the same, as far as they can be compared."""
    return declared((RecursionError,), same, one, other) is not False


def run_graft(data: bytes) -> None:
    """Two lines, the old text and the new: the result has the new one's value."""
    first, _, second = data.partition(b"\n")
    old, new = _valid(first), _valid(second)
    if old is None:
        return
    value = declared((RecursionError,), parse, old)
    assert graft(old, old).strip() == one_line(old).strip()
    if loses_nothing(old, value):
        assert write(value).translate(_NO_SPACE) == old.translate(_NO_SPACE)
    assert _equal(declared((RecursionError,), parse, pretty(old)), value)
    if new is not None:
        grafted = graft(old, new)
        wanted = declared((RecursionError,), parse, new)
        assert _equal(declared((RecursionError,), parse, grafted), wanted)
        assert "\n" not in grafted
        grafted.encode()


def _valid(line: bytes) -> str | None:
    """The line as JSON text; None for what the parser in front of all these refuses."""
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return line.decode()


def run_search(data: bytes) -> None:
    """A line with a query string, and the body of a search that it is laid over."""
    line, _, body = data.partition(b"\n")
    query = QueryString(line.decode("ascii", "ignore"))
    payload = declared((ValueError, orjson.JSONDecodeError), Payload.parse, body)
    if payload is None:
        return
    merged, left = merge_url(payload.data, query)
    text = declared((ValueError,), merged_text, body, query)
    if text is not None:
        grafted = graft(payload.text, text)
        assert Payload.parse(grafted).data.keys() == merged.keys()
        assert merge_url(merged, left)[1].raw == left.raw


def run_json_text(data: bytes) -> None:
    """Any text: what is read as JSON can be written, and is the same then."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    value = declared((*_BAD_JSON, orjson.JSONDecodeError, RecursionError), parse, text)
    if value is None:
        return
    written = declared((RecursionError,), write, value)
    if written is not None:
        written.encode()
        assert _equal(parse(written), value)


def run_spans(data: bytes) -> None:
    """Any text: slices lie in it in order, and putting them back changes nothing."""
    text = data.decode("utf-8", "replace")
    for walk in (members, elements):
        parts = declared(_BAD_JSON, walk, text)
        if parts is None:
            continue
        assert replaced(text, [(part, text[part.start : part.end]) for part in parts]) == text
        ends = [0, *(part.end for part in parts)]
        for end, part in zip(ends, parts, strict=False):
            assert end < part.start < part.end
            _check_inside(text, part)
        emptied = replaced(text, [(part, "0") for part in reversed(parts)])
        assert len(walk(emptied)) == len(parts)
        for part in parts[:5]:
            assert member(text, part.key) if walk is members else True


def _check_inside(text: str, part: Slice) -> None:
    """Spans of what lies inside are found from their start, and end no later."""
    first = text[part.start]
    if first in "{[":
        inner = (members if first == "{" else elements)(text, part.start)
        assert all(each.end < part.end for each in inner)


def run_filter_path(data: bytes) -> None:
    """A line with a filter_path, and a response: what is left was in it."""
    paths, _, body = data.partition(b"\n")
    try:
        response = orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    if not isinstance(response, dict):
        return
    text = paths.decode("utf-8", "replace")
    for elasticsearch in (False, True):
        filters = declared((ValueError,), FilterPath.parse, text, elasticsearch=elasticsearch)
        if filters is None:
            continue
        left = declared((RecursionError,), filters.apply, response)
        if left is None:
            continue
        assert _part_of(left, response)
        if not filters:
            assert left is response


def _part_of(part: Any, whole: Any) -> bool:
    if part is whole:
        return True
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and _part_of(value, whole[name]) for name, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        rest = iter(whole)
        return all(any(_part_of(value, other) for other in rest) for value in part)
    return bool(part == whole)


_JSON_TOKENS: Final = tuple(
    b'{"a":1.10}|{"a":1e5,"a":2}|[1,2,3]|"_id":"1"|"_index":"i"|{"_id":"1","_source":{}}|'
    b'"hits":{"hits":[|]}|,"b":|-0.0|1E400|0.1e-7|12345678901234567890|"\\ud83d\\ude00"|"\\udc00"|'
    b'\n|{ "a" :\t[ ] }|\\/|\\u0041|,,|[[|]]|}'.split(b"|")
)
_PATH_TOKENS: Final = tuple(
    b"**|*|**.**.**.|*a*a*a*b|-|,-|hits.hits._source|\\.|\\|..|.|took|_shards.*|,|\n|"
    b'{"hits":{"hits":[{"_source":{"a":{"b":[1]}}}]}}|"aaaaaaaaaaaaaaaaaaaaaaaa":1|{"a":'.split(
        b"|"
    )
)

_SEARCH_TOKENS: Final = (
    *b"&q=|&df=|&size=|&from=-1|&sort=a:desc,b|&_source=|&_source_excludes=a|&track_total_hits=|".split(
        b"|"
    ),
    *b'&suggest_field=|&suggest_size=|&stats=|&explain|=true|=|&|;|%22|\n|\n{|"size":1.0|'.split(
        b"|"
    ),
    *b'"query":{"bool":{"must":[{}]}}|"from":12345678901234567890|"a":1e400|"_source":false|{'.split(
        b"|"
    ),
)

HARNESSES: Final = (
    Harness("search", run_search, _SEARCH_TOKENS),
    Harness("graft", run_graft, _JSON_TOKENS),
    Harness("json_text", run_json_text, _JSON_TOKENS),
    Harness("spans", run_spans, _JSON_TOKENS),
    Harness("filter_path", run_filter_path, _PATH_TOKENS),
)
