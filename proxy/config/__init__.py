"""Settings: each written once, and what they come to.

option      one setting: name, kind, default, limits, and how text becomes its value
..._settings  classes of settings: a field each, with all there is to say of it
settings    all of them, and the frozen values a proxy is made with
sources     the command line, the environment and a file, in this order

Read once, at the start. Imports `http` for the form of an origin.
"""
