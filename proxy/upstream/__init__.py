"""Bytes to the backend and back, over kept-alive connections: ``send(request) -> response``.

client      picks a node, lends a connection, retries what may be sent twice
nodes       whose turn it is, and which are taken for dead
connection_pool, connection, http11  the connections to one node, and how responses are read

The only room that opens sockets for traffic. Imports `http` and `tasks`.
"""
