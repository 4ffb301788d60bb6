"""Searches that pipelines cannot be given go on as they came, and the response says so."""

from __future__ import annotations

import json

import pytest

from tests.client import Client
from tests.flows.odd_texts import HIDE, JSON, warned

pytestmark = pytest.mark.usefixtures("nothing_stays")

TOUCH = "def query(request, context):\n    request['version'] = True\n    return request\n"
QUERIES = {
    "half a pair": '{"query":{"match":{"t":"\\ud83d"}}}',
    "an escape and no brace": '{"query":{"match":{"t":"\\u0041"}}',
    "beyond a double": '{"min_score":1e400}',
    "a key twice": '{"size":1,"size":2}',
    "a key twice inside": '{"query":{"match":{"t":"a","t":"b"}}}',
    "words behind": '{"query":{"match":{"t":"a"}}} xyz',
    "deep": '{"query":' + '{"bool":{"must":' * 140 + '{"match_all":{}}' + "}}" * 140 + "}",
}
TEMPLATES = {
    "broken": {"source": '{"size": {{#toJson}}n{{/toJson}}, "query": {"match": {"t": }}}'},
    "a key twice": {"source": '{"size": 1, "size": 2}'},
    "no such id": {"id": "no-such-template"},
    "bad mustache": {"source": '{"size": {{#n}} 1'},
    "no JSON": {"source": "{{n}}", "params": {"n": "words"}},
}
TEMPLATE_STATUS = {"no such id": 404}


@pytest.fixture
async def touched(proxy: Client, index_name: str) -> str:
    """An index with a query and a result pipeline."""
    await proxy.index(index_name, {"1": {"t": "a", "secret": 1}, "2": {"t": "b"}})
    await proxy.define("touch", "query", TOUCH)
    await proxy.define("hide", "result", HIDE, applies_to=["search", "get"])
    await proxy.attach(index_name, query="touch", result="hide")
    return index_name


async def test_queries_that_cannot_be_given(proxy: Client, direct: Client, touched: str) -> None:
    """Go on as they came, on every endpoint with queries, and the response is the backend's."""
    for oddity, text in QUERIES.items():
        for endpoint in ("_search", "_count", "_validate/query", "_explain/1"):
            body = text.encode()
            got = await proxy.post(f"/{touched}/{endpoint}", body, **JSON)
            wanted = await direct.post(f"/{touched}/{endpoint}", body, **JSON)
            assert got.status == wanted.status, (oddity, endpoint, got.body[:300])
            if got.status == 200:
                assert warned(got, "touch"), (oddity, endpoint)
            elif got.status == 400:
                assert got.data["error"]["type"] == wanted.data["error"]["type"]


async def test_searches_of_an_msearch(proxy: Client, direct: Client, touched: str) -> None:
    """One that cannot be given goes on as it came; for one that is broken all are refused."""
    for oddity, text in QUERIES.items():
        body = f'{{"index":"{touched}"}}\n{text}\n{{"index":"{touched}"}}\n{{"size":1}}\n'.encode()
        got, wanted = [await c.post("/_msearch", body, **JSON) for c in (proxy, direct)]
        assert got.status == wanted.status, oddity
        if got.status == 200:
            statuses = [[r["status"] for r in each.data["responses"]] for each in (got, wanted)]
            assert statuses[0] == statuses[1], oddity
            assert warned(got, "touch"), oddity
            assert "_version" in got.data["responses"][1]["hits"]["hits"][0]
        else:
            assert got.data == wanted.data, oddity


async def test_an_empty_first_line(proxy: Client, touched: str) -> None:
    """Is no header to OpenSearch, and so it is none for pipelines."""
    for body in (b'\n{}\n{"size":1}\n', b'{}\n{"size":1}\n\n', b'\n{}\r\n{"size":1}\r\n'):
        whole = await proxy.post(f"/{touched}/_msearch", body, **JSON)
        (response,) = whole.data["responses"]
        assert response["hits"]["hits"][0]["_version"] == 1


async def test_final_query_pipelines(proxy: Client, touched: str) -> None:
    """Refuse a search that they cannot be given; of an msearch that item."""
    await proxy.put(f"/{touched}/_settings", {"index.query.final_pipeline": "touch"})
    for text in QUERIES.values():
        whole = await proxy.post(f"/{touched}/_search", text.encode(), **JSON)
        assert whole.status == 400
        assert "[touch] always runs here" in whole.data["error"]["reason"]
        body = f'{{}}\n{text}\n{{}}\n{{"size":1}}\n'.encode()
        items = (await proxy.post(f"/{touched}/_msearch", body, **JSON)).data["responses"]
        assert [item["status"] for item in items] == [400, 200]
    for body in (b'{"index":\n{}\n', b'{"preference":"\\ud83d"}\n{}\n', b"{}\n{}"):
        whole = await proxy.post(f"/{touched}/_msearch", body, **JSON)
        assert whole.status == 400 or whole.data["responses"][0]["status"] == 400


async def test_templates_that_come_to_no_search(
    proxy: Client, direct: Client, touched: str
) -> None:
    """Are the backend's to refuse; of an `_msearch/template` that item alone."""
    for fault, template in TEMPLATES.items():
        got, wanted = [
            await c.post(f"/{touched}/_search/template", template) for c in (proxy, direct)
        ]
        assert got.status == wanted.status, (fault, got.body)
        assert got.status == TEMPLATE_STATUS.get(fault, 400), fault
        good = {"source": {"size": 1}}
        body = b"".join(b"{}\n" + json.dumps(t).encode() + b"\n" for t in (template, good))
        got, wanted = [
            await c.post(f"/{touched}/_msearch/template", body, **JSON) for c in (proxy, direct)
        ]
        assert got.status == wanted.status == 200, (fault, got.body, wanted.body)
        statuses = [[r.get("status") for r in a.data["responses"]] for a in (got, wanted)]
        assert statuses[0][1] == 200
        assert statuses[0][0] == TEMPLATE_STATUS.get(fault, 400), fault


async def test_a_template_call_without_a_template(
    proxy: Client, direct: Client, touched: str
) -> None:
    """Is the backend's 400, and nothing that a pipeline missed."""
    for method in ("GET", "POST"):
        got, wanted = [
            await c.call(method, f"/{touched}/_search/template") for c in (proxy, direct)
        ]
        assert (got.status, got.data) == (400, wanted.data)
        assert "Warning" not in got.headers


async def test_a_template_with_a_key_twice(proxy: Client, direct: Client, touched: str) -> None:
    """In the request around the source, too."""
    body = b'{"source":{"size":1},"source":{"size":2}}'
    for endpoint in ("_search/template", "_render/template"):
        path = f"/{touched}/{endpoint}" if "search" in endpoint else f"/{endpoint}"
        got, wanted = [await c.post(path, body, **JSON) for c in (proxy, direct)]
        assert got.status == wanted.status == 400
