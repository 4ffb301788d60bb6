"""Keep registry and store alike: load, follow other proxies' writes, write through."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from pipelines.definitions.package import Package
from pipelines.definitions.pipeline import PipelineDefinition
from pipelines.definitions.udf import LATEST, UdfVersion, missing_udf, package_json, version_of
from pipelines.errors import ConflictError, DefinitionError, MissingError
from pipelines.registry import Registry
from pipelines.wasm.pool import SandboxPool
from proxy.control.followed import Followed
from proxy.control.inspection import check_package
from proxy.control.limits import LARGE
from proxy.control.reading import Reading
from proxy.store.errors import StoreConflict, StoreFull
from proxy.store.records import Entry, Key, Kind
from proxy.store.store import Credentials, Store


class Written(NamedTuple):
    """A pipeline that was put, its revision, and ``created``, ``updated`` or ``noop``."""

    definition: PipelineDefinition
    revision: int
    result: str


class Definitions(Followed):
    """The one writer of the registry: a write is in the store before it is in force here."""

    def __init__(
        self,
        registry: Registry,
        store: Store,
        pool: SandboxPool,
        *,
        refresh: float,
        max_bytes: int,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`max_bytes` bounds the store; `changed` is called after each write, before the client is
        told of it.
        """
        super().__init__(registry, store, refresh=refresh)
        self.max_bytes = max_bytes
        self._pool = pool
        self._changed = changed

    # Pipelines

    async def put_pipeline(
        self,
        name: str,
        value: object,
        credentials: Credentials,
        *,
        create: bool = False,
        if_revision: int | None = None,
    ) -> Written:
        """Validate, store and put in force a pipeline; one that is there already is a noop."""
        inspected: set[object] = set()
        if not self.registry.holds(name, value):
            try:
                await self._checked(name, value, inspected)
            except DefinitionError as error:
                # What is missing may have come through another proxy, which is seen below.
                if not isinstance(error.__cause__, MissingError):
                    raise
        async with self._writing:
            await self._catch_up()
            old = self.mirror.find("pipeline", name)
            if create and old is not None:
                raise ConflictError(f"pipeline [{name}] already exists")
            check_revision("pipeline", name, old, if_revision)
            if old is not None and self.registry.holds(name, value):
                held = self.registry.get(name)
                return Written(held.definition, held.revision, "noop")
            definition = await self._checked(name, value, inspected)
            self.registry.check_type_change(definition)
            body = orjson.dumps(definition.source)
            self._check_room([(old, len(body))])
            await self._ensure_secret(credentials)
            entry = await self._write(old, "pipeline", name, definition.source, body, credentials)
            return Written(definition, entry.revision, "updated" if old else "created")

    async def delete_pipeline(self, name: str, credentials: Credentials, *, force: bool) -> None:
        """Delete a pipeline, also one that cannot be read; with `force` it is detached first."""
        async with self._writing:
            await self._catch_up()
            entry = self.mirror.find("pipeline", name)
            if entry is None:
                self.registry.get(name)
                return
            if not force:
                self.registry.check_unused(name)
            for expression in self.registry.attachments.users(name):
                held = self.registry.attachments.entries[expression]
                kept: dict[str, str | None] = {
                    setting: None for setting, value in held.items() if value == name
                }
                await self._attach(expression, self._merged(expression, kept), credentials)
            await self._delete([entry], credentials)

    async def _checked(
        self, name: str, value: object, inspected: set[object]
    ) -> PipelineDefinition:
        """The definition, after whatever can be found out about it before it runs."""
        large = isinstance(value, dict) and len(orjson.dumps(value)) > LARGE
        read = self.registry.read
        definition = (
            await asyncio.to_thread(read, value, name=name) if large else read(value, name=name)
        )
        # Packages are known as long as somebody holds them.
        held = [
            await self.package(self.registry.udfs.get(each.name, each.version))
            for each in definition.references("udf")
        ]
        await self.registry.compiler.inspect(definition, self.registry.udfs, inspected)
        del held
        return definition

    # UDFs

    async def put_udf(self, package: Package, credentials: Credentials) -> bool:
        """Store a UDF version; False if that very version was there already."""
        new = self.registry.udfs.check(package)
        if new:
            await check_package(self._pool, package)
        found, body = await asyncio.to_thread(lambda: (version_of(package), package_json(package)))
        async with self._writing:
            await self._catch_up()
            if not self.registry.udfs.check(package):
                return False
            if not new:
                await check_package(self._pool, package)
            name = f"{package.name}@{package.version}"
            # One that cannot be read makes room for one that can.
            old = self.mirror.find("udf", name)
            self._check_room([(old, len(body))])
            await self._write(
                old, "udf", name, None, body, credentials, package=package, version=found
            )
            return True

    async def delete_udf(
        self, name: str, version: str | None, credentials: Credentials, *, force: bool
    ) -> list[str]:
        """Delete one version, or all; refused while a pipeline needs it, unless forced.

        What a version was is remembered, so that its name is given to nothing else.
        """
        if version == LATEST:
            reason = "[latest] is whichever is the highest; name the version to delete"
            raise DefinitionError("version", reason)
        async with self._writing:
            await self._catch_up()
            held = {
                entry.name.rpartition("@")[2]: entry
                for entry in self.mirror.entries.values()
                if entry.kind == "udf" and entry.name.rpartition("@")[0] == name
            }
            if not held:
                raise missing_udf(name)
            if version is not None and version not in held:
                known = ", ".join(self.registry.udfs.versions(name)[:100])
                raise MissingError("udf", f"{name}@{version}", f"its versions are {known}")
            doomed = [version] if version else _in_order(held, self.registry.udfs.versions(name))
            # `latest` still resolves as long as one version stays.
            whole = len(doomed) == len(held)
            users = self.registry.udf_users(name, None if whole else version)
            if users and not force:
                raise ConflictError(
                    f"udf [{name}] is used by {', '.join(users[:10])}; change those pipelines"
                    " first, or delete it with ?force=true, after which they fail"
                )
            for each in doomed:
                await self._bury(held[each], credentials)
            await self._delete([held[each] for each in doomed], credentials)
            return doomed

    async def _bury(self, entry: Entry, credentials: Credentials) -> None:
        name, _, version = entry.name.rpartition("@")
        if not entry.digest or self.registry.udfs.buried(name, version):
            return
        value = {"digest": entry.digest}
        old = self.mirror.find("deleted", entry.name)
        await self._write(old, "deleted", entry.name, value, orjson.dumps(value), credentials)

    # Attachments

    async def attach(
        self,
        expressions: list[str],
        settings: Mapping[str, str | None],
        credentials: Credentials,
        *,
        keep: bool = False,
    ) -> None:
        """Attach or detach pipelines; every value is checked before the first is written.

        With `keep`, a setting that an expression has already stays as it is.
        """
        async with self._writing:
            await self._catch_up()
            for setting, value in settings.items():
                if value is not None:
                    self.registry.check_attachment(setting, value)
            merged = {each: self._merged(each, settings, keep=keep) for each in expressions}
            self._check_room(
                [
                    (self.mirror.find("attachment", each), len(orjson.dumps(entry)))
                    for each, entry in merged.items()
                ]
            )
            for expression, entry in merged.items():
                await self._attach(expression, entry, credentials)

    async def detach_all(self, expressions: list[str], credentials: Credentials) -> None:
        """Forget what is attached to deleted indices."""
        async with self._writing:
            await self._catch_up()
            found = [self.mirror.find("attachment", each) for each in expressions]
            await self._delete([entry for entry in found if entry is not None], credentials)

    def _merged(
        self, expression: str, settings: Mapping[str, str | None], *, keep: bool = False
    ) -> dict[str, str]:
        held = self.registry.attachments.entries.get(expression, {})
        merged: dict[str, str | None] = {**settings, **held} if keep else {**held, **settings}
        return {setting: value for setting, value in merged.items() if value is not None}

    async def _attach(
        self, expression: str, entry: dict[str, str], credentials: Credentials
    ) -> None:
        old = self.mirror.find("attachment", expression)
        if entry == self.registry.attachments.entries.get(expression, {}):
            return
        if entry:
            body = orjson.dumps(entry)
            await self._write(old, "attachment", expression, entry, body, credentials)
        elif old is not None:
            await self._delete([old], credentials)

    # Any record

    async def delete_unreadable(self, id: str, credentials: Credentials) -> None:
        """Delete a record that cannot be read, whatever it is."""
        async with self._writing:
            await self._catch_up()
            entry = self.mirror.entries.get(id)
            if entry is None:
                raise MissingError("record", id[:200])
            if id not in self.faults:
                raise ConflictError(
                    f"record [{id}] can be read; delete what it is with /_pipeline, /_udf or the"
                    " settings of the index"
                )
            await self._delete([entry], credentials)

    async def _write(
        self,
        old: Entry | None,
        kind: Kind,
        name: str,
        value: Any,
        body: bytes,
        credentials: Credentials,
        *,
        package: Package | None = None,
        version: UdfVersion | None = None,
    ) -> Entry:
        entry = await self.store.write(
            Key(kind, name, old.revision + 1 if old else 1),
            body,
            credentials,
            over=old,
            digest=version.digest if version else "",
            category=version.category if version else None,
        )
        reading = Reading(self.registry, self.store)
        try:
            await reading.take_written(entry, value, package)
            await self._put_in_force(reading)
            self.mirror.put(entry)
        finally:
            self._changed()
        return entry

    async def _delete(self, entries: Iterable[Entry], credentials: Credentials) -> None:
        reading = Reading(self.registry, self.store)
        try:
            for entry in entries:
                await self.store.delete(entry, credentials)
                reading.drop(entry)
        finally:
            # As far as it came.
            try:
                await self._put_in_force(reading)
                for entry in reading.gone:
                    self.mirror.drop(entry.id)
            finally:
                self._changed()

    def _check_room(self, sizes: Iterable[tuple[Entry | None, int]]) -> None:
        """Refuse what would fill the store beyond its limit; what makes it no larger is welcome."""
        more = sum(size - (old.bytes if old else 0) for old, size in sizes)
        if more > 0 and self.mirror.bytes + more > self.max_bytes:
            raise StoreFull(
                f"the store holds {self.mirror.bytes} bytes and would hold {more} more; its limit,"
                f" store_max_bytes, is {self.max_bytes}: delete versions of UDFs that nothing"
                " uses, or raise it",
            )

    async def _ensure_secret(self, credentials: Credentials) -> None:
        """Make the key that signs ids, which all proxies on this store share."""
        if self.secret:
            return
        value = {"key": secrets.token_hex(32)}
        old = self.mirror.find("secret", "cursors")
        with contextlib.suppress(StoreConflict):
            await self._write(old, "secret", "cursors", value, orjson.dumps(value), credentials)
            return
        # Another proxy was first.
        await self._catch_up()
        if not self.secret:
            raise ConflictError("the key that signs ids was changed meanwhile; try again")


def _in_order(held: Mapping[str, Entry], known: list[str]) -> list[str]:
    """The versions that can be read as they are listed, and behind them the others."""
    return [each for each in known if each in held] + sorted(held.keys() - set(known))


def check_revision(kind: Kind, name: str, old: Entry | None, wanted: int | None) -> None:
    """Raise `ConflictError` if a record is not at the revision that the caller has read."""
    found = old.revision if old else 0
    if wanted is not None and found != wanted:
        raise ConflictError(
            f"{kind} [{name}] is at revision {found}, not {wanted}; read it again and repeat"
        )
