"""Calls to a server that only prepare a measurement: JSON there and back."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from bench.material import Example

_TIMEOUT_SECONDS: Final = 60.0
# An index is made before its shard is there, which nothing here waits for.
_AT_ONCE: Final = "?wait_for_active_shards=0"
_STAGE_MS: Final = 5_000
_PIPELINE_MS: Final = 30_000


class ServerError(Exception):
    """A server refused what the benchmark needs; the text has its response."""


class Server:
    """A backend or a proxy at `address` (HOST:PORT)."""

    def __init__(self, address: str) -> None:
        self.address = address

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The response's JSON. Raises ServerError for any status from 300 on, OSError."""
        return json.loads(self._call(method, path, body))

    def text(self, path: str) -> str:
        """The response's text. Raises as `call` does."""
        return self._call("GET", path, None).decode()

    def _call(self, method: str, path: str, body: object) -> bytes:
        content = body if isinstance(body, str | None) else json.dumps(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self.address, timeout=_TIMEOUT_SECONDS)
        try:
            data = None if content is None else content.encode()
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        if response.status >= 300:
            told = raw[:1000].decode(errors="replace")
            raise ServerError(f"{method} {path} on {self.address}: {response.status} {told}")
        return raw

    def fill(self, index: str, body: object, documents: list[str]) -> None:
        """Make an index with these documents in one segment. Raises ServerError."""
        self.call("PUT", f"/{index}", body)
        lines = [
            line
            for number, document in enumerate(documents)
            for line in (json.dumps({"index": {"_id": str(number)}}), document)
        ]
        response = self.call("POST", f"/{index}/_bulk", "\n".join([*lines, ""]))
        if response["errors"]:
            raise ServerError(f"not every product could be indexed in [{index}]: {response}"[:1000])
        self.call("POST", f"/{index}/_forcemerge?max_num_segments=1")
        self.call("POST", f"/{index}/_refresh")

    def upload(self, example: Example) -> None:
        """Store an example's UDF and pipeline (of a proxy). Raises ServerError."""
        self.call("PUT", f"/_udf/{quote(example.package.name)}", example.upload)
        self.call("PUT", f"/_pipeline/{quote(example.name)}", example.definition)

    def exists(self, index: str) -> bool:
        """Whether there is such an index. Raises OSError."""
        connection = http.client.HTTPConnection(self.address, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("HEAD", f"/{index}")
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def attach(self, index: str, *examples: Example) -> None:
        """Make pipelines the default ones of an index (of a proxy). Raises ServerError."""
        self.attach_names(index, {e.phase: e.name for e in examples})

    def attach_names(self, index: str, names: Mapping[str, str]) -> None:
        """The same by phase and name (of a proxy). Raises ServerError."""
        settings = {f"index.{phase}.default_pipeline": name for phase, name in names.items()}
        self.call("PUT", f"/{index}/_settings", settings)

    def store_udf(self, name: str, source: str) -> None:
        """Store a function (of a proxy). Raises ServerError."""
        self.call("PUT", f"/_udf/{quote(name)}", {"source": source})

    def store(self, name: str, phase: str, *stages: Mapping[str, object]) -> None:
        """Store a pipeline of python stages, each given as its config (of a proxy).

        Their deadline is generous: a busy machine lengthens a run and does not end it.
        Raises ServerError.
        """
        told = [
            {"name": f"stage-{n}", "type": "python", "timeout_ms": _STAGE_MS, "config": dict(stage)}
            for n, stage in enumerate(stages)
        ]
        definition = {"type": phase, "timeout_ms": _PIPELINE_MS, "stages": told}
        self.call("PUT", f"/_pipeline/{quote(name)}", definition)

    def make(
        self,
        index: str,
        attached: Mapping[str, str] | None = None,
        properties: Mapping[str, object] | None = None,
    ) -> None:
        """Make an empty index of one shard with pipelines attached (by phase), in place of one
        that is there. Raises ServerError.
        """
        if self.exists(index):
            self.call("DELETE", f"/{index}")
        settings: dict[str, object] = {"number_of_shards": 1, "number_of_replicas": 0}
        for phase, name in (attached or {}).items():
            settings[f"index.{phase}.default_pipeline"] = name
        mappings = {"properties": dict(properties or {})}
        self.call("PUT", f"/{index}{_AT_ONCE}", {"settings": settings, "mappings": mappings})

    def make_with(self, index: str, name: str, source: str) -> None:
        """Make an index whose searches run a query function, stored as `name` (of a proxy).

        Raises ServerError.
        """
        self.store_udf(name, source)
        self.store(name, "query", {"udf_name": name})
        self.make(index, {"query": name})

    def rewritten(self, example: Example, request: dict[str, Any]) -> dict[str, Any]:
        """What a query pipeline makes of a search (by a proxy). Raises ServerError."""
        run = self.call("POST", f"/_pipeline/{quote(example.name)}/_execute", {"input": request})
        if run["outcome"] != "done":
            raise ServerError(f"pipeline [{example.name}] does not work: {run}"[:1000])
        output: dict[str, Any] = run["output"]
        return output
