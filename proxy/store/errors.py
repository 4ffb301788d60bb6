"""How a store can fail; each is another decision for a caller, and another response.

StoreError
├── StoreConflict      another write came first: what was asked is based on something else
├── StoreRefused       whoever keeps the store will not do this for who asks
├── StoreFull          it would be larger than it may be
└── StoreUnavailable   nobody can tell now what is stored
    ├── StoreTimeout   it took too long
    └── StoreBusy      too much is asked of it; trying again later can help

A record that cannot be used is no error: it is an entry with a `fault`, and the others are served.
"""

from __future__ import annotations

from pipelines.errors import ConflictError
from proxy.http.errors import ErrorResponse


class StoreError(Exception):
    """Base of what a store raises."""


class StoreConflict(StoreError, ConflictError):
    """Another write came first."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} [{name}] was changed by someone else meanwhile; try again")


class StoreRefused(StoreError):
    """The store does not do this, or not for these credentials.

    `response` is what its keeper said, where that is a response which the client should see.
    """

    response: ErrorResponse | None = None

    def __init__(self, reason: str, response: ErrorResponse | None = None) -> None:
        super().__init__(reason)
        self.response = response


class StoreFull(StoreError):
    """What is to be written does not fit in any more."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, or what it says makes no sense."""


class StoreTimeout(StoreUnavailable):
    """The store has not answered in time; a write may have been done."""


class StoreBusy(StoreUnavailable):
    """The store takes no more for now."""
