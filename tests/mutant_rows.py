"""How the tables of mutants are written: what stands in place of what, and the tests that are to notice.

`old` occurs exactly once in `file`; `tests` is what pytest is given, a file,
a test in it or a row of that, test[…].
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = []


def rows(file, tests, *mutants):
    """The mutants (name, old, new) of one file that the same tests are to catch."""
    MUTANTS.extend(Mutant(f"{file.removesuffix('.py')}: {name}", file, old, new, tests) for name, old, new in mutants)
