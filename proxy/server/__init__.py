"""From the listening socket to an exchange, and from its response to the client.

listener    takes connections off a socket that several processes may share
connection  the client's side of a connection: requests one after the other
exchange    one request and the response made for it
admission   how many are answered at once; the rest waits, or is refused
errors      which exception becomes which response

Imports `protocol`, `upstream`, `store` and `config` for their words; knows neither traffic nor
pipelines.
"""
