"""What the rewrite would cost as native Python: a bound for stages without a sandbox."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson

from bench import material, udfs
from bench.figures import Reading
from bench.setting import Setting

BOUND_SECTION: Final = "The rewrite without a sandbox"
NATIVE: Final = "query + result function on ten hits, orjson around them, CPU"

_RUNS: Final = 2000


def readings(setting: Setting) -> Iterator[Reading]:
    """Measure it in this process."""
    setting.tell(BOUND_SECTION)
    run = _rewrite()
    for number in range(1 - setting.plan.warm_up, setting.plan.rounds + 1):
        began = time.process_time()
        for _ in range(_RUNS):
            run()
        used = (time.process_time() - began) / _RUNS
        if number > 0:
            yield Reading(
                section=BOUND_SECTION, what=NATIVE, unit="us", round=number, value=used * 1e6
            )


def _rewrite() -> Callable[[], tuple[bytes, bytes]]:
    """The functions of the sandboxed stages, between the same reading and writing of JSON."""
    functions: dict[str, Any] = {}
    exec(compile(udfs.REWRITE, "rewrite.py", "exec"), functions)
    query, result = functions["query"], functions["result"]
    request = json.dumps(material.searches()[0]).encode()
    response = material.search_response(10).encode()

    def run() -> tuple[bytes, bytes]:
        asked = orjson.dumps(query(orjson.loads(request), None))
        return asked, orjson.dumps(result(orjson.loads(response), None))

    return run
