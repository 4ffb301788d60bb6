"""The search REST API as values: pure, no I/O, no HTTP status but in errors.

target      a request's operation and the index expressions it names, from `endpoints`
reach       which expressions reach the store; `store_guard` keeps requests away from it
bodies      bodies, taken apart as the backends do, which read more than JSON
elastic     what Elasticsearch clients expect of an OpenSearch backend
resume_id   ids that carry on a search and remember what it runs

Imports `formats` and `http`, and of `pipelines` words, JSON text and errors.
"""
