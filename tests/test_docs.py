"""The documents are true: everything is in them, links lead somewhere, code runs."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipelines.compiler import Compiler
from pipelines.definitions.attachment import SETTINGS as ATTACHMENTS
from pipelines.definitions.pipeline import OnError, OnFailure, read_pipeline
from pipelines.definitions.udf import category_phase, read_package, source_headers
from pipelines.errors import STAGE_ERROR_KINDS, DefinitionError
from pipelines.execution.breaker import BreakerFigure
from pipelines.execution.stats import OUTCOMES, STAGE_OUTCOMES, Stats
from pipelines.jsontext.projection import Projection
from pipelines.registry import Registry
from pipelines.stages import KINDS
from pipelines.wasm import Call, Limits, Phase, UdfUse, parameters_text
from pipelines.wasm.pool import SandboxPool
from proxy.admin import Route
from proxy.admin.routes import admin_routes
from proxy.backend.client import Backend
from proxy.backend.resolver import Resolver
from proxy.config.client_settings import ClientSettings
from proxy.config.execute_settings import ExecuteSettings
from proxy.config.settings import load
from proxy.control.cluster_store import ClusterStore
from proxy.control.definitions import Definitions
from proxy.protocol.endpoints import ENDPOINTS
from proxy.server.admission import Admission
from proxy.server.errors import RESPONSES
from proxy.telemetry.metrics import Metrics, exposition
from proxy.traffic.selection import Selector
from proxy.upstream.client import Upstream
from tests.client import Client
from tests.documents import ROOT, Block, anchors, blocks, curl_calls, documents, links
from tests.settings_table import with_table

DOCS = ROOT / "docs"
GUIDE = DOCS / "PYTHON_PIPELINE_GUIDE.md"
API = (DOCS / "API.md").read_text()
OPERATIONS = (DOCS / "OPERATIONS.md").read_text()
GUEST = ROOT / "pipelines" / "wasm" / "guest" / "querymill"


# Everything there is


def test_every_setting_is_documented() -> None:
    """The table of the document is the one that the settings themselves make."""
    text = (DOCS / "SETTINGS.md").read_text()
    assert with_table(text) == text, "run: python -m tests.settings_table"


def test_the_example_file_of_settings_is_valid(tmp_path: Path) -> None:
    """It is read as a file given with --config."""
    (block,) = [block for block in blocks(DOCS / "SETTINGS.md") if block.info == "toml"]
    path = tmp_path / "querymill.toml"
    path.write_text(block.text)
    assert load({}, {}, path).max_transform_bytes == 20 * 1024 * 1024


def metrics(stats: Stats) -> Metrics:
    """What counts `stats` of one pipeline."""
    figures = {"p": BreakerFigure("closed")}
    return Metrics(stats, dict, lambda: 0, Admission(ClientSettings()), lambda: figures)


@pytest.fixture
def routes(patient_pool: SandboxPool) -> tuple[Route, ...]:
    """The table of administration calls; nothing of it is called."""
    upstream = Upstream(
        ["http://127.0.0.1:1"], connect_timeout=1.0, idle_timeout=1.0, connections=1
    )
    backend = Backend(upstream)
    registry = Registry(Compiler(patient_pool), Stats())
    definitions = Definitions(
        registry, ClusterStore(backend), patient_pool, refresh=1.0, max_bytes=1
    )
    selector = Selector(registry, Resolver(backend, ttl=1.0), "off")
    limits = ExecuteSettings()
    return admin_routes(
        definitions, backend, metrics(Stats()).gather, selector, patient_pool, limits
    )


async def test_every_administration_call_is_documented(routes: tuple[Route, ...]) -> None:
    """A row of a table begins with each method and path, and no row with another."""
    documented = re.findall(r"^\| `((?:GET|PUT|POST|DELETE) /_[a-z]\S*)` \|", API, re.MULTILINE)
    assert sorted(documented) == sorted(f"{route.method} {route.path}" for route in routes)


async def test_every_metric_is_documented() -> None:
    """With its name as Prometheus reads it, its type and its labels."""
    stats = Stats()
    stats.pipeline("p").stage("s")
    text = exposition(metrics(stats).figures()).decode()
    for metric in text_string_to_metric_families(text):
        name = metric.name + ("_total" if metric.type == "counter" else "")
        assert f"| `{name}` | {metric.type} |" in OPERATIONS
    labels = {"operation", "status", "state", "pipeline", "outcome", "stage", "kind", "reason"}
    assert all(f"`{label}`" in OPERATIONS for label in labels)
    assert all(f"`{outcome}`" in OPERATIONS for outcome in (*OUTCOMES, *STAGE_OUTCOMES))


def log_events() -> set[str]:
    """The events that the proxy writes at level info and above, as they stand in the sources."""
    levels = {"info", "warning", "error", "exception", "critical"}
    found = set()
    for path in [*(ROOT / "proxy").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name("_log"), attr=level),
                    args=[ast.Constant(str() as event), *_],
                ) if level in levels:
                    found.add(event)
    return found


def test_every_log_event_is_documented() -> None:
    """By its text, which is what an alert looks for."""
    events = log_events()
    assert "a worker died and is replaced" in events
    assert not {event for event in events if f"`{event}`" not in OPERATIONS}


def test_every_stage_error_is_documented() -> None:
    """Each kind has its row."""
    for kind in STAGE_ERROR_KINDS:
        assert f"\n| `{kind}` | " in OPERATIONS


def test_every_error_type_is_documented() -> None:
    """With the status it comes with."""
    for status, kind in {*RESPONSES.values(), (500, "proxy_exception")}:
        rows = [line for line in API.splitlines() if f"| `{kind}` |" in line]
        assert any(str(status) in row.split("|")[1] for row in rows), kind


def test_every_attachment_is_documented() -> None:
    """The settings that bind a pipeline to an index."""
    for setting in ATTACHMENTS:
        assert f"\n| `{setting}` | " in API


def test_every_decision_is_documented_under_a_number_of_its_own() -> None:
    """Numbers run from 1, each once, and the heading says the one of the file's name."""
    notes = sorted((DOCS / "decisions").glob("0*.md"))
    assert [int(note.name[:4]) for note in notes] == list(range(1, len(notes) + 1))
    index = (DOCS / "decisions" / "README.md").read_text()
    for note in notes:
        heading = note.read_text().partition("\n")[0]
        number, _, title = heading.removeprefix("# ").partition(". ")
        assert int(number) == int(note.name[:4])
        assert f"\n{number}. [{title}]({note.name})\n" in index


