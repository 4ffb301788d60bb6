"""What OpenSearch does without being told, or needs not to know: hints of Elasticsearch clients."""

from __future__ import annotations

import re
from typing import Final

from proxy.http.query_string import QueryString

# Waits for a master node, in calls where OpenSearch takes no such limit.
_WAITS: Final = (
    (re.compile(r"_data_stream(/.*)?"), frozenset({"master_timeout", "timeout"})),
    (
        re.compile(
            r"([^_/][^/]*/|_all/)?_search_shards|_cat/aliases(/.*)?|"
            r"_cluster/(allocation/explain|voting_config_exclusions)"
        ),
        frozenset({"master_timeout"}),
    ),
)
# Parameters with the value that asks for what OpenSearch does anyway.
USUAL: Final = {
    "include_source_on_error": "true",
    "require_data_stream": "false",
    "include_empty_fields": "true",
    "force_synthetic_source": "false",
    "lazy": "false",
    "include_remotes": "false",
}


def path_of(segments: tuple[str, ...]) -> str:
    """The path of a call, its segments as they were told apart."""
    # An expression such as <logs-{now/d}> is one segment.
    return "/".join(segment.replace("/", "%2F") for segment in segments)


def hints(segments: tuple[str, ...], query: QueryString) -> frozenset[str]:
    """The parameters of a call that OpenSearch would refuse and can do without."""
    if not segments:
        return frozenset()
    names = query.names()
    found = {name for name, value in USUAL.items() if name in names and query.get(name) == value}
    path = path_of(segments)
    for shape, waits in _WAITS:
        if names & waits and shape.fullmatch(path):
            found |= names & waits
    # OpenSearch takes in every data stream that a name matches.
    named = len(segments) > 1 and "*" not in path
    expand = query.get("expand_wildcards")
    if segments[0] == "_data_stream" and expand is not None and (named or expand == "all"):
        found.add("expand_wildcards")
    return frozenset(found)
