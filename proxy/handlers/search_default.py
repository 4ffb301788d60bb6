"""Whose `index.search.default_pipeline` is in force: the backend's or ours, and never both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from pipelines.definitions.attachment import BACKENDS, NONE, SEARCH_DEFAULT, is_pattern, matches
from pipelines.registry import Registry
from proxy.backend.client import Backend
from proxy.backend.resolver import ALL, Concrete, Resolver
from proxy.http.errors import ErrorResponse
from proxy.protocol.index_settings import options_of
from proxy.protocol.target import Target
from proxy.server.exchange import Exchange
from proxy.traffic.relay import Relay

Value = str | None


@dataclass(slots=True)
class Turn:
    """What a new value changes: on our side at the expressions named, in the backend, and after it.

    `ours` and `theirs` are empty where a side stays as it is. `kept` are names whose own value
    stays. `marks` are other names' values on our side once the backend has taken its part.
    """

    ours: dict[str, Value] = field(default_factory=dict)
    theirs: dict[str, Value] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    marks: dict[str, Value] = field(default_factory=dict)

    @property
    def is_theirs_alone(self) -> bool:
        """Whether nothing changes on our side."""
        return not (self.ours or self.marks)


class SearchDefault:
    """Plans changes of the setting that OpenSearch and we share. The last value written holds.

    An index that has the backend's own is marked with `BACKENDS` on our side, so that what it would
    inherit from a pattern, an alias or a data stream does not run as well. Elasticsearch has no
    such setting: there it is ours alone.
    """

    def __init__(
        self, relay: Relay, backend: Backend, registry: Registry, resolver: Resolver
    ) -> None:
        self._relay = relay
        self._backend = backend
        self._registry = registry
        self._resolver = resolver

    async def turn(
        self, exchange: Exchange, target: Target, names: list[str], value: Value, *, keep: bool
    ) -> Turn:
        """What it means to write `value` at these expressions; `keep` lets existing ones stay.

        Raises `ErrorResponse` (400) where it cannot mean one thing for all of them.
        """
        is_ours = value is not None and self._registry.find(value) is not None
        if await self._relay.is_elasticsearch():
            if is_ours or value in (None, NONE):
                return Turn(ours={SEARCH_DEFAULT: value})
            return Turn(theirs={SEARCH_DEFAULT: value})
        expand = target.query.get("expand_wildcards")
        # What is marked here has to be what the backend changes now.
        self._resolver.forget()
        concretes = await self._resolver.resolve(target.names, expand)
        reached = [concrete.name for concrete in concretes]
        held = await self._held(names, concretes)
        if not is_ours and not held:
            return Turn(theirs={SEARCH_DEFAULT: value})
        existing = await self.theirs(exchange, target, names)
        if value is not None and not is_ours and value != NONE:
            return self._to_backend(names, reached, value, keep=keep)
        if value is None and keep:
            return Turn()
        marked: dict[str, Value] = {
            n: None for n in reached if n not in names and self._own(n) == BACKENDS
        }
        if not keep:
            theirs: dict[str, Value] = {SEARCH_DEFAULT: None} if existing else {}
            return Turn(ours={SEARCH_DEFAULT: value}, theirs=theirs, marks=marked)
        marks: dict[str, Value] = {name: BACKENDS for name in existing if self._own(name) is None}
        return Turn(ours={SEARCH_DEFAULT: value}, kept=frozenset(existing), marks=marks)

    def _to_backend(
        self, names: list[str], reached: list[str], value: Value, *, keep: bool
    ) -> Turn:
        own = [name for name in reached if self._own(name) not in (None, BACKENDS)]
        if keep and own:
            if len(reached) == 1 or len(own) == len(reached):
                return Turn()
            raise ErrorResponse(
                400,
                "illegal_argument_exception",
                f"[{SEARCH_DEFAULT}] of [{', '.join(own[:5])}] is a pipeline of Querymill's and"
                " would be kept, that of others is the backend's; name them one by one, or leave"
                " out preserve_existing",
            )
        marks: dict[str, Value] = dict.fromkeys(reached, BACKENDS)
        ours: dict[str, Value] = {} if keep else {SEARCH_DEFAULT: None}
        return Turn(ours=ours, theirs={SEARCH_DEFAULT: value}, marks=marks)

    async def created(
        self, exchange: Exchange, target: Target, names: list[str], *, ours: bool
    ) -> tuple[bool, dict[str, Value]]:
        """After an index was created: whether the backend's has to go, and the marks to make.

        The backend's comes from the request or from a template of its own.
        """
        if await self._relay.is_elasticsearch():
            return False, {}
        concretes = [Concrete(name) for name in names]
        if not ours and not await self._held(names, concretes):
            return False, {}
        existing = await self.theirs(exchange, target, names)
        return bool(existing) and ours, {} if ours else dict.fromkeys(existing, BACKENDS)

    async def clear(self, exchange: Exchange, names: list[str]) -> None:
        """Take the backend's from these indices."""
        path = f"/{quote(','.join(names), safe=',*')}/_settings"
        response = await self._backend.call(
            "PUT", path, {SEARCH_DEFAULT: None}, headers=exchange.credentials
        )
        response.require(200)

    async def theirs(
        self, exchange: Exchange, target: Target, names: list[str]
    ) -> Mapping[str, str]:
        """The backend's own values, by index."""
        path = f"/{quote(','.join(target.names or names) or ALL, safe=',*')}"
        options = options_of(target.query).with_parameter("flat_settings", "true")
        response = await self._backend.call(
            "GET",
            options.after(f"{path}/_settings/{SEARCH_DEFAULT}"),
            headers=exchange.credentials,
        )
        if response.status == 404:
            return {}
        found = response.require(200)
        return {name: each["settings"][SEARCH_DEFAULT] for name, each in found.items()}

    def _own(self, name: str) -> Value:
        return self._registry.attachments.entries.get(name, {}).get(SEARCH_DEFAULT)

    async def _held(self, names: list[str], concretes: Iterable[Concrete]) -> bool:
        """Whether any of ours is in force, or marked off, at or behind these names."""
        reached = {name for each in concretes for name in (each.name, *each.aliases)}
        for entry, settings in self._registry.attachments.entries.items():
            if SEARCH_DEFAULT not in settings:
                continue
            if entry in names or entry in reached:
                return True
            if is_pattern(entry):
                if any(matches(name, entry) for name in reached):
                    return True
            elif reached.intersection(
                concrete.name for concrete in await self._resolver.resolve((entry,))
            ):
                return True
        return False
