"""The formats a backend speaks beside JSON, and how it lays JSON out.

convert     YAML, CBOR and SMILE told apart by media type; to JSON and back
yaml        YAML as the backend reads and writes it
pretty, filter_path  the backend's own parameters, applied to a text

Pure. Imports JSON text of `pipelines` only.
"""
