"""What all suites share: the backends, the load generator, the plan, where to run and to tell."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.child import ROOT, Child, proxy
from bench.figures import Case, Sample, Suite
from bench.peers import Peers
from bench.plan import Plan
from bench.server import Server, ServerError
from bench.traffic import NO_LIMIT, Route, Tell, job, measure, sample_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """backend: OpenSearch. static: in front of it, answering searches of its indices itself.

    before: an earlier tree of the project, to be measured beside this one.
    """

    backend: Server
    static: Child
    load: Child
    peers: Peers
    plan: Plan
    tell: Tell
    before: Path | None = None

    @contextmanager
    def proxies(
        self, *options: str, workers: int = 1, through: str = "", tree: Path = ROOT
    ) -> Iterator[Child]:
        """A proxy in front of the static backend, or of `through` (HOST:PORT), of this `tree`."""
        address = through or self.static.address
        with proxy(f"http://{address}", *options, workers=workers, tree=tree) as child:
            # known to listen before anything is asked of it
            _ = child.address
            yield child

    @contextmanager
    def apart(self, proxies: Sequence[Child], clients: Sequence[Child] = ()) -> Iterator[None]:
        """Proxies on one core, load generator, static backend and further `clients` on another,
        where there are two.

        Threads and workers that start later are where those that start them are.
        """
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            yield
            return
        with ExitStack() as stack:
            for child in (self.load, self.static, *clients):
                child.pin(cores[:1])
                stack.callback(child.pin, cores)
            for child in proxies:
                child.pin(cores[1:2])
                stack.callback(child.pin, cores)
            yield

    def p99_ms(self, route: Route, connections: int, seconds: float) -> float:
        """Of requests none of which is refused. Raises ServerError, ChildError."""
        response = self.load.ask(job(route, connections, NO_LIMIT, seconds))
        sample = sample_of(route, connections, 1, response, None)
        if sample.errors:
            raise ServerError(f"{sample.errors} requests of [{sample.case}] were not answered well")
        return sample.p99_us / 1000

    def suite(self, title: str, note: str, routes: Sequence[Route], plan: Plan) -> Suite:
        """Measure the routes. Raises ServerError, ChildError."""
        self.tell(title)
        samples = measure(self.load, routes, plan, self.tell)
        return suite_of(title, note, [route.case for route in routes], samples)


def suite_of(title: str, note: str, cases: Sequence[Case], samples: Sequence[Sample]) -> Suite:
    """The suite with each case once, in the order first given."""
    return Suite(title=title, note=note, cases=list(dict.fromkeys(cases)), samples=samples)
