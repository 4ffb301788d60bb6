"""What random calls are made of: documents, bodies, parameters, fields and paths."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from proxy.protocol.endpoints import Endpoint, Operation

STATIC: Final = "diff-static"
DOCUMENTS: Final = 600
IDS: Final = ("1", "2", "7", "40", "599", "missing", "a%2Fb", "%C3%A9", "x%20y", "a+b", "_search")

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Lines(list[Any]):
    """A body of lines of JSON."""


_SHOES: Final = ("shoe", "boot", "sandal", "slipper", "clog")
OTHERS: Final[Sequence[tuple[str, str, Any]]] = (
    ("GET", "/", None),
    ("HEAD", "/", None),
    ("GET", f"/_cat/indices/{STATIC}?h=index,docs.count,health&s=index", None),
    ("GET", f"/_cat/indices/{STATIC}?v&h=index,pri,rep", None),
    ("GET", f"/_cat/count/{STATIC}?h=count", None),
    ("GET", f"/_cat/shards/{STATIC}?h=index,shard,prirep,state", None),
    ("GET", f"/_cat/aliases/{STATIC}-alias?v", None),
    ("GET", "/_cat/nodes?h=node.role", None),
    ("GET", "/_cat/nodes?help", None),
    ("GET", "/_cat/health?h=cluster,node.total", None),
    ("GET", "/_cat", None),
    ("GET", f"/_cluster/health/{STATIC}?filter_path=status,timed_out,number_of_nodes", None),
    ("GET", "/_cluster/settings", None),
    ("GET", "/_cluster/settings?include_defaults=true&filter_path=defaults.http", None),
    ("GET", f"/_cluster/state/metadata/{STATIC}?filter_path=metadata.indices.*.mappings", None),
    ("GET", "/_nodes/http?filter_path=nodes.*.version", None),
    ("GET", "/_nodes/no-such-node", None),
    ("GET", "/_tasks/no-such-node:1", None),
    ("GET", f"/{STATIC}", None),
    ("HEAD", f"/{STATIC}", None),
    ("HEAD", f"/{STATIC}-missing", None),
    ("HEAD", f"/{STATIC}/_doc/1", None),
    ("HEAD", f"/{STATIC}/_source/1", None),
    ("HEAD", f"/{STATIC}/_search", None),
    ("HEAD", "/_alias/no-such-alias", None),
    ("GET", f"/{STATIC}/_mapping", None),
    ("GET", f"/{STATIC}/_mapping/field/title", None),
    ("GET", f"/{STATIC}/_settings?flat_settings=true&filter_path=**.number_of*", None),
    ("GET", f"/{STATIC}/_settings/index.number*", None),
    ("GET", f"/{STATIC}/_alias", None),
    ("GET", f"/_alias/{STATIC}-alias", None),
    ("GET", f"/{STATIC}/_field_caps?fields=*", None),
    ("POST", f"/{STATIC}/_field_caps?fields=t*", None),
    ("GET", f"/{STATIC}/_stats/docs?filter_path=indices.*.primaries.docs.count", None),
    ("GET", f"/{STATIC}/_search_shards?filter_path=shards", None),
    ("GET", f"/_resolve/index/{STATIC}", None),
    ("POST", f"/{STATIC}/_analyze", {"analyzer": "standard", "text": "Red Shoes"}),
    ("POST", "/_analyze", {"analyzer": "no_such", "text": "Red Shoes"}),
    ("POST", f"/{STATIC}/_refresh", None),
    ("POST", "/TWIN/_refresh", None),
    ("POST", "/TWIN/_flush", None),
    ("GET", "/_template/no-such-template", None),
    ("GET", "/_index_template/no-such-template", None),
    ("GET", "/_ingest/pipeline/no-such-pipeline", None),
    ("POST", "/_ingest/pipeline/_simulate", {"pipeline": {"processors": []}, "docs": []}),
    ("GET", "/_scripts/no-such-script", None),
    ("GET", "/_snapshot/no-such-repository", None),
    ("GET", "/_rank_eval", {"requests": []}),
    ("POST", "/_render/template", {"source": {"size": "{{n}}"}, "params": {"n": 3}}),
    ("PUT", "/TWIN/_mapping", {"properties": {"more": {"type": "keyword"}}}),
    ("PUT", "/TWIN/_mapping", {"properties": {"n": {"type": "keyword"}}}),
    ("PUT", "/TWIN/_alias/TWIN-alias", None),
    ("DELETE", "/TWIN/_alias/TWIN-alias", None),
    ("POST", "/_aliases", {"actions": [{"add": {"index": "TWIN", "alias": "TWIN-other"}}]}),
    ("POST", "/_aliases", {"actions": [{"bad": {}}]}),
    ("OPTIONS", "/", None),
    ("OPTIONS", "*", None),
    ("OPTIONS", f"/{STATIC}/_search", None),
    ("POST", "/", None),
    ("PUT", "/UPPER", {}),
    ("DELETE", "/TWIN-no-such-index", None),
)


def document(number: int) -> dict[str, Any]:
    """A document of the shared index; the same for the same number."""
    return {
        "n": number,
        "title": f"{_SHOES[number % 5]} {'red' if number % 3 else 'blue'} number {number}",
        "price": number * 1.5,
        "exact": 9007199254740993 + number,
        "tags": [f"t{number % 7}", "all"],
        "place": {"lat": (number % 90) / 1.0, "lon": -number % 180},
        "words": '\u00e9\u4e2d \U0001f600 \\ " / </script>' if number % 10 == 0 else "plain",
        "empty": {} if number % 2 else None,
    }


def encoded(value: Any) -> tuple[bytes, str]:
    """The bytes of a body and its media type."""
    if value is None:
        return b"", ""
    if isinstance(value, Lines):
        lines = [json.dumps(line, ensure_ascii=False) for line in value]
        return "\n".join([*lines, ""]).encode(), NDJSON
    if isinstance(value, bytes):
        return value, JSON
    return json.dumps(value, ensure_ascii=False).encode(), JSON


def broken(body: bytes, chance: random.Random) -> bytes:
    """A body that went wrong on its way."""
    cut = chance.randrange(len(body))
    ways = (
        body[:cut],
        body + b"}",
        body.rstrip(b"\n"),
        body.replace(b":", b"=", 1),
        b"\xef\xbb\xbf" + body,
        body[:cut] + b"\xff\x00" + body[cut:],
        body.replace(b"\n", b"\r\n"),
        b"\n" + body,
        b"[]",
        b"null",
        b'"text"',
        b"{",
    )
    return chance.choice(ways)


def query(chance: random.Random) -> dict[str, Any]:
    """A query clause, some of them wrong."""
    number = chance.randrange(DOCUMENTS)
    return chance.choice(
        [
            {"match_all": {}},
            {"match": {"title": chance.choice(_SHOES)}},
            {"match": {"title": {"query": "red shoe", "operator": "and", "boost": 1.50}}},
            {"term": {"tags": f"t{number % 7}"}},
            {"range": {"price": {"gte": number * 1.0, "lt": 1e3}}},
            {"ids": {"values": [str(number), "missing"]}},
            {
                "bool": {
                    "must": [{"match": {"title": "boot"}}],
                    "filter": {"exists": {"field": "n"}},
                }
            },
            {
                "bool": {
                    "should": [{"term": {"n": number}}, {"prefix": {"title": "s"}}],
                    "_name": "b",
                }
            },
            {"constant_score": {"filter": {"term": {"exact": 9007199254740993 + number}}}},
            {"simple_query_string": {"query": "blue +clog", "fields": ["title^2"]}},
            {"function_score": {"query": {"match_all": {}}, "weight": 2}},
            {"wildcard": {"words": {"value": "pl*n"}}},
            {"nonsense": {"n": 1}},
            {"match": {"title": {"no_such_option": 1}}},
        ]
    )


def search(chance: random.Random) -> dict[str, Any]:
    """The body of a search."""
    parts: dict[str, Any] = {
        "size": chance.choice([0, 1, 5, 20]),
        "sort": chance.choice([["n"], [{"price": "desc"}, "n"], ["_score", "n"], ["_doc"]]),
        "_source": chance.choice([False, ["title", "n"], {"excludes": ["words"]}]),
        "aggs": {
            "t": {"terms": {"field": "tags.keyword"}, "aggs": {"p": {"avg": {"field": "price"}}}}
        },
        "highlight": {"fields": {"title": {}}},
        "fields": ["n", {"field": "price"}],
        "docvalue_fields": ["exact"],
        "track_total_hits": chance.choice([True, False, 3]),
        "from": chance.choice([0, 2]),
        "explain": chance.choice([True, False]),
        "version": True,
        "suggest": {"s": {"text": "shoo", "term": {"field": "title"}}},
        "collapse": {"field": "tags.keyword"},
        "rescore": {"window_size": 5, "query": {"rescore_query": {"match_all": {}}}},
        "post_filter": {"range": {"n": {"lt": 300}}},
        "min_score": 0.1,
        "stats": ["a"],
    }
    names = chance.sample(sorted(parts), chance.choice([0, 0, 1, 2, 3]))
    body = {name: parts[name] for name in names}
    if chance.random() < 0.8:
        body["query"] = query(chance)
    return body


def body_for(row: Endpoint, chance: random.Random) -> Any:
    """A body that fits an endpoint; None where it takes none, and now and then anyway."""
    if chance.random() < 0.08:
        return None
    operation, path = row.operation, row.path
    make = _BODIES.get(operation)
    if make is not None:
        return make(chance)
    if path[:1] == ("_mtermvectors",):
        return {"docs": [{"_index": STATIC, "_id": "1", "fields": ["title"]}]}
    if path[:1] in (("_sql",), ("_query",), ("_plugins",)):
        return {"query": f"select n from {STATIC}"}
    if operation is Operation.DATA:
        return chance.choice([None, {"query": query(chance)}, {"field": "title", "string": "s"}])
    return None


def bulk(chance: random.Random) -> Lines:
    """A bulk of a few items for the side's own index."""
    lines = Lines()
    for _ in range(chance.choice([1, 2, 5])):
        name = str(chance.randrange(20))
        meta = {"_index": "TWIN", "_id": name}
        action = chance.choice(
            ["index", "create", "update", "delete", "delete", "index", "nonsense"]
        )
        if action == "nonsense" and chance.random() < 0.7:
            action = "index"
        lines.append(
            {action: meta if chance.random() < 0.9 else {"_index": "TWIN", "routing": "a"}}
        )
        if action == "update":
            lines.append(
                {"doc": {"n": chance.randrange(9)}, "doc_as_upsert": chance.random() < 0.5}
            )
        elif action != "delete":
            lines.append(document(chance.randrange(DOCUMENTS)))
    return lines


