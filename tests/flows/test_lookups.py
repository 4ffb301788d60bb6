"""Queries that fetch a document by themselves get past no final pipeline, on OpenSearch."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest

from tests.client import Client, Response

SAME_QUERY = "def query(r, c): return r"
FINAL = {"index.query.final_pipeline": "keep"}


@pytest.fixture
async def open_index(proxy: Client, index_name: str) -> str:
    """An index without pipelines beside one, ``-kept``, with a final one."""
    await proxy.index(index_name, {"1": {"tag": "secret"}, "2": {"tag": "other"}})
    await proxy.index(f"{index_name}-kept", {"1": {"tag": "secret"}})
    return index_name


async def keep(proxy: Client, index: str) -> None:
    await proxy.define("keep", "query", SAME_QUERY)
    assert (await proxy.put(f"/{index}-kept/_settings", FINAL)).status == 200


def lookups(index: str) -> dict[str, Any]:
    """The queries that read a document of `index`."""
    terms = {"terms": {"tag.keyword": {"index": index, "id": "1", "path": "tag"}}}
    return {
        "terms": terms,
        "nested": {"bool": {"must": [terms]}},
        "more_like_this": {
            "more_like_this": {
                "fields": ["tag"], "like": [{"_index": index, "_id": "1"}],
                "min_term_freq": 1, "min_doc_freq": 1,
            }
        },
        "percolate": {"percolate": {"field": "q", "index": index, "id": "1"}},
        "geo_shape": {
            "geo_shape": {"at": {"indexed_shape": {"index": index, "id": "1", "path": "tag"}}}
        },
    }  # fmt: skip


def refused(response: Response) -> bool:
    return response.status == 403 and response.error["type"] == "security_exception"


@pytest.mark.parametrize("kind", sorted(lookups("x")))
async def test_a_lookup_in_a_kept_index(proxy: Client, open_index: str, kind: str) -> None:
    """Is refused once the index has a final pipeline, and is the backend's affair before."""
    body = {"query": lookups(f"{open_index}-kept")[kind]}
    before = await proxy.post(f"/{open_index}/_search", body)
    assert before.status == (400 if kind in ("geo_shape", "percolate") else 200), before.body
    await keep(proxy, open_index)
    response = await proxy.post(f"/{open_index}/_search", body)
    assert refused(response)
    assert "[keep]" in response.error["reason"]
    own = await proxy.post(f"/{open_index}/_search", {"query": lookups(open_index)[kind]})
    assert own.status == before.status


async def test_every_way_to_send_a_query(proxy: Client, open_index: str) -> None:
    """Each endpoint with a query, each spelling and format of the body."""
    await keep(proxy, open_index)
    query = {"query": lookups(f"{open_index}-kept")["terms"]}
    text = orjson.dumps(query)
    escaped = text.replace(b"index", b"\\u0069ndex")
    template = {"source": text.decode(), "params": {}}
    lines = b'{"index":"%s"}\n%s\n'
    for target, body, headers in [
        (f"/{open_index}/_count", text, {}),
        (f"/{open_index}/_explain/1", text, {}),
        (f"/{open_index}/_validate/query", text, {}),
        (f"/{open_index}/_delete_by_query", text, {}),
        (f"/{open_index}/_update_by_query", text, {}),
        (f"/{open_index}/_search", escaped, {}),
        (f"/{open_index}/_search", gzip.compress(text), {"Content-Encoding": "gzip"}),
        (f"/{open_index}/_search", text, {"Content-Type": "application/yaml"}),
        (f"/{open_index}/_search/template", orjson.dumps(template), {}),
        ("/_msearch", lines % (open_index.encode(), text), {}),
        ("/_msearch/template", lines % (open_index.encode(), orjson.dumps(template)), {}),
    ]:
        assert refused(await proxy.call("POST", target, body, headers)), target
    commented = text.replace(b"{", b"{/**/", 1)
    assert refused(await proxy.post(f"/{open_index}/_search", commented))


async def test_other_bodies_pass(proxy: Client, direct: Client, open_index: str) -> None:
    """What names an index but no document, a broken template, a broken body without the word."""
    await keep(proxy, open_index)
    for target, body in [
        (f"/{open_index}/_search", {"query": {"term": {"index": f"{open_index}-kept"}}}),
        (f"/{open_index}/_search", {"query": {"ids": {"values": ["1"]}}}),
        (f"/{open_index}/_search/template", {"id": "no-such-template"}),
        (f"/{open_index}/_search", b'{"query":'),
    ]:
        got, wanted = [await each.post(target, body) for each in (proxy, direct)]
        assert (got.status, got.data.get("error")) == (wanted.status, wanted.data.get("error"))


async def test_the_store_is_looked_up_by_nobody(proxy: Client, open_index: str) -> None:
    """With or without final pipelines anywhere."""
    await proxy.define("keep", "query", SAME_QUERY)
    lookup = {"index": ".querymill", "id": "pipeline:keep", "path": "body.name"}
    body = orjson.dumps({"query": {"terms": {"tag": lookup}}})
    for sent in (body, body.replace(b".query", b"\\u002equery"), body.replace(b'".q', b'"<.q')):
        assert (await proxy.post(f"/{open_index}/_search", sent)).status == 403
