"""Recording rules and alerts for objectives.

Requests and good requests of the last five minutes are recorded for each objective of each target: two rules.
Everything else is made of these recordings, by rules that a policy has once, however many targets it has: for each
window the requests a second and the share that failed, and the alerts. Longer windows are sums of the recordings, so a
busy hour weighs more than a quiet one, and nothing looks at raw series for longer than five minutes.

    steward:slo_requests:rate5m            requests a second
    steward:slo_good:rate5m                of them the good ones
    steward:slo_requests:rate1h, …         the same over a longer window; hours without traffic count as 0
    steward:slo_errors:ratio_rate5m, …     the share that failed; absent where there was no traffic
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from steward.alerting.objectives.burn import Limit, Row, written
from steward.alerting.objectives.facts import Place
from steward.alerting.objectives.queries import BASE, Indicator
from steward.alerting.objectives.wanted import Latency, Wanted
from steward.alerting.promql import Matcher, selector
from steward.alerting.rules import Alerting, Group, Recording, Rule, Severity, steady

ERROR_BURN = "LinkerdErrorBudgetBurn"
LATENCY_BURN = "LinkerdLatencyBudgetBurn"
REQUESTS = "steward:slo_requests:rate"
GOOD = "steward:slo_good:rate"
ERRORS = "steward:slo_errors:ratio_rate"
FAST, SLOW = "fast", "slow"
"""Of the label `burn`: rows that are urgent, and rows that are not."""
LONGEST_PACE = timedelta(minutes=1)
BETWEEN_SLOW_LOOKS = timedelta(minutes=2)
"""At the windows of two hours, a day and three days. Queries see a recording for five minutes, so both must be less."""
LARGEST_GROUP = 200
"""Rules of one group are evaluated one after the other."""
_IDENTITY = ("namespace", "policy", "target", "service", "route", "objective", "side", "within")


@dataclass(frozen=True, slots=True)
class Measured:
    """An objective of a target, with the queries that tell how well it does."""

    wanted: Wanted
    service: Place
    route: str
    indicator: Indicator
    limits: tuple[Limit, ...]

    @property
    def alert(self) -> str:
        """The name of its alerts."""
        return LATENCY_BURN if isinstance(self.wanted.goal, Latency) else ERROR_BURN

    def labels(self) -> dict[str, str]:
        """Of what is recorded. `route` is added by the query where each route is told by itself."""
        wanted, namespace = self.wanted, self.wanted.target.place.namespace
        named = {
            "namespace": namespace,
            "service": self.service.seen_from(namespace),
            "route": self.route,
            "objective": wanted.objective,
            "side": wanted.view.side.value.lower(),
            "policy": wanted.policy,
            "target": str(wanted.target),
            "within": f"{wanted.goal.milliseconds}ms" if isinstance(wanted.goal, Latency) else "",
        }
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose rules they are: a policy, or what is annotated in a namespace."""

    namespace: str
    policy: str = ""

    @property
    def title(self) -> str:
        """Of its groups. Names of namespaces and policies have no slash."""
        return f"{self.namespace}/{self.policy}" if self.policy else self.namespace

    @property
    def labels(self) -> dict[str, str]:
        """Of all that is recorded for it."""
        return {"namespace": self.namespace, **({"policy": self.policy} if self.policy else {})}

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """That find it."""
        return Matcher.equal("namespace", self.namespace), Matcher.equal("policy", self.policy)


def slo_groups(owner: Owner, measured: Sequence[Measured], evaluation: timedelta) -> tuple[Group, ...]:
    """All rules of one owner. `evaluation`: how often this Prometheus evaluates rules."""
    if not measured:
        return ()
    pace = min(evaluation, LONGEST_PACE)
    rows = {limit.row for each in measured for limit in each.limits}
    fast = _spans(row for row in rows if row.urgent)
    slow = [span for span in _spans(row for row in rows if not row.urgent) if span not in fast]
    alerts = list(_alerts(owner, measured))
    return (
        *_groups(f"{owner.title}/requests", [rule for each in measured for rule in _recorded(each)], pace),
        *_groups(
            f"{owner.title}/burn",
            [*_windows(owner, fast, pace), *(alert for alert in alerts if alert.labels["burn"] == FAST)],
            pace,
        ),
        *_groups(
            f"{owner.title}/slow-burn",
            [*_windows(owner, slow, pace), *(alert for alert in alerts if alert.labels["burn"] == SLOW)],
            BETWEEN_SLOW_LOOKS,
        ),
    )


def _groups(title: str, rules: Sequence[Rule], interval: timedelta) -> Iterator[Group]:
    for count, start in enumerate(range(0, len(rules), LARGEST_GROUP), 1):
        name = title if count == 1 else f"{title}-{count}"
        yield Group(name, tuple(rules[start : start + LARGEST_GROUP]), interval)


