"""Every administration call, one line each."""

from __future__ import annotations

from pipelines.context import PHASES
from pipelines.wasm.pool import SandboxPool
from proxy.admin import Route
from proxy.admin.execute import ExecuteCalls
from proxy.admin.operations import OperationsCalls
from proxy.admin.pipelines import PipelineCalls
from proxy.admin.records import RecordCalls
from proxy.admin.udfs import UdfCalls
from proxy.backend.client import Backend
from proxy.config.execute_settings import ExecuteSettings
from proxy.control.definitions import Definitions
from proxy.protocol.parameters import flag, one_of, whole, word
from proxy.telemetry.snapshot import Gather
from proxy.traffic.selection import Selector


def admin_routes(
    definitions: Definitions,
    backend: Backend,
    gather: Gather,
    selector: Selector,
    trials: SandboxPool,
    limits: ExecuteSettings,
) -> tuple[Route, ...]:
    """The table; docs/API.md has a line for each (a test compares them).

    `trials` are the sandboxes of what is tried and stored nowhere, `limits` those of such a call.
    """
    pipelines = PipelineCalls(definitions, gather)
    execute = ExecuteCalls(definitions, backend, selector, trials, limits)
    udfs = UdfCalls(definitions)
    records = RecordCalls(definitions)
    operations = OperationsCalls(definitions, gather)
    write = {"create": flag, "if_revision": whole}
    trial = {"verbose": flag, "validate": flag}
    return (
        Route("GET", "/_pipeline", pipelines.list, {"type": one_of(*PHASES)}),
        Route("PUT", "/_pipeline/{name}", pipelines.put, write),
        Route("POST", "/_pipeline/{name}", pipelines.put, write),
        Route("GET", "/_pipeline/{name}", pipelines.get),
        Route("DELETE", "/_pipeline/{name}", pipelines.delete, {"force": flag}),
        Route("POST", "/_pipeline/_execute", execute.inline, trial),
        Route("POST", "/_pipeline/{name}/_execute", execute.stored, trial),
        Route("GET", "/_pipeline/{name}/_stats", pipelines.stats),
        Route("GET", "/_udf", udfs.list),
        Route("PUT", "/_udf/{name}", udfs.put, {"version": word}),
        Route("GET", "/_udf/{name}", udfs.get, {"version": word}),
        Route("DELETE", "/_udf/{name}", udfs.delete, {"version": word, "force": flag}),
        Route("GET", "/_udf/{name}/_versions", udfs.versions),
        Route("GET", "/_querymill/store", records.show),
        Route("DELETE", "/_querymill/store", records.delete, {"id": word}),
        Route("GET", "/_querymill/livez", operations.livez, open=True),
        Route("GET", "/_querymill/readyz", operations.readyz, open=True),
        Route("GET", "/_querymill/metrics", operations.metrics, open=True),
    )
