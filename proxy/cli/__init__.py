"""The command line: ``querymill serve``, ``cluster``, ``demo``.

A setting's option comes from the SETTINGS table; an error is one line. Imports `app`, `config`,
`demo` and `embedded`, some of them only when a command needs them, for they load slowly.
"""
