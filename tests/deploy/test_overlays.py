"""What every overlay holds, and what no overlay may."""

from steward.cli.connection import NAMESPACE, NATS_PORT, NATS_SERVICE
from steward.cli.manifests import is_custom, is_definition
from steward.jsonvalue import JsonObject, dig, rows, strings, text, texts
from steward.resources import KINDS
from tests.deploy.kustomize import named, objects, rendered

_CLUSTER_WIDE = {
    "ClusterRole", "ClusterRoleBinding", "ConformanceSuite", "CustomResourceDefinition", "Namespace", "PriorityClass",
    "ReleaseCatalog", "UpgradePlan", "UpgradePolicy", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
}  # fmt: skip


def pods(overlay: list[JsonObject]) -> list[tuple[str, JsonObject]]:
    """The pod templates, by the name of their owner."""
    return [
        (text(part, "metadata", "name"), template)
        for part in overlay
        if isinstance(template := dig(part, "spec", "template"), dict)
    ]


def test_every_object_has_a_namespace_where_its_kind_has_one_and_says_what_it_is_part_of(
    overlay: list[JsonObject],
) -> None:
    for part in overlay:
        name = f"{text(part, 'kind')} {text(part, 'metadata', 'name')}"
        assert bool(text(part, "metadata", "namespace")) == (text(part, "kind") not in _CLUSTER_WIDE), name
        assert texts(part, "metadata", "labels").get("app.kubernetes.io/part-of") == "linkerd-steward", name


def test_only_rights_are_put_into_namespaces_of_others(overlay: list[JsonObject]) -> None:
    elsewhere = {
        (text(part, "kind"), text(part, "metadata", "namespace"))
        for part in overlay
        if text(part, "metadata", "namespace") not in ("", NAMESPACE)
    }
    assert elsewhere == {(kind, place) for kind in ("Role", "RoleBinding") for place in ("linkerd", "default")}


def test_nothing_of_ours_looks_like_a_part_of_linkerd(overlay: list[JsonObject]) -> None:
    for part in overlay:
        assert "linkerd.io/control-plane-ns" not in texts(part, "metadata", "labels"), "`linkerd prune` would delete it"
    labels = texts(named(overlay, "Namespace", NAMESPACE), "metadata", "labels")
    assert labels["linkerd.io/extension"] == "steward"
    assert labels["config.linkerd.io/admission-webhooks"] == "disabled"


def test_no_webhook_and_no_secret_is_installed(overlay: list[JsonObject]) -> None:
    kinds = {text(part, "kind") for part in overlay}
    assert not kinds & {"Secret", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
    assert sum(map(is_definition, overlay)) == len(KINDS)
    assert {text(part, "kind") for part in overlay if is_custom(part)} == {
        "AlertPolicy", "ConformanceSuite", "ReleaseCatalog", "UpgradePlan", "UpgradePolicy",
    }  # fmt: skip


def test_nothing_moves_by_itself_after_an_installation(overlay: list[JsonObject]) -> None:
    assert text(named(overlay, "UpgradePolicy", "default"), "spec", "mode") == "Manual"


def test_every_pod_is_restricted_bounded_and_writes_only_to_its_volumes(overlay: list[JsonObject]) -> None:
    assert len(pods(overlay)) == 5
    for name, template in pods(overlay):
        assert dig(template, "spec", "securityContext", "runAsNonRoot") is True, name
        assert dig(template, "spec", "securityContext", "seccompProfile", "type") == "RuntimeDefault", name
        for container in (*rows(template, "spec", "initContainers"), *rows(template, "spec", "containers")):
            security = dig(container, "securityContext")
            assert dig(security, "allowPrivilegeEscalation") is False
            assert dig(security, "readOnlyRootFilesystem") is True
            assert strings(dig(security, "capabilities", "drop")) == ["ALL"]
            assert dig(container, "resources", "limits", "memory")
            assert dig(container, "resources", "requests", "cpu")
            assert not dig(container, "resources", "limits", "cpu"), "a throttled loop is late for its lease"


def test_every_service_has_an_account_of_its_own_and_nats_has_no_token(overlay: list[JsonObject]) -> None:
    accounts = {name: text(template, "spec", "serviceAccountName") for name, template in pods(overlay)}
    services = {"alerting", "conformance", "upgrader", "version-watcher"}
    assert accounts == {"nats": "nats", **{name: name for name in services}}
    nats = named(overlay, "StatefulSet", "nats")
    assert dig(nats, "spec", "template", "spec", "automountServiceAccountToken") is False


def test_every_selector_finds_its_pods(overlay: list[JsonObject]) -> None:
    labels = {name: texts(template, "metadata", "labels") for name, template in pods(overlay)}
    for part in overlay:
        selector = texts(part, "spec", "selector", "matchLabels") or texts(part, "spec", "selector")
        if not selector or text(part, "kind") in ("CustomResourceDefinition",):
            continue
        matching = [name for name, found in labels.items() if selector.items() <= found.items()]
        assert len(matching) == 1, f"{text(part, 'kind')} {text(part, 'metadata', 'name')}"


def test_the_clients_of_nats_are_those_whom_its_network_policy_lets_in(overlay: list[JsonObject]) -> None:
    wanted = {"steward.linkerd.io/nats-client": "true"}
    clients = {
        name for name, template in pods(overlay) if wanted.items() <= texts(template, "metadata", "labels").items()
    }
    assert clients == {"alerting", "conformance", "upgrader", "version-watcher"}
    policy = named(overlay, "NetworkPolicy", "nats")
    assert texts(dig(policy, "spec", "ingress", 0, "from", 0), "podSelector", "matchLabels") == wanted


def test_the_command_line_finds_nats_by_its_service(overlay: list[JsonObject]) -> None:
    service = named(overlay, "Service", NATS_SERVICE)
    assert dig(service, "spec", "ports", 0, "port") == NATS_PORT
    assert texts(service, "spec", "selector") == {"app.kubernetes.io/name": "nats"}


def test_rights_name_no_wildcard_verb_and_no_wildcard_group(overlay: list[JsonObject]) -> None:
    for part in overlay:
        if text(part, "kind") not in ("Role", "ClusterRole"):
            continue
        for rule in rows(part, "rules"):
            assert "*" not in strings(dig(rule, "verbs"))
            assert "*" not in strings(dig(rule, "apiGroups"))
            if "*" in strings(dig(rule, "resources")):
                assert set(strings(dig(rule, "verbs"))) <= {"get", "list"}
            if {"escalate", "bind", "impersonate"} & set(strings(dig(rule, "verbs"))):
                assert strings(dig(rule, "resourceNames")), "escalation only by name"


def test_production_survives_the_loss_of_a_node(renderer: None) -> None:
    del renderer
    production = objects(rendered("production"))
    assert dig(named(production, "StatefulSet", "nats"), "spec", "replicas") == 3
    spread = dig(named(production, "StatefulSet", "nats"), "spec", "template", "spec", "affinity", "podAntiAffinity")
    assert dig(spread, "requiredDuringSchedulingIgnoredDuringExecution", 0, "topologyKey") == "kubernetes.io/hostname"
    for name in ("conformance", "upgrader", "version-watcher"):
        assert dig(named(production, "Deployment", name), "spec", "replicas") == 2
        assert named(production, "PodMonitor", name)
    budgets = {text(part, "metadata", "name") for part in production if text(part, "kind") == "PodDisruptionBudget"}
    assert budgets == {"conformance", "nats", "upgrader", "version-watcher"}
