"""What a request is called: in its response, and in each log line about it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from proxy.server.limits import ID_MAX
from proxy.server.request_id import request_id
from tests.client import Client, Response
from tests.conftest import StartProxy, connect
from tests.proxy.wire import Client as RawClient
from tests.proxy.wire import request

FIELD = "Querymill-Request-Id"
SAYS = "def query(request, context):\n    log('seen')\n    return request\n"
FAILS = "def query(request, context):\n    raise ValueError('no')\n"
REFUSES = "def query(request, context):\n    reject('no')\n"
DOCUMENT = """# @udf: version=2.1.0
def document(doc, context):
    log('seen')
    if doc.get('bad'):
        raise ValueError('no')
    return {**doc, 'a': 1}
"""
OPAQUE = {"X-Opaque-Id": "checkout-7"}


def bulk(count: int) -> bytes:
    lines: list[Any] = []
    for n in range(count):
        lines += [{"index": {"_id": n}}, {"bad": n == 3}]
    return b"\n".join([*(orjson.dumps(line) for line in lines), b""])


async def ask(proxy: Client, index: str, kind: str, headers: dict[str, str]) -> Response:
    """A request in which pipelines have a part."""
    if kind == "bulk":
        return await proxy.call("POST", f"/{index}/_bulk?pipeline=writes", bulk(12), headers)
    if kind == "document":
        body = {"bad": True}
        return await proxy.call("PUT", f"/{index}/_doc/1?pipeline=writes", body, headers)
    if kind == "msearch":
        url = f"/{index}/_msearch?pipeline=says,fails"
        return await proxy.call("POST", url, b"{}\n{}\n", headers)
    if kind == "mget":
        url = f"/{index}/_mget?pipeline=unfit"
        return await proxy.call("POST", url, {"ids": ["1"]}, headers)
    verb = "_count" if kind == "count" else "_search"
    names = {"refused": "refuses", "failed": "strict"}.get(kind, "says,fails")
    return await proxy.call("GET", f"/{index}/{verb}?pipeline={names}", None, headers)


async def prepared(proxy: Client, index: str) -> None:
    await proxy.index(index, {"1": {"n": 1}})
    await proxy.define("says", "query", SAYS)
    await proxy.define("fails", "query", FAILS)
    await proxy.put_pipeline("strict", "query", "fails", on_error="fail")
    await proxy.define("refuses", "query", REFUSES)
    await proxy.define("writes", "document", DOCUMENT)
    await proxy.put_udf("unfit", "def result(r, c):\n    raise ValueError('no')\n")
    await proxy.put_pipeline("unfit", "result", "unfit", applies_to=["get"])


KINDS = ["search", "count", "msearch", "mget", "document", "bulk", "refused", "failed"]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_id_of_the_client(proxy: Client, index_name: str, kind: str) -> None:
    """It is in the response and in every log line about the request."""
    await prepared(proxy, index_name)
    with capture_logs() as logs:
        response = await ask(proxy, index_name, kind, OPAQUE)
    assert response.headers.getall(FIELD) == ["checkout-7"]
    assert {line["request_id"] for line in logs} <= {"checkout-7"}
    assert logs or kind == "refused"


@pytest.mark.parametrize("kind", KINDS)
async def test_an_id_that_was_made(proxy: Client, index_name: str, kind: str) -> None:
    """It is new for each request, and the same in the response and the log."""
    await prepared(proxy, index_name)
    seen = set()
    for _ in range(2):
        with capture_logs() as logs:
            made = (await ask(proxy, index_name, kind, {})).headers[FIELD]
        seen.add(made)
        assert {line["request_id"] for line in logs} <= {made}
    assert len(seen) == 2


async def test_log_lines_tell_what_ran(proxy: Client, index_name: str) -> None:
    """The pipeline, its version and revision, the stage, and the UDF's name and version."""
    await prepared(proxy, index_name)
    await proxy.put_pipeline("writes", "document", "writes", version="3.0.0")
    with capture_logs() as logs:
        response = await ask(proxy, index_name, "bulk", {})
    assert response.headers["Querymill-Pipelines"] == "writes@3.0.0#2"
    assert {line["event"] for line in logs} == {"udf", "run failed"}
    for line in logs:
        assert (line["pipeline"], line["version"], line["revision"]) == ("writes", "3.0.0", 2)
        assert (line["stage"], line["udf"]) == ("writes", "writes@2.1.0")


async def test_a_request_without_pipelines_has_no_id(proxy: Client, index_name: str) -> None:
    """Neither its response nor its errors are touched."""
    await prepared(proxy, index_name)
    for target in ("_search", "_search?nonsense=1", "_search?pipeline=_none", "_doc/1"):
        response = await proxy.call("GET", f"/{index_name}/{target}", None, OPAQUE)
        assert FIELD not in response.headers


@pytest.mark.parametrize(
    ("opaque", "shown"),
    [
        ("a b", "a b"),
        (" x\r\ny\x00ü\udc80z ", "xyz"),
        ("q" * ID_MAX, "q" * ID_MAX),
        ("q" * (ID_MAX + 1), "q" * ID_MAX),
    ],
)
def test_an_id_is_short_and_printable(opaque: str, shown: str) -> None:
    """What could not stand in a header field or a log line is left out."""
    assert request_id(opaque) == shown


@pytest.mark.parametrize("opaque", [None, "", "  ", "üü"])
def test_an_id_with_nothing_in_it(opaque: str | None) -> None:
    """One is made in its place."""
    assert len(request_id(opaque)) == 16


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["X-Opaque-Id", "X-Request-Tier"])
async def test_a_header_that_is_not_utf_8(
    proxy: Client, index_name: str, kind: str, name: str
) -> None:
    """What a UDF may see of a request's headers changes nothing in how it is answered."""
    await prepared(proxy, index_name)
    plain = await ask(proxy, index_name, kind, {name: "cafe"})
    response = await ask(proxy, index_name, kind, {name: "caf\udce9"})
    assert response.status == plain.status
    assert b"proxy_exception" not in response.body


async def test_a_udf_reads_latin_1(start_proxy: StartProxy, index_name: str) -> None:
    """Bytes of a header that are no UTF-8 are read as Latin-1, others as UTF-8."""
    server = await start_proxy()
    assert server.address is not None
    source = "def query(request, context):\n    reject(context.headers['x-request-tier'])\n"
    async with connect(server) as proxy:
        await proxy.index(index_name, {"1": {"n": 1}})
        await proxy.define("tells", "query", source)
        raw = await RawClient.connect(server.address.port)
        sent = request(f"/{index_name}/_search?pipeline=tells", "GET", b"", "X-Request-Tier: ?")
        for value in ("café".encode(), "café".encode("latin-1")):
            got = await raw.ask(sent.replace(b"?\r\n", value + b"\r\n"))
            assert orjson.loads(got.body)["error"]["reason"].endswith(": café")
        raw.close()
