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

Grants = dict[str, dict[str, Callable[..., Any]]]


class Line(threading.local):
    """Which log the sandbox now running in this thread writes to."""

    log: RunLog | None = None


def grants(line: Line) -> Grants:
    """Interface (its version left out) -> function name -> what the host does.

    None of them raises anything but `WasmtimeError`: the binding keeps any other exception in a
    global, and may raise it out of another thread's sandbox.
    """

    def log(_store: object, message: str) -> None:
        if line.log is not None:
            line.log.write(message)

    return {
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
