"""The control plane and certificates, judged by evidence made by hand."""

from datetime import timedelta

import pytest

from services.conformance.core.diagnosis import ROOTS
from services.conformance.core.evidence import Found
from services.conformance.core.pages import Sample
from services.conformance.core.probe import Probe
from services.conformance.core.probes.certificates import (
    ANCHORS,
    CIPHER,
    CONTROL_PLANE_LEAVES,
    ISSUER,
    MESH_LEAVES,
    RENEWAL,
)
from services.conformance.core.probes.control_plane import CONSISTENCY, DEPLOYED, READY
from services.conformance.core.probes.webhooks import WEBHOOK
from steward.jsonvalue import JsonObject, table
from tests.services.conformance.core.seen import (
    NOW,
    STAGE,
    causes,
    endpoints,
    evidence,
    failure,
    fetched,
    judged,
    not_told,
    objects,
    pages,
    pod,
    sample,
    slices,
    told,
    turned,
    would,
    wrong,
)


def _deployment(name: str, *, available: bool = True) -> JsonObject:
    return {
        "metadata": {"name": name},
        "spec": {"replicas": 1},
        "status": {
            "availableReplicas": int(available),
            "conditions": [{"type": "Available", "status": str(available)}],
        },
    }


def _lease(age: float) -> JsonObject:
    renewed = (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
    return {"metadata": {"name": "policy-controller-write"}, "spec": {"renewTime": renewed, "leaseDurationSeconds": 30}}


def _controller(name: str, status: JsonObject | None = None) -> JsonObject:
    made = pod(name, namespace="linkerd")
    return made | {"status": table(made, "status") | (status or {})}


_UP = {
    "deployments": objects(*map(_deployment, DEPLOYED)),
    "pods": objects(*(_controller(f"{name}-0") for name in DEPLOYED)),
    "lease": objects(_lease(10)),
    "clock": fetched(200),
}
_KILLED: JsonObject = {"terminated": {"reason": "OOMKilled", "finishedAt": "2026-11-21T11:58:00Z"}}
_LONG_AGO: JsonObject = {"terminated": {"reason": "Error", "finishedAt": "2026-11-20T11:58:00Z"}}


def _ended(last: JsonObject) -> Found:
    return objects(_controller("identity-0", {"containerStatuses": [{"name": "identity", "lastState": last}]}))


def test_a_control_plane_that_is_up_is_proven() -> None:
    assert judged(READY, evidence(_UP)) == []
    assert judged(READY, evidence(_UP, pods=_ended(_LONG_AGO))) == []


def test_a_lease_that_may_not_be_read_is_not_held_against_anybody() -> None:
    assert judged(READY, evidence(_UP, lease=failure())) == []


@pytest.mark.parametrize(
    ("changed", "broken", "code"),
    [
        (
            {"deployments": objects(*(_deployment(each, available=each != DEPLOYED[0]) for each in DEPLOYED))},
            "every Deployment of the control plane is Available",
            "CP_UNAVAILABLE",
        ),
        ({"deployments": objects()}, "every Deployment of the control plane is Available", "CP_UNAVAILABLE"),
        ({"pods": _ended(_KILLED)}, "no container of it ended lately", "CP_CRASHED"),
        (
            {
                "pods": objects(
                    _controller(
                        "identity-0",
                        {
                            "conditions": [],
                            "containerStatuses": [{"name": "i", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
                        },
                    )
                )
            },
            "every pod of the control plane is Ready",
            "CP_WAITING",
        ),
        ({"lease": objects(_lease(500))}, "the policy controller's lease is held", ""),
    ],
)
def test_what_is_down_is_named(changed: dict[str, Found], broken: str, code: str) -> None:
    found = evidence(_UP, **changed)
    assert broken in judged(READY, found)
    assert code in (*causes(READY, found), "")


_ADMITTED = {"pod": would(pod("p")), "nonsense": turned("does not include exception")}


def test_webhooks_that_work_are_proven() -> None:
    assert judged(WEBHOOK, evidence(_ADMITTED)) == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"pod": would(pod("p", proxy=False))}, "NOT_INJECTED"),
        ({"pod": turned("failed calling webhook: x509", 500)}, "WEBHOOK_REFUSES"),
        ({"nonsense": would({})}, "VALIDATOR_OPEN"),
        ({"pod": would(pod("p", proxy=False)), "webhooks": objects()}, "WEBHOOK_ABSENT"),
        ({"pod": would(pod("p", proxy=False)), "injectors": objects()}, "INJECTOR_DOWN"),
    ],
)
def test_a_webhook_that_fails_is_named(changed: dict[str, Found], code: str) -> None:
    found = evidence(_ADMITTED, **changed)
    assert judged(WEBHOOK, found)
    assert code in causes(WEBHOOK, found)


