"""Every endpoint that searches on the real OpenSearch: msearch, templates, count and others."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.client import Client

# Every query becomes: documents whose kind is "seen".
SEEN = "def query(r, c):\n    return {**r, 'query': {'term': {'kind': 'seen'}}}\n"
MARK = "def result(r, c):\n    return {**r, 'marked': c.request.get('query')}\n"
BROKEN = "def query(r, c):\n    raise ValueError('no luck')\n"
REFUSE = "def query(r, c):\n    reject('not you', 403)\n"


def lines(*parts: Any) -> bytes:
    return b"".join((orjson.dumps(p) if not isinstance(p, bytes) else p) + b"\n" for p in parts)


async def prepared(proxy: Client, index: str) -> None:
    kinds = {"1": "seen", "2": "unseen", "3": "unseen"}
    await proxy.put(f"/{index}", {"mappings": {"properties": {"kind": {"type": "keyword"}}}})
    await proxy.index(index, {doc_id: {"kind": kind} for doc_id, kind in kinds.items()})
    await proxy.define("seen", "query", SEEN)
    await proxy.define("mark", "result", MARK)


def ids(response: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in response["hits"]["hits"]]


async def test_msearch_runs_the_pipelines_of_each_item(proxy: Client, index_name: str) -> None:
    """By the item's index, by the item's own pipelines, with an empty header and in order."""
    await prepared(proxy, index_name)
    plain = f"{index_name}-plain"
    await proxy.index(plain, {"9": {"kind": "unseen"}})
    await proxy.attach(index_name, query="seen", result="mark")
    body = lines(
        {"index": index_name},
        {"query": {"match_all": {}}},
        {"index": plain},
        {"query": {"match_all": {}}},
        b"",
        {},
        {"index": [index_name], "pipeline": "_none"},
        {"size": 2},
        {"index": "no-such-index"},
        {},
    )
    response = await proxy.post(f"/{index_name}/_msearch", body)
    assert response.status == 200, response.body
    first, second, third, fourth, fifth = response.data["responses"]
    assert (ids(first), first["marked"]) == (["1"], {"term": {"kind": "seen"}})
    assert (ids(second), "marked" in second) == (["9"], False)
    assert (ids(third), "marked" in third) == (["1"], True)
    assert (len(ids(fourth)), "marked" in fourth) == (2, False)
    assert fifth["status"] == 404
    assert response.headers["Querymill-Pipelines"] == "seen@1.0.0#1, mark@1.0.0#1"


async def test_a_bad_item_of_an_msearch_fails_alone(proxy: Client, index_name: str) -> None:
    """Rejected and failed ones, and unknown pipelines, have their own error and status."""
    await prepared(proxy, index_name)
    await proxy.define("broken", "query", BROKEN, on_error="fail")
    await proxy.define("refuse", "query", REFUSE)
    body = lines(
        {"index": index_name, "pipeline": "refuse"},
        {},
        {"index": index_name, "pipeline": "seen"},
        {},
        {"index": index_name, "pipeline": "broken"},
        {},
        {"index": index_name, "pipeline": "nothing"},
        {},
    )
    response = await proxy.post("/_msearch", body)
    responses = response.data["responses"]
    assert [r["status"] for r in responses] == [403, 200, 500, 404]
    assert responses[0]["error"]["type"] == "pipeline_rejected_exception"
    assert ids(responses[1]) == ["1"]
    only_bad = await proxy.post("/_msearch", lines({"index": index_name, "pipeline": "refuse"}, {}))
    assert [r["status"] for r in only_bad.data["responses"]] == [403]
    for broken in (b"{}\n{}", b"{\n{}\n", b"{}\n", b'{}\n{}\n{}\n{"query":\n'):
        assert (await proxy.post("/_msearch?pipeline=seen", broken)).status == 400


async def test_metadata_of_an_msearch_item_is_in_its_response(
    proxy: Client, index_name: str
) -> None:
    """And only in its own."""
    await prepared(proxy, index_name)
    source = "def query(r, c):\n    return {**r, '_pipeline_metadata': {'n': 1}}\n"
    await proxy.define("noting", "query", source)
    body = lines({"index": index_name, "pipeline": "noting"}, {}, {"index": index_name}, {})
    first, second = (await proxy.post("/_msearch", body)).data["responses"]
    assert (first["_pipeline_metadata"], "_pipeline_metadata" in second) == ({"n": 1}, False)


async def test_a_search_template_is_rendered_before_its_pipelines(
    proxy: Client, index_name: str
) -> None:
    """The query pipeline sees the search it means; msearch templates as well."""
    await prepared(proxy, index_name)
    source = (
        "def query(r, c):\n"
        "    assert r == {'size': 2, 'query': {'term': {'kind': 'unseen'}}}, r\n"
        "    return {**r, 'query': {'term': {'kind': 'seen'}}}\n"
    )
    await proxy.define("strict", "query", source, on_error="fail")
    template = {
        "source": '{"size": {{size}}, "query": {"term": {"kind": "{{kind}}"}}}',
        "params": {"size": 2, "kind": "unseen"},
    }
    url = f"/{index_name}/_search/template"
    assert len((await proxy.post(url, template)).ids) == 2
    response = await proxy.post(f"{url}?pipeline=strict,mark", template)
    assert (response.status, response.ids) == (200, ["1"]), response.body
    assert response.data["marked"] == {"term": {"kind": "seen"}}
    many = await proxy.post(
        f"/{index_name}/_msearch/template?pipeline=strict", lines({}, template, {}, {"id": "none"})
    )
    good, bad = many.data["responses"]
    assert ids(good) == ["1"]
    assert bad["status"] == 404
    missing = await proxy.post(f"{url}?pipeline=strict", {"id": "no-such-template"})
    assert missing.status == 404


@pytest.mark.parametrize("where", ["body", "url"])
async def test_count_explain_and_validate_run_query_pipelines(
    proxy: Client, index_name: str, where: str
) -> None:
    """Only the query clause is seen and sent; what else a UDF adds is left out."""
    await prepared(proxy, index_name)
    source = "def query(r, c):\n    return {'query': {'term': {'kind': 'seen'}}, 'size': 3}\n"
    await proxy.define("sized", "query", source)
    await proxy.attach(index_name, query="sized")
    body: Any = {"query": {"match_all": {}}} if where == "body" else None
    q = "?q=kind:unseen" if where == "url" else "?"

    async def ask(endpoint: str, extra: str = "") -> Any:
        response = await proxy.post(f"/{index_name}/{endpoint}{q}{extra}", body)
        assert response.status == 200, response.body
        assert response.headers["Querymill-Pipelines"] == "sized@1.0.0#1"
        return response.data

    assert (await ask("_count"))["count"] == 1
    assert (await ask("_explain/1"))["matched"] is True
    assert (await ask("_explain/2"))["matched"] is False
    explained = await ask("_validate/query", "&explain=true")
    assert "kind:seen" in explained["explanations"][0]["explanation"]
    none = await proxy.get(f"/{index_name}/_count?pipeline=_none")
    assert none.data["count"] == 3


async def test_what_changes_by_query_runs_pipelines_only_by_name(
    proxy: Client, index_name: str
) -> None:
    """A default never widens a deletion; a pipeline that is named does its work."""
    await prepared(proxy, index_name)
    await proxy.attach(index_name, query="seen")
    body = {"query": {"term": {"kind": "unseen"}}}
    url = f"/{index_name}/_delete_by_query"
    named = await proxy.post(f"{url}?refresh=true&pipeline=seen", body)
    assert (named.data["deleted"], named.headers["Querymill-Pipelines"]) == (1, "seen@1.0.0#1")
    plain = await proxy.post(f"{url}?refresh=true&conflicts=proceed", body)
    assert plain.data["deleted"] == 2
    await proxy.index(index_name, {"5": {"kind": "seen"}, "6": {"kind": "unseen"}})
    script = {**body, "script": {"source": "ctx._source.touched = true"}}
    updated = await proxy.post(f"/{index_name}/_update_by_query?refresh=true&pipeline=seen", script)
    assert updated.data["updated"] == 1
    assert (await proxy.get(f"/{index_name}/_source/5")).data["touched"] is True
    assert (await proxy.post(f"{url}?pipeline=nothing", body)).status == 400


async def test_a_source_is_given_whole_whatever_its_filter(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """As the backend does, with a pipeline that applies to reads by id and without."""
    await proxy.index(index_name, {"1": {"title": "shoe", "n": 1.50}})
    same = "def result(response, context):\n    return response\n"
    await proxy.define("same", "result", same, applies_to=["search", "get"])
    target = f"/{index_name}/_source/1?filter_path=title"
    own = await direct.get(target)
    passed = await proxy.get(f"{target}&pipeline=same")
    assert passed.headers["Querymill-Pipelines"] == "same@1.0.0#1"
    assert passed.body == own.body
