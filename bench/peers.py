"""The other proxies, and the static backend, as one process each, from configurations made here.

All run one worker with kept connections on both sides and no access log. What is not installed is
left out, and the report says how to have it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import material
from bench.child import Child, free_address, module

# Where Debian puts it for users other than root, too.
_PATH: Final = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
_JS_MODULE: Final = "ngx_http_js_module.so"
_HOW: Final = "on Debian: apt-get install"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A peer that is not installed, and how to install it."""

    name: str
    remedy: str


class Peers:
    """Starts peers with configurations in `folder`, which is there until they are stopped."""

    def __init__(self, folder: Path) -> None:
        # the workers of nginx may be another user's
        folder.chmod(0o755)
        self._folder = folder
        self._nginx = shutil.which("nginx", path=_PATH)
        self._haproxy = shutil.which("haproxy", path=_PATH)
        self._js = _js_module(self._nginx) if self._nginx else None

    @property
    def missing(self) -> list[Missing]:
        """What is not installed here."""
        found = {
            "nginx": (self._nginx, f"{_HOW} nginx-light"),
            "nginx with njs": (self._js, f"{_HOW} libnginx-mod-http-js"),
            "haproxy": (self._haproxy, f"{_HOW} haproxy"),
        }
        return [Missing(name=n, remedy=r) for n, (there, r) in found.items() if there is None]

    @property
    def versions(self) -> str:
        """Of what is installed."""
        told = []
        if self._nginx:
            told.append(f"nginx {_version(self._nginx)}" + (" with njs" if self._js else ""))
        if self._haproxy:
            told.append(f"haproxy {_version(self._haproxy)}")
        return ", ".join(told) or "none"

    def static(self, backend: str) -> Child:
        """The static backend; what is no search of its indices goes on to `backend` (HOST:PORT)."""
        for hits in material.STATIC_HITS:
            path = self._folder / f"{hits}.json"
            path.write_text(material.search_response(hits), encoding="utf-8")
            path.chmod(0o644)
        if self._nginx is None:
            return module("bench.static_backend", backend, str(self._folder))
        sizes = "|".join(map(str, material.STATIC_HITS))
        # a file is no response to a POST until the error of that is made one
        location = (
            f"open_file_cache max=16; root {self._folder}; default_type application/json;"
            f"location ~ ^/{material.STATIC}-({sizes})(-[a-z0-9-]+)?/_search$ {{"
            " error_page 405 =200 /$1.json; try_files /$1.json =404; }"
            f"location ~ ^/({sizes})\\.json$ {{ internal; }}"
            "location / { proxy_pass http://backend; }"
        )
        return self._start_nginx(self._nginx, "static", backend, location)

    def nginx(self, backend: str) -> Child | None:
        """A pass-through to `backend`."""
        if self._nginx is None:
            return None
        location = "location / { proxy_pass http://backend; }"
        return self._start_nginx(self._nginx, "nginx", backend, location)

    def njs(self, backend: str) -> Child | None:
        """The rewrite of bench/rewrite.js in front of `backend`."""
        if self._nginx is None or self._js is None:
            return None
        shutil.copy(Path(__file__).with_name("rewrite.js"), self._folder)
        (self._folder / "rewrite.js").chmod(0o644)
        location = (
            "js_import rewrite from rewrite.js; subrequest_output_buffer_size 2m;"
            "location / { js_content rewrite.search; }"
            "location /backend/ { internal; proxy_pass http://backend/; }"
        )
        head = f"load_module {self._js};"
        return self._start_nginx(self._nginx, "njs", backend, location, head=head)

    def haproxy(self, backend: str) -> Child | None:
        """A pass-through to `backend`."""
        if self._haproxy is None:
            return None
        address = free_address()
        path = self._folder / "haproxy.cfg"
        path.write_text(_HAPROXY.format(address=address, backend=backend), encoding="utf-8")
        return Child([self._haproxy, "-db", "-f", str(path)], name="haproxy", address=address)

    def _start_nginx(
        self, program: str, name: str, backend: str, location: str, *, head: str = ""
    ) -> Child:
        address = free_address()
        path = self._folder / f"{name}.conf"
        values = {"folder": self._folder, "name": name, "address": address, "backend": backend}
        path.write_text(_NGINX.format(head=head, location=location, **values), encoding="utf-8")
        command = [program, "-p", str(self._folder), "-e", "stderr", "-c", str(path)]
        return Child(command, name=name, address=address)


def if_there(start: Callable[[str], Child | None], backend: str) -> list[Child]:
    """What `start` starts in front of `backend`, if it is installed."""
    child = start(backend)
    return [] if child is None else [child]


def _js_module(nginx: str) -> Path | None:
    told = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=False).stderr
    folder = re.search(r"--modules-path=(\S+)", told)
    path = Path(folder[1]) / _JS_MODULE if folder else None
    return path if path and path.is_file() else None


def _version(program: str) -> str:
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    version = re.search(r"\d+\.\d+[\w.+~-]*", told.stdout + told.stderr)
    return version[0] if version else "of unknown version"


_NGINX: Final = """\
{head}
daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; tcp_nodelay on;
  client_body_temp_path {folder}/{name}-body; proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/{name}-1; uwsgi_temp_path {folder}/{name}-2;
  scgi_temp_path {folder}/{name}-3;
  client_max_body_size 100m; client_body_buffer_size 1m; proxy_max_temp_file_size 0;
  proxy_http_version 1.1; proxy_set_header Connection "";
  upstream backend {{ server {backend}; keepalive 64; keepalive_requests 100000000; }}
  server {{ listen {address} backlog=4096; {location} }}
}}
"""

_HAPROXY: Final = """\
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind {address}
  default_backend back
backend back
  server one {backend}
"""
