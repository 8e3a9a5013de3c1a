"""Workloads outside of the cluster, judged by evidence made by hand."""

import pytest

from services.conformance.core import diagnosis as why
from services.conformance.core import external
from services.conformance.core.evidence import Failure, Found, Unseen
from services.conformance.core.probes import expansion
from steward.jsonvalue import Json, JsonObject
from tests.services.conformance.core.outbound_seen import (
    APPLIED,
    Broken,
    Family,
    Steps,
    cases,
    controls,
    effect,
    healthy,
)
from tests.services.conformance.core.seen import (
    SERVER,
    STAGE,
    answer,
    calls,
    causes,
    evidence,
    not_told,
    objects,
    refusal,
    silence,
    told,
)

ID = "exp.external-workload"
_IP = STAGE.pods("sp")[0].ip
_POD = STAGE.pods("sp")[0].pod


def _slice(*, ready: bool, ports: tuple[int, ...] = (external.HTTP, external.OPAQUE), name: str = "") -> JsonObject:
    listed: list[Json] = [{"port": port} for port in ports]
    return {
        "metadata": {
            "name": name or f"{external.PREFIX}-x2f4q",
            "labels": {external.MANAGED_BY: external.MANAGER},
        },
        "endpoints": [
            {
                "addresses": [_IP],
                "conditions": {"ready": ready},
                "targetRef": {"kind": "ExternalWorkload", "name": external.OUTSIDE},
            }
        ],
        "ports": listed,
    }


_OF_KUBERNETES: JsonObject = {
    "metadata": {"name": "p-outside-x", "labels": {external.MANAGED_BY: "endpointslice-controller.k8s.io"}},
    "endpoints": [],
}


def _seen(*, ready: bool, met: bool = True, **more: object) -> Found:
    return effect(met=met, things=(_OF_KUBERNETES, _slice(ready=ready, **more)))  # type: ignore[arg-type] # given by tests


def _told(port: int, hint: str, identity: str = "", name: str = SERVER) -> Found:
    uri = identity or external.identity(STAGE)
    tls: JsonObject = {"uriLikeIdentity": {"uri": uri}, "serverName": {"name": name}}
    rows: list[Json] = [{"addr": {"ip": _IP, "port": port}, "tlsIdentity": tls, "protocolHint": {hint: {}}}]
    return told(destination={"add": {"addrs": rows}})


def _bare(port: int) -> Found:
    rows: list[Json] = [{"addr": {"ip": _IP, "port": port}}]
    return told(destination={"add": {"addrs": rows}})


_REFUSED = calls(refusal(504, "service in fail-fast"), refusal(503, "service unavailable"))
_HEALTHY: Steps = {
    "workload": APPLIED,
    "ready-stated": APPLIED,
    "unready-stated": APPLIED,
    "ready-again-stated": APPLIED,
    "ready": _seen(ready=True),
    "unready": _seen(ready=False),
    "ready-again": _seen(ready=True),
    "told": _told(external.HTTP, "h2"),
    "told-opaque": _told(external.OPAQUE, "opaque"),
    "refused": _REFUSED,
}
_NOWHERE: Steps = {step: effect(met=False, things=(_OF_KUBERNETES,)) for step in ("ready", "unready", "ready-again")}
_NO_ROOM = Found(failure=Failure("NotAccepted", "status of ExternalWorkload p-outside: not allowed"))


def _selected(labels: dict[str, str], *ports: int) -> Steps:
    """What a diagnosis reads of a workload and its Service."""
    documented: list[Json] = [{"port": port} for port in ports]
    found: JsonObject = {"metadata": {"labels": dict(labels)}, "spec": {"ports": documented}}
    return {"why-workload": objects(found), why.SERVICE: objects(external.front(STAGE))}


