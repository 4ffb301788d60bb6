"""A body that came in the URL of its request (``?source=``), and how to put it back there. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from proxy.protocol.target import Target

SOURCE: Final = "source"
_NAMES: Final = frozenset({SOURCE, "source_content_type"})


@dataclass(frozen=True, slots=True)
class SourceParameter:
    """A body that was taken from the URL, and how the request came.

    `line` is its path and query, `rest` the same without the body, `pairs` the parameters that are
    the body. `sent` is what came in its place: nothing, or what decodes to nothing. `header_type`
    is the Content-Type of the request itself.
    """

    body: bytes
    media_type: str
    line: str
    rest: str
    pairs: str
    sent: bytes | None
    header_type: str

    def put_back(self, target: str) -> str:
        """`target` with the body in it: the client's own line if nothing else has changed."""
        if target == self.rest:
            return self.line
        return f"{target}{'&' if '?' in target else '?'}{self.pairs}"


def taken_out(
    target: Target, sent: bytes | None, header_type: str
) -> tuple[SourceParameter, Target]:
    """The body in the URL of a request, and the request without it."""
    query = target.query
    shorter = replace(target, query=query.without(_NAMES))
    source = SourceParameter(
        body=(query.get(SOURCE) or "").encode("utf-8", "surrogatepass"),
        media_type=query.get("source_content_type") or "",
        line=target.line,
        rest=shorter.line,
        pairs=query.without(query.names() - _NAMES).raw,
        sent=sent,
        header_type=header_type,
    )
    return source, shorter
