"""Which alerts keep which others quiet, whatever the form in which Alertmanager is told."""

from collections.abc import Iterable
from dataclasses import dataclass

from steward.alerting.promql import Matcher
from steward.jsonvalue import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert fires that fits `source`, those that fit `target` are not told."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()
    """Labels in which both must be the same; one that both lack is the same."""

    def to_alertmanager(self) -> JsonObject:
        """As a member of `inhibit_rules`; Alertmanager 0.22 and newer take it."""
        equal: list[Json] = list(self.equal)
        rule: JsonObject = {"source_matchers": _written(self.source), "target_matchers": _written(self.target)}
        return {**rule, "equal": equal} if equal else rule


def inhibition(
    source: tuple[Matcher, ...], targets: Iterable[str], equal: tuple[str, ...], whose: Matcher
) -> Inhibition:
    """One about alerts by name, all of which bear `whose`. Several clusters that share an Alertmanager stay apart."""
    return Inhibition(source, (whose, Matcher.any_of("alertname", sorted(set(targets)))), ("cluster", *equal))


def _written(matchers: Iterable[Matcher]) -> list[Json]:
    return [str(each) for each in matchers]
