"""The sandbox: Python functions of others, run in WebAssembly with a deadline and a memory limit.

A `Runtime` is the interpreter all share, compiled once a machine. A `Sandbox` is one instance of it
with one UDF loaded. The `SandboxPool` of `pool` keeps sandboxes warm and runs a `Call` in one, off
the event loop, giving a `Reply` or raising `StageError`. Only this package imports wasmtime.
"""

from pipelines.wasm.batch import Batch
from pipelines.wasm.call import (
    Call,
    Isolation,
    Limits,
    Phase,
    Reply,
    UdfUse,
    parameters_text,
)
from pipelines.wasm.component.build import BuildError, Progress, build
from pipelines.wasm.engine import Runtime

__all__ = [
    "Batch",
    "BuildError",
    "Call",
    "Isolation",
    "Limits",
    "Phase",
    "Progress",
    "Reply",
    "Runtime",
    "UdfUse",
    "build",
    "parameters_text",
]
