"""While a thread is inside a sandbox: its deadline, its log, and what stops it, as our errors."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from wasmtime import Store, WasmtimeError

from pipelines.errors import StageError, StageTimeoutError
from pipelines.wasm import traps
from pipelines.wasm.engine import TICK_SECONDS, Runtime
from pipelines.wasm.fast_call import TooLongError
from pipelines.wasm.log import RunLog


class Entered:
    """Guards the calls into one sandbox: ``with entered.within(log, timeout_ms):``.

    Whatever stops a call comes out as a `StageError`.
    """

    __slots__ = ("_line", "_memory_mb", "_set", "_store", "_ticker", "_timeout_ms")

    def __init__(self, runtime: Runtime, store: Store, memory_mb: int) -> None:
        self._line = runtime.line
        self._ticker = runtime.ticker
        self._store = store
        self._memory_mb = memory_mb
        self._timeout_ms = 0
        # What was set last: the clock's ticks then, and how many more it gives.
        self._set = (-1, 0)

    def within(self, log: RunLog, timeout_ms: int) -> Self:
        """Have the next call write into `log`, and end after so long."""
        self._timeout_ms = timeout_ms
        self._line.log = log
        return self

    def __enter__(self) -> None:
        timeout_ms, ticker = self._timeout_ms, self._ticker
        self._line.deadline = host_deadline(timeout_ms)
        ticker.start()
        deadline = (ticker.ticked, ticker.ticks(timeout_ms))
        if deadline != self._set:
            self._store.set_epoch_deadline(deadline[1])
            self._set = deadline

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ticker.stop()
        self._line.log = None
        if isinstance(error, TooLongError):
            reason = f"its response has {error.size} bytes, its limits leave {error.most}"
            raise StageError("output_too_large", reason) from error
        if isinstance(error, WasmtimeError):
            trap = traps.explain(error)
            if trap.interrupted:
                raise StageTimeoutError(overran(self._timeout_ms), overran=True) from error
            if trap.exhausted:
                raise out_of_memory(self._memory_mb) from error
            raise StageError("trap", f"the sandbox was stopped: {trap.reason}") from error


def host_deadline(timeout_ms: int) -> float:
    """Until when the host's functions serve; a tick later than the engine's own, which says more"""
    return time.monotonic() + timeout_ms / 1000 + 2 * TICK_SECONDS


def overran(timeout_ms: int) -> str:
    """Why a run that passed its deadline was stopped."""
    return f"it ran longer than its {timeout_ms} ms"


def out_of_memory(memory_mb: int, traceback: str = "") -> StageError:
    """The error of a UDF that used up the memory of its sandbox."""
    reason = (
        f"it ran out of memory, its limit is {memory_mb} MB; "
        "make it hold less at once or raise the stage's memory_mb "
        "(for the check of an upload: # @udf: memory_mb=128)"
    )
    return StageError("memory", reason, detail=traceback)
