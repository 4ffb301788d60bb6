"""Which concrete indices an index expression means, as the backend resolves it, shortly cached."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import structlog

from proxy.backend.client import Backend, BackendRefusedError
from proxy.backend.limits import REMEMBERED_NAMES
from proxy.backend.name_batches import NameQueue
from proxy.http.memo import Memo
from proxy.tasks import Tasks
from proxy.upstream.errors import UpstreamError

ALL = "_all"
# A name that is used in this last part of its time is asked for again.
_AHEAD = 0.4

Key = tuple[str, str]

_KINDS = ("indices", "aliases", "data_streams")
# Names that mean one thing and can be asked for together. Others may be names as well.
_PLAIN = re.compile(r"[a-z0-9.][a-z0-9._-]*", re.ASCII)
# Statuses that one name of several can be the reason of.
_OF_A_NAME = (400, 401, 403, 404)

_log = structlog.get_logger("proxy.backend.resolver")


@dataclass(frozen=True, slots=True)
class Concrete:
    """An index or data stream a request reaches, and the aliases it is reached through.

    The data stream of an index that was named itself counts as one of them.
    """

    name: str
    aliases: tuple[str, ...] = ()
    # Whether the backend has nothing of that name.
    missing: bool = field(default=False, compare=False)


class Resolver:
    """Resolves expressions against the backend; responses are kept for a few seconds.

    `names_changed` is for when a change of indices or aliases passes through here; `changed` is
    called then.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        ttl: float,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._backend = backend
        self._changed = changed
        self._ttl = ttl
        # With the time until which each is known.
        self._cache = Memo[Key, tuple[float, tuple[Concrete, ...]]](REMEMBERED_NAMES)
        self._asking: dict[Key, asyncio.Future[tuple[Concrete, ...]]] = {}
        self._forgotten = 0
        self._tasks = Tasks()
        self._queue = NameQueue(self._ask_several, self._tasks)

    async def close(self) -> None:
        """End what is asked ahead of time."""
        await self._tasks.close()

    def forget(self) -> None:
        """Ask the backend anew from now on; what is being asked is not kept either."""
        self._cache.clear()
        self._asking.clear()
        self._forgotten += 1

    def names_changed(self) -> None:
        """Forget, and tell those that share this backend to."""
        self.forget()
        self._changed()

    async def resolve(
        self, names: tuple[str, ...], expand: str | None = None, *, strict: bool = False
    ) -> tuple[Concrete, ...]:
        """What `names` (none: all) mean. A name the backend does not know stands for itself.

        `expand` is the request's ``expand_wildcards``. With `strict` a backend that cannot tell
        is an error (`UpstreamError`, `BackendRefusedError`); otherwise names are taken as written.
        """
        kept = self.kept(names, expand)
        if kept is not None:
            return kept
        expression = ",".join(names) or ALL
        try:
            return await self._once((expression, expand or ""), names, expand)
        except (UpstreamError, BackendRefusedError) as error:
            if strict:
                raise
            _log.warning("names cannot be resolved", expression=expression, reason=str(error))
            return _literal(names)

    def kept(self, names: tuple[str, ...], expand: str | None) -> tuple[Concrete, ...] | None:
        """What `names` mean, if that was asked a moment ago."""
        key = (",".join(names) or ALL, expand or "")
        cached = self._cache.get(key)
        if cached is None or (left := cached[0] - time.monotonic()) <= 0:
            return None
        if left < self._ttl * _AHEAD and key not in self._asking:
            # So that no request has to wait for names that are in constant use.
            self._tasks.start("resolve", self._renew(key, names, expand))
        return cached[1]

    async def _renew(self, key: Key, names: tuple[str, ...], expand: str | None) -> None:
        # What cannot be asked now is asked by the next request, which then says so.
        with suppress(UpstreamError, BackendRefusedError):
            await self._once(key, names, expand)

    async def _once(
        self, key: Key, names: tuple[str, ...], expand: str | None
    ) -> tuple[Concrete, ...]:
        """Ask the backend, for all who want to know the same meanwhile."""
        while (running := self._asking.get(key)) is not None:
            await asyncio.wait([running])
            if not running.cancelled():
                return running.result()
        response = self._asking[key] = asyncio.get_running_loop().create_future()
        forgotten = self._forgotten
        try:
            resolved = await self._ask(names, expand)
        except (UpstreamError, BackendRefusedError) as error:
            response.set_exception(error)
            # Seen, whether somebody waits or not.
            response.exception()
            raise
        else:
            response.set_result(resolved)
            if forgotten == self._forgotten:
                self._cache.keep(key, (time.monotonic() + self._ttl, resolved))
            return resolved
        finally:
            response.cancel()
            if self._asking.get(key) is response:
                del self._asking[key]

    async def _ask(self, names: tuple[str, ...], expand: str | None) -> tuple[Concrete, ...]:
        if expand is None and len(names) == 1 and _PLAIN.fullmatch(names[0]):
            return await self._queue.ask(names[0])
        return await self._ask_alone(names, expand)

    async def _ask_several(
        self, names: tuple[str, ...]
    ) -> dict[str, tuple[Concrete, ...] | Exception]:
        """What each of some plain names means, in one call if the backend tells of all of them.

        Of one that it refuses to tell of by itself, that refusal.
        """
        if len(names) == 1:
            try:
                return {names[0]: await self._ask_alone(names, None)}
            except BackendRefusedError as error:
                return {names[0]: error}
        response = await self._backend.call("GET", resolve_target(names, None), retry=True)
        if response.status == 200 and isinstance(response.data, dict):
            parts = _parted(response.data, names)
            if parts is not None:
                return {name: _meaning((name,), part) for name, part in parts.items()}
        elif response.status not in _OF_A_NAME:
            response.require(200)
        half = len(names) // 2
        return await self._ask_several(names[:half]) | await self._ask_several(names[half:])

    async def _ask_alone(self, names: tuple[str, ...], expand: str | None) -> tuple[Concrete, ...]:
        response = await self._backend.call("GET", resolve_target(names, expand), retry=True)
        if response.status in (400, 404) and len(names) > 1:
            # One name that does not exist keeps the backend from saying what the others mean.
            half = len(names) // 2
            first = await self._ask_alone(names[:half], expand)
            return first + await self._ask_alone(names[half:], expand)
        if response.status in (400, 404) or not isinstance(response.data, dict):
            # A name that does not exist, or is none; the backend will say so itself.
            return _missing(_literal(names)) if response.status == 404 else _literal(names)
        response.require(200)
        return _meaning(names, response.data)


