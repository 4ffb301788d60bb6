"""One file for each kind of endpoint: what becomes of a request that may have pipelines.

A handler gets an exchange and its target, and returns the response. What several of them need is
in `traffic`; what a request means is in `protocol`. Handlers do not know each other's insides, the
router, or `admin`.
"""
