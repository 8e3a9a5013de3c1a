"""`install` and `uninstall`: YAML for kubectl, and a word about what is lost."""

import base64

import pytest
import yaml

from steward.cli.connection import NATS_ROUTES, NATS_SECRET, NATS_USERS
from steward.cli.explain import Refusal
from steward.cli.manifests import Overlay, is_custom, is_definition, objects, service_image, with_image, written
from steward.cli.shared_secrets import ALERTMANAGER_TOKEN, NATS_PASSWORDS, SHARED
from steward.jsonvalue import JsonObject, rows, table, text, texts
from steward.kube.resources import CLUSTER_ROLES, NAMESPACES, ROLE_BINDINGS, SECRETS, SERVICE_ACCOUNTS
from steward.resources import KINDS
from steward.testing.command import Command, StewardCluster

OURS: JsonObject = {"app.kubernetes.io/part-of": "linkerd-steward"}


def _kinds(manifest: str) -> list[str]:
    return [text(part, "kind") for part in objects(manifest)]


def _secret(manifest: str, name: str = NATS_SECRET) -> JsonObject | None:
    return next((part for part in objects(manifest) if text(part, "metadata", "name") == name), None)


async def _store(cluster: StewardCluster, secret: JsonObject, *without: str) -> None:
    """Put a Secret into the cluster, as the API server keeps it."""
    entries = {name: value for name, value in texts(secret, "stringData").items() if name not in without}
    data: JsonObject = {name: base64.b64encode(value.encode()).decode() for name, value in entries.items()}
    await cluster.kube.create(SECRETS, {"metadata": table(secret, "metadata"), "data": data})


def _images(manifest: str) -> set[str]:
    return {
        text(container, "image")
        for part in objects(manifest)
        for container in rows(part, "spec", "template", "spec", "containers")
    }


@pytest.mark.parametrize("overlay", list(Overlay))
async def test_an_overlay_is_printed_whole(cli: Command, cluster: StewardCluster, overlay: Overlay) -> None:
    answer = await cli("install", "--overlay", overlay.value)
    assert (answer.code, answer.err) == (0, "")
    parts = objects(answer.out)
    (namespace,) = (part for part in parts if text(part, "kind") == "Namespace")
    assert texts(namespace, "metadata", "labels")["linkerd.io/extension"] == "steward"
    assert sum(is_definition(part) for part in parts) == len(KINDS)
    custom = [is_custom(part) for part in parts]
    assert custom == sorted(custom), "objects of our own kinds come behind their definitions"
    secret = _secret(answer.out)
    assert secret is not None
    passwords = texts(secret, "stringData")
    assert set(passwords) == {*NATS_USERS, NATS_ROUTES}
    assert len(set(passwords.values())) == len(passwords)
    assert all(password[0].isalpha() for password in passwords.values()), "nats-server reads -… as a number"
    assert all(len(password) >= 43 for password in passwords.values())
    token = _secret(answer.out, ALERTMANAGER_TOKEN.name)
    assert token is not None
    assert list(texts(token, "stringData")) == ["token"]
    assert not set(texts(token, "stringData").values()) & set(passwords.values()), "who has one has not the other"
    assert not any("linkerd.io/control-plane-ns" in texts(part, "metadata", "labels") for part in parts)
    assert cluster.fake.url not in answer.out


@pytest.mark.usefixtures("cluster")
async def test_every_installation_has_passwords_of_its_own(cli: Command) -> None:
    first, second = await cli("install"), await cli("install")
    assert _secret(first.out) != _secret(second.out)


async def test_passwords_that_are_in_use_stay(cli: Command, cluster: StewardCluster) -> None:
    await cluster.kube.create(NAMESPACES, {"metadata": {"name": "linkerd-steward"}})
    for each in SHARED:
        await _store(cluster, each.manifest("linkerd-steward", {}))
    answer = await cli("install")
    assert (answer.code, answer.err) == (0, "")
    assert "Secret" not in _kinds(answer.out)
    renewed = (await cli("install", "--new-passwords")).out
    assert all(_secret(renewed, each.name) is not None for each in SHARED)


async def test_a_part_that_an_older_version_did_not_have_gets_a_password_and_the_others_keep_theirs(
    cli: Command, cluster: StewardCluster
) -> None:
    await cluster.kube.create(NAMESPACES, {"metadata": {"name": "linkerd-steward"}})
    old = NATS_PASSWORDS.manifest("linkerd-steward", {})
    await _store(cluster, old, "alerting")
    await _store(cluster, ALERTMANAGER_TOKEN.manifest("linkerd-steward", {}))
    answer = await cli("install", "--passwords")
    assert _kinds(answer.out) == ["Secret"]
    assert "Secret linkerd-steward/steward-nats-users gets NATS passwords for alerting; the others stay" in answer.err
    before, after = texts(old, "stringData"), texts(_secret(answer.out) or {}, "stringData")
    assert set(after) == set(before)
    assert {name for name in before if before[name] != after[name]} == {"alerting"}
    assert len(after["alerting"]) >= 43


async def test_the_passwords_alone_are_printed_for_who_applies_an_overlay_with_kubectl(
    cli: Command, cluster: StewardCluster
) -> None:
    answer = await cli("install", "--passwords")
    assert _kinds(answer.out) == ["Secret"] * len(SHARED)
    await cluster.kube.create(NAMESPACES, {"metadata": {"name": "linkerd-steward"}})
    for secret in objects(answer.out):
        await _store(cluster, secret)
    again = await cli("install", "--passwords")
    assert (again.code, again.out) == (0, "")
    assert again.err.count("exists and stays as it is") == len(SHARED)
    assert (await cli("install", "--crds", "--passwords")).code == 2


