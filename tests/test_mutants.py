"""The table of mutants still fits the code. (That the suite catches them takes minutes: python tests/mutants.py.)"""

import ast
from collections import Counter

import pytest

from mutants import MUTANTS, ROOT, planted, stale


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_finds_its_place_once_and_python_is_still_python(mutant):
    assert not stale(mutant)
    assert planted(mutant) != (ROOT / mutant.file).read_text(encoding="utf-8")
    if mutant.file.endswith(".py"):
        ast.parse(planted(mutant))
    file, _, test = mutant.tests.partition("[")[0].partition("::")
    assert f"def {test or 'test_'}" in (ROOT / file).read_text(encoding="utf-8")


def test_a_stale_mutant_is_named():
    assert "holds 0 times, not once: 'no such text'" in stale(MUTANTS[0]._replace(old="no such text"))


def test_mutants_have_names_of_their_own():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_each_part_of_the_engine_has_its_mutants():
    counts = Counter(mutant.file.rpartition("/")[0] for mutant in MUTANTS)
    assert counts["kernels/reference"] >= 20 and counts["kernels/cpu"] >= 20
    assert sum(count for folder, count in counts.items() if folder.startswith("scratchnet")) >= 12
