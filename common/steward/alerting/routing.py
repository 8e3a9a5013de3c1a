"""Who would be told of an alert, and why: the routes walked as Alertmanager walks them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from steward.alerting.channels.model import Configuration, Route
from steward.alerting.inhibition import Inhibition
from steward.alerting.matching import Labels, fits_all, misfit, mutes
from steward.alerting.promql import Matcher


@dataclass(frozen=True, slots=True)
class SilenceInForce:
    """A silence of Alertmanager that is active."""

    id: str
    matchers: tuple[Matcher, ...]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else is so at the time."""

    firing: tuple[Labels, ...] = ()
    """Labels of every alert that fires, the one in question may be among them."""
    silences: tuple[SilenceInForce, ...] = ()
    muted: frozenset[str] = frozenset()
    """Names of the quiet times that are on."""


@dataclass(frozen=True, slots=True)
class Told:
    """A receiver that the routes lead to."""

    receiver: str
    path: tuple[tuple[Matcher, ...], ...]
    """Conditions of each route on the way, the root's none first."""
    quiet: str = ""
    """Name of the quiet time that keeps it from being told at present."""


@dataclass(frozen=True, slots=True)
class NotTold:
    """A route that does not take the alert, and with it all below."""

    receiver: str
    path: tuple[tuple[Matcher, ...], ...]
    reason: str
    """NotMatched, or Taken: an earlier sibling took it, and does not let it go on."""
    failed: Matcher | None = None
    """The condition that does not hold, where it is NotMatched."""


@dataclass(frozen=True, slots=True)
class Inhibited:
    """An alert that fires keeps this one quiet."""

    by: Mapping[str, str]
    inhibition: Inhibition


@dataclass(frozen=True, slots=True)
class Answer:
    """Where an alert goes. Silenced or inhibited it goes nowhere, whatever the routes say."""

    told: tuple[Told, ...]
    not_told: tuple[NotTold, ...]
    silenced: tuple[SilenceInForce, ...] = ()
    inhibited: tuple[Inhibited, ...] = ()

    @property
    def notified(self) -> tuple[str, ...]:
        """The receivers that really are told, once each."""
        if self.silenced or self.inhibited:
            return ()
        return tuple(dict.fromkeys(each.receiver for each in self.told if not each.quiet))


_NOTHING_ELSE = Circumstances()


def who_is_told(tree: Configuration, labels: Labels, around: Circumstances = _NOTHING_ELSE) -> Answer:
    """Who is told of an alert with these labels. Raise ValueError where a matcher holds no regular expression."""
    walk = _Walk(labels, around.muted)
    walk.enter(tree.route, ())
    return Answer(
        told=tuple(walk.told),
        not_told=tuple(walk.not_told),
        silenced=tuple(each for each in around.silences if fits_all(each.matchers, labels)),
        inhibited=tuple(_inhibited(tree.inhibitions, labels, around.firing)),
    )


def _inhibited(inhibitions: Iterable[Inhibition], labels: Labels, firing: Iterable[Labels]) -> Iterable[Inhibited]:
    others = tuple(firing)
    for inhibition in inhibitions:
        source = next((each for each in others if mutes(inhibition, each, labels)), None)
        if source is not None:
            yield Inhibited(dict(source), inhibition)


@dataclass(slots=True)
class _Walk:
    labels: Labels
    muted: frozenset[str]
    told: list[Told] = field(default_factory=list)
    not_told: list[NotTold] = field(default_factory=list)

    def enter(self, route: Route, above: tuple[tuple[Matcher, ...], ...], inherited: str = "") -> bool:
        """Whether the route, or one below it, takes the alert."""
        receiver = route.receiver or inherited
        path = (*above, route.matchers)
        failed = misfit(route.matchers, self.labels)
        if failed is not None:
            self.not_told.append(NotTold(receiver, path, "NotMatched", failed))
            return False
        if not self._below(route, path, receiver):
            quiet = next((name for name in route.muted_at if name in self.muted), "")
            self.told.append(Told(receiver, path, quiet))
        return True

    def _below(self, route: Route, path: tuple[tuple[Matcher, ...], ...], receiver: str) -> bool:
        taken = stopped = False
        for child in route.routes:
            if stopped:
                self.not_told.append(NotTold(child.receiver or receiver, (*path, child.matchers), "Taken"))
                continue
            took = self.enter(child, path, receiver)
            taken = taken or took
            stopped = took and not child.goes_on
        return taken
