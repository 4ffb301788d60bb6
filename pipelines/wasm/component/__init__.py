"""The component all sandboxes share: built, compiled for this machine, kept in the cache.

build         the compiled component's file, from the cache or made now
shipped       the component that came with the installation, as a wheel brings it
componentize  a component of the guest's source
immortal      objects of the interpreter's snapshot that are never counted
precompile    the machine code of a component
step          each of the two in a process of its own
checksum      what finds a damaged file

The making of a wheel runs this package by itself (`setup.py`), where nothing is installed that the
proxy needs: `__main__`, and all but `build` and `precompile`, import the standard library alone and
each other by relative names.
"""
