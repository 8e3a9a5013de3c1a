"""Probe and evidence → verdict and result. What cannot be told is inconclusive; only a broken proof is a failure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.conformance.core.capability import Has
from services.conformance.core.confirmation import settled
from services.conformance.core.evidence import Evidence, Unseen
from services.conformance.core.orders import Report
from services.conformance.core.probe import Probe, Proof
from services.conformance.core.stage import Stage
from steward.conformance.results import (
    Actors,
    AssertionResult,
    Attempt,
    Capability,
    FeatureResult,
    Timing,
    Verdict,
)
from steward.events.conformance import FoundCause, Rung

_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one look at evidence came to."""

    verdict: Verdict
    reason: str
    message: str
    assertions: tuple[AssertionResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """How the negative control fared: None is that there is none, or that nobody can tell."""

    ok: bool | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Which:
    """Which cycle of which run a result is of."""

    run: str
    run_uid: str
    cycle: int
    at: datetime

    def id(self, feature: str) -> str:
        """The same cycle has the same id, whoever tells it and however often."""
        return f"{self.run_uid}/{feature}/{self.cycle}"


@dataclass(frozen=True, slots=True)
class Explained:
    """Why it failed, and where that can be read up."""

    causes: tuple[FoundCause, ...] = ()
    rung: Rung | None = None
    evidence: str = ""


def proven(proof: Proof, stage: Stage, evidence: Evidence) -> Judgement:
    """What a proof says."""
    try:
        assertions = proof(stage, evidence)
    except Unseen as unseen:
        return Judgement(Verdict.INCONCLUSIVE, "Unseen", _clipped(str(unseen)))
    if not assertions:
        return Judgement(Verdict.INCONCLUSIVE, "NothingJudged", "the proof judged nothing")
    broken = [each for each in assertions if not each.ok]
    if not broken:
        return Judgement(Verdict.PASSED, "Proven", f"{len(assertions)} of {len(assertions)} hold", assertions)
    first = broken[0]
    message = f"{first.name}: expected {first.expected}, observed {first.observed}"
    if len(broken) > 1:
        message += f"; {len(broken) - 1} more do not hold"
    if all(each.doubt for each in broken):
        return Judgement(Verdict.INCONCLUSIVE, "Starved", _clipped(f"{first.doubt}; {message}"), assertions)
    return Judgement(Verdict.FAILED, "Disproven", _clipped(message), assertions)


def controlled(probe: Probe, stage: Stage, evidence: Evidence) -> Control:
    """Whether the prober can be believed. A control that could not be tried says nothing against it."""
    if probe.control is None:
        return Control()
    judged = proven(probe.control.proof, stage, evidence)
    match judged.verdict:
        case Verdict.PASSED:
            return Control(ok=True)
        case Verdict.FAILED:
            return Control(ok=False, message=f"{probe.control.claim}: {judged.message}")
        case _:
            return Control(message=judged.message)


def unless_disturbed(judged: Judgement, noise: str) -> Judgement:
    """A failure while our own side was not well is no failure of the mesh."""
    if judged.verdict is not Verdict.FAILED or not noise:
        return judged
    message = _clipped(f"{noise}; meanwhile {judged.message}")
    return Judgement(Verdict.INCONCLUSIVE, "EnvNoise", message, judged.assertions)


def result(
    probe: Probe,
    which: Which,
    judged: Sequence[tuple[Judgement, datetime]],
    seen: tuple[Stage, Evidence],
    control: Control | None = None,
    explained: Explained | None = None,
) -> FeatureResult:
    """One cycle's result, of all its attempts."""
    attempts = tuple(
        Attempt(verdict=each.verdict, at=at, message="" if each.verdict is Verdict.PASSED else each.message)
        for each, at in judged
    )
    verdict = settled(attempts)
    telling = _telling(judged, verdict)
    _, evidence = seen
    why = explained or Explained()
    return FeatureResult(
        id=which.id(probe.id),
        run=which.run,
        run_uid=which.run_uid,
        feature=probe.id,
        tier=probe.tier,
        cycle=which.cycle,
        at=which.at,
        verdict=verdict,
        reason="PassedAfterRetry" if verdict is Verdict.FLAKY else telling.reason,
        message=telling.message,
        assertions=telling.assertions,
        control_ok=control.ok if control is not None else None,
        rung=why.rung if verdict is Verdict.FAILED else None,
        causes=why.causes if verdict is Verdict.FAILED else (),
        attempts=attempts,
        timing=timing(evidence, (judged[-1][1] - which.at).total_seconds()),
        actors=_on_nodes(probe, verdict, seen),
        evidence=why.evidence,
    )


def absent(probe: Probe, which: Which, has: Has) -> FeatureResult:
    """The mesh has no such feature."""
    verdict = Verdict.UNSUPPORTED if has.capability is Capability.UNSUPPORTED else Verdict.NOT_APPLICABLE
    return _plain(probe, which, verdict, has.reason, has.message).model_copy(update={"capability": has.capability})


def skipped(probe: Probe, which: Which, because: str) -> FeatureResult:
    """It rests on something that is broken."""
    made = _plain(probe, which, Verdict.SKIPPED, "GroundBroken", f"rests on {because}, which does not work")
    return made.model_copy(update={"because": because})


def undecided(probe: Probe, which: Which, reason: str, message: str) -> FeatureResult:
    """Trouble of our own."""
    return _plain(probe, which, Verdict.INCONCLUSIVE, reason, message)


def disbelieved(results: Iterable[FeatureResult], broken: str) -> tuple[FeatureResult, ...]:
    """The results of a group one of whose controls does not hold: a broken prober must not report green, nor red."""
    doubtful = (Verdict.PASSED, Verdict.FAILED, Verdict.FLAKY)
    return tuple(
        each.model_copy(
            update={
                "verdict": Verdict.INCONCLUSIVE,
                "reason": "ControlFailed",
                "message": _clipped(f"the negative control does not hold: {broken}"),
                "causes": (),
                "rung": None,
            }
        )
        if each.verdict in doubtful
        else each
        for each in results
    )


def timing(evidence: Evidence, total: float) -> Timing:
    """How long changes took to be accepted and to show."""
    effects = [
        found.effect.seconds for found in evidence.steps.values() if found.effect is not None and found.effect.met
    ]
    return Timing(effect_seconds=max(effects, default=None), total_seconds=max(0.0, total))


def actors(stage: Stage, evidence: Evidence) -> Actors:
    """Between whom it happened, as far as the reports tell."""
    reports = [report for found in evidence.steps.values() for report in found.reports or ()]
    places = {place.pod: place for each in stage.places.values() for place in each}
    client = next((places[each.pod] for each in reports if each.pod in places), None)
    servers = [places[pod] for pod in dict.fromkeys(_answering(reports)) if pod in places]
    named = [client, *servers] if client is not None else servers
    return Actors(
        client_pod=client.pod if client else "",
        client_node=client.node if client else "",
        client_zone=client.zone if client else "",
        client_proxy=client.proxy if client else "",
        server_pods=tuple(each.pod for each in servers),
        server_nodes=_distinct(each.node for each in servers),
        server_zones=_distinct(each.zone for each in servers),
        server_proxies=_distinct(each.proxy for each in servers),
        namespaces=_distinct(each.namespace for each in named),
        protocol=_protocol(reports),
    )


def _on_nodes(probe: Probe, verdict: Verdict, seen: tuple[Stage, Evidence]) -> Actors:
    """Where a probe plays on many nodes, those on which it failed: that it plays on the others says nothing of them."""
    found = actors(*seen)
    try:
        held = probe.nodes(*seen) if probe.nodes is not None else {}
    except Unseen:
        return found
    wanted = {node for node, holds in held.items() if not holds} if verdict is Verdict.FAILED else set()
    nodes = tuple(sorted(wanted or held))
    return found.model_copy(update={"client_nodes": nodes, "server_nodes": nodes}) if nodes else found


def _answering(reports: Iterable[Report]) -> list[str]:
    return [
        reply.echo.pod
        for report in reports
        if report.seen.saw == "Replies"
        for reply in report.seen.replies
        if reply.echo is not None
    ]


def _protocol(reports: Iterable[Report]) -> str:
    for report in reports:
        if report.seen.saw == "Replies":
            for reply in report.seen.replies:
                if reply.echo is not None and reply.echo.protocol:
                    return reply.echo.protocol
    return ""


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))


def _telling(judged: Sequence[tuple[Judgement, datetime]], verdict: Verdict) -> Judgement:
    """The attempt that says most about the verdict: of a flaky cycle the failure, else the last that agrees."""
    wanted = Verdict.FAILED if verdict is Verdict.FLAKY else verdict
    return next((each for each, _ in reversed(judged) if each.verdict is wanted), judged[-1][0])


def _plain(probe: Probe, which: Which, verdict: Verdict, reason: str, message: str) -> FeatureResult:
    return FeatureResult(
        id=which.id(probe.id),
        run=which.run,
        run_uid=which.run_uid,
        feature=probe.id,
        tier=probe.tier,
        cycle=which.cycle,
        at=which.at,
        verdict=verdict,
        reason=reason,
        message=_clipped(message),
    )


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
