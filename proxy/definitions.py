"""Keep registry and store alike: load, follow other proxies' writes, write through."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from pipelines.definition import PipelineDefinition
from pipelines.errors import ConflictError, DefinitionError, StageError
from pipelines.registry import Registry, StoredPipeline
from pipelines.stages.python import PythonConfig
from pipelines.udf import LATEST, UdfRegistry, missing_udf, package_body, package_of
from pipelines.wasm import Package, SandboxPool
from proxy.backend import BackendRefusedError
from proxy.store import ClusterStore, Credentials
from proxy.upstream_errors import UpstreamError

_log = structlog.get_logger("proxy.definitions")


class Definitions:
    """The one writer of the registry. A write is in the store before it is in force here.

    `changed` is called after each write, before the client is told of it. `ready` is set once the
    store has been read; until then nothing is known to be attached.
    """

    def __init__(
        self,
        registry: Registry,
        store: ClusterStore,
        pool: SandboxPool,
        *,
        refresh: float,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.registry = registry
        self.store = store
        self.ready = asyncio.Event()
        self.problem = "the store has not been read yet"
        # Until the store has one, nothing is defined that ids would have to remember.
        self.secret = b""
        self._pool = pool
        self._refresh = refresh
        self._changed = changed
        self._seen: tuple[int, int] | None = None
        self._writing = asyncio.Lock()

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
        except (UpstreamError, BackendRefusedError) as error:
            problem = str(error)
            if isinstance(error, BackendRefusedError) and error.status in (401, 403):
                problem += " (the proxy reads the store with [backend_authorization])"
            if self.problem != problem:
                _log.warning("the store cannot be read", reason=problem)
            self.problem = problem
        except Exception as error:
            _log.exception("the store holds what this version cannot read")
            self.problem = f"the store holds what this version cannot read: {error!r}"

    async def _catch_up(self) -> None:
        fingerprint = await self.store.fingerprint()
        if fingerprint != self._seen:
            await self._load()
            self._seen = fingerprint
        self.problem = ""
        self.ready.set()

    async def _load(self) -> None:
        udfs = UdfRegistry()
        pipelines: list[StoredPipeline] = []
        attachments: dict[str, dict[str, str]] = {}
        for record in await self.store.load():
            if record.kind == "udf":
                name = record.name.rpartition("@")[0]
                udfs.put(package_of(name, record.body))
            elif record.kind == "pipeline":
                pipelines.append(
                    StoredPipeline(
                        name=record.name, revision=record.revision, definition=record.body
                    )
                )
            elif record.kind == "attachment":
                attachments[record.name] = record.body
            elif record.kind == "secret":
                self.secret = bytes.fromhex(record.body["key"])
        broken = self.registry.replace(pipelines, udfs, attachments)
        for name, reason in broken.items():
            _log.error("a stored pipeline cannot be read", pipeline=name, reason=reason)

    # Writes

    async def put_pipeline(
        self,
        name: str,
        value: object,
        credentials: Credentials,
        *,
        create: bool = False,
        if_revision: int | None = None,
    ) -> tuple[PipelineDefinition, int]:
        """Validate, store and put in force a pipeline; gives it with its revision."""
        async with self._writing:
            await self._catch_up()
            definition = self.registry.read(value, name=name)
            await self._check_entry_points(definition)
            self.registry.check_type_change(definition)
            await self._ensure_secret(credentials)
            record = await self.store.put(
                "pipeline",
                name,
                dict(definition.source),
                credentials,
                create=create,
                if_revision=if_revision,
            )
            self.registry.register(definition, revision=record.revision)
            self._written()
            return definition, record.revision

    async def delete_pipeline(self, name: str, credentials: Credentials, *, force: bool) -> None:
        async with self._writing:
            await self._catch_up()
            self.registry.get(name)
            if not force:
                self.registry.check_unused(name)
            for expression in self.registry.attachments.users(name):
                held = self.registry.attachments.entries[expression]
                kept: dict[str, str | None] = {
                    setting: None for setting, value in held.items() if value == name
                }
                await self._attach(expression, kept, credentials)
            await self.store.delete("pipeline", name, credentials)
            self.registry.unregister(name, force=True)
            self._written()

    async def put_udf(self, package: Package, credentials: Credentials) -> bool:
        """Store a UDF version; False if that very version was there already."""
        async with self._writing:
            await self._catch_up()
            if not self.registry.udfs.check(package):
                return False
            await self.inspect(package, {})
            await self.store.put(
                "udf",
                f"{package.name}@{package.version}",
                package_body(package),
                credentials,
                create=True,
            )
            self.registry.udfs.put(package)
            self.registry.udf_changed(package.name)
            self._written()
            return True

    async def delete_udf(
        self, name: str, version: str | None, credentials: Credentials, *, force: bool
    ) -> list[str]:
        """Delete one version, or all; refused while a pipeline needs it, unless forced."""
        async with self._writing:
            await self._catch_up()
            versions = self.registry.udfs.versions(name)
            if not versions:
                raise missing_udf(name)
            if version == LATEST:
                reason = "[latest] is whichever is the highest; name the version to delete"
                raise DefinitionError("version", reason)
            if version is not None:
                self.registry.udfs.get(name, version)
            doomed = versions if version is None else [version]
            # `latest` still resolves as long as one version stays.
            whole = len(doomed) == len(versions)
            users = self.registry.udf_users(name, None if whole else version)
            if users and not force:
                raise ConflictError(
                    f"udf [{name}] is used by {', '.join(users[:10])}; change those pipelines"
                    " first, or delete it with ?force=true, after which they fail"
                )
            for each in doomed:
                await self.store.delete("udf", f"{name}@{each}", credentials)
            self.registry.udfs.remove(name, doomed)
            self.registry.udf_changed(name)
            self._written()
            return doomed

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
            for expression in expressions:
                held = self.registry.attachments.entries.get(expression, {}) if keep else {}
                new = {name: value for name, value in settings.items() if name not in held}
                await self._attach(expression, new, credentials)

    async def detach_all(self, expressions: list[str], credentials: Credentials) -> None:
        """Forget what is attached to deleted indices."""
        async with self._writing:
            for expression in expressions:
                if expression in self.registry.attachments.entries:
                    await self.store.delete("attachment", expression, credentials)
                    self.registry.set_attachment(expression, {})
                    self._written()

    def _written(self) -> None:
        """What is known is no longer what was read; another's write may undo this one unseen."""
        self._seen = None
        self._changed()

    async def _ensure_secret(self, credentials: Credentials) -> None:
        """Make the key that signs ids, which all proxies on this store share."""
        if self.secret:
            return
        body = {"key": secrets.token_hex(32)}
        with contextlib.suppress(ConflictError):
            await self.store.put("secret", "cursors", body, credentials, create=True)
        record = await self.store.get("secret", "cursors", credentials)
        assert record is not None
        self.secret = bytes.fromhex(record.body["key"])

    async def _attach(
        self, expression: str, settings: Mapping[str, str | None], credentials: Credentials
    ) -> None:
        held = self.registry.attachments.entries.get(expression, {})
        merged: dict[str, Any] = {**held, **settings}
        entry = {setting: value for setting, value in merged.items() if value is not None}
        if entry == held:
            return
        if entry:
            await self.store.put("attachment", expression, entry, credentials)
        else:
            await self.store.delete("attachment", expression, credentials)
        self.registry.set_attachment(expression, entry)
        self._written()

    # What only a sandbox can tell

    async def inspect(self, package: Package, parameters: Mapping[str, Any]) -> frozenset[str]:
        """Load a UDF in a throw-away sandbox; `DefinitionError` if it does not load."""
        try:
            entry_points = await self._pool.inspect(package, parameters)
        except StageError as error:
            raise DefinitionError("source", error.reason) from error
        if not entry_points:
            reason = "defines none of udf_main(), query(), document(), result()"
            raise DefinitionError("source", reason)
        return entry_points

    async def _check_entry_points(self, definition: PipelineDefinition) -> None:
        """A UDF must have a function for the pipeline's type, with the stage's parameters."""
        for position, stage in enumerate(definition.stages):
            config = stage.config
            assert isinstance(config, PythonConfig)
            path = f"stages[{position}].config"
            package = self.registry.udfs.get(config.udf_name, config.udf_version)
            try:
                entry_points = await self._pool.inspect(package, config.parameters)
            except StageError as error:
                raise DefinitionError(f"{path}.parameters", error.reason) from error
            if not entry_points & {"udf_main", definition.type}:
                reason = (
                    f"udf [{package.name}@{package.version}] defines neither udf_main() nor"
                    f" {definition.type}()"
                )
                raise DefinitionError(f"{path}.udf_name", reason)
