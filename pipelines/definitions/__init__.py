"""Uploads, read into frozen values; every fault is named by its path.

pipeline    a pipeline as it was uploaded
udf         a UDF package and its versions; `archive` reads it from a zip
attachment  the index settings that bind pipelines

Imports `jsontext`, and the words of `wasm`.
"""
