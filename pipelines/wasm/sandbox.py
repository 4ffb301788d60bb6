"""One sandbox: an instance of the interpreter with one UDF loaded. The only place that runs it."""

from __future__ import annotations

import time
from typing import Any

import orjson
from wasmtime import Store, WasmtimeError

from pipelines.errors import StageError, StageTimeoutError
from pipelines.jsontext.pieces import dump_file, joined
from pipelines.wasm import codec as reply
from pipelines.wasm import traps
from pipelines.wasm.batch import Batch, Document, Prepared
from pipelines.wasm.bytecode import BYTES
from pipelines.wasm.call import Call, Limits, Package, Reply
from pipelines.wasm.codec import HEADER_BYTES
from pipelines.wasm.engine import TICK_SECONDS, Runtime
from pipelines.wasm.fast_call import TextCall, TooLongError, text_call
from pipelines.wasm.log import RunLog

# the fault of the UDF's own code; the interpreter around it is as sound as before
_HARMLESS = {"udf_exception", "invalid_result", "output_too_large", "input_too_large", "input_type"}


class Sandbox:
    """A UDF in an instance of its own, for one thread at a time.

    It may move from thread to thread but two must never use it at once, `close` included. After a
    trap, a timeout or exhausted memory `alive` is False and all that is left is to close it.
    `entries` are the functions a pipeline can call that the UDF defines, `faults` tells of those
    that cannot be called as it does.
    """

    def __init__(
        self,
        runtime: Runtime,
        package: Package,
        params: bytes,
        *,
        memory_mb: int,
        timeout_ms: int,
        log: RunLog,
    ) -> None:
        """Makes the instance and runs the UDF's top level; `params` is the JSON of an object.

        Raises `StageError`: "load" if the UDF cannot be loaded within `timeout_ms` and
        `memory_mb`, "memory" if the interpreter itself does not fit.
        """
        self.package = package
        self.alive = True
        self.runs = 0
        self.made = time.monotonic()
        self._runtime = runtime
        self._memory_mb = memory_mb
        # What was set last: the clock's ticks then, and how many more it gives.
        self._deadline = (-1, 0)
        self._store = Store(runtime.engine)
        try:
            self._start(timeout_ms)
            self.entries, self.faults = self._loaded(params, timeout_ms, log)
        except BaseException:
            self.close()
            raise

    def run(self, call: Call, limits: Limits, log: RunLog, timeout_ms: int | None = None) -> Reply:
        """One run within `limits` (its memory was set when the sandbox was made).

        `timeout_ms` goes before that of `limits`. Raises `StageError` of any kind but
        "unavailable", and `StageTimeoutError` when the time is over.
        """
        self._require(call.phase)
        try:
            given, before = _checked_input(call, limits)
            self.runs += 1
            if timeout_ms is None:
                timeout_ms = limits.timeout_ms
            most = HEADER_BYTES + limits.output_bytes
            text = _encode(call, given, limits)
            response = self._enter(self._run, log, timeout_ms, text, most=most)
            header, text = reply.split(response, "invalid_result")
            if failure := reply.guest_error(header):
                raise self._failure(*failure)
            return reply.read(header, text, call, before, limits, tuple(log.lines))
        except StageTimeoutError as error:
            hint = "make it do less or raise the stage's timeout_ms"
            reason = self._named(f"{error.reason}; {hint}")
            raise StageTimeoutError(reason, overran=error.overran) from error
        except StageError as error:
            if error.kind not in _HARMLESS:
                self.alive = False
            named = StageError(error.kind, self._named(error.reason), detail=error.detail)
            raise named from error

    def run_batch(self, batch: Batch, limits: Limits) -> list[Document | None]:
        """One run a document in one call, which has `limits.timeout_ms` as a whole.

        Gives each document as it came out, None for one that is to be run by itself. Raises what
        `run` does where that is all of them.
        """
        self._require("document")
        try:
            prepared = Prepared(batch, limits)
            self.runs += 1
            text, most = prepared.text(), HEADER_BYTES + prepared.most_bytes
            response = self._enter(self._run, RunLog(0), limits.timeout_ms, text, most=most)
            header, lines = reply.split(response, "invalid_result")
            if failure := reply.guest_error(header):
                raise self._failure(*failure)
            self.alive = "memory" not in header
            return prepared.read(lines)
        except StageError as error:
            if error.kind not in _HARMLESS:
                self.alive = False
            raise

    def close(self) -> None:
        """Frees the instance and its memory."""
        self.alive = False
        self._store.close()

    def _start(self, timeout_ms: int) -> None:
        runtime = self._runtime
        self._store.set_limits(memory_size=self._memory_mb * 1024 * 1024)
        self._store.set_epoch_deadline(runtime.ticker.ticks(timeout_ms))
        runtime.line.deadline = _deadline(timeout_ms)
        try:
            instance = runtime.linker.instantiate(self._store, runtime.component)
        except WasmtimeError as error:
            reason = f"the interpreter does not fit in {self._memory_mb} MB; raise memory_mb"
            raise StageError("memory", self._named(reason)) from error
        self._instance = instance
        self._run = self._export("run")

    def _loaded(
        self, params: bytes, timeout_ms: int, log: RunLog
    ) -> tuple[frozenset[str], dict[str, str]]:
        began = time.monotonic()
        try:
            setup = _setup(self.package, params, self._code(timeout_ms, log))
            left = max(1, timeout_ms - int((time.monotonic() - began) * 1000))
            header = self._asked("load", log, left, setup)
        except StageError as error:
            # the limit as it was set: what compiling left of it would tell the reader nothing
            why = _overran(timeout_ms) if error.overran else error.reason
            reason = self._named(f"cannot be loaded: {why}")
            raise StageError("load", reason, detail=error.detail, overran=error.overran) from error
        return reply.read_entries(header)

    def _code(self, timeout_ms: int, log: RunLog) -> str:
        """The UDF's code, compiled here if it was not before: nothing of it has run here yet."""
        codes = self._runtime.codes
        code = codes.get(self.package.digest)
        if code is None:
            name = self.package.name
            code = str(self._asked("compile", log, timeout_ms, name, most=BYTES)["code"])
            codes.put(self.package.digest, code)
        return code

    def _asked(
        self, name: str, log: RunLog, timeout_ms: int, given: str, *, most: int = HEADER_BYTES
    ) -> dict[str, Any]:
        """The header, of `most` bytes, of what an export answers to the source and `given`."""
        source = self.package.source
        response = self._enter(self._export(name), log, timeout_ms, source, given, most=most + 1)
        header, _ = reply.split(response, "load", most)
        if failure := reply.guest_error(header):
            raise self._failure(*failure)
        return header

    def require_callable(self, phase: str | None) -> None:
        """Raises `StageError` (load) where an entry point cannot be called as pipelines do.

        With a `phase` only those count that a pipeline of it may call.
        """
        run = self.faults if phase is None else (phase, "udf_main")
        reported = "; ".join(fault for name, fault in self.faults.items() if name in run)
        if reported:
            raise StageError("load", self._named(reported))

    def _require(self, phase: str) -> None:
        if phase not in self.entries and "udf_main" not in self.entries:
            raise StageError(
                "load", f"UDF [{self.package}] defines neither {phase}() nor udf_main()"
            )

    def _enter(
        self, function: TextCall, log: RunLog, timeout_ms: int, *arguments: str, most: int
    ) -> str:
        """Calls into the instance, which answers with `most` bytes at most.

        Whatever stops it comes out as a `StageError`.
        """
        line, ticker = self._runtime.line, self._runtime.ticker
        line.log, line.deadline = log, _deadline(timeout_ms)
        try:
            with ticker:
                deadline = (ticker.ticked, ticker.ticks(timeout_ms))
                if deadline != self._deadline:
                    self._store.set_epoch_deadline(deadline[1])
                    self._deadline = deadline
                return function(*arguments, most=most)
        except TooLongError as error:
            reason = f"its answer has {error.size} bytes, its limits leave {most}"
            raise StageError("output_too_large", reason) from error
        except WasmtimeError as error:
            self.alive = False
            trap = traps.explain(error)
            if trap.interrupted:
                raise StageTimeoutError(_overran(timeout_ms), overran=True) from error
            if trap.exhausted:
                raise self._failure("memory", "", "") from error
            raise StageError("trap", f"the sandbox was stopped: {trap.reason}") from error
        finally:
            line.log = None

    def _failure(self, kind: str, reason: str, traceback: str) -> StageError:
        if kind == "memory":
            reason = (
                f"it ran out of memory, its limit is {self._memory_mb} MB; "
                "make it hold less at once or raise the stage's memory_mb "
                "(for the check of an upload: # @udf: memory_mb=128)"
            )
        return StageError(kind, reason, detail=traceback)

    def _named(self, reason: str) -> str:
        return f"UDF [{self.package}]: {reason}"

    def _export(self, name: str) -> TextCall:
        found = self._instance.get_func(self._store, self._runtime.exports[name])
        if found is None:
            raise StageError("unavailable", "the built sandbox is not ours; clear the cache folder")
        return text_call(self._store, found)


