"""Suites: the default one, their digest, and what a run takes of them."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

import orjson

from services.conformance.core.patterns import any_means
from services.conformance.core.probe import Probe
from services.conformance.core.probes import chosen
from steward.conformance.results import Safety
from steward.resources.base import Condition, ConditionStatus, with_condition
from steward.resources.conformance_suite import ConformanceSuite, ConformanceSuiteSpec, ConformanceSuiteStatus

DEFAULT = "default"
"""A run that names no suite takes this one; where nobody made it, it has the defaults of its fields."""


def digest_of(suite: ConformanceSuiteSpec) -> str:
    """The same text for the same suite, whatever the order of its members."""
    canonical = orjson.dumps(suite.to_json(), option=orjson.OPT_SORT_KEYS)
    return f"sha256:{hashlib.sha256(canonical).hexdigest()}"


def only(
    of_suite: Sequence[Probe], patterns: Sequence[str], known: Iterable[Probe], allow: Iterable[Safety]
) -> tuple[Probe, ...]:
    """What a run takes of a suite. A feature that it names outright comes along though the suite leaves it out, as long
    as the suite allows something so bold."""
    if not patterns:
        return tuple(of_suite)
    allowed = frozenset(allow)
    named = [probe for probe in known if probe.id in patterns and probe.safety in allowed]
    wanted = [probe for probe in of_suite if any_means(patterns, probe.id)]
    return tuple(sorted({*wanted, *named}, key=lambda each: each.id))


def status_of(suite: ConformanceSuite, probes: Iterable[Probe], now: datetime) -> ConformanceSuiteStatus:
    """What we think of a suite."""
    spec, known = suite.spec, tuple(probes)
    features = chosen(spec.include, spec.exclude, spec.tiers, spec.allow, of=known)
    lost = [
        pattern
        for pattern in (*spec.include, *spec.exclude)
        if not any(any_means((pattern,), probe.id) for probe in known)
    ]
    if not features:
        value, reason, message = ConditionStatus.FALSE, "NoFeatures", "no feature is included, allowed and of its tiers"
    elif lost:
        value, reason = ConditionStatus.TRUE, "UnknownFeatures"
        message = f"{len(features)} features; nothing is called {', '.join(lost)}"
    else:
        value, reason, message = ConditionStatus.TRUE, "Valid", f"{len(features)} features"
    condition = Condition(
        type="Valid",
        status=value,
        reason=reason,
        message=message,
        observed_generation=suite.metadata.generation,
        last_transition_time=now,
    )
    old = suite.status or ConformanceSuiteStatus()
    return ConformanceSuiteStatus(
        observed_generation=suite.metadata.generation,
        digest=digest_of(spec),
        features=len(features),
        conditions=with_condition(old.conditions, condition),
    )
