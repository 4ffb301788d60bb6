"""What to try while the demo is up: requests, and the curl lines that send them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxy.demo.material import INDEX

_SHORT = "filter_path=hits.total.value,hits.hits._source.title&pretty"
_LAPTOP = {"size": 3, "query": {"match": {"title": "laptop"}}}
_MISSPELT = {"size": 3, "query": {"match": {"title": "wireles hedphones"}}}
_QUERY = "index.query.default_pipeline"
_RESULT = "index.result.default_pipeline"


@dataclass(frozen=True, slots=True)
class Hint:
    """A request worth trying, and in a few words why."""

    why: str
    method: str
    target: str
    body: Mapping[str, Any] | None = None

    def curl(self, url: str) -> str:
        """The line that sends it to the proxy at `url`."""
        parts = ["curl -s"]
        if self.method != ("GET" if self.body is None else "POST"):
            parts.append(f"-X {self.method}")
        parts.append(shlex.quote(url + self.target))
        if self.body is not None:
            parts.append("-H 'Content-Type: application/json'")
            parts.append(f"-d {shlex.quote(json.dumps(self.body))}")
        return " ".join(parts)


HINTS: tuple[Hint, ...] = (
    Hint(
        "a search as the backend answers it",
        "POST",
        f"/{INDEX}/_search?pipeline=_none&{_SHORT}",
        _LAPTOP,
    ),
    Hint(
        "the same with synonyms",
        "POST",
        f"/{INDEX}/_search?pipeline=synonym-expansion&{_SHORT}",
        _LAPTOP,
    ),
    Hint(
        "attach two pipelines to the index: every search runs them from now on",
        "PUT",
        f"/{INDEX}/_settings",
        {_QUERY: "spell-correction", _RESULT: "ml-reranking"},
    ),
    Hint(
        "a misspelt search that names no pipeline",
        "POST",
        f"/{INDEX}/_search?pretty",
        _MISSPELT,
    ),
    Hint(
        "what a pipeline makes of a request, stage by stage",
        "POST",
        "/_pipeline/synonym-expansion/_execute?verbose=true&pretty",
        {"input": _LAPTOP},
    ),
    Hint(
        "how often it ran and how long that took",
        "GET",
        "/_pipeline/spell-correction/_stats?pretty",
    ),
    Hint("detach them", "PUT", f"/{INDEX}/_settings", {_QUERY: None, _RESULT: None}),
)
