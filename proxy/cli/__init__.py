"""The command line: ``querymill serve``, ``cluster``, ``demo``.

A setting's option comes from its field in `config`; an error is one line. Imports `app`, `config`,
`demo` and `embedded`, some of them only when a command needs them, for they load slowly.
"""
