"""Every object that the real Linkerd renders has a stand-in with the same marks, ports, images and webhook rules."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

import pytest

from steward.jsonvalue import Json, JsonObject, dig, rows, table, text, texts
from steward.testing.linkerd.certificates import Trust
from steward.testing.linkerd.manifests import as_helm_leaves_them, control_plane, crds
from steward.testing.linkerd.objects import identity, opened
from steward.testing.linkerd.release import Release
from steward.testing.linkerd.values import Installation, Method, chart_defaults, load
from tests.common.testing_linkerd import recorded

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TRUST = Trust.for_cli(NOW)

TOLERATED = (
    # Content that is made at render time.
    "/data", "caBundle", "checksum/config", "trust-root-sha256",
    # What only the programs inside the containers read.
    "/args", "/env", "timeoutSeconds", "/httpGet/port",
    # Schemas and printed columns of the definitions, and names that the API server fills in by itself.
    "/schema", "additionalPrinterColumns", "deprecationWarning", "/names/listKind", "/acceptedNames",
    # An empty group where the API server knows no other.
    "/subjects", "/resources", "objectSelector",
)  # fmt: skip


def leaves(value: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from leaves(member, f"{path}/{key}")
    elif isinstance(value, list):
        for position, member in enumerate(value):
            name = text(member, "name") if isinstance(member, dict) else ""
            yield from leaves(member, f"{path}/{name or position}")
    elif value is not None:
        yield path, value


def told(thing: JsonObject) -> dict[str, Json]:
    """What counts of an object: every leaf that is not tolerated to differ."""
    return {path: value for path, value in leaves(thing) if not any(word in path for word in TOLERATED)}


def real(version: str) -> dict[tuple[str, str, str], JsonObject]:
    both = [document for name in ("crds", "control-plane") for document in documents_of(version, name)]
    return {identity(document): document for document in both}


@cache
def documents_of(version: str, name: str) -> list[JsonObject]:
    return recorded.documents("linkerd", version, f"{name}.yaml")


@cache
def standing_in(version: str) -> dict[tuple[str, str, str], JsonObject]:
    return {identity(thing): thing for thing in [*crds(version), *control_plane(version, TRUST, NOW)]}


@pytest.mark.parametrize("version", recorded.VERSIONS)
def test_the_same_objects_are_rendered(version: str) -> None:
    assert set(standing_in(version)) == set(real(version))


@pytest.mark.parametrize("version", recorded.VERSIONS)
def test_every_object_is_like_the_real_one(version: str) -> None:
    mine = standing_in(version)
    differences = [
        f"{key}: {path}: real {theirs.get(path)!r}, stand-in {ours.get(path)!r}"
        for key, thing in real(version).items()
        for theirs, ours in [(told(thing), told(mine[key]))]
        for path in sorted(theirs.keys() | ours.keys())
        if theirs.get(path) != ours.get(path)
    ]
    assert differences == []


def images(thing: JsonObject) -> str:
    pod = table(thing, "spec", "template", "spec") or table(thing, "spec", "jobTemplate", "spec", "template", "spec")
    words = [
        f"{text(one, 'name')}={text(one, 'image')}{'(sidecar)' if text(one, 'restartPolicy') == 'Always' else ''}"
        for kind in ("initContainers", "containers")
        for one in rows(pod, kind)
    ]
    return ",".join(words)


def webhook(thing: JsonObject) -> str:
    entry = rows(thing, "webhooks")[0]
    operations = dig(entry, "rules", 0, "operations")
    resources = [resource for rule in rows(entry, "rules") for resource in rule["resources"] or []]  # type: ignore[union-attr]
    service = table(entry, "clientConfig", "service")
    return (
        f"{text(entry, 'name')} failurePolicy={text(entry, 'failurePolicy')} timeout={entry.get('timeoutSeconds')} "
        f"ops={operations} res={resources} svc={text(service, 'name')}{text(service, 'path')}"
    )


@pytest.mark.parametrize("version", recorded.VERSIONS)
def test_images_and_webhooks_are_as_recorded(version: str) -> None:
    with recorded.path("recordings", "install", f"{version}.kinds.tsv").open() as lines:
        rows_recorded = list(csv.DictReader(lines, delimiter="\t"))
    mine = standing_in(version)
    for row in rows_recorded:
        thing = mine[row["kind"], row["namespace"], row["name"]]
        assert text(thing, "apiVersion") == row["apiVersion"]
        shown = webhook(thing) if "webhooks" in thing else images(thing)
        assert shown == row["images-or-webhook"]


def test_definitions_are_as_recorded() -> None:
    with recorded.path("recordings", "install", "edge-26.8.3.crds.tsv").open() as lines:
        rows_recorded = list(csv.DictReader(lines, delimiter="\t"))
    mine = {text(thing, "metadata", "name"): thing for thing in crds("edge-26.8.3")}
    assert len(rows_recorded) == len(mine)
    for row in rows_recorded:
        spec = table(mine[row["name"]], "spec")
        versions = [f"{text(one, 'name')}{'*' if one['storage'] else ''}" for one in rows(spec, "versions")]
        assert (text(spec, "scope"), ",".join(versions)) == (row["scope"], row["versions (* = storage)"])


@pytest.mark.parametrize("version", recorded.VERSIONS)
def test_the_values_have_the_real_keys(version: str) -> None:
    theirs = load(recorded.path("recordings", "install", f"{version}.linkerd-config.values.yaml").read_text())
    mine = load(Installation.planned(Release(version), TRUST, Method.CLI).config_values)

    def keys(values: JsonObject, *path: str) -> set[str]:
        return set(table(values, *path))

    for path in ((), ("proxy",), ("proxyInit",), ("identity",), ("identity", "issuer"), ("proxyInjector",)):
        assert keys(mine, *path) == keys(theirs, *path)
    for path in (("proxy", "image"), ("proxy", "nativeSidecar"), ("linkerdVersion",), ("cliVersion",)):
        assert dig(mine, *path) == dig(theirs, *path)


def test_no_private_key_is_in_the_config_map() -> None:
    mine = {identity(thing): thing for thing in control_plane("edge-26.8.3", TRUST, NOW)}
    config = mine["ConfigMap", "linkerd", "linkerd-config"]
    assert "PRIVATE KEY" not in text(config, "data", "values")
    assert TRUST.issuer.certificate.strip() in text(
        load(text(config, "data", "values")), "identity", "issuer", "tls", "crtPEM"
    )


def test_the_stored_overrides_render_the_same_installation_again() -> None:
    changed: JsonObject = {"proxy": {"logLevel": "debug"}, "controllerReplicas": 2}
    first = Installation.planned(Release("edge-26.6.3"), TRUST, Method.CLI, changed)
    again = Installation.stored(Release("edge-26.8.3"), load(first.stored_overrides))
    assert again.trust == TRUST
    assert dig(again.values, "proxy", "logLevel") == "debug"
    assert dig(again.values, "controllerReplicas") == 2
    assert dig(again.values, "linkerdVersion") == "edge-26.8.3"


def test_a_changed_default_shows_after_an_upgrade() -> None:
    old = Installation.planned(Release("edge-25.10.7"), TRUST, Method.CLI)
    assert dig(old.values, "proxy", "nativeSidecar") is False
    new = Installation.stored(Release("edge-26.6.3"), load(old.stored_overrides))
    assert dig(new.values, "proxy", "nativeSidecar") is True


def test_helm_leaves_its_marks_and_no_namespace() -> None:
    objects = as_helm_leaves_them(control_plane("edge-26.8.3", TRUST, NOW, method=Method.HELM), "linkerd-control-plane")
    kinds = {text(thing, "kind") for thing in objects}
    assert "Namespace" not in kinds
    assert not [thing for thing in objects if text(thing, "metadata", "name") == "linkerd-config-overrides"]
    for thing in objects:
        assert texts(thing, "metadata", "annotations")["meta.helm.sh/release-name"] == "linkerd-control-plane"
        assert texts(thing, "metadata", "labels")["app.kubernetes.io/managed-by"] == "Helm"


def test_a_highly_available_control_plane_refuses_pods_without_its_injector() -> None:
    objects = {identity(thing): thing for thing in control_plane("edge-26.8.3", TRUST, NOW, ha=True)}
    injector = objects["MutatingWebhookConfiguration", "", "linkerd-proxy-injector-webhook-config"]
    assert dig(injector, "webhooks", 0, "failurePolicy") == "Fail"
    assert dig(objects["Deployment", "linkerd", "linkerd-destination"], "spec", "replicas") == 3
    assert ("PodDisruptionBudget", "linkerd", "linkerd-dst") in objects


def test_the_overrides_secret_holds_the_issuers_key() -> None:
    objects = {identity(thing): thing for thing in control_plane("edge-26.8.3", TRUST, NOW)}
    stored = load(opened(objects["Secret", "linkerd", "linkerd-config-overrides"])["linkerd-config-overrides"])
    assert dig(stored, "identity", "issuer", "tls", "keyPEM") == TRUST.issuer.key
    assert "proxy" not in stored


def test_defaults_are_not_shared_between_installations() -> None:
    values = chart_defaults(Release("edge-26.8.3"))
    table(values, "proxy")["logLevel"] = "trace"
    assert dig(chart_defaults(Release("edge-26.8.3")), "proxy", "logLevel") != "trace"


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("edge-25.6.2", ["grpc", "admin-http", "sp-validator", "admin-http", "grpc", "policy-https", "admin-http"]),
        (
            "edge-25.6.3",
            ["dest-grpc", "dest-admin", "sp-validator", "spval-admin", "policy-grpc", "policy-https", "policy-admin"],
        ),
    ],
)
def test_ports_of_controllers_are_named_as_their_release_does(version: str, names: list[str]) -> None:
    (destination,) = (
        thing
        for thing in control_plane(version, TRUST, NOW)
        if identity(thing)[::2] == ("Deployment", "linkerd-destination")
    )
    controllers = [
        each
        for each in rows(destination, "spec", "template", "spec", "containers")
        if text(each, "name") != "linkerd-proxy"
    ]
    assert [text(port, "name") for each in controllers for port in rows(each, "ports")] == names
