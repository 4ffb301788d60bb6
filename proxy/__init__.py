"""The proxy: from a client's bytes to the backend's, and back.

Words
    target      what a request means to the backend: its operation and its indices
    exchange    one client request and the response made for it
    traffic     the requests that belong to the backend; some of them have pipelines
    relay       traffic without a pipeline: bytes stream through, unparsed
    handler     what becomes of requests of one kind that may have pipelines
    admin       the requests the proxy answers itself: /_pipeline, /_udf, /_querymill
    upstream    the way to the backend; the only room that opens sockets for traffic
    attachment  the index setting that binds a pipeline to an index

One way, never back and forth
    client -> server -> traffic -> relay              -> upstream -> backend
                                -> handlers: pipelines -> upstream -> backend
                     -> admin -> control -> backend

Each room says in its `__init__` what it owns and whom it imports; arrows run down only, from `cli`
to `http`. `proxy` imports `pipelines`, which knows nothing of HTTP. Settings are read once, in
`config`, and everything else is handed what it needs through its constructor. The whole is drawn
in docs/ARCHITECTURE.md.
"""

__version__ = "0.1.0"
