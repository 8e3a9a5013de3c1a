"""The settings of alerting."""

import os
import socket
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from services.alerting.core.delivery import Delivery
from steward.alerting.monitoring import ScrapeKind
from steward.service.settings import Group, Port, ServiceSettings

Duration = Annotated[timedelta, Field(gt=timedelta())]


def _pairs(value: object) -> object:
    """A variable holds labels as `release=kube-prometheus,team=mesh`."""
    if not isinstance(value, str):
        return value
    parts = [each.strip() for each in value.split(",") if each.strip()]
    broken = next((each for each in parts if "=" not in each), None)
    if broken is not None:
        raise ValueError(f"{broken!r} is no label: write name=value, separated by commas")
    return dict(each.split("=", 1) for each in parts)


class PrometheusSettings(Group):
    """The Prometheus that scrapes the mesh and evaluates the rules."""

    url: str = ""
    """Its address, such as http://127.0.0.1:9090. Without one nothing is known of it, and nothing is reloaded."""
    token_file: Path | None = None
    """Holds a bearer token, where it wants one."""
    ca_file: Path | None = None
    """Authority of its certificate, where the system's do not know it."""
    scrape: ScrapeKind | None = None
    """Who wrote its scrape configuration; by default what its targets look like."""


class AlertmanagerSettings(Group):
    """The Alertmanager that the alerts go to."""

    url: str = ""
    """Its address, such as http://127.0.0.1:9093."""
    token_file: Path | None = None
    """Holds a bearer token, where it wants one."""
    ca_file: Path | None = None
    """Authority of its certificate, where the system's do not know it."""


class FilesSettings(Group):
    """Where files go, for delivery by files."""

    rules: Path | None = None
    """Folder of the rule files; Prometheus has `rule_files: [<folder>/*.yaml]`."""
    alertmanager: Path | None = None
    """Folder of Alertmanager's configuration, alertmanager.yml."""
    secrets: Path | None = None
    """Folder of the channels' secrets, in memory, readable for Alertmanager at the same path."""
    good: Path | None = None
    """Folder of what was last in force, kept over restarts."""


class OperatorSettings(Group):
    """How the operator finds what we make."""

    rule_labels: Annotated[dict[str, str], BeforeValidator(_pairs)] = Field(default_factory=dict)
    """Labels of the PrometheusRules, as the `ruleSelector` of the Prometheus asks; such as release=kube-prometheus."""
    channel_labels: Annotated[dict[str, str], BeforeValidator(_pairs)] = Field(default_factory=dict)
    """Labels of the AlertmanagerConfigs, as the `alertmanagerConfigSelector` of the Alertmanager asks."""
    token_secret: str = ""
    """Secret in our namespace with the bearer token that Alertmanager shows us; none: it shows none."""
    token_key: str = "token"
    """Entry of that Secret."""


class WebhookSettings(Group):
    """Where Alertmanager tells us of alerts."""

    address: str = "127.0.0.1"
    """Loopback unless told otherwise; beside an Alertmanager in another pod it is 0.0.0.0."""
    port: Port = 9465
    """Where we listen. 0 picks a free port."""
    url: str = ""
    """Our address as Alertmanager reaches it; by default the loopback address above."""
    token_file: Path | None = None
    """Holds the bearer token that Alertmanager must show; it must be able to read the same file."""


class TempoSettings(Group):
    """How long to wait for what."""

    settle: Duration = timedelta(seconds=1)
    """After a change, for others that come with it; 200 edits in a minute are not 200 reloads."""
    look_again: Duration = timedelta(seconds=30)
    """Between two looks at Prometheus and Alertmanager: versions, retention, targets, metrics that are missing."""
    reread: Duration = timedelta(seconds=30)
    """Between two looks at the Secrets of channels: a rotation arrives after that long."""
    compare: Duration = timedelta(minutes=5)
    """Between two comparisons of what was said to fire with what Alertmanager has. One that has run for less has not
    been told everything by Prometheus yet, and is not believed."""
    begin_again: Duration = timedelta(seconds=2)
    """After an error, doubled each time up to a minute."""
    refresh: Duration = timedelta(minutes=1)
    """Between two tellings of an alert of our own that goes on."""
    ends_after: Duration = timedelta(minutes=5)
    """How long an alert of our own lives without being told again: then we are gone, or it is over."""
    upgrade_moves: Duration = timedelta(minutes=30)
    """How long an upgrade mutes what it explains though its status says nothing new. Longer, and whoever conducted
    it is taken to be gone: people are told again, until it moves."""
    watchdog: Duration = timedelta(minutes=5)
    """How long the Watchdog may be silent before the way of alerts counts as broken."""
    load: Duration = timedelta(minutes=5)
    """How long the operator may take until its objects are loaded; then it is told what to look at."""


class AlertingGroup(Group):
    """What is alerting's own."""

    identity: str = Field(default_factory=lambda: f"{socket.gethostname()}_{os.getpid()}")
    """Who asks for the lease."""
    delivery: Delivery = Delivery.AUTO
    """How rules and routes reach Prometheus and Alertmanager."""
    runbooks: str = ""
    """Address under which the runbooks are published; alerts then carry `runbook_url`."""
    prometheus: PrometheusSettings = Field(default_factory=PrometheusSettings)
    """Who evaluates."""
    alertmanager: AlertmanagerSettings = Field(default_factory=AlertmanagerSettings)
    """Who routes."""
    files: FilesSettings = Field(default_factory=FilesSettings)
    """Delivery by files."""
    operator: OperatorSettings = Field(default_factory=OperatorSettings)
    """Delivery by objects."""
    webhook: WebhookSettings = Field(default_factory=WebhookSettings)
    """The way back."""
    tempo: TempoSettings = Field(default_factory=TempoSettings)
    """Patience."""


class AlertingSettings(ServiceSettings):
    """Everything that alerting can be told."""

    alerting: AlertingGroup = Field(default_factory=AlertingGroup)
    """How the mesh is watched."""
