"""What all handlers of endpoints are given."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.execution.executor import Executor
from proxy.traffic.relay import Relay
from proxy.traffic.selection import Selector


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The ways to the backend and to pipelines, and how much of a request is taken.

    `visible` are the header fields that a UDF may see, in lower case. Sizes are bytes: of a body
    that pipelines see, and of any. `items_at_once` are worked on at a time, of one request.
    """

    relay: Relay
    selector: Selector
    executor: Executor
    visible: frozenset[str]
    max_transform_bytes: int
    max_request_bytes: int
    items_at_once: int
