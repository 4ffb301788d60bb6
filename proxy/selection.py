"""Which pipelines run on a request: named on it, or attached to what it targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from pipelines.attachment import NONE
from pipelines.context import Phase
from pipelines.executor import CompiledPipeline
from pipelines.registry import Registry
from proxy.errors import ErrorAnswer
from proxy.resolver import Resolver

OnConflict = Literal["off", "chain", "error"]
Chosen = tuple[CompiledPipeline, ...]


@dataclass(slots=True, kw_only=True)
class Selection:
    """The pipelines of a request by phase, and what the client should be told about it."""

    query: Chosen = ()
    result: Chosen = ()
    warnings: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.query or self.result or self.warnings)


class Selector:
    """Chooses pipelines; `on_conflict` says what to do where targets have different defaults."""

    def __init__(self, registry: Registry, resolver: Resolver, on_conflict: OnConflict) -> None:
        self._registry = registry
        self._resolver = resolver
        self._on_conflict = on_conflict
        self.conflicts = 0

    @property
    def idle(self) -> bool:
        """True while nothing is attached anywhere, so that nothing needs to be looked up."""
        return not self._registry.attachments

    def writes_have_pipelines(self, asked: str | None) -> bool:
        """Whether any document could have a pipeline here; `asked` is the ``pipeline`` parameter.

        Without a single document pipeline defined, none can, unless a wrong name is to be told.
        """
        if asked is not None and any(self._registry.find(name) for name in asked.split(",")):
            return True
        return self._registry.has_document_pipelines

    def not_ours(self, asked: str) -> str | None:
        """What of a ``pipeline`` parameter is the backend's to run."""
        rest = [name for name in asked.split(",") if name and self._registry.find(name) is None]
        return ",".join(rest) or None

    async def for_search(self, names: tuple[str, ...], asked: str | None) -> Selection:
        """The query and result pipelines of a search; `asked` is its ``pipeline`` parameter.

        Raises `MissingError` for an unknown name, `ErrorAnswer` for one of the wrong type.
        """
        if asked is not None:
            named = self._named(asked)
            for pipeline in named:
                if pipeline.definition.type == "document":
                    raise _wrong_type(pipeline, "a search takes query and result pipelines")
            return Selection(
                query=tuple(p for p in named if p.definition.type == "query"),
                result=tuple(p for p in named if p.definition.type == "result"),
            )
        selection = Selection()
        if not self.idle:
            selection.query = await self._defaults(names, "query", selection.warnings)
            selection.result = await self._defaults(names, "result", selection.warnings)
        return selection

    async def for_document(
        self, index: str, asked: str | None, warnings: list[str]
    ) -> tuple[Chosen, str | None]:
        """The document pipelines of a write, and the ``pipeline`` value left for the backend.

        The backend's own parameter names an ingest pipeline: names that are ours are taken, any
        other, and ``_none``, goes on.
        """
        if asked is None:
            if self.idle:
                return (), None
            return await self._defaults((index,), "document", warnings), None
        rest = self.not_ours(asked)
        ours = [name for name in asked.split(",") if self._registry.find(name) is not None]
        chosen = self._named(",".join(ours)) if ours else ()
        for pipeline in chosen:
            if pipeline.definition.type != "document":
                raise _wrong_type(pipeline, "a write takes document pipelines")
        if not ours and rest != NONE and not self.idle:
            # Only an ingest pipeline of the backend was named: our defaults are not its affair.
            chosen = await self._defaults((index,), "document", warnings)
        return chosen, rest

    def _named(self, asked: str) -> Chosen:
        names = [name for name in asked.split(",") if name]
        if names == [NONE]:
            return ()
        if NONE in names or not names:
            reason = f"[pipeline={asked}]: name pipelines, or use {NONE} alone"
            raise ErrorAnswer(400, "illegal_argument_exception", reason)
        return tuple(self._registry.get(name) for name in names)

    async def _defaults(self, names: tuple[str, ...], phase: Phase, warnings: list[str]) -> Chosen:
        found: dict[str, CompiledPipeline | None] = {}
        for concrete in await self._resolver.resolve(names):
            pipeline = self._attached((*concrete.aliases, concrete.name), phase)
            found[pipeline.name if pipeline else ""] = pipeline
        chosen = tuple(p for p in found.values() if p is not None)
        if len(found) < 2 or not chosen:
            return chosen
        self.conflicts += 1
        if self._on_conflict == "chain":
            return chosen
        listed = ", ".join(f"[{p.name}]" if p else "none" for p in found.values())
        where = ",".join(names) or "_all"
        reason = f"the targets of [{where}] have different {phase} pipelines: {listed}"
        if self._on_conflict == "error":
            hint = "; name them with ?pipeline=, or search the indices one by one"
            raise ErrorAnswer(400, "illegal_argument_exception", reason + hint)
        warnings.append(f"{reason}; none was run")
        return ()

    def _attached(self, names: Iterable[str], phase: Phase) -> CompiledPipeline | None:
        *aliases, index = names
        entries = self._registry.attachments.entries
        for alias in aliases:
            if alias in entries and (found := self._registry.for_index(alias, phase)):
                return found
        return self._registry.for_index(index, phase)


def _wrong_type(pipeline: CompiledPipeline, rule: str) -> ErrorAnswer:
    reason = f"[{pipeline.name}] is a {pipeline.definition.type} pipeline; {rule}"
    return ErrorAnswer(400, "illegal_argument_exception", reason)
