"""Uploads, read into frozen values; every fault is named by its path.

pipeline    a pipeline as it was uploaded
package     one version of a UDF as it is run
udf         what is uploaded of UDFs, and their versions; `archive` reads a zip
attachment  the index settings that bind pipelines

Imports `jsontext`.
"""
