"""Cases of the pack's alerts: what is scraped, and which alerts fire when. `cases/*.yaml` has them in short.

alert: LinkerdProxyCertificateExpired
cases:
- name: an expired leaf is told, a good one is not
  version: edge-24.3.1                          the newest, where it is not said
  series:
  - proxy:shop/web-1 control_identity_cert_expiration_timestamp_seconds 3600x180
  at:
    50m: []                                     nothing fires
    70m: [critical namespace=shop]              this tier, with these labels besides those of the rule
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from steward.alerting.monitoring import Monitoring
from steward.alerting.pack import STEWARD_LABEL, STEWARD_VALUE, About, PackAlert, shipped_pack
from steward.alerting.promql import quoted
from steward.alerting.rendering import Rendered, render
from steward.alerting.rules import Alerting, Group, Severity, rule_document
from steward.jsonvalue import Json, JsonObject, rows, strings, table, text
from steward.linkerd.version import Version
from steward.yamlvalue import parse_yaml
from tests.common.alerting.found import NEWEST, PROFILES
from tests.common.alerting.worlds import Target, World, scraped

FOLDER = Path(__file__).parent / "cases"
_SERIES = re.compile(r"(?P<target>\S+) (?P<name>[a-z_]+)(?:\{(?P<labels>[^}]*)\})? (?P<values>.+)")
_LABEL = re.compile(r"(\w+)=\"([^\"]*)\"")


@dataclass(frozen=True, slots=True)
class Told:
    """One alert that is expected to fire."""

    severity: Severity
    labels: tuple[tuple[str, str], ...]
    """Those that the expression leaves."""

    @classmethod
    def parse(cls, said: str) -> "Told":
        """`critical namespace=shop`; underscores stand for spaces."""
        severity, *labels = said.split()
        pairs = (label.partition("=") for label in labels)
        return cls(Severity(severity), tuple((name, value.replace("_", " ")) for name, _, value in pairs))

    def expected(self, alert: PackAlert) -> dict[str, str]:
        """All labels as the rule makes them."""
        labels = {STEWARD_LABEL: STEWARD_VALUE, "severity": self.severity.value, **dict(self.labels)}
        if alert.component:
            labels["component"] = alert.component
        if alert.namespace is About.LINKERD:
            labels["namespace"] = "linkerd"
        return labels


@dataclass(frozen=True, slots=True)
class Case:
    """One course of events."""

    alert: PackAlert
    name: str
    version: Version
    series: tuple[str, ...]
    at: tuple[tuple[str, tuple[Told, ...]], ...]

    @property
    def id(self) -> str:
        """For people."""
        return f"{self.alert.name}: {self.name}"

    def monitoring(self, world: World) -> Monitoring:
        """What the rules are rendered for."""
        return Monitoring(PROFILES[world.scrape], self.version)

    def rules(self, world: World) -> JsonObject:
        """A rule file with the rules of this alert alone, and no annotations: promtool compares those word by word."""
        found = rendered(self.version, world)
        bare = tuple(
            Alerting(rule.alert, rule.expr, rule.severity, rule.lasting, labels=rule.labels)
            for group in found.groups
            for rule in group.rules
            if isinstance(rule, Alerting) and rule.alert == self.alert.name
        )
        return rule_document([Group("case", bare)])

    def test(self, world: World) -> JsonObject:
        """As one of promtool's `tests`."""
        inputs: list[Json] = [_input(each, world) for each in self.series]
        expected: list[Json] = [_moment(self.alert, moment, told) for moment, told in self.at]
        return {"name": self.id, "interval": "1m", "input_series": inputs, "alert_rule_test": expected}


@cache
def rendered(version: Version, world: World) -> Rendered:
    """The whole pack."""
    return render(shipped_pack(), Monitoring(PROFILES[world.scrape], version))


@cache
def cases() -> tuple[Case, ...]:
    """All of them."""
    return tuple(case for path in sorted(FOLDER.glob("*.yaml")) for case in _cases(parse_yaml(path.read_text())))


def _cases(document: Json) -> Iterator[Case]:
    for row in rows({"alerts": document}, "alerts"):
        alert = shipped_pack().find(text(row, "alert"))
        if alert is None:
            raise ValueError(f"the pack has no alert {row.get('alert')!r}")
        for case in rows(row, "cases"):
            yield Case(
                alert=alert,
                name=text(case, "name"),
                version=Version.maybe(text(case, "version")) or NEWEST,
                series=tuple(strings(case, "series")),
                at=tuple(
                    (moment, tuple(Told.parse(each) for each in strings(case, "at", moment)))
                    for moment in table(case, "at")
                ),
            )


def _input(said: str, world: World) -> JsonObject:
    match = _SERIES.fullmatch(said)
    if match is None:
        raise ValueError(f"{said!r} is no series: `target name{{labels}} values`")
    labels = scraped(Target.parse(match["target"]), dict(_LABEL.findall(match["labels"] or "")), world)
    written = ", ".join(f"{name}={quoted(value)}" for name, value in labels.items())
    return {"series": f"{match['name']}{{{written}}}", "values": match["values"]}


def _moment(alert: PackAlert, moment: str, told: tuple[Told, ...]) -> JsonObject:
    expected: list[Json] = [{"exp_labels": dict(each.expected(alert))} for each in told]
    return {"eval_time": moment, "alertname": alert.name, "exp_alerts": expected}
