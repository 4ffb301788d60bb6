"""The sandbox's guest code run by this Python itself, a process of its own, for comparison.

Jobs come as lines of JSON, responses go as lines. What is timed is what a sandbox does with a call:
read it, run the UDF, write the response; without WebAssembly around it and without any bounds.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from bench.child import ROOT
from bench.timing import timed


class NativeUdf:
    """One UDF loaded by the guest library, in this process."""

    def __init__(self, source: str, setup: Mapping[str, object]) -> None:
        """`setup` has name, params and files. Raises RuntimeError for a UDF that does not load."""
        self._udf = importlib.import_module("runtime.udf").Udf(log=lambda message: None)
        response = json.loads(self._udf.compile(source, setup["name"]))
        if "code" in response:
            response = json.loads(self._udf.load(source, json.dumps({**setup, **response})))
        if "entries" not in response:
            raise RuntimeError(f"the UDF [{setup['name']}] cannot be loaded: {response}")

    def run(self, call: str) -> None:
        """One run of `call`, as the sandbox's `run` takes it. Raises RuntimeError."""
        response = self._udf.run(call)
        if not response.partition("\n")[2]:
            raise RuntimeError(f"the UDF failed: {response[:1000]}")


def main() -> None:
    """Serve jobs (source, setup, call, runs, seconds) until standard input ends."""
    sys.path.append(str(ROOT / "pipelines" / "wasm" / "guest"))
    for line in sys.stdin:
        job: dict[str, Any] = json.loads(line)
        response: dict[str, object]
        try:
            run = partial(NativeUdf(job["source"], job["setup"]).run, job["call"])
            response = {"ns": timed(run, job["runs"], job["seconds"])}
        except RuntimeError as error:
            response = {"error": str(error)}
        print(json.dumps(response), flush=True)


if __name__ == "__main__":
    main()
