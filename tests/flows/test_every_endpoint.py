"""That what is attached to an index shows on every endpoint it should, and on no other.

| endpoints | query | result | document |
| --- | --- | --- | --- |
| `_search` | test_query_pipelines | test_result_pipelines | |
| `_msearch` | test_read_surface | test_read_surface | |
| search of a point in time | test_cursors | test_cursors | |
| asynchronous search | test_async_search | test_async_search | |
| `_search/template`, `_msearch/template` | test_read_surface, here | here | |
| `_search/scroll` | | test_cursors | |
| `_count`, `_explain`, `_validate/query` | test_read_surface | | |
| `_delete_by_query`, `_update_by_query` | test_read_surface | | |
| `_doc`, `_create`, `_bulk` | | | test_document_pipelines |
| `_update` | | | test_updates |
| `_doc`, `_source`, `_mget` read | | test_peer_holes, here | |
| everything else | here | here | here |
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.client import Client

NARROW = "def query(r, c):\n    return {**r, 'query': {'term': {'n': 1}}}\n"
MARK = "def result(r, c):\n    return {**r, 'marked': True}\n"
STAMP = "def document(d, c):\n    return {**d, 'stamped': True}\n"
SAME = "def query(r, c):\n    return r\n"


async def prepared(proxy: Client, index: str) -> None:
    await proxy.index(index, {str(n): {"n": n, "text": "red shoe"} for n in range(3)})
    await proxy.define("narrow", "query", NARROW)
    await proxy.define("mark", "result", MARK)
    await proxy.define("stamp", "document", STAMP)
    await proxy.attach(index, query="narrow", result="mark", document="stamp")


def lines(*parts: Any) -> bytes:
    return b"".join((orjson.dumps(p) if not isinstance(p, bytes) else p) + b"\n" for p in parts)


async def test_templates_have_the_defaults_of_their_index(proxy: Client, index_name: str) -> None:
    """One search, several at once, and the pages that follow."""
    await prepared(proxy, index_name)
    template = {"source": '{"size": {{size}}}', "params": {"size": 5}}
    url = f"/{index_name}/_search/template"
    one = await proxy.post(f"{url}?scroll=1m", template)
    assert (one.ids, one.data["marked"]) == (["1"], True)
    page = await proxy.post("/_search/scroll", {"scroll_id": one.data["_scroll_id"]})
    assert (page.ids, page.data["marked"]) == ([], True)
    body = lines({"index": index_name}, template, {"index": index_name}, template)
    several = await proxy.post("/_msearch/template", body)
    for response in several.data["responses"]:
        assert [hit["_id"] for hit in response["hits"]["hits"]] == ["1"]
        assert response["marked"] is True


async def test_an_item_that_no_stage_changed_keeps_its_bytes(
    proxy: Client, index_name: str
) -> None:
    """Beside one that was: a number of 24 digits is still found, which no float would do."""
    number = "123456789012345678901234"
    await proxy.put(f"/{index_name}", {"mappings": {"properties": {"k": {"type": "keyword"}}}})
    await proxy.index(index_name, {"1": {"k": number, "n": 1}, "2": {"n": 2}})
    await proxy.define("narrow", "query", NARROW)
    await proxy.define("same", "query", SAME)
    term = b'{"query" : {"term":{"k":%b}} }' % number.encode()
    body = lines({"pipeline": "narrow"}, {}, {"pipeline": "same"}, term)
    response = await proxy.post(f"/{index_name}/_msearch", body)
    assert [[hit["_id"] for hit in r["hits"]["hits"]] for r in response.data["responses"]] == [
        ["1"],
        ["1"],
    ]


async def test_reads_by_id_have_only_the_pipelines_that_declare_it(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """Another default is left out; one that is named and does not apply is an error."""
    await prepared(proxy, index_name)
    for target in (f"/{index_name}/_doc/1", f"/{index_name}/_source/1"):
        response = await proxy.get(target)
        assert response.body == (await direct.get(target)).body
        assert "Querymill-Pipelines" not in response.headers
        refused = await proxy.get(f"{target}?pipeline=mark")
        assert (refused.status, "does not apply" in refused.error["reason"]) == (400, True)
    ids = {"ids": ["0", "9"]}
    many = await proxy.post(f"/{index_name}/_mget", ids)
    assert many.body == (await direct.post(f"/{index_name}/_mget", ids)).body


EVERYTHING_ELSE: list[tuple[str, str, Any]] = [
    ("GET", "/{i}/_field_caps?fields=*", None),
    ("GET", "/{i}/_mapping", None),
    ("GET", "/{i}/_alias", None),
    ("POST", "/{i}/_analyze", {"text": "Red Shoe"}),
    ("GET", "/{i}/_search_shards?filter_path=shards.index", None),
    ("GET", "/{i}/_termvectors/1?fields=text&filter_path=-took", None),
    ("POST", "/{i}/_rank_eval", {"requests": [], "metric": {"precision": {"k": 1}}}),
    ("GET", "/_cat/count/{i}?h=count", None),
    ("HEAD", "/{i}/_doc/1", None),
    ("POST", "/_render/template", {"source": '{"size": {{s}}}', "params": {"s": 1}}),
]


@pytest.mark.parametrize(
    ("method", "target", "body"), EVERYTHING_ELSE, ids=[target for _, target, _ in EVERYTHING_ELSE]
)
async def test_everything_else_passes(
    proxy: Client, direct: Client, index_name: str, method: str, target: str, body: Any
) -> None:
    """Byte for byte, though pipelines of all types are attached."""
    await prepared(proxy, index_name)
    path = target.format(i=index_name)
    response = await proxy.call(method, path, body)
    expected = await direct.call(method, path, body)
    assert (response.status, response.body) == (expected.status, expected.body)
    assert "Querymill-Pipelines" not in response.headers


async def test_a_deletion_passes(proxy: Client, direct: Client, index_name: str) -> None:
    """One by one and in a bulk, with a document pipeline attached."""
    await prepared(proxy, index_name)
    deleted = await proxy.delete(f"/{index_name}/_doc/0?refresh=true")
    assert (deleted.status, deleted.data["result"]) == (200, "deleted")
    assert "Querymill-Pipelines" not in deleted.headers
    body = lines({"delete": {"_id": "1"}})
    await proxy.post(f"/{index_name}/_bulk?refresh=true", body)
    assert (await direct.get(f"/{index_name}/_search")).ids == ["2"]
