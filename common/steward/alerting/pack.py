"""The policy for the control plane and its proxies, as it is shipped: alerts as data, in `shipped/`."""

import re
from datetime import timedelta
from enum import StrEnum
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from steward.alerting.families import Exposer
from steward.alerting.inhibition import Inhibition, of_alerts, severe_mutes_lesser
from steward.alerting.promql import Matcher
from steward.alerting.reading import read
from steward.alerting.rules import Severity
from steward.durations import duration
from steward.errors import ConfigurationError
from steward.events.base import Part
from steward.jsonvalue import texts
from steward.yamlvalue import parse_yaml

FOLDER = "shipped"
UPGRADE = "LinkerdUpgradeInProgress"
"""The alert that fires while an upgrade acts, for nobody: it mutes others."""
WATCHDOG = "Watchdog"
"""The alert that always fires."""
STEWARD_LABEL, STEWARD_VALUE = "steward", "control-plane"
"""What all alerts of the pack are labelled with."""
PLACES = frozenset({"proxies", "controllers", "multicluster", "api_server", "exporter", "own_namespace", "linkerd"})
"""What depends on the monitoring that was found."""
_LOCAL = frozenset({"threshold", "component"})
_ASIDE = frozenset({"terms", "matchers"})
PLACEHOLDER = re.compile(r"\$([a-z][a-z_]*)")


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class _Shipped(Part):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class About(StrEnum):
    """Whose namespace an alert bears."""

    LINKERD = "linkerd"
    """The control plane's."""
    SERIES = "series"
    """That of what is wrong, which the expression leaves."""


class Cause(_Shipped):
    """Another alert, of the pack or of Steward's own, that explains this one: while it fires, this one is not told."""

    alert: str
    component: str = ""
    severity: Severity | None = None
    equal: tuple[str, ...] = ()
    """Labels in which both must be the same."""


class Tier(_Shipped):
    """One severity of an alert, with its threshold."""

    severity: Severity
    lasting: Annotated[timedelta, BeforeValidator(duration), Field(alias="for")] = timedelta()
    threshold: float | None = None
    """In the alert's unit; None: there is none."""
    by: Exposer | None = None
    """Whose page the metrics must be on, where several expose them and began at different times."""
    expr: Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)]
    """Templates over `PLACES`, the preferred one first: the first that a version can answer is taken."""


class PackAlert(_Shipped):
    """One alert; its rules are one for each tier and component."""

    name: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]+$")]
    number: int | None = None
    title: str
    component: str = ""
    components: tuple[str, ...] = ()
    namespace: About = About.LINKERD
    unit: str = ""
    summary: Annotated[str, Field(min_length=1, max_length=120)]
    description: Annotated[str, Field(min_length=1)]
    inhibited_by: tuple[Cause, ...] = ()
    muted_by_upgrade: bool = False
    tiers: Annotated[tuple[Tier, ...], Field(min_length=1)]

    @property
    def runbook(self) -> str:
        """Name of its page, for `runbooks.runbook`."""
        return self.name

    @property
    def causes(self) -> tuple[Cause, ...]:
        """All that explains it, an upgrade included."""
        return (*self.inhibited_by, *((Cause(alert=UPGRADE),) if self.muted_by_upgrade else ()))


class PackGroup(_Shipped):
    """Alerts that are evaluated together."""

    group: str
    alerts: tuple[PackAlert, ...]


class Pack(_Shipped):
    """All of them."""

    groups: tuple[PackGroup, ...]

    @property
    def alerts(self) -> tuple[PackAlert, ...]:
        """Every alert, in the order of the groups."""
        return tuple(alert for group in self.groups for alert in group.alerts)

    @property
    def muted_by_upgrade(self) -> tuple[str, ...]:
        """Names of the alerts that an upgrade in progress explains."""
        return tuple(alert.name for alert in self.alerts if alert.muted_by_upgrade)

    def find(self, name: str) -> PackAlert | None:
        """The alert of that name."""
        return next((alert for alert in self.alerts if alert.name == name), None)


def asked_of(template: str) -> frozenset[str]:
    """Names of the metrics that an expression asks for, whatever the monitoring."""
    return read(PLACEHOLDER.sub("0", template)).metrics


@cache
def shipped_pack() -> Pack:
    """The pack that this version of Steward comes with."""
    folder = files("steward.alerting") / FOLDER
    sources = sorted((each for each in folder.iterdir() if each.name.endswith(".yaml")), key=lambda each: each.name)
    return Pack(groups=tuple(parse_group(each.name, each.read_text(encoding="utf-8")) for each in sources))


def parse_group(file: str, document: str) -> PackGroup:
    """Read one file of the pack. Raise ConfigurationError, naming file and reason, where it does not fit."""
    raw = parse_yaml(document)
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{file}: a group of alerts is a mapping with `group` and `alerts`")
    try:
        terms = {name: f"({term})" for name, term in texts(raw, "terms").items()} | texts(raw, "matchers")
        group = PackGroup.model_validate({key: value for key, value in raw.items() if key not in _ASIDE})
        return group.model_copy(update={"alerts": tuple(_written_out(each, terms) for each in group.alerts)})
    except (ValidationError, ValueError) as error:
        raise ConfigurationError(f"{file}: {error}") from error


@cache
def inhibitions() -> tuple[Inhibition, ...]:
    """Which alert keeps which others quiet: the severe tier of one its milder tiers, and a cause its consequences."""
    pack = shipped_pack()
    pairs = sorted(((cause, alert.name) for alert in pack.alerts for cause in alert.causes), key=_key)
    caused = (
        of_alerts(_source(cause, pack), (name for _, name in members), cause.equal, _steward())
        for cause, members in groupby(pairs, key=lambda pair: pair[0])
    )
    return (severe_mutes_lesser(), *caused)


def _key(pair: tuple[Cause, str]) -> tuple[str, str, str, tuple[str, ...], str]:
    cause, name = pair
    return (cause.alert, cause.component, cause.severity or "", cause.equal, name)


def _source(cause: Cause, pack: Pack) -> tuple[Matcher, ...]:
    said = {"alertname": cause.alert, "component": cause.component, "severity": cause.severity or ""}
    matchers = tuple(Matcher.equal(label, str(value)) for label, value in said.items() if value)
    return (_steward(), *matchers) if pack.find(cause.alert) is not None else matchers


def _steward() -> Matcher:
    return Matcher.equal(STEWARD_LABEL, STEWARD_VALUE)


def _written_out(alert: PackAlert, terms: dict[str, str]) -> PackAlert:
    """With every term in its place, and nothing left that is no place."""
    tiers = tuple(
        tier.model_copy(update={"expr": tuple(_expanded(alert.name, expr, terms) for expr in tier.expr)})
        for tier in alert.tiers
    )
    return alert.model_copy(update={"tiers": tiers})


def _expanded(owner: str, expr: str, terms: dict[str, str]) -> str:
    before = ""
    while before != expr:
        before = expr
        expr = PLACEHOLDER.sub(lambda match: terms.get(match[1], match[0]), expr)
    unknown = sorted(set(PLACEHOLDER.findall(expr)) - PLACES - _LOCAL)
    if unknown:
        raise ValueError(f"{owner}: ${unknown[0]} is neither a term nor a matcher of this file, nor a place")
    return expr
