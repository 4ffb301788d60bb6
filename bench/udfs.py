"""The functions that only the benchmark runs, as sources to upload."""

from __future__ import annotations

from typing import Final

IDENTITY: Final = "def query(request, context):\n    return request\n"

# The same as bench/rewrite.js.
REWRITE: Final = """\
PHRASES = ["wireless earphones", "cordless headset", "bluetooth headphones", "over-ear headset"]

def query(request, context):
    text = request["query"]["match"]["title"]
    should = [{"match": {"title": {"query": text, "boost": 2}}}]
    for phrase in PHRASES:
        should.append({"match_phrase": {"title": {"query": phrase, "boost": 0.5}}})
    request["query"] = {"bool": {"should": should}}
    return request

def popularity(hit):
    return hit["_source"].get("popularity") or 0

def result(response, context):
    response["hits"]["hits"].sort(key=popularity, reverse=True)
    return response
"""

# The order of REWRITE by edits, for a stage that declares what it reads.
RERANK: Final = """\
def result(response, context):
    context.hits.sort(key=lambda hit: hit.get("_source.popularity") or 0, reverse=True)
"""
RERANK_INPUT: Final = ["_source.popularity"]

# The sandbox and nothing else, for 2 to 4 ms and twice that.
_WORK: Final = """\
def query(request, context):
    total = 0
    for number in range({turns}):
        total += number * number
    return request
"""
SHORTER_WORK: Final = _WORK.format(turns=20_000)
LONGER_WORK: Final = _WORK.format(turns=40_000)

ENDLESS: Final = "def query(request, context):\n    while True:\n        pass\n"

# Ends well in most of the sandboxes that it is loaded in, and never in the others.
HANGS_LOADING: Final = f"""\
import random

if random.random() < 0.3:
    while True:
        pass

{IDENTITY}"""

# The same as DOCUMENT_PAINLESS.
DOCUMENT: Final = """\
import math

def document(doc, context):
    price = doc.get("price") or 0
    doc["value"] = math.log1p(price) * (doc.get("popularity") or 0)
    return doc
"""
# What it reads, for a stage that declares that.
DOCUMENT_INPUT: Final = ["price", "popularity"]
DOCUMENT_PAINLESS: Final = (
    "def price = ctx.price == null ? 0 : ctx.price;"
    "def popularity = ctx.popularity == null ? 0 : ctx.popularity;"
    "ctx.value = Math.log1p(price) * popularity;"
)
