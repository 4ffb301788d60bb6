"""Pipelines: what runs on a query, a document or a search response, and how it is bounded.

The words:

pipeline    a named, versioned list of stages of one type: `query`, `document` or `result`
stage       one step; its `type` names its kind, a file in `stages/`
UDF         a named, versioned Python function package: source, and data files if it has any
sandbox     one live WebAssembly instance with a UDF loaded, in `wasm/`
payload     the JSON object a stage gets and gives: search request, document or search response
attachment  the index setting that binds a pipeline to an index, alias, data stream or pattern
run         one execution of one pipeline on one request; it ends in exactly one outcome:
            done, degraded, failed, rejected or dropped

The flow is one way: an upload is read by `definitions` into frozen values, `compiler` makes of each
what runs, with the kinds in `stages`, and `registry` holds it. `execution` runs a payload through
the stages, each seen by one observer, which alone times, counts and logs. A sandbox of `wasm` does
the work. Everything that runs has the same shape: ``async run(payload, scope) -> payload``.

This package knows nothing of HTTP; `proxy` imports it, never the other way round, and only
`pipelines.wasm` imports wasmtime.
"""
