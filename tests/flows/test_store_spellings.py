"""The store under names and in bodies that the backend reads in other ways than a plain parser."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Final

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
    response = await proxy.call(method, target, body, headers=headers)
    assert response.status == 403, (response.status, response.body[:600])


async def test_json_called_cbor(proxy: Client, direct: Client) -> None:
    """Is the backend's to refuse, unless it names the store."""
    headers = {"Content-Type": "application/cbor"}
    body = b'{"source":{"index":"one"},"dest":{"index":"two"}}'
    got = await proxy.call("POST", "/_reindex", body, headers)
    wanted = await direct.call("POST", "/_reindex", body, headers)
    assert (got.status, got.body) == (wanted.status, wanted.body)
    named = body.replace(b"one", b".querymill")
    assert (await proxy.call("POST", "/_reindex", named, headers)).status == 403


LOOKUP = '{"query":{"terms":{"a":{"index":".querymill","id":"x","path":"a"}}}}'
ALIAS = '{"actions":[{"add":{"index":".querymill","alias":"x"}}]}'
# Each body with the store's name in it, spelled in every way that a backend reads.
NAMED = {
    "mget": ("POST", "/_mget", MGET),
    "terms": ("POST", "/_search", LOOKUP),
    "count": ("POST", "/_count", LOOKUP),
    "aliases": ("POST", "/_aliases", ALIAS),
    "reindex": ("POST", "/_reindex", '{"source":{"index":".querymill"},"dest":{"index":"x"}}'),
    "msearch": ("POST", "/_msearch", '{"index":".querymill"}\n{}\n'),
    "msearch after an empty line": ("POST", "/_msearch", '\n{"index":".querymill"}\n{}\n'),
    "msearch of a lookup": ("POST", "/_msearch", "{}\n" + LOOKUP + "\n"),
    "bulk": ("POST", "/_bulk", '{"index":{"_index":".querymill"}}\n{}\n'),
}
WAYS: Final[Mapping[str, Callable[[str], bytes]]] = {
    "plain": lambda t: t.encode(),
    "escape": lambda t: t.replace("query", "q\\u0075ery").encode(),
    "escape in the key": lambda t: t.replace("index", "ind\\u0065x").encode(),
    "comment": lambda t: t.replace('":', '"/*"*/:').encode(),
    "comment before the name": lambda t: t.replace('".query', '/*x*/".query').encode(),
    "mark": lambda t: b"\xef\xbb\xbf" + t.encode(),
    "two bytes": lambda t: t.encode().replace(b"query", b"\xc1\xb1uery"),
    "three bytes": lambda t: t.encode().replace(b"query", b"\xe0\x81\xb1uery"),
    "pattern": lambda t: t.replace(".querymill", ".quer*").encode(),
    "date math": lambda t: t.replace(".querymill", "<.query{now{'mill'}}>").encode(),
    "list": lambda t: t.replace(".querymill", "a,.querymill").encode(),
    "deep": lambda t: t.replace("{", '{"x":' + "[" * 1100 + "]" * 1100 + ",", 1).encode(),
    "half a pair": lambda t: t.replace("{", '{"x":"\\ud83d",', 1).encode(),
    "beyond a double": lambda t: t.replace("{", '{"x":1e400,', 1).encode(),
    "key before": lambda t: t.replace('"index":".', '"index":"x","index":".').encode(),
    "key behind": lambda t: t.replace('mill"', 'mill","index":"x"', 1).encode(),
}


@pytest.mark.parametrize("name", NAMED)
async def test_no_way_to_write_a_body_reaches_the_store(proxy: Client, name: str) -> None:
    """On no endpoint that takes names in its body, plain, in gzip and in deflate."""
    method, target, text = NAMED[name]
    codings = ("identity", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)
    for way, write in WAYS.items():
        if way == "mark" and text.startswith("\n"):
            # A line of its own then, which the backend refuses.
            continue
        if way == "pattern" and name in ("msearch", "msearch after an empty line"):
            # Goes on without the store.
            continue
        for coding, pack in codings:
            headers = {"Content-Type": JSON, "Content-Encoding": coding}
            response = await proxy.call(method, target, pack(write(text)), headers)
            assert response.status == 403, (way, coding, response.status, response.body[:300])


