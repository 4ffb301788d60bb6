"""Responses that pipelines cannot be given reach the client as they came, with a Warning."""

from __future__ import annotations

import json

import pytest

from tests.client import Client
from tests.flows.odd_texts import GUARD, HIDE, JSON, TAKEN, warned

pytestmark = pytest.mark.usefixtures("nothing_stays")

FORMS = ("", "pretty", "filter_path=hits,docs,responses.hits,_source", "format=yaml", "format=cbor")


@pytest.fixture
async def halves(proxy: Client, direct: Client, index_name: str) -> str:
    """An index with documents that result pipelines cannot be given, and one that they can."""
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    await direct.put(f"/{index_name}", {"settings": settings, "mappings": {"dynamic": False}})
    for number, body in enumerate(TAKEN.values()):
        response = await direct.put(f"/{index_name}/_doc/{number}?refresh=true", body, **JSON)
        assert response.status == 201
    await direct.put(f"/{index_name}/_doc/good?refresh=true", {"s": "x", "secret": 1})
    commented = b'{"s":/* " */"x","secret":1}'
    await direct.put(f"/{index_name}/_doc/comments?refresh=true", commented, **JSON)
    await proxy.define("hide", "result", HIDE, applies_to=["search", "get"])
    await proxy.attach(index_name, result="hide")
    return index_name


async def test_responses_that_cannot_be_given(proxy: Client, direct: Client, halves: str) -> None:
    """Pass, in every form the backend has for them, with a Warning."""
    mget = b'{"ids":["0","1","good"]}'
    calls = [
        *(("GET", f"/{halves}/_search?q=_id:{number}", None) for number in range(len(TAKEN))),
        *(("GET", f"/{halves}/_doc/{number}?a", None) for number in range(len(TAKEN))),
        *(("GET", f"/{halves}/_source/{number}?a", None) for number in range(len(TAKEN))),
        ("POST", f"/{halves}/_mget?a", mget),
        (
            "POST",
            f"/{halves}/_msearch?a",
            b'{}\n{"size":9}\n{}\n{"query":{"ids":{"values":["good"]}}}\n',
        ),
        ("POST", f"/{halves}/_search/template?a", b'{"source":{"size":9}}'),
    ]
    for method, target, body in calls:
        for form in FORMS:
            asked = (
                target.replace("?a", "?" + form) if target.endswith("?a") else f"{target}&{form}"
            )
            got = await proxy.call(method, asked, body, JSON if body else {})
            wanted = await direct.call(method, asked, body, JSON if body else {})
            if "cbor" in form and wanted.status != 200:
                # The backend breaks off, or fails: no format of its own can hold it.
                continue
            assert got.status == 200, (asked, got.body[:300])
            assert warned(got, "hide"), (asked, got.headers)
            if got.headers["Content-Type"] == wanted.headers["Content-Type"]:
                assert b"good" not in asked.encode() or b'"secret"' not in got.body


async def test_of_many_responses_the_others_are_seen(proxy: Client, halves: str) -> None:
    """Documents of an `_mget` and searches of an `_msearch` are each by themselves."""
    response = await proxy.post(f"/{halves}/_mget", b'{"ids":["0","1","good","comments"]}')
    docs = json.loads(response.body)["docs"]
    assert docs[0]["_source"] == {"s": "a \ud83d b"}
    assert b'"_source":{"s":1e400}' in response.body
    assert [doc["_source"] for doc in docs[2:]] == [{"s": "x"}, {"s": "x"}]
    lines = b'{}\n{"query":{"ids":{"values":["0"]}}}\n{}\n{"query":{"ids":{"values":["good"]}}}\n'
    response = await proxy.post(f"/{halves}/_msearch", lines, **JSON)
    first, second = json.loads(response.body)["responses"]
    assert first["hits"]["hits"][0]["_source"] == {"s": "a \ud83d b"}
    assert second["hits"]["hits"][0]["_source"] == {"s": "x"}
    assert warned(response, "hide")


async def test_comments_that_were_stored(proxy: Client, halves: str) -> None:
    """Stand in responses too; pipelines see what they mean."""
    for target in ("_search?q=_id:comments", "_doc/comments", "_source/comments"):
        response = await proxy.get(f"/{halves}/{target}")
        assert b"secret" not in response.body, target
        assert "Warning" not in response.headers


