"""How a call to the backend can fail; each is a different response to the client.

UpstreamError
├── UpstreamUnreachable   no connection to any node: the request was not sent
├── UpstreamTimeout       no byte came for as long as the settings allow
├── UpstreamBroken        the connection ended, or made no sense, before the response was complete
├── UpstreamTooLarge      the response is larger than what the caller can take
└── UpstreamBusy          every connection is in use, and stayed so
"""

from __future__ import annotations


class UpstreamError(Exception):
    """Base of what `proxy.upstream.client` raises; the message names the node."""


class UpstreamUnreachable(UpstreamError):
    """No node could be connected to. Nothing of the request was sent."""


class UpstreamTimeout(UpstreamError):
    """The backend took a request and then sent nothing for too long."""


class UpstreamBroken(UpstreamError):
    """The response ended before its end, or is not HTTP."""


class UpstreamTooLarge(UpstreamError):
    """The response's body is larger than the limit the caller gave."""


class UpstreamBusy(UpstreamError):
    """All connections to the backend are in use; trying again later can help."""
