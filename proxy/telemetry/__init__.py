"""Logs, counters, and their sum over processes.

snapshot    what one process counted, in a form that can be added up
aggregate   the snapshots of all workers of a host
metrics     counting requests; the exposition for Prometheus

Nothing here decides anything. Imports `server` and what is below it, for what it counts.
"""
