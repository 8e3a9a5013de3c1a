"""A policy, or what is annotated in a namespace, as groups of rules, with what became of each target."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from steward.alerting.monitoring import Monitoring
from steward.alerting.objectives.annotations import wanted_by_annotations
from steward.alerting.objectives.burn import limits
from steward.alerting.objectives.counting import Counted
from steward.alerting.objectives.custom import custom_alerts
from steward.alerting.objectives.facts import MeshFacts
from steward.alerting.objectives.queries import indicator
from steward.alerting.objectives.refusals import Notice, Refused
from steward.alerting.objectives.slo_rules import Measured, Owner, slo_groups
from steward.alerting.objectives.targets import counted
from steward.alerting.objectives.wanted import Target, Wanted, audience_of, wishes_of
from steward.alerting.rules import Alerting, Group
from steward.resources.alert_policy import AlertPolicy, TargetKind, TargetStatus

_LONGEST_MESSAGE = 4096
_LONGEST_TARGET = 512
_RENDERED = "Rendered"


@dataclass(frozen=True, slots=True)
class RenderedPolicy:
    """What a policy, or the annotated objects of a namespace, come to."""

    groups: tuple[Group, ...] = ()
    targets: tuple[TargetStatus, ...] = ()
    """What became of each target, of each rule of one's own, and of each objective that is none."""
    warnings: tuple[Notice, ...] = ()
    watched: tuple[tuple[str, frozenset[str]], ...] = ()
    """Pairs of an alert of objectives and the metrics that it needs, each by itself, in order to see anything."""

    @property
    def rules(self) -> int:
        """How many rules there are in all groups."""
        return sum(len(group.rules) for group in self.groups)


def rendered_policy(policy: AlertPolicy, facts: MeshFacts, monitoring: Monitoring) -> RenderedPolicy:
    """The objectives and the rules of a policy. The pack of the control plane is not among them."""
    owner = Owner(policy.metadata.namespace, policy.metadata.name)
    wishes = wishes_of(policy)
    audience, _ = audience_of(policy.spec)
    outcomes = [_outcome(target, wanted, facts, monitoring) for target, wanted in _by_target(wishes.wanted).items()]
    own = custom_alerts(policy, audience)
    return RenderedPolicy(
        groups=(*_objectives(owner, outcomes, monitoring), *_own_rules(owner, own.alerts, monitoring)),
        targets=(
            *(outcome.status for outcome in outcomes),
            *(_refused(about, refused) for about, refused in (*wishes.refused, *own.refused)),
            *(TargetStatus(target=f"Rule/{alert.alert}", alerts=1, reason=_RENDERED) for alert in own.alerts),
            *(_remark(notice) for notice in wishes.notices),
        ),
        warnings=tuple(dict.fromkeys((*wishes.notices, *_notices(outcomes)))),
        watched=_watched(outcomes),
    )


