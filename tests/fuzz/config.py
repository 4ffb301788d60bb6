"""Harnesses of settings: the proxy's own, in all three places, and those of an index."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson

from pipelines.definitions.attachment import Attachments, setting_phase
from pipelines.errors import DefinitionError
from pipelines.jsontext.json_text import same
from proxy.config.settings import SETTINGS, Settings, SettingsError, load
from proxy.protocol.index_settings import flat, matching, merge, nested, take_settings
from tests.fuzz.harness import Harness, declared

_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


def _settings_harness() -> Callable[[bytes], None]:
    folder = tempfile.TemporaryDirectory(prefix="querymill-fuzz-")
    path = Path(folder.name) / "querymill.toml"

    def run(data: bytes) -> None:
        """A config file; its lines are also taken for variables and options."""
        path.write_bytes(data)
        _check(declared((SettingsError,), load, {}, {}, path))
        env: dict[str, str] = {}
        cli: dict[str, object] = {}
        for line in data.split(b"\n")[:20]:
            name, equals, value = line.decode("utf-8", "surrogateescape").partition("=")
            setting = _BY_NAME.get(name.strip())
            if setting is not None and equals:
                text = value.strip().strip("\"'[]").replace("\0", "")
                env[setting.env] = text
                cli[setting.name] = (text,) if setting.repeats else text
        if env:
            _check(declared((SettingsError,), load, {}, env))
            _check(declared((SettingsError,), load, cli, {}))

    # The folder lives as long as the harness.
    run.__dict__["folder"] = folder
    return run


def _check(settings: Settings | None) -> None:
    """What was taken is taken again as it is written."""
    if settings is None:
        return
    for name in ("listen", "admin_listen", "backend", "pipeline_headers"):
        value = getattr(settings, name)
        if value:
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            assert _BY_NAME[name].parse(text) == value, (name, value)


def run_index_settings(data: bytes) -> None:
    """The body of a settings request: ours and the backend's add up to what came."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    if not isinstance(value, dict):
        return
    taken = declared((DefinitionError,), take_settings, value)
    if taken is None:
        return
    ours, rest = taken
    assert all(setting_phase(name) or "search" in name for name in ours)
    assert take_settings(rest) == ({}, rest)
    assert ours or same(rest, value)
    held = {name: pipeline for name, pipeline in ours.items() if pipeline is not None}
    shown: dict[str, Any] = {}
    merge(shown, rest)
    merge(shown, nested(held))
    assert set(matching(held, ["*"])) == set(flat(held))
    matching(held, list(value))
    # What was attached under any name can be looked up under any.
    names = list(value)[:5]
    attachments = Attachments({name: held for name in names})
    for name in names:
        assert attachments.settings(name) == held
        attachments.finals(name, "query")


_SETTINGS_TOKENS: Final = (
    *(f"\n{setting.name} = ".encode() for setting in SETTINGS),
    *tuple(
        b'"http://127.0.0.1:9200"|["https://a","http://[::1]:9200"]|"[::1]:9280"|"a:0"|:65536|'
        b"http://|https://|user:pass@|[::1|%zz|[table]|[[tables]]|~|~nobody-at-all/x|~root|/tmp|"
        b'"auto"|"10mb"|"0.5"|0x10|0b1|1_000|inf|nan|-0.0|1e400|2020-13-40|1979-05-27T07:32:00Z|'
        b'"""|\'\'\'|\\u0000|\\U00110000|# |= |x-opaque-id,|"chain"|{a = 1}|a.b.c = '.split(b"|")
    ),
)
_INDEX_TOKENS: Final = tuple(
    b'"index"|"index.query.default_pipeline"|"query.final_pipeline"|"index.search.default_pipeline"|'
    b'"document"|"result":{"default_pipeline":"p"}|"default_pipeline":null|"settings":|"_none"|'
    b'"index.":|"index..query":|:{|},|"*":1|"[a"|"a?"|"-":0|"p"'.split(b"|")
)

HARNESSES: Final = (
    Harness("settings", _settings_harness(), _SETTINGS_TOKENS),
    Harness("index_settings", run_index_settings, _INDEX_TOKENS),
)
