"""Which sandbox runs what, and when."""

from pipelines.wasm.pool.memory import private_bytes
from pipelines.wasm.pool.pool import SandboxPool

__all__ = ["SandboxPool", "private_bytes"]
