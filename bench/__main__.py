"""The command: start everything, measure, report, stop everything."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
import uvloop
from rich.console import Console

from bench import machine, material, report, stages, static_backend, traffic
from bench.child import ROOT, Child, ChildError, proxy
from bench.figures import Sample, StageSample
from bench.plan import FULL, QUICK, Plan
from bench.results import Results
from bench.server import Server, ServerError
from pipelines.errors import PipelineError
from pipelines.wasm import Runtime
from proxy.embedded import (
    ClusterOptions,
    EmbeddedCluster,
    EmbeddedError,
    exit_on_signals,
    progress_on,
)

_FILE = click.Path(dir_okay=False, path_type=Path)
_REPORT = ROOT / "docs" / "BENCHMARKS.md"
_RESULTS = ROOT / "bench" / "results.json"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="A short look: few rounds, no file unless named.")
@click.option("--output", type=_FILE, help="Report in Markdown. Default: docs/BENCHMARKS.md.")
@click.option("--results", type=_FILE, help="Raw figures. Default: bench/results.json.")
def main(quick: bool, output: Path | None, results: Path | None) -> None:
    """Measure what the proxy and its stages cost, on a real OpenSearch."""
    console = Console(stderr=True)
    try:
        with exit_on_signals():
            made = _measure(QUICK if quick else FULL, quick, console)
    except (EmbeddedError, ChildError, ServerError, PipelineError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; nothing was written") from None
    # Of a terminal its own width, of a pipe one that holds the widest table.
    report.show(made, Console(width=None if sys.stdout.isatty() else 140))
    _write(made, output or (None if quick else _REPORT), results or (None if quick else _RESULTS))


def _measure(plan: Plan, quick: bool, console: Console) -> Results:
    tell = partial(console.print, highlight=False)
    runtime = Runtime.open(lambda phase, share: None)
    try:
        described, samples, other_cores = _traffic(plan, console)
        taken = _stages(plan, runtime, console)
    finally:
        runtime.close()
    tell("everything is stopped")
    return Results(
        made=datetime.now(UTC).date().isoformat(),
        command="make bench" + (" ARGS=--quick" if quick else ""),
        plan=plan,
        machine=described,
        other_cores=other_cores,
        static_bytes=len(material.search_response(static_backend.HITS).encode()),
        products=len(material.products()),
        samples=samples,
        stages=taken,
    )


def _traffic(plan: Plan, console: Console) -> tuple[dict[str, str], list[Sample], float]:
    """Machine, samples of both backends, and the cores others kept busy."""
    tell = partial(console.print, highlight=False)
    with ExitStack() as stack:
        options = ClusterOptions(port=0)
        cluster = stack.enter_context(EmbeddedCluster(options, progress=progress_on(sys.stderr)))
        described = machine.description(f"OpenSearch {options.version}, heap {options.heap_mb} MiB")
        static = stack.enter_context(Child("bench.static_backend"))
        load = stack.enter_context(Child("bench.load"))
        front = stack.enter_context(proxy(cluster.url))
        static_front = stack.enter_context(proxy(f"http://{static.address}"))
        tell("indexing the catalogue and uploading the pipelines")
        routes = [
            *traffic.search_routes(Server(cluster.url.removeprefix("http://")), front),
            *traffic.static_routes(static, static_front),
        ]
        neighbours = machine.Neighbours([static, load, front, static_front], cluster.pid)
        samples = traffic.measure(load, routes, plan, tell)
        return described, samples, neighbours.cores()


def _stages(plan: Plan, runtime: Runtime, console: Console) -> list[StageSample]:
    tell = partial(console.print, highlight=False)
    with (
        Child("bench.native") as native,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(stages.measure(runtime, native, plan, tell))


def _write(results: Results, output: Path | None, raw: Path | None) -> None:
    try:
        if output is not None:
            output.write_text(report.markdown(results), encoding="utf-8")
            click.echo(f"written: {output}", err=True)
        if raw is not None:
            results.save(raw)
            click.echo(f"written: {raw}", err=True)
    except OSError as error:
        raise click.ClickException(f"the report could not be written: {error}") from error


if __name__ == "__main__":
    main()
