"""Upgrades that act, and features of the mesh that are confirmed not to work, as the runs of both say themselves."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from services.alerting.core.exported.samples import Sample, Samples
from steward.conformance.catalogue import catalogue
from steward.conformance.results import State
from steward.jsonvalue import JsonObject, dig, rows, text
from steward.linkerd.pods import moment

_KNOWN = frozenset({State.HEALTHY, State.SUSPECT, State.FAILING, State.FLAKY, State.QUARANTINED})
"""States that say something of the feature; the others say that nothing is known at present."""


@dataclass(frozen=True, slots=True)
class UpgradeSeen:
    """An UpgradeRun."""

    name: str
    acts: bool
    """Whether it is changing the cluster, or will in a moment: begun, and neither over nor standing still."""
    uid: str = ""
    from_version: str = ""
    to_version: str = ""
    since: datetime | None = None
    """When it began."""
    moved: datetime | None = None
    """When its status last said something new: while the upgrader is away nothing does."""


@dataclass(frozen=True, slots=True)
class FeatureSeen:
    """What one ConformanceRun says of one feature."""

    feature: str
    state: State
    at: datetime


@dataclass(frozen=True, slots=True)
class ConformanceSeen:
    """A ConformanceRun: the features of which it says something."""

    name: str
    features: tuple[FeatureSeen, ...] = ()


def upgrade_seen(run: JsonObject) -> UpgradeSeen:
    """An UpgradeRun as the API server returns it. A preview changes nothing, whatever it says."""
    progressing = any(
        text(condition, "type") == "Progressing" and text(condition, "status") == "True"
        for condition in rows(run, "status", "conditions")
    )
    begun = dig(run, "status", "startedAt") is not None and dig(run, "status", "finishedAt") is None
    real = text(run, "spec", "dryRun", default="None") == "None"
    return UpgradeSeen(
        name=text(run, "metadata", "name"),
        acts=progressing and begun and real,
        uid=text(run, "metadata", "uid"),
        from_version=text(run, "status", "snapshot", "fromVersion"),
        to_version=text(run, "spec", "target"),
        since=moment(text(run, "status", "startedAt")),
        moved=max((each for said in _times(run) if (each := moment(said)) is not None), default=None),
    )


def _times(run: JsonObject) -> Iterator[str]:
    """Everything that is dated in the status."""
    yield text(run, "status", "startedAt")
    for step in rows(run, "status", "steps"):
        yield from (text(step, each) for each in ("startedAt", "updatedAt", "finishedAt"))
        yield from (text(evidence, "observedAt") for evidence in rows(step, "evidence"))
    yield from (text(transition, "time") for transition in rows(run, "status", "transitions"))
    yield from (text(condition, "lastTransitionTime") for condition in rows(run, "status", "conditions"))


def conformance_seen(run: JsonObject) -> ConformanceSeen:
    """A ConformanceRun as the API server returns it."""
    lines = (_feature(line) for line in rows(run, "status", "features"))
    return ConformanceSeen(text(run, "metadata", "name"), tuple(each for each in lines if each is not None))


def upgrades_in_progress(upgrades: Iterable[UpgradeSeen]) -> Samples:
    """{run}: 1 for each upgrade that acts; there is none for the others."""
    return tuple(Sample((each.name,), 1.0) for each in sorted(upgrades, key=lambda one: one.name) if each.acts)


def failed_features(runs: Iterable[ConformanceSeen]) -> Samples:
    """{feature, security}: 1 for each feature that the newest run to say something of it calls failing."""
    newest: dict[str, FeatureSeen] = {}
    for each in (feature for run in runs for feature in run.features):
        known = newest.get(each.feature)
        if known is None or (known.at, known.state is State.FAILING) < (each.at, each.state is State.FAILING):
            newest[each.feature] = each
    failing = sorted(each.feature for each in newest.values() if each.state is State.FAILING)
    return tuple(Sample((feature, "true" if _is_security(feature) else "false"), 1.0) for feature in failing)


def _feature(line: JsonObject) -> FeatureSeen | None:
    feature, said, at = text(line, "feature"), text(line, "state"), moment(text(line, "at"))
    if not feature or at is None or said not in _KNOWN:
        return None
    return FeatureSeen(feature, State(said), at)


def _is_security(feature: str) -> bool:
    """A feature of a newer Steward, which is not in our catalogue, is taken for none of security."""
    entry = catalogue().find(feature)
    return entry is not None and entry.security
