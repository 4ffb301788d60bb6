"""Stages that declare what they read, on the real OpenSearch."""

from __future__ import annotations

from tests.client import Client

DOCUMENTS = {
    "1": {"title": "lamp", "popularity": 0.1, "price": 12.50},
    "2": {"title": "lamp", "popularity": 0.9, "price": 7.00},
    "3": {"title": "lamp", "popularity": 0.5, "price": 3.10},
}
RERANK = """
def result(response, context):
    assert response == {}
    context.hits.rescore(lambda hit: hit["_score"] + hit["_source"]["popularity"])
"""


async def test_a_reranker_that_declares_its_fields(proxy: Client, index_name: str) -> None:
    """Scores, order and `max_score` are new, everything else is the backend's."""
    await proxy.index(index_name, DOCUMENTS)
    config = {"input": ["_score", "_source.popularity"]}
    await proxy.define("rerank", "result", RERANK, config=config)
    query = {"query": {"match": {"title": "lamp"}}, "aggs": {"dear": {"max": {"field": "price"}}}}
    before = (await proxy.post(f"/{index_name}/_search?pipeline=_none", query)).data
    response = await proxy.post(f"/{index_name}/_search?pipeline=rerank", query)
    assert "Warning" not in response.headers
    assert response.headers["Querymill-Pipelines"] == "rerank@1.0.0#1"
    assert response.ids == ["2", "3", "1"]
    old = {hit["_id"]: hit for hit in before["hits"]["hits"]}
    for hit in response.data["hits"]["hits"]:
        score = old[hit["_id"]]["_score"] + hit["_source"]["popularity"]
        assert hit == {**old[hit["_id"]], "_score": score}
    assert response.data["hits"]["max_score"] == response.data["hits"]["hits"][0]["_score"]
    assert response.data["hits"]["total"] == before["hits"]["total"]
    assert response.data["aggregations"] == before["aggregations"]


async def test_hits_can_be_dropped_and_written_to(proxy: Client, index_name: str) -> None:
    """Also with a source that was written with spaces and zeros, which stays so."""
    await proxy.put(f"/{index_name}/_doc/1?refresh=true", b'{ "n": 1.50, "secret": "a" }')
    await proxy.put(f"/{index_name}/_doc/2?refresh=true", b'{ "n": 2.50, "secret": "b" }')
    source = (
        "def result(response, context):\n"
        "    context.hits.keep(lambda hit: hit['_id'] == '1')\n"
        "    for hit in context.hits:\n"
        "        hit.delete('_source.secret')\n"
        "        hit.set('why', 'kept')\n"
    )
    await proxy.define("keep", "result", source, config={"input": ["_id"]})
    response = await proxy.get(f"/{index_name}/_search?pipeline=keep")
    assert response.ids == ["1"]
    assert b'"_source":{"n":1.50},"why":"kept"' in response.body.replace(b'": ', b'":')


async def test_a_document_stage_that_declares_its_fields(proxy: Client, index_name: str) -> None:
    """What it returns is set; what it was not given is stored as it was sent."""
    source = (
        "def document(doc, context):\n"
        "    assert list(doc) == ['title']\n"
        "    return {'title': doc['title'].strip(), 'words': len(doc['title'].split())}\n"
    )
    await proxy.define("tidy", "document", source, config={"input": ["title"]})
    body = b'{"price":1.50,"title":"  red lamp ","id":123456789012345678901234567890}'
    await proxy.put(f"/{index_name}", {"mappings": {"dynamic": False}})
    response = await proxy.put(f"/{index_name}/_doc/1?pipeline=tidy", body)
    assert response.status == 201, response.body
    stored = await proxy.get(f"/{index_name}/_source/1")
    expected = body.replace(b"  red lamp ", b"red lamp").replace(b"}", b',"words":2}')
    assert stored.body == expected


async def test_input_is_refused_where_it_cannot_be(proxy: Client) -> None:
    """A query pipeline with it is a 400 that names the place."""
    await proxy.put_udf("same", "def query(request, context): return request")
    stage = {"name": "s", "type": "python", "config": {"udf_name": "same", "input": ["size"]}}
    response = await proxy.put("/_pipeline/q", {"type": "query", "stages": [stage]})
    assert response.status == 400
    assert response.error["path"] == "stages[0].config.input"
