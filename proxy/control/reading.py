"""Changes of the store on their way into the registry: read, compiled, and put in force at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import orjson

from pipelines.definitions.attachment import FINALS, SETTINGS
from pipelines.definitions.package import Package
from pipelines.definitions.pipeline import PipelineDefinition, read_pipeline
from pipelines.definitions.udf import UdfRegistry, UdfVersion, package_of, version_of
from pipelines.errors import DefinitionError, MissingError
from pipelines.execution.plan import CompiledPipeline
from pipelines.registry import Registry
from proxy.control.limits import LARGE, TURN_SECONDS
from proxy.store.records import Entry
from proxy.store.store import Body, Store

_PHASES: Final = ("query", "document", "result")


class Reading:
    """One set of changes. What cannot be read is left out, with its reason in `faults`.

    `faults` has an entry, "" where all is well, for each record that was looked at.
    """

    def __init__(self, registry: Registry, store: Store) -> None:
        self.entries: list[Entry] = []
        self.gone: list[Entry] = []
        self.faults: dict[str, str] = {}
        self.secret: bytes | None = None
        self._registry = registry
        self._kinds = registry.compiler.kinds
        self._store = store
        self._udfs: UdfRegistry = registry.udfs.copy()
        self._definitions: dict[str, tuple[PipelineDefinition, int] | None] = {}
        self._attachments: dict[str, Mapping[str, str] | None] = {}
        self._udf_names: set[str] = set()
        # Packages that nothing else holds yet.
        self._packages: dict[str, Package] = {}
        self._turn = time.monotonic()

    # What changed

    def drop(self, entry: Entry) -> None:
        """A record is gone."""
        self.gone.append(entry)
        self.faults[entry.id] = ""
        self._take_out(entry)

    def _take_out(self, entry: Entry) -> None:
        if entry.kind == "pipeline":
            self._definitions[entry.name] = None
        elif entry.kind == "attachment":
            self._attachments[entry.name] = None
        elif entry.kind == "udf":
            name, _, version = entry.name.rpartition("@")
            self._udfs.remove(name, [version])
            self._udf_names.add(name)

    async def take(self, entries: Iterable[Entry]) -> None:
        """Records are new, or others than before; reads the bodies of those that need it."""
        unread: list[Entry] = []
        for entry in entries:
            if entry.fault:
                self._refuse(entry, entry.fault)
            elif entry.kind == "udf" and entry.digest and entry.category is not None:
                self._know(entry, _version(entry))
                self.entries.append(entry)
            else:
                unread.append(entry)
        async for pieces in self._store.bodies(unread):
            for body in pieces:
                await self._read(body)

    async def take_written(self, entry: Entry, value: Any, package: Package | None = None) -> None:
        """A record was written by us; nothing of it has to be read again."""
        if package is None:
            await self._read(Body(entry, value))
            return
        self._packages[package.digest] = package
        self._udfs.lend(package)
        self._know(entry, _version(entry))
        self.entries.append(entry)

    async def _read(self, body: Body) -> None:
        entry = body.entry
        if entry is None:
            # It was deleted meanwhile, which the next look shows.
            return
        if not entry.fault:
            try:
                entry = await self._read_body(entry, body.value)
            except DefinitionError as error:
                entry = replace(entry, fault=str(error))
            except (TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
                entry = replace(entry, fault=f"its body cannot be used: {error!r}"[:300])
        if entry.fault:
            self._refuse(entry, entry.fault)
            return
        self.faults[entry.id] = ""
        self.entries.append(entry)
        await self._yield()

    async def _read_body(self, entry: Entry, value: Any) -> Entry:
        if entry.size is None:
            size = await asyncio.to_thread(lambda: len(orjson.dumps(value)))
            entry = replace(entry, size=size)
        large = entry.bytes > LARGE
        if not isinstance(value, dict):
            raise DefinitionError("body", "is no object")
        if entry.kind == "pipeline":
            if large:
                read = partial(read_pipeline, value, self._kinds, name=entry.name)
                definition = await asyncio.to_thread(read)
            else:
                definition = read_pipeline(value, self._kinds, name=entry.name)
            self._definitions[entry.name] = (definition, entry.revision)
        elif entry.kind == "attachment":
            self._attachments[entry.name] = _attachment(value)
        elif entry.kind == "secret":
            self.secret = bytes.fromhex(value["key"])
        elif entry.kind == "deleted":
            name, _, version = entry.name.rpartition("@")
            if not isinstance(value["digest"], str):
                raise DefinitionError("body.digest", "is no string")
            self._udfs.bury(name, version, value["digest"])
        elif entry.kind == "udf":
            found = await asyncio.to_thread(_described, entry, value)
            entry = replace(entry, digest=found.digest, category=found.category or "")
            self._know(entry, found)
        return entry

    def _know(self, entry: Entry, found: UdfVersion) -> None:
        self.faults[entry.id] = ""
        self._udfs.know(found)
        self._udf_names.add(found.name)

    def _refuse(self, entry: Entry, reason: str) -> None:
        self.faults[entry.id] = reason
        self.entries.append(replace(entry, fault=reason))
        self._take_out(entry)

    # Into the registry

    async def apply(self, find: Mapping[str, Entry]) -> None:
        """Compile what changed, and put all of it in force at once.

        `find` has the entries of all records by id, for packages that have to be read first.
        """
        definitions = {name: each for name, each in self._definitions.items() if each is not None}
        if self._udf_names:
            users = self._registry.users_of_udfs()
            for udf in self._udf_names:
                for name in users.get(udf, ()):
                    if name not in self._definitions:
                        old = self._registry.get(name)
                        definitions[name] = (old.definition, old.revision)
        known = dict(find) | {entry.id: entry for entry in self.entries}
        await self._load((definition for definition, _ in definitions.values()), known)
        compiled: dict[str, CompiledPipeline | None] = {
            name: None for name, each in self._definitions.items() if each is None
        }
        for name, (definition, revision) in definitions.items():
            compiled[name] = self._registry.renewed(definition, revision, self._udfs)
            await self._yield()
        self._registry.change(self._udfs, compiled, self._attachments)

    async def _load(
        self, definitions: Iterable[PipelineDefinition], known: Mapping[str, Entry]
    ) -> None:
        """Read the packages that these pipelines run and nobody holds yet."""
        wanted: dict[str, Entry] = {}
        for definition in definitions:
            for each in definition.references("udf"):
                try:
                    found = self._udfs.get(each.name, each.version)
                except MissingError:
                    continue
                entry = known.get(f"udf:{found.name}@{found.version}")
                if self._udfs.package(found) is None and entry is not None:
                    wanted[entry.id] = entry
        async for package in packages(self._store, wanted.values(), self.faults):
            self._packages[package.digest] = package
            self._udfs.lend(package)

    async def _yield(self) -> None:
        now = time.monotonic()
        if now - self._turn > TURN_SECONDS:
            await asyncio.sleep(0)
            self._turn = time.monotonic()


async def packages(
    store: Store, entries: Iterable[Entry], faults: dict[str, str]
) -> AsyncIterator[Package]:
    """The packages of these records; why one cannot be read goes into `faults`."""
    async for pieces in store.bodies(entries):
        for body in pieces:
            entry = body.entry
            if entry is None:
                continue
            try:
                package = await asyncio.to_thread(_package, entry, body.value)
            except DefinitionError as error:
                faults[entry.id] = str(error)
            else:
                yield package


def _package(entry: Entry, value: Any) -> Package:
    """Raises `DefinitionError` where it is not what its record says that it is."""
    if entry.fault:
        raise DefinitionError("", entry.fault)
    name, _, version = entry.name.rpartition("@")
    package = package_of(name, value)
    if package.version != version:
        raise DefinitionError("version", f"is [{package.version[:100]}], not the one of its name")
    if entry.digest and package.digest != entry.digest:
        raise DefinitionError("digest", "is another one than that of the package")
    return package


def _described(entry: Entry, value: Any) -> UdfVersion:
    return version_of(_package(entry, value))


def _version(entry: Entry) -> UdfVersion:
    name, _, version = entry.name.rpartition("@")
    category = next((phase for phase in _PHASES if phase == entry.category), None)
    return UdfVersion(name=name, version=version, digest=entry.digest, category=category)


def _attachment(value: Mapping[str, Any]) -> dict[str, str]:
    """The settings of an attachment. Of those that cannot be read, final ones stay: closed."""
    finals = FINALS.values()
    return {
        setting: named if isinstance(named, str) else ""
        for setting, named in value.items()
        if setting in SETTINGS and (isinstance(named, str) or setting in finals)
    }
