"""Counting requests, and the figures in Prometheus's text format."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from pipelines.execution.breaker import BreakerFigure
from pipelines.execution.stats import QUANTILES, Latency, Stats
from proxy.protocol.endpoints import Operation
from proxy.server.admission import REASONS, Admission
from proxy.telemetry.snapshot import Figures

Family = CounterMetricFamily | GaugeMetricFamily | SummaryMetricFamily


class Metrics:
    """What this process counted; the request path does no more than that."""

    def __init__(
        self,
        stats: Stats,
        sandboxes: Callable[[], dict[str, int]],
        conflicts: Callable[[], int],
        admission: Admission,
        breakers: Callable[[], dict[str, BreakerFigure]],
    ) -> None:
        # by operation and the hundreds of the status
        self._requests: Counter[tuple[Operation, int]] = Counter()
        self._conflicts = conflicts
        self._stats = stats
        self._sandboxes = sandboxes
        self._admission = admission
        self._breakers = breakers

    def count_request(self, operation: Operation, status: int) -> None:
        self._requests[operation, status // 100] += 1

    def figures(self) -> Figures:
        """All that was counted so far; some of its parts go on counting."""
        requests = {(o.value, f"{hundreds}xx"): n for (o, hundreds), n in self._requests.items()}
        return Figures(
            requests=Counter(requests),
            conflicts=self._conflicts(),
            sandboxes=Counter(self._sandboxes()),
            in_flight=self._admission.in_flight,
            waiting=self._admission.waiting,
            tasks=len(asyncio.all_tasks()),
            refused=self._admission.refused,
            breakers={name: [state] for name, state in self._breakers().items()},
            pipelines=self._stats,
        )

    async def gather(self) -> Figures:
        """All that was counted so far, for a process on its own."""
        total = Figures()
        total.add(self.figures())
        return total


def exposition(figures: Figures) -> bytes:
    """`figures` as Prometheus reads them."""
    registry = CollectorRegistry()
    registry.register(_Exposed(figures))
    return generate_latest(registry)


class _Exposed(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "querymill_requests", "Requests answered, by operation.", labels=["operation", "status"]
        )
        for (operation, status), count in self._figures.requests.items():
            requests.add_metric([operation, status], count)
        conflicts = CounterMetricFamily(
            "querymill_attachment_conflicts",
            "Requests whose targets had different default pipelines.",
        )
        conflicts.add_metric([], self._figures.conflicts)
        sandboxes = GaugeMetricFamily(
            "querymill_sandboxes", "Sandboxes, by state or event.", labels=["state"]
        )
        for state, count in self._figures.sandboxes.items():
            sandboxes.add_metric([state], count)
        yield from (requests, conflicts, sandboxes)
        yield from self._load()
        yield from self._pipelines()

    def _load(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "querymill_in_flight_requests",
            "Requests being answered, but for administration.",
            value=self._figures.in_flight,
        )
        yield GaugeMetricFamily(
            "querymill_waiting_requests",
            "Requests waiting for their turn.",
            value=self._figures.waiting,
        )
        yield GaugeMetricFamily(
            "querymill_tasks",
            "Tasks of the event loops: connections, requests, and what runs beside them.",
            value=self._figures.tasks,
        )
        refused = CounterMetricFamily(
            "querymill_refused_requests",
            "Requests refused with a 429 because too many came.",
            labels=["reason"],
        )
        for reason in REASONS:
            refused.add_metric([reason], self._figures.refused[reason])
        breakers = GaugeMetricFamily(
            "querymill_breaker_open",
            "Workers in which a pipeline is turned off, for it kept passing its deadline.",
            labels=["pipeline"],
        )
        for name, states in self._figures.breakers.items():
            breakers.add_metric([name], sum(each.state != "closed" for each in states))
        yield from (refused, breakers)

    def _pipelines(self) -> Iterator[Metric]:
        runs = CounterMetricFamily(
            "querymill_pipeline_runs", "Runs, by how they ended.", labels=["pipeline", "outcome"]
        )
        timeouts = CounterMetricFamily(
            "querymill_pipeline_timeouts", "Runs that passed a deadline.", labels=["pipeline"]
        )
        refused = CounterMetricFamily(
            "querymill_pipeline_refused",
            "Runs after which the backend refused the request.",
            labels=["pipeline"],
        )
        left_out = CounterMetricFamily(
            "querymill_log_lines_left_out",
            "Log lines of a pipeline that were not written, as there were too many.",
            labels=["pipeline"],
        )
        run_time = SummaryMetricFamily(
            "querymill_pipeline_run_seconds", "Duration of runs.", labels=["pipeline"]
        )
        stages = CounterMetricFamily(
            "querymill_stage_runs",
            "Stage executions, by how they ended.",
            labels=["pipeline", "stage", "outcome"],
        )
        errors = CounterMetricFamily(
            "querymill_stage_errors",
            "Stage failures, by kind; every try counts.",
            labels=["pipeline", "stage", "kind"],
        )
        stage_time = SummaryMetricFamily(
            "querymill_stage_run_seconds", "Duration of stages.", labels=["pipeline", "stage"]
        )
        for name, pipeline in self._figures.pipelines.items():
            for outcome, count in pipeline.outcomes.items():
                runs.add_metric([name, outcome], count)
            timeouts.add_metric([name], pipeline.timeouts)
            refused.add_metric([name], pipeline.refused)
            left_out.add_metric([name], pipeline.left_out)
            _add_latency(run_time, [name], pipeline.latency)
            for stage_name, stage in pipeline.stages.items():
                for outcome, count in stage.outcomes.items():
                    stages.add_metric([name, stage_name, outcome], count)
                for kind, count in stage.errors.items():
                    errors.add_metric([name, stage_name, kind], count)
                _add_latency(stage_time, [name, stage_name], stage.latency)
        yield from (runs, timeouts, refused, left_out, run_time, stages, errors, stage_time)


def _add_latency(family: SummaryMetricFamily, labels: list[str], latency: Latency) -> None:
    family.add_metric(labels, latency.count, latency.total_ms / 1000)
    named = dict(zip(("pipeline", "stage"), labels, strict=False))
    for name, value in latency.quantiles().items():
        family.add_sample(family.name, {**named, "quantile": str(QUANTILES[name])}, value / 1000)
