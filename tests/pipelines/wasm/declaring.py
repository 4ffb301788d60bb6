"""Runs UDFs on the declared part of a payload, in real sandboxes."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import orjson
import pytest

from pipelines.errors import StageError
from pipelines.jsontext.projection import Projection
from pipelines.wasm import Call, Limits, Phase, Reply
from pipelines.wasm.pool import SandboxPool
from tests.pipelines.wasm.udfs import udf, using

LIMITS = Limits(timeout_ms=5000)


def hit(number: int, score: float | None = 1.0, **source: Any) -> dict[str, Any]:
    return {"_id": str(number), "_score": score, "_source": {"n": number, **source}}


def response(*hits: dict[str, Any]) -> dict[str, Any]:
    return {"took": 3, "hits": {"total": 9, "max_score": 4.0, "hits": list(hits)}}


FOUR = response(hit(0, 4.0), hit(1, 3.0, x=1), hit(2, 2.0, x={"y": 1}), hit(3, 1.0))


class Declared:
    """Runs UDFs on the declared part of a payload."""

    def __init__(self, pool: SandboxPool) -> None:
        self.pool = pool

    async def run(
        self,
        source: str,
        payload: Any = FOUR,
        *paths: str,
        phase: Phase = "result",
        limits: Limits = LIMITS,
        **context: object,
    ) -> Reply:
        text = payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"))
        of_hits = phase == "result"
        declared = paths or (("_score", "_source.n") if of_hits else ("a",))
        call = Call(
            phase=phase,
            payload=text,
            request='{"size":7}' if of_hits else None,
            context=context,
            projection=Projection(declared, of_hits=of_hits),
        )
        reply = await self.pool.run(using(udf(source), limits), call)
        assert orjson.loads(reply.payload) == reply.data
        assert reply.changed or reply.payload == text
        return reply

    async def edit(self, body: str, payload: Any = FOUR, *paths: str, **how: Any) -> Reply:
        """A run of a result function with that body."""
        source = "def result(response, context):\n    hits = context.hits\n"
        lines = "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
        return await self.run(source + lines, payload, *paths, **how)

    async def hits(self, body: str, payload: Any = FOUR, *paths: str) -> list[Any]:
        return list((await self.edit(body, payload, *paths)).data["hits"]["hits"])

    async def order(self, body: str) -> str:
        """The hits' numbers in their new order, as one text."""
        return "".join(found["_id"] for found in await self.hits(body))

    async def fails(self, body: str, payload: Any = FOUR, *paths: str, **how: Any) -> StageError:
        with pytest.raises(StageError) as caught:
            await self.edit(body, payload, *paths, **how)
        return caught.value
