"""Runs UDFs off the event loop, in warm sandboxes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

from pipelines.definitions.limits import MEMORY_MB
from pipelines.definitions.package import Package
from pipelines.errors import StageError, StageTimeoutError
from pipelines.payload import Document
from pipelines.wasm.batch import Batch
from pipelines.wasm.call import Call, Key, Phase, Reply, UdfUse, parameters_text
from pipelines.wasm.engine import Runtime
from pipelines.wasm.log import RunLog
from pipelines.wasm.pool.idle import AGEING, IdleSandboxes
from pipelines.wasm.pool.idle_priority import has_low_priority
from pipelines.wasm.pool.inline import INLINE_MS, SLICE_SECONDS, Paces, is_small
from pipelines.wasm.pool.prewarm import Prewarmer
from pipelines.wasm.pool.scheduler import Lane, NotBegunError, Scheduler
from pipelines.wasm.sandbox import Sandbox

T = TypeVar("T")

# What a sandbox says of its deadline says more, so it gets this long to come first.
GRACE_SECONDS = 0.05
# How long what nobody runs is kept ready.
REST_SECONDS = 60.0
# Who was given less of a processor than this, while it gave way to others, was kept from its work.
FAIR_SHARE = 0.5
# After so many overruns of a UDF in a row those that wait behind the last one are not begun.
HOPELESS = 3


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
        max_bytes: int = 1024**3,
        max_idle_per_udf: int = 4,
        recycle_runs: int = 1000,
        recycle_seconds: float = 600,
        load_timeout_ms: int = 1000,
        stock: int = 8,
        rest_seconds: float = REST_SECONDS,
    ) -> None:
        """`threads` run UDFs. At most `stock` new sandboxes are kept ready of each UDF that needs
        a new one every time, until it has not been run for `rest_seconds`.
        """
        if not 1 <= threads <= max_live:
            raise ValueError(f"threads is {threads}; it has to be 1 to max_live ({max_live})")
        self._runtime = runtime
        self._load_timeout_ms = load_timeout_ms
        self._idle = IdleSandboxes(
            max_live=max_live,
            max_bytes=max_bytes,
            max_idle=max_idle_per_udf,
            recycle_runs=recycle_runs,
            recycle_seconds=recycle_seconds,
        )
        self._scheduler = Scheduler(threads)
        self._paces = Paces()
        self._prewarmer = Prewarmer(
            self._idle,
            most=stock,
            rest_seconds=rest_seconds,
            is_doubtful=self._paces.loads_badly,
        )
        self._firsts: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        # How long runs have held the event loop since it last went around.
        self._spent = 0.0
        self._closed = False

    async def run(
        self,
        use: UdfUse,
        call: Call,
        timeout_ms: int | None = None,
        *,
        log: list[str] | None = None,
        on_wait: Callable[[float], None] | None = None,
        run_timeout: float | None = None,
    ) -> Reply:
        """Runs a UDF on `call` in a warm sandbox, or with isolation "request" in a new one.

        `run_timeout` (seconds) bounds the wait for a free thread, and with a moment's grace the
        whole; `timeout_ms` (that of the limits unless given) counts once there is one and the UDF
        is loaded. `log` gets the lines that the UDF logs, however the run ends; `on_wait`, on some
        thread, the seconds until there was a sandbox. Raises `StageError`, `StageTimeoutError`.
        """
        key, limits = use.key, use.limits
        if timeout_ms is None:
            timeout_ms = limits.timeout_ms
        written = RunLog(limits.log_bytes)
        try:
            if self._paces.is_quick(key) and is_small(call) and not self._closed:
                if self._spent > SLICE_SECONDS:
                    # The documents of a bulk come one after the other: others get their turn.
                    await asyncio.sleep(0)
                if (sandbox := self._idle.take_idle(key)) is not None:
                    began = time.perf_counter()
                    worked = time.thread_time() if self._paces.is_watched(key) else None
                    try:
                        short = min(INLINE_MS, timeout_ms)
                        reply = sandbox.run(call, limits, written, short)
                        self._paces.ended(key, time.perf_counter() - began, _since(worked))
                        return reply
                    except StageTimeoutError:
                        self._was_late(key, worked)
                        timeout_ms -= int((time.perf_counter() - began) * 1000)
                        if timeout_ms < 1:
                            raise
                        written.clear()
                    finally:
                        self._took_here(time.perf_counter() - began)
                        self._put(key, sandbox)
            return await self._run_there(use, call, timeout_ms, written, run_timeout, on_wait)
        finally:
            if log is not None and written.lines:
                log.extend(written.lines)
            self._prewarmer.sweep_later()
            if use.is_fresh:
                self._prewarmer.ran(key, partial(self._make, key, use.package, RunLog(0)))

    async def run_batch(
        self, use: UdfUse, batch: Batch, timeout_ms: int, *, run_timeout: float
    ) -> tuple[list[Document | None], float]:
        """Runs a UDF on documents in one call, in a warm sandbox and one of the pool's threads.

        Returns each document as it came out, None for one that is to be run by itself, and the
        seconds a document took. Times are as for `run`, those of `timeout_ms` for all documents
        together. Raises `StageError` where all have to be run by themselves.
        """
        work = partial(self._run_batch, use, batch, timeout_ms)
        try:
            async with asyncio.timeout(run_timeout + GRACE_SECONDS):
                return await self._in_thread(use.package, work, run_timeout, use.key, long=True)
        except TimeoutError as error:
            reason = f"UDF [{use.package}]: no time was left for a batch"
            raise StageTimeoutError(reason) from error

    async def inspect(
        self,
        package: Package,
        params: Mapping[str, object],
        *,
        memory_mb: int = MEMORY_MB,
        phase: Phase | None = None,
    ) -> frozenset[str]:
        """Loads `package` in a sandbox of its own that is then thrown away.

        Returns which of udf_main, query, document and result it defines. Raises `StageError` of
        kind "load" that tells the line at fault, or which of them cannot be called; where a `phase`
        is given, of those that it may call.
        """
        work = partial(self._inspect, package, parameters_text(params), memory_mb, phase)
        return await self._in_thread(package, work, None)

    async def close(self) -> None:
        """Refuses further runs, waits for those that are on (their deadlines end them), frees all.

        The runtime is the caller's to close, afterwards.
        """
        self._closed = True
        await self._prewarmer.close()
        await self._scheduler.close()
        await asyncio.to_thread(self._idle.close)

    def stats(self) -> dict[str, int]:
        """live, idle: sandboxes now. created, recycled, trapped, evicted: so far."""
        return self._idle.stats()

    async def _run_there(
        self,
        use: UdfUse,
        call: Call,
        timeout_ms: int,
        log: RunLog,
        run_timeout: float | None,
        on_wait: Callable[[float], None] | None,
    ) -> Reply:
        """The reply of a run on one of the threads."""
        waits = (time.perf_counter(), on_wait)
        work = partial(self._run, use, call, timeout_ms, log, waits)
        last = None if run_timeout is None else run_timeout + GRACE_SECONDS
        try:
            async with asyncio.timeout(last):
                return await self._in_thread(use.package, work, run_timeout, use.key)
        except TimeoutError as error:
            raise StageTimeoutError(
                f"UDF [{use.package}]: the pipeline's time was over after waiting for a sandbox; "
                "add workers, or raise the pipeline's timeout_ms"
            ) from error

    async def _in_thread(
        self,
        package: Package,
        work: Callable[[], T],
        run_timeout: float | None,
        key: Key | None = None,
        *,
        long: bool = False,
    ) -> T:
        within = run_timeout
        try:
            if key is None or long or not self._paces.is_new(key):
                return await self._begun(package, work, key, within, long=long)
            # Until one shows what the UDF is like they go one at a time: it may be endless.
            lock = self._firsts.setdefault(key, asyncio.Lock())
            began = time.monotonic()
            async with asyncio.timeout(within):
                await lock.acquire()
            try:
                if within is not None:
                    within = max(within - (time.monotonic() - began), 0.0)
                if self._paces.is_new(key) and not self._paces.overruns(key):
                    return await self._begun(package, work, key, within)
            finally:
                lock.release()
            return await self._begun(package, work, key, within)
        except (NotBegunError, TimeoutError) as error:
            if self._closed:
                reason = f"UDF [{package}]: the sandboxes are shut down"
                raise StageError("unavailable", reason) from error
            raise StageTimeoutError(
                f"UDF [{package}]: no sandbox was free within {run_timeout:g} s (waiting); "
                "add workers or make the UDFs in front of it faster"
            ) from error

    async def _begun(
        self,
        package: Package,
        work: Callable[[], T],
        key: Key | None,
        within: float | None,
        *,
        long: bool = False,
    ) -> T:
        """What `work` gives, on the lane for a UDF of which so much is known."""
        lane: Lane = "long" if long else "short"
        if key is None:
            return await self._scheduler.run(work, lane, within=within)
        last = self._paces.goes_last(key)
        if overruns := self._paces.overruns(key):
            lane, work = "runaway", partial(self._unless_hopeless, package, key, overruns, work)
        elif self._paces.loads_badly(key) and not self._idle.count(key):
            lane, last = "runaway", True
        elif not long and self._paces.is_new(key):
            lane = "new"
        return await self._scheduler.run(work, lane, last=last, within=within)

    def _unless_hopeless(
        self, package: Package, key: Key, overruns: int, work: Callable[[], T]
    ) -> T:
        """On a thread: give up where another run passed its deadline while this one waited."""
        if self._paces.overruns(key) >= max(overruns + 1, HOPELESS):
            raise StageTimeoutError(
                f"UDF [{package}]: while it waited for a sandbox another run of the UDF passed its "
                "deadline, as those before; make it do less or raise the stage's timeout_ms"
            )
        return work()

    def _was_late(self, key: Key, worked: float | None) -> None:
        """A run here passed its short deadline. `worked`: its processor time when it began."""
        if worked is None:
            self._paces.watch(key)
        else:
            self._paces.was_slow(key, time.thread_time() - worked)

    def _took_here(self, seconds: float) -> None:
        """A run held the event loop for so long."""
        if not self._spent:
            asyncio.get_running_loop().call_soon(self._turned)
        self._spent += seconds

    def _turned(self) -> None:
        self._spent = 0.0

    def _run(
        self,
        use: UdfUse,
        call: Call,
        timeout_ms: int,
        log: RunLog,
        waits: tuple[float, Callable[[float], None] | None],
    ) -> Reply:
        """On a thread; `waits`: since when the caller waits, and who is to know how long it did."""
        key = use.key
        # Not by the clock alone: it counts the waiting for a processor and the interpreter.
        starts = (time.perf_counter(), time.thread_time()) if has_low_priority() else None
        try:
            sandbox = self._idle.take(key, partial(self._make, key, use.package, log))
            asked, on_wait = waits
            ready = time.perf_counter()
            if on_wait is not None:
                on_wait(ready - asked)
            worked = time.thread_time() if self._paces.is_watched(key) else None
            try:
                reply = sandbox.run(call, use.limits, log, timeout_ms)
            finally:
                self._idle.put(key, sandbox, keep=not use.is_fresh)
                self._renew(key, sandbox)
        except StageError as error:
            if error.overran:
                self._paces.timed_out(key, starved=_is_starved(starts))
            raise
        self._paces.ended(key, time.perf_counter() - ready, _since(worked))
        return reply

    def _run_batch(
        self, use: UdfUse, batch: Batch, timeout_ms: int
    ) -> tuple[list[Document | None], float]:
        key = use.key
        make = partial(self._make, key, use.package, RunLog(use.limits.log_bytes))
        sandbox = self._idle.take(key, make)
        worked = time.thread_time()
        try:
            ends = sandbox.run_batch(batch, use.limits, timeout_ms)
        finally:
            self._idle.put(key, sandbox, keep=True)
            self._renew(key, sandbox)
        # How many go together next time follows from it.
        seconds = (time.thread_time() - worked) / len(batch.documents)
        self._paces.ran(key, seconds)
        return ends, seconds

    def _put(self, key: Key, sandbox: Sandbox) -> None:
        """Take a sandbox back on the event loop's thread, where closing one takes too long."""
        age = self._idle.age(sandbox)
        if key[3] or not sandbox.alive or age >= 1:
            self._prewarmer.discard(key, sandbox)
            return
        self._idle.put(key, sandbox, keep=True)
        if age >= AGEING:
            self._renew(key, sandbox)

    def _renew(self, key: Key, sandbox: Sandbox) -> None:
        """Have another sandbox made ahead where one will soon be used up. On any thread."""
        if sandbox.alive and not key[3] and self._idle.age(sandbox) >= AGEING:
            make = partial(self._make, key, sandbox.package, RunLog(0))
            self._prewarmer.renew(key, make)

    def _inspect(
        self, package: Package, params: bytes, memory_mb: int, phase: Phase | None
    ) -> frozenset[str]:
        key = (package.digest, params, memory_mb, True)
        sandbox = self._make(key, package, RunLog(0))
        sandbox.close()
        sandbox.require_callable(phase)
        return sandbox.entries

    def _make(self, key: Key, package: Package, log: RunLog) -> Sandbox:
        """A new sandbox of `key`; how its load ended is remembered."""
        _, params, memory_mb, _ = key
        try:
            sandbox = Sandbox(
                self._runtime,
                package,
                params,
                memory_mb=memory_mb,
                timeout_ms=self._load_timeout_ms,
                log=log,
            )
        except StageError as error:
            if error.overran:
                self._paces.load_timed_out(key)
            raise
        self._paces.loaded(key)
        return sandbox


def _since(worked: float | None) -> float | None:
    """The processor time of this thread since it was `worked`, if that was looked at."""
    return None if worked is None else time.thread_time() - worked


def _is_starved(starts: tuple[float, float] | None) -> bool:
    """Whether a thread that gave way to others was kept from its work since `starts`."""
    if starts is None:
        return False
    began, worked = starts
    return (time.thread_time() - worked) / (time.perf_counter() - began) < FAIR_SHARE
