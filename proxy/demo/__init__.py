"""The demo: a backend, the proxy, a catalogue of products, and what each example changes.

material   the files under examples/: pipelines with their UDFs, products, showcases
showcase   a search or a document, and what a pipeline is expected to make of it
session    the demo's Elasticsearch client, which knows the proxy and nothing else
response   what a search found, or what became of a document
shown      a showcase with its responses before and after, and what was not as expected
change     the lines that tell one from the other, for the terminal, plain text and Markdown

material -> session: index, upload, show -> shown -> change -> terminal, text or README
"""

from proxy.demo.errors import DemoError
from proxy.demo.run import DemoOptions, run_demo

__all__ = ["DemoError", "DemoOptions", "run_demo"]
