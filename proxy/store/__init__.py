"""The store as everybody sees it, whoever keeps it: records, what can be done to them, errors.

store       `Store`, the protocol: what changed, bodies, write, delete
records     a record without its body, and what it is known by
errors      how a store can fail; each is another decision for a caller

Imports nothing of ours but `http`, for responses that a store has from its own keeper. Who keeps
records implements it (`control.cluster_store`), `control` is built on it, `app` chooses.
"""
