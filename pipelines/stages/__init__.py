"""The kinds of stages: one file a kind, one line here. `kind` is what each of them has to be.

Imports `definitions`, `execution` and `wasm`; only `compiler` and what is above it import this.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.stages.kind import Kind
from pipelines.stages.python import PythonKind

KINDS: Mapping[str, Kind] = {
    "python": PythonKind(),
}