def _recorded(measured: Measured) -> Iterator[Recording]:
    indicator, labels = measured.indicator, measured.labels()
    told_apart = [name for name in _IDENTITY if not (name == "route" and indicator.routes)]
    requests = selector(f"{REQUESTS}{BASE}", *(Matcher.equal(name, labels.get(name, "")) for name in told_apart))
    same = "on (route)" if indicator.routes else "on ()"
    yield Recording(f"{REQUESTS}{BASE}", indicator.requests, labels)
    # Where nothing is good there is nothing to sum, which is not the same as no traffic.
    yield Recording(f"{GOOD}{BASE}", f"{indicator.good} or {same} 0 * {requests}", labels)


def _spans(rows: Iterable[Row]) -> list[timedelta]:
    return sorted({span for row in rows for span in (row.short, row.long)})


def _windows(owner: Owner, spans: Sequence[timedelta], pace: timedelta) -> Iterator[Recording]:
    good = selector(f"{GOOD}{BASE}", *owner.matchers)
    recorded = selector(f"{REQUESTS}{BASE}", *owner.matchers)
    for span in spans:
        window = written(span)
        requests = selector(f"{REQUESTS}{window}", *owner.matchers)
        if window == BASE:
            yield Recording(f"{ERRORS}{window}", f"1 - {good} / ({requests} > 0)", owner.labels)
            continue
        # By how many recordings there should have been, not by how many there are: hours without traffic count.
        share = f"{pace / span:.12g}"
        yield Recording(f"{REQUESTS}{window}", f"sum_over_time({recorded}[{window}]) * {share}", owner.labels)
        failing = f"1 - sum_over_time({good}[{window}]) * {share} / ({requests} > 0)"
        yield Recording(f"{ERRORS}{window}", failing, owner.labels)


def _alerts(owner: Owner, measured: Sequence[Measured]) -> Iterator[Alerting]:
    for objective in {each.wanted.objective: each for each in measured}.values():
        for urgent in (True, False):
            limits = [limit for limit in objective.limits if limit.row.urgent is urgent]
            if limits:
                yield _alert(owner, objective, limits)


def _alert(owner: Owner, measured: Measured, limits: Sequence[Limit]) -> Alerting:
    wanted, urgent = measured.wanted, limits[0].row.urgent
    audience = wanted.audience
    ours = {
        "namespace": owner.namespace,
        "policy": owner.policy,
        "objective": wanted.objective,
        "team": audience.team,
        "burn": FAST if urgent else SLOW,
    }
    matchers = (*owner.matchers, Matcher.equal("objective", wanted.objective))
    return Alerting(
        alert=measured.alert,
        expr=" or ".join(f"({_exceeded(limit, matchers, wanted.view.minimum_rps)})" for limit in limits),
        severity=audience.severity if urgent else severity_of_slow_burn(audience.severity),
        labels={name: steady(value) for name, value in {**dict(audience.labels), **ours}.items() if value},
        annotations=_annotations(measured.alert, wanted, limits),
    )


def _exceeded(limit: Limit, matchers: Sequence[Matcher], floor: float) -> str:
    failing = f"{limit.failing.normalize():f}"
    long, short = written(limit.row.long), written(limit.row.short)
    conditions = [
        f"{selector(f'{ERRORS}{long}', *matchers)} > {failing}",
        f"{selector(f'{ERRORS}{short}', *matchers)} > {failing}",
    ]
    if floor > 0:
        conditions.append(f"{selector(f'{REQUESTS}{long}', *matchers)} >= {floor:.12g}")
    return " and ".join(conditions)


def severity_of_slow_burn(severity: Severity) -> Severity:
    """Where fast burning has this one."""
    return Severity.WARNING if severity is Severity.CRITICAL else severity


def _annotations(name: str, wanted: Wanted, limits: Sequence[Limit]) -> dict[str, str]:
    where = "{{ $labels.service }}{{ with $labels.route }}, route {{ . }},{{ end }}"
    goal, period = wanted.goal, written(wanted.period)
    if isinstance(goal, Latency):
        budget = "latency budget"
        fact = f"of the answers of {where} take longer than {goal.milliseconds} ms"
        aim = f"{goal.percent:g} % within {goal.milliseconds} ms over {period}"
    else:
        budget = "error budget"
        fact = f"of the requests to {where} fail"
        aim = f"{goal.percent:g} % success over {period}"
    paces = " or ".join(f"{float(limit.factor):.3g} times over {written(limit.row.long)}" for limit in limits)
    return {
        "summary": f"{where} spends its {budget} too fast",
        "description": f"{{{{ $value | humanizePercentage }}}} {fact}, seen from the {wanted.view.side.value.lower()}. "
        f"The objective is {aim}; it burns faster than its budget allows, by {paces}, and still does.",
        "runbook": name,
    }
