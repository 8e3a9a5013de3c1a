"""Evidence made by hand of what a client's proxy does: effects, counters, and tables of what breaks a proof."""

from dataclasses import dataclass, field

import pytest

from services.conformance.core.evidence import Accepted, Effect, Found
from services.conformance.core.orders import Answers, Reply, Report
from services.conformance.core.pages import Sample
from services.conformance.core.probe import Probe
from services.conformance.core.proofs import Series
from steward.jsonvalue import Json, JsonObject
from tests.services.conformance.core.seen import NOW, STAGE, answer, calls, evidence, pages, sample, silence

Steps = dict[str, Found]
V1 = ("v1-0", "v1-1")
V2 = "v2-0"


def effect(*replies: Reply, met: bool = True, seconds: float = 0.3, things: tuple[JsonObject, ...] = ()) -> Found:
    """A change showed after a while, or did not."""
    return Found(effect=Effect(met=met, wish="the effect", seconds=seconds, replies=replies, objects=things))


SHOWN = effect()
NEVER = effect(answer(), met=False, seconds=30)
APPLIED = Found(accepted=Accepted(NOW, ()))


_FAILING: Steps = {
    "failing": calls(answer(status=503), times=3),
    "refusing": calls(answer(status=429), times=3),
    "fine": calls(answer(), times=3),
}
FAILURES_SEEN = (_FAILING, _FAILING | {"failing": calls(answer(), times=3)})
SLOWNESS_SEEN: tuple[Steps, Steps] = (
    {"slow": calls(answer(seconds=0.61), times=2)},
    {"slow": calls(answer(seconds=0.01), times=2)},
)
_OPEN = {"open": calls(answer(), times=3)}
CLOSED_IS_CLOSED: tuple[Steps, Steps] = (
    _OPEN | {"closed": calls(silence("Refused"), times=2)},
    _OPEN | {"closed": calls(answer(), times=2)},
)
WHO_ANSWERS: tuple[Steps, Steps] = (
    {f"pod-{at}": calls(answer(pod=pod)) for at, pod in enumerate((*V1, V2))},
    {f"pod-{at}": calls(answer(pod=V2)) for at, pod in enumerate((*V1, V2))},
)


def spread(times: int, *pods: str) -> tuple[Reply, ...]:
    """Answers of these pods in turn, over one connection."""
    return tuple(answer(pod=pods[at % len(pods)]) for at in range(times))


def counted(*of: tuple[Series, float]) -> Found:
    """The page of the client's proxy with these counters."""
    return pages(cm_0=[line(series, value) for series, value in of])


def line(series: Series, value: float) -> Sample:
    """One of them."""
    return sample(series.name, value, **series.labels)


def resolved(*addresses: str, times: int = 100, failures: int = 0, slowest: float = 0.01) -> Found:
    """What a name resolved to."""
    seen = Answers(addresses=tuple((each, times) for each in addresses), failures=failures, slowest_seconds=slowest)
    return Found(reports=(Report(order="o", agent="cm", pod="cm-0", started_at=NOW, ended_at=NOW, seen=seen),))


def route(name: str, *, accepted: str = "True", resolved_refs: str = "True", reason: str = "Accepted") -> JsonObject:
    """A route with the status that the policy controller wrote."""
    conditions: list[Json] = [
        {"type": "Accepted", "status": accepted, "reason": reason},
        {"type": "ResolvedRefs", "status": resolved_refs, "reason": "ResolvedRefs"},
    ]
    parents: list[Json] = [{"controllerName": "linkerd.io/policy-controller", "conditions": conditions}]
    return {"kind": "HTTPRoute", "metadata": {"name": name}, "status": {"parents": parents}}


@dataclass(frozen=True, slots=True)
class Broken:
    """What else was found, the assertion that then fails, and the cause that is told."""

    probe: str
    change: Steps
    fails: str
    cause: str = ""

    @property
    def id(self) -> str:
        """What a test is called."""
        return f"{self.probe}: {self.fails}"


@dataclass(frozen=True, slots=True)
class Family:
    """The probes of one family with the evidence of a healthy mesh."""

    probes: tuple[Probe, ...]
    healthy: dict[str, Steps]
    broken: tuple[Broken, ...]
    controls: dict[str, tuple[Steps, Steps]] = field(default_factory=dict)
    """By probe: the evidence of a control that holds, and of one that does not."""

    def probe(self, id: str) -> Probe:
        """One of them."""
        return next(probe for probe in self.probes if probe.id == id)

    def passes(self, id: str) -> None:
        """A healthy mesh passes, and nothing is blamed."""
        probe, found = self.probe(id), evidence(self.healthy[id])
        results = probe.proof(STAGE, found)
        assert [(each.name, each.observed) for each in results if not each.ok] == []
        assert results

    def notices(self, case: Broken) -> None:
        """What is broken is seen by the assertion that is meant for it, and named."""
        probe, found = self.probe(case.probe), evidence({**self.healthy[case.probe], **case.change})
        wrong = [each.name for each in probe.proof(STAGE, found) if not each.ok]
        assert case.fails in " / ".join(wrong)
        if case.cause:
            codes = [cause.code for cause in probe.causes if cause.seen(STAGE, found) is not None]
            assert case.cause in codes

    def believes(self, id: str) -> None:
        """The control tells a prober that can be believed from one that cannot."""
        control = self.probe(id).control
        assert control is not None
        good, bad = self.controls[id]
        assert all(each.ok for each in control.proof(STAGE, evidence(good)))
        assert not all(each.ok for each in control.proof(STAGE, evidence(bad)))

    def complete(self) -> None:
        """Every probe of the family is judged here, healthy and broken, and every control."""
        ids = {probe.id for probe in self.probes}
        assert set(self.healthy) == ids
        assert {case.probe for case in self.broken} == ids
        assert set(self.controls) == {probe.id for probe in self.probes if probe.control is not None}


def cases(family: Family) -> pytest.MarkDecorator:
    """One test for each way to break a family."""
    return pytest.mark.parametrize("case", family.broken, ids=lambda case: case.id)


def healthy(family: Family) -> pytest.MarkDecorator:
    """One test for each of its probes."""
    return pytest.mark.parametrize("id", sorted(family.healthy))


def controls(family: Family) -> pytest.MarkDecorator:
    """One test for each of its controls."""
    return pytest.mark.parametrize("id", sorted(family.controls))
