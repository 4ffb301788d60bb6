"""Runs UDFs off the event loop, in warm sandboxes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

import orjson

from pipelines.errors import StageError, StageTimeoutError
from pipelines.wasm.batch import Batch, Document
from pipelines.wasm.call import Call, Isolation, Key, Limits, Package, Reply
from pipelines.wasm.engine import Runtime
from pipelines.wasm.gate import Gate, Place
from pipelines.wasm.log import RunLog
from pipelines.wasm.pace import INLINE_BYTES, INLINE_MS, SLICE_SECONDS, Paces
from pipelines.wasm.sandbox import Sandbox
from pipelines.wasm.shelf import Shelf

T = TypeVar("T")

# What a sandbox says of its deadline says more, so it gets this long to come first.
GRACE_SECONDS = 0.05
# Of a call whose UDF is given only a part, this much more may be read and written beside it.
_WHOLE_FACTOR = 4


class SandboxPool:
    """Runs UDFs off the event loop, in warm sandboxes. One event loop uses it.

    A sandbox is made, used and closed in the pool's threads only. A run whose caller has gone is
    ended by its deadline, in its thread, which then puts the sandbox back or closes it.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        threads: int = 4,
        max_live: int = 64,
        max_idle_per_udf: int = 4,
        recycle_runs: int = 1000,
        recycle_seconds: float = 600,
        load_timeout_ms: int = 1000,
        stock: int = 8,
    ) -> None:
        """`threads` run UDFs; `stock` new sandboxes are kept ready of one that needs them new."""
        if not 1 <= threads <= max_live:
            raise ValueError(f"threads is {threads}; it has to be 1 to max_live ({max_live})")
        self._runtime = runtime
        self._load_timeout_ms = load_timeout_ms
        self._shelf = Shelf(
            max_live=max_live,
            max_idle=max_idle_per_udf,
            recycle_runs=recycle_runs,
            recycle_seconds=recycle_seconds,
        )
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="querymill-udf")
        # Closes what was used up and makes what will be needed, off the event loop's thread.
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="querymill-stock")
        self._stock = stock
        self._restocking: set[Key] = set()
        self._paces = Paces()
        # How long runs have held the event loop since it last went around.
        self._spent = 0.0
        self._gate = Gate(threads)
        self._closed = False

    async def run(
        self,
        package: Package,
        params: Mapping[str, object],
        call: Call,
        limits: Limits,
        *,
        isolation: Isolation = "pooled",
        on_log: Callable[[str], None] | None = None,
        run_timeout: float | None = None,
    ) -> Reply:
        """Runs `package` on `call` in a warm sandbox, or with isolation "request" in a new one.

        `run_timeout` (seconds) bounds the wait for a free thread, and with a moment's grace the
        whole; `limits.timeout_ms` counts once there is one and the UDF is loaded. `on_log` gets the
        log's lines on this event loop, however the run ends. Raises `StageError`,
        `StageTimeoutError`.
        """
        key = (package.digest, _dumps(params), limits.memory_mb, isolation == "request")
        log = RunLog(limits.log_bytes)
        make = partial(self._make, package, key[1], limits.memory_mb, log)
        try:
            if _is_small(call):
                if self._spent > SLICE_SECONDS:
                    # The documents of a bulk come one after the other: others get their turn.
                    await asyncio.sleep(0)
                reply, limits = self._run_here(key, call, limits, log)
                if reply is not None:
                    return reply
            work = partial(self._run, key, make, call, limits, log)
            runaway = self._paces.is_runaway(key)
            last = None if run_timeout is None else run_timeout + GRACE_SECONDS
            async with asyncio.timeout(last):
                return await self._in_thread(package, work, run_timeout, runaway=runaway)
        except TimeoutError as error:
            raise StageTimeoutError(
                f"UDF [{package}]: the pipeline's time was over after waiting for a sandbox; "
                "add workers, or raise the pipeline's timeout_ms"
            ) from error
        finally:
            if on_log is not None:
                for line in tuple(log.lines):
                    on_log(line)
            if key[3]:
                self._restock(key, package)

    async def run_batch(
        self,
        package: Package,
        params: Mapping[str, object],
        batch: Batch,
        limits: Limits,
        *,
        run_timeout: float,
    ) -> tuple[list[Document | None], float]:
        """Runs `package` on documents in one call, in a warm sandbox and one of the pool's threads.

        Gives each document as it came out, None for one that is to be run by itself, and the
        seconds a document took. Times are as for `run`, those of `limits` for all documents
        together. Raises `StageError` where all have to be run by themselves.
        """
        key = (package.digest, _dumps(params), limits.memory_mb, False)
        make = partial(self._make, package, key[1], limits.memory_mb, RunLog(limits.log_bytes))
        work = partial(self._run_batch, key, make, batch, limits)
        try:
            async with asyncio.timeout(run_timeout + GRACE_SECONDS):
                return await self._in_thread(package, work, run_timeout, long=True)
        except TimeoutError as error:
            raise StageTimeoutError(f"UDF [{package}]: no time was left for a batch") from error

    async def inspect(self, package: Package, params: Mapping[str, object]) -> frozenset[str]:
        """Loads `package` in a sandbox of its own that is then thrown away.

        Returns which of udf_main, query, document and result it defines. Raises `StageError` of
        kind "load" that tells the line at fault.
        """
        return await self._in_thread(package, partial(self._inspect, package, _dumps(params)), None)

    async def close(self) -> None:
        """Refuses further runs, waits for those that are on (their deadlines end them), frees all.

        The runtime is the caller's to close, afterwards.
        """
        self._closed = True
        await asyncio.to_thread(self._helper.shutdown)
        await asyncio.to_thread(self._executor.shutdown)
        await asyncio.to_thread(self._shelf.close)

    def stats(self) -> dict[str, int]:
        """live, idle: sandboxes now. created, recycled, trapped, evicted: so far."""
        return self._shelf.stats()

    async def _in_thread(
        self,
        package: Package,
        work: Callable[[], T],
        run_timeout: float | None,
        *,
        runaway: bool = False,
        long: bool = False,
    ) -> T:
        try:
            async with asyncio.timeout(run_timeout):
                place = await self._gate.enter(runaway=runaway, long=long)
        except TimeoutError as error:
            raise StageTimeoutError(
                f"UDF [{package}]: no sandbox was free within {run_timeout:g} s (waiting); "
                "add workers or make the UDFs in front of it faster"
            ) from error
        if self._closed:
            place.leave()
            raise StageError("unavailable", f"UDF [{package}]: the sandboxes are shut down")
        loop = asyncio.get_running_loop()
        future = self._executor.submit(work)
        # left when the thread is done, which may be after the caller has gone
        future.add_done_callback(partial(_leave, place, loop))
        return await asyncio.wrap_future(future)

    def _run_here(
        self, key: Key, call: Call, limits: Limits, log: RunLog
    ) -> tuple[Reply | None, Limits]:
        """The reply of a quick UDF, run on this thread; or None, and the limits it has left."""
        if not self._paces.is_quick(key) or self._closed:
            return None, limits
        sandbox = self._shelf.take_idle(key)
        if sandbox is None:
            return None, limits
        short = min(INLINE_MS, limits.timeout_ms)
        started, worked = time.perf_counter(), time.thread_time()
        try:
            reply = sandbox.run(call, replace(limits, timeout_ms=short), log)
            self._paces.ran(key, time.thread_time() - worked)
            return reply, limits
        except StageTimeoutError:
            self._paces.was_slow(key)
            left = limits.timeout_ms - int((time.perf_counter() - started) * 1000)
            if left < 1:
                raise
            log.clear()
            return None, replace(limits, timeout_ms=left)
        finally:
            if not self._spent:
                asyncio.get_running_loop().call_soon(self._turned)
            self._spent += time.perf_counter() - started
            self._put(key, sandbox)

    def _turned(self) -> None:
        self._spent = 0.0

    def _run(
        self, key: Key, make: Callable[[], Sandbox], call: Call, limits: Limits, log: RunLog
    ) -> Reply:
        sandbox = self._shelf.take(key, make)
        # Not by the clock: it would count the waiting for a processor and the interpreter.
        worked = time.thread_time()
        try:
            reply = sandbox.run(call, limits, log)
        except StageTimeoutError:
            self._paces.timed_out(key)
            raise
        finally:
            self._shelf.put(key, sandbox, keep=not key[3])
        self._paces.ran(key, time.thread_time() - worked)
        return reply

    def _run_batch(
        self, key: Key, make: Callable[[], Sandbox], batch: Batch, limits: Limits
    ) -> tuple[list[Document | None], float]:
        sandbox = self._shelf.take(key, make)
        worked = time.thread_time()
        try:
            ends = sandbox.run_batch(batch, limits)
        finally:
            self._shelf.put(key, sandbox, keep=True)
        seconds = (time.thread_time() - worked) / len(batch.documents)
        self._paces.ran(key, seconds)
        return ends, seconds

    def _put(self, key: Key, sandbox: Sandbox) -> None:
        """Take a sandbox back on the event loop's thread, where closing one takes too long."""
        if key[3] or not sandbox.alive:
            with suppress(RuntimeError):  # shut down meanwhile
                self._helper.submit(self._shelf.put, key, sandbox, keep=False)
                return
        self._shelf.put(key, sandbox, keep=not key[3])

    def _restock(self, key: Key, package: Package) -> None:
        """Have new sandboxes made ahead of demand, up to the number in stock."""
        if key in self._restocking or self._closed:
            return
        self._restocking.add(key)
        make = partial(self._make, package, key[1], key[2], RunLog(0))
        self._helper.submit(self._fill, key, make)

    def _fill(self, key: Key, make: Callable[[], Sandbox]) -> None:
        try:
            self._shelf.stock(key, make, self._stock)
        except StageError:
            # The run that needs one finds out the same, and says so.
            pass
        finally:
            self._restocking.discard(key)

    def _inspect(self, package: Package, params: bytes) -> frozenset[str]:
        limits = Limits()
        sandbox = self._make(package, params, limits.memory_mb, RunLog(limits.log_bytes))
        sandbox.close()
        return sandbox.entries

    def _make(self, package: Package, params: bytes, memory_mb: int, log: RunLog) -> Sandbox:
        return Sandbox(
            self._runtime,
            package,
            params,
            memory_mb=memory_mb,
            timeout_ms=self._load_timeout_ms,
            log=log,
        )


def _is_small(call: Call) -> bool:
    """Whether a call's input is small enough for the event loop's thread."""
    most = INLINE_BYTES if call.projection is None else INLINE_BYTES * _WHOLE_FACTOR
    return len(call.payload) + len(call.request or "") <= most


def _leave(place: Place, loop: asyncio.AbstractEventLoop, _: Future[T]) -> None:
    with suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(place.leave)


def _dumps(params: Mapping[str, object]) -> bytes:
    return orjson.dumps(dict(params), option=orjson.OPT_SORT_KEYS)
