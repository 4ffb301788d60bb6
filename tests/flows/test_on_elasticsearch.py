"""The main flows on a real Elasticsearch: what holds on OpenSearch holds there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from proxy.embedded import EmbeddedCluster
from tests.client import Client, Response
from tests.conftest import StartOn, connect

CUT = "def query(r, c):\n    c.state['asked'] = 'yes'\n    return {**r, 'size': 2, 'sort': ['n']}\n"
MARK = "def result(r, c):\n    return {**r, 'marked': c.state.get('asked')}\n"
REVERSE = "def result(r, c):\n    r['hits']['hits'].reverse()\n    return r\n"
BROKEN = "def query(r, c):\n    raise ValueError('no luck')\n"
ENRICH = """def document(doc, context):
    if doc.get("bad"):
        raise ValueError("cannot enrich this")
    if doc.get("secret"):
        reject("secrets are not stored here")
    if doc.get("skip"):
        drop()
    return {**doc, "seen": True}
"""
V9 = "application/vnd.elasticsearch+json; compatible-with=9"
PRODUCT = ("X-Elastic-Product", "Elasticsearch")


@pytest.fixture
async def on_elasticsearch(
    elasticsearch: EmbeddedCluster, start_on: StartOn
) -> AsyncIterator[Client]:
    """A client of a proxy with default settings in front of Elasticsearch."""
    async with connect(await start_on(elasticsearch)) as client:
        yield client


async def prepared(proxy: Client, index: str) -> None:
    await proxy.index(index, {str(n): {"n": n} for n in range(5)})
    await proxy.define("cut", "query", CUT)
    await proxy.define("mark", "result", MARK)


async def test_query_and_result_pipelines_run(on_elasticsearch: Client, index_name: str) -> None:
    """By default, in the order named, or not at all; the response keeps the product header."""
    await prepared(on_elasticsearch, index_name)
    await on_elasticsearch.define("reverse", "result", REVERSE)
    await on_elasticsearch.attach(index_name, query="cut", result="mark")
    url = f"/{index_name}/_search"
    response = await on_elasticsearch.get(url)
    assert (response.ids, response.data["marked"]) == (["0", "1"], "yes")
    assert PRODUCT in response.headers.items()
    assert (await on_elasticsearch.get(f"{url}?pipeline=cut,reverse")).ids == ["1", "0"]
    assert len((await on_elasticsearch.get(f"{url}?pipeline=_none")).ids) == 5
    assert (await on_elasticsearch.get(f"/{index_name}/_count?pipeline=cut")).data["count"] == 5
    lines = b'{}\n{}\n{"index": "none"}\n{}\n'
    many = await on_elasticsearch.post(f"/{index_name}/_msearch", lines)
    assert [part["status"] for part in many.data["responses"]] == [200, 404]
    assert many.data["responses"][0]["marked"] == "yes"


async def test_a_search_in_vendor_media_types_runs_pipelines(
    on_elasticsearch: Client, index_name: str
) -> None:
    """The version that the client asked for stands in the response."""
    await prepared(on_elasticsearch, index_name)
    headers = {"Accept": V9, "Content-Type": V9}
    url = f"/{index_name}/_search?pipeline=cut,mark"
    response = await on_elasticsearch.call("POST", url, {"query": {"match_all": {}}}, headers)
    assert (response.ids, response.data["marked"]) == (["0", "1"], "yes")
    assert response.headers["Content-Type"] == V9.replace(" ", "")


async def test_a_failing_query_stage_leaves_the_original_response(
    on_elasticsearch: Client, index_name: str
) -> None:
    """With a Warning, and counted as degraded."""
    await on_elasticsearch.index(index_name, {"1": {}})
    await on_elasticsearch.define("broken", "query", BROKEN)
    response = await on_elasticsearch.get(f"/{index_name}/_search?pipeline=broken")
    assert (response.status, response.ids) == (200, ["1"])
    assert "udf_exception" in response.headers["Warning"]
    assert (await on_elasticsearch.get("/_pipeline/broken/_stats")).data["degraded"] == 1


async def test_document_pipelines_enrich_reject_and_fail(
    on_elasticsearch: Client, index_name: str
) -> None:
    """One by one and in a bulk, whose order and count stay."""
    await on_elasticsearch.index(index_name, {"0": {}})
    await on_elasticsearch.define("enrich", "document", ENRICH, on_update="doc")
    await on_elasticsearch.attach(index_name, document="enrich")
    url = f"/{index_name}"
    assert (await on_elasticsearch.put(f"{url}/_doc/1", {"n": 1})).status == 201
    assert (await on_elasticsearch.get(f"{url}/_source/1")).data == {"n": 1, "seen": True}
    assert (await on_elasticsearch.put(f"{url}/_doc/2", {"secret": 1})).status == 400
    assert (await on_elasticsearch.put(f"{url}/_doc/2", {"bad": 1})).status == 500
    assert (await on_elasticsearch.put(f"{url}/_doc/2", {"skip": 1})).data["result"] == "noop"
    assert (await on_elasticsearch.get(f"{url}/_doc/2")).data["found"] is False
    assert (await on_elasticsearch.post(f"{url}/_update/0", {"doc": {"n": 0}})).status == 200
    assert (await on_elasticsearch.get(f"{url}/_source/0")).data == {"n": 0, "seen": True}
    documents: list[dict[str, Any]] = [{"n": 3}, {"bad": 1}, {"secret": 1}, {"skip": 1}, {"n": 7}]
    lines = [
        orjson.dumps(line)
        for number, document in enumerate(documents, 3)
        for line in ({"index": {"_id": str(number)}}, document)
    ]
    response = await on_elasticsearch.post(f"{url}/_bulk?refresh=true", b"\n".join([*lines, b""]))
    items = [item["index"] for item in response.data["items"]]
    assert [item["_id"] for item in items] == ["3", "4", "5", "6", "7"]
    assert [item["status"] for item in items] == [201, 400, 400, 200, 201]
    assert (await on_elasticsearch.get(f"{url}/_source/7")).data["seen"] is True


async def test_attachments_and_definitions_survive_a_restart(
    elasticsearch: EmbeddedCluster, start_on: StartOn, index_name: str
) -> None:
    """They are shown among the index settings, taken at its creation, and end with the index."""
    async with connect(await start_on(elasticsearch)) as proxy:
        await prepared(proxy, index_name)
        settings = {"index.query.default_pipeline": "cut", "number_of_replicas": 0}
        made = await proxy.put(f"/{index_name}-made", {"settings": settings})
        assert (made.status, made.data["index"]) == (200, f"{index_name}-made")
        await proxy.attach(index_name, query="cut", result="mark")
    async with connect(await start_on(elasticsearch)) as proxy:
        assert (await proxy.get(f"/{index_name}/_search")).data["marked"] == "yes"
        for name in (index_name, f"{index_name}-made"):
            shown = (await proxy.get(f"/{name}/_settings")).data[name]["settings"]["index"]
            assert shown["query"] == {"default_pipeline": "cut"}
        assert (await proxy.delete("/_pipeline/cut")).status == 409
        await proxy.delete(f"/{index_name}-made")
        await proxy.attach(index_name, query=None)
        assert (await proxy.delete("/_pipeline/cut")).status == 200


async def test_pipelines_are_found_by_alias_and_pattern(
    on_elasticsearch: Client, index_name: str
) -> None:
    """Elasticsearch resolves the names."""
    await prepared(on_elasticsearch, index_name)
    await on_elasticsearch.attach(index_name, result="mark")
    await on_elasticsearch.put(f"/{index_name}/_alias/{index_name}-alias")
    for name in (f"{index_name}-alias", f"{index_name[:-1]}*{index_name[-1]}"):
        assert "marked" in (await on_elasticsearch.get(f"/{name}/_search")).data


async def test_the_store_is_guarded(on_elasticsearch: Client) -> None:
    """The hidden index of the definitions is out of reach."""
    await on_elasticsearch.define("cut", "query", CUT)
    for target in ("/.querymill/_search", "/a,.querymill/_count", "/_search?index=.querymill"):
        assert (await on_elasticsearch.get(target)).status == 403


async def test_a_final_pipeline_cannot_be_turned_off(
    on_elasticsearch: Client, index_name: str
) -> None:
    """Not by name, and not by a call that only Elasticsearch has."""
    await prepared(on_elasticsearch, index_name)
    settings = {"index.result.final_pipeline": "mark"}
    assert (await on_elasticsearch.put(f"/{index_name}/_settings", settings)).status == 200
    response = await on_elasticsearch.get(f"/{index_name}/_search?pipeline=_none")
    assert "marked" in response.data
    sql = await on_elasticsearch.post("/_query", {"query": f'FROM "{index_name}"'})
    assert sql.status == 403
    terms = await on_elasticsearch.post(f"/{index_name}/_terms_enum", {"field": "n"})
    assert terms.status == 403


def paged(response: Response, expected: list[str]) -> None:
    assert response.status == 200, response.body
    assert (response.ids, response.data["marked"]) == (expected, "yes")


async def test_scrolls_and_points_in_time_keep_their_pipelines(
    elasticsearch: EmbeddedCluster, start_on: StartOn, index_name: str
) -> None:
    """In the spelling of Elasticsearch, and over a restart."""
    async with connect(await start_on(elasticsearch)) as proxy:
        await prepared(proxy, index_name)
        await proxy.attach(index_name, query="cut", result="mark")
        first = await proxy.post(f"/{index_name}/_search?scroll=1m", {"sort": ["n"]})
        paged(first, ["0", "1"])
        scroll_id = first.data["_scroll_id"]
        opened = await proxy.post(f"/{index_name}/_pit?keep_alive=1m")
        pit_id = opened.data["id"]
        assert pit_id.startswith("qm1.")
    async with connect(await start_on(elasticsearch)) as proxy:
        body = {"scroll": "1m", "scroll_id": scroll_id}
        second = await proxy.post("/_search/scroll", body)
        paged(second, ["2", "3"])
        cleared = await proxy.call(
            "DELETE", "/_search/scroll", {"scroll_id": second.data["_scroll_id"]}
        )
        assert (cleared.status, cleared.data["num_freed"]) == (200, 1)
        pit = {"id": pit_id, "keep_alive": "1m"}
        page = await proxy.post("/_search", {"pit": pit})
        paged(page, ["0", "1"])
        pit["id"] = page.data["pit_id"]
        after = page.data["hits"]["hits"][-1]["sort"]
        paged(await proxy.post("/_search", {"pit": pit, "search_after": after}), ["2", "3"])
        closed = await proxy.call("DELETE", "/_pit", {"id": pit["id"]})
        assert (closed.status, closed.data) == (200, {"succeeded": True, "num_freed": 1})
