"""The main flows on the oldest releases that are supported: OpenSearch 2.19, Elasticsearch 8.19."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import orjson
import pytest

from proxy.embedded import ClusterOptions, EmbeddedCluster
from tests.backends import running
from tests.client import Client, Response
from tests.conftest import StartOn, connect

OLDER = {
    "opensearch-2.19": ClusterOptions(port=0, version="2.19.4"),
    "elasticsearch-8.19": ClusterOptions(port=0, version="8.19.0", distribution="elasticsearch"),
}
V8 = "application/vnd.elasticsearch+json; compatible-with=8"
CUT = "def query(r, c):\n    c.state['asked'] = 'yes'\n    return {**r, 'size': 2, 'sort': ['n']}\n"
MARK = "def result(r, c):\n    return {**r, 'marked': c.state.get('asked')}\n"
ENRICH = """def document(doc, context):
    if doc.get("bad"):
        raise ValueError("cannot enrich this")
    if doc.get("secret"):
        reject("secrets are not stored here")
    return {**doc, "seen": True}
"""


@pytest.fixture(scope="module", params=OLDER)
def older(request: pytest.FixtureRequest) -> Iterator[EmbeddedCluster]:
    """One older backend after the other, each stopped before the next is started."""
    with running(OLDER[request.param]) as cluster:
        yield cluster


@pytest.fixture
def opensearch_spelling(older: EmbeddedCluster) -> bool:
    """Whether points in time are opened and closed as OpenSearch spells it."""
    return older.options.distribution == "opensearch"


@pytest.fixture
async def on_older(older: EmbeddedCluster, start_on: StartOn) -> AsyncIterator[Client]:
    """A client of a proxy with default settings in front of the older backend."""
    async with connect(await start_on(older)) as client:
        yield client


async def prepared(proxy: Client, index: str) -> None:
    await proxy.index(index, {str(n): {"n": n} for n in range(5)})
    await proxy.define("cut", "query", CUT)
    await proxy.define("mark", "result", MARK)


def paged(response: Response, expected: list[str]) -> None:
    assert response.status == 200, response.body
    assert (response.ids, response.data["marked"]) == (expected, "yes")


async def test_without_pipelines_requests_pass(
    older: EmbeddedCluster, on_older: Client, index_name: str
) -> None:
    """The root, a search and an error are what the backend says itself."""
    await prepared(on_older, index_name)
    async with aiohttp.ClientSession(older.url) as session:
        direct = Client(session)
        for target in ("/", f"/{index_name}/_search?sort=n&filter_path=hits", "/none-such/_search"):
            own, passed = await direct.get(target), await on_older.get(target)
            assert (passed.status, passed.body) == (own.status, own.body)
            ignored = {"date", "content-length"}
            names = [{n.lower() for n in a.headers} - ignored for a in (own, passed)]
            assert names[0] == names[1]


async def test_query_and_result_pipelines_run(on_older: Client, index_name: str) -> None:
    """On searches, alone and several at once, and on counts; not where they are turned off."""
    await prepared(on_older, index_name)
    await on_older.attach(index_name, query="cut", result="mark")
    paged(await on_older.get(f"/{index_name}/_search"), ["0", "1"])
    assert len((await on_older.get(f"/{index_name}/_search?pipeline=_none")).ids) == 5
    assert (await on_older.get(f"/{index_name}/_count")).data["count"] == 5
    many = await on_older.post(f"/{index_name}/_msearch", b'{}\n{}\n{"index": "none-such"}\n{}\n')
    assert [part["status"] for part in many.data["responses"]] == [200, 404]
    assert many.data["responses"][0]["marked"] == "yes"


async def test_document_pipelines_run(on_older: Client, index_name: str) -> None:
    """On single writes, updates and the items of a bulk, whose order and count stay."""
    await on_older.index(index_name, {"0": {}})
    await on_older.define("enrich", "document", ENRICH, on_update="doc")
    await on_older.attach(index_name, document="enrich")
    url = f"/{index_name}"
    assert (await on_older.put(f"{url}/_doc/1", {"n": 1})).status == 201
    assert (await on_older.get(f"{url}/_source/1")).data == {"n": 1, "seen": True}
    assert (await on_older.post(f"{url}/_update/0", {"doc": {"n": 0}})).status == 200
    assert (await on_older.get(f"{url}/_source/0")).data == {"n": 0, "seen": True}
    documents = [{"n": 3}, {"bad": 1}, {"secret": 1}, {"n": 6}]
    lines = [
        orjson.dumps(line)
        for number, document in enumerate(documents, 3)
        for line in ({"index": {"_id": str(number)}}, document)
    ]
    response = await on_older.post(f"{url}/_bulk?refresh=true", b"\n".join([*lines, b""]))
    items = [item["index"] for item in response.data["items"]]
    assert [(item["_id"], item["status"]) for item in items] == [
        ("3", 201),
        ("4", 400),
        ("5", 400),
        ("6", 201),
    ]
    assert (await on_older.get(f"{url}/_source/6")).data["seen"] is True


async def test_a_scroll_keeps_its_pipelines(on_older: Client, index_name: str) -> None:
    """Page by page, and it can be closed."""
    await prepared(on_older, index_name)
    await on_older.attach(index_name, query="cut", result="mark")
    first = await on_older.post(f"/{index_name}/_search?scroll=1m")
    paged(first, ["0", "1"])
    body = {"scroll": "1m", "scroll_id": first.data["_scroll_id"]}
    second = await on_older.post("/_search/scroll", body)
    paged(second, ["2", "3"])
    cleared = await on_older.call(
        "DELETE", "/_search/scroll", {"scroll_id": second.data["_scroll_id"]}
    )
    assert (cleared.status, cleared.data["num_freed"]) == (200, 1)


async def test_a_point_in_time_keeps_its_pipelines(
    on_older: Client, index_name: str, opensearch_spelling: bool
) -> None:
    """In the backend's own spelling."""
    await prepared(on_older, index_name)
    await on_older.attach(index_name, query="cut", result="mark")
    if opensearch_spelling:
        opened = await on_older.post(f"/{index_name}/_search/point_in_time?keep_alive=1m")
        own_id = opened.data["pit_id"]
    else:
        opened = await on_older.post(f"/{index_name}/_pit?keep_alive=1m")
        own_id = opened.data["id"]
    pit = {"id": own_id, "keep_alive": "1m"}
    page = await on_older.post("/_search", {"pit": pit})
    paged(page, ["0", "1"])
    after = page.data["hits"]["hits"][-1]["sort"]
    paged(await on_older.post("/_search", {"pit": pit, "search_after": after}), ["2", "3"])
    if opensearch_spelling:
        closed = await on_older.call("DELETE", "/_search/point_in_time", {"pit_id": [own_id]})
        assert [part["successful"] for part in closed.data["pits"]] == [True]
    else:
        closed = await on_older.call("DELETE", "/_pit", {"id": own_id})
        assert closed.data == {"succeeded": True, "num_freed": 1}
    assert closed.status == 200


