"""The rights as files say them, and how acts are held against them."""

import pytest

from steward.testing.cluster.gate import Call
from tests.deploy.installed import ACCOUNTS
from tests.deploy.rights import Act, granted, unused


@pytest.mark.parametrize(
    ("method", "path", "query", "act"),
    [
        ("GET", "/api/v1/pods", "watch=1", Act("watch", "pods", "", "")),
        ("GET", "/api/v1/namespaces", "", Act("list", "namespaces", "", "")),
        ("GET", "/api/v1/namespaces/shop", "", Act("get", "namespaces", "", "")),
        ("POST", "/api/v1/namespaces/shop/pods", "dryRun=All", Act("create", "pods", "", "shop")),
        ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web", "", Act("patch", "deployments", "apps", "shop")),
        (
            "PATCH",
            "/apis/steward.linkerd.io/v1alpha1/upgraderuns/one/status",
            "",
            Act("patch", "upgraderuns/status", "steward.linkerd.io", ""),
        ),
        ("GET", "/apis/apps/v1", "", None),
        ("GET", "/version", "", None),
    ],
)
def test_a_request_is_an_act(method: str, path: str, query: str, act: Act | None) -> None:
    assert Act.of(Call(method, path, query, "")) == act


def test_a_right_that_nobody_used_is_found() -> None:
    acts = [Act("create", "leases", "coordination.k8s.io", "linkerd-steward")]
    elsewhere = [Act("get", "leases", "coordination.k8s.io", "default")]
    left = unused("upgrader", "upgrader", "linkerd-steward", [*acts, *elsewhere])
    assert left == {"get leases", "update leases"}


@pytest.mark.parametrize("account", [*ACCOUNTS, "alerting"])
def test_no_account_has_a_right_on_everything(account: str) -> None:
    for rule in granted(account):
        assert "*" not in rule.verbs
        assert "*" not in rule.groups


def test_of_those_that_change_the_mesh_only_upgrader_reads_secrets_and_only_those_of_the_control_plane() -> None:
    readers = {
        (account, rule.namespace) for account in ACCOUNTS for rule in granted(account) if "secrets" in rule.resources
    }
    assert readers == {("upgrader", "linkerd")}


def test_alerting_reads_secrets_by_their_names_and_lists_none() -> None:
    rules = [rule for rule in granted("alerting") if "secrets" in rule.resources]
    assert {rule.namespace for rule in rules} == {"linkerd", "linkerd-steward"}
    for rule in rules:
        assert rule.names, rule.role
        assert rule.verbs == ("get",), rule.role


def test_nobody_deletes_a_definition() -> None:
    for account in ACCOUNTS:
        for rule in granted(account):
            assert "customresourcedefinitions" not in rule.resources or "delete" not in rule.verbs
