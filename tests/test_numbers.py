"""Numbers in the documents are those of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.definitions.limits import (
    FILES_MAX,
    MEMORY_MAX_MB,
    MEMORY_MB,
    MEMORY_MIN_MB,
    PACKAGE_MAX,
    PIPELINE_TIMEOUT_MAX_MS,
    PIPELINE_TIMEOUT_MS,
    RETRIES_MAX,
    SOURCE_MAX,
    STAGE_TIMEOUT_MAX_MS,
    STAGE_TIMEOUT_MS,
    STAGES_MAX,
)
from pipelines.jsontext.projection import NAMES_MAX, PATHS_MAX
from pipelines.stages.python import (
    BATCH_MS,
    LOG_BYTES,
    LOG_MAX_BYTES,
    SIZE,
    SIZE_MAX,
    SIZE_MIN,
)
from pipelines.wasm import Runtime
from pipelines.wasm.codec import HEADER_BYTES, REASON_BYTES
from pipelines.wasm.pool import SandboxPool
from pipelines.wasm.pool.pool import REST_SECONDS
from pipelines.wasm.pool.prewarm import FIRST
from proxy.config.settings import SETTINGS
from tests.pipelines.conftest import guest_module
from tests.pipelines.wasm.udfs import Runner

DOCS = Path(__file__).parents[1] / "docs"
KB, MB = 1024, 1024 * 1024
WORDS = {2: "two", 60: "a minute"}
BY_NAME: dict[str, Any] = {setting.name: setting.default for setting in SETTINGS}
LOAD_SECONDS = BY_NAME["sandbox_load_timeout"]


def size(count: int) -> str:
    """As the documents write it."""
    return f"{count // MB:,} MB" if count % MB == 0 else f"{count // KB:,} KB"


SANDBOX = [
    f"| time of a run | {STAGE_TIMEOUT_MS} ms",
    f"| time to load a UDF | {LOAD_SECONDS * 1000:,.0f} ms (`sandbox_load_timeout`)",
    f"interpreter's 20 MB included | {MEMORY_MB} MB |",
    f"and request), bytes | {size(SIZE)} |",
    f"written out for each hit | {size(SIZE)} |",
    f"| `context.state` and metadata, bytes | {size(HEADER_BYTES)} together",
    f"| reason of a `reject`, bytes | {size(REASON_BYTES)} |",
    f"| log of a run, bytes | {size(LOG_BYTES)} |",
    f"`walk` and `rewrite` | {guest_module('querymill.querytree').MAX_DEPTH} clauses |",
    f"A batch of documents has at most {BATCH_MS} ms",
    f"replaced after {BY_NAME['sandbox_recycle_runs']:,} runs or "
    f"{BY_NAME['sandbox_recycle_seconds'] / 60:.0f} minutes",
    f"new sandboxes are kept ready: {WORDS[FIRST]} of a UDF",
    f"not used for {WORDS[round(REST_SECONDS)]}",
]
GUIDE = [
    f"| `timeout_ms` | {PIPELINE_TIMEOUT_MS:,} | bounds the whole run, waiting included; "
    f"1 to {PIPELINE_TIMEOUT_MAX_MS:,} |",
    f"| `stages` | required | 1 to {STAGES_MAX}, run in this order |",
    f"| `timeout_ms` | {STAGE_TIMEOUT_MS} | bounds its execution",
    f"without the waiting for a sandbox; 1 to {STAGE_TIMEOUT_MAX_MS:,} |",
    f"tries after the first; at most {RETRIES_MAX} |",
    f"document and result stages: 1 to {PATHS_MAX} paths",
    f"| `memory_mb` | {MEMORY_MB} | memory of the sandbox; {MEMORY_MIN_MB} to {MEMORY_MAX_MB:,}.",
    f"| `input_bytes` | {size(SIZE)} | largest payload, or declared part of it, "
    f"{size(SIZE_MIN)} to {size(SIZE_MAX)} |",
    f"| `output_bytes` | {size(SIZE)} | largest result, or edits to one, "
    f"{size(SIZE_MIN)} to {size(SIZE_MAX)} |",
    f"| `log_bytes` | {size(LOG_BYTES)} | most that is kept of the log, 0 to {size(LOG_MAX_BYTES)}",
    f"A path is up to {NAMES_MAX} names joined by dots",
    f"State and metadata are JSON, {size(HEADER_BYTES)} together at most",
    f"| time of a stage, of a run | {STAGE_TIMEOUT_MS} ms, {PIPELINE_TIMEOUT_MS:,} ms |",
    f"| memory | {MEMORY_MB} MB, some 20 MB of which",
    f"its part and the edits | {size(SIZE)} each |",
    f"| a body that pipelines read | {size(BY_NAME['max_transform_bytes'])}, inflated |",
    f"| time to load a UDF | {LOAD_SECONDS:.0f} s |",
    f"| log | {size(LOG_BYTES)} a run |",
    f"| source; data files | {size(SOURCE_MAX)}; {FILES_MAX} files of {size(PACKAGE_MAX)} together",
]
API = [
    f"at most {size(SOURCE_MAX)}, "
    f"all files (at most {FILES_MAX}) have {size(PACKAGE_MAX)} together",
    f"The check has {MEMORY_MB} MB",
    f"({MEMORY_MIN_MB} to {MEMORY_MAX_MB:,})",
]


@pytest.mark.parametrize(
    ("name", "texts"),
    [("SANDBOX.md", SANDBOX), ("PYTHON_PIPELINE_GUIDE.md", GUIDE), ("API.md", API)],
)
def test_limits_are_reported_as_they_are(name: str, texts: list[str]) -> None:
    """Each stands in the document with the number that the code has."""
    document = re.sub(r"\s+", " ", (DOCS / name).read_text())
    assert [text for text in texts if text not in document] == []


async def test_the_python_of_the_sandbox_is_reported(runtime: Runtime) -> None:
    """With the memory that its interpreter takes."""
    pool = SandboxPool(runtime, load_timeout_ms=20_000)
    try:
        version = await Runner(pool).value("sys.version_info[:2]", before="import sys")
    finally:
        await pool.close()
    major, minor = version
    assert f"CPython {major}.{minor}," in (DOCS / "SANDBOX.md").read_text()
