"""Pipelines named by the request: in a parameter, in the header field, in a search's body."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from pipelines.jsontext.slices import without_member
from proxy.embedded import EmbeddedCluster
from proxy.http.headers import request_fields
from tests.client import Client, Response
from tests.conftest import StartOn, StartProxy, connect

TWO = "def query(request, context):\n    return {**request, 'query': {'range': {'n': {'lt': 2}}}}\n"
MARK = "def result(response, context):\n    response['marked'] = True\n    return response\n"
STAMP = "def document(doc, context):\n    return {**doc, 'stamp': 1}\n"
FIELD = "Querymill-Pipeline"
ALL = {FIELD: "two, mark,stamp"}


async def prepared(proxy: Client, index: str) -> None:
    await proxy.index(index, {str(n): {"n": n} for n in range(4)})
    await proxy.define("two", "query", TWO)
    await proxy.define("mark", "result", MARK)
    await proxy.put_pipeline("read", "result", "mark", applies_to=["get"])
    await proxy.define("stamp", "document", STAMP)


def lines(*each: Any) -> bytes:
    return b"\n".join([*(orjson.dumps(line) for line in each), b""])


def ran(given: Response) -> str | None:
    value = given.headers.get("Querymill-Pipelines")
    return value and ",".join(part.split("@")[0] for part in value.split(", "))


CALLS: list[tuple[str, str, Any, str]] = [
    ("POST", "_search", {}, "two,mark"),
    ("GET", "_search?q=n:*", None, "two,mark"),
    ("POST", "_search/template", {"source": {"size": 3}}, "two,mark"),
    ("POST", "_msearch", lines({}, {}), "two,mark"),
    ("POST", "_msearch/template", lines({}, {"source": {"size": 3}}), "two,mark"),
    ("POST", "_search?scroll=1m", {}, "two,mark"),
    ("GET", "_count", None, "two"),
    ("GET", "_validate/query", None, "two"),
    ("POST", "_explain/1", {"query": {"match_all": {}}}, "two"),
    ("POST", "_update_by_query?conflicts=proceed", {}, "two"),
    ("PUT", "_doc/1", {"n": 1}, "stamp"),
    ("POST", "_doc", {"n": 1}, "stamp"),
    ("PUT", "_create/99", {"n": 1}, "stamp"),
    ("POST", "_update/1", {"doc": {"n": 2}, "upsert": {}}, "stamp"),
    ("POST", "_bulk", lines({"index": {"_id": "1"}}, {"n": 1}), "stamp"),
    ("POST", "_delete_by_query?conflicts=proceed", {"query": {"term": {"n": 9}}}, "two"),
    ("GET", "_doc/2", None, "read"),
    ("GET", "_source/2", None, "read"),
    ("POST", "_mget", {"ids": ["2"]}, "read"),
]
CREATES = ("_doc", "_create/99")


@pytest.mark.parametrize(("method", "verb", "body", "names"), CALLS)
async def test_the_header_field_names_pipelines(
    proxy: Client, index_name: str, method: str, verb: str, body: Any, names: str
) -> None:
    """On every endpoint on which the parameter does; those of other types are left out."""
    await prepared(proxy, index_name)
    headers = {FIELD: "read"} if names == "read" else ALL
    given = await proxy.call(method, f"/{index_name}/{verb}", body, headers)
    assert given.status == (201 if verb in CREATES else 200), given.body
    assert ran(given) == names


async def test_the_parameter_counts_before_the_header_field(proxy: Client, index_name: str) -> None:
    """It says more of the one request, also with `_none`."""
    await prepared(proxy, index_name)
    url = f"/{index_name}/_search"
    assert ran(await proxy.call("GET", f"{url}?pipeline=mark", None, {FIELD: "two"})) == "mark"
    assert ran(await proxy.call("GET", f"{url}?pipeline=_none", None, {FIELD: "two"})) is None
    doc = f"/{index_name}/_doc/1"
    assert ran(await proxy.call("PUT", f"{doc}?pipeline=_none", {}, {FIELD: "stamp"})) is None


async def test_what_the_header_field_leaves_alone(proxy: Client, index_name: str) -> None:
    """Defaults of a type of which it names none stay; `_none` turns them off; errors are told."""
    await prepared(proxy, index_name)
    await proxy.attach(index_name, query="two", document="stamp")
    url, doc = f"/{index_name}/_search", f"/{index_name}/_doc/1"
    assert ran(await proxy.call("GET", url, None, {FIELD: "stamp"})) == "two"
    assert ran(await proxy.call("GET", url, None, {FIELD: "mark"})) == "mark"
    assert ran(await proxy.call("PUT", doc, {}, {FIELD: "mark"})) == "stamp"
    for method, target in (("GET", url), ("PUT", doc)):
        body: Any = {} if method == "PUT" else None
        assert ran(await proxy.call(method, target, body, {FIELD: "_none"})) is None
        unknown = await proxy.call(method, target, body, {FIELD: "nothing"})
        assert (unknown.status, "[nothing]" in unknown.error["reason"]) == (404, True)
        mixed = await proxy.call(method, target, body, {FIELD: "_none,mark"})
        assert (mixed.status, FIELD in mixed.error["reason"]) == (400, True)
        assert (await proxy.call(method, target, body, {FIELD: " "})).status == 200
    one = lines({"index": {"_id": "1"}}, {})
    bulk = await proxy.call("POST", f"/{index_name}/_bulk", one, {FIELD: "nothing"})
    assert bulk.data["items"][0]["index"]["status"] == 404


async def test_an_item_counts_before_the_header_field(proxy: Client, index_name: str) -> None:
    """In a bulk, and in an msearch by header or body."""
    await prepared(proxy, index_name)
    await proxy.define("other", "document", STAMP.replace("stamp", "other"))
    body = lines({"index": {"_id": "1", "pipeline": "other"}}, {}, {"index": {"_id": "2"}}, {})
    await proxy.call("POST", f"/{index_name}/_bulk?refresh=true", body, {FIELD: "stamp"})
    found = [(await proxy.get(f"/{index_name}/_source/{n}")).data for n in (1, 2)]
    assert found == [{"other": 1}, {"stamp": 1}]
    body = lines({"pipeline": "mark"}, {}, {}, {"search_pipeline": "mark"}, {}, {})
    many = await proxy.call("POST", f"/{index_name}/_msearch", body, {FIELD: "two"})
    parts = many.data["responses"]
    assert [part["status"] for part in parts] == [200] * 3
    assert [part.get("marked") for part in parts] == [True, True, None]
    assert len(parts[2]["hits"]["hits"]) == 1


async def test_search_pipeline_with_a_name_of_ours(proxy: Client, index_name: str) -> None:
    """In the URL or the body it is ours; in both, the URL counts, as for the backend."""
    await prepared(proxy, index_name)
    url = f"/{index_name}/_search"
    assert ran(await proxy.get(f"{url}?search_pipeline=two,mark&size=1")) == "two,mark"
    body = {"size": 3, "search_pipeline": "mark"}
    given = await proxy.post(url, body)
    assert (ran(given), len(given.ids)) == ("mark", 3)
    assert ran(await proxy.post(f"{url}?search_pipeline=two", body)) == "two"
    assert ran(await proxy.post(f"{url}?pipeline=two", body)) == "two"
    assert ran(await proxy.post(f"{url}?pipeline=_none", body)) is None
    assert ran(await proxy.call("POST", url, body, {FIELD: "two"})) == "mark"
    large = {**body, "query": {"terms": {"n": list(range(20_000))}}}
    assert ran(await proxy.post(url, large)) == "mark"
    yaml = b"size: 3\nsearch_pipeline: mark\n"
    given = await proxy.call("POST", url, yaml, {"Content-Type": "application/yaml"})
    assert ran(given) == "mark"
    source = "%7B%22search_pipeline%22%3A%22mark%22%7D"
    given = await proxy.get(f"{url}?source={source}&source_content_type=application/json")
    assert ran(given) == "mark"
    wrong = await proxy.post(url, {"search_pipeline": "stamp"})
    assert (wrong.status, "document pipeline" in wrong.error["reason"]) == (400, True)


async def test_search_pipeline_in_every_sending(start_proxy: StartProxy, index_name: str) -> None:
    """Compressed, in pieces; above what pipelines may see, it is left to the backend."""
    async with connect(await start_proxy(max_transform_bytes=4096)) as proxy:
        await prepared(proxy, index_name)
        url = f"/{index_name}/_search"
        body = orjson.dumps({"search_pipeline": "mark"})
        packed = gzip.compress(body)
        headers = {"Content-Encoding": "gzip"}
        assert ran(await proxy.call("POST", url, packed, headers)) == "mark"

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(body), 7):
                yield body[at : at + 7]

        kind = {"Content-Type": "application/json"}
        async with proxy.session.post(url, data=pieces(), headers=kind) as response:
            assert response.headers["Querymill-Pipelines"] == "mark@1.0.0#1"
        for padding, status in ((4000, 200), (5000, 400)):
            long = orjson.dumps({"search_pipeline": "mark", "stats": ["x" * padding]})
            assert (await proxy.post(url, long)).status == status
            assert (await proxy.post(url, long.replace(b"search_pipeline", b"ext"))).status == 400
        smile = {"Content-Type": "application/smile"}
        odd = await proxy.call("POST", url, b":)\n\x00search_pipeline", smile)
        assert odd.status == 400


async def test_search_pipeline_of_the_backend(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """Any other name, an object, and what is wrong go on untouched; our defaults run as well."""
    await prepared(proxy, index_name)
    await proxy.attach(index_name, query="two")
    theirs = {"request_processors": [{"filter_query": {"query": {"term": {"n": 1}}}}]}
    await direct.put("/_search/pipeline/theirs", theirs)
    url = f"/{index_name}/_search"
    for target, body in (
        (f"{url}?search_pipeline=theirs", {}),
        (url, {"search_pipeline": "theirs"}),
        (url, {"search_pipeline": theirs}),
        (f"{url}?search_pipeline=theirs,mark", {}),
    ):
        given = await proxy.post(target, body)
        assert given.ids == ["1"], given.body
    assert (await proxy.post(f"{url}?search_pipeline=nothing", {})).status == 400
    many = lines({}, {"search_pipeline": "theirs"}, {}, {"search_pipeline": theirs})
    parts = (await proxy.post(f"/{index_name}/_msearch", many)).data["responses"]
    assert [[hit["_id"] for hit in part["hits"]["hits"]] for part in parts] == [["1"], ["1"]]
    given = await proxy.post(f"{url}?search_pipeline=_none", {})
    assert (ran(given), len(given.ids)) == (None, 4)
    given = await proxy.post(url, {"search_pipeline": "_none"})
    assert (ran(given), len(given.ids)) == (None, 4)
    await direct.delete("/_search/pipeline/theirs")


async def test_a_body_that_is_no_json_is_the_backends_to_refuse(
    proxy: Client, direct: Client, index_name: str
) -> None:
    """Also where it mentions a search pipeline."""
    await prepared(proxy, index_name)
    for body in (b'{"search_pipeline": "mark"', b'["search_pipeline"]', b'{"search_pipeline": 7}'):
        url = f"/{index_name}/_search"
        mine, theirs = await proxy.post(url, body), await direct.post(url, body)
        assert (mine.status, mine.data["error"]["type"]) == (
            theirs.status,
            theirs.data["error"]["type"],
        )


async def test_on_elasticsearch(
    elasticsearch: EmbeddedCluster, start_on: StartOn, index_name: str
) -> None:
    """A name of ours is never seen by a backend that knows no search pipelines."""
    async with connect(await start_on(elasticsearch)) as proxy:
        await prepared(proxy, index_name)
        url = f"/{index_name}/_search"
        assert ran(await proxy.get(f"{url}?search_pipeline=two")) == "two"
        assert ran(await proxy.post(url, {"search_pipeline": "mark"})) == "mark"
        assert ran(await proxy.call("GET", url, None, ALL)) == "two,mark"
        assert (await proxy.get(f"{url}?search_pipeline=nothing")).status == 400


def test_the_header_field_stays_here() -> None:
    """The backend never gets it, however it is written."""
    fields = [(b"queryMill-pipeline", b"a"), (b"Querymill-Pipelines", b"b")]
    assert request_fields(fields) == fields[1:]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"x":1}', "{}"),
        ('{ "x" : 1 , "a": [1.0] }', '{ "a": [1.0] }'),
        ('{"a":1,"x":{"b":2},"c":"x"}', '{"a":1,"c":"x"}'),
        ('{"x":1,"a":2,"x":3}', '{"a":2}'),
        ('{"a":2}', '{"a":2}'),
        ("{}", "{}"),
    ],
)
def test_a_member_is_taken_out(text: str, left: str) -> None:
    """However often it is there; all else stays as it was written."""
    assert orjson.loads(without_member(text, "x")) == orjson.loads(left)
    assert without_member(text, "y").replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    "key", ["search\\u005fpipeline", "\\u0073earch_pipeline", "search_pipelin\\u0065"]
)
async def test_an_escaped_key_names_pipelines_too(proxy: Client, index_name: str, key: str) -> None:
    """In a search, and in one of an msearch."""
    await proxy.index(index_name, {"1": {"n": 1}, "2": {"n": 2}})
    await proxy.define("one", "query", "def query(r, c):\n    return {**r, 'size': 1}\n")
    body = f'{{"{key}":"one","query":{{"match_all":{{}}}}}}'.encode()
    found = await proxy.post(f"/{index_name}/_search", body)
    assert (found.status, len(found.ids)) == (200, 1), found.body
    found = await proxy.post(f"/{index_name}/_msearch", b"{}\n" + body + b"\n")
    (only,) = found.data["responses"]
    assert len(only["hits"]["hits"]) == 1
