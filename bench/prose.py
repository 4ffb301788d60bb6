"""What the report says around its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bench.figures import StageKind

INTRODUCTION: Final = """\
What the proxy adds to a search, and what a stage costs. Written by one run on {made} of

    {command}

All raw figures of the run are in `bench/results.json`; `make bench ARGS=--quick` is a short look
that writes nothing. A cell has the median over the rounds and, in brackets, the lowest and the
highest round. A ratio is made within a round, between cases measured seconds apart, and then
summed up."""

SEARCH_NOTE: Final = """\
Ten hits of a match query on {products:,} products in one shard, on one real OpenSearch node, in
front of it one `querymill serve` with default settings.

- **direct**: no proxy.
- **direct, the rewritten query**: no proxy, and the client sends what the query pipeline would have
  made of its query: more clauses that find more, for OpenSearch other work than before.
- **proxy, no pipeline**: bytes stream through; other indices have pipelines attached.
- **proxy, query pipeline**: `synonym-expansion` is attached to the index.
- **proxy, query + result pipeline**: `ml-reranking` as well, which reads and reorders all ten hits.

*Times direct* compares with **direct**, the backend's other work included. *Proxy adds* is the p50
above the same query sent directly: for the pipelines above **direct, the rewritten query**."""

STATIC_NOTE: Final = """\
The backend answers every search with the same {bytes:,} bytes from memory, so that hardly anything
but the way is measured. These ratios are the harshest there can be: no backend answers sooner."""

STAGE_NOTE: Final = """\
Without proxy and backend: a function in a sandbox, one run at a time, in one process.

- **warm**: a run in a sandbox that is ready, the way to its thread and back included: what a stage
  adds to a request.
- **fresh**: the same with `isolation: request`, a sandbox made for this run alone.
- **load**: making a sandbox and loading the UDF with its files into it, which a pooled UDF pays
  once for each sandbox.
- **native**: the same UDF and the same guest library run by the machine's own Python, which bounds
  nothing; reading the call and writing the answer included, no change of thread. `identity` returns
  what it is given and shows what the crossing costs."""

CAVEATS: Final = (
    "Backend, proxy and load generator share this one machine's cores. With as few as here they "
    "take them from each other at 8 connections, and a proxy on a machine of its own does better.",
    "Compare within one run only. The same machine is easily a fifth faster or slower in the next; "
    "read differences of less than that as none.",
    "A small index answers in about a millisecond. The proxy's part is the same in front of a "
    "backend that takes 50 ms, and the ratio then much smaller.",
    "p99 of a few thousand requests rests on a few dozen of them, and on a shared or virtual "
    "machine these tell of the scheduler and of Java's garbage collector as much as of the proxy.",
    "One proxy process, HTTP/1.1 with kept connections, no TLS, no compression, no authentication. "
    "The load generator's own time, some ten microseconds, is in every latency.",
    "Proxy CPU is user and system time of the whole proxy process, sandboxes included, divided by "
    "the requests it answered.",
    "The JVM was warm for seconds, not for days.",
)

STAGE_KINDS: Final[Mapping[StageKind, str]] = {
    "warm": "warm run",
    "fresh": "fresh sandbox and run",
    "load": "load",
    "native": "native run",
}
