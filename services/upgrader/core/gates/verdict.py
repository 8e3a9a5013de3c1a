"""What a gate says, and how it compares with what it said before the first change."""

from dataclasses import dataclass, replace
from datetime import datetime

from services.upgrader.core.journal import Said
from services.upgrader.core.logical import LogicalVersions
from services.upgrader.core.observations import Unseen
from steward.events.upgrades import GateResult
from steward.linkerd.version import Version
from steward.resources.release_catalog import ReleaseEntry
from steward.resources.upgrade_plan import GateTemplate, InstallMethod
from steward.resources.upgrade_run import Evidence

_MOST_FINDINGS = 64
_LONGEST_FINDING = 256


@dataclass(frozen=True, slots=True)
class Context:
    """What a judgement may know besides the observation."""

    now: datetime
    source: Version
    target: Version
    method: InstallMethod
    release: ReleaseEntry | None
    logical: LogicalVersions


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. `name` stays the same while the thing does."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of a gate."""

    result: GateResult
    reason: str
    message: str
    findings: tuple[Finding, ...] = ()

    def evidence(self, gate: GateTemplate, now: datetime) -> Evidence:
        """As it is written down."""
        return Evidence(
            gate=gate.name,
            type=gate.type,
            result=self.result,
            reason=self.reason,
            message=Said(self.reason, self.message).clipped,
            findings=tuple(each.name[:_LONGEST_FINDING] for each in self.findings[:_MOST_FINDINGS]),
            observed_at=now,
        )


def passed(reason: str, message: str) -> Verdict:
    """It is so."""
    return Verdict(GateResult.PASSED, reason, message)


def inconclusive(reason: str, message: str) -> Verdict:
    """Nobody can tell."""
    return Verdict(GateResult.INCONCLUSIVE, reason, message)


def failed(reason: str, findings: tuple[Finding, ...]) -> Verdict:
    """It is not so."""
    return Verdict(GateResult.FAILED, reason, sentence(findings), findings)


def unseen(observation: Unseen) -> Verdict:
    """An error is not a failure, and an unknown is not a pass."""
    result = GateResult.ERROR if observation.transient else GateResult.INCONCLUSIVE
    return Verdict(result, observation.reason, observation.message)


def sentence(findings: tuple[Finding, ...]) -> str:
    """The findings for people; the first ten of them."""
    text = "; ".join(each.message for each in findings[:10])
    return f"{text}; and {len(findings) - 10} more" if len(findings) > 10 else text


def compared(verdict: Verdict, baseline: Evidence | None) -> Verdict:
    """What was red before the first change, and nothing else, is not held against the upgrade."""
    if verdict.result is not GateResult.FAILED or baseline is None or baseline.result is not GateResult.FAILED:
        return verdict
    known = set(baseline.findings)
    fresh = tuple(each for each in verdict.findings if each.name[:_LONGEST_FINDING] not in known)
    if fresh or not verdict.findings:
        return replace(verdict, message=sentence(fresh) or verdict.message)
    message = f"as before the upgrade, which is not held against it: {verdict.message}"
    return Verdict(GateResult.PASSED, "NoWorseThanBefore", message, verdict.findings)
