"""Maps what the engine says about a stopped sandbox to our errors, for `sandbox`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wasmtime import WasmtimeError

from pipelines.wasm.host_functions import OVER_TIME

_IMPORT = re.compile(r"unknown import: `(?P<name>[^`]+)`")
_WORDS = {
    "wasi:cli/exit": "it ended its process (os._exit)",
    # the interpreter writes here only to announce its own end
    "wasi:cli/stderr": "the interpreter gave up; its memory may have run out",
    "wasi:cli/terminal-stderr": "the interpreter gave up; its memory may have run out",
    "wasi:io/poll": "it waited for something, and a UDF cannot wait",
    "wasi:clocks/monotonic-clock": "it waited for something, and a UDF cannot wait",
}


@dataclass(frozen=True, slots=True)
class Trap:
    """Why a sandbox was stopped: `interrupted` by its deadline, `exhausted` its memory, or else."""

    interrupted: bool
    reason: str
    exhausted: bool = False


def explain(error: WasmtimeError) -> Trap:
    """Reads the engine's text; it offers no code for what happens inside a component."""
    cause = str(error).rpartition("Caused by:")[2].strip()
    if "wasm trap: interrupt" in cause or OVER_TIME in cause:
        return Trap(True, "it ran out of time")
    if "call stack exhausted" in cause:
        return Trap(False, "its calls nested too deeply for the stack")
    if found := _IMPORT.search(cause):
        name = found["name"]
        reason = _WORDS.get(name.partition("@")[0])
        return Trap(False, reason or f"it asked for what a sandbox does not have ({name})")
    if "beyond end of memory" in cause:
        # It could not make room for what was to be handed to it.
        return Trap(False, "its memory ran out", exhausted=True)
    if "unreachable" in cause:
        return Trap(False, "it aborted (os.abort), or the interpreter did for want of memory")
    return Trap(False, (cause.splitlines() or ["the engine gave no reason"])[-1].strip())
