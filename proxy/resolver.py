"""Which concrete indices an index expression means, as the backend resolves it, shortly cached."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import structlog

from proxy.backend import Backend
from proxy.upstream_errors import UpstreamError

ALL = "_all"
TTL_SECONDS = 5.0
CACHE_SIZE = 2000

_log = structlog.get_logger("proxy.resolver")


@dataclass(frozen=True, slots=True)
class Concrete:
    """An index or data stream a request reaches, and the aliases it is reached through."""

    name: str
    aliases: tuple[str, ...] = ()


class Resolver:
    """Resolves expressions against the backend; answers are kept for a few seconds.

    `forget()` empties the cache, for when a change of indices or aliases passes through here.
    """

    def __init__(self, backend: Backend, *, ttl: float = TTL_SECONDS) -> None:
        self._backend = backend
        self._ttl = ttl
        self._cache: OrderedDict[str, tuple[float, tuple[Concrete, ...]]] = OrderedDict()

    def forget(self) -> None:
        self._cache.clear()

    async def resolve(self, names: tuple[str, ...]) -> tuple[Concrete, ...]:
        """What `names` (none: all) mean. A name the backend does not know stands for itself."""
        expression = ",".join(names) or ALL
        cached = self._cache.get(expression)
        if cached is not None and cached[0] > time.monotonic():
            return cached[1]
        resolved = await self._ask(expression, names)
        if len(self._cache) >= CACHE_SIZE:
            self._cache.popitem(last=False)
        self._cache[expression] = (time.monotonic() + self._ttl, resolved)
        return resolved

    async def _ask(self, expression: str, names: tuple[str, ...]) -> tuple[Concrete, ...]:
        itself = tuple(Concrete(name) for name in names if "*" not in name and name != ALL)
        target = f"/_resolve/index/{quote(expression.replace(ALL, '*'), safe=',*')}"
        try:
            answer = await self._backend.call("GET", target, retry=True)
        except UpstreamError as error:
            _log.warning("names cannot be resolved", expression=expression, reason=str(error))
            return itself
        if answer.status != 200 or not isinstance(answer.data, dict):
            return itself
        known = _concretes(answer.data)
        missing = {name for name in names if "*" not in name} - _answered(answer.data)
        return tuple(known) + tuple(each for each in itself if each.name in missing)


def _concretes(data: dict[str, Any]) -> list[Concrete]:
    through: dict[str, list[str]] = {}
    for alias in data.get("aliases", []):
        for index in alias["indices"]:
            through.setdefault(index, []).append(alias["name"])
    direct = [entry["name"] for entry in data.get("indices", [])]
    direct += [entry["name"] for entry in data.get("data_streams", [])]
    concretes = [Concrete(name) for name in direct]
    concretes += [
        Concrete(name, tuple(aliases)) for name, aliases in through.items() if name not in direct
    ]
    return concretes


def _answered(data: dict[str, Any]) -> set[str]:
    kinds = ("indices", "aliases", "data_streams")
    return {entry["name"] for kind in kinds for entry in data.get(kind, [])}
