"""Alerts of Steward's own, as events of Kubernetes begin and end them."""

from collections.abc import Iterable
from datetime import datetime

import pytest

from steward.alerting import from_kubernetes
from steward.alerting.from_kubernetes import catalog_marks
from steward.alerting.standing import Mark, Standing
from steward.jsonvalue import JsonObject, text
from tests.common.alerting.happenings import MESH, at, drifted, names, standing, withdrawn

IDENTITY = "Deployment/linkerd/linkerd-identity"
ACCOUNT = "ServiceAccount/linkerd/linkerd-destination"
WEB = "Deployment/emojivoto/web"


def kubernetes(reason: str, about: str = IDENTITY, minutes: float = 0, message: str = "") -> JsonObject:
    """An Event of core/v1 about an object, written as kind/namespace/name."""
    kind, namespace, name = about.split("/")
    where: JsonObject = {"kind": kind, "namespace": namespace, "name": name}
    return {
        "reason": reason,
        "message": message,
        "involvedObject": where,
        "lastTimestamp": at(minutes).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def after_kubernetes(*raws: JsonObject, before: Standing | None = None) -> Standing:
    found = [event for raw in raws if (event := from_kubernetes.kubernetes_event(raw)) is not None]
    marks: Iterable[Mark] = (mark for event in found for mark in from_kubernetes.marks(event, MESH))
    return (before or Standing()).after(marks)


HOST_NETWORK = "Linkerd sidecar proxy injection skipped: hostNetwork is enabled"
KUBERNETES: dict[str, tuple[list[JsonObject], list[str]]] = {
    "invalid issuer": ([kubernetes("IssuerValidationFailed")], ["LinkerdIssuerInvalid"]),
    "valid again": ([kubernetes("IssuerValidationFailed"), kubernetes("IssuerUpdated", minutes=1)], []),
    "issues again": (
        [
            kubernetes("IssuerValidationFailed"),
            kubernetes("IssuedLeafCertificate", ACCOUNT, 1),
        ],
        [],
    ),
    "new issuer refused": ([kubernetes("IssuerUpdateSkipped", message="x509: …")], ["LinkerdIssuerUpdateSkipped"]),
    "issuing says nothing of the new issuer": (
        [kubernetes("IssuerUpdateSkipped"), kubernetes("IssuedLeafCertificate", ACCOUNT, 1)],
        ["LinkerdIssuerUpdateSkipped"],
    ),
    "said by somebody else": ([kubernetes("IssuerValidationFailed", "Deployment/evil/linkerd-identity")], []),
    "said of something else": ([kubernetes("IssuerValidationFailed", "Deployment/linkerd/web")], []),
    "left out": ([kubernetes("InjectionSkipped", WEB, message=HOST_NETWORK)], ["LinkerdInjectionSkipped"]),
    "left out, then injected": (
        [kubernetes("InjectionSkipped", WEB, message=HOST_NETWORK), kubernetes("Injected", WEB, 1)],
        [],
    ),
    "left out as asked": (
        [
            kubernetes(
                "InjectionSkipped",
                WEB,
                message='Linkerd sidecar proxy injection skipped: pod has the annotation "linkerd.io/inject:disabled"',
            )
        ],
        [],
    ),
    "nobody asked for a proxy": (
        [
            kubernetes(
                "InjectionSkipped",
                WEB,
                message="Linkerd sidecar proxy injection skipped: hostNetwork is enabled, neither the "
                'namespace nor the pod have the annotation "linkerd.io/inject:enabled"',
            )
        ],
        [],
    ),
    "something else": ([kubernetes("Scheduled")], []),
}


@pytest.mark.parametrize("story", KUBERNETES)
def test_an_event_of_kubernetes_begins_and_ends_alerts(story: str) -> None:
    raws, firing = KUBERNETES[story]
    assert names(after_kubernetes(*raws), 2) == firing


def test_what_an_event_of_kubernetes_began_ends_by_itself() -> None:
    here = after_kubernetes(kubernetes("InjectionSkipped", WEB, message=HOST_NETWORK))
    assert names(here, 59) == ["LinkerdInjectionSkipped"]
    assert names(here, 60) == []
    again = after_kubernetes(kubernetes("InjectionSkipped", WEB, 50, HOST_NETWORK), before=here)
    assert names(again, 60) == ["LinkerdInjectionSkipped"]


def catalog(as_expected: str, minutes: float, running: str = "edge-26.8.3") -> JsonObject:
    since = at(minutes).isoformat()
    condition: JsonObject = {"type": "MeshAsExpected", "status": as_expected, "lastTransitionTime": since}
    return {"status": {"mesh": {"controlPlane": running, "observedAt": since}, "conditions": [condition]}}


def test_that_nothing_differs_any_more_is_said_by_the_condition_of_the_catalog_and_by_no_event_of_anybodys() -> None:
    here = standing((5, drifted("three old proxies")))
    assert names(here.after(catalog_marks(catalog("True", 6))), 7) == []
    broken: JsonObject = {"status": {"mesh": "x", "conditions": [{"type": "MeshAsExpected", "status": "True"}]}}
    for other in (catalog("False", 6), catalog("Unknown", 6), catalog("True", 4), broken):
        assert names(here.after(catalog_marks(other)), 7) == ["LinkerdMeshDrifted"]
    forged = kubernetes("MeshAsExpected", "ReleaseCatalog/default/default", 6)
    assert names(after_kubernetes(forged, before=here), 7) == ["LinkerdMeshDrifted"]


def test_the_version_that_the_catalog_sees_running_ends_what_was_told_of_another() -> None:
    here = standing((0, withdrawn()))
    assert names(here.after(catalog_marks(catalog("True", 1))), 2) == ["LinkerdVersionWithdrawn"]
    assert names(here.after(catalog_marks(catalog("True", 1, "edge-26.8.4"))), 2) == []


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ({"reason": "A", "regarding": {"name": "n"}, "series": {"lastObservedTime": "2026-11-21T12:01:00Z"}}, at(1)),
        ({"reason": "A", "involvedObject": {"name": "n"}, "eventTime": "2026-11-21T12:02:00.000001Z"}, at(2)),
        (
            {
                "reason": "A",
                "involvedObject": {"name": "n"},
                "lastTimestamp": None,
                "metadata": {"creationTimestamp": "2026-11-21T12:03:00Z"},
            },
            at(3),
        ),
        ({"reason": "A", "involvedObject": {"name": "n"}, "eventTime": "soon"}, None),
        ({"reason": "A", "involvedObject": {"name": "n"}, "eventTime": "2026-11-21T12:00:00"}, None),
        ({"reason": "A", "eventTime": "2026-11-21T12:00:00Z"}, None),
        ({"involvedObject": {"name": "n"}, "eventTime": "2026-11-21T12:00:00Z"}, None),
        ({"reason": 7, "involvedObject": [], "eventTime": {}}, None),
    ],
    ids=str,
)
def test_events_of_both_kinds_are_read_and_what_is_none_is_not(raw: JsonObject, found: datetime | None) -> None:
    event = from_kubernetes.kubernetes_event(raw)
    assert (event.at.replace(microsecond=0) if event else None) == found
    assert event is None or event.name == text(raw, "involvedObject", "name") or "regarding" in raw
