"""What the backend refuses of a query pipeline's work: the client's own request goes instead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from proxy.embedded import EmbeddedCluster
from tests.client import Client, Response
from tests.conftest import StartOn, connect

INDEX = "test-refused"
BAD = "def query(request, context):\n    return {**request, 'query': {'matchx': {}}}\n"
BAD_SORT = "def query(request, context):\n    return {**request, 'sort': ['missing']}\n"
GOOD = (
    "def query(request, context):\n    return {**request, 'query': {'range': {'n': {'lt': 2}}}}\n"
)
SAME = "def query(request, context):\n    context.state['seen'] = 1\n    return request\n"
LEAVES = (
    "def query(request, context):\n"
    "    context.state['left'] = 1\n"
    "    return {**request, 'query': {'matchx': {}}, '_pipeline_metadata': {'left': 1}}\n"
)
SHOWS = "def result(response, context):\n    return {**response, 'state': dict(context.state)}\n"
MINE = {"query": {"range": {"n": {"lt": 3}}}}
WRONG: dict[str, Any] = {"query": {"nonsense": {}}}


@pytest.fixture
async def refusing(each_backend: EmbeddedCluster, start_on: StartOn) -> AsyncIterator[Client]:
    """A client of a proxy in front of either backend, with an index of five documents."""
    async with connect(await start_on(each_backend)) as client:
        await client.delete(f"/{INDEX}")
        await client.index(INDEX, {str(n): {"n": n} for n in range(5)})
        for name, source in (("bad", BAD), ("badsort", BAD_SORT), ("good", GOOD), ("same", SAME)):
            await client.define(name, "query", source)
        await client.put_pipeline("strict", "query", "bad", on_error="fail")
        yield client
        await client.delete(f"/{INDEX}")


async def ask(proxy: Client, verb: str, body: Any, pipeline: str = "bad") -> Response:
    """A request of one of the endpoints that take a query; for `_msearch` with its only item."""
    target = f"/{INDEX}/{verb}"
    mark = "&" if "?" in verb else "?"
    if verb != "_msearch":
        return await proxy.post(f"{target}{mark}pipeline={pipeline}", body)
    lines = b"{}\n" + orjson.dumps(body) + b"\n"
    response = await proxy.post(f"{target}?pipeline={pipeline}", lines)
    if response.status != 200:
        return response
    (part,) = response.data["responses"]
    return Response(part["status"], response.headers, orjson.dumps(part))


def found(verb: str, data: Any) -> Any:
    """What tells that the client's own query ran."""
    if verb == "_count":
        return data["count"]
    if verb.startswith("_explain"):
        return data["matched"]
    if verb == "_validate/query":
        return data["valid"]
    return len(data["hits"]["hits"])


async def stats(proxy: Client, name: str) -> dict[str, Any]:
    reported: dict[str, Any] = (await proxy.get(f"/_pipeline/{name}/_stats")).data
    return reported


VERBS = [
    ("_search", 3),
    ("_search?scroll=1m", 3),
    ("_msearch", 3),
    ("_count", 3),
    ("_explain/2", True),
    ("_validate/query", True),
]


@pytest.mark.parametrize(("verb", "own"), VERBS)
async def test_the_original_goes_in_its_place(refusing: Client, verb: str, own: Any) -> None:
    """With a Warning; the pipeline counts as degraded and refused, and the log has the reason."""
    with capture_logs() as logs:
        response = await ask(refusing, verb, MINE)
    assert (response.status, found(verb, response.data)) == (200, own)
    (warning,) = response.headers.getall("Warning")
    assert "pipeline [bad@1.0.0#1] degraded: stage [bad] failed (refused)" in warning
    reported = await stats(refusing, "bad")
    assert (reported["count"], reported["degraded"], reported["refused"], reported["success"]) == (
        1,
        1,
        1,
        0,
    )
    assert reported["stages"]["bad"]["errors"] == {"refused": 1}
    (line,) = logs
    assert (line["event"], line["kind"], line["pipeline"]) == ("run degraded", "refused", "bad")
    if verb != "_validate/query":
        assert "matchx" in line["detail"]
        assert "matchx" not in warning


@pytest.mark.parametrize(("verb", "own"), VERBS)
async def test_what_the_client_sent_wrong_is_its_own_error(
    refusing: Client, verb: str, own: Any
) -> None:
    """The backend's response to the request as the client wrote it, and nobody is to blame."""
    direct = await ask(refusing, verb, WRONG, "_none")
    for pipeline in ("bad", "strict"):
        response = await ask(refusing, verb, WRONG, pipeline)
        assert (response.status, response.data) == (direct.status, direct.data)
        assert "Warning" not in response.headers
        reported = await stats(refusing, pipeline)
        assert (reported["degraded"], reported["failure"], reported["refused"]) == (0, 0, 0)


