"""Bodies, taken apart as the backends do.

lenient_json  JSON as the backends read it, which is more than JSON; `tokens` are its words
members       texts under members of a name, wherever they stand
bulk_body     the items of a bulk; `msearch_body` the searches of a multi search

Imports `target`, and of `pipelines` JSON text.
"""
