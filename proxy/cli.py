"""The command line. A setting's option comes from the SETTINGS table; errors are one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console

from pipelines.errors import DefinitionError
from pipelines.wasm import BuildError
from proxy import __version__, logs
from proxy.serve import run
from proxy.server import ListenError, ProxyServer
from proxy.setting import Setting
from proxy.settings import SETTINGS, Settings, SettingsError, load

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


class _Failure(click.ClickException):
    """Something outside the command line went wrong: exit code 1, one line."""

    def show(self, file: Any = None) -> None:
        click.echo(f"querymill: {self.format_message()}", err=True)


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


@main.command()
@click.option("--config", type=_FILE, help="TOML file with settings, by their names.")
@_with_settings
def serve(config: Path | None, **values: object) -> None:
    """Serve clients, until interrupted."""
    try:
        settings = load(values, os.environ, config)
    except SettingsError as exc:
        raise click.UsageError(str(exc)) from exc
    logs.configure(settings.log_level, settings.log_format)
    console = Console(stderr=True)
    try:
        run(settings, console, lambda server: _say_ready(console, settings, server))
    except (ListenError, BuildError, DefinitionError) as exc:
        raise _Failure(str(exc)) from exc


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
    from proxy import embedded

    console = Console(stderr=True)
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
            console.print(f"{distribution} {options.version} on {backend.url}", highlight=False)
            backend.wait()
    except embedded.EmbeddedError as exc:
        raise _Failure(str(exc)) from exc
    except (KeyboardInterrupt, SystemExit):
        # Being told to stop is how this command ends well.
        console.print("stopped", highlight=False)


def _say_ready(console: Console, settings: Settings, server: ProxyServer) -> None:
    admin = f", administration on {server.admin_address}" if server.admin_address else ""
    backend = ", ".join(settings.backend)
    console.print(
        f"querymill {__version__} on {server.address}{admin}, backend {backend}",
        highlight=False,
        soft_wrap=True,
    )
