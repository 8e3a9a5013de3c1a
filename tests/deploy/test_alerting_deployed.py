"""The two ways to deploy alerting: what its containers share, what they keep from one another, what they begin with."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from services.alerting.core.delivery import Delivery
from services.alerting.edges.file_routes import CONFIGURATION
from services.alerting.settings import AlertingGroup, AlertingSettings, WebhookSettings
from steward.alerting.monitoring import ScrapeKind
from steward.cli.connection import NAMESPACE
from steward.cli.shared_secrets import ALERTMANAGER_TOKEN
from steward.jsonvalue import JsonObject, dig, rows, strings, text, texts, whole
from steward.resources.alert_channel import AlertChannel
from steward.resources.alert_policy import AlertPolicy
from tests.deploy.kustomize import DEPLOY, DoesNotRender, built, container, named, objects, rendered, workload
from tests.deploy.scraped import shipped
from tests.deploy.test_settings import ports, values
from tests.documentation.blocks import blocks

POD = "alerting"
TOKEN_OF_KUBERNETES = "/var/run/secrets/kubernetes.io/serviceaccount"
_SIZES = {"MB": 10**6, "GB": 10**9, "Mi": 2**20, "Gi": 2**30}


@pytest.fixture(scope="module")
def by_files(renderer: None) -> list[JsonObject]:
    """What brings a Prometheus and an Alertmanager."""
    del renderer
    return objects(rendered("development"))


@pytest.fixture(scope="module")
def by_operator(renderer: None) -> list[JsonObject]:
    """What leaves both to the operator."""
    del renderer
    return objects(rendered("production"))


def settings_of(parts: list[JsonObject], monkeypatch: pytest.MonkeyPatch) -> AlertingGroup:
    """What the service is told, by its own variables and by the ConfigMaps that are shipped."""
    found = container(parts, POD)
    for source in rows(found, "envFrom"):
        name = text(source, "configMapRef", "name")
        shipped_ones = (part for part in parts if text(part, "kind") == "ConfigMap")
        for config_map in (each for each in shipped_ones if text(each, "metadata", "name") == name):
            for variable, value in texts(config_map, "data").items():
                monkeypatch.setenv(variable, value)
    for variable, value in values(found).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("STEWARD_BUS__PASSWORD", "secret")
    return AlertingSettings.load().alerting


def mounts(found: JsonObject) -> dict[str, tuple[str, bool]]:
    """Path → volume with its part, and whether it can be written there."""
    return {
        text(each, "mountPath"): (f"{text(each, 'name')}/{text(each, 'subPath')}", dig(each, "readOnly") is not True)
        for each in rows(found, "volumeMounts")
    }


def flags(found: JsonObject) -> dict[str, str]:
    """The flags of a command line."""
    pairs = (each.removeprefix("--").partition("=") for each in strings(dig(found, "args")))
    return {name: value for name, _, value in pairs}


def test_alerting_writes_where_prometheus_and_alertmanager_read(
    by_files: list[JsonObject], monkeypatch: pytest.MonkeyPatch
) -> None:
    group = settings_of(by_files, monkeypatch)
    own, prometheus, alertmanager = (
        mounts(container(by_files, POD, each)) for each in (POD, "prometheus", "alertmanager")
    )
    files = group.files
    assert group.delivery is Delivery.FILES
    assert (strings(dig(shipped(), "rule_files"))) == [f"{files.rules}/*.yaml"]
    assert flags(container(by_files, POD, "alertmanager"))["config.file"] == f"{files.alertmanager}/{CONFIGURATION}"
    for folder, readers in (
        (files.rules, [prometheus]),
        (files.alertmanager, [alertmanager]),
        (files.secrets, [alertmanager]),
        (files.good, []),
    ):
        volume, writable = own[str(folder)]
        assert writable, folder
        for reader in readers:
            assert reader[str(folder)] == (volume, False), folder
    volumes = {
        text(each, "name"): each for each in rows(workload(by_files, POD), "spec", "template", "spec", "volumes")
    }
    assert text(volumes[own[str(files.secrets)][0].rstrip("/")], "emptyDir", "medium") == "Memory"


def test_alerting_asks_those_beside_it_and_they_let_it(
    by_files: list[JsonObject], monkeypatch: pytest.MonkeyPatch
) -> None:
    group = settings_of(by_files, monkeypatch)
    for name, url in (("prometheus", group.prometheus.url), ("alertmanager", group.alertmanager.url)):
        found = container(by_files, POD, name)
        assert url == f"http://127.0.0.1:{ports(found)[name]}"
        assert flags(found)["web.listen-address"] == f"0.0.0.0:{ports(found)[name]}"
        assert {text(found, probe, "httpGet", "port") for probe in ("livenessProbe", "readinessProbe")} == {name}
    assert group.prometheus.scrape is ScrapeKind.STEWARD
    told = {"web.enable-lifecycle", "rules.alert.resend-delay", "storage.tsdb.retention.time"}
    assert told <= set(flags(container(by_files, POD, "prometheus")))
    assert flags(container(by_files, POD, "alertmanager"))["cluster.listen-address"] == "", "it gossips with nobody"
    (alertmanager,) = rows(shipped(), "alerting", "alertmanagers")
    assert strings(dig(alertmanager, "static_configs", 0, "targets")) == [
        group.alertmanager.url.removeprefix("http://")
    ]


def test_alertmanager_tells_alerting_with_a_token_that_both_read(
    by_files: list[JsonObject], by_operator: list[JsonObject], monkeypatch: pytest.MonkeyPatch
) -> None:
    for parts, readers in ((by_files, (POD, "alertmanager")), (by_operator, (POD,))):
        token = settings_of(parts, monkeypatch).webhook.token_file
        assert token is not None
        (volume,) = {mounts(container(parts, POD, each))[str(token.parent)][0].rstrip("/") for each in readers}
        volumes = rows(workload(parts, POD), "spec", "template", "spec", "volumes")
        (found,) = (each for each in volumes if text(each, "name") == volume)
        assert text(found, "secret", "secretName") == ALERTMANAGER_TOKEN.name
        assert (token.name,) == ALERTMANAGER_TOKEN.entries


def test_whoever_asks_kubernetes_has_a_token_and_alertmanager_has_none(by_files: list[JsonObject]) -> None:
    pod = dig(workload(by_files, POD), "spec", "template", "spec")
    assert dig(pod, "automountServiceAccountToken") is False
    having = {
        text(each, "name")
        for group in ("initContainers", "containers")
        for each in rows(pod, group)
        if TOKEN_OF_KUBERNETES in mounts(each)
    }
    assert having == {POD, "prometheus"}
    (volume,) = (each for each in rows(pod, "volumes") if text(each, "name") == "kubernetes")
    paths = {text(found, "path") for found in _nested(volume)} - {""}
    assert paths == {"token", "ca.crt", "namespace"}


def _nested(found: object) -> list[JsonObject]:
    if isinstance(found, list):
        return [each for member in found for each in _nested(member)]
    if isinstance(found, dict):
        return [found, *(each for member in found.values() for each in _nested(member))]
    return []


@pytest.mark.parametrize("restarted", [False, True], ids=["the first time", "again"])
def test_a_pod_begins_with_the_rules_that_were_good_and_an_alertmanager_that_tells_nobody(
    by_files: list[JsonObject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, restarted: bool
) -> None:
    group = settings_of(by_files, monkeypatch)
    assert group.files.good is not None
    (begin,) = rows(workload(by_files, POD), "spec", "template", "spec", "initContainers")
    script = strings(dig(begin, "command"))[-1]
    for path in sorted(mounts(begin), key=len, reverse=True):
        (tmp_path / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        script = script.replace(path, str(tmp_path / path.lstrip("/")))
    (config,) = (part for part in by_files if text(part, "metadata", "name").startswith("alerting-monitoring"))
    monitoring = tmp_path / "etc/monitoring"
    for name, content in texts(config, "data").items():
        (monitoring / name).write_text(content)
    kept = tmp_path / str(group.files.good).lstrip("/") / "rules"
    if restarted:
        kept.mkdir()
        (kept / "shop.web.yaml").write_text("groups: []\n")
    command = [*strings(dig(begin, "command"))[:-1], script]
    done = subprocess.run(command, env={"PATH": os.defpath}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    route = yaml.safe_load((tmp_path / str(group.files.alertmanager).lstrip("/") / CONFIGURATION).read_text())
    assert route == {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
    rules = {path.name: path.read_text() for path in (tmp_path / str(group.files.rules).lstrip("/")).iterdir()}
    assert rules == ({"shop.web.yaml": "groups: []\n"} if restarted else {})


def test_prometheus_ends_before_its_volume_does(by_files: list[JsonObject]) -> None:
    retained = re.fullmatch(
        r"(\d+)([A-Z]B)", flags(container(by_files, POD, "prometheus"))["storage.tsdb.retention.size"]
    )
    (claim,) = rows(workload(by_files, POD), "spec", "volumeClaimTemplates")
    volume = re.fullmatch(r"(\d+)([A-Z]i)", text(claim, "spec", "resources", "requests", "storage"))
    assert retained is not None
    assert volume is not None
    assert int(retained[1]) * _SIZES[retained[2]] < 0.9 * int(volume[1]) * _SIZES[volume[2]]


@pytest.mark.parametrize("component", ["alerting", "alerting-operator"])
def test_alerting_is_never_two_and_never_two_for_a_moment(component: str, renderer: None, tmp_path: Path) -> None:
    del renderer
    parts = objects(built(_with(tmp_path, component, "nats-cluster", "high-availability", "monitoring")))
    found = workload(parts, POD)
    assert whole(found, "spec", "replicas") == 1
    assert text(found, "kind") == "StatefulSet" or text(found, "spec", "strategy", "type") == "Recreate"
    assert values(container(parts, POD))["STEWARD_BUS__REPLICAS"] == "3"


@pytest.mark.usefixtures("renderer")
@pytest.mark.parametrize("component", ["alerting", "alerting-operator"])
def test_each_way_can_be_added_to_the_base_alone(component: str, tmp_path: Path) -> None:
    parts = objects(built(_with(tmp_path, component)))
    assert text(workload(parts, POD), "metadata", "namespace") == NAMESPACE
    policy = AlertPolicy.of(named(parts, "AlertPolicy", "linkerd"))
    assert policy.spec.control_plane is not None
    assert not [part for part in parts if text(part, "kind") == "Secret"]


@pytest.mark.usefixtures("renderer")
def test_both_ways_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DoesNotRender, match="already registered id"):
        built(_with(tmp_path, "alerting", "alerting-operator"))


def _with(folder: Path, *components: str) -> Path:
    """The base with components, as an overlay of somebody's own would have them."""
    here = folder.resolve()
    paths = [os.path.relpath(DEPLOY / "components" / each, here) for each in components]
    overlay = {"resources": [os.path.relpath(DEPLOY / "base", here)], "components": paths}
    (here / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return here


def test_only_who_carries_the_label_reaches_prometheus_and_alertmanager(by_files: list[JsonObject]) -> None:
    service = named(by_files, "Service", "linkerd-steward-alerting")
    opened = {text(each, "name"): whole(each, "port") for each in rows(service, "spec", "ports")}
    assert opened == {"prometheus": 9090, "alertmanager": 9093, "metrics": 9464, "health": 8080}
    policy = named(by_files, "NetworkPolicy", "alerting")
    (ingress,) = rows(policy, "spec", "ingress")
    assert [whole(each, "port") for each in rows(ingress, "ports")] == [opened["prometheus"], opened["alertmanager"]]
    wanted = {"steward.linkerd.io/alerting-client": "true"}
    assert [
        texts(each, "podSelector", "matchLabels") or texts(each, "namespaceSelector", "matchLabels")
        for each in rows(ingress, "from")
    ] == [wanted, wanted]


def test_the_operator_is_told_what_it_finds_our_objects_by_and_alertmanager_where_we_are(
    by_operator: list[JsonObject], monkeypatch: pytest.MonkeyPatch
) -> None:
    group = settings_of(by_operator, monkeypatch)
    assert group.delivery is Delivery.OPERATOR
    assert group.files == AlertingGroup().files, "folders and objects together are no way at all"
    assert (group.operator.rule_labels, group.operator.channel_labels) == ({}, {})
    port = WebhookSettings().port
    assert group.webhook.address == "0.0.0.0"
    assert group.webhook.url == f"http://{POD}.{NAMESPACE}:{port}/alertmanager"
    assert ports(container(by_operator, POD))["webhook"] == port
    policy = named(by_operator, "NetworkPolicy", "alerting")
    assert [whole(each, "port") for each in rows(dig(policy, "spec", "ingress", 0), "ports")] == [port]
    reached = {int(each.rpartition(":")[2]) for each in (group.prometheus.url, group.alertmanager.url)}
    assert {whole(each, "port") for each in rows(dig(policy, "spec", "egress", 0), "ports")} == reached


def test_the_settings_of_the_operator_can_be_told_otherwise_by_a_config_map(
    by_operator: list[JsonObject], monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped_map = texts(named(by_operator, "ConfigMap", "alerting-operator"), "data")
    assert not set(shipped_map) & set(values(container(by_operator, POD)))
    settings_of(by_operator, monkeypatch)
    monkeypatch.setenv("STEWARD_ALERTING__OPERATOR__RULE_LABELS", "release=kube-prometheus-stack")
    assert AlertingSettings.load().alerting.operator.rule_labels == {"release": "kube-prometheus-stack"}


def test_the_channel_of_the_readme_can_be_used_as_it_is_shown(by_files: list[JsonObject]) -> None:
    shown = [yaml.safe_load(block.text) for block in blocks(DEPLOY / "README.md", "yaml")]
    (channel,) = [AlertChannel.of(each) for each in shown if text(each, "kind") == "AlertChannel"]
    assert channel.spec.slack is not None
    assert channel.spec.slack.webhook is not None
    role = named(by_files, "ClusterRole", "linkerd-steward-alerting-channels")
    (rule,) = rows(role, "rules")
    assert strings(dig(rule, "resourceNames")) == [channel.spec.slack.webhook.name]
    assert strings(dig(rule, "verbs")) == ["get"]