async def test_pages_of_a_scroll(proxy: Client, halves: str) -> None:
    """Go on with their pipelines behind one that they cannot be given."""
    first = await proxy.post(f"/{halves}/_search?scroll=1m", {"size": 3, "sort": ["_doc"]})
    assert warned(first, "hide")
    body = {"scroll": "1m", "scroll_id": json.loads(first.body)["_scroll_id"]}
    assert body["scroll_id"].startswith("qm1.")
    second = await proxy.post("/_search/scroll", body)
    assert second.status == 200
    assert warned(second, "hide")
    third = await proxy.post("/_search/scroll", body)
    assert json.loads(third.body)["hits"]["hits"] == []


async def test_final_result_pipelines(proxy: Client, halves: str) -> None:
    """Refuse a response that they cannot be given, so that nothing they would hide is seen."""
    await proxy.put(f"/{halves}/_settings", {"index.result.final_pipeline": "hide"})
    for form in FORMS:
        response = await proxy.get(f"/{halves}/_search?{form}")
        assert response.status == 500
        assert b"secret" not in response.body.replace(b"_source.secret", b"")
        response = await proxy.get(f"/{halves}/_doc/0?{form}")
        assert response.status == 500
    docs = (await proxy.post(f"/{halves}/_mget", b'{"ids":["0","good"]}')).data["docs"]
    assert docs[0]["error"]["type"] == "pipeline_execution_exception"
    assert docs[1]["_source"] == {"s": "x"}


async def test_a_bulk_whose_error_quotes_half_a_pair(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """Is answered once its writes are done, with what the backend said."""
    mappings = {"properties": {"n": {"type": "integer"}}}
    await proxy.put(f"/{index_name}", {"mappings": mappings})
    await proxy.define("guard", "document", GUARD)
    await proxy.attach(index_name, document="guard")
    body = (
        b'{"index":{"_id":"1"}}\n{"n":"a \\ud83d b"}\n{"index":{"_id":"2"}}\n{"secret":1}\n'
        b'{"index":{"_id":"3"}}\n{"n":3}\n'
    )
    for form in ("", "?filter_path=items.*.status,errors", "?format=yaml"):
        response = await proxy.post(f"/{index_name}/_bulk{form}", body)
        assert response.status == 200, response.body
    items = json.loads((await proxy.post(f"/{index_name}/_bulk", body)).body)["items"]
    assert [item["index"]["status"] for item in items] == [400, 422, 200]
    assert "a" in items[0]["index"]["error"]["reason"]


async def test_trying_a_pipeline_on_deep_values(proxy: Client) -> None:
    """It is done up to 250 levels; above them the input is refused, and the result invalid."""
    deepen = (
        "def document(doc, context):\n"
        "    value = 1\n    for _ in range(doc['levels'] - 1):\n        value = [value]\n"
        "    return {'a': value}\n"
    )
    await proxy.define("same", "document", "def document(doc, context):\n    return doc\n")
    await proxy.define("deepen", "document", deepen)
    for levels in (245, 246, 249, 250, 251, 252, 253, 254, 255, 256, 300, 1100):
        text = '{"input":{"a":' + "[" * (levels - 1) + "1" + "]" * (levels - 1) + "}}"
        given = await proxy.post("/_pipeline/same/_execute?verbose=true", text.encode())
        made = await proxy.post(
            "/_pipeline/deepen/_execute?verbose=true", {"input": {"levels": levels}}
        )
        for response in (given, made):
            assert response.status in ((200,) if levels <= 250 else (200, 400)), levels
            if response.status == 200 and response.data["outcome"] != "done":
                assert levels > 250
                assert response.data["error"]["kind"] == "invalid_result"


async def test_trying_a_pipeline_on_what_is_stored(proxy: Client, halves: str) -> None:
    """A document that it cannot be given is a 400 that says so."""
    for number in range(len(TAKEN)):
        body = {"index": halves, "id": str(number)}
        await proxy.define("same", "document", "def document(doc, context):\n    return doc\n")
        response = await proxy.post("/_pipeline/same/_execute", body)
        assert response.status == 400
        assert "cannot" in response.error["reason"] or "can read" in response.error["reason"]
