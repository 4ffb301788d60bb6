"""The command line. A setting's option comes from its field in `config`; errors are one line."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from pipelines.cache import cache_folder
from pipelines.errors import DefinitionError
from pipelines.execution.log_limit import LogLimit
from pipelines.wasm import BuildError
from proxy import __version__
from proxy.app.serve import build_runtime, run
from proxy.cli.extras import importing
from proxy.cli.failure import Failure
from proxy.config.option import Setting
from proxy.config.settings import SETTINGS, Settings, SettingsError, load
from proxy.config.sources import CONFIG_VARIABLE, check_variables, peek
from proxy.server.listener import ListenError
from proxy.server.server import ProxyServer
from proxy.telemetry import logs
from proxy.workers.stop_signals import leaving_on_signals

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each setting, in the table's order."""
    for setting in reversed(SETTINGS):
        if setting.on_command_line:
            command = _option(setting)(command)
    return command


def _option(setting: Setting) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        setting.option,
        setting.name,
        multiple=setting.repeats,
        metavar=setting.metavar,
        help=f"{setting.help} Default: {setting.default_text}. Environment: {setting.env}.",
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="querymill")
def main() -> None:
    """A programmable reverse proxy for OpenSearch and Elasticsearch."""


class _Serve(click.Command):
    """A wrong command line is reported in the form of log lines, as far as that one is known."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        given = list(args)
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as exc:
            values = self._readable(info_name, given, parent)
            if _logs_json(values, values.get("config")):
                message = exc.format_message().rstrip(".")
                _end_with_line(f"{message}; see querymill serve --help", 2)
            raise

    def _readable(
        self, info_name: str | None, args: list[str], parent: click.Context | None
    ) -> dict[str, Any]:
        lenient: dict[str, Any] = dict.fromkeys(
            ("resilient_parsing", "ignore_unknown_options", "allow_extra_args"), True
        )
        with suppress(click.UsageError):
            return super().make_context(info_name, args, parent, **lenient).params
        return {}


@main.command(cls=_Serve)
@click.option(
    "--config",
    type=_FILE,
    envvar=CONFIG_VARIABLE,
    help=f"TOML file with settings, by their names. Environment: {CONFIG_VARIABLE}.",
)
@_with_settings
def serve(config: Path | None, **values: object) -> None:
    """Serve clients, until interrupted."""
    given = partial(load, values, os.environ, config)
    try:
        run(given, _set_logs, sys.stderr, _say_ready)
    except SettingsError as exc:
        if _logs_json(values, config):
            _end_with_line(str(exc), 2)
        raise click.UsageError(str(exc)) from exc
    except (ListenError, BuildError, DefinitionError, OSError) as exc:
        if _logs_json(values, config):
            _end_with_line(_in_one_line(exc), 1)
        raise Failure(_in_one_line(exc)) from exc


def _set_logs(settings: Settings) -> None:
    """Have log lines written as the settings say, from now on."""
    logs.configure(
        settings.log_level,
        settings.log_format,
        limit=LogLimit(settings.log_lines_per_second, settings.log_bytes_per_second),
        max_value=settings.log_max_value,
    )
    logs.take_over()


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9200, show_default=True)
@click.option("--version", "version", default="", help="Default: the one tested with.")
@click.option("--heap-mb", type=click.IntRange(128), default=512, show_default=True)
@click.option("--data-dir", type=_FOLDER, help="Default: a folder that is removed at the end.")
@click.option(
    "--distribution",
    type=click.Choice(["opensearch", "elasticsearch"]),
    default="opensearch",
    show_default=True,
)
def cluster(
    port: int,
    version: str,
    heap_mb: int,
    data_dir: Path | None,
    distribution: Literal["opensearch", "elasticsearch"],
) -> None:
    """Run an embedded backend of one node, for development and tests, until interrupted."""
    # Loads the downloader, which no other command needs.
    with importing("embedded"):
        from proxy import embedded

    _check_variables()
    try:
        options = embedded.ClusterOptions(
            port=port,
            version=version,
            heap_mb=heap_mb,
            data_dir=data_dir,
            distribution=distribution,
        )
        backend = embedded.EmbeddedCluster(options, progress=embedded.progress_on(sys.stderr))
        with embedded.exit_on_signals(), backend:
            click.echo(f"{distribution} {options.version} on {backend.url}", err=True)
            backend.wait()
    except embedded.EmbeddedError as exc:
        raise Failure(str(exc)) from exc
    except (KeyboardInterrupt, SystemExit):
        # Being told to stop is how this command ends well.
        click.echo("stopped", err=True)


@main.command()
@click.option("--once", is_flag=True, help="End after the showcases.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9200,
    show_default=True,
    help="Of OpenSearch; 0 takes free ports for it and for the proxy.",
)
@click.option("--listen", metavar="HOST:PORT", help="Of the proxy. Default: 127.0.0.1:9280.")
@click.option("--examples", type=_FOLDER, help="Default: those of this checkout.")
@click.option("--write", is_flag=True, hidden=True, help="Fill the examples' README files.")
def demo(once: bool, port: int, listen: str | None, examples: Path | None, write: bool) -> None:
    """Show what pipelines do, on an embedded OpenSearch with a catalogue of products.

    It stays up for you to try things, until interrupted. Ends with exit code 1 if a showcase did
    not do what it should.
    """
    # Loads the downloader and the Elasticsearch client.
    with importing("demo"):
        from proxy.demo import DemoError, DemoOptions, run_demo
        from proxy.embedded import EmbeddedError

    logs.configure("warning", "console")
    _check_variables()
    options = DemoOptions(
        port=port,
        listen=listen or ("127.0.0.1:9280" if port else "127.0.0.1:0"),
        once=once,
        write=write,
        **({"examples": examples} if examples else {}),
    )
    try:
        if not run_demo(options):
            raise Failure("a showcase did not do what it should; see above")
    except SettingsError as exc:
        raise click.UsageError(str(exc)) from exc
    except (DemoError, EmbeddedError, ListenError, BuildError, DefinitionError) as exc:
        raise Failure(str(exc)) from exc
    except (KeyboardInterrupt, SystemExit, asyncio.CancelledError):
        raise Failure("interrupted before all showcases were run") from None


@main.command()
@click.option("--cache-dir", type=_FOLDER, help="Folder for what is built once and reused.")
def prepare(cache_dir: Path | None) -> None:
    """Build the sandbox runtime into the cache, so that the first start need not."""
    try:
        settings = load({"cache_dir": cache_dir and str(cache_dir)}, os.environ)
        with leaving_on_signals():
            build_runtime(settings, sys.stderr)
        folder = cache_folder(settings.cache_dir)
    except SettingsError as exc:
        raise click.UsageError(str(exc)) from exc
    except (BuildError, DefinitionError, OSError) as exc:
        raise Failure(_in_one_line(exc)) from exc
    click.echo(f"the sandbox runtime is in {folder}", err=True)


def _check_variables() -> None:
    try:
        check_variables(SETTINGS, os.environ)
    except SettingsError as exc:
        raise click.UsageError(str(exc)) from exc


def _in_one_line(error: Exception) -> str:
    """What an error says; one of the system that nobody expected has its file with it."""
    if not isinstance(error, OSError):
        return str(error)
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}; see to that, and start again"


def _logs_json(values: Mapping[str, object], config: Path | None) -> bool:
    (setting,) = (each for each in SETTINGS if each.name == "log_format")
    return peek(setting, values, os.environ, config) == "json"


def _end_with_line(reason: str, code: int) -> NoReturn:
    logs.configure("info", "json")
    logs.say_error(reason)
    raise SystemExit(code)


def _say_ready(server: ProxyServer) -> None:
    settings = server.settings
    admin = f", administration on {server.admin_address}" if server.admin_address else ""
    backend = ", ".join(settings.backend)
    text = f"querymill {__version__} on {server.address}{admin}, backend {backend}"
    if settings.log_format == "json":
        logs.say(text)
    else:
        click.echo(text, err=True)
