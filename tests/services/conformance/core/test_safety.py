"""What may be deleted: name, owner label and uid must all agree."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.conformance.core import safety
from services.conformance.core.manifests import Access, Production, cast, everything, furniture, namespaces
from services.conformance.core.safety import Kept, Ours
from steward.jsonvalue import JsonObject, dig, rows, table, text, texts
from steward.resources.conformance_run import OwnedNamespace
from steward.resources.conformance_suite import Footprint

NOW = datetime(2026, 6, 18, tzinfo=UTC)
MADE = Production(
    run="mine",
    run_uid="5f0c1d6a",
    prefix="steward-probes",
    ttl_seconds=7200,
    image="exerciser:1",
    access=Access(("nats://10.0.0.9:4222",), (4222,), "prod", "probes", "secret-word"),
    footprint=Footprint(),
    priority_class="low",
)


def namespace(**metadata: object) -> JsonObject:
    made = namespaces(MADE, NOW)[0]
    return {**made, "metadata": {**table(made, "metadata"), "uid": "n-1", **metadata}}  # type: ignore[dict-item] # JSON of a test


def owned(found: JsonObject) -> OwnedNamespace:
    return OwnedNamespace(name=text(found, "metadata", "name"), uid="n-1")


def test_a_namespace_of_ours_may_go() -> None:
    assert safety.may_delete(namespace(), owned(namespace()), MADE.run_uid) == Ours(
        text(namespace(), "metadata", "name"), "n-1", MADE.run_uid
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": {}},
        {"annotations": {}},
        {"name": "linkerd"},
        {"name": "steward-probes-00000000-mesh"},
        {"uid": "n-2"},
        {"uid": ""},
    ],
)
def test_one_sign_that_does_not_agree_keeps_it(changed: dict[str, object]) -> None:
    found = namespace(**changed)
    assert isinstance(safety.may_delete(found, owned(namespace()), MADE.run_uid), Kept)


@given(st.dictionaries(st.sampled_from([safety.MANAGED_BY, safety.RUN_UID, safety.ROLE, "x"]), st.text(max_size=12)))
def test_labels_alone_never_make_a_namespace_ours(labels: dict[str, str]) -> None:
    found: JsonObject = {"metadata": {"name": "linkerd", "uid": "n", "labels": dict(labels)}}
    assert isinstance(safety.judge(found), Kept)
    assert not safety.is_abandoned(found, frozenset(), NOW + timedelta(days=400))


def test_a_namespace_is_abandoned_without_its_run_or_past_its_time() -> None:
    assert not safety.is_abandoned(namespace(), frozenset({MADE.run_uid}), NOW)
    assert safety.is_abandoned(namespace(), frozenset(), NOW)
    assert safety.is_abandoned(namespace(), frozenset({MADE.run_uid}), NOW + timedelta(hours=3))


def test_the_name_follows_from_the_run_and_fits_a_label() -> None:
    name = safety.namespace_name("p" * 40, "some-uid", "plain")
    assert len(name) <= 63
    assert name != safety.namespace_name("p" * 40, "other-uid", "plain")


def test_everything_carries_its_owner_and_stays_in_the_namespaces_of_the_run() -> None:
    own = {text(each, "metadata", "name") for each in namespaces(MADE, NOW)}
    for thing in everything(MADE, NOW):
        assert texts(thing, "metadata", "labels")[safety.RUN_UID] == MADE.run_uid
        if text(thing, "kind") != "Namespace":
            assert text(thing, "metadata", "namespace") in own


def test_pods_meet_the_strictest_standard_and_the_password_is_in_a_secret_alone() -> None:
    for workload in cast(MADE):
        pod = table(workload, "spec", "template", "spec")
        if not pod:
            continue
        assert dig(pod, "securityContext", "runAsNonRoot") is True
        assert text(pod, "priorityClassName") == "low"
        (container,) = rows(pod, "containers")
        assert dig(container, "securityContext", "allowPrivilegeEscalation") is False
        assert dig(container, "securityContext", "capabilities", "drop") == ["ALL"]
        assert "secret-word" not in str(workload)
    holding = [text(each, "kind") for each in furniture(MADE) if "secret-word" in str(each)]
    assert set(holding) == {"Secret"}


def test_the_meshed_namespace_is_open_under_a_cluster_wide_deny() -> None:
    meshed, plain = namespaces(MADE, NOW)
    assert texts(meshed, "metadata", "annotations")["config.linkerd.io/default-inbound-policy"] == "all-unauthenticated"
    assert texts(plain, "metadata", "annotations")["linkerd.io/inject"] == "disabled"
    assert texts(plain, "metadata", "labels")["pod-security.kubernetes.io/enforce"] == "restricted"
