"""Bodies with pipelines on the real OpenSearch: parts, formats and numbers as without."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote

import cbor2
import orjson
import pytest
import yaml

from pipelines.jsontext.json_text import parse
from proxy.formats.filter_path import FilterPath
from tests.client import Client, Response
from tests.conftest import StartProxy, connect

IDENTITY = "def result(response, context):\n    return response\n"
MARK = (
    "def result(response, context):\n"
    "    response['hits']['hits'].reverse()\n"
    "    response['marked'] = True\n"
    "    return response\n"
)
TOUCH_QUERY = (
    "def query(request, context):\n    request['track_total_hits'] = True\n    return request\n"
)
NOTE = (
    "def query(request, context):\n"
    "    context.metadata['note'] = {'a': 1, 'b': 2}\n"
    "    return request\n"
)  # fmt: skip
YAML = {"Content-Type": "application/yaml"}
CBOR = {"Content-Type": "application/cbor"}

ODD = (
    '{"k": "b", "price": 1.10, "big": 123456789012345678901234567890, "exp": 1e5, "one": 1.0,'
    ' "zero": -0, "z": 1, "a": [1.50, 2, 3.00], "text": "caf\\u00e9"}'
)
SOURCES = (
    '{"k": "a", "title": "x", "e": [], "o": {}, "n": null, "a": {"b": {"c": 1, "d": [1, {"c": 3}]},'
    ' "c": 2}, "a.b": {"c": 5}, "list": [[1, {"b": 2}], [], [{}]], "t": true}',
    ODD,
    '{"k": "c", "a": [{"b": 1}, {"c": {"b": []}}, 3, null], "price": 1.5, "o": {"x": {}},'
    ' "a\\\\b": 1, "*": {"b": 1}}',
)
SEARCH = {"aggs": {"k": {"terms": {"field": "k"}}}, "sort": [{"k": "asc"}]}


async def fill(client: Client, index: str) -> None:
    """Three documents in an order, stored as they are written."""
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    mappings = {"dynamic": False, "properties": {"k": {"type": "keyword"}}}
    await client.put(f"/{index}", {"settings": settings, "mappings": mappings})
    for number, source in enumerate(SOURCES):
        response = await client.put(f"/{index}/_doc/{number}?refresh=true", source.encode())
        assert response.status == 201, response.body


def still(response: dict[str, Any]) -> dict[str, Any]:
    """A response without what differs from one call to the next."""
    if "took" in response:
        response["took"] = 0
    return response


def read(response: Response) -> dict[str, Any]:
    """The response's JSON value, whatever its format."""
    kind = response.headers["Content-Type"]
    if "yaml" in kind:
        value = yaml.safe_load(response.body)
    elif "cbor" in kind:
        value = cbor2.loads(response.body)
    else:
        value = json.loads(response.body)
    assert isinstance(value, dict)
    return still(value)


EXPRESSIONS = [
    "took", "hits", "hits.hits", "hits.hits._source.a", "hits.**", "**", "*", "**._id", "**.b",
    "-took", "-hits.hits._source", "hits,-hits.hits._source", "hits.hits._source.*.b", "-**.b",
    r"hits.hits._source.a\.b", r"hits.hits._source.a\.b.c", r"-hits.hits._source.a\.b.c",
    "-hits.hits._source.o.x", "-hits.hits._source.e.x", "**.a.**.b", "h*.h*s._id", "**._source",
    "aggregations.**.key", "hits.hits._source.list.b", "-hits.hits._source.list.*", "hits.",
    r"hits.hits._source.a\\b", r"hits.hits._source.a\xb", "hits.hits._source..", "hits..hits",
    ".hits", ".", "**.**", "*.*", "-*.*", "-**", "-hits.hits._source.n.x", " took , hits.total ",
    "- took", "-,-took", "hits.hits._source.***", "**,-**._source", "-hits.hits.*.*", "nothing",
]  # fmt: skip
WORDS = ["hits", "hits", "_source", "a", "b", "c", "*", "**", "list", "o", "x", "_id", "h*", "*s",
         "*_*", "aggregations", "e", "total", r"a\.b", "buckets", "k"]  # fmt: skip


