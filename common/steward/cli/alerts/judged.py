"""AlertPolicies and AlertChannels of files, judged as the API server, the renderers and Alertmanager would. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.console import Group, RenderableType
from rich.text import Text

from steward.alerting.channels.plain import offered
from steward.alerting.channels.refused import Refused
from steward.alerting.channels.target import Target
from steward.alerting.monitoring import Monitoring
from steward.alerting.openslo.reading import policies_from_openslo
from steward.alerting.policy_rules import RENDERED, PolicyRules, Whereabouts, policy_rules
from steward.cli.alerts.around import CONTEXT, facts_in
from steward.cli.alerts.documents import Document
from steward.cli.alerts.schemas import misfits
from steward.cli.marks import BAD, GOOD, WARNING
from steward.cli.output import plain
from steward.jsonvalue import Json, JsonObject, text
from steward.resources import AlertChannel, AlertPolicy
from steward.resources.base import API_VERSION

_ALL_OF_IT = ("spec.objectives", "all of it")
"""Members without which nothing of a document is left."""
_UNNAMED = "default"
_KINDS = {kind.kind_name: kind for kind in (AlertPolicy, AlertChannel)}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to be said of an object. What is not `refused` would be in force, but not as somebody may think."""

    reason: str
    message: str
    remedy: str = ""
    refused: bool = True

    def document(self) -> JsonObject:
        """For programs."""
        return {"refused": self.refused, "reason": self.reason, "message": self.message, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class Judged:
    """An object, what is to be said of it, and the rules that it comes to where it is a policy."""

    document: Document
    findings: tuple[Finding, ...] = ()
    rules: PolicyRules | None = None
    policy: AlertPolicy | None = None
    channel: AlertChannel | None = None

    @property
    def refused(self) -> bool:
        """Whether anything of it would not be in force."""
        return any(each.refused for each in self.findings)

    def with_finding(self, finding: Finding) -> "Judged":
        """The same, and one thing more to be said."""
        return replace(self, findings=(*self.findings, finding))


def judged(documents: Sequence[Document], around: Whereabouts, target: Target) -> list[Judged]:
    """Every object that is ours, and OpenSLO's; `around.facts` are those of the files themselves."""
    first = [_read(each) for each in documents if each.kind not in CONTEXT and not each.openslo]
    first += _openslo([each for each in documents if each.openslo])
    policies = [each.policy for each in first if each.policy is not None]
    facts, assumed = facts_in(documents, policies)
    where = replace(around, facts=facts)
    found = [_rendered(each, where, target) for each in first]
    for place in assumed:
        found = [
            each.with_finding(_taken_for_granted(place.name))
            if each.policy is not None and _names(each.policy, place.namespace, place.name)
            else each
            for each in found
        ]
    return list(_without_twins(found))


def _read(document: Document) -> Judged:
    kind = _KINDS.get(document.kind)
    if kind is None:
        remedy = f"check reads {', '.join(_KINDS)}, and {', '.join(sorted(CONTEXT))} as what they are for"
        return Judged(document, (Finding("UnknownKind", f"{document.kind or 'it'} is no kind of alerting", remedy),))
    version = text(document.content, "apiVersion")
    if version != API_VERSION:
        return Judged(document, (Finding("UnknownVersion", f"apiVersion is {version!r}", f"write {API_VERSION}"),))
    if not text(document.content, "metadata", "name"):
        return Judged(document, (Finding("NoName", "it has no name", "give metadata.name"),))
    found = tuple(Finding(each.reason, each.message, each.remedy) for each in misfits(kind, document.content))
    if any(each.reason == "Invalid" for each in found):
        return Judged(document, found)
    if kind is AlertPolicy:
        return Judged(document, found, policy=AlertPolicy.of(document.content))
    return Judged(document, found, channel=AlertChannel.of(document.content))


def _openslo(documents: Sequence[Document]) -> Iterator[Judged]:
    """Documents of OpenSLO with what of them could not be carried over, and the policies that they come to."""
    found = policies_from_openslo([each.content for each in documents], _UNNAMED)
    lost: dict[str, list[Finding]] = {}
    for each in found.lost:
        why = Finding("NotCarriedOver", f"{each.what}: {each.why}", refused=each.what in _ALL_OF_IT)
        lost.setdefault(each.where, []).append(why)
    for document in documents:
        findings = lost.pop(f"{document.kind}/{text(document.content, 'metadata', 'name')}", [])
        yield Judged(document, tuple(findings))
    for number, policy in enumerate(found.policies, start=1):
        made = Document("made of OpenSLO", number, policy.to_json())
        nowhere = tuple(each for left in lost.values() for each in left) if number == 1 else ()
        yield Judged(made, nowhere, policy=policy)


def _rendered(one: Judged, around: Whereabouts, target: Target) -> Judged:
    if one.policy is not None:
        rules = policy_rules(one.policy, around)
        return replace(one, rules=rules, findings=(*one.findings, *_of_policy(one.policy, rules)))
    if one.channel is not None:
        return replace(one, findings=(*one.findings, *_of_channel(one.channel, target)))
    return one


def _of_policy(policy: AlertPolicy, rules: PolicyRules) -> Iterator[Finding]:
    spec = policy.spec
    if spec.control_plane is None and not spec.objectives and not spec.rules:
        yield Finding("Empty", "the policy says nothing", "give controlPlane, objectives of targets, or rules")
    if spec.objectives and not spec.targets:
        yield Finding("NoTargets", "objectives need targets", "name at least one in spec.targets")
    if rules.misplaced:
        yield Finding("NotHere", rules.misplaced, "put it there, or leave spec.controlPlane out")
    for each in rules.targets:
        if each.reason != RENDERED:
            yield Finding(each.reason, f"{each.target}: {each.message}")
        elif each.target.startswith("Alert/"):
            yield Finding("LeftOut", each.message, refused=False)
    for notice in rules.found.warnings:
        yield Finding(notice.reason, f"{notice.about}: {notice.message}", refused=False)


def _of_channel(channel: AlertChannel, target: Target) -> Iterator[Finding]:
    found = offered(channel, target)
    if isinstance(found, Refused):
        yield Finding(found.reason, found.message, found.remedy)
        return
    for each in found.remarks:
        yield Finding(each.reason, each.message, refused=False)


def _taken_for_granted(service: str) -> Finding:
    message = f"Service {service!r} is not in these files, and is taken to be there with one HTTP port and no routes"
    return Finding("Assumed", message, refused=False)


def _names(policy: AlertPolicy, namespace: str, service: str) -> bool:
    return policy.metadata.namespace == namespace and any(each.name == service for each in policy.spec.targets)


def _without_twins(found: Sequence[Judged]) -> Iterator[Judged]:
    seen: dict[str, Document] = {}
    for each in found:
        name = each.document.object
        other = seen.setdefault(name, each.document)
        twice = f"{name} is also {other.source} #{other.number}, and one would replace the other"
        named = bool(text(each.document.content, "metadata", "name"))
        yield each.with_finding(Finding("Twice", twice, "keep one")) if named and other is not each.document else each


def judged_document(found: Sequence[Judged]) -> JsonObject:
    """For programs."""
    items: list[Json] = []
    for each in found:
        findings: list[Json] = [finding.document() for finding in each.findings]
        where = each.document
        items.append(
            {
                "source": where.source,
                "number": where.number,
                "object": where.object,
                "refused": each.refused,
                "findings": findings,
            }
        )
    return {"items": items}


def judged_report(found: Sequence[Judged]) -> RenderableType:
    """For people."""
    parts: list[RenderableType] = []
    for each in found:
        mark, style = (BAD, "red") if each.refused else (GOOD, "green")
        head = Text(f"{mark} ", style).append_text(plain(each.document.object, "bold"))
        parts.append(head.append_text(plain(f"   {each.document.source} #{each.document.number}", "dim")))
        for finding in each.findings:
            remedy = f": {finding.remedy}" if finding.remedy else ""
            sign, colour = (BAD, "red") if finding.refused else (WARNING, "yellow")
            parts.append(plain(f"  {sign} {finding.reason}: {finding.message}{remedy}", colour))
    refused = sum(1 for each in found if each.refused)
    parts.append(plain(f"{len(found)} objects, {refused} refused", "red" if refused else "green"))
    return Group(*parts)


def whereabouts(monitoring: Monitoring, home: str) -> Whereabouts:
    """What files are judged for, their own facts yet to come."""
    return Whereabouts(facts_in((), ())[0], monitoring, home)
