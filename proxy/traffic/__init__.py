"""What all endpoints share on the way from a request to its response.

router      guards the store, admits, and hands each request to the handler of its kind
selection   the pipelines of a request: named on it, attached to its targets, and final ones
runs        all pipeline runs of one request: what they came to, and what is told
relay       a request to the backend and its response back, byte for byte
refusals    the original goes in the place of a rewritten request that the backend refuses

Imports `control`, `telemetry` and what is below them; no handler.
"""
