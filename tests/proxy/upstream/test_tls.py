"""The way to a backend that speaks TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from proxy.config.settings import SettingsError, load
from proxy.upstream.client import Upstream
from proxy.upstream.errors import UpstreamUnreachable
from tests.proxy.conftest import StartBare, get
from tests.proxy.wire import request

# An authority made for these tests, and what it says of 127.0.0.1; valid for a hundred years.
AUTHORITY = Path(__file__).parent / "tls" / "authority.pem"
SERVER = AUTHORITY.with_name("server.pem")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Of a backend that answers every request over TLS."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(SERVER)

    async def respond(asked: web.BaseRequest) -> web.Response:
        return web.json_response({"path": asked.path, "read": len(await asked.read())})

    runner = web.ServerRunner(web.Server(respond, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    found: int = runner.addresses[0][1]
    yield found
    await runner.cleanup()


async def reached(url: str, authority: Path | None) -> bytes:
    async with Upstream(
        [url], connect_timeout=5, idle_timeout=5, connections=1, authority=authority
    ) as upstream:
        return await get(upstream, "/a")


async def test_a_backend_is_checked_against_the_named_certificates(port: int) -> None:
    """And answers as one without TLS."""
    assert await reached(f"https://127.0.0.1:{port}", AUTHORITY) == b'{"path": "/a", "read": 0}'


async def test_a_backend_nobody_vouches_for_is_not_spoken_to(port: int) -> None:
    """The error says what to set."""
    with pytest.raises(UpstreamUnreachable, match=r"not trusted \(.*issuer.*backend_ca"):
        await reached(f"https://127.0.0.1:{port}", None)


async def test_a_certificate_is_for_a_name(port: int) -> None:
    """The right authority does not make it that of another host."""
    with pytest.raises(UpstreamUnreachable, match=r"not trusted \(.*localhost"):
        await reached(f"https://localhost:{port}", AUTHORITY)


async def test_a_backend_without_tls_is_reported(closed_port: int) -> None:
    """A wrong scheme is a common mistake."""
    runner = web.ServerRunner(web.Server(_never, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", closed_port).start()
    with pytest.raises(UpstreamUnreachable, match="does not speak TLS as expected"):
        await reached(f"https://127.0.0.1:{closed_port}", AUTHORITY)
    await runner.cleanup()


async def _never(asked: web.BaseRequest) -> web.Response:
    raise AssertionError(asked)


async def test_a_client_does_not_notice(start_bare: StartBare, port: int) -> None:
    """It speaks to the proxy without TLS, bodies of any size included."""
    proxy = await start_bare(backend=(f"https://127.0.0.1:{port}",), backend_ca=str(AUTHORITY))
    client = await proxy.client()
    for size in (3, 900_000):
        respond = await client.ask(request("/b", "POST", b"x" * size))
        assert (respond.status, json.loads(respond.body)) == (200, {"path": "/b", "read": size})


async def test_a_client_is_reported(start_bare: StartBare, port: int) -> None:
    """In the backend's envelope."""
    proxy = await start_bare(backend=(f"https://127.0.0.1:{port}",))
    respond = await (await proxy.client()).ask(request("/"))
    assert respond.status == 502
    assert "backend_ca" in json.loads(respond.body)["error"]["reason"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"", "no certificate"), (b"-----BEGIN x", "no certificate")],
)
def test_a_file_without_certificates_is_refused(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    """At the start, and not at the first request."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=f"--backend-ca: .*{said}"):
        load({"backend_ca": str(path)}, {})
    assert load({"backend_ca": str(AUTHORITY)}, {}).backend_ca == AUTHORITY
