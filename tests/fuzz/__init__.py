"""Fuzzing of everything that reads what a client, a file or the environment says.

A harness runs one family of parsers on one input of bytes; it raises only on a finding: an
exception that the parser's docstring does not declare, or an invariant that does not hold. The
engine mutates a kept corpus (``tests/corpus/fuzz/<harness>/``) with the tokens of the grammar.
What it finds is saved there too and runs with every ``make test`` from then on.

    corpus ──> engine (seeded mutation) ──> harness.run(bytes) ──> finding, saved in the corpus

`make fuzz` runs a million cases; `python -m tests.fuzz NAME...` runs the named harnesses only.
"""
