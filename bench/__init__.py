"""What the proxy costs: `python -m bench` measures it and writes docs/BENCHMARKS.md.

Words
    material    what is searched and run: the catalogue, the searches, two of the examples
    child       a process of the benchmark: proxies, the static backend, the load generator
    case        one way to answer the same search: direct, or through the proxy with pipelines
    round       every case once, for a bounded time, at 1 connection and at 8
    sample      what one case came to in one round: percentiles, throughput, CPU of the proxy
    figures     samples summed up: medians over rounds, ratios between cases of the same round
    report      the figures as tables, for the terminal and as Markdown

Cases are interleaved round by round and compared within a round only, so that a machine that
speeds up or slows down meanwhile does so for all of them. Nothing here passes or fails by a time.
"""
