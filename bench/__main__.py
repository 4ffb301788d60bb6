"""The command: start everything, measure, report, stop everything."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import uvloop
from rich.console import Console

from bench import (
    bound,
    history,
    machine,
    material,
    overload,
    passing,
    plot,
    report,
    scaling,
    searching,
    soak,
    stages,
    starting,
    workers,
    writing,
)
from bench.before import suites as before_suites
from bench.child import ROOT, ChildError, module
from bench.figures import StageSample
from bench.history import HistoryError
from bench.peers import Peers
from bench.plan import FULL, QUICK, SOAK_SECONDS, Plan
from bench.results import Results
from bench.server import Server, ServerError
from bench.setting import Setting
from bench.steady import Reference
from bench.traffic import Tell
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
_TREE = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
_REPORT = ROOT / "docs" / "BENCHMARKS.md"
_RESULTS = ROOT / "bench" / "results.json"
_HISTORY = ROOT / "bench" / "history.json"
_HEAP_MB = 1024
_ERRORS = (EmbeddedError, ChildError, ServerError, PipelineError, HistoryError, OSError)

_SUITES = (passing.suites, before_suites, searching.suites, writing.suites)
_READINGS = (
    bound.readings,
    starting.readings,
    workers.readings,
    overload.readings,
    scaling.readings,
    soak.readings,
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="A short look: few rounds, no file unless named.")
@click.option("--soak", "soaking", is_flag=True, help="Ten minutes at half load as well.")
@click.option("--before", type=_TREE, help="An earlier tree, to be measured beside this one.")
@click.option("--output", type=_FILE, help="Report in Markdown. Default: docs/BENCHMARKS.md.")
@click.option("--results", type=_FILE, help="Raw figures. Default: bench/results.json.")
def main(
    quick: bool,
    soaking: bool,
    before: Path | None,
    output: Path | None,
    results: Path | None,
) -> None:
    """Measure what the proxy and its stages cost, beside its peers, on a real OpenSearch."""
    console = Console(stderr=True)
    plan = QUICK if quick else FULL
    if soaking:
        plan = replace(plan, soak_seconds=SOAK_SECONDS)
    given = [name for name, on in (("--quick", quick), ("--soak", soaking)) if on]
    given += ["--before TREE"] if before else []
    command = "make bench" + (f" ARGS={_quoted(given)}" if given else "")
    try:
        # where the file is broken, that is told before the run and not after it
        runs = history.read(_HISTORY)
        with exit_on_signals():
            made = _measure(plan, command, console, before)
    except _ERRORS as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; nothing was written") from None
    # Of a terminal its own width, of a pipe one that holds the widest table.
    report.show(made, Console(width=None if sys.stdout.isatty() else 150))
    runs = history.add(runs, history.run_of(made))
    usual = (None, None) if quick else (_REPORT, _RESULTS)
    _write(made, output or usual[0], results or usual[1], runs)


def _quoted(given: list[str]) -> str:
    return given[0] if len(given) == 1 else f'"{" ".join(given)}"'


def _measure(plan: Plan, command: str, console: Console, before: Path | None) -> Results:
    began = time.monotonic()
    reference = Reference()

    def tell(text: str) -> None:
        if not text.startswith(" "):
            reference.take()
        console.print(f"[{time.monotonic() - began:4.0f} s] {text}", highlight=False, markup=False)

    with ExitStack() as stack:
        options = ClusterOptions(port=0, heap_mb=_HEAP_MB)
        cluster = stack.enter_context(EmbeddedCluster(options, progress=progress_on(sys.stderr)))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="querymill-bench-"))
        peers = Peers(Path(folder))
        backend = Server(cluster.url.removeprefix("http://"))
        setting = Setting(
            backend=backend,
            static=stack.enter_context(peers.static(backend.address)),
            load=stack.enter_context(module("bench.load")),
            peers=peers,
            plan=plan,
            tell=tell,
            before=before,
        )
        # listens before anything is measured
        _ = setting.static.address
        # a first start builds the runtime, which no figure is to have in it
        taken = _stages(plan, tell)
        neighbours = machine.Neighbours(cluster.pid)
        suites = [suite for measure in _SUITES for suite in measure(setting)]
        readings = [reading for measure in _READINGS for reading in measure(setting)]
        described = machine.description(
            f"OpenSearch {options.version}, heap {options.heap_mb} MiB", peers.versions
        )
        other_cores = neighbours.cores()
    tell("everything is stopped")
    return Results(
        made=datetime.now(UTC).date().isoformat(),
        command=command,
        plan=plan,
        machine=described,
        other_cores=other_cores,
        reference_ms=reference.times_ms,
        products=len(material.products()),
        missing=peers.missing,
        suites=suites,
        readings=readings,
        stages=taken,
    )


def _stages(plan: Plan, tell: Tell) -> list[StageSample]:
    runtime = Runtime.open(lambda phase, share: None)
    try:
        with (
            module("bench.native") as native,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            return runner.run(stages.measure(runtime, native, plan, tell))
    finally:
        runtime.close()


def _write(
    results: Results, output: Path | None, raw: Path | None, runs: Sequence[history.Run]
) -> None:
    """`runs`: all that are remembered, this one the last; the report is that of the last."""
    try:
        if output is not None:
            charts = plot.charts(results)
            folder = output.with_suffix("")
            folder.mkdir(exist_ok=True)
            for chart in charts:
                (folder / chart.file).write_text(chart.svg(), encoding="utf-8")
            document = report.markdown(results, charts, folder.name, runs[:-1])
            output.write_text(document, encoding="utf-8")
            if output == _REPORT:
                history.write(_HISTORY, runs)
            click.echo(f"written: {output}", err=True)
        if raw is not None:
            results.save(raw)
            click.echo(f"written: {raw}", err=True)
    except OSError as error:
        raise click.ClickException(f"the report could not be written: {error}") from error


if __name__ == "__main__":
    main()