@pytest.mark.parametrize("document", ["docs/ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_paths_lead_somewhere(document: str) -> None:
    """Each file and folder that a guide to the code names is there."""
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", (ROOT / document).read_text())
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_room_is_in_the_architecture() -> None:
    """Rooms that are packages have a row."""
    text = (DOCS / "ARCHITECTURE.md").read_text()
    for room in (ROOT / "proxy").glob("*/__init__.py"):
        assert f"\n| `proxy/{room.parent.name}/` | " in text


def test_every_stage_kind_is_documented() -> None:
    """The guide says what the `config` of each kind holds."""
    for kind in KINDS:
        assert f"`config` of a `{kind}` stage" in GUIDE.read_text()


@pytest.mark.parametrize("path", ["", "stages[0].", "stages[0].config."])
def test_every_member_of_a_definition_is_documented(path: str) -> None:
    """The guide has a row for each key that the reader knows, on every level."""
    config: dict[str, Any] = {"udf_name": "u"}
    stage: dict[str, Any] = {"name": "s", "type": "python", "config": config}
    pipeline: dict[str, Any] = {"name": "p", "type": "document", "stages": [stage]}
    {"": pipeline, "stages[0].": stage, "stages[0].config.": config}[path]["surprise"] = 1
    with pytest.raises(DefinitionError, match="unknown key; known are ") as caught:
        read_pipeline(pipeline, KINDS)
    assert caught.value.path == f"{path}surprise"
    known = caught.value.reason.partition("known are ")[2].split(", ")
    guide = GUIDE.read_text()
    assert [name for name in known if f"\n| `{name}` | " not in guide] == []


def test_every_failure_policy_is_documented() -> None:
    """What `on_failure` and `on_error` may be."""
    guide = GUIDE.read_text()
    policies = {*get_args(OnFailure), *get_args(OnError)}
    assert [name for name in policies if f"\n| `{name}` | " not in guide] == []


def test_every_endpoint_with_pipelines_is_documented() -> None:
    """What the proxy knows to run pipelines on stands in the table, or in what is to come."""
    runs = [endpoint for endpoint in ENDPOINTS if endpoint.phases]
    paths = {"/".join(part for part in e.path if not part.startswith("{")) for e in runs}
    text = API[API.index("## What runs where") :]
    # OpenSearch's own name for what the document calls `_async_search`.
    assert [path for path in paths if path not in text] == []


def test_everything_a_udf_can_use_is_documented() -> None:
    """Each name of the guest library and each member of `context`."""
    guide = GUIDE.read_text()
    tree = ast.parse((GUEST / "__init__.py").read_text())
    (names,) = [ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign)]
    missing = [name for name in names if not re.search(rf"`{name}[`(]", guide)]
    assert missing == []
    source = (GUEST / "current.py").read_text()
    slots = re.search(r"__slots__ = (\(.*?\))", source, re.DOTALL)
    assert slots is not None
    assert [name for name in ast.literal_eval(slots[1]) if f"`{name}`" not in guide] == []


# Links


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """Each relative link names a file that is there and, with a #, one of its headings."""
    for target, heading in links(path):
        assert target.exists(), f"{path.name}: {target}"
        assert not heading or heading in anchors(target), f"{path.name}: {target.name}#{heading}"


# Code


def udf_cases() -> list[list[Block]]:
    """Each UDF of the guide with the blocks that belong to it."""
    cases: list[list[Block]] = []
    for block in blocks(GUIDE):
        if block.info == "python udf":
            cases.append([block])
        elif block.info in {
            f"json {part}" for part in ("params", "files", "config", "input", "output")
        }:
            cases[-1].append(block)
    return cases


@pytest.mark.parametrize("case", udf_cases(), ids=lambda case: f"line {case[0].line}")
async def test_udfs_of_the_guide_do_what_it_says(
    case: list[Block], patient_pool: SandboxPool
) -> None:
    """In the real sandbox each makes the output shown of the input shown."""
    given = {block.info.removeprefix("json "): json.loads(block.text) for block in case[1:]}
    upload = {"source": case[0].text, "files": given.get("files", {})}
    config = given.get("config", {})
    params = given.get("params", config.get("parameters", {}))
    name = source_headers(case[0].text).get("name", "guide")
    package = read_package(name, json.dumps(upload).encode(), format="json")
    entries = await patient_pool.inspect(package, params)
    phases: tuple[Phase, ...] = ("query", "document", "result")
    phase = next((each for each in phases if each in entries), None) or category_phase(package)
    assert phase is not None
    paths = config.get("input")
    declared = Projection(paths, of_hits=phase == "result") if paths else None
    payload = json.dumps(given["input"])
    call = Call(phase=phase, payload=payload, request="{}", context={}, projection=declared)
    use = UdfUse(package, parameters_text(params), Limits(timeout_ms=20_000))
    reply = await patient_pool.run(use, call)
    assert reply.data == given["output"]


def test_other_blocks_are_what_they_say() -> None:
    """JSON parses, definitions are valid, and Python compiles, in every document."""
    seen: set[str] = set()
    for path in documents():
        for block in blocks(path):
            language, _, use = block.info.partition(" ")
            seen.add(block.info)
            if language == "json":
                value = json.loads(block.text)
                if use == "pipeline":
                    assert read_pipeline(value, KINDS).name == value["name"]
            elif language == "python":
                compile(block.text, f"{path.name} line {block.line}", "exec")
            else:
                assert language in ("sh", "toml"), f"{path.name} line {block.line}"
    assert {"json pipeline", "python udf", "python", "sh"} <= seen


@pytest.fixture
async def fresh(proxy: Client, direct: Client) -> AsyncIterator[Client]:
    """A proxy before a backend without the index that the documents use."""
    await direct.delete("/shop?ignore_unavailable=true")
    yield proxy
    await direct.delete("/shop?ignore_unavailable=true")


@pytest.mark.parametrize("name", ["README.md", "docs/API.md", GUIDE.name, "docs/OPERATIONS.md"])
async def test_curl_lines_work(name: str, fresh: Client) -> None:
    """In the order they stand each is answered well; JSON right after them is the last response."""
    path = ROOT / name if "/" in name or name == "README.md" else DOCS / name
    response: Any = None
    tried = 0
    for block in blocks(path):
        if block.info == "sh":
            for call in curl_calls(block):
                sent = await fresh.call(call.method, call.target, call.body, call.headers)
                assert sent.status < 400, f"{name} line {block.line}: {sent.body.decode()}"
                response = sent.data
                tried += 1
        elif block.info == "json":
            assert response == json.loads(block.text), f"{name} line {block.line}"
    assert tried
