"""The settings, and what they come to with the command line, environment and file.

Precedence: command line, then ``QUERYMILL_*`` environment variables, then the TOML file, then the
default. A value that is wrong is refused with the place it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.config.backend_settings import BackendSettings
from proxy.config.client_settings import ClientSettings
from proxy.config.execute_settings import ExecuteSettings
from proxy.config.listen_settings import ListenSettings
from proxy.config.log_settings import LogSettings
from proxy.config.option import Address, Setting, table_of
from proxy.config.pipeline_settings import PipelineSettings
from proxy.config.sources import SettingsError, read_values

__all__ = ["SETTINGS", "Address", "Setting", "Settings", "SettingsError", "load"]


# The fields of the last base come first.
@dataclass(frozen=True, kw_only=True)
class Settings(
    LogSettings,
    ExecuteSettings,
    PipelineSettings,
    ClientSettings,
    BackendSettings,
    ListenSettings,
):
    """Every setting, parsed. Who needs those of one kind takes that class."""


SETTINGS: Final[tuple[Setting, ...]] = table_of(Settings)
"""A row for each field: all that the command line, the environment, a file and docs/SETTINGS.md
know of it comes from here."""


def load(
    cli_values: Mapping[str, object],
    env: Mapping[str, str],
    config_path: Path | None = None,
) -> Settings:
    """Return the settings; `cli_values` holds only what was given, None and () count as not given.

    Raises SettingsError for an unknown name, a bad value or a file that cannot be read.
    """
    return Settings(**read_values(SETTINGS, cli_values, env, config_path))
