"""The proxy: from a client's bytes to the backend's, and back.

Words
    target      what a request means to the backend: its endpoint and its indices
    exchange    one client request and the answer made for it
    traffic     the requests that belong to the backend; some of them have pipelines
    relay       traffic without a pipeline: bytes stream through, unparsed
    admin       the requests the proxy answers itself: /_pipeline, /_udf, /_querymill
    upstream    the way to the backend; the only module that talks to it for traffic
    compat      what an Elasticsearch client needs to work on an OpenSearch backend
    attachment  the index setting that binds a pipeline to an index

One way, never back and forth
    client -> server -> exchange -> target -> traffic -> relay            -> upstream -> backend
                                                      -> pipelines, then -> upstream -> backend

`proxy` imports `pipelines`, which knows nothing of HTTP. Settings are read once, in `settings`, and
everything else is handed what it needs through its constructor.
"""

__version__ = "0.1.0"
