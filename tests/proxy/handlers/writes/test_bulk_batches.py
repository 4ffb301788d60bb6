"""How the documents of a bulk are shared out among batches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from pipelines.context import Context
from pipelines.execution.batch import Batches, BatchRun
from pipelines.execution.plan import CompiledPipeline
from pipelines.payload import Document
from pipelines.stages.python import BATCH_DOCUMENTS, FIRST_DOCUMENTS
from pipelines.wasm import Runtime
from proxy.handlers.writes.bulk_batches import (
    AT_ONCE,
    BATCH_BYTES,
    LEAST_DOCUMENTS,
    SHARED_DOCUMENTS,
    BulkBatches,
)
from proxy.protocol.bodies.bulk_body import BulkItem, grouped, read_bulk
from proxy.traffic.runs import Runs
from tests.pipelines.conftest import Core, open_core


class Recorded(Batches):
    """Batches that remember how large each was."""

    def __init__(self, core: Core) -> None:
        super().__init__(core.stats)
        self.sizes: list[tuple[int, int]] = []

    async def run(
        self,
        pipelines: Sequence[CompiledPipeline],
        documents: Sequence[Document],
        context: Context,
        new_id: Callable[[], str],
    ) -> BatchRun:
        self.sizes.append((len(documents), sum(len(each.text) for each in documents)))
        return await super().run(pipelines, documents, context, new_id)


class Bulk:
    """Runs documents of given sizes through a UDF that changes nothing but what it is told to."""

    def __init__(self, core: Core) -> None:
        core.udf("marks", "def document(d, c):\n    return {**d, 'm': 1} if d['n'] else d\n")
        self.chosen = (core.pipeline("marks", type="document"),)
        self.batches = Recorded(core)
        self.executor = core.executor

    async def warm(self) -> None:
        """The pace is known afterwards."""
        await self.run([20] * FIRST_DOCUMENTS)
        self.batches.sizes.clear()

    async def run(self, sizes: list[int], *, mark: int = 0, max_bytes: int = 10**9) -> list[int]:
        """Gives the places that were left; all others are marked, if they were to be."""
        before = [item(size, mark) for size in sizes]
        items = list(before)
        runs = Runs(self.executor, index="i", headers={}, request_id="r")
        left = await BulkBatches(self.batches, max_bytes=max_bytes).run(
            items, range(len(items)), self.chosen, index="i", headers={}, runs=runs
        )
        for place, (old, new) in enumerate(zip(before, items, strict=True)):
            assert (new is old) is (place in left or not mark)
        return sorted(left)


def item(size: int, mark: int) -> BulkItem:
    start = f'{{"n":{mark},"x":"'
    text = start + "x" * (size - len(start) - 2) + '"}'
    return BulkItem(1, "index", {}, b'{"index":{}}', text.encode())


@pytest.fixture
async def bulk(runtime: Runtime) -> AsyncIterator[Bulk]:
    async with open_core(runtime) as core:
        yield Bulk(core)


async def test_a_batch_has_its_share_of_the_documents(bulk: Bulk) -> None:
    """All of a small bulk's; of a larger one's, as many as keep all that run at once busy."""
    await bulk.warm()
    count = SHARED_DOCUMENTS - 1
    assert await bulk.run([20] * count, mark=1) == []
    assert bulk.batches.sizes.pop()[0] == count
    await bulk.run([20] * 2 * SHARED_DOCUMENTS, mark=1)
    assert [count for count, _ in bulk.batches.sizes[-AT_ONCE:]] == [SHARED_DOCUMENTS] * AT_ONCE


async def test_a_batch_has_no_more_documents_than_there_is_room_for(bulk: Bulk) -> None:
    """However large the bulk."""
    await bulk.warm()
    assert await bulk.run([20] * 4 * BATCH_DOCUMENTS, mark=1) == []
    assert max(count for count, _ in bulk.batches.sizes) <= BATCH_DOCUMENTS


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_a_batch_has_no_more_bytes_than_its_limit(bulk: Bulk, over: int) -> None:
    """Documents that come to less than the limit, or to it, are one batch; to more, another."""
    await bulk.warm()
    part = BATCH_BYTES // 8
    sizes = [part] * 7 + [part + over] + [20] * 8
    await bulk.run(sizes)
    first = (8, BATCH_BYTES + over) if over <= 0 else (7, 7 * part)
    assert bulk.batches.sizes[0] == first
    assert sum(count for count, _ in bulk.batches.sizes) <= len(sizes)


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_a_document_that_is_too_large_is_left(bulk: Bulk, over: int) -> None:
    """Larger than a batch, or than pipelines take; the others are not."""
    sizes = [20] * LEAST_DOCUMENTS + [BATCH_BYTES + over] + [20] * LEAST_DOCUMENTS
    assert await bulk.run(sizes, mark=1) == ([LEAST_DOCUMENTS] if over > 0 else [])
    sizes[LEAST_DOCUMENTS] = 100 + over
    left = await bulk.run(sizes, mark=1, max_bytes=100)
    assert left == ([LEAST_DOCUMENTS] if over > 0 else [])


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_few_documents_are_left(bulk: Bulk, over: int) -> None:
    """Running them one by one is as quick."""
    count = LEAST_DOCUMENTS + over
    assert await bulk.run([20] * count, mark=1) == (list(range(count)) if over < 0 else [])


async def test_what_is_no_text_is_left(bulk: Bulk) -> None:
    """Alone it is refused with the reason."""
    items = [item(20, 0)] * LEAST_DOCUMENTS + [BulkItem(1, "index", {}, b"", b'{"\xff":1}')]
    runs = Runs(bulk.executor, index="i", headers={}, request_id="r")
    left = await BulkBatches(bulk.batches, max_bytes=100).run(
        items, range(len(items)), bulk.chosen, index="i", headers={}, runs=runs
    )
    assert left == [LEAST_DOCUMENTS]


def test_items_are_grouped_by_what_decides_their_pipelines() -> None:
    """Index and `pipeline`, in the order they come; a delete brings no document."""
    items = read_bulk(
        b'{"index":{}}\n{}\n{"delete":{"_id":"1"}}\n{"create":{"_index":"b"}}\n{}\n'
        b'{"update":{"_index":"a","_id":"1"}}\n{}\n{"index":{"_index":"a","pipeline":"p"}}\n{}\n'
        b'{"index":{"_index":"a","pipeline":7}}\n{}\n'
    )
    assert grouped(items, "a") == {
        ("a", None): ([0, 5], [3], []),
        ("b", None): ([2], [], []),
        ("a", "p"): ([4], [], []),
    }


def test_a_document_as_it_comes_in_has_nothing_yet() -> None:
    """No state, metadata or log that a stage left."""
    assert Document("1", "{}") == ("1", "{}", None, False, {}, {}, (), None, False)