def expressions(count: int) -> list[str]:
    """The expressions above, and as many more, made up."""
    chance = random.Random(3)
    made = []
    for _ in range(count):
        paths = []
        for _ in range(chance.choice([1, 1, 2, 3])):
            begin = chance.choice([["hits", "hits", "_source"], ["hits"], [], ["**"]])
            names = [chance.choice(WORDS) for _ in range(chance.randint(1, 4))]
            paths.append(chance.choice(["", "", "-"]) + ".".join([*begin, *names]))
        made.append(",".join(paths))
    return [*EXPRESSIONS, *made]


async def test_filter_path_is_the_backends(direct: Client, index_name: str) -> None:
    """Our filtering of a whole response is the backend's response to the same `filter_path`."""
    await fill(direct, index_name)
    url = f"/{index_name}/_search"
    whole = still(parse((await direct.post(url, SEARCH)).body.decode()))
    for paths in expressions(200):
        response = await direct.post(f"{url}?filter_path={quote(paths)}", SEARCH)
        theirs = still(parse(response.body.decode()))
        assert json.dumps(FilterPath.parse(paths).apply(whole)) == json.dumps(theirs), paths


ASKED = [
    "", "?pretty", "?human", "?typed_keys", "?rest_total_hits_as_int=true", "?error_trace=true",
    "?filter_path=hits.hits._source.price,took", "?filter_path=-hits.hits._source&pretty",
    "?filter_path=**.a,-**.b", "?filter_path=nothing", "?filter_path=-", "?filter_path=",
    "?format=json", "?format=yaml", "?format=cbor", "?format=yaml&filter_path=hits.total",
    "?format=cbor&pretty&typed_keys", "?format=xyz", "?track_total_hits=false",
    "?rest_total_hits_as_int=true&filter_path=hits.total", "?size=1&filter_path=hits.hits._id",
]  # fmt: skip


@pytest.mark.parametrize("source", [IDENTITY, MARK], ids=["identity", "marked"])
async def test_parameters_work_as_without_a_pipeline(
    proxy: Client, direct: Client, index_name: str, source: str
) -> None:
    """Parts, layout and format of a response are what they are without a pipeline."""
    await fill(direct, index_name)
    await proxy.define("results", "result", source)
    url = f"/{index_name}/_search"
    without = [await proxy.post(f"{url}{asked}", SEARCH) for asked in ASKED]
    await proxy.attach(index_name, result="results")
    for asked, plain in zip(ASKED, without, strict=True):
        response = await proxy.post(f"{url}{asked}", SEARCH)
        assert (response.status, "Warning" in response.headers) == (plain.status, False), asked
        assert response.headers["Content-Type"] == plain.headers["Content-Type"], asked
        expected, found = read(plain), read(response)
        if source == MARK:
            for value in (expected, found):
                value.pop("marked", None)
                if "hits" in value.get("hits", {}):
                    value["hits"]["hits"].sort(key=json.dumps)
        assert json.dumps(found) == json.dumps(expected), asked
        assert (b"\n  " in response.body) == (b"\n  " in plain.body), asked


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "application/yaml"},
        {"Accept": "application/cbor"},
        {"Accept": "application/vnd.opensearch+yaml"},
        {"Accept": "application/yaml, application/json"},
        {"Accept": "*/*"},
    ],
)
async def test_accepted_formats(
    proxy: Client, direct: Client, index_name: str, headers: dict[str, str]
) -> None:
    """The Accept header chooses the format, of answers and of errors."""
    await fill(direct, index_name)
    await proxy.define("results", "result", MARK)
    for target in (f"/{index_name}/_search", f"/{index_name}/_search?size=-2", "/missing/_search"):
        plain = await proxy.call("GET", target, None, headers)
        mark = "&" if "?" in target else "?"
        response = await proxy.call("GET", f"{target}{mark}pipeline=results", None, headers)
        assert response.status == plain.status
        assert response.headers["Content-Type"] == plain.headers["Content-Type"]
        assert read(response).keys() - {"marked"} == read(plain).keys()
        assert ("marked" in read(response)) is (response.status == 200)


