"""Whose credentials go to the backend: the caller's for what it asks, the proxy's for its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from pipelines.wasm import Runtime
from proxy.app.assembly import open_proxy
from proxy.config.settings import load
from tests.client import Client

OWN = "Basic b3duOm93bg=="
AUTHOR = "Basic YXV0aG9yOmF1dGhvcg=="
READER = "Basic cmVhZGVyOnJlYWRlcg=="
DENIED = {"type": "security_exception", "reason": "no permissions"}

RawServer = Callable[..., Awaitable[RawTestServer]]


class SecuredBackend:
    """Handles the calls of the store as a cluster does that knows three users."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str | None]] = []
        self.documents: dict[str, dict[str, object]] = {}

    async def handle(self, request: web.BaseRequest) -> web.Response:
        user = request.headers.get("Authorization")
        self.seen.append((request.method, request.path, user))
        writes = request.method in ("PUT", "DELETE")
        if user not in (OWN, AUTHOR, READER) or (writes and user != AUTHOR):
            body = {"error": {"root_cause": [DENIED], **DENIED}, "status": 403}
            return web.json_response(body, status=403)
        if request.path.endswith("/_search"):
            return web.json_response(self._found(await request.read()))
        if request.path.endswith("/_mget"):
            ids = orjson.loads(await request.read())["ids"]
            docs = [{"_id": id, "found": True, **self._hit(id)} for id in ids]
            return web.json_response({"docs": docs})
        name = request.path.rpartition("/")[2]
        if writes and name != ".querymill":
            self.documents[name] = orjson.loads(await request.read())
            response = {"result": "created", "_seq_no": len(self.documents), "_primary_term": 1}
            return web.json_response(response, status=201)
        if name in self.documents:
            return web.json_response({"found": True, **self._hit(name)})
        return web.json_response({}, status=200 if name == ".querymill" else 404)

    def _found(self, body: bytes) -> dict[str, object]:
        """What a search of the store finds that was written after a sequence number."""
        query = orjson.loads(body or b"{}")
        after = query.get("query", {}).get("range", {}).get("_seq_no", {}).get("gt", 0)
        hits = [hit for hit in map(self._hit, self.documents) if hit["_seq_no"] > after]
        written = len(self.documents)
        last = {"value": written or None}
        figures = {"last": last, "total": {"value": written}, "updated": last}
        total = {"value": written, "relation": "eq"}
        return {"hits": {"total": total, "hits": hits}, "aggregations": figures}

    def _hit(self, id: str) -> dict[str, Any]:
        number = list(self.documents).index(id) + 1
        return {"_id": id, "_seq_no": number, "_primary_term": 1, "_source": self.documents[id]}


@pytest.fixture
async def secured_backend(aiohttp_raw_server: RawServer) -> tuple[SecuredBackend, str]:
    """The secured backend and its URL."""
    secured = SecuredBackend()
    server = await aiohttp_raw_server(secured.handle)
    return secured, str(server.make_url("")).rstrip("/")


@pytest.fixture
async def secured(
    secured_backend: tuple[SecuredBackend, str], runtime: Runtime
) -> AsyncIterator[tuple[Client, SecuredBackend]]:
    """A client of a proxy in front of it that has credentials of its own."""
    given = {"backend": (secured_backend[1],), "listen": "127.0.0.1:0"}
    settings = load(given, {"QUERYMILL_BACKEND_AUTHORIZATION": OWN})
    async with (
        open_proxy(settings, runtime) as server,
        aiohttp.ClientSession(f"http://{server.address}") as session,
    ):
        yield Client(session), secured_backend[0]


SOURCE = b"def query(r, c):\n    return r\n"


async def test_the_backend_decides_who_may_define(
    secured: tuple[Client, SecuredBackend],
) -> None:
    """An author may, a reader and a stranger may not, and see the backend's own words."""
    proxy, backend = secured
    headers = {"Content-Type": "text/x-python"}
    for user, status in ((None, 403), (READER, 403), (AUTHOR, 200)):
        own = {**headers, "Authorization": user} if user else headers
        response = await proxy.call("PUT", "/_udf/same", SOURCE, own)
        assert response.status == status, response.body
        if status == 403:
            assert response.error == DENIED
    assert "udf:same@1.0.0" in {name.replace("%3A", ":") for name in backend.documents}
    writes = [user for method, _, user in backend.seen if method == "PUT"]
    assert set(writes) <= {AUTHOR, READER, None}
    assert OWN not in writes


async def test_the_backend_decides_who_may_read_definitions(
    secured: tuple[Client, SecuredBackend],
) -> None:
    """Although the proxy knows them by heart."""
    proxy, _ = secured
    for user, status in ((None, 403), (READER, 200)):
        headers = {"Authorization": user} if user else {}
        for target in ("/_pipeline", "/_udf"):
            assert (await proxy.call("GET", target, None, headers)).status == status


async def test_traffic_carries_the_clients_credentials_and_no_others(
    secured: tuple[Client, SecuredBackend],
) -> None:
    """What the proxy may see on its own account nobody sees through it."""
    proxy, backend = secured
    assert (await proxy.get("/x/_search")).status == 403
    response = await proxy.call("GET", "/x/_search", None, {"Authorization": READER})
    assert response.status == 200
    users = [user for _, path, user in backend.seen if path == "/x/_search"]
    assert users == [None, READER]


async def test_without_credentials_of_its_own_the_proxy_says_what_is_missing(
    secured_backend: tuple[SecuredBackend, str], runtime: Runtime
) -> None:
    """It is not ready, and the reason is the backend's."""
    settings = load({"backend": (secured_backend[1],), "listen": "127.0.0.1:0"}, {})
    async with (
        open_proxy(settings, runtime) as server,
        aiohttp.ClientSession(f"http://{server.address}") as session,
    ):
        ready = await Client(session).get("/_querymill/readyz")
    assert ready.status == 503
    assert "403" in ready.data["reason"]
    assert "backend_authorization" in ready.data["reason"]
