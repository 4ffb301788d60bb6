"""The load generator, against a server that counts."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from bench import load


async def loaded(job: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What the load generator says of a job, and the bodies that a real server got."""
    bodies: list[str] = []

    async def respond(request: web.BaseRequest) -> web.Response:
        bodies.append(await request.text())
        if request.path == "/odd":
            return web.json_response({"errors": True}, status=429)
        return web.json_response({"errors": False})

    server = web.Server(respond, access_log=None)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    whole = {"host": "127.0.0.1", "port": port, "case": "a case", "seconds": 10.0} | job
    try:
        return await load.run_job(whole), bodies
    finally:
        listener.close()
        await server.shutdown(1.0)


async def test_load_sends_each_request_in_turn() -> None:
    """So many requests are counted as were asked for, one more a connection opens it."""
    asks = [("POST", "/", "one"), ("POST", "/", "two"), ("GET", "/", "")]
    reported, bodies = await loaded(
        {"asks": asks, "connections": 3, "requests": 30, "by_ask": True}
    )
    assert sorted(bodies) == sorted(["one", "two", ""] * 11)
    assert reported["statuses"] == {200: 33}
    assert len(reported["latencies_ns"]) == len(reported["numbers"]) == 30
    assert set(reported["numbers"]) == {0, 1, 2}


async def test_load_reports_statuses_and_refused_responses() -> None:
    """A response that is no good is counted, and ends nothing."""
    asks = [("POST", "/odd", "a"), ("POST", "/", "b")]
    refuse = '"errors": true'
    reported, _ = await loaded({"asks": asks, "connections": 1, "requests": 9, "refuse": refuse})
    assert reported["statuses"] == {200: 5, 429: 5}
    assert reported["refused"] == 5


async def test_paced_load_sends_no_more_than_its_rate() -> None:
    """At 200 a second for a tenth of one, not more than 20 requests are due."""
    job = {"asks": [("GET", "/", "")], "connections": 2, "requests": 1000, "rate": 200.0}
    reported, _ = await loaded(job | {"seconds": 0.1})
    assert 1 <= len(reported["latencies_ns"]) <= 20


async def test_load_reports_the_status_of_each_response() -> None:
    """Beside its latency, the first of each connection left out as it is there."""
    asks = [("POST", "/odd", "a"), ("POST", "/", "b")]
    reported, _ = await loaded({"asks": asks, "connections": 1, "requests": 8, "by_status": True})
    assert len(reported["codes"]) == len(reported["latencies_ns"]) == 8
    assert sorted(reported["codes"]) == [200] * 4 + [429] * 4
