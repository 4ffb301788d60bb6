"""Members of responses that Elasticsearch has and OpenSearch has not, for clients that need them.

Typed clients decode no response that lacks one. What is added is what Elasticsearch would say of
the same cluster; everything else of a response stays as it was written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from pipelines.jsontext.slices import Slice, elements, member, members, replaced

# The last of those that a client of 7.x takes for Elasticsearch by its header alone.
NUMBER_OF_7: Final = "7.17.0"
TAGLINE: Final = "You Know, for Search"
NODES: Final = "/_nodes/http?filter_path=nodes.*.roles,nodes.*.version"
"""What has to be asked where nodes are to be told more of."""
_ROLES: Final = {"cluster_manager": "master"}
# Those that Elasticsearch has: its clients refuse others.
_ROLES_KNOWN: Final = frozenset(
    {"master", "data", "ingest", "ml", "remote_cluster_client", "transform", "voting_only"}
)
_PLAIN_STREAM: Final = {
    "hidden": False,
    "system": False,
    "replicated": False,
    "allow_custom_routing": False,
    "rollover_on_write": False,
    "prefer_ilm": False,
    "next_generation_managed_by": "Unmanaged",
    "settings": {},
    "mappings": {},
}
Changes = list[tuple[Slice, str]]
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
    return replaced(text, [(part, new) for part, new in changes if part is not None])


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


def search_shards(text: str, nodes: str) -> str:
    """``_search_shards``: of each node what `nodes` tells, the response to `NODES`."""
    known = _known(nodes)
    found = member(text, "nodes")
    parts = members(text, found.start) if found else []
    return _changed(text, [_as_node(text, part, known.get(part.key)) for part in parts])


def shard_stores(text: str, nodes: str) -> str:
    """``_shard_stores``: the same of the node that each copy of a shard is on."""
    known = _known(nodes)
    changes: list[Changes] = []
    indices = member(text, "indices")
    for index in members(text, indices.start) if indices else ():
        shards = member(text, "shards", index.start)
        for shard in members(text, shards.start) if shards else ():
            stores = member(text, "stores", shard.start)
            for store in elements(text, stores.start) if stores else ():
                parts = [part for part in members(text, store.start) if part.key in known]
                changes += [_as_node(text, part, known[part.key]) for part in parts]
    return _changed(text, changes)


def allocation(text: str, nodes: str) -> str:
    """``_cluster/allocation/explain``: the roles of the nodes in it."""
    known = _known(nodes)
    current = member(text, "current_node")
    decisions = member(text, "node_allocation_decisions")
    parts = [(part, "node_id") for part in (elements(text, decisions.start) if decisions else ())]
    if current is not None:
        parts.append((current, "id"))
    changes: list[Changes] = []
    for part, name in parts:
        node = known.get(orjson.loads(text[part.start : part.end]).get(name))
        if node is not None:
            changes.append(_filled(text, part.start, name, {"roles": node["roles"]}))
    return _changed(text, changes)


def data_streams(text: str) -> str:
    """``_data_stream``: what Elasticsearch's can be, and OpenSearch's are not."""
    found = member(text, "data_streams")
    parts = elements(text, found.start) if found else []
    return _changed(text, [_filled(text, part.start, "name", _PLAIN_STREAM) for part in parts])


def _known(nodes: str) -> dict[str, dict[str, Any]]:
    """By id, what typed clients want to know of a node: its roles as Elasticsearch calls them."""
    known: dict[str, dict[str, Any]] = {}
    for id, node in (orjson.loads(nodes).get("nodes") or {}).items():
        major, minor, patch = map(int, node["version"].partition("-")[0].split("."))
        roles = {_ROLES.get(role, role) for role in node.get("roles", ())}
        known[id] = {
            "roles": sorted(roles & _ROLES_KNOWN),
            "version": node["version"],
            # It reads indices of the major version before its own; numbers as Elasticsearch's are.
            "min_index_version": (major - 1) * 1_000_000 + 99,
            "max_index_version": major * 1_000_000 + minor * 10_000 + patch * 100 + 99,
        }
    return known


def _as_node(text: str, part: Slice, node: Mapping[str, Any] | None) -> Changes:
    name = member(text, "name", part.start)
    if node is None or name is None:
        return []
    external = {"external_id": orjson.loads(text[name.start : name.end])}
    return _filled(text, part.start, "name", {**external, **node})


def _changed(text: str, changes: list[Changes]) -> str:
    return replaced(text, [change for each in changes for change in each])


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


def _counted(text: str, start: int, count: int) -> Changes:
    if member(text, _UNASSIGNED, start) is not None:
        return []
    return _added(text, start, "unassigned_shards", _UNASSIGNED, str(count))


def _added(text: str, start: int, beside: str, name: str, value: str) -> Changes:
    """A change that puts a member behind another, spaced as that is; none where that is not."""
    part = member(text, beside, start)
    before = _BEFORE.search(text, start, part.start) if part else None
    if part is None or before is None:
        return []
    new = f",{before[1]}{json.dumps(name)}{before[2]}{value}"
    return [(Slice(part.end, part.end), new)]


def _filled(text: str, start: int, beside: str, values: Mapping[str, Any]) -> Changes:
    """The same of several members, but for those that are there."""
    there = {part.key for part in members(text, start)}
    made = [
        _added(text, start, beside, name, orjson.dumps(value).decode())
        for name, value in values.items()
        if name not in there
    ]
    text_of_all = "".join(new for each in made for _, new in each)
    return [(made[0][0][0], text_of_all)] if text_of_all else []