async def test_an_action_after_a_delete(proxy: Client) -> None:
    """A delete has no document, so that the line behind it is an action."""
    body = b'{"delete":{"_index":"a","_id":"1"}}\n{"index":{"_index":".querymill"}}\n{}\n'
    assert (await proxy.call("POST", "/_bulk", body, {"Content-Type": JSON})).status == 403


async def test_a_list_in_an_object_as_index(proxy: Client) -> None:
    """OpenSearch takes the text of an object for a list of names, which has the store in it."""
    body = b'{"index":{"a":",.querymill,"}}\n{}\n'
    assert (await proxy.call("POST", "/_msearch", body, {"Content-Type": JSON})).status == 403


async def test_a_coding_that_is_not_read(proxy: Client) -> None:
    """Could hide the name, so that it is refused where bodies can name indices."""
    for coding in ("br", "snappy", "zstd"):
        headers = {"Content-Type": JSON, "Content-Encoding": coding}
        for method, target in (("POST", "/_mget"), ("POST", "/_bulk"), ("POST", "/_search")):
            assert (await proxy.call(method, target, b"xx", headers)).status == 415


# What is about the name, and does not name the index.
INNOCENT = {
    "a text": ("POST", "/{index}/_search", '{"query":{"match":{"t":".querymill"}}}'),
    "a broken text": ("POST", "/{index}/_search", '{"query":{"match":{"t":".querymill \\u0041"}}'),
    "half a pair": ("POST", "/{index}/_search", '{"query":{"match":{"t":"\\ud83d"}}}'),
    "a field": ("POST", "/{index}/_search", '{"query":{"term":{"index":".querymill"}}}'),
    "a document": ("PUT", "/{index}/_doc/1", '{"index":".querymill","id":"<.querymill>"}'),
    "a document of a bulk": ("POST", "/{index}/_bulk", '{"create":{}}\n{"index":".querymill"}\n'),
    "a broken document": ("POST", "/{index}/_bulk", '{"index":{}}\n{"_index":".querymill"\n'),
    "an id": ("POST", "/{index}/_mget", '{"ids":[".querymill","<.querymill>","\\ud83d"]}'),
    "markup": ("POST", "/{index}/_mget", '{"ids":["<a href=\\"x\\">*</a>"]}'),
    "a broken list": ("POST", "/{index}/_mget", '{"ids":["\\u0041"'),
    "an msearch": ("POST", "/{index}/_msearch", '{}\n{"query":{"match":{"index":".querymill"}}}\n'),
    "a comment behind": ("POST", "/{index}/_mget", '{"ids":["1"]} // .querymill \\u0041'),
    "another name": ("POST", "/_mget", '{"docs":[{"_index":"my.querymill","_id":"\\u0041"}]}'),
}


@pytest.mark.parametrize("name", INNOCENT)
async def test_what_does_not_name_the_store(
    proxy: Client, direct: Client, index_name: str, name: str
) -> None:
    """Is answered as the backend answers it, on an index without pipelines."""
    await direct.put(f"/{index_name}", {})
    method, target, text = INNOCENT[name]
    other = f"{index_name}-direct"
    await direct.put(f"/{other}", {})
    headers = {"Content-Type": JSON}
    got = await proxy.call(method, target.replace("{index}", index_name), text.encode(), headers)
    wanted = await direct.call(method, target.replace("{index}", other), text.encode(), headers)
    assert got.status == wanted.status
    if wanted.status >= 400:
        assert got.data["error"]["type"] == wanted.data["error"]["type"]


@pytest.mark.parametrize("comment", ["// x", '/* "delete" */', "\ufeff// x", " /**/\t// {}"])
async def test_comments_before_an_action(proxy: Client, index_name: str, comment: str) -> None:
    """Do not make it look like a document, whose names would not count."""
    named = '{"index":{"_index":".querymill","_id":"x"}}\n{"k":1}\n'
    other = f'{{"index":{{"_index":"{index_name}","_id":"1"}}}}\n{{"index":".querymill"}}\n'
    removal = {"delete": {"_index": index_name, "_id": "2"}}
    for before in ("", json.dumps(removal) + "\n", other):
        body = f"{before}{comment}\n{named}".encode()
        assert (await proxy.post("/_bulk", body)).status == 403
    innocent = await proxy.post("/_bulk", f"{comment}\n{other}{comment}\n".encode())
    assert innocent.status == 200
    assert [item["index"]["status"] for item in innocent.data["items"]] == [201]
