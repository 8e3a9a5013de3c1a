"""The variables in deploy/ are settings that exist, and what the pods must be told is told."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import BaseModel

from services.together import MEMBERS, Member
from steward.bus.settings import BusSettings
from steward.cli.connection import NATS_PORT, NATS_ROUTES, NATS_SECRET, NATS_SERVICE, NATS_USERS
from steward.jsonvalue import JsonObject, dig, rows, text, texts, whole
from steward.service.settings import ServiceSettings
from tests.deploy.kustomize import DEPLOY, container, named, workload

_VARIABLE = re.compile(r"\bSTEWARD_[A-Z_]*__[A-Z_]+\b")


def fields(model: type[BaseModel], prefix: str = "STEWARD_") -> Iterator[str]:
    """The variables of a settings class."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from fields(inner, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def values(found: JsonObject) -> dict[str, str]:
    return {text(each, "name"): text(each, "value") for each in rows(found, "env") if "value" in each}


def ports(found: JsonObject) -> dict[str, int]:
    return {text(each, "name"): whole(each, "containerPort") for each in rows(found, "ports")}


def test_every_variable_in_deploy_is_a_field_of_the_settings() -> None:
    known = {variable for member in MEMBERS for variable in fields(member.settings)}
    named_somewhere = {
        found
        for path in DEPLOY.rglob("*")
        if path.suffix in (".yaml", ".md", ".conf") or path.name == "Dockerfile"
        for found in _VARIABLE.findall(path.read_text(encoding="utf-8"))
    }
    assert named_somewhere - known == set()
    assert "STEWARD_BUS__SERVERS" in named_somewhere


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_service_gets_settings_with_which_it_starts(
    overlay: list[JsonObject], member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = container(overlay, member.name)
    for name, value in values(found).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STEWARD_BUS__PASSWORD", "secret")
    monkeypatch.setenv("STEWARD_CLUSTER__NAMESPACE", "linkerd-steward")
    settings = member.settings.load()
    assert settings.bus.servers == (f"nats://{NATS_SERVICE}:{NATS_PORT}",)
    assert settings.bus.user == member.name
    assert settings.bus.inbox_prefix == f"_INBOX_{member.name}"
    assert settings.http.address == "0.0.0.0"


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_service_is_told_whatever_differs_between_a_pod_and_a_desk(overlay: list[JsonObject], member: Member) -> None:
    told = {text(each, "name") for each in rows(container(overlay, member.name), "env")}
    assert told >= {
        "STEWARD_BUS__SERVERS",
        "STEWARD_BUS__USER",
        "STEWARD_BUS__PASSWORD",
        "STEWARD_BUS__INBOX_PREFIX",
        "STEWARD_CLUSTER__NAMESPACE",
        "STEWARD_HTTP__ADDRESS",
    }
    asked = [text(each, "configMapRef", "name") for each in rows(container(overlay, member.name), "envFrom")]
    # What comes later goes before what came earlier.
    assert asked[-2:] == ["steward", member.name]
    shipped = {name for each in asked[:-2] for name in texts(named(overlay, "ConfigMap", each), "data")}
    assert not shipped & told, "what a pod is told can be told otherwise by nobody"


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_ports_are_the_defaults_of_the_settings(overlay: list[JsonObject], member: Member) -> None:
    http = member.settings().http
    found = container(overlay, member.name)
    assert ports(found).items() >= {"metrics": http.metrics_port, "health": http.health_port}.items()
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert text(found, probe, "httpGet", "port") == "health"
        assert text(found, probe, "httpGet", "path") == ("/readyz" if probe == "readinessProbe" else "/livez")
    service = named(overlay, "Service", member.name)
    assert [whole(each, "port") for each in rows(service, "spec", "ports")] == [http.metrics_port]


def test_the_network_policies_open_the_ports_that_are_listened_on(overlay: list[JsonObject]) -> None:
    services, nats = named(overlay, "NetworkPolicy", "services"), named(overlay, "NetworkPolicy", "nats")
    http = ServiceSettings().http
    assert dig(services, "spec", "ingress", 0, "ports", 0, "port") == http.metrics_port
    assert dig(services, "spec", "egress", 0, "ports", 0, "port") == NATS_PORT
    assert (
        dig(nats, "spec", "ingress", 0, "ports", 0, "port") == NATS_PORT == ports(container(overlay, "nats"))["client"]
    )


def test_a_pod_is_given_time_to_finish_what_runs(overlay: list[JsonObject]) -> None:
    for member in MEMBERS:
        pod = dig(workload(overlay, member.name), "spec", "template", "spec")
        assert timedelta(seconds=whole(pod, "terminationGracePeriodSeconds")) > BusSettings().drain_deadline


def test_every_password_that_is_read_is_one_that_install_makes(overlay: list[JsonObject]) -> None:
    read = {
        text(each, "valueFrom", "secretKeyRef", "key")
        for part in overlay
        for found in rows(part, "spec", "template", "spec", "containers")
        for each in rows(found, "env")
        if text(each, "valueFrom", "secretKeyRef", "name") == NATS_SECRET
    }
    assert read <= {*NATS_USERS, NATS_ROUTES}
    assert read >= set(NATS_USERS)


def test_a_cluster_of_three_keeps_three_copies(overlay: list[JsonObject]) -> None:
    servers = whole(named(overlay, "StatefulSet", "nats"), "spec", "replicas")
    for member in MEMBERS:
        copies = values(container(overlay, member.name)).get("STEWARD_BUS__REPLICAS", "1")
        assert copies == str(servers)
