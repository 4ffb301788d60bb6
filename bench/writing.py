"""Bulk writes end to end: a Python document stage against an ingest pipeline with Painless."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from bench import material, prose, udfs
from bench.figures import Case, Suite
from bench.server import Server
from bench.setting import Setting
from bench.traffic import Ask, Route

BULK_TITLE: Final = "Bulk writes on OpenSearch"
BULK_DOCUMENTS: Final = 500

DIRECT: Final = "direct, no pipeline"
PAINLESS: Final = "direct, ingest pipeline with Painless"
PASS: Final = "proxy, no pipeline"
PYTHON: Final = "proxy, Python document stage"
DECLARED: Final = "proxy, Python document stage, declared fields"

_PIPELINE: Final = "bench-value"
_DECLARED: Final = "bench-value-declared"


def suites(setting: Setting) -> Iterator[Suite]:
    """Measure them, with a proxy of one worker. Raises ServerError, ChildError."""
    with setting.proxies(through=setting.backend.address) as proxy:
        backend, front = setting.backend, Server(proxy.address)
        front.store_udf(_PIPELINE, udfs.DOCUMENT)
        stage = {"udf_name": _PIPELINE}
        front.store(_PIPELINE, "document", stage)
        front.store(_DECLARED, "document", stage | {"input": udfs.DOCUMENT_INPUT})
        script = {"lang": "painless", "source": udfs.DOCUMENT_PAINLESS}
        backend.call("PUT", f"/_ingest/pipeline/{_PIPELINE}", {"processors": [{"script": script}]})
        routes = []
        for index, name, through, attached in (
            ("bench-bulk-direct", DIRECT, False, ""),
            ("bench-bulk-painless", PAINLESS, False, _PIPELINE),
            ("bench-bulk-pass", PASS, True, ""),
            ("bench-bulk-python", PYTHON, True, _PIPELINE),
            ("bench-bulk-declared", DECLARED, True, _DECLARED),
        ):
            suffix = f"?pipeline={_PIPELINE}" if name == PAINLESS else ""
            route = Route(
                case=Case(name=name, baseline=DIRECT, same_work=DIRECT),
                address=front.address if through else backend.address,
                asks=bulks(index, suffix),
                proxy=proxy if through else None,
                runs=1 if through and attached else 0,
                refuse='"errors":true',
                before=partial(renew, front, index, attached if through else ""),
            )
            routes.append(route)
        longer = replace(setting.plan, connections=(1,), seconds=setting.plan.seconds * 2.5)
        yield setting.suite(BULK_TITLE, prose.BULK_NOTE, routes, longer)


def renew(front: Server, index: str, pipeline: str) -> None:
    properties = material.index_body()["mappings"]["properties"]
    attached = {"document": pipeline} if pipeline else {}
    front.make(index, attached, properties | {"value": {"type": "double"}})


def bulks(index: str, suffix: str = "") -> list[Ask]:
    products = material.products()
    bodies = []
    for begin in range(0, len(products) - BULK_DOCUMENTS + 1, BULK_DOCUMENTS):
        lines = []
        for product in products[begin : begin + BULK_DOCUMENTS]:
            lines += [json.dumps({"index": {}}), product]
        bodies.append("\n".join([*lines, ""]))
    return [("POST", f"/{index}/_bulk{suffix}", body) for body in bodies]
