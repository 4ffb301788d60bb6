"""A proxy that is its own backend: told before it serves, where its addresses alone show it.

Where something else leads back to it, each request is answered with 508 (`proxy.server.server`).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping

from proxy.config.settings import Address, Settings, SettingsError
from proxy.http.origin import Origin


def refuse_own_backend(
    settings: Settings, listening: Mapping[str, Address | None] | None = None
) -> None:
    """Raise SettingsError where a node of `backend` is where the proxy listens.

    `listening` is where it does so already, by the names of the settings; without it, where they
    say that it will.
    """
    names = ("listen", "admin_listen")
    addresses = listening or {name: getattr(settings, name) for name in names}
    for url in settings.backend:
        origin = Origin.parse(url)
        for name, address in addresses.items():
            if address is not None and _leads_to(origin, address):
                raise SettingsError(
                    f"backend: {url} is the proxy's own address ({name} = {address}); name the "
                    "nodes of the cluster"
                )


def _leads_to(origin: Origin, address: Address) -> bool:
    if origin.port != address.port:
        return False
    ours = _resolved(address.host)
    return any(
        ip in ours or (_is_ours(ip) and any(our.is_unspecified for our in ours))
        for ip in _resolved(origin.host)
    )


def _resolved(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM)
    except OSError:
        # Not known yet, or never: connecting will tell.
        return []
    return [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]


def _is_ours(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one of this machine's: only those can be bound."""
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(ip), 0))
        except OSError:
            return False
    return True
