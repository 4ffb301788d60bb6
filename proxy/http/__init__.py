"""Words of HTTP, without I/O: headers, query strings, media types, encodings, errors.

errors      `ErrorResponse`, an error that is a response already, in the backend's envelope
headers     which fields go on to the other side
memo        what was found out about a request line or its fields, remembered

Imports nothing of ours.
"""