def rendered_annotations(facts: MeshFacts, monitoring: Monitoring) -> tuple[tuple[str, RenderedPolicy], ...]:
    """The objectives that annotations ask for, namespace by namespace."""
    namespaces: dict[str, list[_Outcome]] = {}
    for target, annotations in _annotated(facts):
        wanted = wanted_by_annotations(target, annotations)
        if isinstance(wanted, Refused):
            outcome = _Outcome(_refused(str(target), wanted))
        elif wanted:
            outcome = _outcome(target, wanted, facts, monitoring)
        else:
            continue
        namespaces.setdefault(target.place.namespace, []).append(outcome)
    return tuple(
        (
            namespace,
            RenderedPolicy(
                groups=_objectives(Owner(namespace), outcomes, monitoring),
                targets=tuple(outcome.status for outcome in outcomes),
                warnings=tuple(dict.fromkeys(_notices(outcomes))),
                watched=_watched(outcomes),
            ),
        )
        for namespace, outcomes in sorted(namespaces.items())
    )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one target."""

    status: TargetStatus
    measured: tuple[Measured, ...] = ()
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class _Told:
    """What became of one objective of one target, in one Service."""

    result: Measured | Refused
    notices: tuple[Notice, ...] = ()


def _outcome(target: Target, wanted: Sequence[Wanted], facts: MeshFacts, monitoring: Monitoring) -> _Outcome:
    """Of all objectives of a target, which are looked at in one way."""
    countings = counted(target, wanted[0].view, facts)
    found = [counting for counting in countings if isinstance(counting, Counted)]
    told = [(each, _told(each, counting, monitoring)) for counting in found for each in wanted]
    measured = tuple(each.result for _, each in told if isinstance(each.result, Measured))
    why = [counting.reason for counting in countings if isinstance(counting, Refused)]
    why += [each.result.reason for _, each in told if isinstance(each.result, Refused)]
    sentences = [counting.message for counting in countings if isinstance(counting, Refused)]
    sentences += [
        f"objective {asked.objective!r}: {each.result.message}"
        for asked, each in told
        if isinstance(each.result, Refused)
    ]
    notes = [Notice(str(target), note.reason, note.message) for counting in found for note in counting.notes]
    notices = (*notes, *(notice for _, each in told for notice in each.notices))
    sentences += [notice.message for notice in notices]
    status = TargetStatus(
        target=str(target),
        metrics=", ".join(dict.fromkeys(counting.by.value for counting in found)),
        alerts=len({(each.wanted.objective, limit.row.urgent) for each in measured for limit in each.limits}),
        reason=why[0] if why else _RENDERED,
        message="; ".join(dict.fromkeys(sentences))[:_LONGEST_MESSAGE],
    )
    return _Outcome(status, measured, notices)


def _told(wanted: Wanted, counting: Counted, monitoring: Monitoring) -> _Told:
    told = indicator(counting, wanted.goal, wanted.view.granularity, monitoring)
    if isinstance(told, Refused):
        return _Told(told)
    rows = limits(wanted.budget, monitoring.retention)
    if not rows.rows:
        reasons = {row.reason for row in rows.left_out}
        reason = reasons.pop() if len(reasons) == 1 else "NoAlertPossible"
        return _Told(Refused(reason, "; ".join(row.message for row in rows.left_out)))
    notices = (
        *(Notice(str(wanted.target), note.reason, note.message) for note in told.notes),
        *(Notice(f"Objective/{wanted.objective}", row.reason, row.message) for row in rows.left_out),
    )
    return _Told(Measured(wanted, counting.service, counting.route, told, rows.rows), notices)


def _objectives(owner: Owner, outcomes: Iterable[_Outcome], monitoring: Monitoring) -> tuple[Group, ...]:
    measured = [each for outcome in outcomes for each in outcome.measured]
    return slo_groups(owner, measured, monitoring.evaluation)


def _own_rules(owner: Owner, alerts: tuple[Alerting, ...], monitoring: Monitoring) -> tuple[Group, ...]:
    return (Group(f"{owner.title}/rules", alerts, monitoring.evaluation),) if alerts else ()


def _watched(outcomes: Iterable[_Outcome]) -> tuple[tuple[str, frozenset[str]], ...]:
    needed: dict[str, frozenset[str]] = {}
    for outcome in outcomes:
        for each in outcome.measured:
            needed[each.alert] = needed.get(each.alert, frozenset()) | each.indicator.metrics
    return tuple(sorted(needed.items()))


def _notices(outcomes: Iterable[_Outcome]) -> Iterator[Notice]:
    for outcome in outcomes:
        yield from outcome.notices


def _refused(about: str, refused: Refused) -> TargetStatus:
    return TargetStatus(target=about, reason=refused.reason, message=refused.message[:_LONGEST_MESSAGE])


def _remark(notice: Notice) -> TargetStatus:
    """Of something that is left out, and takes nothing else with it."""
    about, message = notice.about[:_LONGEST_TARGET], notice.message[:_LONGEST_MESSAGE]
    return TargetStatus(target=about, reason=_RENDERED, message=message)


def _by_target(wanted: Iterable[Wanted]) -> Mapping[Target, list[Wanted]]:
    gathered: dict[Target, list[Wanted]] = {}
    for each in wanted:
        gathered.setdefault(each.target, []).append(each)
    return gathered


def _annotated(facts: MeshFacts) -> Iterator[tuple[Target, Mapping[str, str]]]:
    for service in facts.services.values():
        yield Target(TargetKind.SERVICE, service.place), service.annotations
    for profile in facts.profiles.values():
        yield Target(TargetKind.SERVICE_PROFILE, profile.place), profile.annotations
    for (kind, place), routes in facts.routes.items():
        yield Target(kind, place), {key: value for route in routes for key, value in route.annotations.items()}
