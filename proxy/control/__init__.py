"""Definitions: where they are kept, and how every worker has the same.

store       the hidden index `.querymill`; written by compare-and-set
mirror      what the store holds, followed by reading what changed
reading     changed records on their way into the registry
definitions the way through: checked, written, in force
sync        before a request: take in what another worker has told its client is in force

Imports `backend` and what is below it, and `pipelines`. Knows no HTTP call of administration.
"""
