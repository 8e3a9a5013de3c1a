"""Laws that every probe keeps, whoever wrote it."""

import re
from collections.abc import Callable, Iterator
from typing import get_args

import pytest

from services.conformance.core import evidence as seen
from services.conformance.core.dependencies import circle
from services.conformance.core.evidence import Evidence, Found, Unseen
from services.conformance.core.orders import Call
from services.conformance.core.probe import Probe
from services.conformance.core.probes import PROBES
from services.conformance.core.stage import PORTS, SPARE_PORTS, Stage
from services.conformance.core.steps import (
    Applied,
    Asked,
    Calls,
    During,
    LookedUntil,
    Pages,
    Removed,
    Stated,
    Step,
    Tapped,
    Tried,
    Unless,
    Until,
    Wait,
)
from steward.conformance.results import Safety, Tier
from steward.jsonvalue import JsonObject, text, texts
from tests.services.conformance.core.seen import MESHED, PLAIN, STAGE

_FEATURE = re.compile(r"^[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+$")
_SINCE = re.compile(r"^[0-9]+\.[0-9]+$")
_ACTORS = frozenset({*STAGE.places, "su", "cu"})

every_probe = pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.id)


def flat(steps: tuple[Step, ...]) -> Iterator[Step]:
    """All steps, those within others too."""
    for step in steps:
        yield step
        if isinstance(step, Unless | Tapped):
            yield from flat(step.steps)
        if isinstance(step, During):
            # What the load saw is found under the name of the step that it is part of, too.
            if step.load.name != step.name:
                yield step.load
            yield from flat(step.steps)


def of(probe: Probe, stage: Stage = STAGE) -> tuple[Step, ...]:
    """The steps of a probe and of its control."""
    control = () if probe.control is None else probe.control.steps(stage)
    return tuple(flat((*probe.steps(stage), *control)))


def made(probe: Probe) -> Iterator[JsonObject]:
    """Every object that a probe makes or tries."""
    if probe.objects is not None:
        yield from probe.objects(STAGE)
    for step in of(probe):
        if isinstance(step, Applied | Removed):
            yield from step.objects
        elif isinstance(step, Tried):
            yield step.object


def order_of(step: Step) -> Call | None:
    """The call that a step makes."""
    return step.call if isinstance(step, Calls | Until) else None


def names_read(judge: Callable[[Stage, Evidence], object], found: dict[str, Found]) -> set[str]:
    """Which step a judge misses first, given what was found."""
    try:
        judge(STAGE, Evidence(found))
    except Unseen as error:
        return {error.step}
    return set()


def test_every_id_is_used_once() -> None:
    ids = [probe.id for probe in PROBES]
    assert sorted(set(ids)) == sorted(ids)


def test_no_probe_stands_on_itself() -> None:
    assert circle(PROBES) == ()


def test_what_a_probe_depends_on_exists() -> None:
    ids = {probe.id for probe in PROBES}
    assert {probe.id: missing for probe in PROBES if (missing := set(probe.depends_on) - ids)} == {}


@every_probe
def test_it_says_what_it_claims_since_when_and_how_boldly(probe: Probe) -> None:
    assert _FEATURE.match(probe.id)
    assert probe.claim[0].isupper() or probe.claim.startswith("gRPC")
    assert probe.claim.endswith(".")
    assert not probe.since or _SINCE.match(probe.since)
    assert not probe.until or _SINCE.match(probe.until)
    assert probe.bound.total_seconds() > 0
    assert (probe.safety is Safety.DISRUPTIVE) == (probe.tier is Tier.DISRUPTIVE)


@every_probe
def test_its_steps_have_names_of_their_own(probe: Probe) -> None:
    for steps in (probe.steps(STAGE), probe.control.steps(STAGE) if probe.control is not None else ()):
        names = [step.name for step in flat(steps)]
        assert sorted(set(names)) == sorted(names)
        assert all(isinstance(step, get_args(Step)) for step in flat(steps))


@every_probe
def test_its_diagnosis_never_hides_what_it_saw(probe: Probe) -> None:
    own = {step.name: step for step in flat(probe.steps(STAGE))}
    why = flat(probe.diagnosis(STAGE)) if probe.diagnosis is not None else ()
    assert [step.name for step in why if own.get(step.name, step) != step] == []


@every_probe
def test_its_proof_judges_by_steps_that_it_makes(probe: Probe) -> None:
    judged = names_read(probe.proof, {})
    assert judged, "a proof that holds without any evidence proves nothing"
    assert judged <= {step.name for step in flat(probe.steps(STAGE))} | {"stage"}
    if probe.control is not None:
        judged = names_read(probe.control.proof, {})
        assert judged, "a control that holds without any evidence controls nothing"
        assert judged <= {step.name for step in of(probe)} | {"stage"}


