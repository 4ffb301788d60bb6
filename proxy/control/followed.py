"""The store's content in force here: read at the start, and again where it changed."""

from __future__ import annotations

import asyncio

import structlog

from pipelines.definitions.package import Package
from pipelines.definitions.pipeline import PipelineDefinition
from pipelines.definitions.udf import UdfVersion
from pipelines.errors import MissingError
from pipelines.execution.plan import CompiledPipeline
from pipelines.registry import Registry
from proxy.control.mirror import Mirror
from proxy.control.reading import Reading, packages
from proxy.store.errors import StoreError
from proxy.store.store import Store

_log = structlog.get_logger("proxy.control.definitions")
_SHOWN = 10


class Followed:
    """What the store holds, kept in force in the registry.

    `ready` is set once the store has been read; until then nothing is known to be attached.
    `problem` says why it cannot be read, `faults` why records cannot be, by their ids; the others
    are served. `secret` is the key that signs ids, and empty until something is defined that ids
    would have to remember.
    """

    def __init__(self, registry: Registry, store: Store, *, refresh: float) -> None:
        self.registry = registry
        self.store = store
        self.mirror = Mirror(store)
        self.ready = asyncio.Event()
        self.problem = "the store has not been read yet"
        self.faults: dict[str, str] = {}
        self.secret = b""
        self._refresh = refresh
        self._writing = asyncio.Lock()

    @property
    def warning(self) -> str:
        """What an operator should know although requests are served."""
        if self.problem or not self.faults:
            return self.problem
        count = len(self.faults)
        listed = [f"{id[:200]} ({why[:300]})" for id, why in sorted(self.faults.items())[:_SHOWN]]
        more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
        return f"{count} of the store's records cannot be read: {', '.join(listed)}{more}"

    async def follow(self) -> None:
        """Read the store again whenever it changes; never ends by itself."""
        while True:
            await asyncio.sleep(self._refresh)
            await self.look()

    async def look(self) -> None:
        """Read the store if it changed; a failure is kept in `problem`, and what is known stays."""
        try:
            async with self._writing:
                await self._catch_up()
        except StoreError as error:
            problem = str(error)
            if self.problem != problem:
                _log.warning("the store cannot be read", reason=problem)
            self.problem = problem
        except Exception as error:
            _log.exception("the store holds what this version cannot read")
            self.problem = f"the store holds what this version cannot read: {error!r}"

    async def _catch_up(self) -> None:
        changes = await self.mirror.look()
        if changes:
            reading = Reading(self.registry, self.store)
            for entry in changes.gone:
                reading.drop(entry)
            await reading.take(changes.changed)
            await self._put_in_force(reading)
            changes.changed = reading.entries
        self.mirror.take(changes)
        self.problem = ""
        self.ready.set()

    async def _put_in_force(self, reading: Reading) -> None:
        await reading.apply(self.mirror.entries)
        if reading.secret is not None:
            self.secret = reading.secret
        for id, reason in reading.faults.items():
            if reason and self.faults.get(id) != reason:
                _log.error("a record of the store cannot be read", record=id, reason=reason)
            if reason:
                self.faults[id] = reason
            else:
                self.faults.pop(id, None)

    # Packages

    async def package(self, found: UdfVersion) -> Package:
        """The package of a version, read from the store unless it is held."""
        package = self.registry.udfs.package(found)
        if package is not None:
            return package
        faults: dict[str, str] = {}
        entry = self.mirror.find("udf", f"{found.name}@{found.version}")
        async for each in packages(self.store, [entry] if entry else [], faults):
            self.registry.udfs.lend(each)
            return each
        reason = "; ".join(faults.values()) or "it is not there any more"
        hint = f"it cannot be read from the store: {reason}"
        raise MissingError("udf", f"{found.name}@{found.version}", hint)

    async def compile(self, definition: PipelineDefinition) -> CompiledPipeline:
        """A pipeline that is not stored, ready to run."""
        held = [
            await self.package(self.registry.udfs.get(each.name, each.version))
            for each in definition.references("udf")
        ]
        compiled = self.registry.compile(definition)
        del held
        return compiled
