"""The admin token is for the proxy: neither the backend nor a UDF gets to see it."""

from __future__ import annotations

import orjson
import pytest

from pipelines.wasm import Runtime
from proxy.app.assembly import open_proxy
from proxy.config.settings import load
from proxy.http.headers import request_fields, request_headers
from tests.proxy.conftest import Proxy
from tests.proxy.wire import Client, ScriptedBackend, http_response, request

TOKEN = b"not-for-others"
NAMES = ["Querymill-Admin-Token", "querymill-admin-token", "QUERYMILL-ADMIN-TOKEN"]
ND = b'{"index":"a"}\n{}\n'
CALLS = {
    "relayed": ("GET", "/", b""),
    "search": ("POST", "/a/_search", b"{}"),
    "msearch": ("POST", "/_msearch", ND),
    "bulk": ("POST", "/_bulk", b'{"index":{"_index":"a"}}\n{"b":1}\n'),
    "document": ("PUT", "/a/_doc/1", b"{}"),
    "read": ("GET", "/a/_doc/1", b""),
    "mget": ("POST", "/_mget", b'{"docs":[{"_index":"a","_id":"1"}]}'),
    "count": ("POST", "/a/_count", b"{}"),
    "scroll": ("POST", "/_search/scroll", b'{"scroll_id":"x"}'),
    "template": ("POST", "/a/_search/template", b'{"source":{}}'),
    "settings": ("GET", "/a/_settings", b""),
    "alias": ("POST", "/_aliases", b'{"actions":[]}'),
    "streamed": ("POST", "/a/_search", b" " * 100_000),
}


@pytest.mark.parametrize("name", NAMES)
def test_no_spelling_of_the_field_goes_on(name: str) -> None:
    """The field is taken out of every request, as bytes and as text, in any case."""
    fields = ((b"A", b"b"), (name.encode(), TOKEN), (b"C", b"d"), (name.encode(), b""))
    assert list(request_fields(fields)) == [(b"A", b"b"), (b"C", b"d")]
    assert list(request_headers(list(fields))) == ["A", "C"]


async def test_the_relay_keeps_it(bare: Proxy, client: Client, backend: ScriptedBackend) -> None:
    """Also where a Connection field names other fields to be taken out."""
    for extra in ("X: y", "Connection: close, X-B"):
        sent = request("/", "GET", b"", f"{NAMES[1]}: {TOKEN.decode()}", "X-A: b", extra)
        assert (await (await bare.client()).ask(sent)).status == 200
    for message in backend.received:
        assert message.get(NAMES[0]) is None
        assert message.get("x-a") == b"b"


async def test_no_call_carries_it_to_the_backend(
    backend: ScriptedBackend, runtime: Runtime
) -> None:
    """Neither the client's own request nor one made on its behalf, whatever the endpoint."""
    figures = {name: {"value": None} for name in ("last", "total", "updated")}
    found = {"hits": {"total": {"value": 0}, "hits": []}, "aggregations": figures}
    store = orjson.dumps(found)
    backend.reply = http_response(store, "200 OK", "Content-Type: application/json")
    given = {
        "backend": (backend.url,),
        "listen": "127.0.0.1:0",
        "admin_token": TOKEN.decode(),
        "pipeline_headers": "querymill-admin-token,x-seen",
    }
    async with open_proxy(load(given, {}), runtime) as server:
        assert server.address is not None
        client = await Client.connect(server.address.port)
        for method, target, body in CALLS.values():
            field = f"{NAMES[0]}: {TOKEN.decode()}"
            kind = "Content-Type: application/json"
            await client.ask(request(target, method, body, field, kind))
        admin = request("/_pipeline", "GET", b"", f"{NAMES[2]}: {TOKEN.decode()}")
        assert (await client.ask(admin)).status == 200
        client.close()
    assert {target for _, target, _ in CALLS.values()} <= set(backend.targets)
    assert not [m for m in backend.received if m.get(NAMES[0]) or TOKEN in m.first_line]
