"""One file for each kind of endpoint: what becomes of a request that may have pipelines.

searches    whatever carries a query
writes      whatever writes documents
get         documents by their ids
indices     index settings that are ours, in calls that write and show them
nodes       what clients ask to find the cluster's nodes

A handler gets an exchange and its target, and returns the response. What several of them need is
in `traffic`; what a request means is in `protocol`. Handlers do not know each other's insides, the
router, or `admin`.
"""
