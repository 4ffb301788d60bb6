"""Which pipelines a request names itself: in its URL, in its body, or in a header field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

from pipelines.definitions.attachment import NONE
from pipelines.jsontext.slices import member, with_member, without_member
from pipelines.registry import Registry
from proxy.http.headers import NAMES_PIPELINES
from proxy.http.query_string import QueryString
from proxy.server.exchange import Exchange

SEARCH_PIPELINE: Final = "search_pipeline"
"""The parameter, and the member of a search, that is also the backend's own."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The pipelines a request names, as it wrote them.

    A client may send the header field with all its requests. So of those named `by_header`, the
    ones of a type that the request does not take are left out.
    """

    text: str
    by_header: bool = False

    @property
    def names(self) -> list[str]:
        """The single names."""
        return [name.strip() for name in self.text.split(",") if name.strip()]


@dataclass(frozen=True, slots=True)
class Names:
    """Tells our pipelines from the backend's, by what is registered."""

    registry: Registry

    def split(self, text: str) -> tuple[str | None, str | None]:
        """Of a list of names, those that are ours, and what is the backend's to run."""
        names = [name for name in text.split(",") if name]
        rest = [name for name in names if self.registry.find(name) is None]
        ours = [name for name in names if self.registry.find(name) is not None]
        return ",".join(ours) or None, ",".join(rest) or None

    def by_header(self, exchange: Exchange) -> Asked | None:
        """What the header field names."""
        values = exchange.headers.getall(NAMES_PIPELINES, [])
        text = ",".join(value for value in values if value.strip())
        if not text:
            return None
        exchange.reports_id = True
        return Asked(text, by_header=True)

    def of(
        self, exchange: Exchange, query: QueryString, *, searches: bool = False
    ) -> tuple[Asked | None, QueryString]:
        """What a request that reads names, and its URL without that.

        A parameter counts before the header field, and `pipeline` before ``search_pipeline``, which
        only a request that `searches` has.
        """
        asked: Asked | None = None
        header = self.by_header(exchange) if exchange.facts.names_pipelines else None
        if not query.raw:
            return header, query
        if (text := query.get("pipeline")) is not None:
            asked, query = Asked(text), query.without({"pipeline"})
        if searches and (text := query.get(SEARCH_PIPELINE)) is not None:
            ours, rest = self._theirs(text)
            asked = asked or ours
            if rest != text:
                query = query.without({SEARCH_PIPELINE})
                query = query.with_parameter(SEARCH_PIPELINE, rest) if rest else query
        if asked is not None and asked.text != NONE:
            exchange.reports_id = True
        return asked or header, query

    def in_body(self, text: str) -> tuple[Asked | None, str]:
        """What a search's body names, and the body without that.

        Raises `ValueError` where it is no JSON object.
        """
        part = member(text, SEARCH_PIPELINE)
        value = orjson.loads(text[part.start : part.end]) if part else None
        # An object is a pipeline of the backend's, written out.
        if not isinstance(value, str):
            return None, text
        ours, rest = self._theirs(value)
        if rest == value:
            return ours, text
        if rest is None:
            return ours, without_member(text, SEARCH_PIPELINE)
        return ours, with_member(text, SEARCH_PIPELINE, orjson.dumps(rest).decode())

    def _theirs(self, text: str) -> tuple[Asked | None, str | None]:
        """What of a ``search_pipeline`` is ours, and what is left; `_none` is for both."""
        if text == NONE:
            return Asked(NONE), text
        ours, rest = self.split(text)
        return (Asked(ours), rest) if ours else (None, text)
