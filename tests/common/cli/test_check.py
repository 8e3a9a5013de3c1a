"""What the facts of a cluster mean. Pure."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from steward.cli.check import CLAIMS, PROXY_CLAIMS, evaluate
from steward.cli.check_facts import Definition, Facts, NatsFact, Seen, Unseen, Workload
from steward.cli.check_report import Category, Result, Verdict, as_document, as_text, passed
from steward.jsonvalue import JsonObject
from steward.resources import ReleaseCatalog, UpgradePlan, UpgradeRun

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
Document = Callable[[str], JsonObject]
Golden = Callable[[str, str], None]


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
