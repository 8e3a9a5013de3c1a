"""The tables of mutations: complete where they say so, and true to the probes."""

import pytest

from services.conformance.core.dependencies import grounds_of
from services.conformance.core.known_causes import COMMON, DATAPATH
from services.conformance.core.probes import PROBES
from tests.mutation.canaries import CANARIES, canaries, unwatched
from tests.mutation.catalogue import all_mutations, unbroken, undoubted
from tests.services.conformance.mutations.mutation import Mutation

_ROWS = all_mutations()


@pytest.mark.parametrize("row", _ROWS, ids=[f"{row.probe} {row.name}" for row in _ROWS])
def test_a_row_is_about_a_probe_and_a_cause_that_it_can_name(row: Mutation) -> None:
    probe = next((each for each in PROBES if each.id == row.probe), None)
    assert probe is not None
    if row.control:
        assert probe.control is not None
        return
    known = {(cause.code, cause.rung) for cause in (*probe.causes, *COMMON, DATAPATH)}
    assert (row.code, row.rung) in known


def test_every_probe_can_be_broken_or_says_why_it_cannot_fail() -> None:
    assert unbroken() == ()


def test_every_negative_control_can_be_broken() -> None:
    assert undoubted() == ()


def test_every_family_has_a_canary_that_exists() -> None:
    assert unwatched() == ()
    assert set(CANARIES) <= {probe.id for probe in PROBES}


def test_a_canary_stands_on_nothing_that_its_mutation_breaks() -> None:
    for row in _ROWS:
        broken = {each.probe for each in _ROWS if each.name == row.name}
        for canary in canaries(row):
            assert not broken & {canary.id, *grounds_of(canary)}, (row, canary.id)


def test_no_row_is_there_twice() -> None:
    keys = [(row.probe, row.name, row.scope, row.code, row.control) for row in _ROWS]
    assert len(keys) == len(set(keys))
