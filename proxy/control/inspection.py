"""What only a sandbox can tell of an uploaded UDF: whether it loads, and what it defines."""

from __future__ import annotations

from pipelines.definitions.package import Package
from pipelines.definitions.udf import category_phase, upload_memory_mb
from pipelines.errors import DefinitionError, StageError
from pipelines.wasm.pool import SandboxPool


async def check_package(pool: SandboxPool, package: Package) -> None:
    """`DefinitionError` if a UDF does not load, or defines nothing that can be run.

    It is loaded in a sandbox that is thrown away. That may take as long as loading may, so nobody
    should wait for it with a lock held.
    """
    memory_mb, phase = upload_memory_mb(package), category_phase(package)
    try:
        entry_points = await pool.inspect(package, {}, memory_mb=memory_mb, phase=phase)
    except StageError as error:
        raise DefinitionError("source", error.reason) from error
    if not entry_points:
        reason = "defines none of udf_main(), query(), document(), result()"
        raise DefinitionError("source", reason)
