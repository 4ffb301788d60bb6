"""The proxy put together: what is opened in which order, and closed in the opposite one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

from pipelines.compiler import Compiler
from pipelines.execution.batch import Batches
from pipelines.execution.breaker import BreakerRules
from pipelines.execution.executor import Executor
from pipelines.execution.log_limit import LogLimit
from pipelines.execution.run_logs import RunLogs
from pipelines.execution.stats import Stats
from pipelines.registry import Registry
from pipelines.stages import KINDS
from pipelines.stages.kind import Kind
from pipelines.wasm import Runtime
from pipelines.wasm.pool import SandboxPool
from proxy.admin import Admin
from proxy.admin.routes import admin_routes
from proxy.app.endpoints import endpoint_handlers
from proxy.backend.client import Backend
from proxy.backend.product import BackendInfo
from proxy.backend.resolver import Resolver
from proxy.config.settings import Settings
from proxy.control.cluster_store import ClusterStore
from proxy.control.definitions import Definitions
from proxy.control.sync import Sync
from proxy.handlers.indices import IndicesHandler
from proxy.http.headers import ADMIN_TOKEN
from proxy.server.admission import Admission
from proxy.server.server import ProxyServer
from proxy.store.store import Store
from proxy.tasks import Tasks
from proxy.telemetry.aggregate import Peers
from proxy.telemetry.memory_trimmer import MemoryTrimmer
from proxy.telemetry.metrics import Metrics
from proxy.traffic.lookups import Lookups
from proxy.traffic.relay import Relay
from proxy.traffic.router import Router
from proxy.traffic.selection import Selector
from proxy.traffic.services import Services
from proxy.traffic.templates import Templates
from proxy.upstream.client import Upstream
from proxy.upstream.request_head import HeadLimits
from proxy.workers.context import Place

_TELL_SECONDS: Final = 5.0


@asynccontextmanager
async def open_proxy(
    settings: Settings,
    runtime: Runtime,
    place: Place | None = None,
    *,
    store: Callable[[Backend], Store] = ClusterStore,
    kinds: Mapping[str, Kind] = KINDS,
) -> AsyncIterator[ProxyServer]:
    """A proxy that serves until the context ends. Raises `ListenError`.

    The definitions are read once before it listens; a backend that cannot be reached yet does not
    keep it from starting (see ``/_querymill/readyz``). `place` is where it stands among workers,
    `store` makes what keeps its definitions, given the proxy's own way to the backend; `kinds` are
    the stages that pipelines can have.
    """
    place = place or Place()
    async with AsyncExitStack() as stack:
        connect = partial(
            Upstream,
            settings.backend,
            connect_timeout=settings.backend_connect_timeout,
            idle_timeout=settings.backend_timeout,
            authority=settings.backend_ca,
            kept_timeout=settings.backend_kept_timeout,
            keepalive=settings.backend_keepalive_timeout,
            max_response=settings.max_response_bytes,
            limits=HeadLimits(line=settings.backend_max_line, fields=settings.backend_max_header),
            via=place.name,
        )
        upstream = await stack.enter_async_context(
            connect(connections=settings.backend_connections)
        )
        # Traffic that has all connections cannot keep administration from its own.
        reserved = await stack.enter_async_context(
            connect(connections=settings.reserved_connections)
        )
        pool = SandboxPool(
            runtime,
            threads=settings.sandbox_threads,
            max_live=settings.sandbox_max_live,
            max_bytes=settings.sandbox_max_memory,
            stock=settings.sandbox_stock,
            recycle_runs=settings.sandbox_recycle_runs,
            recycle_seconds=settings.sandbox_recycle_seconds,
            load_timeout_ms=int(settings.sandbox_load_timeout * 1000),
        )
        stack.push_async_callback(pool.close)
        # What is tried has threads of its own, and none of its sandboxes is kept.
        trials = SandboxPool(
            runtime,
            threads=2,
            max_live=2,
            max_idle_per_udf=0,
            stock=0,
            load_timeout_ms=int(settings.sandbox_load_timeout * 1000),
        )
        stack.push_async_callback(trials.close)
        stats = Stats()
        authorization = settings.backend_authorization or ""
        backend, own = Backend(upstream, authorization), Backend(reserved, authorization)
        rules = BreakerRules(timeouts=settings.breaker_timeouts, rest=settings.breaker_rest)
        registry = Registry(Compiler(pool, kinds), stats, rules)
        definitions = Definitions(
            registry,
            store(own),
            pool,
            refresh=settings.store_refresh,
            max_bytes=settings.store_max_bytes,
            changed=place.notices.announcer("definitions"),
        )
        tasks = Tasks()
        stack.push_async_callback(tasks.close)
        await definitions.look()
        tasks.start("follow the store", definitions.follow())
        tasks.start("give memory back", MemoryTrimmer().run())
        resolver = Resolver(
            own, ttl=settings.names_refresh, changed=place.notices.announcer("names")
        )
        stack.push_async_callback(resolver.close)
        selector = Selector(registry, resolver, settings.on_conflict)
        admission = Admission(settings)
        metrics = Metrics(
            stats, pool.stats, lambda: selector.conflicts, admission, registry.breakers
        )
        relay = Relay(upstream, BackendInfo(upstream), compat=settings.compat == "auto")
        limit = LogLimit(settings.log_lines_per_second, settings.log_bytes_per_second)
        run_logs = RunLogs(stats, limit)
        stack.callback(run_logs.report)
        tasks.start("tell what the log left out", _report(run_logs))
        executor = Executor(stats, run_logs)
        # The admin token is for the proxy alone, whatever the settings say.
        visible = frozenset(name.lower() for name in settings.pipeline_headers)
        visible -= {ADMIN_TOKEN.lower()}
        templates = Templates(backend)
        catch_up = Sync(place.notices, definitions, resolver)
        indices = IndicesHandler(relay, own, definitions, resolver, token=settings.admin_token)
        services = Services(
            relay=relay,
            selector=selector,
            executor=executor,
            visible=visible,
            max_transform_bytes=settings.max_transform_bytes,
            max_request_bytes=settings.max_request_bytes,
            items_at_once=settings.items_at_once,
        )
        handlers = endpoint_handlers(
            services,
            batches=Batches(stats, run_logs),
            registry=registry,
            backend=backend,
            secret=lambda: definitions.secret,
            indices=indices,
            templates=templates,
            public_address=settings.public_address,
        )
        traffic = Router(
            relay,
            handlers,
            selector,
            resolver,
            admission,
            Lookups(selector, templates, max_body=settings.max_request_bytes),
            catch_up,
            metrics.count_request,
            indices.removed,
            max_body=settings.max_request_bytes,
        )
        gather = metrics.gather
        if place.folder is not None:
            peers = await stack.enter_async_context(Peers(place.folder, metrics.figures))
            gather = peers.gather
        routes = admin_routes(definitions, own, gather, selector, trials, settings)
        admin = Admin(routes, settings.admin_token or None)
        server = ProxyServer(
            settings,
            traffic=traffic,
            admin=admin,
            catch_up=catch_up,
            place=place,
        )
        yield await stack.enter_async_context(server)


async def _report(run_logs: RunLogs) -> None:
    while True:
        await asyncio.sleep(_TELL_SECONDS)
        run_logs.report()