async def test_an_elasticsearch_client_finds_its_spelling(
    on_older: Client, index_name: str
) -> None:
    """`_pit` and the vendor's media types, which OpenSearch itself does not know."""
    await prepared(on_older, index_name)
    await on_older.attach(index_name, query="cut", result="mark")
    headers = {"Accept": V8, "Content-Type": V8}
    target = f"/{index_name}/_pit?keep_alive=1m"
    opened = await on_older.call("POST", target, None, {"Accept": V8})
    assert opened.status == 200, opened.body
    assert opened.headers["X-Elastic-Product"] == "Elasticsearch"
    pit = {"id": opened.data["id"], "keep_alive": "1m"}
    page = await on_older.call("POST", "/_search", {"pit": pit}, headers)
    paged(page, ["0", "1"])
    assert page.headers["Content-Type"].startswith("application/vnd.elasticsearch+json")
    closed = await on_older.call("DELETE", "/_pit", {"id": pit["id"]}, headers)
    assert (closed.status, closed.data) == (200, {"succeeded": True, "num_freed": 1})


async def test_attachments_survive_a_restart(
    older: EmbeddedCluster, start_on: StartOn, index_name: str
) -> None:
    """They are shown among the settings, taken at an index's creation, and end with it."""
    made = f"{index_name}-made"
    async with connect(await start_on(older)) as proxy:
        await prepared(proxy, index_name)
        settings = {"index.query.default_pipeline": "cut", "number_of_replicas": 0}
        assert (await proxy.put(f"/{made}", {"settings": settings})).status == 200
        await proxy.attach(index_name, query="cut", result="mark")
    async with connect(await start_on(older)) as proxy:
        paged(await proxy.get(f"/{index_name}/_search"), ["0", "1"])
        for name in (index_name, made):
            shown = (await proxy.get(f"/{name}/_settings")).data[name]["settings"]["index"]
            assert shown["query"] == {"default_pipeline": "cut"}
            assert shown["number_of_replicas"] == "0"
        assert (await proxy.delete("/_pipeline/cut")).status == 409
        await proxy.delete(f"/{made}")
        await proxy.attach(index_name, query=None)
        assert (await proxy.delete("/_pipeline/cut")).status == 200


async def test_a_final_pipeline_cannot_be_got_past(on_older: Client, index_name: str) -> None:
    """Neither by turning it off, nor by calls that would read or copy around it."""
    await prepared(on_older, index_name)
    settings = {"index.result.final_pipeline": "mark"}
    assert (await on_older.put(f"/{index_name}/_settings", settings)).status == 200
    assert "marked" in (await on_older.get(f"/{index_name}/_search?pipeline=_none")).data
    copy = {"source": {"index": index_name}, "dest": {"index": f"{index_name}-copy"}}
    for refused in (
        await on_older.post("/_reindex", copy),
        await on_older.post(f"/{index_name}/_termvectors/1"),
        await on_older.get(f"/{index_name}/_doc/1"),
    ):
        assert refused.status == 403
        assert refused.error["type"] == "security_exception"