def msearch(chance: random.Random) -> Lines:
    """An msearch of a few searches."""
    lines = Lines()
    for _ in range(chance.choice([1, 2, 4])):
        lines.append(chance.choice([{}, {"index": STATIC}, {"index": [STATIC], "preference": "x"}]))
        lines.append({"size": 2, **search(chance)})
    return lines


def _update(chance: random.Random) -> Any:
    partial = {"n": chance.randrange(5), "title": "new"}
    return chance.choice(
        [{"doc": partial}, {"doc": partial, "doc_as_upsert": True}, {"doc": {}}, {"nonsense": 1}]
    )


def _settings(chance: random.Random) -> Any:
    return chance.choice(
        [
            {"index": {"number_of_replicas": 0}},
            {"index.refresh_interval": chance.choice(["1s", "5s", "-1"])},
            {"refresh_interval": None},
            {"index.no_such_setting": 1},
            {"settings": {"index.max_result_window": 10_000}},
            {"number_of_shards": 2},
            {},
        ]
    )


def _creation(chance: random.Random) -> Any:
    return chance.choice(
        [
            None,
            {"settings": {"number_of_shards": 1, "number_of_replicas": 0}},
            {"settings": {"index": {"number_of_replicas": "0"}}, "aliases": {"TWIN-b": {}}},
            {"mappings": {"properties": {"a": {"type": "no_such_type"}}}},
            {"nonsense": {}},
        ]
    )


