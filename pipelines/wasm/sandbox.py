"""One sandbox: an instance of the interpreter with one UDF loaded. The only place that runs it."""

from __future__ import annotations

import time
from typing import Any

import orjson
from wasmtime import Store, WasmtimeError

from pipelines.definitions.package import Package
from pipelines.errors import StageError, StageTimeoutError
from pipelines.jsontext.pieces import dump_file, joined
from pipelines.payload import Document
from pipelines.wasm import codec
from pipelines.wasm.batch import Batch, Prepared
from pipelines.wasm.bytecode import BYTES
from pipelines.wasm.call import Call, Limits, Reply
from pipelines.wasm.codec import HEADER_BYTES
from pipelines.wasm.engine import Runtime
from pipelines.wasm.entered import Entered, host_deadline, out_of_memory, overran
from pipelines.wasm.fast_call import TextCall, text_call
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
        self._store = Store(runtime.engine)
        self._entered = Entered(runtime, self._store, memory_mb)
        self._runs: TextCall | None = None
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
        entry = self._require(call.phase)
        if timeout_ms is None:
            timeout_ms = limits.timeout_ms
        try:
            given, before = _checked_input(call, limits)
            self.runs += 1
            entry.give(_encode(call, given, limits))
            with self._entered.within(log, timeout_ms):
                text = entry.take(entry.enter(), HEADER_BYTES + limits.output_bytes)
            header, text = codec.split(text, "invalid_result")
            if header and (failure := codec.guest_error(header)):
                raise self._failure(*failure)
            return codec.read(header, text, call, before, limits, tuple(log.lines))
        except StageTimeoutError as error:
            self.alive = False
            hint = "make it do less or raise the stage's timeout_ms"
            reason = self._named(f"{error.reason}; {hint}")
            raise StageTimeoutError(reason, overran=error.overran) from error
        except StageError as error:
            if error.kind not in _HARMLESS:
                self.alive = False
            named = StageError(error.kind, self._named(error.reason), detail=error.detail)
            raise named from error

    def run_batch(self, batch: Batch, limits: Limits, timeout_ms: int) -> list[Document | None]:
        """One run a document in one call, which has `timeout_ms` as a whole.

        Gives each document as it came out, None for one that is to be run by itself. Raises what
        `run` does where that is all of them.
        """
        entry = self._require("document")
        try:
            prepared = Prepared(batch, limits)
            self.runs += 1
            entry.give(prepared.text())
            with self._entered.within(RunLog(0), timeout_ms):
                text = entry.take(entry.enter(), HEADER_BYTES + prepared.most_bytes)
            header, lines = codec.split(text, "invalid_result")
            if failure := codec.guest_error(header):
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
        # Nothing may call into a store that is closed.
        self._runs = None
        self._store.close()

    def _start(self, timeout_ms: int) -> None:
        runtime = self._runtime
        self._store.set_limits(memory_size=self._memory_mb * 1024 * 1024)
        self._store.set_epoch_deadline(runtime.ticker.ticks(timeout_ms))
        runtime.line.deadline = host_deadline(timeout_ms)
        try:
            instance = runtime.linker.instantiate(self._store, runtime.component)
        except WasmtimeError as error:
            reason = f"the interpreter does not fit in {self._memory_mb} MB; raise memory_mb"
            raise StageError("memory", self._named(reason)) from error
        self._instance = instance
        self._runs = self._export("run")

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
            why = overran(timeout_ms) if error.overran else error.reason
            reason = self._named(f"cannot be loaded: {why}")
            raise StageError("load", reason, detail=error.detail, overran=error.overran) from error
        return codec.read_entries(header)

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
        entry = self._export(name)
        entry.give(self.package.source, given)
        with self._entered.within(log, timeout_ms):
            text = entry.take(entry.enter(), most + 1)
        header, _ = codec.split(text, "load", most)
        if failure := codec.guest_error(header):
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

    def _require(self, phase: str) -> TextCall:
        """The way in, for a run of this phase."""
        if phase not in self.entries and "udf_main" not in self.entries:
            raise StageError(
                "load", f"UDF [{self.package}] defines neither {phase}() nor udf_main()"
            )
        if self._runs is None:
            raise StageError("unavailable", self._named("its sandbox is closed"))
        return self._runs

    def _failure(self, kind: str, reason: str, traceback: str) -> StageError:
        if kind == "memory":
            return out_of_memory(self._memory_mb, traceback)
        return StageError(kind, reason, detail=traceback)

    def _named(self, reason: str) -> str:
        return f"UDF [{self.package}]: {reason}"

    def _export(self, name: str) -> TextCall:
        found = self._instance.get_func(self._store, self._runtime.exports[name])
        if found is None:
            raise StageError("unavailable", "the built sandbox is not ours; clear the cache folder")
        return text_call(self._store, found)


def _checked_input(call: Call, limits: Limits) -> tuple[str, dict[str, Any]]:
    """The text of what the UDF is given, and the whole payload parsed."""
    given, payload = call.payload, call.data
    try:
        if call.projection is not None:
            payload = _object(call.payload) if payload is None else payload
            given = call.projection.text(call.payload, payload)
        size = codec.byte_length(given) + codec.byte_length(call.request or "")
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