def test_a_pod_that_opts_out_and_is_injected_all_the_same_spoils_the_control() -> None:
    control = WEBHOOK.control
    assert control is not None
    assert wrong(control.proof(STAGE, evidence({"plain": would(pod("p", proxy=False))}))) == []
    assert wrong(control.proof(STAGE, evidence({"plain": would(pod("p"))})))


_IPS = ("10.0.0.3", "10.0.0.4", "10.0.0.5")
_AGREED = {"told": told(a=endpoints(*_IPS), b=endpoints(*_IPS)), "slices": objects(slices(*_IPS))}


def test_replicas_that_tell_what_kubernetes_has_are_proven() -> None:
    assert judged(CONSISTENCY, evidence(_AGREED)) == []


@pytest.mark.parametrize(
    ("changed", "broken", "code"),
    [
        ({"told": told(a=endpoints(*_IPS), b=endpoints(*_IPS[:2]))}, "b tells the ready pods", "CP_STALE"),
        ({"told": told(a=endpoints(*_IPS, "10.0.0.99"))}, "a tells the ready pods", "CP_STALE"),
        ({"told": told(a=endpoints(*_IPS, identity=""))}, "a knows the identity of meshed pods", ""),
        ({"told": not_told("Unavailable")}, "destination answers", ""),
    ],
)
def test_a_replica_that_tells_something_else_is_named(changed: dict[str, Found], broken: str, code: str) -> None:
    found = evidence(_AGREED, **changed)
    assert broken in judged(CONSISTENCY, found)
    assert code in (*causes(CONSISTENCY, found), "")


def _leaf(left: float, age: float = 3_600, **more: float) -> list[Sample]:
    now = NOW.timestamp()
    made = [
        sample("control_identity_cert_expiration_timestamp_seconds", now + left),
        sample("control_identity_cert_refresh_timestamp_seconds", now - age),
    ]
    return [*made, *(sample(name, value) for name, value in more.items())]


def _leaves(**of: list[Sample]) -> Found:
    return pages(**of)


@pytest.mark.parametrize(("probe", "step"), [(CONTROL_PLANE_LEAVES, "control-plane"), (MESH_LEAVES, "mesh")])
def test_an_expired_leaf_is_found_by_the_clock_alone(probe: Probe, step: str) -> None:
    fine = evidence({step: _leaves(a=_leaf(3_600), b=_leaf(60)), "clock": fetched(200)})
    assert judged(probe, fine) == []
    late = evidence({step: _leaves(a=_leaf(3_600), b=_leaf(-540)), "clock": fetched(200)})
    assert len(judged(probe, late)) == 1
    assert causes(probe, late) == ["LEAF_EXPIRED"]


def test_pages_without_certificates_prove_nothing() -> None:
    assert judged(CONTROL_PLANE_LEAVES, evidence({"control-plane": pages(a=[]), "clock": fetched(200)}))


_DAY = 86_400.0
_RENEWED = {
    "client": _leaves(cm_0=_leaf(_DAY * 0.5, _DAY * 0.5)),
    "other": _leaves(cn_0=_leaf(_DAY * 0.9, _DAY * 0.1)),
    "server": _leaves(v1_0=_leaf(_DAY * 0.31, _DAY * 0.69)),
    "clock": fetched(200),
}


def test_leaves_that_are_young_enough_are_proven() -> None:
    assert judged(RENEWAL, evidence(_RENEWED)) == []