def resolve_target(names: tuple[str, ...], expand: str | None) -> str:
    """The request target that asks a backend what `names` (none: all) mean."""
    expression = (",".join(names) or ALL).replace(ALL, "*")
    target = f"/_resolve/index/{quote(expression, safe=',*')}"
    return target if expand is None else f"{target}?expand_wildcards={quote(expand, safe=',')}"


def _literal(names: tuple[str, ...]) -> tuple[Concrete, ...]:
    return tuple(
        Concrete(name) for name in names if "*" not in name and name != ALL and name[:1] != "-"
    )


def _meaning(names: tuple[str, ...], data: dict[str, Any]) -> tuple[Concrete, ...]:
    """What a response says that names mean; those it does not have stand for themselves."""
    known = _concretes(data)
    # What date math means is answered under the name it comes to.
    written = {name for name in names if "*" not in name and not (known and name[:1] == "<")}
    missing = written - _named_in(data)
    rest = tuple(each for each in _literal(names) if each.name in missing)
    return tuple(known) + _missing(rest)


def _missing(concretes: tuple[Concrete, ...]) -> tuple[Concrete, ...]:
    """Names that the backend does not have; another cluster may."""
    return tuple(replace(each, missing=":" not in each.name) for each in concretes)


def _parted(data: dict[str, Any], names: tuple[str, ...]) -> dict[str, dict[str, Any]] | None:
    """The part of a response that each plain name would have had alone; None if there is more."""
    parts: dict[str, dict[str, Any]] = {name: {kind: [] for kind in _KINDS} for name in names}
    for kind in _KINDS:
        for entry in data.get(kind, []):
            if entry["name"] not in parts:
                return None
            parts[entry["name"]][kind].append(entry)
    return parts


def _concretes(data: dict[str, Any]) -> list[Concrete]:
    through: dict[str, list[str]] = {}
    for alias in data.get("aliases", []):
        for index in alias["indices"]:
            through.setdefault(index, []).append(alias["name"])
    indices = data.get("indices", [])
    direct = [entry["name"] for entry in indices]
    direct += [entry["name"] for entry in data.get("data_streams", [])]
    # An index behind a data stream has its documents through that alone.
    streams = {e["name"]: (e["data_stream"],) for e in indices if "data_stream" in e}
    concretes = [Concrete(name, streams.get(name, ())) for name in direct]
    concretes += [
        Concrete(name, tuple(aliases)) for name, aliases in through.items() if name not in direct
    ]
    return concretes


def _named_in(data: dict[str, Any]) -> set[str]:
    return {entry["name"] for kind in _KINDS for entry in data.get(kind, [])}
