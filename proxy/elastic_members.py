"""Members of answers that Elasticsearch has and OpenSearch has not, for clients that need them.

Typed clients decode no answer that lacks one. What is added is what Elasticsearch would say of the
same cluster; everything else of an answer stays as it was written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from proxy.spans import Span, member, members, replaced

# The last of those that a client of 7.x takes for Elasticsearch by its header alone.
NUMBER_OF_7: Final = "7.17.0"
TAGLINE: Final = "You Know, for Search"
_UNASSIGNED: Final = "unassigned_primary_shards"
_BEFORE: Final = re.compile(r'[{,](\s*)"[^"]*"(\s*:\s*)$')


def info(text: str) -> str:
    """``GET /``: the flavor of the build."""
    version = member(text, "version")
    if version is None or member(text, "build_flavor", version.start) is not None:
        return text
    return replaced(text, _added(text, version.start, "number", "build_flavor", '"default"'))


def info_for_7(text: str) -> str:
    """``GET /`` as a client of 7.x needs it, which refuses any other version and tagline."""
    text = info(text)
    version = member(text, "version")
    number = member(text, "number", version.start) if version else None
    tagline = member(text, "tagline")
    changes = [(number, json.dumps(NUMBER_OF_7)), (tagline, json.dumps(TAGLINE))]
    return replaced(text, [(span, new) for span, new in changes if span is not None])


def has_unassigned(text: str) -> bool:
    """Whether a cluster's health tells of shards without a node, of which some may be primary."""
    return bool(orjson.loads(text).get("unassigned_shards"))


def health(text: str, shards: str) -> str:
    """``_cluster/health``: how many of the unassigned shards are primary ones, on every level.

    `shards` is the health with every shard, where some are unassigned, else ``{}``.
    """
    counts = _unassigned_primaries(orjson.loads(shards).get("indices") or {})
    total = sum(sum(index.values()) for index in counts.values())
    changes = _counted(text, 0, total)
    indices = member(text, "indices")
    for index in members(text, indices.start) if indices else ():
        of_index = counts.get(index.key, {})
        changes += _counted(text, index.start, sum(of_index.values()))
        found = member(text, "shards", index.start)
        for shard in members(text, found.start) if found else ():
            changes += _counted(text, shard.start, of_index.get(shard.key, 0))
    return replaced(text, changes)


def _unassigned_primaries(indices: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """By index and shard, 1 where the primary has no node.

    While a primary is not active none of its replicas begins, so that what begins is the primary.
    """
    return {
        name: {
            number: int(not (shard["primary_active"] or shard["initializing_shards"]))
            for number, shard in index["shards"].items()
        }
        for name, index in indices.items()
    }


def _counted(text: str, start: int, count: int) -> list[tuple[Span, str]]:
    if member(text, _UNASSIGNED, start) is not None:
        return []
    return _added(text, start, "unassigned_shards", _UNASSIGNED, str(count))


def _added(text: str, start: int, beside: str, name: str, value: str) -> list[tuple[Span, str]]:
    """A change that puts a member behind another, spaced as that is; none where that is not."""
    span = member(text, beside, start)
    before = _BEFORE.search(text, start, span.start) if span else None
    if span is None or before is None:
        return []
    new = f",{before[1]}{json.dumps(name)}{before[2]}{value}"
    return [(Span(span.end, span.end), new)]
