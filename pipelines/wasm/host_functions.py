"""The functions a sandbox is given. What is not listed here is a trap: no file, socket, stream,
environment, process or blocking call is linked at all.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from wasmtime import Engine, WasmtimeError
from wasmtime.component import Component, Linker, Record

from pipelines.wasm.log import RunLog

# one call moves a list byte by byte through Python: libc asks for 256 at most
_RANDOM_BYTES = 4_096
# what the guest's own `log` sends at most: 16,384 characters
LINE_BYTES = 64 * 1024

OVER_TIME = "querymill: the deadline passed in a host function"
"""What the engine then says of the trap."""

Grants = dict[str, dict[str, Callable[..., Any]]]


class Line(threading.local):
    """Of the sandbox now running in this thread: the log it writes to, and when it has to end.

    `deadline` is on `time.monotonic()`. The engine looks at its own clock in the guest's code only,
    and one that calls the host over and over is mostly elsewhere.
    """

    log: RunLog | None = None
    deadline: float = 0.0


def grants(line: Line) -> Grants:
    """Interface (its version left out) -> function name -> what the host does.

    None of them raises anything but `WasmtimeError`: the binding keeps any other exception in a
    global, and may raise it out of another thread's sandbox. Each ends a run that is over its time.
    """

    def log(_store: object, message: str) -> None:
        if len(message) > LINE_BYTES:
            raise WasmtimeError(
                f"a log line of {len(message)} characters, {LINE_BYTES} are taken at once"
            )
        if line.log is not None:
            line.log.write(message)

    given: Grants = {
        "querymill:udf/host": {"log": log, "seed": _seed},
        "wasi:clocks/wall-clock": {"now": _now},
        "wasi:clocks/monotonic-clock": {"now": _ticks, "resolution": _resolution},
        "wasi:random/random": {"get-random-bytes": _random_bytes, "get-random-u64": _seed},
        "wasi:cli/environment": {
            "get-environment": _nothing,
            "get-arguments": _nothing,
            "initial-cwd": _none,
        },
        # an empty list of folders: opening a file is then an OSError and not a trap
        "wasi:filesystem/preopens": {"get-directories": _nothing},
    }
    return {
        interface: {name: _in_time(line, function) for name, function in functions.items()}
        for interface, functions in given.items()
    }


def _in_time(line: Line, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, for as long as the run may last."""

    def call(store: object, *arguments: Any) -> Any:
        if time.monotonic() > line.deadline:
            raise WasmtimeError(OVER_TIME)
        return function(store, *arguments)

    return call


def build_linker(engine: Engine, component: Component, line: Line) -> Linker:
    """A linker for `component` with the grants above; every other import of it traps."""
    linker = Linker(engine)
    given = grants(line)
    with linker.root() as root:
        for full_name in component.type.imports(engine):
            functions = given.get(full_name.partition("@")[0])
            if functions is None:
                continue
            with root.add_instance(full_name) as instance:
                for name, function in functions.items():
                    instance.add_func(name, function)
    linker.define_unknown_imports_as_traps(component)
    return linker


def _seed(_store: object) -> int:
    return secrets.randbits(64)


def _random_bytes(_store: object, count: int) -> bytes:
    if count > _RANDOM_BYTES:
        raise WasmtimeError(f"{count} random bytes asked for at once, {_RANDOM_BYTES} are given")
    return secrets.token_bytes(count)


def _now(_store: object) -> Record:
    now = Record()
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    now.__dict__.update(seconds=seconds, nanoseconds=nanoseconds)
    return now


def _ticks(_store: object) -> int:
    return time.monotonic_ns()


def _resolution(_store: object) -> int:
    return 1


def _nothing(_store: object) -> list[object]:
    return []


def _none(_store: object) -> None:
    return None
