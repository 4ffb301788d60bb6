"""Whatever carries a query: `_search`, `_msearch`, asynchronous searches, scrolls, points in time,
and the calls that have a query and nothing more.

Pipelines run around all of them in `traffic.search_run`; here is how each asks the backend.
"""
