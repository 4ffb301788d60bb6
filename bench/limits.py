"""Why a target is not reached: what the limit is, how that was measured, and what was tried.

Told of a target only where a run misses it. The figures were measured apart from the run, on
machines of two logical cores with CPython 3.11.2 as Debian builds it: "AMD" and "Intel" are those
of bench/history.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LIMITS: Final[Mapping[str, str]] = {
    "pass-through, CPU a request at 32 connections, against nginx": """\
The limit is the interpreter. Of some 65 to 70 us (`perf record` of a worker), 20 are the
kernel's, for two responses read and two written; 38 to 40 are CPython's, and 5 those of the
compiled HTTP parsers and of the event loop. Taken apart, aiohttp's server with an answer of this
proxy takes 19 us, the way to the backend 27 more, the proxy's own layers the rest. Tried and
kept: requests answered in their connection's own task, heads and selections remembered, no timer
for a request. Tried without gain: the hot modules compiled by mypyc (4 % less), the heap in huge
pages, `python -O`. The ratio is the machine's as much as the proxy's: nginx takes 24 us on the
AMD machine and 12 on the Intel one, the proxy 68 on both. There 11 of its 20 us of kernel wake
the other core for the two writes, each an exit from the virtual machine; nginx answers so fast
that the other core never sleeps.""",
    "one warm query stage on top of pass-through, p50": """\
In a tight loop the stage takes 0.12 ms, half of it in the sandbox; between a request's other
work and with a pause before each, as here, code and data have left the caches, and the same
instructions take twice as long. On the Intel machine a request with the stage takes 0.21 ms of
CPU more at 32 connections and 0.35 ms at one, where the core sleeps in between; there even the
HTTP parser, whose work is the same with and without, takes 16 us in place of 7. Runs of the same
code have measured 0.21 to 0.27 ms on one machine, 0.28 to 0.47 ms on another. Tried and kept:
text crosses without the binding's copies, no thread for quick UDFs, the interpreter warmed up
before it is snapshotted. Tried without gain: huge pages for the sandbox's code.""",
    "rewrite and re-sort in Python, CPU a request at 32 connections, against nginx + njs": """\
The limit is two interpreters. Of some 600 us (`perf record` of a worker) 150 are CPython in
WebAssembly, 300 CPython outside, in many short functions for two stages, 85 the kernel's, the
rest JSON, the binding and libc. nginx with njs does all of it in some 130 us. Guest and kernel
leave 25 us of twice that, and the interpreter takes 38 to pass a request through without any
stage: with CPython on both sides it cannot be reached. What native Python would take is the
next line. Tried and kept: declared fields as columns, edits in place of a response, texts
joined in place of parsed, durations held back from their sketch; 7.6 x before these.""",
    "a stage in request isolation, from stock, at 100 requests/s, on top of pass-through": """\
At even distances each request finds a processor asleep and its caches cold, which doubles what
any stage takes; the same stage in pooled isolation, in the table, is no quicker. Runs of the
same code have measured 0.41 to 0.98 ms, as busy as the machine's host was.""",
    "query + result pipeline on a search of 5 ms or more, p50, against direct": """\
Two stages and the way through the proxy add the 1 to 1.8 ms of the table, more than at other
times, as a search of 15 ms leaves the caches cold. Runs of the same code have measured 1.07 to
1.12 x. A search that takes longer is nearer to 1.""",
    "sandbox-bound throughput of two workers, against one": """\
The limit is the machine's two cores. One worker keeps 1.06 to 1.10 of them busy, as its event
loop runs beside its sandbox, and load generator and backend some 0.06 more: the figures are in
the table. So at best two workers do 2 / (1.10 + 0.06) to 2 / (1.06 + 0.06), 1.7 to 1.8 times as
much with the longer UDF, and less with the shorter one, which leaves less of its time to the
sandbox. Tried and kept: a thread goes on with the next run itself, a sixth less CPU for a quick
run on a thread. Tried without gain: UDFs longer still, for which two processes that share nothing
slow each other down.""",
    "re-ranking 100 hits with declared fields, on top of pass-through, p50": """\
The limit is the interpreter in the sandbox, and caches: a hundred calls of the UDF's sort key
and a hundred numbers in and out take 0.2 ms in a tight loop, between a request's other work a
third more, and reading 60 KB of JSON 0.09 ms. Tried and kept: columns, hits moved in the text
of the response in place of writing it anew, one object in place of a hundred, no reference
cycles in the guest, whose garbage collector took 1.4 ms every 40th run, no thread for the
answer; 1.47 ms before these, where 0.62 came out without the second and the third. Of all
figures this one depends most on how much of the caches the neighbours leave: within two hours
one machine measured 0.78 to 1.6 ms with the same code.""",
    "the same: slowest pipeline's p99, against the median pipeline's": """\
A pipeline's p99 of some twenty requests is its slowest one, so that one pause of the machine
makes it, or one sandbox that is still to be made: 1.8 to 6.5 x in runs of the same code that warmed
up with 8 requests a pipeline, 1.6 to 2.1 x with 24. Tried and kept: connections to the backend and
threads are handed to who waits longest; before, it was 50 x.""",
    "an overloaded index: p99 of the 429s": """\
A 429 is written as soon as its request is read. What it waits for is a turn of the event loop,
which on two cores it shares with the load generator.""",
    "an endless loop in one pipeline: p99 of the others, against without": """\
The limit is what is not known yet. A UDF's first run has the priority of all others until it
passes its deadline; in those 250 ms one request in five waits 2 to 5 ms for the scheduler's tick,
as loop and event loop share a core here, and these ten of 800 make the p99. From then on the loop
is not felt: see the same loop again, and two clients of a UDF that ends. Tried and kept: a thread
of the lowest priority for runs of runaways, a breaker, nothing left to the garbage collector by
runs that failed; 14.8 x before these. Tried and given up: a lower priority for all first runs, or
after 30 ms of processor time. It came to 1.0 and 1.6 x, but on a busy machine first runs may
starve: in one of two runs with 1,000 pipelines that begin at once their p99 was 1.1 s in place of
0.2. Tried without gain: shorter turns for the event loop (`sched_setattr`, from Linux 6.12).""",
    "pass-through, added p50 at 1 connection, against nginx's": """\
As for its CPU: one machine came to 1.7 x, another to 3.4 to 3.7 x with the same code.""",
    "bulk of 500 through a Python stage, documents/s, against ingest with Painless": """\
A document's way through the sandbox takes some 20 us, as much as indexing it does on a node that
has nothing else to do; Painless is compiled to machine code. Runs of the same code have measured
0.65 to 0.79 x. Tried and kept: documents in batches of one call.""",
    "start with a warm cache, to ready": """\
Most of it is importing modules. Runs of the same code have measured 0.55 to 1.2 s.""",
}
