"""A real backend without a container engine, for development, demo and tests.

distribution   OpenSearch or Elasticsearch, as its makers publish it
artifact       one published file, downloaded once, its checksum verified
installation   a distribution unpacked, with the Java and the account that run it
layout         the folders of one run
node           one running process of the backend
guardian       the process that ends the node when the caller is gone, however it went

options -> prepare: artifacts -> installation -> layout -> command -> node -> ready

Importing this package loads the downloader and rich, so the command line imports it when a
command needs it.
"""

from proxy.embedded.cluster import EmbeddedCluster
from proxy.embedded.errors import EmbeddedError
from proxy.embedded.installation import Installation, prepare
from proxy.embedded.options import ClusterOptions
from proxy.embedded.progress import Bars, Lines, Progress, Silent, progress_on
from proxy.embedded.signals import exit_on_signals

__all__ = [
    "Bars",
    "ClusterOptions",
    "EmbeddedCluster",
    "EmbeddedError",
    "Installation",
    "Lines",
    "Progress",
    "Silent",
    "exit_on_signals",
    "prepare",
    "progress_on",
]
