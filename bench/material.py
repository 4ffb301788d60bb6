"""What is searched and what is run: the catalogue, the searches, the examples."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from bench.child import ROOT
from pipelines.definitions.package import Package
from pipelines.definitions.udf import package_json, read_package
from pipelines.jsontext.projection import Projection
from pipelines.wasm import Phase

EXAMPLES: Final = ROOT / "examples"
CATALOGUE: Final = EXAMPLES / "catalogue"

INDEX: Final = "bench-products"
QUERY_INDEX: Final = "bench-products-query"
BOTH_INDEX: Final = "bench-products-both"

# Indices whose searches the static backend answers: with the number of hits, and what else.
STATIC: Final = "bench-static"
STATIC_HITS: Final = (10, 100, 1000)

# What somebody looks for in the catalogue; synonyms are known for most of it.
_SEARCHES: Final = (
    "laptop",
    "tv",
    "running shoes",
    "cell phone",
    "couch",
    "wireless headphones",
    "notebook computer red",
    "bluetooth speaker",
    "silent keyboard",
    "espresso machine",
    "smart television",
    "gaming monitor blue",
)

# Makes a product of the catalogue as long as one of a real shop.
_DETAILS: Final = (
    "Delivered within three working days, returned within thirty. The warranty of two years covers "
    "material and making; spare parts can be had for ten years. Weight and size are those of the "
    "packed product, and colours may differ from the picture. "
)

_NOT_DATA: Final = {"pipeline.json", "udf.py", "README.md"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One folder of examples/: its pipeline as uploaded, and its UDF."""

    definition: dict[str, Any]
    package: Package

    @property
    def name(self) -> str:
        return str(self.definition["name"])

    @property
    def phase(self) -> Phase:
        phase: Phase = self.definition["type"]
        return phase

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of its only stage."""
        return dict(self.definition["stages"][0]["config"]["parameters"])

    @property
    def input(self) -> Projection | None:
        """What its only stage declares to read, None for all."""
        paths = self.definition["stages"][0]["config"].get("input")
        return Projection(paths, of_hits=self.phase == "result") if paths else None

    @property
    def upload(self) -> dict[str, Any]:
        """The body of `PUT /_udf/{name}`."""
        body: dict[str, Any] = json.loads(package_json(self.package))
        return body


def example(name: str) -> Example:
    """Read a folder of examples/. Raises OSError, DefinitionError."""
    folder = EXAMPLES / name
    definition = json.loads((folder / "pipeline.json").read_text(encoding="utf-8"))
    files = {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in _NOT_DATA
    }
    body = {"source": (folder / "udf.py").read_text(encoding="utf-8"), "files": files}
    udf = definition["stages"][0]["config"]["udf_name"]
    package = read_package(udf, json.dumps(body).encode(), format="json")
    return Example(definition=definition, package=package)


def products() -> list[str]:
    """The catalogue, one JSON text a product."""
    return (CATALOGUE / "products.ndjson").read_text(encoding="utf-8").splitlines()


def index_body() -> dict[str, Any]:
    """Settings and mappings of the catalogue's index: one shard, no replica."""
    body: dict[str, Any] = json.loads((CATALOGUE / "index.json").read_text(encoding="utf-8"))
    return body


def searches() -> list[dict[str, Any]]:
    """Search requests for ten hits each."""
    return [{"query": {"match": {"title": text}}, "size": 10} for text in _SEARCHES]


def static_index(hits: int, what: str = "") -> str:
    """The name of an index that the static backend answers with so many hits."""
    return f"{STATIC}-{hits}" + (f"-{what}" if what else "")


def search_response(count: int) -> str:
    """The JSON of a search response with `count` hits of some 600 bytes, shaped as OpenSearch's."""
    hits = [
        {
            "_index": INDEX,
            "_id": str(number),
            "_score": round(9.0 - number / 50, 4),
            "_source": json.loads(product) | {"details": _DETAILS},
        }
        for number, product in enumerate(products()[:count])
    ]
    found = {"total": {"value": count, "relation": "eq"}, "max_score": 9.0, "hits": hits}
    shards = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
    response = {"took": 1, "timed_out": False, "_shards": shards, "hits": found}
    return json.dumps(response, separators=(",", ":"))
