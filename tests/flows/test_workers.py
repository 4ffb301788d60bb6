"""Several worker processes are one proxy, on the real OpenSearch: the command as users run it."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
import psutil
import pytest

from proxy.embedded import EmbeddedCluster
from tests.client import Client
from tests.command import read_until, wait_until_gone
from tests.crew import Crew, crew_of

MARK = "def result(r, c):\n    return {**r, 'marked': %d}\n"


@pytest.fixture
def crew(opensearch: EmbeddedCluster, tmp_path: Path) -> Iterator[Crew]:
    """Two workers in front of OpenSearch."""
    with crew_of(opensearch.url, tmp_path / "config.toml") as crew:
        yield crew


@pytest.fixture(autouse=True)
async def empty_store(opensearch: EmbeddedCluster) -> AsyncIterator[None]:
    yield
    async with aiohttp.ClientSession(opensearch.url) as session:
        await Client(session).delete("/.querymill?ignore_unavailable=true")


async def test_acknowledged_is_in_force_everywhere(crew: Crew, index_name: str) -> None:
    """The next request of any connection, on whichever worker, sees each change."""
    async with crew.client_of_each() as clients:
        await clients[0].index(index_name, {"1": {"n": 1}})
        for step in range(10):
            writer = clients[step % len(clients)]
            await writer.define(f"mark-{step}", "result", MARK % step)
            await writer.attach(index_name, result=f"mark-{step}")
            responses = await asyncio.gather(
                *(client.post(f"/{index_name}/_search", {}) for client in clients)
            )
            assert [response.data["marked"] for response in responses] == [step] * len(clients)
            detached = await clients[-1 - step % 2].put(
                f"/{index_name}/_settings", {"index.result.default_pipeline": None}
            )
            assert detached.status == 200
            responses = await asyncio.gather(
                *(client.post(f"/{index_name}/_search", {}) for client in clients)
            )
            assert not any("marked" in response.data for response in responses)


async def test_a_new_alias_is_known_everywhere(crew: Crew, index_name: str) -> None:
    """What a name means is asked anew by every worker once it changes through one."""
    async with crew.client_of_each() as clients:
        await clients[0].index(index_name, {"1": {"n": 1}})
        await clients[0].define("mark", "result", MARK % 1)
        await clients[0].attach(index_name, result="mark")
        alias = f"{index_name}-alias"
        for client in clients:
            # Remembered as a name that means nothing.
            assert (await client.post(f"/{alias}/_search", {})).status == 404
        actions = {"actions": [{"add": {"index": index_name, "alias": alias}}]}
        assert (await clients[0].post("/_aliases", actions)).status == 200
        for client in clients:
            assert (await client.post(f"/{alias}/_search", {})).data["marked"] == 1


async def test_figures_are_one(crew: Crew, index_name: str) -> None:
    """Runs count over all workers, also over those that a reload has ended."""
    async with crew.client_of_each() as clients:
        await clients[0].index(index_name, {"1": {"n": 1}})
        await clients[0].define("mark", "result", MARK % 1)
        for client in clients:
            await client.post(f"/{index_name}/_search?pipeline=mark", {})
        for client in clients:
            stats = (await client.get("/_pipeline/mark/_stats")).data
            assert stats["count"] == stats["success"] == len(clients)
            metrics = (await client.get("/_querymill/metrics")).body.decode()
            runs = f'outcome="done",pipeline="mark"}} {len(clients)}.0'
            assert f"querymill_pipeline_runs_total{{{runs}" in metrics
    old = crew.workers
    crew.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(psutil.wait_procs, old, timeout=40)
    async with crew.client() as client:
        stats = (await client.get("/_pipeline/mark/_stats")).data
        assert stats["count"] == len(clients)


async def test_scroll_and_point_in_time_on_any_worker(crew: Crew, index_name: str) -> None:
    """Each page through another connection, with the pipelines of the first request."""
    async with crew.client_of_each() as clients:
        await clients[0].index(index_name, {str(n): {"n": n} for n in range(9)})
        await clients[0].define("mark", "result", MARK % 5)
        await clients[0].attach(index_name, result="mark")
        page = await clients[0].post(f"/{index_name}/_search?scroll=1m", {"size": 1})
        for client in (*clients, *clients)[:8]:
            assert page.data["marked"] == 5
            body = {"scroll": "1m", "scroll_id": page.data["_scroll_id"]}
            page = await client.post("/_search/scroll", body)
        target = f"/{index_name}/_search/point_in_time?keep_alive=1m"
        opened = (await clients[0].post(target)).data["pit_id"]
        for client in clients:
            response = await client.post("/_search", {"pit": {"id": opened, "keep_alive": "1m"}})
            assert (response.status, response.data["marked"]) == (200, 5)
        closed = await clients[-1].call("DELETE", "/_search/point_in_time", {"pit_id": [opened]})
        assert closed.data["pits"][0]["successful"] is True


async def test_a_killed_worker_is_replaced(crew: Crew) -> None:
    """Only what it had in flight is lost; the others go on, and soon there are two again."""
    victim = crew.workers[0]
    victim.kill()
    while victim in crew.workers or len(crew.workers) < 2:
        async with crew.client() as client:
            assert (await client.get("/_querymill/livez")).status == 200
    read_until(crew.process, r"a worker died and is replaced")


def noted_at(worker: psutil.Process) -> float:
    """When it last wrote its figures down."""
    places = Path(tempfile.gettempdir()).glob(f"querymill-workers-*/{worker.pid}.note")
    return max((note.stat().st_mtime for note in places), default=0.0)


async def test_figures_of_a_killed_worker(crew: Crew, index_name: str) -> None:
    """What it had noted still counts, once."""
    async with crew.client_of_each() as clients:
        await clients[0].index(index_name, {"1": {"n": 1}})
        await clients[0].define("mark", "result", MARK % 1)
        for client in clients:
            await client.post(f"/{index_name}/_search?pipeline=mark", {})
        ran = len(clients)
    asked = time.time()
    victim = crew.workers[0]
    while noted_at(victim) < asked + 1:
        # Requests go on, or there would be nothing to note.
        async with crew.client_of_each() as clients:
            await clients[0].get("/")
    victim.kill()
    read_until(crew.process, r"a worker died and is replaced")
    while victim in crew.workers or len(crew.workers) < 2:
        async with crew.client() as client:
            await client.get("/_querymill/livez")
    async with crew.client() as client:
        stats = (await client.get("/_pipeline/mark/_stats")).data
    assert stats["count"] == ran


async def test_reload_loses_no_request(crew: Crew, tmp_path: Path, index_name: str) -> None:
    """Under load, and the new workers have the new settings."""
    done = asyncio.Event()

    async def load() -> int:
        count = 0
        async with crew.client() as client:
            while not done.is_set():
                assert (await client.post(f"/{index_name}/_search", {})).status == 200
                count += 1
        return count

    async with crew.client() as client:
        await client.index(index_name, {"1": {"n": 1}})
    config = tmp_path / "config.toml"
    config.write_text(config.read_text() + 'admin_token = "changed-token"\n')
    async with asyncio.TaskGroup() as group:
        loads = [group.create_task(load()) for _ in range(8)]
        old = crew.workers
        crew.process.send_signal(signal.SIGHUP)
        gone, alive = await asyncio.to_thread(psutil.wait_procs, old, timeout=40)
        done.set()
    assert (len(gone), alive) == (2, [])
    assert sum(task.result() for task in loads) > 0
    async with crew.client() as client:
        assert (await client.get("/_pipeline")).status == 401


async def test_reload_of_wrong_settings(crew: Crew, tmp_path: Path) -> None:
    """They are named in the log, and the old ones stay."""
    config = tmp_path / "config.toml"
    config.write_text(config.read_text() + 'log_level = "loud"\nadmin_token = "changed-token"\n')
    old = crew.workers
    os.kill(crew.process.pid, signal.SIGHUP)
    read_until(crew.process, r"the old ones stay.*log_level: expected")
    config.write_text(config.read_text().replace("loud", "error"))
    os.kill(crew.process.pid, signal.SIGHUP)
    # The next one, with settings that can be used, is the first that replaces workers.
    await asyncio.to_thread(psutil.wait_procs, old, timeout=40)
    async with crew.client() as client:
        assert (await client.get("/_pipeline")).status == 401


SPIN = "def result(r, c):\n    while True:\n        pass\n"


async def test_workers_end_with_their_supervisor(crew: Crew, index_name: str) -> None:
    """Killed, it takes workers along that are in the middle of an endless loop."""
    async with crew.client_of_each() as clients:
        await clients[0].index(index_name, {"1": {"n": 1}})
        long = {"timeout_ms": 30_000}
        await clients[0].define("spin", "result", SPIN, stage=long, **long)
        async with asyncio.TaskGroup() as group:

            async def spin(client: Client) -> None:
                with suppress(aiohttp.ClientError):
                    await client.post(f"/{index_name}/_search?pipeline=spin", {})

            for client in clients:
                group.create_task(spin(client))
            running = f"querymill_in_flight_requests {len(clients)}.0\n".encode()
            async with crew.client() as client:
                while running not in (await client.get("/_querymill/metrics")).body:
                    pass
            crew.process.kill()
            await asyncio.to_thread(wait_until_gone, crew.process, 10)


LOUD = "def result(r, c):\n    for n in range(200):\n        log('x' * 60)\n    return r\n"


async def test_a_udf_cannot_flood_the_log(crew: Crew, index_name: str) -> None:
    """Of thousands of lines few are written; how many were not is told, and counted over all."""
    assert crew.process.stderr is not None
    # Somebody has to read what it writes.
    reading = asyncio.get_running_loop().run_in_executor(None, crew.process.stderr.read)
    async with crew.client_of_each() as clients:
        await clients[0].index(index_name, {"1": {"n": 1}})
        await clients[0].define("loud", "result", LOUD)
        for _ in range(20):
            await asyncio.gather(
                *(client.post(f"/{index_name}/_search?pipeline=loud", {}) for client in clients)
            )
        runs = 20 * len(clients)
        stats = (await clients[0].get("/_pipeline/loud/_stats")).data
        metrics = (await clients[-1].get("/_querymill/metrics")).body.decode()
    crew.process.send_signal(signal.SIGTERM)
    text = await reading
    assert await asyncio.to_thread(crew.process.wait, 60) == 0
    written = text.count("message=xxxxxxxxxx")
    assert stats["success"] == runs
    assert stats["log_lines_left_out"] + written == 200 * runs
    # Five seconds' worth of each worker, and what came in while it ran.
    assert 0 < written < 200 * runs / 2
    assert f'log_lines_left_out_total{{pipeline="loud"}} {stats["log_lines_left_out"]}.0' in metrics
    assert "log lines left out" in text


async def test_connections_go_to_who_holds_fewer(crew: Crew) -> None:
    """A worker that does not get round to it holds nobody up, and catches up afterwards."""
    first, second = crew.workers
    async with AsyncExitStack() as stack:

        async def connect(count: int) -> None:
            for _ in range(count):
                client = await stack.enter_async_context(crew.client())
                assert (await client.get("/_querymill/livez")).status == 200

        first.suspend()
        try:
            await connect(20)
        finally:
            first.resume()
        assert (crew.connections(first), crew.connections(second)) == (0, 20)
        await connect(20)
        # a busy machine may keep it from one in time
        assert crew.connections(first) >= 15