_O = Operation
_BODIES: Final[Mapping[Operation, Callable[[random.Random], Any]]] = {
    _O.SEARCH: search,
    _O.ASYNC_SEARCH: search,
    _O.MSEARCH: msearch,
    _O.SEARCH_TEMPLATE: lambda chance: {
        "source": '{"query": {"match": {"title": "{{word}}"}}, "size": {{size}}}',
        "params": {"word": chance.choice(_SHOES), "size": 2},
    },
    _O.MSEARCH_TEMPLATE: lambda chance: Lines(
        [{"index": STATIC}, {"source": {"query": query(chance)}, "params": {}}]
    ),
    _O.SCROLL: lambda chance: {"scroll": "1m", "scroll_id": "SCROLL"},
    _O.CLEAR_SCROLL: lambda chance: {"scroll_id": ["SCROLL"]},
    _O.CLOSE_PIT: lambda chance: chance.choice([{"pit_id": ["PIT"]}, {"id": "PIT"}]),
    _O.COUNT: lambda chance: {"query": query(chance)},
    _O.EXPLAIN: lambda chance: {"query": query(chance)},
    _O.VALIDATE: lambda chance: {"query": query(chance)},
    _O.BY_QUERY: lambda chance: {"query": {"range": {"n": {"lt": chance.randrange(3)}}}},
    _O.DOCUMENT: lambda chance: document(chance.randrange(DOCUMENTS)),
    _O.BULK: bulk,
    _O.UPDATE: _update,
    _O.MGET: lambda chance: chance.choice(
        [
            {"ids": ["1", "2", "missing"]},
            {"docs": [{"_index": STATIC, "_id": "3"}, {"_index": "diff-none", "_id": "1"}]},
            {"docs": [{"_index": STATIC, "_id": "4", "_source": ["n"]}]},
        ]
    ),
    _O.PUT_SETTINGS: _settings,
    _O.CREATE_INDEX: _creation,
    _O.REINDEX: lambda chance: {
        "max_docs": 3,
        "source": {"index": STATIC, "query": {"ids": {"values": ["1", "2", "3"]}}},
        "dest": {"index": "TWIN-r"},
    },
}
