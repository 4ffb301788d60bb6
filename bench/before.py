"""This tree beside an earlier one, in one run: each round asks both, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Final

from bench import material, passing, prose, udfs, writing
from bench.child import Child
from bench.figures import Case, Suite
from bench.server import Server
from bench.setting import Setting
from bench.traffic import Route, searches

TITLE: Final = "Against an earlier tree"
BULK_TITLE: Final = "Bulk writes against an earlier tree"
NOW: Final = "now"
BEFORE: Final = "before"

PASS: Final = "no pipeline"
QUERY: Final = "query stage"
BOTH: Final = "query + result stage"
DOCUMENT: Final = "document stage"

_WAYS: Final = ((PASS, "", 0), (QUERY, "query", 1), (BOTH, "both", 2))
_PIPELINE: Final = "bench-before"


def suites(setting: Setting) -> Iterator[Suite]:
    """Measure both trees, if there is an earlier one. Raises ServerError, ChildError."""
    if setting.before is None:
        return
    with ExitStack() as stack:
        now = stack.enter_context(setting.proxies())
        then = stack.enter_context(setting.proxies(tree=setting.before))
        passing.prepare(Server(now.address))
        with setting.apart([now, then]):
            routes = [
                Route(
                    case=_case(when, what, PASS if runs else what),
                    address=child.address,
                    asks=searches(material.static_index(10, pipelines), material.searches()),
                    proxy=child,
                    runs=runs,
                )
                for what, pipelines, runs in _WAYS
                for when, child in ((BEFORE, then), (NOW, now))
            ]
            yield setting.suite(TITLE, prose.BEFORE_NOTE, routes, setting.plan)
    with ExitStack() as stack:
        through = setting.backend.address
        now = stack.enter_context(setting.proxies(through=through))
        then = stack.enter_context(setting.proxies(through=through, tree=setting.before))
        front = Server(now.address)
        front.store_udf(_PIPELINE, udfs.DOCUMENT)
        front.store(_PIPELINE, "document", {"udf_name": _PIPELINE})
        writes = [
            _bulk(front, child, when, what)
            for what in (PASS, DOCUMENT)
            for when, child in ((BEFORE, then), (NOW, now))
        ]
        longer = replace(setting.plan, connections=(1,), seconds=setting.plan.seconds * 2.5)
        yield setting.suite(BULK_TITLE, prose.BEFORE_NOTE, writes, longer)


def case(when: str, what: str) -> str:
    """The name of a case."""
    return f"{when}, {what}"


def _case(when: str, what: str, baseline: str) -> Case:
    name, base = case(when, what), case(when, baseline)
    return Case(name=name, baseline=base, same_work=base)


def _bulk(front: Server, child: Child, when: str, what: str) -> Route:
    index = f"bench-{when}-{what.split()[0]}"
    pipeline = _PIPELINE if what == DOCUMENT else ""
    return Route(
        case=_case(when, what, PASS),
        address=child.address,
        asks=writing.bulks(index),
        proxy=child,
        runs=1 if pipeline else 0,
        refuse='"errors":true',
        before=partial(writing.renew, front, index, pipeline),
    )
