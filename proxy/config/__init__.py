"""Settings: one table, and what it comes to.

option      one setting: name, kind, default, limits, and how text becomes its value
settings    the table, and the frozen values a proxy is made with
sources     the command line, the environment and a file, in this order

Read once, at the start. Imports `http` for the form of an origin.
"""
