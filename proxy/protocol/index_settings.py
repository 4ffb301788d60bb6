"""Our index settings among the backend's: taken out of what is written, added to what is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipelines.definitions.attachment import SETTINGS, matches
from pipelines.errors import DefinitionError
from pipelines.jsontext.json_text import can_be_written
from proxy.http.query_string import QueryString
from proxy.protocol.parameters import Parameters, flag, one_of

_OURS = frozenset(SETTINGS)


def take_settings(settings: dict[str, Any]) -> tuple[dict[str, str | None], dict[str, Any]]:
    """Split a settings object, nested or flat, into our settings (in full) and all others.

    Keys may leave out ``index.``, as the backend allows. Raises `DefinitionError` where a value
    of ours is neither a string nor null, or the settings are nested too deeply.
    """
    ours: dict[str, str | None] = {}
    if not can_be_written(settings):
        raise DefinitionError("", "the settings are nested too deeply")
    rest = _without_ours(settings, "", ours)
    return ours, rest


def _without_ours(
    value: dict[str, Any], prefix: str, ours: dict[str, str | None]
) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, member in value.items():
        path = f"{prefix}.{key}" if prefix else key
        full = path if path.startswith("index.") or path == "index" else f"index.{path}"
        if full in _OURS:
            if member is not None and not isinstance(member, str):
                raise DefinitionError(full, "must be the name of a pipeline, or null")
            ours[full] = member
        elif isinstance(member, dict):
            inner = _without_ours(member, path, ours)
            if inner or not member:
                kept[key] = inner
        else:
            kept[key] = member
    return kept


def cleared_by(settings: Mapping[str, Any], prefix: str = "") -> set[str]:
    """Our settings that patterns with a null take off, as ``"index.query.*": null`` does."""
    cleared: set[str] = set()
    for key, member in settings.items():
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(member, Mapping):
            cleared |= cleared_by(member, path)
        elif member is None and "*" in path:
            full = path if path.startswith("index.") or path == "*" else f"index.{path}"
            cleared |= {name for name in SETTINGS if matches(name, full)}
    return cleared


# What tells which indices an expression means; settings are read for the same ones.
_EXPANDING = frozenset({"expand_wildcards", "ignore_unavailable", "allow_no_indices"})


def options_of(query: QueryString) -> QueryString:
    """The part of a query string that says which indices are meant."""
    return query.without(query.names() - _EXPANDING)


_WILDCARDS = one_of("open", "closed", "hidden", "none", "all")


def _wildcards(text: str) -> list[str]:
    return [_WILDCARDS(each) for each in text.split(",")]


PUT_PARAMETERS: Parameters = {
    "index": str,
    "preserve_existing": flag,
    "ignore_unavailable": flag,
    "allow_no_indices": flag,
    "expand_wildcards": _wildcards,
    "flat_settings": flag,
    "timeout": str,
    "cluster_manager_timeout": str,
    "master_timeout": str,
    "reopen": flag,
}
"""What a call that writes settings takes, of either backend: those of ours alone never reach it."""


# Where settings of an index stand in bodies: of templates, rollovers and copies, restores.
_PLACES = (("settings",), ("template", "settings"), ("index_settings",), ("settings_override",))


def settings_in(body: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Settings of indices in a body that is not itself settings, with their paths."""
    for place in _PLACES:
        value: Any = body
        for key in place:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, dict):
            yield ".".join(place), value


def flat(settings: Mapping[str, str]) -> dict[str, Any]:
    """Our settings as ``?flat_settings=true`` shows them."""
    return dict(settings)


def nested(settings: Mapping[str, str]) -> dict[str, Any]:
    """Our settings as the backend nests its own."""
    tree: dict[str, Any] = {}
    for name, value in settings.items():
        *parents, last = name.split(".")
        place = tree
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = value
    return tree


def merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Lay a nested object over another, in place."""
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def matching(settings: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Those of our settings that a name filter (``/_settings/index.query.*``) asks for."""
    patterns = [name for name in names if name] or ["*"]
    if "_all" in patterns:
        patterns = ["*"]
    return {
        name: value
        for name, value in settings.items()
        if any(matches(name, pattern) for pattern in patterns)
    }
