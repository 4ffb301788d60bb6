"""What the proxy asks the backend for itself, not for a client.

client      JSON calls with the proxy's own credentials
product     which product and version the backend is
resolver    which concrete indices an expression means; `name_batches` asks for many at once

Imports `upstream` and `protocol`.
"""