async def test_an_elasticsearch_client_gets_its_media_types(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """Vendor types with a version are understood in requests, and come back on responses."""
    await fill(direct, index_name)
    await proxy.define("results", "result", MARK)
    await proxy.define("touch", "query", TOUCH_QUERY)
    vendor = "application/vnd.elasticsearch+{};compatible-with=9"
    url = f"/{index_name}/_search?pipeline=touch,results"
    for name, body in (("json", orjson.dumps(SEARCH)), ("cbor", cbor2.dumps(SEARCH))):
        kind = vendor.format(name)
        response = await proxy.call("POST", url, body, {"Accept": kind, "Content-Type": kind})
        assert response.status == 200, response.body
        assert response.headers["Content-Type"] == kind
        assert response.headers["X-Elastic-Product"] == "Elasticsearch"
        assert read(response)["marked"] is True


async def test_smile_is_refused_where_a_pipeline_has_to_read_it(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """406 says what to ask for; without a pipeline, and where nothing is read, SMILE passes."""
    await fill(direct, index_name)
    await proxy.define("results", "result", MARK)
    await proxy.define("note", "query", NOTE)
    url = f"/{index_name}/_search"
    refused = await proxy.get(f"{url}?format=smile&pipeline=results")
    assert refused.status == 406
    assert "application/cbor" in refused.error["reason"]
    body = await proxy.call(
        "POST", f"{url}?pipeline=results", b":)\n", {"Content-Type": "application/smile"}
    )
    assert body.status == 406
    assert (await proxy.get(f"{url}?format=smile")).body.startswith(b":)\n")
    passed = await proxy.get(f"{url}?format=smile&pipeline=note")
    assert passed.body.startswith(b":)\n")
    assert "_pipeline_metadata was left out" in passed.headers["Warning"]


async def test_metadata_is_part_of_the_response(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """`_pipeline_metadata` is filtered, laid out and formatted like the rest."""
    await fill(direct, index_name)
    await proxy.define("note", "query", NOTE)
    url = f"/{index_name}/_search?pipeline=note"
    assert (await proxy.get(url)).data["_pipeline_metadata"] == {"note": {"a": 1, "b": 2}}
    assert (await proxy.get(f"{url}&filter_path=hits.total.value")).data == {
        "hits": {"total": {"value": 3}}
    }
    part = await proxy.get(f"{url}&filter_path=*.*.b,took&pretty")
    assert part.body.startswith(
        b'{\n  "_pipeline_metadata" : {\n    "note" : {\n      "b" : 2\n    }\n  },\n  "t'
    )
    formatted = await proxy.get(f"{url}&format=yaml")
    assert formatted.body.startswith(
        b"---\n_pipeline_metadata:\n  note:\n    a: 1\n    b: 2\ntook:"
    )


async def test_a_response_too_large_is_asked_for_again(
    start_proxy: StartProxy, direct: Client, index_name: str
) -> None:
    """What is too large for a pipeline comes in the form the client wanted, with a Warning."""
    async with connect(await start_proxy(max_transform_bytes="64KB")) as proxy:
        await proxy.index(index_name, {str(n): {"title": "x" * 1000} for n in range(100)})
        await proxy.define("results", "result", MARK)
        url = f"/{index_name}/_search?size=100&pipeline=results"
        parts = await proxy.get(f"{url}&filter_path=hits.hits._id")
        assert parts.data.keys() == {"hits"}
        assert len(parts.ids) == 100
        assert "is larger than" in parts.headers["Warning"]
        formatted = await proxy.get(f"{url}&format=yaml")
        assert formatted.headers["Content-Type"] == "application/yaml"
        assert len(read(formatted)["hits"]["hits"]) == 100


async def test_bodies_in_other_formats_are_read(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """Requests and documents in YAML and CBOR reach pipelines; unchanged ones stay what they were.

    The response is in the format of the request's body, as the backend has it.
    """
    await fill(direct, index_name)
    await proxy.define("touch", "query", TOUCH_QUERY)
    await proxy.define("same", "query", "def query(request, context):\n    return request\n")
    await proxy.define(
        "stamp", "document", "def document(doc, context):\n    return {**doc, 's': 1}"
    )
    search = {"query": {"term": {"k": "b"}}, "size": 1}
    written = {"yaml": yaml.dump(search).encode(), "cbor": cbor2.dumps(search)}
    for name, body in written.items():
        headers = {"Content-Type": f"application/{name}"}
        for pipeline in ("touch", "same"):
            url = f"/{index_name}/_search?pipeline={pipeline}"
            response = await proxy.call("POST", url, body, headers)
            assert response.status == 200, response.body
            assert response.headers["Content-Type"] == f"application/{name}"
            assert [hit["_id"] for hit in read(response)["hits"]["hits"]] == ["1"]
        document = {"yaml": b"---\nk: d\nn: 012\n", "cbor": cbor2.dumps({"k": "d", "n": 10})}[name]
        url = f"/{index_name}/_doc/{name}?refresh=true&pipeline=stamp"
        response = await proxy.call("PUT", url, document, headers)
        assert response.status == 201, response.body
        stored = await direct.get(f"/{index_name}/_source/{name}")
        assert stored.data == {"k": "d", "n": 10, "s": 1}


async def test_bodies_that_are_not_valid_in_their_format(proxy: Client, index_name: str) -> None:
    """The backend says what is wrong; a bulk is never YAML."""
    await proxy.index(index_name, {"1": {"k": "a"}})
    await proxy.define("touch", "query", TOUCH_QUERY)
    await proxy.define(
        "stamp", "document", "def document(doc, context):\n    return {**doc, 's': 1}"
    )
    url = f"/{index_name}/_search?pipeline=touch"
    broken = await proxy.call("POST", url, b"query: [", YAML)
    assert broken.status == 400
    assert b"parsing_exception" in broken.body
    assert "YAML" in broken.headers["Warning"]
    assert (await proxy.call("POST", url, b"\xff", CBOR)).status == 400
    assert (await proxy.call("POST", url, b"- 1\n", YAML)).status == 400
    bulk = await proxy.call("POST", f"/{index_name}/_bulk?pipeline=stamp", b"---\na: 1\n", YAML)
    # What the backend says to it, which tells its lines apart in JSON and SMILE only.
    assert bulk.status == 406
    assert "application/x-ndjson" in bulk.headers["Warning"]


async def test_what_no_stage_changed_is_as_it_was_written(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """Numbers of any size and form, escapes and orders survive queries, documents and results."""
    await fill(direct, index_name)
    await proxy.define("results", "result", MARK)
    response = await proxy.post(f"/{index_name}/_search?pipeline=results", SEARCH)
    assert f'"_source":{ODD}'.encode() in response.body
    part = await proxy.post(
        f"/{index_name}/_search?pipeline=results&filter_path=hits.hits._source", SEARCH
    )
    assert f'"_source":{ODD}'.encode() in part.body
    await proxy.define(
        "stamp", "document", "def document(doc, context):\n    return {**doc, 's': 1}"
    )
    await proxy.put(f"/{index_name}/_doc/9?pipeline=stamp", ODD.encode())
    stored = await direct.get(f"/{index_name}/_source/9")
    inner = ODD[1:-1].replace(", ", ",").replace('": ', '":')
    assert stored.body.decode() == f'{{{inner.replace("[1.50,2,3.00]", "[1.50, 2, 3.00]")},"s":1}}'
    lines = f'{{"index": {{"_id": "10"}}}}\n{ODD}\n'.encode()
    await proxy.post(f"/{index_name}/_bulk?pipeline=stamp", lines)
    assert (await direct.get(f"/{index_name}/_source/10")).body == stored.body


async def test_bulk_responses_with_items_of_ours(proxy: Client, index_name: str) -> None:
    """Items that never reached the backend are in the response in any form it is asked for."""
    await proxy.index(index_name, {"0": {"k": "a"}})
    await proxy.define(
        "some",
        "document",
        "def document(doc, context):\n"
        "    if doc.get('bad'):\n        reject('no')\n    return {**doc, 's': 1}\n",
    )
    url = f"/{index_name}/_bulk?pipeline=some"
    good, bad = '{"index": {"_id": "1"}}\n{"k": 1}\n', '{"index": {"_id": "2"}}\n{"bad": 1}\n'
    for body in (good + bad, bad):
        sent = body.encode()
        whole = (await proxy.post(url, sent)).data
        assert whole["errors"] is True
        part = await proxy.post(f"{url}&filter_path=items.*.status,errors", sent)
        assert part.data["errors"] is True
        statuses = [item["index"]["status"] for item in part.data["items"]]
        assert statuses in ([200, 400], [400])
        assert list(part.data["items"][0]["index"]) == ["status"]
        formatted = await proxy.post(f"{url}&format=yaml", sent)
        assert formatted.headers["Content-Type"] == "application/yaml"
        assert len(read(formatted)["items"]) == len(statuses)
        indented = await proxy.post(f"{url}&pretty&filter_path=errors", sent)
        assert indented.body == b'{\n  "errors" : true\n}\n'
    assert (await proxy.post(f"{url}&format=smile", bad.encode())).status == 406


async def test_other_reads_take_the_same_forms(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """Scroll pages, several searches at once and reads by id are filtered and formatted, too."""
    await fill(direct, index_name)
    await proxy.define("results", "result", MARK)
    await proxy.define(
        "reads",
        "result",
        "def result(response, context):\n"
        "    for hit in response['hits']['hits']:\n        hit['_source']['seen'] = 1\n"
        "    return response\n",
        applies_to=["search", "get"],
    )
    url = f"/{index_name}/_search?scroll=1m&size=1&pipeline=results"
    first = await proxy.get(f"{url}&filter_path=_scroll_id,hits.hits._id")
    assert first.data.keys() == {"_scroll_id", "hits"}
    page = await proxy.post(
        "/_search/scroll?filter_path=marked,hits.hits._id&format=yaml",
        {"scroll_id": first.data["_scroll_id"]},
    )
    assert read(page).keys() == {"marked", "hits"}
    lines = b'{}\n{"size": 1}\n{"index": "missing-one"}\n{}\n'
    several = await proxy.post(
        f"/{index_name}/_msearch?pipeline=results&filter_path=responses.marked,responses.status",
        lines,
    )
    assert several.data == {"responses": [{"marked": True, "status": 200}, {"status": 404}]}
    one = await proxy.get(f"/{index_name}/_doc/1?pipeline=reads&filter_path=_source.seen,_id")
    assert one.data == {"_id": "1", "_source": {"seen": 1}}
    missing = await proxy.get(f"/{index_name}/_doc/99?pipeline=reads&format=yaml&filter_path=found")
    assert (missing.status, read(missing)) == (404, {"found": False})
    many = await proxy.post(
        f"/{index_name}/_mget?pipeline=reads&format=cbor&filter_path=docs._source.seen",
        {"ids": ["0", "1"]},
    )
    assert read(many) == {"docs": [{"_source": {"seen": 1}}, {"_source": {"seen": 1}}]}
