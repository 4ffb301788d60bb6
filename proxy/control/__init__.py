"""Definitions: where they are kept, and how every worker has the same.

cluster_store, numbered  the store in the backend's index `.querymill`, and what changed in it
mirror      what the store holds, as far as it is in force here
reading     changed records on their way into the registry
definitions the way through: checked, written, in force
sync        before a request: take in what another worker has told its client is in force

Imports `store`, `backend` and what is below it, and `pipelines`. All but the cluster store know the
protocol `store.Store` alone. Knows no HTTP call of administration.
"""
