"""The kinds of stages: one file a kind, one line here."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.definitions.pipeline import StageKind
from pipelines.stages.python import PythonKind

KINDS: Mapping[str, StageKind] = {
    "python": PythonKind(),
}
