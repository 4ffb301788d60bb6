"""What a stage looks like to the loop that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from pipelines.execution.scope import Scope
from pipelines.payload import Document, Payload


class Stage(Protocol):
    """Something that runs: made when a pipeline is loaded, used by one event loop."""

    async def run(self, payload: Payload, scope: Scope) -> Payload:
        """One try: the payload to go on with, the same one if nothing changed.

        What it writes goes into `scope`, which is its own. Raises `StageError`, `RejectedError`
        or `DroppedError`.
        """


@runtime_checkable
class BatchStage(Stage, Protocol):
    """A stage that can also take documents in batches; of any other, each is run by itself."""

    @property
    def room(self) -> int:
        """How many documents a batch may have now; 0 for no batches."""

    async def run_batch(self, documents: Sequence[Document], scope: Scope) -> list[Document | None]:
        """Each document as the stage leaves it, None for one that has to be run by itself.

        Raises `StageError` where that is all of them.
        """
