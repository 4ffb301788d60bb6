"""The command with several workers, as users run it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import psutil

from tests.client import Client
from tests.command import read_until, started

_BOUND = 200


class Crew:
    """A started command with its workers."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    @property
    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with aiohttp.ClientSession(self.url) as session:
            yield Client(session)

    @asynccontextmanager
    async def client_of_each(self) -> AsyncIterator[list[Client]]:
        """Clients whose kept-alive connections reach every worker."""
        clients: list[Client] = []
        async with AsyncExitStack() as stack:
            for _ in range(_BOUND):
                client = await stack.enter_async_context(self.client())
                assert (await client.get("/_querymill/livez")).status == 200
                clients.append(client)
                if all(self.connections(worker) for worker in self.workers):
                    break
            else:
                raise AssertionError("one worker gets all connections")
            yield clients

    def connections(self, worker: psutil.Process) -> int:
        """How many clients' connections a worker holds."""
        port = int(self.url.rpartition(":")[2])
        return sum(
            each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
            for each in worker.net_connections("tcp")
        )


@contextmanager
def crew_of(url: str, config: Path) -> Iterator[Crew]:
    """Two workers in front of a backend, their settings in a file.

    They have to end well, unless the test has ended them.
    """
    config.write_text(f'backend = "{url}"\nworkers = 2\nlisten = "127.0.0.1:0"\n')
    with started("serve", "--config", str(config)) as process:
        match = read_until(process, r"querymill \S+ on (127\.0\.0\.1:\d+), backend")
        yield Crew(process, f"http://{match[1]}")
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            assert process.returncode == 0
