"""Why a target is not reached: what the limit is, how that was measured, and what was tried.

Told of a target only where a run misses it. The figures were measured apart from the run, on a
machine of the same kind: two logical cores, CPython 3.11.2 as Debian builds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LIMITS: Final[Mapping[str, str]] = {
    "pass-through, CPU a request at 32 connections, against nginx": """\
The limit is the interpreter. Of some 65 us (`perf record` of a worker), 20 are the kernel's, for
two answers read and two written, which is as much as all of nginx takes; 38 are CPython's, and 5
those of the compiled HTTP parsers and of the event loop. Taken apart, aiohttp's server with an
answer of this proxy takes 19 us, the way to the backend 27 more, the proxy's own layers the rest.
Tried and kept: requests answered in their connection's own task, heads and selections remembered,
no timer for a request. Tried without gain: the hot modules compiled by mypyc (4 % less), the heap
in huge pages, `python -O`.""",
    "one warm query stage on top of pass-through, p50": """\
In a tight loop the stage takes 0.12 ms, half of it in the sandbox; between a request's other work
and with a pause before each, as here, code and data have left the caches, and the same
instructions take twice as long. Runs of the same code have measured 0.21 to 0.27 ms. Tried and
kept: text crosses without the binding's copies, no thread for quick UDFs, the interpreter warmed up
before it is snapshotted. Tried without gain: huge pages for the sandbox's code.""",
    "rewrite and re-sort in Python, CPU a request at 32 connections, against nginx + njs": """\
The limit is two interpreters. Of some 600 us (`perf record` of a worker) 150 are CPython in
WebAssembly, 300 CPython outside, in many short functions for two stages, 85 the kernel's, the rest
JSON, the binding and libc. nginx with njs does all of it in some 130 us. Guest and kernel leave
25 us of twice that, and the interpreter takes 38 to pass a request through without any stage: with
CPython on both sides it cannot be reached. What native Python would take is the next line. Tried
and kept: declared fields as columns, edits in place of a response, texts joined in place of parsed,
durations held back from their sketch; 7.6 x before these.""",
    "a stage in request isolation, from stock, at 100 requests/s, on top of pass-through": """\
At even distances each request finds a processor asleep and its caches cold, which doubles what any
stage takes; the same stage in pooled isolation, in the table, is no quicker. Runs of the same code
have measured 0.41 to 0.79 ms, as busy as the machine's host was.""",
    "sandbox-bound throughput of two workers, against one": """\
The limit is the machine: one worker already uses more than one of the two cores, since its sandbox
runs beside its event loop, and two of them share both with the load generator and the backend. A
version whose threads waited for the event loop between two runs did 279 requests a second with one
worker and 538 with two, 1.88 x; one worker does a fifth more now, and two do as many.""",
    "re-ranking 100 hits with declared fields, on top of pass-through, p50": """\
Without a sandbox, reading 60 KB of JSON and writing it twice (once to know that nothing is lost by
it) takes 0.15 ms, and the sandbox 0.17 to 0.19 for a hundred calls of the UDF's sort key. Tried and
kept: columns, no reference cycles in the guest, whose garbage collector took 1.4 ms every 40th run,
no thread for the answer; 1.47 ms before these.""",
    "the same: slowest pipeline's p99, against the median pipeline's": """\
A pipeline's p99 of some twenty requests is its slowest one. Tried and kept: connections to the
backend and threads are handed to who waits longest; before, it was 50 x.""",
    "an endless loop in one pipeline: p99 of the others, against without": """\
The limit is the measurement: the same two clients of a UDF that ends, in the table of that section,
raise the others' p99 as much, and one round differs from the next by more. Tried and kept: a thread
of the lowest priority for runs of runaways, a breaker, nothing left to the garbage collector by
runs that failed; 14.8 x before these.""",
}
