"""Which pipelines run on a request: named on it, attached to what it targets, and final ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pipelines.context import Phase
from pipelines.definitions.attachment import DEFAULTS, FINALS, NONE, SEARCH_DEFAULT
from pipelines.execution.plan import CompiledPipeline
from pipelines.registry import Registry
from proxy.backend.resolver import Concrete, Resolver
from proxy.http.errors import ErrorResponse
from proxy.http.headers import NAMES_PIPELINES
from proxy.http.memo import Memo
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.limits import REMEMBERED_SELECTIONS
from proxy.traffic.naming import Asked, Names

OnConflict = Literal["off", "chain", "error"]
Chosen = tuple[CompiledPipeline, ...]
READ: Final[tuple[Phase, ...]] = ("query", "result")
_READ_RULE = "a search takes query and result"


@dataclass(slots=True, kw_only=True)
class Selection:
    """The pipelines of a request by phase, and what the client should be told about it."""

    query: Chosen = ()
    result: Chosen = ()
    warnings: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.query or self.result or self.warnings)


@dataclass(frozen=True, slots=True)
class _Known:
    """What runs on reads of these targets, as of one generation of the registry."""

    generation: int
    targets: tuple[Concrete, ...]
    query: Chosen
    result: Chosen


class Selector:
    """Chooses pipelines; `on_conflict` says what to do where targets have different defaults."""

    def __init__(self, registry: Registry, resolver: Resolver, on_conflict: OnConflict) -> None:
        self._registry = registry
        self._resolver = resolver
        self._on_conflict = on_conflict
        self.names = Names(registry)
        self._known = Memo[tuple[tuple[str, ...], str | None, tuple[Phase, ...]], _Known](
            REMEMBERED_SELECTIONS
        )
        self.conflicts = 0

    @property
    def idle(self) -> bool:
        """True while nothing is attached anywhere, so that nothing needs to be looked up."""
        return not self._registry.attachments

    def leaves(self, exchange: Exchange, target: Target) -> bool:
        """Whether one look shows that a request has no pipeline: none is there, and none is named.

        For what can only have one by its targets, or by naming it.
        """
        registry = self._registry
        return not (
            registry.attachments
            or not registry.is_empty
            or exchange.facts.names_pipelines
            or (target.query.raw and target.query.get("pipeline") is not None)
        )

    @property
    def has_pipelines(self) -> bool:
        """Whether a request could name one."""
        return not self._registry.is_empty

    @property
    def has_document_pipelines(self) -> bool:
        """Whether a write could name one."""
        return self._registry.has_document_pipelines

    def writes_have_pipelines(self, asked: str | None, header: Asked | None = None) -> bool:
        """Whether documents could have a pipeline that none of them names itself.

        `asked` is the ``pipeline`` parameter. A name in a header field may be wrong, and is told.
        """
        if header is not None:
            return True
        if asked is not None and any(self._registry.find(name) for name in asked.split(",")):
            return True
        return self._attaches("document") or self.guarded("document")

    async def may_run(self, names: tuple[str, ...], body: bytes, phases: Sequence[Phase]) -> bool:
        """Whether defaults of these phases could be for a request whose body cannot be read.

        `names` are the indices of its URL, where the body names none.
        """
        for phase in phases:
            for entry in self._attaching(phase):
                if not names or entry.partition("*")[0].encode() in body:
                    return True
            if await self._defaults(names, phase, None, []):
                return True
        return False

    async def finals_may_run(
        self, names: tuple[str, ...], body: bytes, phases: Sequence[Phase], *, lines: bool
    ) -> bool:
        """The same of final pipelines; `lines` says that a backend may tell its lines apart."""
        for phase in phases:
            if not self.guarded(phase):
                continue
            # It may name any index then, through an alias too.
            if lines or not names or await self.finals(names, phase, "all"):
                return True
            for entry, settings in self._registry.attachments.entries.items():
                if FINALS[phase] in settings and entry.partition("*")[0].encode() in body:
                    return True
        return False

    def _attaches(self, phase: Phase) -> bool:
        return next(self._attaching(phase), None) is not None

    def _attaching(self, phase: Phase) -> Iterator[str]:
        """The expressions to which a default pipeline of a phase is attached."""
        for entry, settings in self._registry.attachments.entries.items():
            for setting in (DEFAULTS[phase], SEARCH_DEFAULT):
                pipeline = self._registry.find(settings.get(setting, ""))
                if pipeline is not None and pipeline.definition.type == phase:
                    yield entry
                    break

    def not_ours(self, asked: str) -> str | None:
        """What of a ``pipeline`` parameter is the backend's to run."""
        return self.names.split(asked)[1]

    def guarded(self, *phases: Phase) -> bool:
        """Whether there is a final pipeline of one of these phases anywhere."""
        return not self._registry.attachments.final_phases.isdisjoint(phases)

    async def for_search(
        self,
        names: tuple[str, ...],
        asked: Asked | None,
        *,
        expand: str | None = None,
        phases: tuple[Phase, ...] = READ,
    ) -> Selection:
        """The query and result pipelines of a read; `asked` is its ``pipeline`` parameter.

        `expand` is its ``expand_wildcards``. `phases` are those that run on its endpoint: a
        default of another one is left out, but one that is named has to fit. Raises
        `MissingError` for an unknown name, `ErrorResponse` for one of the wrong type.
        """
        if asked is not None:
            return await self._selected(names, asked, expand, phases)
        if self.idle:
            return Selection()
        if (known := self.known(names, expand, phases)) is not None:
            return known
        targets = await self._resolver.resolve(
            names, expand, strict=self.guarded("query", "result")
        )
        generation = self._registry.generation
        selection = await self._selected(names, None, expand, phases)
        # What is warned of is counted, each time.
        if not selection.warnings and generation == self._registry.generation:
            self._known.keep(
                (names, expand, phases),
                _Known(generation, targets, selection.query, selection.result),
            )
        return selection

    def known(
        self, names: tuple[str, ...], expand: str | None, phases: tuple[Phase, ...] = READ
    ) -> Selection | None:
        """What `for_search` gives where no pipeline is named, if that was worked out before."""
        if self.idle:
            return Selection()
        known = self._known.get((names, expand, phases))
        if known is None or known.generation != self._registry.generation:
            return None
        if self._resolver.kept(names, expand) is not known.targets:
            return None
        return Selection(query=known.query, result=known.result)

    async def _selected(
        self,
        names: tuple[str, ...],
        asked: Asked | None,
        expand: str | None,
        phases: Sequence[Phase],
    ) -> Selection:
        selection = Selection()
        chosen: dict[Phase, Chosen] = {}
        named = None if asked is None else self._fitting(asked, READ)
        if named is not None:
            for phase in phases:
                chosen[phase] = tuple(p for p in named if p.definition.type == phase)
        else:
            for phase in phases:
                chosen[phase] = await self._defaults(names, phase, expand, selection.warnings)
        for phase in phases:
            chosen[phase] = chosen.get(phase, ()) + await self.finals(names, phase, expand)
        selection.query = chosen.get("query", ())
        selection.result = chosen.get("result", ())
        return selection

    def _fitting(self, asked: Asked, phases: Sequence[Phase]) -> Chosen | None:
        """The pipelines that are named; None where that leaves the defaults as they are."""
        named = self._named(asked)
        fitting = tuple(p for p in named if p.definition.type in phases)
        if asked.by_header:
            return fitting if fitting or not named else None
        for pipeline in named:
            if pipeline not in fitting:
                rule = "a write takes document" if "document" in phases else _READ_RULE
                raise _wrong_type(pipeline, f"{rule} pipelines")
        return fitting

    async def for_document(
        self, index: str, asked: str | None, header: Asked | None, warnings: list[str]
    ) -> tuple[Chosen, str | None]:
        """The document pipelines of a write, and the ``pipeline`` value left for the backend.

        The backend's own parameter names an ingest pipeline: names that are ours are taken, any
        other, and ``_none``, goes on.
        """
        finals = await self.finals((index,), "document", None)
        ours, rest = (None, None) if asked is None else self.names.split(asked)
        named: Chosen | None = None
        if ours is not None:
            named = self._fitting(Asked(ours), ("document",))
        elif rest == NONE:
            named = ()
        elif header is not None:
            named = self._fitting(header, ("document",))
        if named is None and not self.idle:
            # If an ingest pipeline of the backend was named: our defaults are not its affair.
            named = await self._defaults((index,), "document", None, warnings)
        return (named or ()) + finals, rest

    async def finals(
        self, names: tuple[str, ...], phase: Phase, expand: str | None = None
    ) -> Chosen:
        """The final pipelines of all targets, each once.

        Raises `StageError` for one that cannot be run, `UpstreamError` or `ErrorResponse` where the
        targets cannot be known.
        """
        if not self.guarded(phase):
            return ()
        found: dict[str, CompiledPipeline] = {}
        for concrete in await self._resolver.resolve(names, expand, strict=True):
            for name in (concrete.name, *concrete.aliases):
                found |= {p.name: p for p in self._registry.finals_for(name, phase)}
        return tuple(found.values())

    async def check_bypass(
        self, names: tuple[str, ...], phases: Iterable[Phase], what: str, expand: str | None = None
    ) -> None:
        """Refuse (403) a request that would get past a final pipeline of one of these phases."""
        for phase in phases:
            for pipeline in await self.finals(names, phase, expand):
                raise bypass_refused(pipeline, what)

    def _named(self, asked: Asked) -> Chosen:
        names = asked.names
        if names == [NONE]:
            return ()
        if NONE in names or not names:
            how = NAMES_PIPELINES if asked.by_header else "pipeline"
            reason = f"[{how}={asked.text}]: name pipelines, or use {NONE} alone"
            raise ErrorResponse(400, "illegal_argument_exception", reason)
        return tuple(self._registry.get(name) for name in names)

    async def _defaults(
        self, names: tuple[str, ...], phase: Phase, expand: str | None, warnings: list[str]
    ) -> Chosen:
        found: dict[str, CompiledPipeline | None] = {}
        targets = await self._resolver.resolve(names, expand)
        # What is not there is left out, or the backend refuses the request.
        for concrete in [each for each in targets if not each.missing] or targets:
            pipeline = self._attached(concrete, phase)
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
            raise ErrorResponse(400, "illegal_argument_exception", reason + hint)
        warnings.append(f"{reason}; none was run (on_conflict = off)")
        return ()

    def _attached(self, concrete: Concrete, phase: Phase) -> CompiledPipeline | None:
        return self._registry.for_index(concrete.name, phase, concrete.aliases)


def bypass_refused(pipeline: CompiledPipeline, what: str) -> ErrorResponse:
    """The response to a request that would get past a final pipeline."""
    return ErrorResponse(
        403,
        "security_exception",
        f"[{what}] would get past the final {pipeline.definition.type} pipeline"
        f" [{pipeline.name}] of its target and is refused",
        extra={"pipeline": pipeline.name},
    )


def _wrong_type(pipeline: CompiledPipeline, rule: str) -> ErrorResponse:
    reason = f"[{pipeline.name}] is a {pipeline.definition.type} pipeline; {rule}"
    return ErrorResponse(400, "illegal_argument_exception", reason)
