"""Which alerts keep others quiet while they fire: those that say the same, or say why."""

from collections.abc import Iterable
from dataclasses import dataclass

from steward.alerting.promql import LABEL, Matcher
from steward.alerting.rules import Severity

SAME_THING = (
    *("cluster", "alertname", "namespace", "service", "route", "policy", "target", "objective", "side"),
    *("component", "kind", "name", "serial", "feature", "webhook", "run", "step", "release", "pod"),
)
"""Labels by which alerts of one name are about one thing. What none of both has counts as equal, so all may stand
here; `alertname` and `namespace` alone would let one broken service hide another of the same namespace."""


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert that fits `source` fires, nobody is told of those that fit `target` and agree in `equal`.

    To Alertmanager a label that both lack is equal. An alert that fits both sides is not kept quiet by another that
    does so too, itself among them.
    """

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.source or not self.target:
            raise ValueError("an inhibition says which alerts mute and which are muted: without matchers it is all")
        for label in self.equal:
            if LABEL.fullmatch(label) is None:
                raise ValueError(f"{label!r} is no name of a label: letters, digits and _ only, no digit first")

    def where_present(self) -> "Inhibition":
        """The same, but only among alerts that have every label of `equal`: what is missing is equal to nothing."""
        needed = tuple(Matcher.differs(label, "") for label in self.equal)
        added = tuple(each for each in needed if each not in self.source)
        return Inhibition((*self.source, *added), self.target, self.equal)


def severe_mutes_lesser(equal: tuple[str, ...] = SAME_THING) -> Inhibition:
    """A critical alert keeps the warning of the same name about the same thing quiet."""
    lesser = Matcher.any_of("severity", (Severity.WARNING.value, Severity.INFO.value))
    return Inhibition((Matcher.equal("severity", Severity.CRITICAL.value),), (lesser,), equal)


def of_alerts(
    source: tuple[Matcher, ...], targets: Iterable[str], equal: tuple[str, ...], whose: Matcher
) -> Inhibition:
    """One about alerts by name, all of which bear `whose`. Several clusters that share an Alertmanager stay apart."""
    return Inhibition(source, (whose, Matcher.any_of("alertname", sorted(set(targets)))), ("cluster", *equal))