@pytest.mark.parametrize(("verb", "own"), VERBS)
async def test_a_pipeline_that_must_not_be_left_out(refusing: Client, verb: str, own: Any) -> None:
    """The request is an error that names it."""
    response = await ask(refusing, verb, MINE, "strict")
    assert response.status == 500
    error = response.data["error"]
    assert (error["type"], error["kind"]) == ("pipeline_execution_exception", "refused")
    assert error["reason"].startswith("pipeline [strict] stage [bad] failed (refused): ")
    reported = await stats(refusing, "strict")
    assert (reported["failure"], reported["refused"], reported["success"]) == (1, 1, 0)


async def test_a_final_pipeline_is_never_left_out(refusing: Client) -> None:
    """What others made of the request is; what itself makes wrong is an error."""
    await refusing.put(f"/{INDEX}/_settings", {"index.query.final_pipeline": "good"})
    response = await ask(refusing, "_search", MINE, "badsort")
    assert (response.status, len(response.ids)) == (200, 2)
    assert "pipeline [badsort@" in response.headers["Warning"]
    assert (await ask(refusing, "_search", WRONG, "good")).status == 200
    await refusing.put(f"/{INDEX}/_settings", {"index.query.final_pipeline": "bad"})
    for verb, _ in VERBS:
        assert (await ask(refusing, verb, MINE, "same")).status == 500


async def test_a_client_does_not_see_past_a_final_pipeline(refusing: Client) -> None:
    """A wrong request of a client is a 400 there too, in the words for what the pipeline made."""
    source = (
        "def query(request, context):\n"
        "    own = request.get('query', {'match_all': {}})\n"
        "    return {**request, 'query': {'bool': {'must': own, 'filter': {'term': {'n': 1}}}}}\n"
    )
    await refusing.define("mine", "query", source)
    await refusing.put(f"/{INDEX}/_settings", {"index.query.final_pipeline": "mine"})
    for verb, _ in VERBS[:5]:
        response = await ask(refusing, verb, WRONG, "same")
        assert response.status == 400, verb
        assert "nonsense" in response.body.decode()
    assert (await stats(refusing, "mine"))["failure"] == 0


async def test_only_what_changed_the_request_is_blamed(refusing: Client) -> None:
    """One that changed nothing stays as it was, and a request that none changed is sent once."""
    response = await ask(refusing, "_search", MINE, "same,badsort")
    assert (response.status, len(response.ids)) == (200, 3)
    assert (await stats(refusing, "same"))["success"] == 1
    assert (await stats(refusing, "badsort"))["refused"] == 1
    response = await ask(refusing, "_search", WRONG, "same")
    assert (response.status, (await stats(refusing, "same"))["success"]) == (400, 2)


async def test_state_and_metadata_are_taken_back(refusing: Client) -> None:
    """Result pipelines see the request that ran, and no state of the one that did not."""
    await refusing.define("leaves", "query", LEAVES)
    await refusing.define("shows", "result", SHOWS)
    response = await ask(refusing, "_search", MINE, "same,leaves,shows")
    assert response.data["state"] == {"seen": 1}
    assert "_pipeline_metadata" not in response.data
    page = await ask(refusing, "_search?scroll=1m&size=1", MINE, "same,leaves,shows")
    body = {"scroll": "1m", "scroll_id": page.data["_scroll_id"]}
    assert (await refusing.post("/_search/scroll", body)).data["state"] == {"seen": 1}


async def test_items_of_an_msearch_fall_back_by_themselves(refusing: Client) -> None:
    """Whether the backend refuses the item or, for it, the whole request."""
    lines: list[Any] = []
    for name in ("good", "bad", "badsort", "strict"):
        lines += [{"pipeline": name}, MINE]
    lines += [{}, {"size": 1}]
    body = b"\n".join([*(orjson.dumps(line) for line in lines), b""])
    response = await refusing.post(f"/{INDEX}/_msearch", body)
    parts = response.data["responses"]
    assert [part["status"] for part in parts] == [200, 200, 200, 500, 200]
    assert [len(part["hits"]["hits"]) for part in parts[:3]] == [2, 3, 3]
    assert len(response.headers.getall("Warning")) == 2
    # The client's own mistake is the backend's to answer: for all of them, as it does directly.
    wrong = orjson.dumps({"pipeline": "bad"}) + b"\n" + orjson.dumps(WRONG) + b"\n"
    assert (await refusing.post(f"/{INDEX}/_msearch", body + wrong)).status == 400
    badly = b"".join(orjson.dumps(line) + b"\n" for line in ({"pipeline": "badsort"}, MINE))
    for _ in range(2):
        response = await refusing.post(f"/{INDEX}/_msearch", badly + badly)
        assert [len(part["hits"]["hits"]) for part in response.data["responses"]] == [3, 3]


async def test_a_search_of_a_point_in_time(refusing: Client, each_backend: EmbeddedCluster) -> None:
    """The client's own request is the one with its point in time."""
    await refusing.attach(INDEX, query="bad")
    elastic = each_backend.options.distribution == "elasticsearch"
    verb = "_pit" if elastic else "_search/point_in_time"
    opened = (await refusing.post(f"/{INDEX}/{verb}?keep_alive=1m")).data
    point = opened.get("id") or opened["pit_id"]
    response = await refusing.post("/_search", {**MINE, "pit": {"id": point, "keep_alive": "1m"}})
    assert (response.status, len(response.ids)) == (200, 3)
    assert "refused" in response.headers["Warning"]