@pytest.mark.parametrize(
    ("server", "code"),
    [
        (_leaf(_DAY * 0.1, _DAY * 0.9), "RENEWAL_OVERDUE"),
        (_leaf(-60, _DAY + 60), "LEAF_EXPIRED"),
        ([], ""),
    ],
)
def test_a_leaf_that_is_not_renewed_is_named(server: list[Sample], code: str) -> None:
    found = evidence(_RENEWED, server=_leaves(v1_0=server))
    assert judged(RENEWAL, found)
    assert code in (*causes(RENEWAL, found), "")


def test_an_identity_controller_that_refuses_is_named_though_its_refresh_counter_stands_still() -> None:
    failing = sample(
        "control_response_total", 12, addr="linkerd-identity-headless.linkerd:8080", classification="failure"
    )
    found = evidence(_RENEWED, server=_leaves(v1_0=[*_leaf(60, _DAY), failing]))
    assert set(causes(RENEWAL, found)) == {"IDENTITY_UNREACHABLE", "RENEWAL_OVERDUE"}
    # Once its certificate has expired, its calls fail whether or not somebody answers.
    expired = evidence(_RENEWED, server=_leaves(v1_0=[*_leaf(-60, _DAY), failing]))
    assert set(causes(RENEWAL, expired)) == {"LEAF_EXPIRED", "RENEWAL_OVERDUE"}


_BUNDLE = "-----BEGIN CERTIFICATE-----\nnew\n-----END CERTIFICATE-----"


def _trusting(name: str, bundle: str) -> JsonObject:
    made = pod(name)
    variable: JsonObject = {"name": "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "value": bundle}
    return made | {"spec": {"initContainers": [{"name": "linkerd-proxy", "env": [variable]}]}}


def test_a_pod_that_trusts_another_bundle_is_named() -> None:
    roots: JsonObject = {"data": {"ca-bundle.crt": _BUNDLE + "\n"}}
    fine = {"meshed": objects(_trusting("a", _BUNDLE + "\n"), pod("b")), ROOTS: objects(roots)}
    assert judged(ANCHORS, evidence(fine)) == []
    drifted = evidence(fine, meshed=objects(_trusting("a", _BUNDLE), _trusting("c", "old")))
    assert judged(ANCHORS, drifted) == ["each trusts that bundle"]
    assert causes(ANCHORS, drifted) == ["ANCHOR_DRIFT"]
    assert judged(ANCHORS, evidence(fine, **{ROOTS: objects()}))


def _event(reason: str, minute: int) -> JsonObject:
    return {"reason": reason, "message": f"{reason} said", "lastTimestamp": f"2026-11-21T11:{minute:02}:00Z"}


def test_an_issuer_that_is_refused_is_named_until_one_is_taken() -> None:
    taken, refused = _event("IssuerUpdated", 10), _event("IssuerUpdateSkipped", 20)
    assert judged(ISSUER, evidence({"events": objects()})) == []
    assert judged(ISSUER, evidence({"events": objects(refused, _event("IssuerUpdated", 30))})) == []
    found = evidence({"events": objects(refused, taken)})
    assert judged(ISSUER, found)
    assert causes(ISSUER, found) == ["ISSUER_REFUSED"]


def _tls(suites: str, groups: str) -> list[Sample]:
    return [
        sample("rustls_info", 1, tls_suites=suites, tls_kx_groups=groups),
        sample("proxy_build_info", 1, version="2.1"),
    ]


def test_proxies_without_modern_ciphers_are_named() -> None:
    modern = _tls("TLS13_AES_256_GCM_SHA384,", "X25519MLKEM768,X25519,")
    assert judged(CIPHER, evidence({"client": _leaves(cm_0=modern), "server": _leaves(v1_0=modern)})) == []
    old = evidence({"client": _leaves(cm_0=modern), "server": _leaves(v1_0=_tls("TLS13_AES_128", "X25519"))})
    assert len(judged(CIPHER, old)) == 2
    assert causes(CIPHER, old) == ["OLD_CIPHERS"]
