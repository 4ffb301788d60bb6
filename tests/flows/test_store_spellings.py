"""The store under names and in bodies that the backend reads in other ways than a plain parser."""

from __future__ import annotations

import pytest

from tests.client import Client

ONE = "def query(request, context):\n    return {**request, 'size': 1}\n"
JSON = "application/json"
MGET = '{"docs":[{"_index":".querymill","_id":"x"}]}'

SPELLINGS: dict[str, tuple[str, str, bytes | None, str]] = {
    "date math without a date": ("GET", "/%3C.querymill%3E/_search", None, JSON),
    "date math with a literal": (
        "GET",
        "/%3C.query%7Bnow%7B%27mill%27%7D%7D%3E/_search",
        None,
        JSON,
    ),
    "date math with a backslash": ("GET", "/%3C.query%5Cmill%3E/_count", None, JSON),
    "date math in the query": ("GET", "/_search?index=%3C.querymill%3E", None, JSON),
    "date math in an item": ("POST", "/_msearch", b'{"index":"<.querymill>"}\n{}\n', JSON),
    "date math in a bulk": ("POST", "/_bulk", b'{"index":{"_index":"<.querymill>"}}\n{}\n', JSON),
    "comment in an item": ("POST", "/_msearch", b'{"index":".querymill"/**/}\n{}\n', JSON),
    "comment in a bulk": (
        "POST",
        "/_bulk",
        b'{"index":{"_index":".q\\u0075erymill","_id":"x"}/**/}\n{}\n',
        JSON,
    ),
    "comment in a body": ("POST", "/_mget", MGET.replace("qu", "q\\u0075").encode() + b"//", JSON),
    "UTF-16": ("POST", "/_mget", MGET.encode("utf-16-le"), JSON),
    "UTF-32": ("POST", "/_mget", MGET.encode("utf-32-be"), JSON),
    "YAML escape": (
        "POST",
        "/_mget",
        b'docs:\n- _index: ".query\\x6dill"\n  _id: x\n',
        "application/yaml",
    ),
    "CBOR in pieces": (
        "POST",
        "/_mget",
        b"\xa1\x64docs\x81\xa2\x66_index\x7f\x66.query\x64mill\xff\x63_id\x61x",
        "application/cbor",
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
async def test_no_spelling_reaches_the_store(proxy: Client, name: str) -> None:
    """What the backend would take for the store's name is refused, however it is written."""
    await proxy.define("one", "query", ONE)
    method, target, body, media_type = SPELLINGS[name]
    headers = {"Content-Type": media_type} if body is not None else {}
    answer = await proxy.call(method, target, body, headers=headers)
    assert answer.status in (400, 403), (answer.status, answer.body[:600])


async def test_json_called_cbor(proxy: Client, direct: Client) -> None:
    """Is the backend's to refuse, unless it names the store."""
    headers = {"Content-Type": "application/cbor"}
    body = b'{"source":{"index":"one"},"dest":{"index":"two"}}'
    got = await proxy.call("POST", "/_reindex", body, headers)
    wanted = await direct.call("POST", "/_reindex", body, headers)
    assert (got.status, got.body) == (wanted.status, wanted.body)
    named = body.replace(b"one", b".querymill")
    assert (await proxy.call("POST", "/_reindex", named, headers)).status == 403
