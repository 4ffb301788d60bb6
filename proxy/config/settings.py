"""The settings: one table, and what it comes to with the command line, environment and file.

Precedence: command line, then ``QUERYMILL_*`` environment variables, then the TOML file, then the
default. A value that is wrong is refused with the place it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from proxy.config.backend_settings import BACKEND_SETTINGS
from proxy.config.execute_settings import EXECUTE_SETTINGS
from proxy.config.log_settings import LOG_SETTINGS
from proxy.config.option import Address, Setting
from proxy.config.sources import SettingsError, read_values

__all__ = ["SETTINGS", "Address", "Setting", "Settings", "SettingsError", "load"]

_KB: Final = 1024
_MB: Final = 1024 * 1024

SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "backend",
        "origins",
        ("http://127.0.0.1:9200",),
        "URL of a backend node; may be given more than once.",
    ),
    Setting("listen", "address", Address("127.0.0.1", 9280), "HOST:PORT to serve clients on."),
    Setting(
        "admin_listen",
        "address",
        None,
        "HOST:PORT for administration alone; the main address then refuses those calls.",
    ),
    Setting(
        "public_address",
        "address",
        None,
        "HOST:PORT that clients which ask for the cluster's nodes are told; without it, the one "
        "by which they came.",
        minimum=1,
    ),
    Setting(
        "workers",
        "count",
        0,
        "Worker processes; 0 takes one for each processor core, within the container's quota.",
        minimum=0,
        maximum=64,
    ),
    Setting("admin_token", "secret", None, "Token every administration call has to carry."),
    Setting(
        "backend_authorization",
        "secret",
        None,
        "Authorization header of the proxy's own calls: reading definitions, resolving names.",
    ),
    Setting(
        "backend_ca",
        "authority",
        None,
        "File of certificates (PEM) that `https://` nodes are checked against, in place of the "
        "system's.",
    ),
    Setting(
        "compat",
        "choice",
        "auto",
        "Serve Elasticsearch clients on an OpenSearch backend (auto), or touch nothing (off).",
        choices=("auto", "off"),
    ),
    *BACKEND_SETTINGS,
    Setting(
        "max_in_flight",
        "count",
        512,
        "Requests a worker answers at once, but for administration.",
        minimum=1,
        maximum=65536,
    ),
    Setting(
        "max_waiting",
        "count",
        512,
        "Requests that wait for their turn in a worker; more are refused with a 429.",
        minimum=0,
        maximum=65536,
    ),
    Setting(
        "queue_timeout",
        "seconds",
        1.0,
        "Seconds a request waits for its turn before it is refused with a 429.",
        minimum=0.01,
        maximum=60,
    ),
    Setting(
        "index_max_in_flight",
        "count",
        0,
        "Requests to one index name, as written, that a worker answers at once; as many may wait. "
        "0 sets no limit.",
        minimum=0,
        maximum=65536,
    ),
    Setting(
        "keepalive_timeout",
        "seconds",
        75.0,
        "Seconds a client connection on which nothing comes is kept open, before its first request "
        "as after others.",
        minimum=1,
        maximum=3600,
    ),
    Setting(
        "header_timeout",
        "seconds",
        10.0,
        "Seconds a client has to send the head of a request, from its first byte.",
        minimum=0.1,
        maximum=300,
    ),
    Setting(
        "body_timeout",
        "seconds",
        60.0,
        "Seconds without a byte from a client whose request body is awaited.",
        minimum=0.1,
        maximum=3600,
    ),
    Setting(
        "write_timeout",
        "seconds",
        60.0,
        "Seconds in which a client takes nothing of its answer before its connection is closed.",
        minimum=0.1,
        maximum=3600,
    ),
    Setting(
        "client_min_rate",
        "bytes",
        500,
        "Bytes a second a client has to manage, sending a body (else 408) or taking an answer "
        "(else its connection is closed); 0 sets no limit.",
        minimum=0,
        maximum=_MB,
    ),
    Setting(
        "client_grace",
        "seconds",
        20.0,
        "Seconds a client may be behind that rate.",
        minimum=0.1,
        maximum=3600,
    ),
    Setting(
        "shutdown_timeout",
        "seconds",
        30.0,
        "Seconds requests in flight are given to finish when the proxy stops.",
        minimum=0,
        maximum=600,
    ),
    Setting(
        "max_request_bytes",
        "bytes",
        100 * _MB,
        "Largest request body passed on.",
        minimum=_KB,
        maximum=2048 * _MB,
    ),
    Setting(
        "max_transform_bytes",
        "bytes",
        10 * _MB,
        "Largest body, after decompression, that a pipeline may see.",
        minimum=_KB,
        maximum=100 * _MB,
    ),
    Setting("sandbox_threads", "count", 4, "Threads that run sandboxes.", minimum=1, maximum=64),
    Setting("sandbox_max_live", "count", 64, "Sandboxes alive at once.", minimum=1, maximum=4096),
    Setting(
        "sandbox_max_memory",
        "bytes",
        1024 * _MB,
        "Memory a worker has for itself above which idle sandboxes are closed, the one longest "
        "unused first, and none is kept ready.",
        minimum=64 * _MB,
        maximum=1024 * 1024 * _MB,
    ),
    Setting(
        "sandbox_stock",
        "count",
        8,
        "New sandboxes kept ready at most for a UDF whose stage has the isolation `request`, by "
        "demand; 0 keeps none.",
        minimum=0,
        maximum=256,
    ),
    Setting(
        "sandbox_recycle_runs",
        "count",
        1000,
        "Runs after which a sandbox is replaced by a fresh one.",
        minimum=1,
        maximum=10_000_000,
    ),
    Setting(
        "sandbox_recycle_seconds",
        "seconds",
        600.0,
        "Age at which a sandbox is replaced by a fresh one, and an idle one is closed.",
        minimum=1,
        maximum=86_400,
    ),
    Setting(
        "sandbox_load_timeout",
        "seconds",
        2.0,
        "Seconds that loading a UDF, which runs its top level, may take.",
        minimum=0.1,
        maximum=60,
    ),
    Setting("store_max_bytes", "bytes", 2**30, "Most bytes the store may hold.", minimum=2**20),
    Setting(
        "breaker_timeouts",
        "count",
        5,
        "Runs in a row past their deadline after which a pipeline is turned off for a while; "
        "0 never does.",
        minimum=0,
        maximum=1000,
    ),
    Setting(
        "breaker_rest",
        "seconds",
        10.0,
        "Seconds a pipeline is turned off before it is tried again; twice as long after each "
        "trial that fails, 300 at most.",
        minimum=0.1,
        maximum=300,
    ),
    Setting(
        "on_conflict",
        "choice",
        "off",
        "When the indices of one request have different default pipelines: run none (off), "
        "one after the other (chain), or refuse (error).",
        choices=("off", "chain", "error"),
    ),
    Setting(
        "pipeline_headers",
        "names",
        ("x-opaque-id", "x-request-tier"),
        "Request headers a UDF may see, separated by commas.",
    ),
    Setting(
        "store_refresh",
        "seconds",
        1.0,
        "Seconds between two looks at the store for changes made elsewhere.",
        minimum=0.1,
        maximum=60,
    ),
    *EXECUTE_SETTINGS,
    *LOG_SETTINGS,
    Setting("cache_dir", "path", None, "Folder for what is built once and reused."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, parsed; the table above says what each one means."""

    backend: tuple[str, ...]
    listen: Address
    admin_listen: Address | None
    public_address: Address | None
    workers: int
    admin_token: str | None
    backend_authorization: str | None
    backend_ca: Path | None
    compat: Literal["auto", "off"]
    backend_connect_timeout: float
    backend_timeout: float
    backend_kept_timeout: float
    backend_keepalive_timeout: float
    backend_max_line: int
    backend_max_header: int
    backend_connections: int
    reserved_connections: int
    max_in_flight: int
    max_waiting: int
    queue_timeout: float
    index_max_in_flight: int
    keepalive_timeout: float
    header_timeout: float
    body_timeout: float
    write_timeout: float
    client_min_rate: int
    client_grace: float
    shutdown_timeout: float
    max_request_bytes: int
    max_transform_bytes: int
    sandbox_threads: int
    sandbox_max_live: int
    sandbox_max_memory: int
    sandbox_stock: int
    sandbox_recycle_runs: int
    sandbox_recycle_seconds: float
    sandbox_load_timeout: float
    store_max_bytes: int
    breaker_timeouts: int
    breaker_rest: float
    on_conflict: Literal["off", "chain", "error"]
    pipeline_headers: tuple[str, ...]
    store_refresh: float
    execute_timeout: float
    execute_max_bytes: int
    execute_max_answer: int
    execute_max_inputs: int
    execute_max_pipelines: int
    execute_max_udfs: int
    log_level: Literal["debug", "info", "warning", "error"]
    log_format: Literal["json", "console"]
    log_lines_per_second: int
    log_bytes_per_second: int
    log_max_value: int
    cache_dir: Path | None


def load(
    cli_values: Mapping[str, object],
    env: Mapping[str, str],
    config_path: Path | None = None,
) -> Settings:
    """Return the settings; `cli_values` holds only what was given, None and () count as not given.

    Raises SettingsError for an unknown name, a bad value or a file that cannot be read.
    """
    return Settings(**read_values(SETTINGS, cli_values, env, config_path))
