"""The settings of pipelines, their sandboxes and the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from proxy.config.option import setting

_KB: Final = 1024
_MB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    """What they are set to."""

    max_transform_bytes: int = setting(
        "bytes",
        10 * _MB,
        "Largest body, after decompression, that a pipeline may see.",
        minimum=_KB,
        maximum=100 * _MB,
    )
    items_at_once: int = setting(
        "count",
        8,
        "Items of one bulk, msearch or mget that are worked on at once; more take sandboxes from "
        "the requests of others.",
        minimum=1,
        maximum=256,
    )
    names_refresh: float = setting(
        "seconds",
        5.0,
        "Seconds for which is known what the name of an index means; changes made through the "
        "proxy are seen at once.",
        minimum=0.1,
        maximum=300,
    )
    on_conflict: Literal["off", "chain", "error"] = setting(
        "choice",
        "off",
        "When the indices of one request have different default pipelines: run none (off), "
        "one after the other (chain), or refuse (error).",
    )
    pipeline_headers: tuple[str, ...] = setting(
        "names",
        ("x-opaque-id", "x-request-tier"),
        "Request headers a UDF may see, separated by commas.",
    )
    breaker_timeouts: int = setting(
        "count",
        5,
        "Runs in a row past their deadline after which a pipeline is turned off for a while; "
        "0 never does.",
        minimum=0,
        maximum=1000,
    )
    breaker_rest: float = setting(
        "seconds",
        10.0,
        "Seconds a pipeline is turned off before it is tried again; twice as long after each "
        "trial that fails, 300 at most.",
        minimum=0.1,
        maximum=300,
    )
    sandbox_threads: int = setting("count", 4, "Threads that run sandboxes.", minimum=1, maximum=64)
    sandbox_max_live: int = setting(
        "count", 64, "Sandboxes alive at once.", minimum=1, maximum=4096
    )
    sandbox_max_memory: int = setting(
        "bytes",
        1024 * _MB,
        "Memory a worker has for itself above which idle sandboxes are closed, the one longest "
        "unused first, and none is kept ready.",
        minimum=64 * _MB,
        maximum=1024 * 1024 * _MB,
    )
    sandbox_stock: int = setting(
        "count",
        8,
        "New sandboxes kept ready at most for a UDF whose stage has the isolation `request`, by "
        "demand; 0 keeps none.",
        minimum=0,
        maximum=256,
    )
    sandbox_recycle_runs: int = setting(
        "count",
        1000,
        "Runs after which a sandbox is replaced by a fresh one.",
        minimum=1,
        maximum=10_000_000,
    )
    sandbox_recycle_seconds: float = setting(
        "seconds",
        600.0,
        "Age at which a sandbox is replaced by a fresh one, and an idle one is closed.",
        minimum=1,
        maximum=86_400,
    )
    sandbox_load_timeout: float = setting(
        "seconds",
        2.0,
        "Seconds that loading a UDF, which runs its top level, may take.",
        minimum=0.1,
        maximum=60,
    )
    store_refresh: float = setting(
        "seconds",
        1.0,
        "Seconds between two looks at the store for changes made elsewhere.",
        minimum=0.1,
        maximum=60,
    )
    store_max_bytes: int = setting("bytes", 2**30, "Most bytes the store may hold.", minimum=2**20)
