"""What the report says around its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bench.figures import StageKind

INTRODUCTION: Final = """\
What the proxy adds to a search, and what a stage costs. Written by one run on {made} of

    {command}

All raw figures of the run are in `bench/results.json`; `make bench ARGS=--quick` is a short look
that writes nothing, `make bench ARGS=--soak` adds ten minutes at half load. A cell has the median
over the rounds and, in brackets, the lowest and the highest round. A ratio is made within a round,
between cases measured seconds apart, and then summed up."""

TARGETS_NOTE: Final = """\
Each is from the tables below, by the medians. What a reader's machine makes of them is the last
column of a run there."""

EARLIER_NOTE: Final = """\
Runs before this one, of the code of their day, oldest first: what is left when the machine is
another one. What was not measured then is left out."""

BEFORE_NOTE: Final = """\
Two trees of this project in turn, on the same interpreter and the same dependencies: the one that
wrote this report is **now**, the one that was named with `--before` is **before**."""

_APART: Final = """
Where the machine has two cores or more, the proxy that is measured has one for itself, and load
generator and backend share another."""

PASS_NOTE: Final = f"""\
A static backend (nginx, where it is installed) answers every search with the same ten hits of
together 6 KB, or 1,000 hits of 600 KB, so that hardly anything but the way is measured. nginx and
haproxy run one worker, kept connections and no access log, the proxy runs one worker too. CPU of
**direct** is the backend's own.
{_APART}"""

REWRITE_NOTE: Final = f"""\
The same backend. A `match` query becomes a `bool` with five clauses, and the ten hits are sorted
again by popularity: in two sandboxed Python stages, and in nginx with njs by the same few lines of
JavaScript. With **declared fields** the result stage is given the popularities alone. Stages *add*
to **querymill** without a pipeline, all else to **direct**.
{_APART}"""

COST_NOTE: Final = f"""\
The same backend, one connection. Result stages sort the hits by popularity, given the **whole
response**, or the one field of each hit that they declare. Query stages do nothing, so that what a
further stage costs is what the crossing costs. Each *adds* to the same hits without a pipeline.
{_APART}"""

PACED_NOTE: Final = """\
The same backend, 100 requests a second at even distances, at most 3 rounds. In **request
isolation** each run gets a new sandbox, made ahead of it. No process is bound to a core."""

SEARCH_NOTE: Final = """\
Ten hits of a match query on {products} products in one shard, on one real OpenSearch node, in
front of it one `querymill serve --workers 1`.

- **direct**: no proxy.
- **direct, the rewritten query**: no proxy, and the client sends what the query pipeline would have
  made of its query: more clauses that find more, for OpenSearch other work than before.
- **proxy, no pipeline**: bytes stream through; other indices have pipelines attached.
- **proxy, query pipeline**: `synonym-expansion` is attached to the index.
- **proxy, query + result pipeline**: `ml-reranking` as well, which reorders all ten hits.
- **OpenSearch's own**: no proxy, and a search pipeline of OpenSearch, with a Painless `script` that
  sets the size, and with `rename_field` for all ten hits.

What a pipeline *adds* is told against the same query sent directly: **direct, the rewritten
query**."""

SLOW_NOTE: Final = """\
A search that looks at 12,000 documents by a script, at one connection: the proportion that counts
where searches take their time. Query and result pipeline run a stage each, which leaves the query
as it is and sorts the hits."""

BULK_NOTE: Final = """\
Bulks of 500 products, one after the other, into a new index of OpenSearch in each round. The Python
document stage and the Painless script of the ingest pipeline compute the same new field. Requests
are bulks: times 500 they are documents."""

SECTION_NOTES: Final[Mapping[str, str]] = {
    "The rewrite without a sandbox": """\
The functions of the rewriting stages called in process, with orjson around them: what a stage of
native Python could cost at best, for comparison. No stage runs so.""",
    "Start and memory": """\
From the start of the process until `/_querymill/readyz` says that it is ready, definitions read.
PSS counts memory that processes share once.""",
    "Workers": """\
32 connections, UDFs that compute for 2 to 4 ms (the shorter) and twice that (the longer), as fast
as the machine is. What is not the UDF, that is the proxy's own part, the load generator and the
backend, is the same for both and runs beside the one worker's UDF on the other core; of two workers
it takes from the cores their UDFs are on. So two workers do less than twice as much, the less the
shorter a UDF is, and load that is bound by the sandboxes alone is that of the longer. What two
processes do that share nothing but the machine stands beside.""",
    "Overload": """\
1,000 requests a second to a pipeline with the longer UDF of above, with 8 places for its index
(`index_max_in_flight`) and 8 to wait; one worker. Beside it 200 requests a second to another
pipeline's index.""",
    "An endless loop in one pipeline": """\
200 requests a second to one pipeline, the others, and two clients of another one whose UDF never
ends, with default deadlines; {loop_rounds} rounds, one worker, in each round a UDF that is new to
it, and the same one in a new revision of its pipeline. Once that pipeline is turned off its clients
are answered at once and send as fast as they can, so that their load alone is there for comparison:
the same two clients of a UDF that ends. Beside these, one that needs a new sandbox for each run and
does not end in three of ten while it is loaded there.

Where the machine has two cores or more, the proxy has one for itself, loops and event loop
together; clients and backend share another, as the system would have them wait, too, for a loop
that spins beside them.""",
    "Many pipelines": """\
Each pipeline has sandboxes and an index of its own. {clients} requests are in flight all the time,
to one index after the other, on the static backend. `sandbox_max_live` has room for all.""",
    "Half load": """\
Half the requests a second that were answered at 32 connections, with query and result stage.
Memory, open files and tasks are those between two parts of the load.""",
}

STAGE_NOTE: Final = """\
Without proxy and backend: a function in a sandbox, one run at a time, in one process.

- **warm**: a run in a sandbox that is ready, the way to its thread and back included: what a stage
  adds to a request.
- **fresh**: the same with `isolation: request`, a sandbox made for this run alone.
- **stock**: the same at a hundred runs a second, so that the sandbox is made ahead of the run.
- **load**: making a sandbox and loading the UDF with its files into it, which a pooled UDF pays
  once for each sandbox.
- **native**: the same UDF and the same guest library run by the machine's own Python, which bounds
  nothing; reading the call and writing the answer included, no change of thread. `identity` returns
  what it is given and shows what the crossing costs."""

CAVEATS: Final = (
    "Backend, proxy and load generator share this one machine's cores. With as few as here they "
    "take them from each other at many connections; a proxy on a machine of its own does better.",
    "Compare within one run only. The same machine is easily a fifth faster or slower in the next; "
    "read differences of less than that as none.",
    "A small index answers in about a millisecond. The proxy's part is the same in front of a "
    "backend that takes 50 ms, and the ratio then much smaller.",
    "p99 of a few thousand requests rests on a few dozen of them, and on a shared or virtual "
    "machine these tell of the scheduler and of Java's garbage collector as much as of the proxy.",
    "One proxy process, HTTP/1.1 with kept connections, no TLS, no compression, no authentication. "
    "The load generator's own time, some ten microseconds, is in every latency.",
    "CPU is user and system time of all processes of a proxy, sandboxes included, divided by the "
    "requests it answered.",
    "The JVM was warm for seconds, not for days.",
)

STAGE_KINDS: Final[Mapping[StageKind, str]] = {
    "warm": "warm run",
    "fresh": "fresh sandbox and run",
    "stock": "sandbox from stock and run",
    "load": "load",
    "native": "native run",
}
