"""``python -m proxy.cli.health``: exit code 0 if the proxy of this container is ready for traffic.

For health checks. It finds the address as the proxy does, in the environment or the file that
names; what was given on the proxy's command line it cannot see.
"""

from __future__ import annotations

import http.client
import os
import sys
from pathlib import Path
from typing import Final

from proxy.config.settings import Address, SettingsError, load
from proxy.config.sources import CONFIG_VARIABLE

_SECONDS: Final = 2.0
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def is_ready(address: Address) -> bool:
    """Whether a proxy answers at `address` that it is ready."""
    host = _EVERYWHERE.get(address.host, address.host)
    # No environment variable may send this through another proxy.
    connection = http.client.HTTPConnection(host, address.port, timeout=_SECONDS)
    try:
        connection.request("GET", "/_querymill/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    """The exit code: 1 if it is not ready, 2 if a setting is wrong."""
    config = os.environ.get(CONFIG_VARIABLE)
    try:
        address = load({}, os.environ, Path(config) if config else None).listen
    except SettingsError as error:
        sys.stderr.write(f"querymill: {error}\n")
        return 2
    return 0 if is_ready(address) else 1


if __name__ == "__main__":
    sys.exit(main())