@every_probe
def test_its_causes_say_what_to_do(probe: Probe) -> None:
    assert probe.causes
    for cause in probe.causes:
        assert re.fullmatch(r"[A-Z][A-Z0-9_]+", cause.code), cause.code
        for words in (cause.message, cause.expected, cause.disproof, cause.remedy, cause.command):
            assert words, f"{probe.id}: {cause.code} leaves something unsaid"


@every_probe
def test_its_causes_see_nothing_where_nothing_was_found(probe: Probe) -> None:
    assert [cause.code for cause in probe.causes if cause.seen(STAGE, seen.Evidence()) is not None] == []


@every_probe
def test_its_objects_are_in_namespaces_of_the_run_and_carry_its_labels(probe: Probe) -> None:
    for thing in made(probe):
        where = f"{text(thing, 'kind')} {text(thing, 'metadata', 'name')}"
        assert text(thing, "metadata", "namespace") in (MESHED, PLAIN), where
        assert STAGE.owner.items() <= texts(thing, "metadata", "labels").items(), where
        assert len(text(thing, "metadata", "name")) <= 253


@every_probe
def test_what_it_removes_it_has_applied(probe: Probe) -> None:
    steps = [*of(probe)]
    applied = [thing for step in steps if isinstance(step, Applied) for thing in step.objects]
    applied += probe.objects(STAGE) if probe.objects is not None else ()
    known = {(text(thing, "kind"), text(thing, "metadata", "name")) for thing in applied}
    removed = [thing for step in steps if isinstance(step, Removed) for thing in step.objects]
    assert {(text(thing, "kind"), text(thing, "metadata", "name")) for thing in removed} <= known


@every_probe
def test_what_it_states_is_the_status_of_what_it_has_applied(probe: Probe) -> None:
    applied = {(text(thing, "kind"), text(thing, "metadata", "name")) for thing in made(probe)}
    stated = [step.object for step in of(probe) if isinstance(step, Stated)]
    assert {(text(thing, "kind"), text(thing, "metadata", "name")) for thing in stated} <= applied
    assert {text(thing, "metadata", "namespace") for thing in stated} <= {MESHED, PLAIN}
    assert all("status" in thing and "spec" not in thing for thing in stated)


@every_probe
def test_its_calls_are_few_enough_to_be_polite(probe: Probe) -> None:
    for step in of(probe):
        call = order_of(step)
        if call is not None:
            assert call.times <= 1_000 or call.per_second
            assert call.body_bytes <= 32 * 1024 * 1024


@every_probe
def test_it_waits_no_longer_than_it_says(probe: Probe) -> None:
    waits = sum(step.duration.total_seconds() for step in of(probe) if isinstance(step, Wait))
    assert waits <= probe.bound.total_seconds() or waits <= 120


@every_probe
def test_it_plays_with_actors_that_exist(probe: Probe) -> None:
    own = {text(thing, "metadata", "name") for thing in made(probe) if text(thing, "kind") in ("Deployment", "Pod")}
    for step in of(probe):
        if isinstance(step, Calls | Until | Asked):
            assert step.actor in _ACTORS | own, f"{probe.id}: {step.name} is played by {step.actor}"
        if isinstance(step, Pages) and not step.labels:
            assert step.of in _ACTORS | own, f"{probe.id}: {step.name} reads {step.of}"


@every_probe
def test_its_steps_can_be_printed_before_there_is_a_cast(probe: Probe) -> None:
    bare = Stage(run="r", meshed=MESHED, plain=PLAIN, owner=dict(STAGE.owner))
    assert [step.name for step in of(probe, bare)]


def test_no_two_probes_share_an_object_unless_one_waits_for_the_other() -> None:
    owners: dict[str, Probe] = {}
    for probe in PROBES:
        for thing in made(probe):
            if text(thing, "kind") == "Pod":
                continue
            key = f"{text(thing, 'kind')} {text(thing, 'metadata', 'namespace')}/{text(thing, 'metadata', 'name')}"
            owner = owners.setdefault(key, probe)
            together = owner is not probe and owner.id not in probe.depends_on
            assert not together, f"{key} is used by {owner.id} and {probe.id}"


def test_spare_ports_lie_beside_the_ports_of_the_cast() -> None:
    assert not set(SPARE_PORTS) & set(PORTS.values())


def test_a_page_is_read_twice_where_a_counter_is_to_grow() -> None:
    alone = [
        probe.id
        for probe in PROBES
        if any(isinstance(step, Pages) and step.name.endswith("-before") for step in of(probe))
        and not any(isinstance(step, Pages) and step.name.endswith("-after") for step in of(probe))
    ]
    assert alone == []


def test_looks_that_wait_say_for_what() -> None:
    assert all(step.wish for probe in PROBES for step in of(probe) if isinstance(step, LookedUntil | Until))
