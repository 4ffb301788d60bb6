"""A proxy whose backend is itself, at once or by another hop; and the field Via."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.typing import EventDict

from pipelines.wasm import Runtime
from proxy.app.assembly import open_proxy
from proxy.app.own_backend import refuse_own_backend
from proxy.config.settings import Settings, SettingsError, load
from proxy.server.server import ProxyServer
from tests.command import read_until, started
from tests.crew import crew_of
from tests.proxy.wire import Client, Message, ScriptedBackend, http_response, request

BODY = b'{"query":{"match_all":{}}}'
JSON = "Content-Type: application/json"
CALLS = [
    request("/"),
    request("/a/_search", "POST", BODY, JSON),
    request("/a/_search", "POST", b" " * 100_000, JSON),
    request("/_msearch", "POST", b"{}\n{}\n", JSON),
    request("/a/_doc/1", "PUT", b"{}", JSON),
    request("/_bulk", "POST", b'{"index":{"_index":"a"}}\n{}\n', JSON),
    request("/_cat/indices"),
    request("/_pipeline"),
    request("/_udf"),
]


async def ask(server: ProxyServer, sent: bytes) -> Message:
    assert server.address is not None
    client = await Client.connect(server.address.port)
    try:
        return await client.ask(sent)
    finally:
        client.close()


def settings_of(backend: str, port: int, **values: Any) -> Settings:
    return load({"backend": (backend,), "listen": f"127.0.0.1:{port}", **values}, {})


@pytest.mark.parametrize("sent", CALLS)
async def test_a_proxy_that_is_its_own_backend(
    runtime: Runtime, closed_port: int, logged: list[EventDict], sent: bytes
) -> None:
    """Traffic and administration are a 508 that says so, at once."""
    url = f"http://localhost:{closed_port}"
    async with open_proxy(settings_of(url, closed_port), runtime) as server:
        got = await ask(server, sent)
        error = orjson.loads(got.body)
        assert (got.status, error["status"]) == (508, 508), got.body
        assert b"loop_detected_exception" in got.body or sent in CALLS[-2:]
        assert b"setting backend" in got.body
        assert (await ask(server, request("/_querymill/livez"))).status == 200


async def test_two_proxies_that_are_each_other_s_backend(
    runtime: Runtime, closed_port: int, logged: list[EventDict]
) -> None:
    """The one that sees its own request again says so, through the other."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(
            open_proxy(settings_of(f"http://127.0.0.1:{closed_port}", 0), runtime)
        )
        back = f"http://{first.address}"
        await stack.enter_async_context(open_proxy(settings_of(back, closed_port), runtime))
        for sent in CALLS[:6]:
            assert (await ask(first, sent)).status == 508


async def test_via_of_other_proxies(
    backend: ScriptedBackend, runtime: Runtime, logged: list[EventDict]
) -> None:
    """A request that came by others goes on, their fields kept and ours behind them."""
    async with open_proxy(settings_of(backend.url, 0), runtime) as server:
        fields = ["Via: 1.0 fred", "X-A: b", "VIA: 1.1 nowhere.example (querymill), 1.1 p"]
        got = await ask(server, request("/x", "GET", b"", *fields))
        assert (got.status, got.get("via")) == (200, None)
        (message,) = [each for each in backend.received if each.target == "/x"]
        values = [value for name, value in message.fields if name.lower() == b"via"]
        assert values[:2] == [b"1.0 fred", b"1.1 nowhere.example (querymill), 1.1 p"]
        (ours,) = values[2:]
        assert ours.startswith(b"1.1 querymill-")
        # Every call of the proxy's own has it too.
        assert {each.get("via") for each in backend.received if each.target != "/x"} == {ours}
        # In any of several fields, and among others in one.
        for field in (f"Via: 1.1 a\r\nVia: {ours.decode()}", f"via: 1.1 a, {ours.decode()}, 1.0 b"):
            assert (await ask(server, request("/y", "GET", b"", field))).status == 508


async def test_all_workers_have_one_name(backend: ScriptedBackend, tmp_path: Path) -> None:
    """A request that one worker sent is known by the others, for they share an address."""
    backend.reply = http_response(b"{}", "404 Not Found")
    async with AsyncExitStack() as stack:
        crew = crew_of(backend.url, tmp_path / "config.toml")
        running = await asyncio.to_thread(crew.__enter__)
        stack.push_async_callback(asyncio.to_thread, crew.__exit__, None, None, None)
        async with running.client_of_each() as clients:
            for client in clients:
                await client.get("/x")
    sent = [each.get("via") for each in backend.received if each.target == "/x"]
    assert len(sent) >= 2
    assert len({each.get("via") for each in backend.received}) == 1


OWN = [
    ("http://127.0.0.1:9280", "127.0.0.1:9280"),
    ("http://localhost:9280", "127.0.0.1:9280"),
    ("https://localhost:9280", "0.0.0.0:9280"),
    ("http://127.0.0.7:9280", "0.0.0.0:9280"),
]
OTHER = [
    ("http://127.0.0.1:9200", "127.0.0.1:9280"),
    ("http://127.0.0.2:9280", "127.0.0.1:9280"),
    ("http://192.0.2.1:9280", "0.0.0.0:9280"),
    ("http://no-such-host.invalid:9280", "0.0.0.0:9280"),
]


@pytest.mark.parametrize(("url", "listen"), OWN)
@pytest.mark.parametrize("name", ["listen", "admin_listen"])
def test_own_address_as_the_backend(url: str, listen: str, name: str) -> None:
    """Refused before anything is served, with both addresses and what to do."""
    values = {"backend": (url,), "listen": "127.0.0.1:1", name: listen}
    with pytest.raises(SettingsError, match=rf"backend: {url} .*{name} = .*name the nodes"):
        refuse_own_backend(load(values, {}))


@pytest.mark.parametrize(("url", "listen"), OTHER)
def test_other_address_as_the_backend(url: str, listen: str) -> None:
    """Another port or machine is no loop, nor is a name that is not known yet."""
    refuse_own_backend(load({"backend": (url,), "listen": listen}, {}))


def test_the_command_does_not_start_as_its_own_backend(closed_port: int) -> None:
    """It ends with the code of a wrong setting, and one line that says why."""
    address = f"127.0.0.1:{closed_port}"
    with started("serve", "--listen", address, "--backend", f"http://{address}") as process:
        _, output = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "is the proxy's own address" in output


async def test_a_reload_does_not_make_it_its_own_backend(
    backend: ScriptedBackend, tmp_path: Path
) -> None:
    """Where it listens counts, not where changed settings say it would; what was right stays."""
    backend.reply = http_response(b"{}", "404 Not Found")
    config = tmp_path / "config.toml"
    async with AsyncExitStack() as stack:
        crew = crew_of(backend.url, config)
        running = await asyncio.to_thread(crew.__enter__)
        stack.push_async_callback(asyncio.to_thread, crew.__exit__, None, None, None)
        before = running.workers
        port = running.url.rpartition(":")[2]
        wrong = f"the old ones stay.*backend: http://localhost:{port} is the proxy's own address"
        for listen in ("127.0.0.1:0", "127.0.0.1:1"):
            config.write_text(
                f'backend = ["{backend.url}", "http://localhost:{port}"]\nworkers = 2\n'
                f'listen = "{listen}"\n'
            )
            running.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(read_until, running.process, wrong)
        assert running.workers == before
        config.write_text(f'backend = "{backend.url}"\nworkers = 2\nlisten = "127.0.0.1:{port}"\n')
        running.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(read_until, running.process, "replacing the workers")
