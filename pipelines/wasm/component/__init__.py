"""The component all sandboxes share: built, compiled for this machine, kept in the cache.

build       from the guest's source to a file in the cache folder
immortal    objects of the interpreter's snapshot that are never counted
precompile  the machine code, made in a process of its own
"""
