"""Objects of the operator count as in force once they are seen to be loaded: nobody answers that it took them."""

from dataclasses import dataclass, replace
from datetime import timedelta

from services.alerting.core.loaded import Loaded
from services.alerting.core.operator_documents import Expected, expected
from services.alerting.core.units import Refusal
from services.alerting.core.verdicts import Carried
from services.alerting.engine.adopting import Outcome
from steward.clock import Clock


@dataclass(frozen=True, slots=True)
class Loader:
    """Who loads one kind of objects, in words."""

    kind: str
    name: str
    """Prometheus or Alertmanager."""
    asked: bool
    """Whether its address is known."""
    setting: str
    """The one that says its address."""
    hint: str
    """What to look at when it does not load them; `{namespaces}` stands for those of the objects."""


class Awaiting:
    """What one kind of objects waits for, and since when."""

    def __init__(self, clock: Clock, loader: Loader, patience: timedelta) -> None:
        self._clock = clock
        self._loader = loader
        self._patience = patience
        self._since: dict[str, tuple[Expected, float]] = {}

    def judged(self, name: str, carried: Carried, outcome: Outcome, loaded: Loaded) -> Carried:
        """What became of the unit `name`, given what is loaded."""
        content = outcome.in_force.get(name)
        if content is None:
            self._since.pop(name, None)
            return carried
        wanted = expected(content)
        if not carried.in_force:
            return replace(carried, standing=loaded.has_some_of(wanted))
        if loaded.has(wanted):
            self._since.pop(name, None)
            return carried
        return Carried(in_force=False, refusal=self._waits(name, wanted), unknown=True)

    def _waits(self, name: str, wanted: Expected) -> Refusal:
        loader = self._loader
        objects = ", ".join(sorted(each.object for each in wanted.marks))
        made = f"{loader.kind} {objects} is made"
        if not loader.asked:
            return Refusal("NotAsked", f"{made}; whether {loader.name} has it nobody can tell: set {loader.setting}")
        now = self._clock.monotonic()
        known, since = self._since.get(name, (wanted, now))
        if known != wanted:
            since = now
        self._since[name] = wanted, since
        message = f"{made}, and {loader.name} has not loaded it yet"
        if now - since < self._patience.total_seconds():
            return Refusal("NotLoadedYet", message)
        namespaces = ", ".join(sorted({each.object.partition("/")[0] for each in wanted.marks}))
        return Refusal("NotLoadedYet", f"{message}: {loader.hint.format(namespaces=namespaces)}")


def rule_loader(labels: str, *, asked: bool) -> Loader:
    """Prometheus, which has rules."""
    return Loader(
        "PrometheusRule",
        "Prometheus",
        asked,
        "prometheus.url",
        f"look whether the ruleSelector of the Prometheus object selects the labels {_said(labels)} that "
        "operator.rule_labels gives, its ruleNamespaceSelector the namespace {namespaces}, and whether prometheus.url "
        "is that Prometheus",
    )


def route_loader(labels: str, *, asked: bool) -> Loader:
    """Alertmanager, which has channels."""
    return Loader(
        "AlertmanagerConfig",
        "Alertmanager",
        asked,
        "alertmanager.url",
        "look whether the alertmanagerConfigSelector of the Alertmanager object selects the labels "
        f"{_said(labels)} that operator.channel_labels gives, its alertmanagerConfigNamespaceSelector the namespace "
        "{namespaces}, whether every Secret that it names is there with its key, and whether alertmanager.url is that "
        "Alertmanager",
    )


def _said(labels: str) -> str:
    """Braces are doubled: what comes out is a template."""
    return "{{" + labels + "}}"