def _deadline(timeout_ms: int) -> float:
    """Until when the host's functions serve; a tick later than the engine's own, which says more"""
    return time.monotonic() + timeout_ms / 1000 + 2 * TICK_SECONDS


def _overran(timeout_ms: int) -> str:
    return f"it ran longer than its {timeout_ms} ms"


def _checked_input(call: Call, limits: Limits) -> tuple[str, dict[str, Any]]:
    """The text of what the UDF is given, and the whole payload parsed."""
    given, payload = call.payload, call.data
    try:
        if call.projection is not None:
            payload = _object(call.payload) if payload is None else payload
            given = call.projection.text(call.payload, payload)
        size = reply.byte_length(given) + reply.byte_length(call.request or "")
        if size > limits.input_bytes:
            raise StageError(
                "input_too_large",
                f"its input has {size} bytes, its limit is {limits.input_bytes}; "
                "ask for fewer hits or fields, or raise the stage's input_bytes",
            )
        return given, _object(call.payload) if payload is None else payload
    except ValueError as error:
        raise StageError("input_type", f"its input cannot be used: {error}") from error


def _object(text: str) -> dict[str, Any]:
    payload = orjson.loads(text)
    if not isinstance(payload, dict):
        raise ValueError("it is not a JSON object")
    return payload


def _encode(call: Call, given: str, limits: Limits) -> str:
    """The call as one JSON text, its parts joined and not parsed."""
    context = orjson.dumps(call.context).decode()
    declared = "" if call.projection is None else f'"declared":{call.projection.declared},'
    return (
        f'{{"phase":"{call.phase}","limit":{limits.output_bytes},"context":{context},{declared}'
        f'"request":{call.request or "null"},"payload":{given}}}'
    )


def _setup(package: Package, params: bytes, code: str) -> str:
    """What a UDF is loaded with, as JSON; files can be large, so they are written in pieces."""
    parts = [b'{"name":', orjson.dumps(package.name), b',"params":', params, b',"code":']
    parts += [orjson.dumps(code), b',"files":{']
    for position, (name, content) in enumerate(package.files.items()):
        parts += [b"," if position else b"", orjson.dumps(name), b":", *dump_file(content)]
    return joined([*parts, b"}}"]).decode()