async def test_every_form_of_response(refusing: Client) -> None:
    """Compressed, filtered, in YAML: the fall-back is in the form the client wants."""
    target = f"/{INDEX}/_search?pipeline=bad"
    headers = {"Accept-Encoding": "gzip"}
    assert len((await refusing.call("POST", target, MINE, headers)).ids) == 3
    response = await refusing.post(f"{target}&filter_path=hits.hits._id", MINE)
    assert len(response.data["hits"]["hits"]) == 3
    response = await refusing.post(f"{target}&format=yaml", MINE)
    assert response.body.startswith(b"---")
    response = await refusing.get(f"{target}&q=n:1")
    assert response.ids == ["1"]


@pytest.mark.parametrize("name", ["bad", "strict"])
async def test_what_changes_documents_is_never_sent_without_its_pipeline(
    opensearch: EmbeddedCluster, start_on: StartOn, index_name: str, name: str
) -> None:
    """A call by query is an error, and nothing is deleted; a client's own fault is a 400."""
    async with connect(await start_on(opensearch)) as proxy:
        await proxy.index(index_name, {str(n): {"n": n} for n in range(3)})
        await proxy.define("bad", "query", BAD)
        await proxy.put_pipeline("strict", "query", "bad", on_error="fail")
        for verb in ("_delete_by_query", "_update_by_query"):
            response = await proxy.post(f"/{index_name}/{verb}?pipeline={name}", MINE)
            assert (response.status, response.data["error"]["kind"]) == (500, "refused")
            assert f"pipeline [{name}]" in response.data["error"]["reason"]
            wrong = await proxy.post(f"/{index_name}/{verb}?pipeline={name}", WRONG)
            assert wrong.status == 400
        await proxy.post(f"/{index_name}/_refresh")
        assert (await proxy.get(f"/{index_name}/_count")).data["count"] == 3


@pytest.mark.parametrize("body", [None, {}], ids=str)
@pytest.mark.parametrize(
    "verb", ["_delete_by_query", "_update_by_query", "_explain/1", "_validate/query", "_count"]
)
async def test_a_call_without_a_query(refusing: Client, verb: str, body: Any) -> None:
    """It means what it means to the backend, where a pipeline gave it none: never all documents."""
    await refusing.define("cap", "query", "def query(r, c):\n    return {**r, 'size': 1}\n")
    mark = "?refresh=true&" if verb.endswith("by_query") else "?"
    calls = [f"/{INDEX}/{verb}{mark}pipeline={name}" for name in ("_none", "cap", "same")]
    responses = [await refusing.post(call, body) for call in calls]
    assert len({response.status for response in responses}) == 1
    assert responses[0].status == 400 or not verb.startswith(("_delete", "_explain"))
    assert not any("Warning" in response.headers for response in responses)
    await refusing.post(f"/{INDEX}/_refresh")
    assert (await refusing.get(f"/{INDEX}/_count")).data["count"] == 5


async def test_a_query_that_a_pipeline_takes_away(refusing: Client) -> None:
    """It is not one for all documents: nothing is deleted."""
    source = "def query(r, c):\n    return {n: v for n, v in r.items() if n != 'query'}\n"
    await refusing.define("takes", "query", source)
    for url, body in (("", MINE), ("&q=n:1", None)):
        response = await refusing.post(f"/{INDEX}/_delete_by_query?pipeline=takes{url}", body)
        assert (response.status, response.data["error"]["kind"]) == (500, "refused")
    await refusing.post(f"/{INDEX}/_refresh")
    assert (await refusing.get(f"/{INDEX}/_count")).data["count"] == 5


@pytest.mark.parametrize(
    "source",
    [
        "def query(r, c):\n    raise ValueError('no luck')\n",
        "def query(r, c):\n    while True: pass\n",
        "def query(r, c):\n    return 7\n",
    ],
)
async def test_a_failed_pipeline_of_a_call_that_changes_documents(
    refusing: Client, source: str
) -> None:
    """It is an error, whatever its `on_error`: with the client's own query others could go."""
    await refusing.define("fails", "query", source)
    for verb in ("_delete_by_query", "_update_by_query"):
        for name in ("fails", "same,fails"):
            response = await refusing.post(f"/{INDEX}/{verb}?pipeline={name}", MINE)
            assert response.status == 500
            assert "pipeline [fails]" in response.data["error"]["reason"]
            unread = await refusing.post(f"/{INDEX}/{verb}?pipeline={name}", b'{"query":')
            assert unread.status == 400
    await refusing.post(f"/{INDEX}/_refresh")
    assert (await refusing.get(f"/{INDEX}/_count")).data["count"] == 5
