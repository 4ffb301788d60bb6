"""The proxy put together, and the processes it runs in.

supervisor  the parent process: gunicorn's arbiter, which forks, watches, replaces and ends workers
worker      one process: an event loop, an engine and sandboxes of its own, on the shared sockets
assembly    what a worker opens in which order, and closes in the opposite one

Imports every room but `cli` and `demo`; nothing else knows how things are put together.
"""
