"""Loads the examples as an upload would, and natively for comparison with an oracle."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pipelines.definitions.package import Package
from pipelines.definitions.udf import read_package
from pipelines.jsontext.projection import Projection
from pipelines.wasm import Call, Limits, Reply, UdfUse, parameters_text
from pipelines.wasm.call import Phase
from pipelines.wasm.pool import SandboxPool

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
CATALOGUE = EXAMPLES / "catalogue"
NAMES = (
    "synonym-expansion",
    "spell-correction",
    "ml-reranking",
    "document-enrichment",
    "document-validation",
)
_NOT_DATA = {"pipeline.json", "udf.py", "README.md"}


def definition(name: str) -> dict[str, Any]:
    """The example's pipeline.json."""
    return cast(dict[str, Any], json.loads((EXAMPLES / name / "pipeline.json").read_text()))


def package(name: str) -> Package:
    """The example's UDF with its data files, read as the JSON upload is."""
    folder = EXAMPLES / name
    files = {f.name: f.read_text() for f in folder.iterdir() if f.name not in _NOT_DATA}
    body = json.dumps({"source": (folder / "udf.py").read_text(), "files": files})
    udf_name = definition(name)["stages"][0]["config"]["udf_name"]
    return read_package(udf_name, body.encode(), format="json")


def native(name: str) -> dict[str, Any]:
    """The globals of the example's UDF, run by this interpreter on the real guest library."""
    guest = str(ROOT / "pipelines" / "wasm" / "guest")
    if guest not in sys.path:
        sys.path.append(guest)
    current = importlib.import_module("querymill.current").current
    loaded = package(name)
    current.files = {file: content.decode() for file, content in loaded.files.items()}
    namespace: dict[str, Any] = {"__name__": loaded.name}
    exec(compile(loaded.source, f"{name}/udf.py", "exec"), namespace)
    return namespace


@dataclass(frozen=True, slots=True)
class Example:
    """One example in real sandboxes; `parameters` and `input` are those of its pipeline.json."""

    pool: SandboxPool
    package: Package
    phase: Phase
    parameters: dict[str, Any]
    input: Projection | None = None

    @classmethod
    def load(cls, pool: SandboxPool, name: str) -> Example:
        defined = definition(name)
        config = defined["stages"][0]["config"]
        paths = config.get("input")
        declared = Projection(paths, of_hits=defined["type"] == "result") if paths else None
        return cls(pool, package(name), defined["type"], config["parameters"], declared)

    async def run(
        self, payload: Mapping[str, Any], *, request: Mapping[str, Any] | None = None, **params: Any
    ) -> Reply:
        """Runs the UDF on `payload`; `params` override the example's parameters."""
        call = Call(
            phase=self.phase,
            payload=json.dumps(payload),
            request=json.dumps(request or {}) if self.phase == "result" else None,
            projection=self.input,
        )
        # generous: what is tested is what it answers, on a machine that may be busy
        limits = Limits(timeout_ms=20_000)
        given = parameters_text({**self.parameters, **params})
        return await self.pool.run(UdfUse(self.package, given, limits), call)

    async def rewritten(self, clause: Mapping[str, Any], **params: Any) -> Any:
        """What a query clause becomes."""
        return (await self.run({"query": clause}, **params)).data["query"]
