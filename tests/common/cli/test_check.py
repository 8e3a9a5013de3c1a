"""What the facts of a cluster mean. Pure."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from steward.cli.check import CLAIMS, PROXY_CLAIMS, evaluate
from steward.cli.check_facts import Definition, Facts, NatsFact, Seen, Unseen, Workload
from steward.cli.check_report import Category, Result, Verdict, as_document, as_text, passed
from steward.jsonvalue import Json, JsonObject
from steward.resources import (
    AlertChannel,
    AlertPolicy,
    ConformanceRun,
    ConformanceSuite,
    ReleaseCatalog,
    UpgradePlan,
    UpgradeRun,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
Document = Callable[[str], JsonObject]
Golden = Callable[[str, str], None]


def _said_of(type: str, status: str, reason: str, message: str) -> JsonObject:
    moment = "2026-11-21T11:55:00Z"
    return {"type": type, "status": status, "reason": reason, "message": message, "lastTransitionTime": moment}


_IN_FORCE = _said_of("InForce", "True", "Applied", "generation 1 is in force")
_SIGHTED = _said_of("Sighted", "True", "MetricsThere", "every alert can see")


def _suite(*conditions: Json) -> ConformanceSuite:
    return ConformanceSuite.of({"metadata": {"name": "default"}, "status": {"conditions": list(conditions)}})


def _line(feature: str, state: str, verdict: str, cause: str = "") -> JsonObject:
    return {"feature": feature, "state": state, "verdict": verdict, "cause": cause}


def _exercise(name: str, phase: str, *features: Json, ended: str = "2026-11-21T11:00:00Z") -> ConformanceRun:
    over: JsonObject = {"endedAt": ended} if phase == "Completed" else {}
    status: JsonObject = {"phase": phase, "features": list(features), **over}
    return ConformanceRun.of({"metadata": {"name": name}, "status": status})


def _policy(*conditions: Json, name: str = "web") -> AlertPolicy:
    status: JsonObject = {"observedGeneration": 1, "conditions": list(conditions)}
    spec: JsonObject = {"controlPlane": {}}
    metadata: JsonObject = {"name": name, "namespace": "shop", "generation": 1}
    return AlertPolicy.of({"metadata": metadata, "spec": spec, "status": status})


def _channel(*conditions: Json) -> AlertChannel:
    status: JsonObject = {"observedGeneration": 1, "conditions": list(conditions)}
    spec: JsonObject = {"slack": {"webhook": {"name": "slack", "key": "url"}}}
    return AlertChannel.of({"metadata": {"name": "chat", "namespace": "shop"}, "spec": spec, "status": status})


@pytest.fixture
def healthy(document: Document) -> Facts:
    """A cluster in which nothing is wrong."""
    catalog = document("catalog")
    status = catalog["status"]
    assert isinstance(status, dict)
    status["conditions"] = []
    mesh = status["mesh"]
    assert isinstance(mesh, dict)
    mesh["drifts"] = []
    mesh["proxies"] = [{"version": "edge-26.6.3", "pods": 466}]
    return Facts(
        at=NOW,
        server_version=Seen("v1.36.3"),
        definitions=Seen((Definition("upgraderuns.steward.linkerd.io", True, True, ("v1alpha1",)),)),
        namespaces=Seen(("linkerd-steward",)),
        workloads=Seen(
            (
                Workload("Deployment", "version-watcher", 1, 1),
                Workload("Deployment", "upgrader", 1, 1),
                Workload("StatefulSet", "nats", 3, 3),
            )
        ),
        leader=Seen("upgrader-0"),
        nats=Seen(NatsFact("2.12.2", (), 0)),
        catalogs=Seen((ReleaseCatalog.of(catalog),)),
        plans=Seen((UpgradePlan.of(document("plan")),)),
        runs=Seen((UpgradeRun.of(document("run-running")), UpgradeRun.of(document("run-succeeded")))),
        suites=Seen((_suite(_said_of("Valid", "True", "Valid", "116 features")),)),
        exercises=Seen((_exercise("nightly", "Completed", _line("mtls.identity", "Healthy", "Passed")),)),
        policies=Seen((_policy(_IN_FORCE, _SIGHTED),)),
        channels=Seen((_channel(_IN_FORCE),)),
    )


def test_a_healthy_cluster_passes_every_check(healthy: Facts, golden: Golden) -> None:
    categories = evaluate(healthy, proxy=True)
    assert all(check.result is Result.SUCCESS for category in categories for check in category.checks)
    assert sum(len(category.checks) for category in categories) == len(CLAIMS) + len(PROXY_CLAIMS)
    golden("check-healthy", as_text(categories))
    assert as_document(categories)["success"] is True


def test_without_an_api_server_there_is_one_failed_check_and_no_guess(healthy: Facts) -> None:
    (category,) = evaluate(replace(healthy, server_version=Unseen("cannot connect")), proxy=True)
    assert category.checks == (Verdict("can query the Kubernetes API", Result.ERROR, "cannot connect"),)


_BLIND: dict[str, Callable[[Facts], Facts]] = {
    "definitions": lambda facts: replace(facts, definitions=Unseen("forbidden")),
    "namespaces": lambda facts: replace(facts, namespaces=Unseen("forbidden")),
    "workloads": lambda facts: replace(facts, workloads=Unseen("forbidden")),
    "nats": lambda facts: replace(facts, nats=Unseen("forbidden")),
    "catalogs": lambda facts: replace(facts, catalogs=Unseen("forbidden")),
    "plans": lambda facts: replace(facts, plans=Unseen("forbidden")),
    "runs": lambda facts: replace(facts, runs=Unseen("forbidden")),
    "suites": lambda facts: replace(facts, suites=Unseen("forbidden")),
    "exercises": lambda facts: replace(facts, exercises=Unseen("forbidden")),
    "policies": lambda facts: replace(facts, policies=Unseen("forbidden")),
    "channels": lambda facts: replace(facts, channels=Unseen("forbidden")),
}


@pytest.mark.parametrize("member", _BLIND)
def test_what_could_not_be_looked_at_is_never_a_success(healthy: Facts, member: str) -> None:
    categories = evaluate(_BLIND[member](healthy), proxy=True)
    unseen = [check for category in categories for check in category.checks if check.error == "forbidden"]
    assert unseen
    assert not passed(categories)


def _said(facts: Facts, description: str, *, proxy: bool = False) -> tuple[Result, str]:
    found = [each for one in evaluate(facts, proxy=proxy) for each in one.checks if each.description == description]
    assert len(found) == 1, f"no check {description!r}"
    return found[0].result, found[0].error


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (Definition("a.steward.linkerd.io", False, False, ()), "a.steward.linkerd.io: not installed; linkerd steward"),
        (Definition("a.steward.linkerd.io", True, False, ("v1alpha1",)), "not established; kubectl describe crd a."),
        (Definition("a.steward.linkerd.io", True, True, ("v2",)), "serves v2, and this command speaks v1alpha1"),
    ],
)
def test_a_definition_that_cannot_be_used_is_named(healthy: Facts, definition: Definition, said: str) -> None:
    result, error = _said(
        replace(healthy, definitions=Seen((definition,))), "custom resource definitions are installed"
    )
    assert result is Result.ERROR
    assert said in error


@pytest.mark.parametrize(
    ("names", "result", "said"),
    [
        ((), Result.ERROR, "no namespace is labelled"),
        (("a", "b"), Result.WARNING, "a, b are all labelled linkerd.io/extension=steward; keep one"),
    ],
)
def test_exactly_one_namespace_is_the_extensions(
    healthy: Facts, names: tuple[str, ...], result: Result, said: str
) -> None:
    found = _said(replace(healthy, namespaces=Seen(names)), "extension namespace exists")
    assert found[0] is result
    assert said in found[1]


def test_services_that_are_missing_unready_or_asleep_are_named(healthy: Facts) -> None:
    check = "services are ready"
    assert _said(replace(healthy, workloads=Seen(()), leader=Seen("")), check) == (
        Result.ERROR,
        "version-watcher, upgrader, nats: not installed; linkerd steward install | kubectl apply --server-side -f -",
    )
    assert isinstance(healthy.workloads, Seen)
    watcher, upgrader, nats = healthy.workloads.value
    unready = replace(healthy, workloads=Seen((watcher, replace(upgrader, ready=0), replace(nats, ready=2))))
    result, said = _said(unready, check)
    assert result is Result.ERROR
    assert "Deployment upgrader has 0 of 1 replicas ready, StatefulSet nats has 2 of 3" in said
    asleep = replace(healthy, workloads=Seen((watcher, replace(upgrader, ready=0, wanted=0), nats)))
    assert _said(asleep, check) == (Result.WARNING, "upgrader: scaled to zero")


def test_services_outside_the_cluster_are_a_warning_while_somebody_leads(healthy: Facts) -> None:
    result, said = _said(replace(healthy, workloads=Seen(())), "services are ready")
    assert result is Result.WARNING
    assert "upgrader-0 holds upgrader's Lease" in said


def test_missing_streams_and_dead_letters_are_warnings(healthy: Facts) -> None:
    facts = replace(healthy, nats=Seen(NatsFact("2.12.2", ("STEWARD_EVENTS",), 3)))
    assert _said(facts, "event streams exist")[0] is Result.WARNING
    assert _said(facts, "no event was given up") == (
        Result.WARNING,
        "3 dead letters; linkerd steward dead-letters list",
    )


def test_a_catalog_that_nobody_refreshes_is_an_error(healthy: Facts) -> None:
    check = "release catalog is fresh"
    assert _said(replace(healthy, catalogs=Seen(())), check)[0] is Result.ERROR
    result, said = _said(replace(healthy, at=NOW + timedelta(days=2)), check)
    assert result is Result.ERROR
    assert said == "no source was asked for 2d00h; is version-watcher running?"


def test_conditions_of_the_catalog_are_repeated_word_by_word(healthy: Facts, document: Document) -> None:
    facts = replace(healthy, catalogs=Seen((ReleaseCatalog.of(document("catalog")),)))
    assert _said(facts, "mesh is as expected") == (
        Result.WARNING,
        "StaleProxy: 3 pods run edge-25.10.7 and should run edge-26.6.3",
    )
    assert _said(facts, "data plane proxies are current", proxy=True) == (
        Result.WARNING,
        "3 pods run edge-25.10.7, and new pods get edge-26.6.3",
    )


def test_a_running_release_that_is_advised_against_is_a_warning(healthy: Facts, document: Document) -> None:
    raw = document("catalog")
    status = raw["status"]
    assert isinstance(status, dict)
    assert isinstance(status["mesh"], dict)
    status["mesh"]["controlPlane"] = "edge-26.8.2"
    facts = replace(healthy, catalogs=Seen((ReleaseCatalog.of(raw),)))
    assert _said(facts, "running release is not advised against") == (
        Result.WARNING,
        "edge-26.8.2: leaks memory; use edge-26.8.3",
    )


@pytest.mark.parametrize(
    ("state", "result", "said"),
    [
        ("refused", Result.WARNING, "TooFar: from edge-25.1.1 (2.17)"),
        ("paused", Result.WARNING, "StepFailed: proxies failed: 1 workload failed and 0 may"),
        ("running", Result.SUCCESS, ""),
        ("preview", Result.SUCCESS, ""),
        ("aborted", Result.SUCCESS, ""),
    ],
)
def test_a_run_that_waits_is_told_with_its_own_words(
    healthy: Facts, document: Document, state: str, result: Result, said: str
) -> None:
    found = _said(replace(healthy, runs=Seen((UpgradeRun.of(document(f"run-{state}")),))), "no upgrade run is stalled")
    assert found[0] is result
    assert said in found[1]


def test_a_run_in_which_nothing_happens_is_an_error(healthy: Facts) -> None:
    result, said = _said(replace(healthy, at=NOW + timedelta(minutes=16)), "no upgrade run is stalled")
    assert result is Result.ERROR
    assert said.endswith("nothing has happened for 16m02s, and its step may take 15m00s; is upgrader running?")


def test_an_invalid_plan_is_a_warning_with_its_reason(healthy: Facts, document: Document) -> None:
    raw = document("plan")
    raw["status"] = {
        "conditions": [
            {
                "type": "Valid",
                "status": "False",
                "reason": "Cycle",
                "message": "a waits for b, b waits for a",
                "lastTransitionTime": "2026-11-21T11:55:00Z",
            }
        ]
    }
    assert _said(replace(healthy, plans=Seen((UpgradePlan.of(raw),))), "upgrade plans are valid") == (
        Result.WARNING,
        "linkerd-2.19-to-2.20: Cycle: a waits for b, b waits for a",
    )
    assert _said(replace(healthy, plans=Seen(())), "upgrade plans are valid")[0] is Result.WARNING


def test_a_suite_that_cannot_be_run_is_a_warning_with_its_reason(healthy: Facts) -> None:
    empty = _suite(_said_of("Valid", "False", "NoFeatures", "no feature is included"))
    assert _said(replace(healthy, suites=Seen((empty,))), "conformance suites are valid") == (
        Result.WARNING,
        "default: NoFeatures: no feature is included",
    )


_REFUSED_BY_POLICY = _line("authz.server", "Failing", "Failed", "POLICY_DENY")


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (
            (_exercise("watch", "Running", _REFUSED_BY_POLICY, _line("lb.spread", "Failing", "Failed")),),
            "ConformanceRun watch: authz.server (POLICY_DENY), lb.spread (no cause found); "
            "linkerd steward conformance explain authz.server",
        ),
        ((_exercise("watch", "Running", _line("lb.spread", "Suspect", "Failed")),), ""),
        (
            (_exercise("once", "Completed", _line("lb.spread", "Suspect", "Failed")),),
            "ConformanceRun once: lb.spread (no cause found); linkerd steward conformance explain lb.spread",
        ),
        ((_exercise("once", "Completed", _line("lb.spread", "Quarantined", "Failed")),), ""),
        (
            (
                _exercise("newer", "Completed", _line("lb.spread", "Healthy", "Passed"), ended="2026-11-21T11:30:00Z"),
                _exercise("older", "Completed", _REFUSED_BY_POLICY),
            ),
            "",
        ),
        (
            (
                _exercise("once", "Completed", _REFUSED_BY_POLICY),
                _exercise("watch", "Running", _line("authz.server", "Healthy", "Passed")),
            ),
            "",
        ),
        (
            (
                _exercise("once", "Completed", _REFUSED_BY_POLICY),
                _exercise("watch", "Running", _line("lb.spread", "Healthy", "Passed")),
            ),
            "ConformanceRun once: authz.server (POLICY_DENY); linkerd steward conformance explain authz.server",
        ),
    ],
    ids=[
        "it goes on",
        "it is not sure yet",
        "it will not be tried again",
        "quarantined",
        "it was repaired since",
        "it is seen to work at present",
        "nobody has tried it since",
    ],
)
def test_features_that_fail_are_named_with_their_causes(
    healthy: Facts, runs: tuple[ConformanceRun, ...], said: str
) -> None:
    wanted = (Result.WARNING, said) if said else (Result.SUCCESS, "")
    assert _said(replace(healthy, exercises=Seen(runs)), "no feature of the mesh fails") == wanted


def test_policies_that_are_refused_or_blind_and_channels_that_are_not_in_force_are_named(healthy: Facts) -> None:
    refused = _policy(_said_of("InForce", "False", "TargetRefused", "parse error"))
    blind = _policy(_IN_FORCE, _said_of("Sighted", "False", "Blind", "WebFails cannot fire"), name="api")
    assert _said(replace(healthy, policies=Seen((refused, blind))), "alert policies are in force") == (
        Result.WARNING,
        "shop/web: refused: TargetRefused: parse error\nshop/api: blind: WebFails cannot fire",
    )
    many = tuple(_policy(name=f"p{number}") for number in range(7))
    assert _said(replace(healthy, policies=Seen(many)), "alert policies are in force")[1].endswith(
        "and 2 more; linkerd steward alerts status"
    )
    secretless = _channel(_said_of("InForce", "False", "SecretMissing", "there is no Secret slack"))
    assert _said(replace(healthy, channels=Seen((secretless,))), "alert channels are in force") == (
        Result.WARNING,
        "shop/chat: refused: SecretMissing: there is no Secret slack",
    )


def test_short_output_shows_only_what_is_wrong(golden: Golden) -> None:
    categories = (
        Category("linkerd-steward", (Verdict("fine"), Verdict("so so", Result.WARNING, "two\nlines"))),
        Category("linkerd-steward-data-plane", (Verdict("good"),)),
    )
    golden("check-short", as_text(categories, short=True))
    assert as_text((), short=True) == "Status check results are √\n"


@pytest.mark.parametrize(("result", "error"), [(Result.SUCCESS, "but"), (Result.ERROR, ""), (Result.WARNING, "")])
def test_a_verdict_says_why_exactly_where_something_is_wrong(result: Result, error: str) -> None:
    with pytest.raises(ValueError, match="check 'x'"):
        Verdict("x", result, error)
