"""The load generator, a process of its own: jobs come as lines of JSON, responses go as lines.

It is a bare HTTP/1.1 client of fixed requests over kept connections, so that its own part of a
latency is small: some ten microseconds, in every case alike.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Final, cast

import uvloop

# How long a job may go on over its time, for responses that are under way.
_GRACE_SECONDS: Final = 30.0
# How often a paced job looks for requests that are due.
_TICK_SECONDS: Final = 0.001


class LoadError(Exception):
    """A server broke a connection or answered what this client does not read."""


class Run:
    """One job: the requests still to be sent, and what came back.

    The first request of each connection is not counted, since it pays for opening it. With a rate,
    requests fall due at equal distances; one that finds no idle connection waits for one, and that
    wait is part of its latency.
    """

    def __init__(self, job: Mapping[str, Any], done: asyncio.Future[None]) -> None:
        address = f"{job['host']}:{job['port']}"
        self._requests = [_request(address, *ask) for ask in job["asks"]]
        self._left: int = job["requests"] + job["connections"]
        self._end = time.monotonic() + job["seconds"]
        self._open: int = job["connections"]
        self._done = done
        self._rate: float = job.get("rate", 0.0)
        self._due: deque[int] = deque()
        self._idle: list[Connection] = []
        self.refuse: bytes = job.get("refuse", "").encode()
        self.latencies_ns: list[int] = []
        self.numbers: list[int] = []
        self.codes: list[int] = []
        self.statuses: Counter[int] = Counter()
        self.warnings = 0
        self.refused = 0
        self.pipelines = ""

    def take(self) -> tuple[int, bytes] | None:
        """The number of the next request and its bytes, None when there is no more to do."""
        if self._left <= 0 or time.monotonic() >= self._end:
            return None
        self._left -= 1
        number = self._left % len(self._requests)
        return number, self._requests[number]

    def next(self, connection: Connection) -> None:
        """Have an idle connection send: at once, or when a request is due."""
        if not self._rate:
            connection.send(time.perf_counter_ns())
        elif self._due:
            connection.send(self._due.popleft())
        else:
            self._idle.append(connection)

    async def pace(self) -> None:
        """Let requests fall due until the job's time is over."""
        began, sent = time.monotonic(), 0
        while (now := time.monotonic()) < self._end:
            for _ in range(int((now - began) * self._rate) - sent):
                sent += 1
                if self._idle:
                    self._idle.pop().send(time.perf_counter_ns())
                else:
                    self._due.append(time.perf_counter_ns())
            await asyncio.sleep(_TICK_SECONDS)
        # what is due by now is no longer sent
        while self._idle:
            self._idle.pop().send(time.perf_counter_ns())
        self._rate = 0.0

    def ended(self, error: LoadError | None) -> None:
        """A connection has ended: well, when there was no more to do."""
        self._open -= 1
        if self._done.done():
            return
        if error is not None:
            self._done.set_exception(error)
        elif not self._open:
            self._done.set_result(None)


class Connection(asyncio.Protocol):
    """Sends one request after the other; responses need a Content-Length."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._buffer = bytearray()
        self._size = 0
        self._head = b""
        self._begun = 0
        self._number = 0
        self._first = True
        self._waiting = False
        self._error: LoadError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have its methods and are none of its instances
        self._transport = cast(asyncio.Transport, transport)
        self.send(time.perf_counter_ns())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._size:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head = bytes(self._buffer[: end + 2]).lower()
            try:
                self._size = end + 4 + _length(self._head)
            except LoadError as error:
                self._error = error
                self._transport.abort()
                return
        if len(self._buffer) >= self._size:
            self._done(time.perf_counter_ns() - self._begun)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting and self._error is None:
            self._error = LoadError(f"the server broke the connection off ({exc or 'closed'})")
        self._run.ended(self._error)

    def send(self, begun_ns: int) -> None:
        """Send the next request, which fell due at `begun_ns`; close when there is none."""
        request = self._run.take()
        self._waiting = request is not None
        if request is None:
            self._transport.close()
            return
        self._begun = begun_ns
        self._number, content = request
        self._transport.write(content)

    def _done(self, took_ns: int) -> None:
        run = self._run
        status = int(self._head[9:12])
        if self._first:
            run.pipelines = _field(self._head, b"querymill-pipelines").decode()
        else:
            run.latencies_ns.append(took_ns)
            run.numbers.append(self._number)
            run.codes.append(status)
        self._first = False
        run.statuses[status] += 1
        run.warnings += b"\r\nwarning: 299 querymill" in self._head
        run.refused += bool(run.refuse) and run.refuse in self._buffer
        self._buffer.clear()
        self._size = 0
        self._waiting = False
        run.next(self)


def _request(address: str, method: str, path: str, body: str) -> bytes:
    content = body.encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\n"
    if content:
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return f"{head}\r\n".encode() + content


def _field(head: bytes, name: bytes) -> bytes:
    """The value of a header field in a head in lower case; empty if it is not there."""
    begin = head.find(b"\r\n" + name + b":")
    if begin < 0:
        return b""
    begin += len(name) + 3
    return head[begin : head.index(b"\r\n", begin)].strip()


def _length(head: bytes) -> int:
    length = _field(head, b"content-length")
    if not length:
        raise LoadError("an answer has no Content-Length; this client reads no other framing")
    return int(length)


async def run_job(job: Mapping[str, Any]) -> dict[str, object]:
    """Do a job: case (its name), host, port, asks, connections, requests, seconds.

    asks: [method, path, body] of each request, sent in turn. rate (optional): requests a second;
    without it, each connection sends as soon as it is answered. refuse (optional): a text that no
    response should have. by_ask, by_status (optional): also tell which request each latency is of,
    and the status of its response.

    Raises LoadError, TimeoutError, OSError.
    """
    loop = asyncio.get_running_loop()
    run = Run(job, done := loop.create_future())
    began = time.perf_counter()
    async with asyncio.timeout(job["seconds"] + _GRACE_SECONDS):
        for _ in range(job["connections"]):
            await loop.create_connection(lambda: Connection(run), job["host"], job["port"])
        if job.get("rate"):
            await run.pace()
        await done
    return {
        "seconds": time.perf_counter() - began,
        "latencies_ns": run.latencies_ns,
        "numbers": run.numbers if job.get("by_ask") else [],
        "codes": run.codes if job.get("by_status") else [],
        "statuses": dict(run.statuses),
        "warnings": run.warnings,
        "refused": run.refused,
        "pipelines": run.pipelines,
    }


def main() -> None:
    """Serve jobs until standard input ends."""
    gc.disable()  # a collection would be measured as the server's
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin:
            job = json.loads(line)
            try:
                response = runner.run(run_job(job))
            except TimeoutError:
                response = {"error": f"[{job['case']}] was not answered for {_GRACE_SECONDS:g} s"}
            except (LoadError, OSError) as error:
                response = {"error": f"[{job['case']}] could not be measured: {error}"}
            print(json.dumps(response), flush=True)
            gc.collect()


if __name__ == "__main__":
    main()
