"""Result pipelines on the real OpenSearch: the order changes, failures leave the response alone."""

from __future__ import annotations

import gzip

import orjson

from tests.client import Client
from tests.conftest import StartProxy, connect

DOCUMENTS = {
    "1": {"title": "lamp", "popularity": 0.1},
    "2": {"title": "lamp", "popularity": 0.9},
    "3": {"title": "lamp", "popularity": 0.5},
}

BY_POPULARITY = """import json
def udf_main():
    response = json.loads(get_field_string("results"))
    response["hits"]["hits"].sort(key=lambda hit: -hit["_source"]["popularity"])
    return json.dumps(response)
"""
BROKEN = "def result(response, context):\n    return None\n"


async def test_a_result_pipeline_changes_the_order(proxy: Client, index_name: str) -> None:
    """A UDF of the first style sorts the hits of a response."""
    await proxy.index(index_name, DOCUMENTS)
    await proxy.define("popular", "result", BY_POPULARITY)
    assert (await proxy.get(f"/{index_name}/_search")).ids == ["1", "2", "3"]
    await proxy.attach(index_name, result="popular")
    response = await proxy.get(f"/{index_name}/_search")
    assert response.ids == ["2", "3", "1"]
    assert response.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert int(response.headers["Content-Length"]) == len(response.body)


async def test_a_failing_result_stage_leaves_the_original_response(
    proxy: Client, index_name: str
) -> None:
    """The bytes of the backend come back, with a Warning."""
    await proxy.index(index_name, DOCUMENTS)
    await proxy.define("broken", "result", BROKEN)
    response = await proxy.get(f"/{index_name}/_search?pipeline=broken")
    assert response.ids == ["1", "2", "3"]
    assert "invalid_result" in response.headers["Warning"]
    assert (await proxy.get("/_pipeline/broken/_stats")).data["degraded"] == 1


async def test_a_stage_that_may_fail_lets_the_others_do_their_work(
    proxy: Client, index_name: str
) -> None:
    """With on_failure continue the next stage gets what the failed one was given."""
    await proxy.index(index_name, DOCUMENTS)
    await proxy.put_udf("broken", BROKEN)
    await proxy.put_udf("popular", BY_POPULARITY)
    await proxy.put_pipeline(
        "both", "result", "broken", "popular", stage={"on_failure": "continue"}
    )
    response = await proxy.get(f"/{index_name}/_search?pipeline=both")
    assert response.ids == ["2", "3", "1"]
    assert "Warning" in response.headers
    stages = (await proxy.get("/_pipeline/both/_stats")).data["stages"]
    assert (stages["broken"]["failure"], stages["popular"]["success"]) == (1, 1)


async def test_query_and_result_stages_share_state_and_the_request(
    proxy: Client, index_name: str
) -> None:
    """What a query stage keeps in `context.state` is there for the result stage."""
    await proxy.index(index_name, DOCUMENTS)
    await proxy.define(
        "remember",
        "query",
        "def query(request, context):\n"
        "    context.state['asked'] = request.get('size')\n"
        "    request['size'] = 2\n"
        "    return request\n",
    )
    await proxy.define(
        "recall",
        "result",
        "def result(response, context):\n"
        "    response['asked'] = context.state['asked']\n"
        "    response['sent'] = context.request['size']\n"
        "    return response\n",
    )
    await proxy.attach(index_name, query="remember", result="recall")
    response = await proxy.post(f"/{index_name}/_search", {"size": 3})
    assert (response.data["asked"], response.data["sent"], len(response.ids)) == (3, 2, 2)


async def test_a_client_that_takes_gzip_gets_a_readable_response(
    proxy: Client, index_name: str
) -> None:
    """A result pipeline reads the response uncompressed; a request body may be compressed."""
    await proxy.index(index_name, DOCUMENTS)
    await proxy.define("popular", "result", BY_POPULARITY)
    body = gzip.compress(orjson.dumps({"query": {"match": {"title": "lamp"}}}))
    response = await proxy.call(
        "POST",
        f"/{index_name}/_search?pipeline=popular",
        body,
        {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"},
    )
    assert response.ids == ["2", "3", "1"]


async def test_a_response_above_the_limit_streams_through_untouched(
    start_proxy: StartProxy, index_name: str
) -> None:
    """What is too large for a pipeline reaches the client whole, with a Warning."""
    async with connect(await start_proxy(max_transform_bytes="64KB")) as proxy:
        filler = {str(n): {"title": "x" * 1000, "popularity": n} for n in range(100)}
        await proxy.index(index_name, filler)
        await proxy.define("popular", "result", BY_POPULARITY)
        over = await proxy.get(f"/{index_name}/_search?size=100&pipeline=popular")
        assert len(over.ids) == 100
        assert "did not run" in over.headers["Warning"]
        under = await proxy.get(f"/{index_name}/_search?size=10&pipeline=popular")
        assert "Warning" not in under.headers
        assert under.ids == sorted(under.ids, key=lambda doc_id: -int(doc_id))