_BY_ADDRESS = {"ready-again": _seen(ready=True), "by-address": calls(answer(pod=_POD))}
FAMILY = Family(
    probes=expansion.PROBES,
    healthy={ID: _HEALTHY},
    broken=(
        Broken(ID, _NOWHERE, "a slice is written", "SLICE_NOT_WRITTEN"),
        Broken(ID, {"unready": _seen(ready=True, met=False)}, "unready when", "SLICE_DIFFERS"),
        Broken(ID, {"ready": _seen(ready=True, met=False, ports=(8140, 8139))}, "a slice is written", "SLICE_DIFFERS"),
        Broken(ID, {"ready": _seen(ready=True, met=False, name="theirs")}, "a slice is written", "SLICE_DIFFERS"),
        Broken(ID, {"told": told(destination={"add": {"addrs": []}})}, "the other port", "WORKLOAD_NOT_TOLD"),
        Broken(ID, {"told": not_told("DeadlineExceeded")}, "the other port", "WORKLOAD_NOT_TOLD"),
        Broken(ID, {"told": _bare(external.HTTP)}, "the other port", "WORKLOAD_MISTOLD"),
        Broken(ID, {"told": _told(external.HTTP, "opaque")}, "the other port", "WORKLOAD_MISTOLD"),
        Broken(ID, {"told": _told(external.HTTP, "h2", name="vm.invalid")}, "the other port", "WORKLOAD_MISTOLD"),
        Broken(ID, {"told-opaque": _told(external.OPAQUE, "h2")}, "the opaque port", "WORKLOAD_MISTOLD"),
        Broken(ID, {"refused": calls(answer(pod=_POD))}, "is refused", "IDENTITY_NOT_REQUIRED"),
        Broken(ID, {"refused": calls(silence("TimedOut"))}, "is refused", "NOT_REFUSED"),
        Broken(ID, {"refused": calls(refusal(403))}, "is refused", "NOT_REFUSED"),
        Broken(
            ID,
            _NOWHERE | {"ready-stated": _NO_ROOM, "why-definition": objects()},
            "a slice is written",
            "WORKLOAD_NOT_TAKEN",
        ),
        Broken(ID, _NOWHERE | _selected({}, external.HTTP, external.OPAQUE), "a slice", "WORKLOAD_NOT_SELECTED"),
        Broken(ID, _NOWHERE | _selected({"app": external.OUTSIDE}), "a slice", "WORKLOAD_NOT_SELECTED"),
    ),
    controls={
        ID: (
            _BY_ADDRESS | {"unasked": effect(answer(pod=_POD))},
            _BY_ADDRESS | {"unasked": effect(refusal(504, "service in fail-fast"), met=False)},
        )
    },
)


@healthy(FAMILY)
def test_a_healthy_mesh_passes(id: str) -> None:
    FAMILY.passes(id)


@cases(FAMILY)
def test_what_is_broken_is_noticed_and_named(case: Broken) -> None:
    FAMILY.notices(case)


@controls(FAMILY)
def test_a_broken_prober_is_not_believed(id: str) -> None:
    FAMILY.believes(id)


def test_nothing_is_left_out() -> None:
    FAMILY.complete()


def test_where_the_slices_lead_nowhere_nobody_doubts_the_prober() -> None:
    control = FAMILY.probe(ID).control
    assert control is not None
    with pytest.raises(Unseen, match="lead nowhere"):
        control.proof(STAGE, evidence(_BY_ADDRESS | {"ready-again": effect(met=False)}))


def test_who_holds_the_lease_is_told_where_no_slice_is_written() -> None:
    lease: JsonObject = {"spec": {"holderIdentity": "linkerd-destination-gone", "renewTime": "2026-11-21T11:00:00Z"}}
    found = evidence(_HEALTHY | _NOWHERE | {"why-lease": objects(lease)})
    cause = next(each for each in FAMILY.probe(ID).causes if each.code == "SLICE_NOT_WRITTEN")
    said = cause.seen(STAGE, found)
    assert said is not None
    assert "held by linkerd-destination-gone, renewed 2026-11-21T11:00:00Z" in said


def test_a_workload_that_is_selected_and_written_blames_neither() -> None:
    found = evidence(_HEALTHY | _selected({"app": external.OUTSIDE}, external.HTTP, external.OPAQUE))
    assert causes(FAMILY.probe(ID), found) == []
