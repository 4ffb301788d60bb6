"""Runs small UDFs at build time, before the snapshot.

The interpreter writes down what it learns as it runs: specialised bytecode, versions of types and
functions, where methods were found. Learned here it is in the snapshot, and neither a page that a
sandbox has to copy nor work for its first run.
"""

import json
import linecache
import os
import re
import sys
from typing import Any

from querymill.current import current

from runtime import surroundings
from runtime.surroundings import output
from runtime.udf import Udf

# More than the runs after which bytecode is specialised.
_RUNS = 20

_SECOND_STYLE = """
import json
WORDS = ["one", "two"]

def helper(clause, boost=2.0):
    return {"match": {"title": {"query": clause, "boost": boost}}}

def query(request, context):
    text = str(request["query"]["match"]["title"])
    limit = context.params.get("limit", 5)
    should = [helper(f"{text} {word}") for word in WORDS if len(word) < limit]
    should.append(dict(request["query"]))
    request["query"] = {"bool": {"should": should, "minimum_should_match": 1}}
    return request

def document(doc, context):
    doc["value"] = (doc.get("price") or 0) * 1.5 + 1
    for name in list(doc):
        if name.startswith("_"):
            del doc[name]
    return doc

def result(response, context):
    hits = response["hits"]["hits"]
    hits.sort(key=lambda hit: hit["_source"].get("price") or 0, reverse=True)
    response["hits"]["hits"] = hits[:10]
    return response
"""
_FIRST_STYLE = """
import json
import re
from querymill import get_field_string, get_param_int, log, rewrite, walk

def udf_main():
    query = json.loads(get_field_string("query") or "{}")
    number = get_param_int("limit", 3)
    def visit(kind, body):
        return kind, body
    rewrite(query, visit)
    for kind, body in walk(query):
        if kind == "match" and re.match("a", "b") and number:
            log("never")
    return json.dumps(query)
"""
_DECLARED = """
def result(response, context):
    for hit in context.hits:
        hit.get("_source.price")
    context.hits.sort(key=lambda hit: hit.get("_source.price") or 0, reverse=True)
"""
_SEARCH = {"query": {"match": {"title": "wireless headset"}}, "size": 10, "from": 0}
_DOCUMENT = {"title": "a headset", "price": 12.5, "tags": ["a", "b"], "_x": None}
_HITS = [{"_index": "i", "_id": str(n), "_score": 1.5, "_source": _DOCUMENT} for n in range(3)]
_RESPONSE = {"took": 3, "timed_out": False, "hits": {"total": {"value": 3}, "hits": _HITS}}
_PART = {
    "response": {"hits": {"total": {"value": 3}}},
    "count": 3,
    "columns": {"_source.price": [12.5, 3.0, 8.0]},
    "gaps": {},
}
_PATHS = [["_source.price"], ["hits.total"]]
_CONTEXT = {
    "id": None,
    "index": "products",
    "pipeline": "p",
    "stage": "s",
    "state": {},
    "metadata": {},
    "headers": {"x": "y"},
    "deadline_ms": 250,
}


def up() -> None:
    """Load and run them, and forget them."""
    for _ in range(_RUNS):
        os.environ.clear()
        surroundings.reseed(0)
        udf = Udf(log=_no_log)
        _load(udf, _SECOND_STYLE)
        for phase, payload in (("query", _SEARCH), ("document", _DOCUMENT), ("result", _RESPONSE)):
            _run(udf, phase, payload)
        _load(udf, _FIRST_STYLE)
        _run(udf, "query", _SEARCH)
        _load(udf, _DECLARED)
        _run(udf, "result", _PART, declared=_PATHS)
    linecache.clearcache()
    re.purge()
    current.__init__()  # type: ignore[misc]
    output.emit = None
    del sys.modules["__udf__"]


def _load(udf: Udf, source: str) -> None:
    response = udf.compile(source, "warm")
    _check(response)
    setup = {"name": "warm", "params": {"limit": 5}, "files": {}, **json.loads(response)}
    _check(udf.load(source, json.dumps(setup)))


def _run(udf: Udf, phase: str, payload: Any, **more: Any) -> None:
    call = {"phase": phase, "limit": 10_000_000, "context": _CONTEXT, **more}
    call |= {"request": _SEARCH if phase == "result" else None, "payload": payload}
    _check(udf.run(json.dumps(call, separators=(",", ":"))))


def _check(response: str) -> None:
    if response.startswith('{"error"'):
        raise RuntimeError(f"a UDF of the build failed: {response}")


def _no_log(message: str) -> None:
    pass
