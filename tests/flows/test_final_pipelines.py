"""Final pipelines on the real OpenSearch: they always run, and nothing gets past them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.protocol.endpoints import ENDPOINTS, SAFE_BELOW_INDEX
from tests.client import Client
from tests.conftest import StartProxy, connect

MINE = "def query(r, c):\n    return {**r, 'query': {'term': {'owner': 'me'}}}\n"
REDACT = """def result(r, c):
    hits = [h for h in r['hits']['hits'] if not h['_source'].get('hidden')]
    for hit in hits:
        hit['_source'].pop('secret', None)
    r['hits']['hits'] = hits
    return r
"""
STAMP = "def document(d, c):\n    return {**d, 'stamped': True}\n"
BROKEN = "def query(r, c):\n    raise ValueError('no luck')\n"
DOCUMENTS = {
    "1": {"owner": "me", "secret": "a"},
    "2": {"owner": "you", "secret": "b"},
    "3": {"owner": "me", "hidden": True},
}


async def prepared(proxy: Client, index: str) -> None:
    await proxy.put(f"/{index}", {"mappings": {"properties": {"owner": {"type": "keyword"}}}})
    await proxy.index(index, DOCUMENTS)
    await proxy.define("mine", "query", MINE)
    await proxy.define("redact", "result", REDACT)
    await proxy.define("stamp", "document", STAMP)


async def final(proxy: Client, index: str, **pipelines: str | None) -> None:
    settings = {f"index.{phase}.final_pipeline": name for phase, name in pipelines.items()}
    response = await proxy.put(f"/{index}/_settings", settings)
    assert response.status == 200, response.body


async def test_nobody_turns_a_final_pipeline_off(proxy: Client, index_name: str) -> None:
    """Not with `_none`, not by naming others, and it runs after them."""
    await prepared(proxy, index_name)
    await final(proxy, index_name, query="mine", result="redact")
    all_of_them = "def query(r, c):\n    return {**r, 'query': {'match_all': {}}}\n"
    await proxy.define("all", "query", all_of_them)
    for parameters in ("", "?pipeline=_none", "?pipeline=all", "?q=owner:you"):
        response = await proxy.get(f"/{index_name}/_search{parameters}")
        assert response.ids == ["1"], parameters
        assert "secret" not in response.data["hits"]["hits"][0]["_source"]
    assert (await proxy.get(f"/{index_name}/_count?pipeline=_none")).data["count"] == 2


async def test_every_way_to_name_the_index_leads_to_its_final_pipeline(
    proxy: Client, index_name: str
) -> None:
    """Aliases, patterns, lists, no index at all, msearch and points in time."""
    await prepared(proxy, index_name)
    other = f"{index_name}-other"
    await proxy.index(other, {"9": {"owner": "you"}})
    await final(proxy, index_name, query="mine")
    actions = {"actions": [{"add": {"index": index_name, "alias": f"{index_name}-alias"}}]}
    await proxy.post("/_aliases", actions)
    for target in (
        f"/{index_name}-alias/_search",
        f"/{index_name}*/_search",
        "/_search?size=100",
        f"/{other},{index_name}/_search",
        f"/*,-{other}/_search",
        f"/_search?index={index_name}",
    ):
        found = await proxy.get(target)
        owners = {h["_source"].get("owner") for h in found.data["hits"]["hits"]}
        assert "you" not in owners, target
    lines = [{"index": index_name}, {}, {"index": f"{index_name}-alias"}, {}]
    body = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    for response in (await proxy.post("/_msearch?pipeline=_none", body)).data["responses"]:
        assert [hit["_id"] for hit in response["hits"]["hits"]] == ["1", "3"]
    pit = (await proxy.post(f"/{index_name}/_search/point_in_time?keep_alive=1m")).data["pit_id"]
    searched = await proxy.post("/_search", {"pit": {"id": pit}})
    assert sorted(searched.ids) == ["1", "3"]


async def test_ids_from_elsewhere_are_refused(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """A scroll or point in time that the proxy did not open could get past the pipeline."""
    await prepared(proxy, index_name)
    await final(proxy, index_name, query="mine")
    scroll = (await direct.get(f"/{index_name}/_search?scroll=1m&size=1")).data["_scroll_id"]
    assert (await proxy.post("/_search/scroll", {"scroll_id": scroll})).status == 403
    pit = (await direct.post(f"/{index_name}/_search/point_in_time?keep_alive=1m")).data["pit_id"]
    assert (await proxy.post("/_search", {"pit": {"id": pit}})).status == 403
    first = await proxy.get(f"/{index_name}/_search?scroll=1m&size=1")
    own = first.data["_scroll_id"]
    page = await proxy.post("/_search/scroll", {"scroll_id": own, "scroll": "1m"})
    assert (first.ids + page.ids) == ["1", "3"]
    unwrapped = own.split(".", 3)[3]
    assert (await proxy.post("/_search/scroll", {"scroll_id": unwrapped})).status == 403


async def test_a_final_pipeline_fails_closed(proxy: Client, index_name: str) -> None:
    """Whatever its definition says of errors; the same for answers it cannot read."""
    await prepared(proxy, index_name)
    await proxy.define("broken", "query", BROKEN, stage={"on_failure": "continue"})
    await final(proxy, index_name, query="broken")
    response = await proxy.get(f"/{index_name}/_search")
    assert (response.status, response.error["pipeline"]) == (500, "broken")
    assert (await proxy.get(f"/{index_name}/_count")).status == 500
    await final(proxy, index_name, query=None, result="redact")
    unreadable = await proxy.get(f"/{index_name}/_search?format=smile")
    assert unreadable.status == 406


async def test_finals_of_all_targets_run(proxy: Client, index_name: str) -> None:
    """Each once; and a more specific attachment adds to a general one."""
    await prepared(proxy, f"{index_name}-a")
    await proxy.index(f"{index_name}-b", DOCUMENTS)
    small = "def query(r, c):\n    return {**r, 'size': 1}\n"
    await proxy.define("small", "query", small)
    await final(proxy, f"{index_name}-*", query="small")
    await final(proxy, f"{index_name}-a", query="mine")
    response = await proxy.get(f"/{index_name}-a/_search")
    assert sorted(response.headers["Querymill-Pipelines"].split(", ")) == [
        "mine@1.0.0#1",
        "small@1.0.0#1",
    ]
    both = await proxy.get(f"/{index_name}-a,{index_name}-b/_search")
    assert len(both.ids) == 1


async def test_reads_by_id_run_a_final_result_pipeline_that_applies(
    proxy: Client, index_name: str
) -> None:
    """Redacted, or not found; one that does not apply is a refusal."""
    await prepared(proxy, index_name)
    await final(proxy, index_name, result="redact")
    for target in ("_doc/1", "_source/1"):
        refused = await proxy.get(f"/{index_name}/{target}")
        assert refused.status == 403, target
    ids = {"ids": ["1", "3", "7"]}
    many = (await proxy.post(f"/{index_name}/_mget", ids)).data["docs"]
    assert [("error" in d, d.get("found")) for d in many] == [
        (True, None),
        (True, None),
        (False, False),
    ]
    await proxy.put_pipeline("redact", "result", "redact", applies_to=["search", "get"])
    document = await proxy.get(f"/{index_name}/_doc/1")
    assert document.data["_source"] == {"owner": "me"}
    assert document.data["found"] is True
    assert document.headers["Querymill-Pipelines"] == "redact@1.0.0#2"
    assert (await proxy.get(f"/{index_name}/_source/1")).data == {"owner": "me"}
    gone = await proxy.get(f"/{index_name}/_doc/3")
    assert (gone.status, gone.data["found"]) == (404, False)
    assert (await proxy.get(f"/{index_name}/_source/3")).error["type"] == (
        "resource_not_found_exception"
    )
    many = (await proxy.post(f"/{index_name}/_mget", ids)).data["docs"]
    assert [d["found"] for d in many] == [True, False, False]
    assert many[0]["_source"] == {"owner": "me"}
    by_name = {"docs": [{"_index": index_name, "_id": "1"}]}
    assert (await proxy.post("/_mget", by_name)).data["docs"][0]["_source"] == {"owner": "me"}
    assert (await proxy.get(f"/{index_name}/_doc/99")).status == 404
    assert (await proxy.call("HEAD", f"/{index_name}/_doc/1")).status == 200


async def test_a_final_document_pipeline_sees_every_write(proxy: Client, index_name: str) -> None:
    """Partial updates need a mode, scripts are refused, `_none` changes nothing."""
    await prepared(proxy, index_name)
    await final(proxy, index_name, document="stamp")
    assert (await proxy.put(f"/{index_name}/_doc/5?pipeline=_none", {"n": 1})).status == 201
    assert (await proxy.get(f"/{index_name}/_source/5")).data == {"n": 1, "stamped": True}
    for body in ({"doc": {"n": 2}}, {"script": {"source": "ctx._source.n = 2"}}):
        assert (await proxy.post(f"/{index_name}/_update/5", body)).status == 403
    lines = b'{"update":{"_id":"5"}}\n{"doc":{"n":2}}\n{"index":{"_id":"6"}}\n{"n":1}\n'
    items = (await proxy.post(f"/{index_name}/_bulk", lines)).data["items"]
    assert [next(iter(i.values()))["status"] for i in items] == [403, 201]
    by_query = await proxy.post(f"/{index_name}/_update_by_query", {})
    assert by_query.status == 403
    await proxy.put_pipeline("stamp", "document", "stamp", on_update="merge")
    assert (await proxy.post(f"/{index_name}/_update/5", {"doc": {"n": 2}})).status == 200
    scripted = {"script": {"source": "ctx._source.n = 2"}}
    assert (await proxy.post(f"/{index_name}/_update/5", scripted)).status == 403


@pytest.mark.parametrize(
    ("phase", "name", "source"),
    [("query", "mine", MINE), ("result", "redact", REDACT), ("document", "stamp", STAMP)],
)
async def test_every_line_of_the_deny_table_is_refused(
    proxy: Client, index_name: str, phase: str, name: str, source: str
) -> None:
    """403 that names the pipeline, for every endpoint that could get past one of the phase."""
    await proxy.define(name, phase, source)
    await proxy.put(f"/{index_name}")
    await final(proxy, index_name, **{phase: name})
    body: Any = {"source": {"index": index_name}, "dest": {"index": "copy"}}
    lines = [line for line in ENDPOINTS if phase in line.bypasses]
    assert len(lines) > 10
    for line in lines:
        below = "/".join(
            index_name if part == "{index}" else part.strip("{}") for part in line.path
        )
        path = f"/{below}" if line.index == "none" else f"/{index_name}/{below}"
        for method in sorted(line.methods):
            response = await proxy.call(method, path, None if method in ("GET", "HEAD") else body)
            assert response.status == 403, (method, path, response.body)
            if method != "HEAD":
                assert response.error["pipeline"] == name


async def test_unknown_endpoints_of_a_protected_index_are_refused_and_safe_ones_pass(
    proxy: Client, index_name: str
) -> None:
    """Default deny; settings, mappings and the like carry no document."""
    await prepared(proxy, index_name)
    await final(proxy, index_name, result="redact")
    for path in ("_something_new", "_search/new", "_doc/1/_new", "_plugin/x"):
        response = await proxy.get(f"/{index_name}/{path}")
        assert response.status == 403, path
    assert (await proxy.post("/_new_query_language", {})).status == 403
    for path in ("_mapping", "_settings", "_stats", "_alias", "_segments", "_recovery"):
        assert path in SAFE_BELOW_INDEX
        assert (await proxy.get(f"/{index_name}/{path}")).status == 200, path
    for path in ("/_cat/indices", "/_cluster/health", "/_nodes", f"/{index_name}"):
        assert (await proxy.get(path)).status == 200, path
    unprotected = f"{index_name}-open"
    await proxy.index(unprotected, {"1": {}})
    assert (await proxy.get(f"/{unprotected}/_termvectors/1")).status == 200


async def test_attaching_needs_the_admin_token_where_there_is_one(
    start_proxy: StartProxy, index_name: str
) -> None:
    """Otherwise any client could detach what protects an index."""
    token = {"Querymill-Admin-Token": "s3cret-token"}
    async with connect(await start_proxy(admin_token="s3cret-token")) as proxy:
        await proxy.put(f"/{index_name}")
        settings = {"index.query.final_pipeline": None}
        refused = await proxy.put(f"/{index_name}/_settings", settings)
        assert refused.status == 401
        allowed = await proxy.call("PUT", f"/{index_name}/_settings", settings, token)
        assert allowed.status == 200
        created = {"settings": {"index.query.default_pipeline": "x"}}
        assert (await proxy.put(f"/{index_name}-2", created)).status == 401
        plain = {"index.number_of_replicas": 0}
        assert (await proxy.put(f"/{index_name}/_settings", plain)).status == 200


async def test_a_body_in_the_url_gets_past_nothing(proxy: Client, index_name: str) -> None:
    """`source=` is read on a search, and refused where it would hide a document or an index."""
    await prepared(proxy, index_name)
    document = "source=%7B%22n%22%3A1%7D&source_content_type=application/json"
    # Whether it is a document is the backend's to say; OpenSearch says no.
    assert (await proxy.put(f"/{index_name}/_doc/7?{document}")).status == 400
    store = "source=%7B%22index%22%3A%7B%22_index%22%3A%22.querymill%22%7D%7D%0A%7B%7D%0A"
    assert (await proxy.post(f"/_bulk?{store}&source_content_type=application/json")).status == 403
    await final(proxy, index_name, document="stamp", query="mine")
    for target in (f"/{index_name}/_doc/8", f"/{index_name}/_update/7", f"/{index_name}/_bulk"):
        response = await proxy.post(f"{target}?{document}")
        assert (response.status, "send a body" in response.error["reason"]) == (400, True), target
    yaml = "source=query%3A%0A%20%20match_all%3A%20%7B%7D&source_content_type=application/yaml"
    assert (await proxy.get(f"/{index_name}/_search?{yaml}")).ids == ["1", "3"]
    json = "source=%7B%22size%22%3A9%7D&source_content_type=application/json"
    assert (await proxy.get(f"/{index_name}/_search?{json}")).ids == ["1", "3"]
    assert (await proxy.put(f"/{index_name}/_doc/9")).status == 400
    assert (await proxy.get(f"/{index_name}/_doc/9")).status == 403
