"""Bodies and answers that pipelines cannot be given go on as they came, and say so."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.client import Client, Response

JSON = {"Content-Type": "application/json"}
TOUCH = "def query(request, context):\n    request['version'] = True\n    return request\n"
HIDE = (
    "def result(response, context):\n"
    "    for hit in response['hits']['hits']:\n"
    "        hit.get('_source', {}).pop('secret', None)\n"
    "    return response\n"
)
MARK = "def document(doc, context):\n    doc['marked'] = True\n    return doc\n"
GUARD = (
    "def document(doc, context):\n"
    "    if 'secret' in doc:\n"
    "        reject('no', status=422)\n"
    "    return doc\n"
)
HALF = b'{"s":"a \\ud83d b"}'
# What one backend takes and no pipeline can be given.
TAKEN = {
    "half a pair": HALF,
    "beyond a double": b'{"s":1e400}',
    "below a double": b'{"s":-1e400}',
    "400 digits": b'{"s":1' + b"0" * 400 + b"}",
}
# What it refuses.
REFUSED = {
    "a key twice": b'{"s":1,"s":2}',
    "a key twice inside": b'{"o":{"a":[{"s":1,"s":2}]}}',
    "a key twice by an escape": b'{"s":1,"\\u0073":2}',
    "broken": b'{"s":',
    "words behind": b'{"s":1} xyz',
    "a number that is none": b'{"s":NaN}',
    "no UTF-8": b'{"s":"\xff"}',
    "an array": b"[1]",
    "white": b"  ",
}
# What is JSON once it is read as a backend does.
SPELLED = {
    "comments": b'{/* " */"s":"x"} // "',
    "a mark": b'\xef\xbb\xbf{"s":"x"}',
    "UTF-16": '{"s":"x"}'.encode("utf-16-le"),
    "UTF-32": '{"s":"x"}'.encode("utf-32-le"),
    "too many bytes": b'{"s":"\xc1\xb8"}',
}


def warned(response: Response, name: str) -> bool:
    """Whether a Warning says that a pipeline did not run."""
    values = response.headers.getall("Warning", [])
    return any(f"[{name}@" in value and "did not run" in value for value in values)


@pytest.fixture(autouse=True)
async def nothing_stays(direct: Client, index_name: str) -> AsyncIterator[None]:
    """Readers of all indices would find what they cannot read."""
    yield
    await direct.delete(f"/{index_name},{index_name}-direct?ignore_unavailable=true")


async def stored(direct: Client, index: str, doc_id: str) -> Any:
    return json.loads((await direct.get(f"/{index}/_source/{doc_id}")).body)


@pytest.fixture
async def marked(proxy: Client, index_name: str) -> str:
    """An index whose documents are marked."""
    await proxy.put(f"/{index_name}", {"mappings": {"dynamic": False}})
    await proxy.define("mark", "document", MARK)
    await proxy.attach(index_name, document="mark")
    return index_name


async def test_documents_that_cannot_be_given(proxy: Client, direct: Client, marked: str) -> None:
    """Are stored as they came, with a Warning."""
    for oddity, body in TAKEN.items():
        response = await proxy.put(f"/{marked}/_doc/1", body, **JSON)
        assert response.status in (200, 201), (oddity, response.body)
        assert warned(response, "mark"), oddity
        source = (await direct.get(f"/{marked}/_source/1")).body
        assert source == body


async def test_documents_that_are_refused(proxy: Client, direct: Client, marked: str) -> None:
    """Are refused by the backend, in its own words: also where a key comes twice."""
    for oddity, body in REFUSED.items():
        for method, target in (("PUT", "_doc/1"), ("POST", "_doc"), ("PUT", "_create/1")):
            got = await proxy.call(method, f"/{marked}/{target}", body, JSON)
            wanted = await direct.call(method, f"/{marked}/{target}", body, JSON)
            assert (got.status, got.data) == (wanted.status, wanted.data), oddity
            assert got.status == 400


async def test_documents_in_another_spelling(proxy: Client, direct: Client, marked: str) -> None:
    """Are given to pipelines as the plain JSON that they mean."""
    for oddity, body in SPELLED.items():
        response = await proxy.put(f"/{marked}/_doc/1", body, **JSON)
        assert response.status in (200, 201), (oddity, response.body)
        assert "Warning" not in response.headers
        assert await stored(direct, marked, "1") == {"s": "x", "marked": True}


async def test_odd_documents_of_a_bulk(proxy: Client, direct: Client, marked: str) -> None:
    """Each is taken or refused by itself, as direct; the others are marked."""
    bodies = {**TAKEN, **{k: v for k, v in REFUSED.items() if k != "white"}}
    action = b'{"index":{"_id":"%d"}}\n'
    lines = [action % n + body + b"\n" for n, body in enumerate(bodies.values())]
    lines.append(action % 99 + b'{"s":"x"}\n')
    await direct.put(f"/{marked}-direct", {"mappings": {"dynamic": False}})
    got = await proxy.post(f"/{marked}/_bulk", b"".join(lines))
    wanted = await direct.post(f"/{marked}-direct/_bulk", b"".join(lines))
    statuses = [
        [item["index"]["status"] for item in response.data["items"]] for response in (got, wanted)
    ]
    assert statuses[0] == statuses[1]
    assert set(statuses[0]) == {201, 400}
    assert warned(got, "mark")
    assert await stored(direct, marked, "99") == {"s": "x", "marked": True}
    assert await stored(direct, marked, "0") == {"s": "a \ud83d b"}


async def test_comments_between_the_items_of_a_bulk(
    proxy: Client, direct: Client, marked: str
) -> None:
    """Are no items, so that all others are marked."""
    body = b'// x\n{"index":{"_id":"1"}}\n{"s":1}\n/* " */\n{"index":{"_id":"2"}}\n{"s":2}\n'
    response = await proxy.post(f"/{marked}/_bulk", body)
    assert [item["index"]["status"] for item in response.data["items"]] == [201, 201]
    assert "Warning" not in response.headers
    assert await stored(direct, marked, "1") == {"s": 1, "marked": True}
    assert await stored(direct, marked, "2") == {"s": 2, "marked": True}


async def test_a_broken_action_refuses_all(proxy: Client, direct: Client, marked: str) -> None:
    """As the backend does, and nothing is stored."""
    body = b'{"index":{"_id":"1"}}\n{"s":"x"}\n{"index":\n{"s":"y"}\n'
    got = await proxy.post(f"/{marked}/_bulk", body)
    assert (got.status, got.data) == (400, (await direct.post(f"/{marked}/_bulk", body)).data)
    assert (await direct.get(f"/{marked}/_doc/1")).status == 404


async def test_final_document_pipelines(proxy: Client, direct: Client, index_name: str) -> None:
    """Refuse what they cannot be given; of a bulk that item, or all where no action can be read."""
    await proxy.put(f"/{index_name}", {"mappings": {"dynamic": False}})
    await proxy.define("guard", "document", GUARD)
    await proxy.put(f"/{index_name}/_settings", {"index.document.final_pipeline": "guard"})
    for body in (*TAKEN.values(), *REFUSED.values()):
        response = await proxy.put(f"/{index_name}/_doc/1", body, **JSON)
        assert response.status == 400
        assert "[guard] always runs here" in response.data["error"]["reason"]
        if body.strip():
            lines = b'{"index":{"_id":"1"}}\n' + body + b'\n{"index":{"_id":"2"}}\n{"s":1}\n'
            items = (await proxy.post(f"/{index_name}/_bulk", lines)).data["items"]
            assert items[0]["index"]["status"] == 400
    assert (await proxy.post(f"/{index_name}/_bulk", b'{"index":\n{}\n')).status == 400
    assert (await direct.get(f"/{index_name}/_doc/1")).status == 404
    spelled = '{"secret":1} // x'.encode("utf-16-le")
    assert (await proxy.put(f"/{index_name}/_doc/1", spelled, **JSON)).status == 422


QUERIES = {
    "half a pair": '{"query":{"match":{"t":"\\ud83d"}}}',
    "an escape and no brace": '{"query":{"match":{"t":"\\u0041"}}',
    "beyond a double": '{"min_score":1e400}',
    "a key twice": '{"size":1,"size":2}',
    "a key twice inside": '{"query":{"match":{"t":"a","t":"b"}}}',
    "words behind": '{"query":{"match":{"t":"a"}}} xyz',
    "deep": '{"query":' + '{"bool":{"must":' * 140 + '{"match_all":{}}' + "}}" * 140 + "}",
}


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


TEMPLATES = {
    "broken": {"source": '{"size": {{#toJson}}n{{/toJson}}, "query": {"match": {"t": }}}'},
    "a key twice": {"source": '{"size": 1, "size": 2}'},
    "no such id": {"id": "no-such-template"},
    "bad mustache": {"source": '{"size": {{#n}} 1'},
    "no JSON": {"source": "{{n}}", "params": {"n": "words"}},
}


async def test_templates_that_come_to_no_search(
    proxy: Client, direct: Client, touched: str
) -> None:
    """Are the backend's to refuse; of an `_msearch/template` that item alone."""
    for fault, template in TEMPLATES.items():
        got, wanted = [
            await c.post(f"/{touched}/_search/template", template) for c in (proxy, direct)
        ]
        assert got.status == wanted.status, (fault, got.body)
        assert 400 <= got.status < 500, fault
        good = {"source": {"size": 1}}
        body = b"".join(b"{}\n" + json.dumps(t).encode() + b"\n" for t in (template, good))
        got, wanted = [
            await c.post(f"/{touched}/_msearch/template", body, **JSON) for c in (proxy, direct)
        ]
        assert got.status == wanted.status == 200, (fault, got.body, wanted.body)
        statuses = [[r.get("status") for r in a.data["responses"]] for a in (got, wanted)]
        assert statuses[0][1] == 200
        assert 400 <= statuses[0][0] < 500, fault


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