async def test_without_a_cluster_new_passwords_are_made_and_that_is_said(cli: Command) -> None:
    answer = await cli("install")
    assert answer.code == 0
    assert _secret(answer.out) is not None
    assert "warning: new passwords are made" in answer.err


@pytest.mark.usefixtures("cluster")
async def test_the_image_of_the_services_can_be_replaced(cli: Command) -> None:
    usual = _images((await cli("install")).out)
    others = {image for image in usual if image.rpartition("/")[2].startswith(("prometheus:", "alertmanager:"))}
    assert _images((await cli("install", "--image", "mirror.example:5000/steward@sha256:0")).out) == {
        "mirror.example:5000/steward@sha256:0",
        *others,
    }
    assert len(usual - others) == 1


async def test_definitions_alone_are_printed_for_a_first_step(cli: Command) -> None:
    answer = await cli("install", "--crds")
    assert (answer.code, answer.err) == (0, "")
    assert _kinds(answer.out) == ["CustomResourceDefinition"] * len(KINDS)


async def test_an_overlay_that_does_not_exist_is_refused(cli: Command) -> None:
    answer = await cli("install", "--overlay", "staging")
    assert answer.code == 2
    assert "'staging' is not one of 'development', 'production'" in answer.err


async def _installed(cluster: StewardCluster) -> None:
    for name in ("linkerd", "linkerd-steward"):
        labels = {**OURS, "linkerd.io/extension": "steward"} if name == "linkerd-steward" else {}
        await cluster.kube.create(NAMESPACES, {"metadata": {"name": name, "labels": labels}})
    await cluster.kube.create(CLUSTER_ROLES, {"metadata": {"name": "steward-upgrader", "labels": OURS}, "rules": []})
    await cluster.kube.create(CLUSTER_ROLES, {"metadata": {"name": "somebody-else"}, "rules": []})
    for namespace in ("linkerd", "linkerd-steward"):
        binding: JsonObject = {
            "metadata": {"name": "steward-config", "namespace": namespace, "labels": OURS},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "ext"},
        }
        await cluster.kube.create(ROLE_BINDINGS, binding)
    account: JsonObject = {"metadata": {"name": "upgrader", "namespace": "linkerd-steward", "labels": OURS}}
    await cluster.kube.create(SERVICE_ACCOUNTS, account)


async def test_uninstall_names_everything_outside_the_namespace_and_what_is_lost(
    cli: Command, cluster: StewardCluster
) -> None:
    await _installed(cluster)
    await cluster.put({"kind": "UpgradePolicy", "metadata": {"name": "default"}, "spec": {}})
    for target in ("edge-26.8.2", "edge-26.8.3"):
        await cluster.put({"kind": "UpgradeRun", "metadata": {"name": target}, "spec": {"target": target}})
    answer = await cli("uninstall")
    assert answer.code == 0
    assert answer.err == (
        "warning: with the custom resource definitions go 1 UpgradePolicy, 2 UpgradeRuns; --keep-crds keeps them\n"
    )
    named = [(text(part, "kind"), text(part, "metadata", "name")) for part in objects(answer.out)]
    assert named[:3] == [
        ("ClusterRole", "steward-upgrader"),
        ("RoleBinding", "steward-config"),
        ("Namespace", "linkerd-steward"),
    ]
    assert [kind for kind, _ in named[3:]] == ["CustomResourceDefinition"] * len(KINDS)
    assert text(objects(answer.out)[1], "metadata", "namespace") == "linkerd"


async def test_uninstall_can_leave_the_definitions_and_then_loses_nothing(
    cli: Command, cluster: StewardCluster
) -> None:
    await _installed(cluster)
    answer = await cli("uninstall", "--keep-crds")
    assert (answer.code, answer.err) == (0, "")
    assert _kinds(answer.out) == ["ClusterRole", "RoleBinding", "Namespace"]


async def test_uninstall_where_nothing_is_says_so(cli: Command, cluster: StewardCluster) -> None:
    answer = await cli("uninstall", "--keep-crds")
    assert (answer.code, answer.out) == (3, "")
    assert "Steward is not installed here" in answer.err
    assert (await cli("uninstall", KUBECONFIG=str(cluster.fake.kubeconfig()))).code == 0


def _deployment(*images: str) -> JsonObject:
    containers = [{"name": str(number), "image": image} for number, image in enumerate(images)]
    found = yaml.safe_load(
        yaml.safe_dump({"kind": "Deployment", "spec": {"template": {"spec": {"containers": containers}}}})
    )
    return table(found)


def test_only_the_image_of_the_services_is_replaced() -> None:
    part = with_image(_deployment("steward:1", "other:1"), "steward:1", "mirror/steward:2")
    images = [text(each, "image") for each in rows(part, "spec", "template", "spec", "containers")]
    assert images == ["mirror/steward:2", "other:1"]


def test_a_manifest_without_a_deployment_has_no_image() -> None:
    with pytest.raises(Refusal, match="no Deployment"):
        service_image([{"kind": "Namespace"}])


def test_what_is_written_is_read_again() -> None:
    parts: list[JsonObject] = [{"kind": "A", "text": "ü\n---\n"}, {"kind": "B"}]
    assert objects(written(parts) + "---\n---\nnull\n") == parts
