"""What Elasticsearch clients expect of an OpenSearch backend.

client    which client sent a request, and the media types of its own
dialect   calls that the backends spell in different ways; `hints` are in its responses
members   what typed clients need in responses that OpenSearch leaves out

Imports `target` and `http`.
"""