_GOOD = b'"query":{"ids":{"values":["good"]}}'
FORMS = ("", "pretty", "filter_path=hits,docs,responses.hits,_source", "format=yaml", "format=cbor")


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


async def test_deep_documents(proxy: Client, direct: Client, marked: str) -> None:
    """On traffic too: done up to 250 levels, passed on above them."""
    for levels in (19, 250, 251, 252, 253, 254, 255, 256, 300):
        body = b'{"a":' + b"[" * (levels - 1) + b"1" + b"]" * (levels - 1) + b"}"
        got = await proxy.put(f"/{marked}/_doc/1", body, **JSON)
        wanted = await direct.put(f"/{marked}/_doc/1", body, **JSON)
        assert got.status in (wanted.status, 201 if wanted.status == 200 else 0), levels
        assert warned(got, "mark") is (levels > 250)


async def test_gzip_and_deflate(proxy: Client, direct: Client, marked: str) -> None:
    """Are read whatever their ratio; what breaks off is read as far as it goes."""
    line = b'{"index":{}}\n{"message":"GET /index.html 200","level":"info"}\n'
    for coding, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        body = pack(line * 2000)
        assert len(line) * 2000 / len(body) > 200
        headers = {**JSON, "Content-Encoding": coding}
        response = await proxy.call("POST", f"/{marked}/_bulk", body, headers)
        assert response.status == 200
        assert response.data["errors"] is False
    cut = gzip.compress(b'{"s":"x"}')[:-4]
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert (await proxy.call("PUT", f"/{marked}/_doc/cut", cut, headers)).status == 201
    assert await stored(direct, marked, "cut") == {"s": "x", "marked": True}
