"""What is asked of a target: an objective, how to look at it, and who is told. By an AlertPolicy or by annotations."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from steward.alerting.channels.target import TRIAL
from steward.alerting.objectives.burn import Budget
from steward.alerting.objectives.facts import Place
from steward.alerting.objectives.refusals import Notice, Refused
from steward.alerting.pack import STEWARD_LABEL
from steward.alerting.promql import LABEL
from steward.alerting.rules import Severity
from steward.resources.alert_policy import AlertPolicy, AlertPolicySpec, Granularity, Objective, Side, TargetKind

OUR_LABELS = frozenset(
    {
        *("alertname", "severity", "team", "policy", "target", "namespace", "service", "route"),
        *("objective", "side", "within", "burn"),
    }
)
"""Labels of our recording rules and alerts."""
RESERVED_LABELS = frozenset({STEWARD_LABEL, TRIAL})
"""Labels by which Steward's own alerts, and those that only try a channel, are told from all others."""


@dataclass(frozen=True, slots=True)
class Target:
    """An object that objectives are set for."""

    kind: TargetKind
    place: Place

    def __str__(self) -> str:
        return f"{self.kind}/{self.place.name}"


@dataclass(frozen=True, slots=True)
class Success:
    """So many requests of a hundred must succeed."""

    percent: float


@dataclass(frozen=True, slots=True)
class Latency:
    """So many answers of a hundred must come within so many milliseconds."""

    percent: float
    milliseconds: int


Goal = Success | Latency


@dataclass(frozen=True, slots=True)
class View:
    """How a target is looked at."""

    side: Side = Side.CLIENT
    granularity: Granularity = Granularity.TARGET
    minimum_rps: float = 0.1
    """With fewer requests a second nobody is told."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is told, and what the alerts carry besides."""

    severity: Severity = Severity.CRITICAL
    """Of what burns fast."""
    team: str = ""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """One objective of one target."""

    target: Target
    objective: str
    """Its name."""
    goal: Goal
    period: timedelta
    view: View
    audience: Audience
    policy: str = ""
    """Name of the AlertPolicy beside the target; empty where an annotation asks."""

    @property
    def budget(self) -> Budget:
        """How much may fail, over how long."""
        return Budget(self.goal.percent, self.period)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a policy asks for, target by target, and what it cannot have."""

    wanted: tuple[Wanted, ...] = ()
    refused: tuple[tuple[str, Refused], ...] = ()
    """Pairs of a target, or another thing such as Objective/slow, and why it is not in force."""
    notices: tuple[Notice, ...] = ()


def wishes_of(policy: AlertPolicy) -> Wishes:
    """The objectives of a policy, for each of its targets."""
    spec, namespace = policy.spec, policy.metadata.namespace
    audience, notices = audience_of(spec)
    view = View(spec.side, spec.granularity, spec.minimum_requests_per_second)
    targets = dict.fromkeys(Target(ref.kind, Place(namespace, ref.name)) for ref in spec.targets)
    goals = [(objective, goal_of(objective)) for objective in {each.name: each for each in spec.objectives}.values()]
    return Wishes(
        wanted=tuple(
            Wanted(
                target=target,
                objective=objective.name,
                goal=goal,
                period=timedelta(seconds=objective.window_seconds),
                view=view,
                audience=audience,
                policy=policy.metadata.name,
            )
            for target in targets
            for objective, goal in goals
            if not isinstance(goal, Refused)
        ),
        refused=tuple((f"Objective/{objective.name}", goal) for objective, goal in goals if isinstance(goal, Refused)),
        notices=notices,
    )


def goal_of(objective: Objective) -> Goal | Refused:
    """What an objective is about: success, or latency, and never both."""
    match objective.success_percent, objective.latency:
        case float(percent), None:
            return Success(percent)
        case None, latency if latency is not None:
            return Latency(latency.percent, latency.within_milliseconds)
        case _:
            return Refused(
                "ObjectiveUnclear",
                f"objective {objective.name!r} must be about success or about latency: "
                "give exactly one of successPercent and latency",
            )


def audience_of(spec: AlertPolicySpec) -> tuple[Audience, tuple[Notice, ...]]:
    """Who is told by a policy. Labels that would displace ours, or that are none, are left out and named."""
    kept, left_out = _own(spec.labels)
    return Audience(spec.severity, spec.team, kept), left_out


def _own(labels: Mapping[str, str]) -> tuple[tuple[tuple[str, str], ...], tuple[Notice, ...]]:
    kept: list[tuple[str, str]] = []
    left_out: list[Notice] = []
    for name, value in sorted(labels.items()):
        if name in OUR_LABELS:
            why = "alerts have a label of that name anyway: call yours otherwise"
        elif name in RESERVED_LABELS:
            why = "alerts of Steward's own are known by it: call yours otherwise"
        elif LABEL.fullmatch(name) is None or name.startswith("__"):
            why = "that is no name of a label: letters, digits and _, not __ nor a digit first"
        else:
            kept.append((name, value))
            continue
        left_out.append(Notice(f"Label/{name}", "LabelLeftOut", f"label {name!r} is left out: {why}"))
    return tuple(kept), tuple(left_out)
